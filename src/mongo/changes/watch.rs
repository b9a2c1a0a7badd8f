//! A watcher, with the type of the user's state erased: what it has, and what it knows.

use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::error::Error;
use crate::event_loop::TimerId;
use crate::mongo::bridge::{Bridge, Flow};
use crate::mongo::changes::delivery::Delivery;
use crate::mongo::changes::destination::{Beginning, News};
use crate::mongo::changes::in_flight::InFlight;
use crate::mongo::changes::lease::Lease;
use crate::mongo::changes::lost::Lost;
use crate::mongo::changes::metrics::{Tally, WatchMetrics};
use crate::mongo::changes::options::{ChangeStream, Start};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::sequence::Sequence;
use crate::mongo::changes::sink_metrics::SinkMetrics;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::store::Store;
use crate::mongo::error::Error as MongoError;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// A dispatch function. It gives the delivery back when it is done with it at once.
pub(super) type Step =
    Box<dyn FnMut(&mut State, &Rc<Watch>, Delivery) -> Result<Option<Delivery>, Box<Error>>>;

pub(super) type OnState = Box<dyn FnMut(&mut State, &Rc<Watch>, WatchState) -> Ran>;

pub(super) type OnHistoryLost = Box<dyn FnMut(&mut State, &Rc<Watch>, Lost) -> Ran>;

/// The place that changes go to, if it has a position of its own, which counts beside that of the store.
pub(in crate::mongo) trait Destination {
    /// Says where to begin. `stored`: what the store has.
    fn begin(
        self: Rc<Self>,
        watch: &Rc<Watch>,
        stored: Option<&ResumePoint>,
        answer: Answer<Result<Beginning, MongoError>>,
    );

    fn handle(self: Rc<Self>, news: News);

    /// What it has counted.
    fn metrics(&self) -> SinkMetrics;
}

pub(in crate::mongo) struct Watch {
    pub(in crate::mongo) bridge: Rc<Bridge>,
    pub(in crate::mongo) stream: ChangeStream,
    pub(super) store: Option<Box<dyn Store>>,
    pub(super) destination: Option<Rc<dyn Destination>>,
    pub(super) chain: Vec<CallbackSlot<Step>>,
    pub(super) on_state: CallbackSlot<OnState>,
    pub(super) on_history_lost: CallbackSlot<OnHistoryLost>,
    /// Until it is given back.
    pub(super) lease: RefCell<Option<Lease>>,
    pub(super) work: RefCell<Work>,
}

#[derive(Default)]
pub(super) struct Work {
    pub(super) phase: Phase,
    /// Whether the store has told what position it has.
    pub(super) is_loaded: bool,
    /// How often a stream was opened: what comes late of one before is told by it.
    pub(super) opening: u64,
    pub(super) flow: Option<Flow>,
    /// How often the lead was lost: what comes late of a time before is told by it.
    pub(super) term: u64,
    /// Where the stream begins, until it has a position.
    pub(super) beginning: Option<Start>,
    /// Everything up to here is done.
    pub(super) position: Option<ResumePoint>,
    pub(super) in_flight: InFlight,
    /// What waits to be given out, if that is done one after the other.
    pub(super) sequence: Sequence,
    /// Whether the last change that was given out was an invalidate.
    pub(super) is_invalidated: bool,
    /// Answers of dispatch functions that came later, and wait for a turn.
    pub(super) answered: VecDeque<Delivery>,
    pub(super) saving: Saving,
    /// Failures in a row, without a change between them.
    pub(super) failures: u32,
    /// Failures of the dispatch in a row, without a change that was done between them.
    pub(super) dispatch_failures: u32,
    /// How often in a row the position was lost.
    pub(super) resets: u32,
    /// When it is tried again.
    pub(super) timer: Option<TimerId>,
    pub(super) tally: Tally,
    pub(super) stopping: Option<StopReason>,
    /// Whether the lead is being given back.
    pub(super) is_resigning: bool,
    pub(super) on_stop: Option<Answer<StopReason>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Another instance leads.
    Standby,
    /// The position is read.
    #[default]
    Loading,
    /// The stream is being opened.
    Opening,
    /// The stream is open.
    Live,
    /// The stream is over, and changes are still under way.
    Draining,
    /// The stream is over, and a pause is made.
    Pausing,
    /// The stream is over, and the program reads its data anew.
    Resnapshotting,
    /// The watcher is to stop.
    Stopping,
    Stopped,
}

/// What is to be saved, and how far that has come. At most one save is under way.
#[derive(Default)]
pub(super) struct Saving {
    pub(super) revision: Option<u64>,
    pub(super) unsaved: Option<ResumePoint>,
    /// So many changes since the last save.
    pub(super) changes: u64,
    pub(super) is_under_way: bool,
    pub(super) timer: Option<TimerId>,
}

impl Work {
    /// Whether everything that came is done.
    pub(super) fn is_drained(&self) -> bool {
        self.in_flight.is_empty() && self.sequence.is_empty()
    }
}

impl Watch {
    pub(super) fn phase(&self) -> Phase {
        self.work.borrow().phase
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.work.borrow_mut().phase = phase;
    }

    pub(in crate::mongo) fn is_ending(&self) -> bool {
        matches!(self.phase(), Phase::Stopping | Phase::Stopped)
    }

    /// Tells the place that changes go to.
    pub(super) fn inform(&self, news: News) {
        if let Some(destination) = &self.destination {
            destination.clone().handle(news);
        }
    }

    /// Gives the credit of a change back, when it is done, or when somebody else bounds it until then …
    pub(in crate::mongo) fn release(&self, bytes: usize) {
        if let Some(flow) = &self.work.borrow().flow {
            flow.release(bytes);
        }
    }

    /// … from whom it is taken back, though there may be none.
    pub(in crate::mongo) fn take_credit(&self, bytes: usize) {
        if let Some(flow) = &self.work.borrow().flow {
            flow.take(bytes);
        }
    }

    pub(in crate::mongo) fn tell(self: &Rc<Self>, state: &mut State, news: WatchState) -> Ran {
        self.on_state.run(|on_state| on_state(state, self, news))
    }

    pub(super) fn metrics(&self) -> WatchMetrics {
        let now = bson::DateTime::from_system_time(self.bridge.event_loop().system_time());
        let work = self.work.borrow();
        let (given, bytes) = work.in_flight.size();
        let at_hand = (given + work.sequence.len(), bytes + work.sequence.bytes());
        let sink = self.destination.as_ref().map(|destination| destination.metrics());
        WatchMetrics { sink, ..work.tally.metrics(now, at_hand) }
    }
}
