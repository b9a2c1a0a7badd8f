//! What the server says on the subject of a push consumer beside its messages.

use evnats_protocol::Message;
use std::borrow::Cow;

/// A message without payload on the subject of a push consumer.
#[derive(Debug, Default)]
pub(super) struct PushStatus<'a> {
    code: u16,
    description: &'a [u8],
    /// How many messages the consumer has delivered, by its heartbeat.
    pub(super) last_consumer_sequence: Option<u64>,
    /// Flow control: the server goes on when this subject has got an answer.
    reply: Option<&'a [u8]>,
    /// The same, by a heartbeat: the request for the answer was lost.
    stalled: Option<Cow<'a, str>>,
}

impl<'a> PushStatus<'a> {
    pub(super) fn new(message: &'a Message) -> Self {
        let headers = message.headers();
        let status = headers.status();
        Self {
            code: status.map_or(0, |status| status.code),
            description: status.map_or(&[], |status| status.description),
            last_consumer_sequence: headers.last_number("Nats-Last-Consumer"),
            reply: message.reply_bytes(),
            stalled: headers.last("Nats-Consumer-Stalled"),
        }
    }

    pub(super) fn is_consumer_deleted(&self) -> bool {
        self.code == 409 && self.description.eq_ignore_ascii_case(b"consumer deleted")
    }

    /// The subjects on which the server waits for an answer.
    pub(super) fn wants_replies(&self) -> impl Iterator<Item = &[u8]> {
        let is_heard = self.code == 100;
        let stalled = self.stalled.as_ref().map(|subject| subject.as_bytes());
        [self.reply, stalled].into_iter().flatten().filter(move |_| is_heard)
    }
}
