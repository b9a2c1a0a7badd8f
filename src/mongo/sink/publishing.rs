//! Messages go out, many at once, and what comes back is noted.

use super::draft::Draft;
use super::row::{Heard, Next};
use super::running::Sink;
use crate::callback::{Ran, State};
use crate::client::Reply;
use crate::jetstream::{self, BatchError, BatchMessage, PubAck, PublishOptions};
use crate::mongo::changes::StopReason;
use crate::mongo::error::Error;
use evnats_protocol::OutgoingMessage;
use std::rc::Rc;

impl Sink {
    /// Sends what may be sent.
    pub(super) fn send(self: &Rc<Self>) {
        if self.work.borrow().ingesting.is_some() {
            return self.ingest();
        }
        while self.is_flowing() {
            let Some(next) = self.work.borrow_mut().row.next() else { return };
            let work = self.work.borrow();
            match work.row.get(next.number) {
                Some(unit) if unit.is_batch => self.send_batch(next, &unit.drafts),
                Some(unit) => unit.drafts.iter().for_each(|draft| self.send_one(next, draft)),
                None => return,
            }
        }
    }

    fn send_one(self: &Rc<Self>, next: Next, draft: &Draft) {
        let headers = draft.headers_expecting(next.expected);
        let message = OutgoingMessage::new(&draft.subject, draft.payload.clone()).headers(&headers);
        let sink = self.clone();
        let on_reply = move |state: &mut State, _: &_, reply: Reply<'_>| {
            let stored = sink.api.read_stored(reply);
            sink.handle_reply(state, next, stored)
        };
        self.api.port().request(message, self.api.timeout(), on_reply);
    }

    fn send_batch(self: &Rc<Self>, next: Next, drafts: &[Draft]) {
        let message = |(index, draft): (usize, &Draft)| {
            let options = PublishOptions::new().headers(&draft.headers);
            BatchMessage {
                subject: draft.subject.clone(),
                payload: draft.payload.clone(),
                options: match index {
                    0 => options.expect_last_sequence(next.expected),
                    _ => options,
                },
            }
        };
        let messages = drafts.iter().enumerate().map(message).collect();
        let sink = self.clone();
        let answer = move |state: &mut State, stored| sink.handle_reply(state, next, stored);
        self.api.store_batch(messages, Box::new(answer));
    }

    fn handle_reply(
        self: &Rc<Self>,
        state: &mut State,
        next: Next,
        outcome: Result<PubAck, jetstream::Error>,
    ) -> Ran {
        let mut work = self.work.borrow_mut();
        if work.row.round() != next.round {
            return Ok(());
        }
        let (Next { round, number, .. }, row) = (next, &mut work.row);
        let error = match outcome {
            Ok(ack) => {
                let heard = match ack.duplicate {
                    true => row.handle_known(round, number, ack.sequence),
                    false => row.handle_stored(round, number, ack.sequence),
                };
                if heard == Heard::Stored {
                    work.sequence = work.sequence.max(ack.sequence);
                    (work.has_stored, work.stuck) = (true, 0);
                    drop(work);
                    self.send();
                    return Ok(());
                }
                None
            }
            Err(error) => Some(error),
        };
        match error.map(|error| (judge(&error), error)) {
            Some((Verdict::Lasting, error)) => {
                drop(work);
                return self.stop(state, StopReason::Sink(Error::JetStream(error)));
            }
            Some((Verdict::NoBatch { limit }, _)) => {
                work.row.unbatch(number);
                if let Some(limit) = limit {
                    work.batch_limit = limit;
                }
                drop(work);
                self.recover(None);
            }
            Some((Verdict::Unclear, error)) => {
                drop(work);
                self.recover(Some(error));
            }
            None => {
                drop(work);
                self.recover(None);
            }
        }
        Ok(())
    }
}

/// What a refusal, or an answer that is missing, means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// What is stored has to be found out, and the rest sent again.
    Unclear,
    /// The messages cannot be a batch. `limit`: how many may be in one from now on.
    NoBatch { limit: Option<usize> },
    /// Sending it again would not help.
    Lasting,
}

fn judge(error: &jetstream::Error) -> Verdict {
    match error {
        jetstream::Error::Unsupported { .. } | jetstream::Error::StoredAsOrdinary { .. } => {
            Verdict::NoBatch { limit: Some(0) }
        }
        jetstream::Error::Batch(error) => match error {
            BatchError::Disabled(_) => Verdict::NoBatch { limit: Some(0) },
            BatchError::TooLarge { limit, .. } => Verdict::NoBatch {
                limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            },
            // the tail tells whether it is the whole of it that the stream has
            BatchError::DuplicateMessageId(_) | BatchError::HeaderNotAllowed { .. } => {
                Verdict::NoBatch { limit: None }
            }
            BatchError::Refused(error)
                if !error.is_wrong_last_sequence() && !error.is_temporary() =>
            {
                Verdict::Lasting
            }
            _ => Verdict::Unclear,
        },
        error
            if error.is_wrong_last_sequence()
                || error.is_outcome_unknown()
                || error.is_temporary() =>
        {
            Verdict::Unclear
        }
        _ => Verdict::Lasting,
    }
}
