//! A batch on its way: each message carries in its reply's subject which one it is, and what it is.

use super::machine::Machine;
use crate::client::Port;
use crate::jetstream::joined::JoinedText;
use evnats_protocol::{CommandError, OutgoingMessage, SubscriptionId};

pub(super) struct Batch {
    pub(super) machine: Machine,
    /// The subject of replies up to a message's number.
    pub(super) replies: JoinedText,
    pub(super) subscription: SubscriptionId,
}

/// What a message of a batch is, by its number in the reply's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Start,
    Append,
    CommitEnd,
    Ping,
}

impl Operation {
    fn token(self) -> &'static str {
        match self {
            Self::Start => "0",
            Self::Append => "1",
            Self::CommitEnd => "3",
            Self::Ping => "4",
        }
    }
}

/// Whether a word is about such a message, which the end of its subject tells.
pub(super) fn ends_with(subject: &str, operation: Operation) -> bool {
    subject.rsplit('.').nth(1) == Some(operation.token())
}

impl Batch {
    pub(super) fn publish(
        &self,
        port: &Port,
        message: OutgoingMessage<'_>,
        number: u64,
        operation: Operation,
    ) -> Result<(), CommandError> {
        let mut digits = itoa::Buffer::new();
        let end = [digits.format(number), ".", operation.token(), ".$FI"];
        self.replies.with(&end, |reply| port.publish(message.with_known_reply(reply, b"")))
    }
}
