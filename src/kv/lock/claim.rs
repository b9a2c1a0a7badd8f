//! A lock with the type of the user's state erased: its keeper, and the callbacks that wait for it.
//!
//! Each of them runs once: that it was acquired or not, that it was lost, that it was released.

use super::keeper::{Claimant, Keeper};
use super::lost::Lost;
use super::machine::Event;
use crate::callback::{Answer, Ran, State};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

pub(super) struct Claim {
    bucket: Rc<Bucket>,
    pub(super) key: String,
    keeper: OnceCell<Rc<Keeper>>,
    fence: Cell<Option<u64>>,
    lost: RefCell<Option<Lost>>,
    on_acquired: Cell<Option<Answer<Result<u64, Error>>>>,
    on_lost: RefCell<Vec<Answer<Lost>>>,
    on_released: Cell<Option<Answer<Result<(), Error>>>>,
    /// It was given back.
    is_released: Cell<bool>,
}

impl Claim {
    pub(super) fn new(bucket: &Rc<Bucket>, key: &str) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            key: key.into(),
            keeper: OnceCell::new(),
            fence: Cell::new(None),
            lost: RefCell::default(),
            on_acquired: Cell::new(None),
            on_lost: RefCell::default(),
            on_released: Cell::new(None),
            is_released: Cell::new(false),
        })
    }

    /// Begins to acquire the lock. Said once.
    pub(super) fn begin(
        self: &Rc<Self>,
        claimant: Claimant,
        on_acquired: Answer<Result<u64, Error>>,
    ) {
        self.on_acquired.set(Some(on_acquired));
        let claim = self.clone();
        let on_event = move |state: &mut State, event| claim.handle(state, event);
        self.keeper.get_or_init(|| Keeper::begin(&self.bucket, &self.key, claimant, on_event));
    }

    pub(super) fn fence(&self) -> Option<u64> {
        self.fence.get()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.is_released.get() && self.keeper.get().is_some_and(|keeper| keeper.is_held())
    }

    /// Has the loss told, also if it is known already.
    pub(super) fn on_lost(&self, answer: Answer<Lost>) {
        match &*self.lost.borrow() {
            Some(lost) => self.bucket.defer(answer, lost.clone()),
            None => self.on_lost.borrow_mut().push(answer),
        }
    }

    pub(super) fn release(&self, answer: Answer<Result<(), Error>>) {
        let is_over = self.keeper.get().is_none_or(|keeper| keeper.is_over());
        if is_over || self.is_released.replace(true) {
            return self.bucket.defer(answer, Err(self.not_held()));
        }
        self.on_lost.take();
        self.on_released.set(Some(answer));
        if let Some(keeper) = self.keeper.get() {
            keeper.release();
        }
    }

    fn not_held(&self) -> Error {
        Error::NotHeld { key: self.key.clone() }
    }

    fn handle(&self, state: &mut State, event: Event) -> Ran {
        match event {
            Event::Acquired(fence) => {
                self.fence.set(Some(fence));
                self.tell_acquired(state, Ok(fence))
            }
            Event::Failed(error) => self.tell_acquired(state, Err(error)),
            Event::Lost(lost) => {
                *self.lost.borrow_mut() = Some(lost.clone());
                // each in a turn of its own: a callback may panic, and the next one is to run
                for answer in self.on_lost.take() {
                    self.bucket.defer(answer, lost.clone());
                }
                self.tell_released(state, Err(self.not_held()))
            }
            Event::Released(released) => {
                if let Some(answer) = self.on_acquired.take() {
                    self.bucket.defer(answer, Err(self.not_held()));
                }
                self.tell_released(state, released)
            }
            Event::Holder(_) => Ok(()),
        }
    }

    fn tell_acquired(&self, state: &mut State, acquired: Result<u64, Error>) -> Ran {
        self.on_acquired.take().map_or(Ok(()), |answer| answer(state, acquired))
    }

    fn tell_released(&self, state: &mut State, released: Result<(), Error>) -> Ran {
        self.on_released.take().map_or(Ok(()), |answer| answer(state, released))
    }
}
