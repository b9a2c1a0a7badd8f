//! What awaits the answer to a read of the last messages on a few subjects, and what gathers any answer.

use super::stored_message::{StoredMessage, StoredParts};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::error::Error;
use evnats_protocol::texts::is_same;

/// The most subjects that are asked for at a time.
const MAX_MESSAGES: usize = 2;

/// What awaits an answer, which comes in pieces: an operation, perhaps in a
/// [box that is used again](crate::client::Spares).
pub(crate) trait AwaitingLast {
    /// The end of the subject that is asked for, if it is the only one.
    fn only_end(&self) -> Option<&str>;

    /// Takes the next message, if there may be one more.
    fn keep(&mut self, parts: StoredParts<'_>) -> Result<(), Unasked>;

    /// The answer has come to its end, which says up to which sequence the replica has read. `None`: it had
    /// nothing on any of the subjects, and does not say then.
    fn hear(self: Box<Self>, state: &mut State, up_to: Option<u64>) -> Ran;

    /// There is no answer.
    fn fail(self: Box<Self>, state: &mut State, error: Error) -> Ran;
}

/// A message more than was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unasked;

impl Unasked {
    pub(super) fn error(self) -> Error {
        Error::Malformed("a message that was not asked for".into())
    }
}

/// What a replica has answered.
#[derive(Debug, Default)]
pub(crate) struct LastMessages {
    /// The last messages on those of the subjects that have any, in the order of the stream. Their subjects
    /// are the ends of those.
    messages: [Option<StoredMessage>; MAX_MESSAGES],
    /// The last sequence that the replica had. `None`: it had nothing on any of the subjects, and does
    /// not say then.
    pub(crate) up_to: Option<u64>,
}

impl LastMessages {
    /// An answer to the question for one message.
    pub(crate) fn of_one(message: Option<StoredMessage>, up_to: Option<u64>) -> Self {
        Self { messages: [message, None], up_to }
    }

    /// Takes the message on the subject that ends so.
    pub(crate) fn take_message(&mut self, end: &str) -> Option<StoredMessage> {
        let is_it = |message: &mut StoredMessage| is_same(message.subject_bytes(), end.as_bytes());
        self.messages.iter_mut().find_map(|message| message.take_if(is_it))
    }

    /// How far the replica has read at least.
    pub(crate) fn newest(&self) -> u64 {
        let sequences = self.messages.iter().flatten().map(StoredMessage::sequence);
        sequences.max().max(self.up_to).unwrap_or_default()
    }

    fn keep(&mut self, parts: StoredParts<'_>) -> Result<(), Unasked> {
        let place = self.messages.iter_mut().find(|place| place.is_none()).ok_or(Unasked)?;
        *place = Some(StoredMessage::copy_of(parts));
        Ok(())
    }
}

/// Gathers an answer for a callback.
pub(crate) struct Gathering {
    found: LastMessages,
    answer: Answer<Result<LastMessages, Error>>,
}

impl Gathering {
    pub(crate) fn new(answer: Answer<Result<LastMessages, Error>>) -> Box<Self> {
        Box::new(Self { found: LastMessages::default(), answer })
    }
}

impl AwaitingLast for Gathering {
    fn only_end(&self) -> Option<&str> {
        None
    }

    fn keep(&mut self, parts: StoredParts<'_>) -> Result<(), Unasked> {
        self.found.keep(parts)
    }

    fn hear(self: Box<Self>, state: &mut State, up_to: Option<u64>) -> Ran {
        let Self { mut found, answer } = *self;
        found.up_to = up_to;
        answer(state, Ok(found))
    }

    fn fail(self: Box<Self>, state: &mut State, error: Error) -> Ran {
        (self.answer)(state, Err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_messages_than_can_be_asked_for_are_refused() {
        let mut answer = LastMessages::default();
        let parts = StoredParts { sequence: 7, subject: b"k", ..StoredParts::default() };
        assert_eq!(answer.keep(parts), Ok(()));
        assert_eq!(answer.keep(StoredParts { sequence: 9, ..parts }), Ok(()));
        assert_eq!(answer.keep(parts), Err(Unasked));
        assert_eq!(answer.newest(), 9);
    }

    #[test]
    fn messages_are_taken_by_the_ends_of_their_subjects() {
        let message = |subject: &'static [u8]| {
            StoredMessage::copy_of(StoredParts { sequence: 7, subject, ..StoredParts::default() })
        };
        let mut answer = LastMessages::of_one(Some(message(b"k")), Some(8));
        assert_eq!(answer.newest(), 8);
        assert_eq!(answer.take_message("key"), None);
        assert_eq!(answer.take_message("k"), Some(message(b"k")));
        assert_eq!(answer.take_message("k"), None);
    }
}
