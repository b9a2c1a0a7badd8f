//! A candidate, with the type of the user's state erased. It claims the lock anew whenever a claim is over.
//!
//! Invariant: there is one claim at any time until the candidate is stopped, and an event of a claim that
//! is over is not mixed up with the next one's. The callbacks hold handles of the candidate, so it is the
//! claim that holds them: a loop that is dropped takes it along.

use super::options::{ElectionEvent, ElectionOptions};
use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::lock::{Claimant, Event, Keeper};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

type OnEvent = Box<dyn FnMut(&mut State, ElectionEvent) -> Ran>;

pub(super) struct Campaign {
    bucket: Rc<Bucket>,
    pub(super) key: String,
    options: ElectionOptions,
    keeper: RefCell<Weak<Keeper>>,
    waiting: RefCell<Weak<Waiting>>,
    revision: Cell<Option<u64>>,
    /// Who was said to lead last.
    leader: RefCell<Option<Option<String>>>,
    is_stopped: Cell<bool>,
}

/// The callbacks that wait.
struct Waiting {
    on_event: CallbackSlot<OnEvent>,
    on_resigned: RefCell<Vec<Answer<Result<(), Error>>>>,
}

impl Campaign {
    pub(super) fn new(bucket: &Rc<Bucket>, key: &str, options: ElectionOptions) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            key: key.into(),
            options,
            keeper: RefCell::default(),
            waiting: RefCell::default(),
            revision: Cell::new(None),
            leader: RefCell::default(),
            is_stopped: Cell::new(false),
        })
    }

    /// Stands for the election. Said once.
    pub(super) fn begin(self: &Rc<Self>, on_event: OnEvent) {
        let on_event = CallbackSlot::new(on_event);
        let waiting = Rc::new(Waiting { on_event, on_resigned: RefCell::default() });
        *self.waiting.borrow_mut() = Rc::downgrade(&waiting);
        self.stand(waiting, None);
    }

    /// The claim, until it is over.
    fn keeper(&self) -> Option<Rc<Keeper>> {
        self.keeper.borrow().upgrade().filter(|keeper| !keeper.is_over())
    }

    /// The revision with which the candidate was elected, while it leads.
    pub(super) fn revision(&self) -> Option<u64> {
        let is_held = self.keeper().is_some_and(|keeper| keeper.is_held());
        self.revision.get().filter(|_| is_held)
    }

    pub(super) fn leader(&self) -> Option<String> {
        self.leader.borrow().clone().flatten()
    }

    pub(super) fn is_active(&self) -> bool {
        !self.is_stopped.get()
    }

    /// Gives leadership back, and leaves it to others for a while.
    pub(super) fn resign(&self, answer: Answer<Result<(), Error>>) {
        let is_leading = self.is_active() && self.revision().is_some();
        match self.keeper().zip(self.waiting.borrow().upgrade()).filter(|_| is_leading) {
            Some((keeper, waiting)) => {
                self.revision.set(None);
                waiting.on_resigned.borrow_mut().push(answer);
                keeper.release();
            }
            None => self.bucket.defer(answer, Err(self.not_held())),
        }
    }

    /// Ends the candidature, and gives leadership back.
    pub(super) fn stop(&self, answer: Answer<Result<(), Error>>) {
        let was_stopped = self.is_stopped.replace(true);
        self.revision.set(None);
        let waiting = self.waiting.borrow().upgrade();
        match self.keeper().zip(waiting.clone()).filter(|_| !was_stopped) {
            Some((keeper, waiting)) => {
                waiting.on_resigned.borrow_mut().push(answer);
                keeper.release();
            }
            None => self.bucket.defer(answer, Ok(())),
        }
        drop(waiting.and_then(|waiting| waiting.on_event.take()));
    }

    fn not_held(&self) -> Error {
        Error::NotHeld { key: self.key.clone() }
    }

    /// Claims the lock, at once or when others have had the time to.
    fn stand(self: &Rc<Self>, waiting: Rc<Waiting>, stands_back: Option<Duration>) {
        let claimant = Claimant {
            owner: self.options.name.clone(),
            ttl: self.options.ttl,
            is_at_once: false,
            wait: None,
            stands_back,
            always_watches: true,
        };
        let campaign = self.clone();
        let on_event = move |state: &mut State, event| campaign.handle(&waiting, state, event);
        let keeper = Keeper::begin(&self.bucket, &self.key, claimant, on_event);
        *self.keeper.borrow_mut() = Rc::downgrade(&keeper);
    }

    fn handle(self: &Rc<Self>, waiting: &Rc<Waiting>, state: &mut State, event: Event) -> Ran {
        match event {
            Event::Holder(record) => {
                let name = record.map(|record| record.owner);
                if self.leader.replace(Some(name.clone())).as_ref() == Some(&name) {
                    return Ok(());
                }
                self.tell(waiting, state, ElectionEvent::Leader(name))
            }
            Event::Acquired(revision) => {
                self.revision.set(Some(revision));
                self.tell(waiting, state, ElectionEvent::Elected { revision })
            }
            Event::Lost(lost) => {
                self.revision.set(None);
                if self.is_active() {
                    self.stand(waiting.clone(), None);
                }
                self.tell(waiting, state, ElectionEvent::Lost(lost))
            }
            Event::Released(released) => {
                if self.is_active() {
                    self.stand(waiting.clone(), Some(self.options.ttl));
                }
                // each in a turn of its own: a callback may panic, and the next one is to run
                for answer in waiting.on_resigned.take() {
                    self.bucket.defer(answer, released.clone());
                }
                Ok(())
            }
            Event::Failed(error) => {
                self.is_stopped.set(true);
                self.tell(waiting, state, ElectionEvent::Ended(error))
            }
        }
    }

    fn tell(&self, waiting: &Waiting, state: &mut State, event: ElectionEvent) -> Ran {
        waiting.on_event.run_while(|| self.is_active(), |on_event| on_event(state, event))
    }
}
