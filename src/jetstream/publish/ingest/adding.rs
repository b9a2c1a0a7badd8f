//! The messages of an ingest on their way out, as far as there is room for them.

use super::batch::Operation;
use super::progress::{First, Progress, Way};
use super::shared::Ingest;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::publish::window::{Done, message};
use bytes::Bytes;
use evnats_protocol::{CommandError, HeaderMap, Payload};
use std::rc::Rc;

impl Ingest {
    /// Checks what the server is known to lack.
    pub(super) fn check(&self, requirement: Requirement) -> Result<(), Error> {
        requirement.check_known(self.progress.borrow().level)
    }

    pub(crate) fn add(
        self: &Rc<Self>,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Payload<'_>,
    ) -> Result<u64, Error> {
        let mut progress = self.progress.borrow_mut();
        let is_finishing = self.is_finishing();
        let result = match &mut progress.way {
            Way::Over => return Err(progress.ended(None)),
            _ if is_finishing => return Err(progress.ended(None)),
            Way::Undecided => Err(full(payload, 0)),
            Way::Window(window) => window.publish(subject, headers, payload, Done::Quiet),
            Way::Fast(batch) if batch.machine.may_send() => {
                return self.add_to_batch(&mut progress, subject, headers, payload);
            }
            Way::Fast(batch) => Err(full(payload, batch.machine.outstanding())),
        };
        progress.wants_room |= result.is_err();
        if result.is_ok() {
            progress.report.published += 1;
        }
        result
    }

    fn add_to_batch(
        self: &Rc<Self>,
        progress: &mut Progress,
        subject: &str,
        headers: Option<&HeaderMap>,
        payload: Payload<'_>,
    ) -> Result<u64, Error> {
        let Way::Fast(batch) = &mut progress.way else { return Err(progress.ended(None)) };
        let is_first = !batch.machine.is_started();
        let first = is_first.then(|| First {
            subject: subject.to_owned(),
            headers: headers.cloned(),
            payload: Bytes::copy_from_slice(&payload),
        });
        let message = message(subject, headers, payload);
        let operation = if is_first { Operation::Start } else { Operation::Append };
        let number = batch.machine.sent() + 1;
        match batch.publish(self.port(), message, number, operation) {
            Ok(()) => {}
            Err(CommandError::BufferFull { payload, .. }) => {
                progress.wants_room = true;
                let outstanding = batch.machine.outstanding();
                return Err(Error::WindowFull { payload, outstanding });
            }
            Err(error) => return Err(error.into()),
        }
        batch.machine.send(self.port().turn_time());
        if is_first {
            progress.first = first;
            progress.home = subject.to_owned();
        }
        if progress.subject != subject {
            subject.clone_into(&mut progress.subject);
        }
        progress.report.published += 1;
        self.tick_later(progress);
        Ok(number)
    }
}

fn full(payload: Payload<'_>, outstanding: usize) -> Error {
    Error::WindowFull { payload: payload.given_back(), outstanding }
}
