//! A sink at work, with the type of the user's state erased: what it has, and what it knows.

use super::options::Options;
use super::row::Row;
use super::transaction::Holder;
use super::under_way::{Copying, Ingesting};
use crate::callback::{Ran, State};
use crate::jetstream::Api;
use crate::mongo::changes::{StopReason, Watch};
use std::cell::RefCell;
use std::rc::{Rc, Weak};

pub(super) struct Sink {
    pub(super) api: Api,
    pub(super) options: Options,
    /// Tells the messages of this instance from those of others.
    pub(super) writer: String,
    pub(super) work: RefCell<Work>,
}

#[derive(Default)]
pub(super) struct Work {
    pub(super) mode: Mode,
    pub(super) watch: Weak<Watch>,
    pub(super) row: Row,
    pub(super) holder: Holder,
    /// The initial copy, until it is stored.
    pub(super) copying: Option<Copying>,
    /// The way that its messages go, where the stream takes them by fast ingest.
    pub(super) ingesting: Option<Ingesting>,
    /// How many copies were begun.
    pub(super) copies: u64,
    /// The token of the last change that was put into the row.
    pub(super) taken: Option<String>,
    /// Up to here the stream is known to be.
    pub(super) sequence: u64,
    /// Whether a message of this instance is in the stream since it has begun: until then it goes on behind
    /// those of others.
    pub(super) has_stored: bool,
    /// How often the tail was to be read for want of an acknowledgement …
    pub(super) recoveries: u64,
    /// … and how many messages were stored by fast ingest.
    pub(super) ingested: u64,
    /// How often in a row the tail was read without anything being stored in between.
    pub(super) stuck: u32,
    /// How often in a row the tail could not be read.
    pub(super) failures: u32,
    /// How many messages may be in a batch. 0: the stream takes none.
    pub(super) batch_limit: usize,
    /// Whether the stream takes messages by fast ingest, each at the sequence that it expects.
    pub(super) takes_ingests: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// Where the stream is has still to be read.
    #[default]
    Starting,
    /// Messages go out.
    Flowing,
    /// What is stored has to be found out.
    Recovering,
    /// Over.
    Stopped,
}

impl Sink {
    pub(super) fn new(api: &Api, options: Options) -> Self {
        let (api, writer) = (api.clone(), api.port().new_nuid());
        Self { api, options, writer, work: RefCell::default() }
    }

    pub(super) fn is_flowing(&self) -> bool {
        self.work.borrow().mode == Mode::Flowing
    }

    pub(super) fn watch(&self) -> Option<Rc<Watch>> {
        self.work.borrow().watch.upgrade()
    }

    /// Ends the watcher: nothing more is published.
    pub(super) fn stop(&self, state: &mut State, reason: StopReason) -> Ran {
        self.work.borrow_mut().mode = Mode::Stopped;
        match self.watch() {
            Some(watch) => watch.stop(state, reason),
            None => Ok(()),
        }
    }
}
