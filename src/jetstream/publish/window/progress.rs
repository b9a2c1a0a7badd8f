//! Where a window stands: how many messages are without an acknowledgement, and who waits for that to
//! change.

use super::report::WindowReport;
use crate::event_loop::TimerId;
use evnats_protocol::texts::is_same;
use std::rc::Rc;

pub(super) struct Progress {
    pub(super) outstanding: usize,
    pub(super) report: WindowReport,
    /// The subject of the last message, which is likely to be that of the next one.
    subject: Rc<str>,
    /// A message was refused since there was room last.
    pub(super) wants_room: bool,
    /// Whoever is to hear of room or of the end is about to hear of it.
    pub(super) has_notice: bool,
    /// Runs while a refused message waits for room: with the number of answers when it was set.
    pub(super) stall_timer: Option<(TimerId, u64)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            outstanding: 0,
            report: WindowReport::default(),
            subject: "".into(),
            wants_room: false,
            has_notice: false,
            stall_timer: None,
        }
    }

    /// The subject, shared with the last message if it is the same.
    #[inline]
    pub(super) fn share(&mut self, subject: &str) -> Rc<str> {
        if !is_same(self.subject.as_bytes(), subject.as_bytes()) {
            self.subject = subject.into();
        }
        self.subject.clone()
    }

    /// How many messages have had an answer, or none for good.
    pub(super) fn answered(&self) -> u64 {
        let report = &self.report;
        report.stored + report.not_stored + report.unknown
    }
}
