//! A copy that is under way, and who waits for its end.

use super::copy_job::Scope;
use crate::callback::Answer;
use crate::mongo::bridge::Flow;
use crate::mongo::changes::{Beginning, ResumePoint};
use crate::mongo::error::Error;
use bson::Timestamp;

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

impl Copying {
    /// Ends it. The watcher is told nothing.
    pub(super) fn stop(&self) {
        if let Some(flow) = &self.flow {
            flow.stop();
        }
    }
}
