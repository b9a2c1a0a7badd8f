//! The questions that every service answers: `PING`, `INFO` and `STATS`, to all services, to those of its
//! name, and to itself.

use super::event::ServiceEvent;
use super::records::{Record, ServiceIdentity, ServiceInfo, ServiceStats, encode};
use super::running::{Running, Serving};
use super::serving::guarded;
use crate::callback::State;
use crate::client::Inbox;
use evnats_protocol::{CommandError, EndReason, Message, OutgoingMessage, subject};
use serde_json::Value;
use std::rc::Rc;

/// What the subjects begin with, unless a mapping between accounts has another.
pub(super) const PREFIX: &str = "$SRV";

impl Running {
    pub(super) fn listen_to_control(self: &Rc<Self>) -> Result<(), CommandError> {
        self.listen_to(|running, _| running.identity.clone())?;
        self.listen_to::<ServiceInfo>(|running, _| running.info())?;
        self.listen_to::<ServiceStats>(|running, state| {
            running.stats(|endpoint| running.data_for(state, endpoint))
        })
    }

    /// Answers one kind of question, on the subjects of all services, of its name, and of its id.
    fn listen_to<R: Record + 'static>(
        self: &Rc<Self>,
        answer: fn(&Rc<Self>, &mut State) -> R,
    ) -> Result<(), CommandError> {
        let ServiceIdentity { name, id, .. } = &self.identity;
        let verb = R::VERB;
        for subject in [
            format!("{PREFIX}.{verb}"),
            format!("{PREFIX}.{verb}.{name}"),
            format!("{PREFIX}.{verb}.{name}.{id}"),
        ] {
            let inbox = Inbox::new(&self.port);
            let (running, about) = (self.clone(), subject.clone());
            inbox.listen(&subject, move |state, heard| {
                match heard {
                    Ok(question) => {
                        // whoever wants no answer has no question
                        if let Some(reply) = question.reply_bytes() {
                            running.answer(question, reply, answer(&running, state));
                        }
                    }
                    Err(EndReason::Denied) => {
                        let subject = about.clone();
                        running.telling.tell(ServiceEvent::ControlDenied { subject });
                    }
                    Err(_) => {}
                }
                Ok(())
            })?;
            self.control.borrow_mut().push(inbox);
        }
        Ok(())
    }

    fn answer<R: Record>(&self, question: &Message, reply: &[u8], record: R) {
        let document = match encode(record) {
            Ok(document) => document,
            Err(error) => {
                debug_assert!(false, "a record is not encoded: {error}");
                return log::error!("a record is not encoded: {error}");
            }
        };
        let reply = subject::text(reply).map_err(CommandError::ReplySubject);
        let sent =
            reply.and_then(|reply| self.port.publish(OutgoingMessage::new(reply, &*document)));
        if let Err(error) = sent {
            let subject = question.subject().into_owned();
            self.telling.tell(ServiceEvent::AnswerFailed { subject, error });
        }
    }

    /// What the stats handler has to say about an endpoint.
    fn data_for(self: &Rc<Self>, state: &mut State, serving: &Rc<Serving>) -> Option<Value> {
        let mut data = None;
        let asked = guarded(|| {
            self.on_stats.run(|handler| {
                data = handler(state, self, serving);
                Ok(())
            })
        });
        if let Err(message) = asked {
            let endpoint = serving.info.name.clone();
            self.telling.tell(ServiceEvent::HandlerPanicked { endpoint, message });
        }
        data
    }
}
