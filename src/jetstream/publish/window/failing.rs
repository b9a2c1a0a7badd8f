//! Messages that have failed for good. Why nobody has answered is asked first, of one subject at a
//! time: the messages to it wait for what the API says, and those to others do not.

use super::report::PublishFailure;
use super::shared::{Done, Pending, Window};
use crate::callback::{Ran, State};
use crate::jetstream::error::Error;
use crate::jetstream::publish::diagnosis::Unanswered;
use std::rc::Rc;

impl Window {
    /// Reports a message that is not sent at all.
    pub(super) fn fail_later(self: &Rc<Self>, pending: Pending, error: Error) {
        let window = self.clone();
        self.port().defer(move |state| window.fail(state, pending, error));
    }

    /// Asks why nobody has answered, if that may be the reason, and reports the message.
    pub(super) fn fail(self: &Rc<Self>, state: &mut State, pending: Pending, error: Error) -> Ran {
        if !Unanswered::may_explain(&error) {
            return self.conclude(state, pending, error);
        }
        let mut diagnosing = self.diagnosing.borrow_mut();
        match &mut *diagnosing {
            Some((subject, waiting)) if *subject == pending.subject => {
                waiting.push((pending, error));
                return Ok(());
            }
            Some(_) => {
                drop(diagnosing);
                return self.conclude(state, pending, error);
            }
            None => {}
        }
        let subject = pending.subject.clone();
        *diagnosing = Some((subject.clone(), vec![(pending, error)]));
        drop(diagnosing);
        let window = self.clone();
        self.api().ask_why_unanswered(&subject, move |_, unanswered| {
            let diagnosed = window.diagnosing.borrow_mut().take();
            for (pending, error) in diagnosed.into_iter().flat_map(|(_, waiting)| waiting) {
                let error = unanswered.clone().explain(error, &pending.subject);
                let window = window.clone();
                let port = window.port().clone();
                port.defer(move |state| window.conclude(state, pending, error));
            }
            Ok(())
        });
        Ok(())
    }

    fn conclude(self: &Rc<Self>, state: &mut State, pending: Pending, error: Error) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.report.record_failure(&error);
        progress.outstanding -= 1;
        let is_due = self.is_notice_due(&progress);
        drop(progress);
        if is_due {
            self.notify_soon();
        }
        match pending.done {
            Done::Call(callback) => callback(state, self, Err(error)),
            Done::Quiet => self.report_failure(state, pending.number, &pending.subject, error),
        }
    }

    /// Reports a message without a callback of its own.
    fn report_failure(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        subject: &str,
        error: Error,
    ) -> Ran {
        let failure = PublishFailure { number, subject: subject.to_owned(), error };
        if self.hooks.failed.is_empty() {
            log::warn!("message {number} to {subject:?} has failed: {}", failure.error);
        }
        self.hooks.failed.run(|hook| hook(state, self, &failure))
    }
}
