//! An object on its way out of a bucket, with the type of the user's state erased: what it is made of.
//! What it does is in the files beside it, a step each.
//!
//! Chunks come from a consumer, which may be on a replica that lags behind, or that still shows what was
//! removed. So a chunk is taken from it only if what the replica says is behind it are the chunks that are
//! still to come; otherwise the leader is asked, for it and for all behind it.

use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::client::Port;
use crate::event_loop::TimerId;
use crate::jetstream::WeakReader;
use crate::object_store::digest::Hasher;
use crate::object_store::error::Error;
use crate::object_store::getting::options::GetOptions;
use crate::object_store::getting::range::Place;
use crate::object_store::info::ObjectInfo;
use crate::object_store::progress::{OnProgress, Progress};
use crate::object_store::store::Store;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

/// What a get has brought, when the bytes have been handed over.
pub(super) struct Brought {
    pub(super) info: ObjectInfo,
    pub(super) range: Range<u64>,
    pub(super) is_verified: bool,
}

pub(super) type OnEnd = Answer<Result<Brought, Error>>;

/// What is given the bytes, in their order.
pub(super) type OnData = Box<dyn FnMut(&mut State, &Rc<Download>, &[u8]) -> Result<Ran, Error>>;

pub(super) struct Download {
    pub(super) asked: Rc<Store>,
    pub(super) name: String,
    pub(super) options: GetOptions,
    pub(super) on_data: CallbackSlot<OnData>,
    pub(super) on_progress: CallbackSlot<OnProgress<Rc<Download>>>,
    pub(super) work: RefCell<Option<Work>>,
    /// When something was heard last.
    pub(super) heard: Cell<Instant>,
    pub(super) timer: Cell<Option<TimerId>>,
    is_aborted: Cell<bool>,
    answer: Cell<Option<OnEnd>>,
}

/// What is known once the object was found.
pub(super) struct Work {
    /// The bucket that it is in, which may not be the one that was asked.
    pub(super) store: Rc<Store>,
    pub(super) info: Rc<ObjectInfo>,
    pub(super) wanted: Range<u64>,
    /// The next chunk.
    pub(super) next: Place,
    /// The sequence that the next chunk is behind.
    pub(super) last_sequence: u64,
    /// The next chunk is not the first one, and is taken to begin behind that sequence.
    pub(super) is_located: bool,
    /// Over everything that has come, if that is the whole object.
    pub(super) hasher: Option<Hasher>,
    pub(super) done: u64,
    /// It holds this, and is held by the client.
    pub(super) reader: Option<WeakReader>,
    /// Readers are numbered: what one that was left delivers is not of interest.
    pub(super) reader_number: u64,
}

impl Download {
    pub(super) fn new(
        asked: &Rc<Store>,
        name: &str,
        options: GetOptions,
        on_data: OnData,
        answer: OnEnd,
    ) -> Rc<Self> {
        Rc::new(Self {
            asked: asked.clone(),
            name: name.to_owned(),
            options,
            on_data: CallbackSlot::new(on_data),
            on_progress: CallbackSlot::default(),
            work: RefCell::default(),
            heard: Cell::new(asked.api.port().now()),
            timer: Cell::default(),
            is_aborted: Cell::default(),
            answer: Cell::new(Some(answer)),
        })
    }

    pub(super) fn port(&self) -> &Port {
        self.asked.api.port()
    }

    /// The bucket that the object is in, as far as it is known.
    pub(super) fn store(&self) -> Rc<Store> {
        self.work.borrow().as_ref().map_or_else(|| self.asked.clone(), |work| work.store.clone())
    }

    /// Whether it goes on: it has no outcome, and was not aborted.
    pub(super) fn is_active(&self) -> bool {
        let answer = self.answer.take();
        let has_outcome = answer.is_none();
        self.answer.set(answer);
        !has_outcome && !self.is_aborted.get()
    }

    /// Nothing is handed over from now on, and the outcome comes in a turn of its own.
    pub(super) fn abort(self: &Rc<Self>) {
        if self.is_active() {
            self.is_aborted.set(true);
            self.leave_reader();
            self.end_later(Error::Aborted);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let work = self.work.borrow();
        match &*work {
            Some(work) => {
                Progress { done: work.done, total: Some(work.wanted.end - work.wanted.start) }
            }
            None => Progress { done: 0, total: None },
        }
    }

    /// Leaves the reader, if there is one.
    pub(super) fn leave_reader(&self) {
        let reader = match &mut *self.work.borrow_mut() {
            Some(work) => {
                work.reader_number += 1;
                work.reader.take()
            }
            None => None,
        };
        if let Some(reader) = reader.and_then(|reader| reader.upgrade()) {
            reader.stop();
        }
    }

    /// Tells the outcome, which is the only one.
    pub(super) fn end(&self, state: &mut State, outcome: Result<Brought, Error>) -> Ran {
        let answer = self.answer.take();
        self.stop();
        match answer {
            Some(answer) => answer(state, outcome),
            None => Ok(()),
        }
    }

    /// Nothing is handed over any more, and no outcome comes if there was none yet.
    pub(super) fn stop(&self) {
        self.leave_reader();
        if let Some(timer) = self.timer.take() {
            self.port().cancel_timer(timer);
        }
        // they may hold what has more to be dropped
        drop((self.answer.take(), self.on_data.take(), self.on_progress.take()));
    }

    pub(super) fn end_later(self: &Rc<Self>, error: Error) {
        let download = self.clone();
        self.port().defer(move |state| download.end(state, Err(error)));
    }

    pub(super) fn damaged(&self, reason: String) -> Error {
        Error::Damaged { name: self.name.clone(), reason }
    }
}
