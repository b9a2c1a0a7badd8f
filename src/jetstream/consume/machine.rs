//! What the driver needs of a way to read a consumer: a machine without socket and clock, which is told
//! of everything that happens, and says what is to be done.

use super::outcome::ConsumeEvent;
use super::pull::request::PullRequest;
use super::settling::Settled;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo, StreamInfo};
use evnats_protocol::Message;
use std::rc::Rc;
use std::time::Instant;

/// Tells the key of a message. It is the program's.
pub(super) type KeyOf = Rc<dyn Fn(&Message) -> Vec<u8>>;

/// Something that the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<E> {
    /// Send the request to the consumer, with a reply subject that ends in its number.
    Pull { number: u64, request: PullRequest },
    /// Send an empty message to this subject.
    Reply { subject: Vec<u8> },
    /// Listen on this subject.
    Listen { subject: String, queue_group: Option<String> },
    /// Listen no longer, and tell when everything has come.
    StopListening,
    /// Ask for the consumer's information, and tell it exactly once.
    AskConsumer,
    /// Ask for the stream's information, and tell it exactly once.
    AskStream,
    /// Create the consumer, tell what came of it exactly once, and send what follows to this consumer.
    Create { incarnation: u64, config: Box<ConsumerConfig> },
    /// Delete the consumer that was made in this incarnation, and tell what came of it exactly once.
    Delete { incarnation: u64, name: String },
    /// Have the program take a message that the machine has kept, after those that it has not taken.
    HandOver(Message),
    /// Have the server deliver a message to somebody else.
    HandBack(Message),
    /// Tell the server that a message is being worked on.
    Prolong(Message),
    /// Tell the program.
    Tell(ConsumeEvent),
    /// The end. Nothing is told after it. Messages that the program has not taken are still for it.
    End(E),
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is for the program.
    Deliver,
    /// It has come too late: it is for somebody else to have.
    HandBack,
    /// It is of no use to anybody.
    Skip,
    /// The machine has it, until it is to be handed over.
    Kept,
}

/// The answer to something that the machine has asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told<'a> {
    /// To [`Action::AskConsumer`].
    Consumer(Result<&'a ConsumerInfo, &'a Error>),
    /// To [`Action::AskStream`].
    Stream(Result<&'a StreamInfo, &'a Error>),
    /// To [`Action::Create`].
    Created { incarnation: u64, made: Result<&'a ConsumerInfo, &'a Error> },
    /// To [`Action::Delete`].
    Deleted { incarnation: u64, deleted: Result<(), &'a Error> },
    /// To [`Action::StopListening`].
    Drained,
}

/// A way to read a consumer. The driver empties `poll_action` after every input, and keeps the messages
/// that the program has not taken.
pub(crate) trait Machine: 'static {
    /// How it ends.
    type End: Clone + 'static;

    /// Whether it is to be told how the program's deliveries are settled.
    const FOLLOWS_ANSWERS: bool = false;

    /// The error that it has ended with, if it has.
    fn failure(end: &Self::End) -> Option<&Error>;

    /// Whether everything comes to the driver's own inbox. If not, `Action::Listen` says where to.
    fn listens_to_inbox(&self) -> bool {
        true
    }

    /// The next thing to do. While the connection is lost, there is nothing to send.
    fn poll_action(&mut self) -> Option<Action<Self::End>>;

    /// A message has come that can be answered: it has a reply subject of JetStream's.
    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict;

    /// What tells the keys of messages, if the machine wants to know them. It is to be run while nothing
    /// is borrowed.
    fn key_of(&self) -> Option<KeyOf> {
        None
    }

    /// As `handle_message`, with the key of the message.
    fn handle_keyed(&mut self, _key: Vec<u8>, message: &Message, now: Instant) -> Verdict {
        self.handle_message(message, now)
    }

    /// The delivery of the message with this number in the stream is settled.
    fn handle_settled(&mut self, _stream_sequence: u64, _settled: Settled, _now: Instant) {}

    /// As `handle_message` and `release` for a message that the program takes at once, if it is to be
    /// delivered and nothing follows from it. Returns whether that is so; if not, nothing has happened.
    fn pass(&mut self, _message: &Message, _now: Instant) -> bool {
        false
    }

    /// The program has taken a message that was to be delivered, of so many bytes as [`counted`]: its
    /// callback has returned.
    fn release(&mut self, bytes: u64, now: Instant);

    /// A message without payload has come from the server, about the request with this number; 0 if
    /// there are no requests.
    fn handle_status(&mut self, number: u64, message: &Message, now: Instant);

    /// An answer has come.
    fn handle_told(&mut self, told: Told<'_>, now: Instant);

    /// The time is `now`. Too early a call does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// When to call `handle_timeout`. Messages that are taken at once only move it further away.
    fn next_deadline(&self) -> Option<Instant>;

    /// The connection is lost.
    fn handle_disconnected(&mut self, now: Instant);

    /// The connection is another one. Nobody may have said that the one before was lost.
    fn handle_reconnected(&mut self, now: Instant);

    /// Asks for no more until `resume`. What was asked for still comes.
    fn pause(&mut self, now: Instant);

    /// Asks again.
    fn resume(&mut self, now: Instant);

    /// Asks for no more, and ends when everything has come that was asked for.
    fn drain(&mut self, now: Instant);

    /// The program will not take the last messages that were to be delivered, which are so many. Returns
    /// whether they are for somebody else to have.
    fn forgo(&mut self, count: usize, now: Instant) -> bool {
        let _ = (count, now);
        true
    }

    /// Ends it: what comes later is not for the program.
    fn stop(&mut self, now: Instant);

    /// Ends it with an error that is not the consumer's: nothing can be sent or heard any more.
    fn fail(&mut self, error: Error);

    /// Whether there is nothing more to do after the end.
    fn is_finished(&self) -> bool {
        true
    }
}

/// The bytes of a message as the server counts them.
#[inline]
pub(super) fn counted(message: &Message) -> u64 {
    let reply = message.reply_bytes().map_or(0, <[u8]>::len);
    (message.subject_bytes().len() + reply + message.len()) as u64
}
