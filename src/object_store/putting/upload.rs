//! An object on its way into a bucket, with the type of the user's state erased: what it is made of. What
//! it does is in the files beside it, a step each.
//!
//! A put has one outcome. Until then it is in exactly one [`Phase`], which says who goes on with it: an
//! answer that is waited for, the lane, or the program.

use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::client::{Observed, ObserverId, Port};
use crate::jetstream::{Observer, observe};
use crate::object_store::digest::Hasher;
use crate::object_store::error::Error;
use crate::object_store::info::{ObjectInfo, ObjectMeta};
use crate::object_store::objects::meta::Found;
use crate::object_store::progress::{OnProgress, Progress};
use crate::object_store::putting::chunker::Chunker;
use crate::object_store::putting::kept::Kept;
use crate::object_store::putting::lane::Lane;
use crate::object_store::putting::options::PutOptions;
use crate::object_store::putting::piece::Piece;
use crate::object_store::store::Store;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

pub(super) type OnStored = Answer<Result<ObjectInfo, Error>>;

/// Asks for the next piece, for about so many bytes.
pub(super) type Source = Box<dyn FnMut(&mut State, &Rc<Upload>, usize) -> Piece>;

pub(super) struct Upload {
    pub(super) store: Rc<Store>,
    pub(super) meta: ObjectMeta,
    pub(super) options: PutOptions,
    /// What the chunks are stored under.
    pub(super) nuid: String,
    /// Their subject.
    pub(super) subject: String,
    /// How many bytes the object has, if that is known before.
    pub(super) total: Option<u64>,
    pub(super) source: CallbackSlot<Source>,
    pub(super) on_progress: CallbackSlot<OnProgress<Rc<Upload>>>,
    pub(super) work: RefCell<Work>,
    answer: Cell<Option<OnStored>>,
    /// The client's end was observed.
    has_seen_end: Cell<bool>,
    observer: Cell<Option<ObserverId>>,
}

/// What changes while an object is put.
pub(super) struct Work {
    pub(super) phase: Phase,
    pub(super) chunk_size: usize,
    /// Whether chunks may go by fast ingest.
    pub(super) is_fast: bool,
    pub(super) hasher: Hasher,
    pub(super) chunker: Chunker,
    /// Bytes and chunks that the source has given.
    pub(super) size: u64,
    pub(super) chunks: u64,
    pub(super) kept: Kept,
    pub(super) lane: Option<Lane>,
    /// Lanes are numbered: what comes of one that was left is not of interest.
    pub(super) lane_number: u64,
    /// The source has nothing at the moment.
    pub(super) is_source_empty: bool,
    pub(super) has_source_ended: bool,
    /// Chunks were sent, so there may be some in the stream.
    pub(super) has_sent: bool,
    /// A lane was left, so what is in the stream is counted before the object is stored.
    pub(super) has_recovered: bool,
    /// What was found under the name before.
    pub(super) found: Found,
    /// When an outage is given up.
    pub(super) deadline: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The bucket and the name are looked at.
    Starting,
    /// Chunks go, as the lane has room and the source gives them.
    Sending,
    /// A lane has failed: what of it is in the stream is found out.
    Recovering,
    /// All chunks are stored.
    Finishing,
    /// It has failed, and its chunks are removed.
    Failing,
    Over,
}

impl Upload {
    pub(super) fn new(
        store: &Rc<Store>,
        meta: ObjectMeta,
        options: PutOptions,
        total: Option<u64>,
        source: Source,
        answer: OnStored,
    ) -> Rc<Self> {
        let nuid = store.api.port().new_nuid();
        let upload = Rc::new(Self {
            store: store.clone(),
            meta,
            options,
            subject: store.chunk_subject(&nuid),
            nuid,
            total,
            source: CallbackSlot::new(source),
            on_progress: CallbackSlot::default(),
            work: RefCell::new(Work {
                phase: Phase::Starting,
                chunk_size: 0,
                is_fast: false,
                hasher: Hasher::default(),
                chunker: Chunker::default(),
                size: 0,
                chunks: 0,
                kept: Kept::default(),
                lane: None,
                lane_number: 0,
                is_source_empty: false,
                has_source_ended: false,
                has_sent: false,
                has_recovered: false,
                found: Found::default(),
                deadline: None,
            }),
            answer: Cell::new(Some(answer)),
            has_seen_end: Cell::default(),
            observer: Cell::default(),
        });
        upload.observer.set(Some(observe(upload.port(), &upload)));
        upload
    }

    pub(super) fn port(&self) -> &Port {
        self.store.api.port()
    }

    pub(super) fn phase(&self) -> Phase {
        self.work.borrow().phase
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.work.borrow_mut().phase = phase;
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.work.borrow().kept.stored_bytes(), total: self.total }
    }

    /// Tells how far it has come, if somebody wants to know.
    pub(super) fn tell_progress(self: &Rc<Self>, state: &mut State) -> Ran {
        let progress = self.progress();
        self.on_progress.run(|hook| hook(state, self, progress))
    }

    /// Leaves the lane, if there is one.
    pub(super) fn leave_lane(&self) -> Option<Lane> {
        let mut work = self.work.borrow_mut();
        work.lane_number += 1;
        let lane = work.lane.take();
        drop(work);
        if let Some(lane) = &lane {
            lane.leave();
        }
        lane
    }

    /// Tells the outcome, which is the only one.
    pub(super) fn end(&self, state: &mut State, outcome: Result<ObjectInfo, Error>) -> Ran {
        let answer = self.answer.take();
        self.release();
        match answer {
            Some(answer) => answer(state, outcome),
            None => Ok(()),
        }
    }
}

impl Observer for Upload {
    fn observe(self: Rc<Self>, observed: Observed) {
        if observed != Observed::Ended {
            return;
        }
        self.has_seen_end.set(true);
        // whatever waits for an answer has one then
        if !matches!(self.phase(), Phase::Starting | Phase::Finishing) {
            self.fail_later(Error::closed());
        }
    }

    fn has_ended(&self) -> bool {
        self.has_seen_end.get()
    }

    fn release(&self) {
        self.enter(Phase::Over);
        let lane = self.leave_lane();
        let callbacks = (self.source.take(), self.on_progress.take(), self.answer.take());
        self.work.borrow_mut().kept.clear();
        // they may hold what has more to be dropped
        drop((lane, callbacks));
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(observer) = self.observer.take() {
            self.port().stop_observing(observer);
        }
    }
}
