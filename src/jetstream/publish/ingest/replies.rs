//! What the server says of a batch, and what has become of its messages by that.

use super::batch::{Operation, ends_with};
use super::flow::{Flow, Word};
use super::progress::Way;
use super::report::{IngestGap, IngestRefusal};
use super::shared::Ingest;
use super::way::FEATURE;
use crate::callback::{Ran, State};
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::envelope::ResponseError;
use crate::jetstream::error::Error;
use crate::jetstream::publish::pub_ack::PubAck;
use evnats_protocol::Message;
use std::rc::Rc;

impl Ingest {
    pub(super) fn receive(self: &Rc<Self>, state: &mut State, message: &Message) -> Ran {
        if message.headers().status().is_some_and(|status| status.code == 503) {
            return self.receive_no_responders(message);
        }
        match Word::read(message.payload()) {
            Word::Flow(flow) => {
                let is_answer = ends_with(&message.subject(), Operation::Ping);
                self.receive_flow(state, flow, is_answer)
            }
            Word::End(outcome) => {
                self.receive_end(outcome);
                Ok(())
            }
        }
    }

    /// Nobody has taken a message. The first one has no stream; a later one will be missed by the
    /// server. Whoever asked will ask again.
    fn receive_no_responders(self: &Rc<Self>, message: &Message) -> Ran {
        let progress = self.progress.borrow();
        let Way::Fast(batch) = &progress.way else { return Ok(()) };
        let subject = message.headers().last("Nats-Subject");
        let subject = subject.map_or_else(|| progress.subject.clone(), |told| told.into_owned());
        if !batch.machine.is_taken() {
            drop(progress);
            self.fail(Error::NoStream { subject });
            return Ok(());
        }
        let is_message = ends_with(&message.subject(), Operation::Append);
        drop(progress);
        if is_message {
            self.progress.borrow_mut().refusal = Some(Error::NoStream { subject });
        }
        Ok(())
    }

    fn receive_flow(self: &Rc<Self>, state: &mut State, flow: Flow, is_answer: bool) -> Ran {
        let mut progress = self.progress.borrow_mut();
        let now = self.port().turn_time();
        let Way::Fast(batch) = &mut progress.way else { return Ok(()) };
        batch.machine.handle(&flow, is_answer, now);
        let acknowledged = batch.machine.acknowledged();
        progress.first = None;
        match flow {
            Flow::Ack { .. } => {
                drop(progress);
                self.notify_soon();
                self.hooks.acknowledged.run(|hook| hook(state, self, &acknowledged))
            }
            Flow::Gap { last_seq: from, seq: to } => {
                let lost = if to > from { to - from } else { 1 };
                progress.report.lost = progress.report.lost.saturating_add(lost);
                drop(progress);
                self.hooks.gap.run(|hook| hook(state, self, &IngestGap { from, to }))
            }
            Flow::Err { seq, error } => {
                drop(progress);
                self.refuse(state, seq, Error::Api(error))
            }
        }
    }

    fn receive_end(self: &Rc<Self>, outcome: Result<PubAck, ResponseError>) {
        let mut progress = self.progress.borrow_mut();
        let (is_undecided, fast_only) = (progress.first.is_some(), self.options.fast_only);
        match outcome {
            Ok(PubAck { stream, sequence, batch_size: None, .. }) if is_undecided && fast_only => {
                drop(progress);
                let stream = stream.to_string();
                self.fail(Error::StoredAsOrdinary { feature: FEATURE, stream, sequence });
            }
            Ok(ack) if ack.batch_size.is_none() && is_undecided => {
                drop(progress);
                self.fall_back(Some(ack));
                self.notify_soon();
            }
            Err(ResponseError::Api(error))
                if error.err_code() == ErrorCode::BATCH_PUBLISH_DISABLED
                    && is_undecided
                    && !fast_only =>
            {
                drop(progress);
                self.fall_back(None);
                self.notify_soon();
            }
            Ok(ack) => {
                let count = ack.batch_size.unwrap_or_default().min(progress.report.published);
                let is_whole = self.is_finishing() && count >= progress.report.published;
                progress.report.last_sequence = ack.sequence;
                progress.report.stream = Some(ack.stream);
                progress.report.stored = match self.options.continue_on_gap {
                    true => count.saturating_sub(progress.report.missing()),
                    // it counts up to the first one that is missing or refused
                    false => count,
                };
                let refusal = progress.refusal.take();
                let outcome = match is_whole {
                    true => Ok(progress.report.clone()),
                    false => Err(progress.ended(refusal)),
                };
                drop(progress);
                self.end(outcome);
            }
            Err(error) => {
                drop(progress);
                self.fail(error.into());
            }
        }
    }

    /// A message is not stored.
    pub(super) fn refuse(self: &Rc<Self>, state: &mut State, number: u64, error: Error) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.report.refused += 1;
        progress.refusal = Some(error.clone());
        let ends = !self.options.continue_on_gap && matches!(progress.way, Way::Window(_));
        drop(progress);
        if ends {
            // a fast ingest is ended by the server
            self.fail(error.clone());
        }
        self.hooks.refused.run(|hook| hook(state, self, &IngestRefusal { number, error }))
    }
}
