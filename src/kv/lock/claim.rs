//! A lock with the type of the user's state erased: its keeper, and the callbacks that wait for it.
//!
//! Each of them runs once: that it was acquired or not, that it was lost, that it was released. They hold
//! handles of the lock, so it is the keeper that holds them: a loop that is dropped takes it along.

use super::keeper::{Claimant, Keeper};
use super::lost::Lost;
use super::machine::Event;
use crate::callback::{Answer, Ran, State};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

pub(super) struct Claim {
    bucket: Rc<Bucket>,
    pub(super) key: String,
    keeper: OnceCell<Weak<Keeper>>,
    waiting: OnceCell<Weak<Waiting>>,
    fence: Cell<Option<u64>>,
    lost: RefCell<Option<Lost>>,
    /// It was given back.
    is_released: Cell<bool>,
}

/// The callbacks that wait.
struct Waiting {
    on_acquired: Cell<Option<Answer<Result<u64, Error>>>>,
    on_lost: RefCell<Vec<Answer<Lost>>>,
    on_released: Cell<Option<Answer<Result<(), Error>>>>,
}

impl Claim {
    pub(super) fn new(bucket: &Rc<Bucket>, key: &str) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            key: key.into(),
            keeper: OnceCell::new(),
            waiting: OnceCell::new(),
            fence: Cell::new(None),
            lost: RefCell::default(),
            is_released: Cell::new(false),
        })
    }

    /// Begins to acquire the lock. Said once.
    pub(super) fn begin(
        self: &Rc<Self>,
        claimant: Claimant,
        on_acquired: Answer<Result<u64, Error>>,
    ) {
        let waiting = Rc::new(Waiting {
            on_acquired: Cell::new(Some(on_acquired)),
            on_lost: RefCell::default(),
            on_released: Cell::new(None),
        });
        self.waiting.get_or_init(|| Rc::downgrade(&waiting));
        let claim = self.clone();
        let on_event = move |state: &mut State, event| claim.handle(&waiting, state, event);
        let keeper = Keeper::begin(&self.bucket, &self.key, claimant, on_event);
        self.keeper.get_or_init(|| Rc::downgrade(&keeper));
    }

    pub(super) fn fence(&self) -> Option<u64> {
        self.fence.get()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.is_released.get() && self.keeper().is_some_and(|keeper| keeper.is_held())
    }

    /// What keeps the claim, until it is over.
    fn keeper(&self) -> Option<Rc<Keeper>> {
        let keeper = self.keeper.get().and_then(Weak::upgrade);
        keeper.filter(|keeper| !keeper.is_over())
    }

    fn waiting(&self) -> Option<Rc<Waiting>> {
        self.waiting.get().and_then(Weak::upgrade)
    }

    /// Has the loss told, also if it is known already.
    pub(super) fn on_lost(&self, answer: Answer<Lost>) {
        if let Some(lost) = &*self.lost.borrow() {
            return self.bucket.defer(answer, lost.clone());
        }
        if let Some(waiting) = self.waiting().filter(|_| !self.is_released.get()) {
            waiting.on_lost.borrow_mut().push(answer);
        }
    }

    pub(super) fn release(&self, answer: Answer<Result<(), Error>>) {
        let kept = self.keeper().zip(self.waiting()).filter(|_| !self.is_released.get());
        let Some((keeper, waiting)) = kept else {
            return self.bucket.defer(answer, Err(self.not_held()));
        };
        self.is_released.set(true);
        waiting.on_released.set(Some(answer));
        keeper.release();
        drop(waiting.on_lost.take());
    }

    fn not_held(&self) -> Error {
        Error::NotHeld { key: self.key.clone() }
    }

    fn handle(&self, waiting: &Waiting, state: &mut State, event: Event) -> Ran {
        match event {
            Event::Acquired(fence) => {
                self.fence.set(Some(fence));
                waiting.tell_acquired(state, Ok(fence))
            }
            Event::Failed(error) => waiting.tell_acquired(state, Err(error)),
            Event::Lost(lost) => {
                *self.lost.borrow_mut() = Some(lost.clone());
                // each in a turn of its own: a callback may panic, and the next one is to run
                for answer in waiting.on_lost.take() {
                    self.bucket.defer(answer, lost.clone());
                }
                waiting.tell_released(state, Err(self.not_held()))
            }
            Event::Released(released) => {
                if let Some(answer) = waiting.on_acquired.take() {
                    self.bucket.defer(answer, Err(self.not_held()));
                }
                waiting.tell_released(state, released)
            }
            Event::Holder(_) => Ok(()),
        }
    }
}

impl Waiting {
    fn tell_acquired(&self, state: &mut State, acquired: Result<u64, Error>) -> Ran {
        self.on_acquired.take().map_or(Ok(()), |answer| answer(state, acquired))
    }

    fn tell_released(&self, state: &mut State, released: Result<(), Error>) -> Ran {
        self.on_released.take().map_or(Ok(()), |answer| answer(state, released))
    }
}
