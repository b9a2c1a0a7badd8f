//! Where an ingest stands, and which way its messages go.

use super::batch::Batch;
use super::report::IngestReport;
use crate::event_loop::TimerId;
use crate::jetstream::error::Error;
use crate::jetstream::publish::window::Window;
use bytes::Bytes;
use evnats_protocol::HeaderMap;
use std::rc::Rc;

pub(super) struct Progress {
    pub(super) way: Way,
    /// The API level of the server, once it has told.
    pub(super) level: Option<u32>,
    pub(super) report: IngestReport,
    /// The subject of the first message: the stream has it, so the server is asked under it.
    pub(super) home: String,
    /// The subject of the last message.
    pub(super) subject: String,
    /// The first message, until the server has taken it.
    pub(super) first: Option<First>,
    /// Why the last message was refused.
    pub(super) refusal: Option<Error>,
    /// A message was refused for want of room.
    pub(super) wants_room: bool,
    pub(super) has_notice: bool,
    pub(super) timer: Option<TimerId>,
}

/// The way that the messages go.
pub(super) enum Way {
    /// The server is being asked what it can do.
    Undecided,
    Fast(Batch),
    Window(Rc<Window>),
    /// Nowhere any more.
    Over,
}

pub(super) struct First {
    pub(super) subject: String,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            way: Way::Undecided,
            level: None,
            report: IngestReport::default(),
            home: String::new(),
            subject: String::new(),
            first: None,
            refusal: None,
            wants_room: false,
            has_notice: false,
            timer: None,
        }
    }

    pub(super) fn report(&self) -> IngestReport {
        let mut report = self.report.clone();
        let stored = match &self.way {
            Way::Fast(batch) => batch.machine.acknowledged().saturating_sub(report.missing()),
            Way::Window(window) => window.report().stored,
            Way::Undecided | Way::Over => 0,
        };
        report.stored = report.stored.max(stored);
        report
    }

    /// The error of an ingest that is over.
    pub(super) fn ended(&self, cause: Option<Error>) -> Error {
        let IngestReport { published, stored, .. } = self.report();
        Error::IngestEnded { published, stored, cause: cause.map(Box::new) }
    }
}
