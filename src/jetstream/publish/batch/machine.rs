//! What a batch sends, and when, and what the answers mean for it: no I/O, no time.
//!
//! The first message goes alone, because its answer tells whether there is a batch at all: a stream
//! that knows none stores it as any other message, and the second one must not follow. Then a window
//! of messages is under way, each of which is a request, because a refusal is told to the message
//! that it is about, with the limit that was reached.
//!
//! Invariants: messages are numbered without a gap, in the order in which they were added. Nothing
//! is sent once the batch is over. Once the commit was sent, only a refusal or its own outcome ends
//! the batch, because an earlier message without an answer may have arrived all the same.

use crate::jetstream::batch_error::BatchError;
use crate::jetstream::envelope::ResponseError;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::publish::one::publish_error;
use crate::jetstream::publish::pub_ack::{PubAck, parse_pub_ack};
use bytes::Bytes;
use evnats_protocol::{CommandError, HeaderMap, Payload, RequestError};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

pub(super) const BATCHES: Requirement = Requirement::new(2, "atomic_batch");
const END: Requirement = Requirement::new(4, "commit_with_end");

/// How many messages may be under way …
const WINDOW: usize = 100;
/// … and how many bytes of them, unless it is a single one.
const WINDOW_BYTES: usize = 1 << 20;

/// A message of a batch.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) subject: Rc<str>,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    pub(super) timeout: Duration,
    /// What it needs beside batches.
    pub(super) requirement: Option<Requirement>,
}

impl Draft {
    fn len(&self) -> usize {
        self.subject.len() + self.headers.encoded_len() + self.payload.len()
    }
}

/// How a batch is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// With a last message, which is stored.
    Message,
    /// Without one.
    End,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Step {
    /// The server is to be asked for its level.
    AskLevel,
    /// The message is to be sent as a request, whose outcome is reported with the same number.
    Send { number: u64, message: Draft },
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// No message was added yet.
    New,
    /// The server is being asked for its level.
    Asking,
    /// The first message may be sent, or was.
    First,
    /// The stream takes the batch.
    Open,
    Over,
}

/// A batch.
#[derive(Debug)]
pub(super) struct Machine {
    id: String,
    phase: Phase,
    /// The server's level, if it tells.
    level: Option<u32>,
    waiting: VecDeque<Draft>,
    waiting_bytes: usize,
    max_waiting: usize,
    /// How many messages were sent.
    sent: u64,
    /// The sizes of those that have no answer yet, by their numbers.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_bytes: usize,
    /// The last message of what waits, or of what was sent, is to commit the batch.
    commit: Option<Commit>,
    last_subject: Option<Rc<str>>,
    outcome: Option<Result<PubAck, Error>>,
}

impl Machine {
    pub(super) fn new(id: String, max_waiting: usize) -> Self {
        Self {
            id,
            phase: Phase::New,
            level: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            max_waiting,
            sent: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            commit: None,
            last_subject: None,
            outcome: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// How many messages were added, the one that commits included.
    pub(super) fn count(&self) -> u64 {
        self.sent + self.waiting.len() as u64
    }

    pub(super) fn set_max_waiting(&mut self, bytes: usize) {
        self.max_waiting = bytes;
    }

    /// How the batch has ended, once it has.
    pub(super) fn outcome(&self) -> Option<&Result<PubAck, Error>> {
        self.outcome.as_ref()
    }

    /// Takes a message, unless too much waits already or the batch is over.
    pub(super) fn add(&mut self, message: Draft) -> Result<(), Error> {
        if let Some(Err(error)) = &self.outcome {
            return Err(error.clone());
        }
        if !self.waiting.is_empty() && self.waiting_bytes + message.len() > self.max_waiting {
            let (payload, limit) = (Payload::Shared(message.payload), self.max_waiting);
            return Err(CommandError::BufferFull { payload, limit }.into());
        }
        self.push(message);
        Ok(())
    }

    /// Takes the last message, for which there is always room.
    pub(super) fn commit(&mut self, message: Draft) {
        if self.phase != Phase::Over {
            self.commit = Some(Commit::Message);
            self.push(message);
        }
    }

    /// Commits what was added.
    pub(super) fn commit_with_end(&mut self, timeout: Duration) {
        if self.phase == Phase::Over {
            return;
        }
        let Some(subject) = self.last_subject.clone() else {
            return self.fail(BatchError::Empty);
        };
        self.commit = Some(Commit::End);
        let (headers, payload) = (HeaderMap::new(), Bytes::new());
        self.push(Draft { subject, headers, payload, timeout, requirement: Some(END) });
    }

    /// Gives the batch up, unless it is to be committed.
    pub(super) fn abandon(&mut self) {
        if self.commit.is_none() {
            self.end();
        }
    }

    fn push(&mut self, message: Draft) {
        self.waiting_bytes += message.len();
        self.last_subject = Some(message.subject.clone());
        self.waiting.push_back(message);
    }

    pub(super) fn handle_level(&mut self, told: Result<Option<u32>, Error>) {
        if self.phase != Phase::Asking {
            return;
        }
        match told.and_then(|level| BATCHES.check_known(level).map(|()| level)) {
            Ok(level) => {
                self.level = level;
                self.phase = Phase::First;
            }
            Err(Error::Request(error)) => self.fail(BatchError::Lost(error)),
            Err(error) => self.fail(error),
        }
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self) -> Option<Step> {
        match self.phase {
            Phase::New if !self.waiting.is_empty() => {
                self.phase = Phase::Asking;
                Some(Step::AskLevel)
            }
            Phase::First if self.sent == 0 => self.send(),
            Phase::Open if self.has_room() => self.send(),
            _ => None,
        }
    }

    fn has_room(&self) -> bool {
        let next = self.waiting.front().map_or(0, Draft::len);
        let fits = self.in_flight_bytes + next <= WINDOW_BYTES && self.in_flight.len() < WINDOW;
        fits || self.in_flight.is_empty()
    }

    fn send(&mut self) -> Option<Step> {
        let mut message = self.waiting.pop_front()?;
        let checked = message.requirement.map_or(Ok(()), |needs| needs.check_known(self.level));
        if let Err(error) = checked {
            self.fail(error);
            return None;
        }
        let len = message.len();
        self.waiting_bytes -= len;
        self.sent += 1;
        self.in_flight.push_back((self.sent, len));
        self.in_flight_bytes += len;
        message.headers = self.headers(&message.headers);
        Some(Step::Send { number: self.sent, message })
    }

    /// The headers of the message that was numbered last. Of a header that occurs twice, the server
    /// reads the first.
    fn headers(&self, own: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new()
            .with("Nats-Batch-Id", &self.id)
            .with("Nats-Batch-Sequence", self.sent.to_string());
        match self.commit.filter(|_| self.waiting.is_empty()) {
            None => {}
            Some(Commit::Message) => headers.append("Nats-Batch-Commit", "1"),
            Some(Commit::End) => {
                headers.append("Nats-Batch-Commit", "eob");
                // it is not stored, so this is not, either
                headers.append("Nats-Required-Api-Level", END.level.to_string());
            }
        }
        headers.extend(own);
        headers
    }

    /// Takes the answer to a message.
    pub(super) fn handle_reply(&mut self, number: u64, reply: Result<&[u8], RequestError>) {
        let Ok(at) = self.in_flight.binary_search_by_key(&number, |(number, _)| *number) else {
            return;
        };
        self.in_flight_bytes -= self.in_flight.remove(at).map_or(0, |(_, len)| len);
        if self.phase == Phase::Over {
            return;
        }
        let is_commit = self.is_commit_sent() && number == self.sent;
        match reply {
            Ok([]) if !is_commit => self.phase = Phase::Open,
            Ok(body) => self.handle_body(is_commit, body),
            Err(error) => self.handle_no_reply(number, is_commit, error),
        }
    }

    fn is_commit_sent(&self) -> bool {
        self.commit.is_some() && self.waiting.is_empty()
    }

    fn handle_body(&mut self, is_commit: bool, body: &[u8]) {
        match parse_pub_ack(body) {
            Ok(ack) if is_commit && ack.batch_id.as_ref() == Some(&self.id) => {
                self.outcome = Some(Ok(ack));
                self.end();
            }
            Ok(ack) => {
                let (stream, sequence) = (ack.stream.to_string(), ack.sequence);
                let feature = BATCHES.feature;
                self.fail(Error::StoredAsOrdinary { feature, stream, sequence });
            }
            Err(ResponseError::Api(error)) if !error.is_not_enabled() => {
                self.fail(BatchError::from_refusal(error));
            }
            Err(error) => self.fail(error),
        }
    }

    fn handle_no_reply(&mut self, number: u64, is_commit: bool, error: RequestError) {
        let may_have_arrived =
            matches!(error, RequestError::Timeout | RequestError::OutcomeUnknown);
        // what is not known to know batches may have stored a message of its own
        let may_be_stored = is_commit || (number == 1 && self.level.is_none());
        match error {
            error if may_have_arrived && may_be_stored => {
                self.fail(BatchError::OutcomeUnknown(error));
            }
            // the commit's own outcome tells
            _ if may_have_arrived && self.is_commit_sent() => {}
            RequestError::NoResponders { .. } => self.fail(publish_error(error)),
            error => self.fail(BatchError::Lost(error)),
        }
    }

    fn fail(&mut self, error: impl Into<Error>) {
        self.outcome = Some(Err(error.into()));
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }
}
