//! A copy that is under way, who waits for its end, and the ingest by which it goes.

use super::copy_job::Scope;
use crate::callback::Answer;
use crate::jetstream::Ingest;
use crate::mongo::bridge::Flow;
use crate::mongo::changes::{Beginning, ResumePoint};
use crate::mongo::error::Error;
use bson::Timestamp;
use std::rc::Rc;

/// Is told where the watcher begins.
pub(super) type OnBeginning = Answer<Result<Beginning, Error>>;

pub(super) struct Copying {
    /// Tells it from one before.
    pub(super) number: u64,
    /// Until the driver's thread has it.
    pub(super) flow: Option<Flow>,
    pub(super) scope: Scope,
    /// What the store has.
    pub(super) stored: Option<ResumePoint>,
    /// Until it is known.
    pub(super) time: Option<Timestamp>,
    /// Whether everything is read, and the mark behind it is in the row.
    pub(super) is_read: bool,
    pub(super) answer: OnBeginning,
}

/// An ingest that is under way.
pub(super) struct Ingesting {
    pub(super) ingest: Rc<Ingest>,
    pub(super) place: Place,
    /// With so many bytes under way, it is ended.
    pub(super) max_bytes: usize,
    /// How many messages were added.
    pub(super) added: u64,
    pub(super) is_finishing: bool,
    /// Whether somebody is going to look whether it has stalled.
    pub(super) is_looked_after: bool,
}

/// Where the messages of an ingest are in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) round: u64,
    /// The number of the first one.
    pub(super) first: u64,
}

impl Copying {
    /// Ends it. The watcher is told nothing.
    pub(super) fn stop(&self) {
        if let Some(flow) = &self.flow {
            flow.stop();
        }
    }
}
