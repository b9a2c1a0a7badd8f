//! One request for messages, and how it ends. A pure state machine: no socket, no clock.
//!
//! The invariant: a fetch ends exactly once, whatever the server says or does not say, a second after
//! its time at the latest, and says how many messages have come. All of them are for the program.
//! Nothing is sent again: whoever asked knows whether to ask again.

use super::fetch_error::FetchError;
use super::fetch_options::FetchOptions;
use super::request::PullRequest;
use super::window::GRACE;
use crate::event_loop::after;
use crate::jetstream::consume::consumer_error::ConsumerError;
use crate::jetstream::consume::machine::Verdict;
use crate::jetstream::consume::status::{Amount, PullStatus, StatusKind};
use crate::jetstream::error::Error;
use std::time::{Duration, Instant};

/// How long the end of a request is waited for that is not to wait.
pub(in crate::jetstream::consume) const PATIENCE: Duration = Duration::from_secs(5);
/// After so many heartbeats without a sign of the server, the fetch has failed.
const MISSED_HEARTBEATS: u32 = 2;

/// How a fetch has ended. What has come until then is for the program, whatever the end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEnd {
    /// As many messages or bytes have come as were asked for; of bytes, as many as messages fit in.
    Complete,
    /// There was no more, and it was not to wait.
    NoMoreMessages,
    /// Its time is over.
    Expired,
}

/// One request for messages.
#[derive(Debug)]
pub(crate) struct Fetch {
    options: FetchOptions,
    request: PullRequest,
    received: Amount,
    /// When the server has not answered in time.
    deadline: Instant,
    /// When the server gave a sign last.
    heard: Instant,
    connected: bool,
    phase: Phase,
    end: Option<Result<FetchEnd, Error>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The request waits for a connection.
    Unsent,
    Running,
    Ended,
}

impl Fetch {
    /// A fetch whose request is to be sent now, as the client with this pin.
    pub(crate) fn new(options: FetchOptions, pin: Option<&str>, now: Instant) -> Self {
        let wait = options.wait().map_or(PATIENCE, |wait| wait.saturating_add(GRACE));
        Self {
            request: options.request(pin),
            options,
            received: Amount::default(),
            deadline: after(now, wait),
            heard: now,
            connected: true,
            phase: Phase::Unsent,
            end: None,
        }
    }

    /// What is to be sent, once, as soon as there is a connection.
    pub(crate) fn poll_request(&mut self) -> Option<PullRequest> {
        let is_due = self.connected && self.phase == Phase::Unsent;
        is_due.then(|| {
            self.phase = Phase::Running;
            self.request.clone()
        })
    }

    /// The end, once. Nothing follows.
    pub(crate) fn poll_end(&mut self) -> Option<Result<FetchEnd, Error>> {
        self.end.take()
    }

    /// A message has come, of so many bytes as the server counts them.
    pub(crate) fn handle_message(&mut self, bytes: u64, now: Instant) -> Verdict {
        if self.phase == Phase::Ended {
            return Verdict::HandBack;
        }
        self.heard = now;
        self.received = self.received.plus(Amount { messages: 1, bytes });
        let is_full = |limit: Option<u64>, count| limit.is_some_and(|limit| count >= limit);
        if is_full(self.options.message_limit(), self.received.messages)
            || is_full(self.options.max_bytes, self.received.bytes)
        {
            self.finish(Ok(FetchEnd::Complete));
        }
        Verdict::Deliver
    }

    /// A status has come.
    pub(crate) fn handle_status(&mut self, status: &PullStatus<'_>, now: Instant) {
        self.heard = now;
        if status.ends_request() {
            self.finish(self.end_of(status));
        }
    }

    /// The time is `now`. Too early a call does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.deadline {
            self.finish(Err(FetchError::Unanswered.into()));
        } else if self.silence_deadline().is_some_and(|deadline| now >= deadline) {
            self.finish(Err(FetchError::MissedHeartbeats.into()));
        }
    }

    /// When to call `Fetch::handle_timeout`. Later after most messages, so that a driver may let its
    /// timer fire early and ask again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let silence = self.silence_deadline().unwrap_or(self.deadline);
        (self.phase != Phase::Ended).then(|| silence.min(self.deadline))
    }

    /// The connection is lost, and the request with it.
    pub(crate) fn handle_disconnected(&mut self) {
        self.connected = false;
        if self.phase == Phase::Running {
            self.finish(Err(FetchError::Disconnected.into()));
        }
    }

    /// The connection is another one. Nobody may have said that the one before was lost.
    pub(crate) fn handle_reconnected(&mut self, now: Instant) {
        self.handle_disconnected();
        self.connected = true;
        self.heard = now;
    }

    /// Ends it with an error that is not the consumer's.
    pub(crate) fn fail(&mut self, error: Error) {
        self.finish(Err(error));
    }

    fn end_of(&self, status: &PullStatus<'_>) -> Result<FetchEnd, Error> {
        let has_come = self.received.messages > 0;
        let takes_what_there_is =
            self.options.no_wait && (has_come || self.options.wait().is_none());
        let error = match &status.kind {
            StatusKind::NoMessages => return Ok(FetchEnd::NoMoreMessages),
            StatusKind::Expired if takes_what_there_is => return Ok(FetchEnd::NoMoreMessages),
            StatusKind::Expired => return Ok(FetchEnd::Expired),
            StatusKind::BatchCompleted => return Ok(FetchEnd::Complete),
            StatusKind::MessageTooLarge if has_come => return Ok(FetchEnd::Complete),
            StatusKind::MessageTooLarge => FetchError::MessageTooLarge,
            StatusKind::Exceeded(limit) => FetchError::Exceeded(*limit),
            StatusKind::TooManyWaiting => FetchError::MaxWaiting,
            StatusKind::LeadershipChange | StatusKind::ServerShutdown => FetchError::LeaderLost,
            StatusKind::PinMismatch => FetchError::Unpinned,
            StatusKind::NoResponders => FetchError::NoResponders,
            StatusKind::Other { code, text } => {
                FetchError::Unknown { code: *code, text: text.to_string() }
            }
            StatusKind::Heartbeat
            | StatusKind::ConsumerDeleted
            | StatusKind::PushBased
            | StatusKind::BadRequest(_)
            | StatusKind::RequiredApiLevel => match ConsumerError::of(status) {
                Some(error) => return Err(error.into()),
                None => FetchError::Unanswered,
            },
        };
        Err(error.into())
    }

    fn silence_deadline(&self) -> Option<Instant> {
        let is_listening = self.phase == Phase::Running && self.options.fail_when_silent;
        let heartbeat = self.options.reports().filter(|_| is_listening)?;
        Some(after(self.heard, heartbeat.saturating_mul(MISSED_HEARTBEATS)))
    }

    fn finish(&mut self, end: Result<FetchEnd, Error>) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.end = Some(end);
        }
    }
}

#[cfg(test)]
mod tests;
