//! One request for messages, and how it ends. A pure state machine: no socket, no clock.
//!
//! The invariant: a fetch ends exactly once, whatever the server says or does not say, a second after
//! its time at the latest, and says how many messages have come. All of them are for the program.
//! Nothing is sent again: whoever asked knows whether to ask again.

use super::fetch_options::FetchOptions;
use super::outcome::{PullError, Verdict};
use super::request::PullRequest;
use super::window::GRACE;
use crate::event_loop::after;
use crate::jetstream::consume::status::{Amount, PullStatus, RequestLimit, StatusKind};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long the end of a request is waited for that is not to wait.
const PATIENCE: Duration = Duration::from_secs(5);
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
    /// It was stopped.
    Stopped,
    /// It has failed.
    Failed(FetchError),
}

/// Why a fetch has failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Asking again cannot help.
    #[error(transparent)]
    Consumer(#[from] PullError),
    /// The server has not reported for two heartbeats: the request was lost, or as many wait as the
    /// consumer's `max_waiting` permits.
    #[error("the server has not reported for two heartbeats")]
    MissedHeartbeats,
    /// The time is over, and the server has not said so.
    #[error("the server has not answered in time")]
    Unanswered,
    /// The connection was lost.
    #[error("the connection was lost")]
    Disconnected,
    /// It asks for more than the consumer or the server permits.
    #[error("asks for more than is permitted: {0}")]
    Exceeded(RequestLimit),
    /// As many requests wait as the consumer's `max_waiting` permits.
    #[error("as many requests wait as the consumer's max_waiting permits")]
    MaxWaiting,
    /// The first message has more bytes than were asked for.
    #[error("the next message has more bytes than were asked for")]
    MessageTooLarge,
    /// Another client is pinned.
    #[error("another client is pinned")]
    Unpinned,
    /// The consumer has another leader, or its server is being stopped: ask again.
    #[error("the consumer has another leader, or its server is being stopped")]
    LeaderLost,
    /// Nobody answers for the consumer: it does not exist, or its server is being restarted.
    #[error("nobody answers for the consumer: it may not exist, or its server is being restarted")]
    NoResponders,
    /// The server says what this version does not know.
    #[error("the server says {code} {text:?}")]
    Unknown {
        /// The number.
        code: u16,
        /// The text after it.
        text: String,
    },
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
    has_ended: bool,
    end: Option<FetchEnd>,
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
            has_ended: false,
            end: None,
        }
    }

    /// What is to be sent, once.
    pub(crate) fn request(&self) -> &PullRequest {
        &self.request
    }

    /// What has come.
    pub(crate) fn received(&self) -> Amount {
        self.received
    }

    /// The end, once. Nothing follows.
    pub(crate) fn poll_end(&mut self) -> Option<FetchEnd> {
        self.end.take()
    }

    /// A message has come, of so many bytes as the server counts them.
    pub(crate) fn handle_message(&mut self, bytes: u64, now: Instant) -> Verdict {
        if self.has_ended {
            return Verdict::Ignore;
        }
        self.heard = now;
        self.received = self.received.plus(Amount { messages: 1, bytes });
        let is_full = |limit: Option<u64>, count| limit.is_some_and(|limit| count >= limit);
        if is_full(self.options.message_limit(), self.received.messages)
            || is_full(self.options.max_bytes, self.received.bytes)
        {
            self.finish(FetchEnd::Complete);
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
            self.fail(FetchError::Unanswered);
        } else if self.silence_deadline().is_some_and(|deadline| now >= deadline) {
            self.fail(FetchError::MissedHeartbeats);
        }
    }

    /// When to call `Fetch::handle_timeout`. Later after most messages, so that a driver may let its
    /// timer fire early and ask again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let silence = self.silence_deadline().unwrap_or(self.deadline);
        (!self.has_ended).then(|| silence.min(self.deadline))
    }

    /// The connection is lost, or is another one, and the request with it.
    pub(crate) fn handle_disconnected(&mut self) {
        self.fail(FetchError::Disconnected);
    }

    /// Ends it. What comes later is not for the program.
    pub(crate) fn stop(&mut self) {
        self.finish(FetchEnd::Stopped);
    }

    fn end_of(&self, status: &PullStatus<'_>) -> FetchEnd {
        let has_come = self.received.messages > 0;
        let takes_what_there_is =
            self.options.no_wait && (has_come || self.options.wait().is_none());
        let error = match &status.kind {
            StatusKind::NoMessages => return FetchEnd::NoMoreMessages,
            StatusKind::Expired if takes_what_there_is => return FetchEnd::NoMoreMessages,
            StatusKind::Expired => return FetchEnd::Expired,
            StatusKind::BatchCompleted => return FetchEnd::Complete,
            StatusKind::MessageTooLarge if has_come => return FetchEnd::Complete,
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
            | StatusKind::RequiredApiLevel => match PullError::of(status) {
                Some(error) => error.into(),
                None => FetchError::Unanswered,
            },
        };
        FetchEnd::Failed(error)
    }

    fn silence_deadline(&self) -> Option<Instant> {
        let heartbeat = self.options.reports().filter(|_| self.options.fail_when_silent)?;
        Some(after(self.heard, heartbeat.saturating_mul(MISSED_HEARTBEATS)))
    }

    fn fail(&mut self, error: FetchError) {
        self.finish(FetchEnd::Failed(error));
    }

    fn finish(&mut self, end: FetchEnd) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.end = Some(end);
        }
    }
}

#[cfg(test)]
mod tests;
