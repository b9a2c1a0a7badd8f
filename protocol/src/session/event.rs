//! What a session reports: outcomes that give a context back, and what happened to the connection.
//!
//! Invariant: a context that the driver attached to something comes back in exactly one event. Why
//! connections end is not here: see [`DisconnectReason`].

use super::command_error::CommandError;
use crate::disconnect::DisconnectReason;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::error::ServerError;
use crate::wire::message::Message;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// One thing that happened, from [`Session::poll_event`](crate::Session::poll_event).
///
/// `S`, `R` and `F` are what the driver attached to a subscription, a request and a fence. Each
/// comes back exactly once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<S, R, F> {
    /// The handshake with the session's first server is done.
    Connected,
    /// The handshake with another server, or the same one again, is done. Subscriptions are
    /// restored.
    Reconnected,
    /// A connection could not be made. A session that resumes waits for another attempt, any other
    /// one is over.
    ConnectFailed(DisconnectReason),
    /// The server has sent a new `INFO`; [`Session::server_info`](crate::Session::server_info) has
    /// it.
    InfoChanged,
    /// The server announced that it will shut down (`ldm` in its `INFO`). Reported once per
    /// connection.
    LameDuck,
    /// The session has moved: what was the leg [`Which::Next`](crate::Which::Next) is the current
    /// one from now on, and the transport of the one before has to be closed.
    Moved,
    /// The session could not move, and stays where it is; the next server's transport has to be
    /// closed.
    MoveFailed(DisconnectReason),
    /// A message for a subscription, which lies in its place.
    Message {
        /// The subscription, whose context
        /// [`Session::subscription_mut`](crate::Session::subscription_mut) lends.
        subscription: SubscriptionId,
    },
    /// A subscription is over; no message for it is reported after this.
    SubscriptionEnded {
        /// The id, now dead.
        subscription: SubscriptionId,
        /// The driver's context.
        context: S,
        /// Why it ended.
        reason: EndReason,
    },
    /// A request is over.
    Reply {
        /// The driver's context.
        context: R,
        /// The reply lies in its place, or why there is none.
        outcome: Result<(), RequestError>,
    },
    /// A fence was passed: all that the server sent before its `PONG` has been reported.
    Fence {
        /// The driver's context.
        context: F,
        /// The time between handing the `PING` to the transport and reading its `PONG`, or why the
        /// fence was not passed.
        outcome: Result<Duration, FlushError>,
    },
    /// The server refused something (`-ERR`) that no request and no subscription is known to be the
    /// reason of: theirs is [`RequestError::Denied`] and `SubscriptionDenied`. If the server also
    /// closes, `Disconnected` follows.
    ServerError(ServerError),
    /// A message was published, and could not be sent after all: it was accepted before the
    /// server's limits were known and does not fit them, or the connection was lost in the middle
    /// of it.
    PublishFailed {
        /// Its subject.
        subject: String,
        /// Why it could not be sent.
        error: CommandError,
    },
    /// Messages of a paused subscription are being dropped, because its limits are reached.
    /// Reported again only after a message was kept in between.
    SlowConsumer {
        /// The subscription.
        subscription: SubscriptionId,
        /// How many of its messages have been dropped since it began.
        dropped: u64,
    },
    /// The outgoing buffer was full and has room again.
    Writable,
    /// The server refused a subscription, which ends with the next event.
    SubscriptionDenied {
        /// The subscription.
        subscription: SubscriptionId,
        /// The server's error.
        error: ServerError,
    },
    /// Messages that were published and never sent, because the session is over.
    Unsent {
        /// How many. Requests do not count, each has its own outcome.
        messages: u64,
    },
    /// The connection is gone. Outcomes of what was pending follow.
    Disconnected(DisconnectReason),
    /// The last event of a session, and why it is over. Only the outcomes of commands given after
    /// it are reported later.
    Closed(DisconnectReason),
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It has received its maximum number of messages.
    MaxReached,
    /// It was drained.
    Drained,
    /// It was being drained when the connection was lost: what was on its way may be missing.
    Disconnected,
    /// The server refused it.
    Denied,
    /// The session was closed.
    Closed,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxReached => "it has received its last message",
            Self::Drained => "drained",
            Self::Disconnected => "disconnected while it was being drained",
            Self::Denied => "the server denied it",
            Self::Closed => "the session is closed",
        })
    }
}

/// Why there is no reply to a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No reply in time. Whether it had an effect is unknown.
    #[error("no reply in time")]
    Timeout,
    /// Nobody listens on the subject (status 503).
    #[error("nobody is listening on the subject{}", named(.subject))]
    NoResponders {
        /// The subject, if the server names it (`Nats-Subject`, by server 2.15).
        subject: Option<Box<str>>,
    },
    /// The connection was lost, and the request may have reached the server.
    #[error("disconnected, outcome unknown")]
    OutcomeUnknown,
    /// There was no connection to send it on, or it was lost before the whole request was written:
    /// no server has seen it.
    #[error("disconnected, the request was never sent")]
    NeverSent,
    /// The server does not permit the request, or its reply.
    #[error(transparent)]
    Denied(ServerError),
    /// The request could not be made.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Why a fence was not passed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FlushError {
    /// No `PONG` in time.
    #[error("no answer to a ping in time")]
    Timeout,
    /// The connection was lost first.
    #[error("disconnected before the server answered")]
    Disconnected,
    /// The fence could not be set.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// A subject behind the words, if it is known.
fn named(subject: &Option<Box<str>>) -> String {
    subject.as_ref().map_or(String::new(), |subject| format!(" {subject:?}"))
}

impl RequestError {
    /// What a status 503 says that came in place of a reply.
    #[cold]
    #[must_use]
    pub fn no_responders(status: &Message) -> Self {
        let subject = status.headers().last("Nats-Subject");
        Self::NoResponders { subject: subject.map(|subject| subject.into()) }
    }

    /// Whether no reply came in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether nobody listens on the subject.
    #[must_use]
    pub fn is_no_responders(&self) -> bool {
        matches!(self, Self::NoResponders { .. })
    }

    /// Whether the server does not permit the request, or its reply.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }

    /// Whether the session was over before the request was made.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Command(error) if error.is_closed())
    }

    /// Whether the same request may succeed later, with nothing changed. After a timeout, and when
    /// the outcome is unknown, it may have had its effect already.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Timeout | Self::NoResponders { .. } | Self::OutcomeUnknown | Self::NeverSent => {
                true
            }
            Self::Denied(_) => false,
            Self::Command(error) => error.is_temporary(),
        }
    }
}

impl FlushError {
    /// Whether no `PONG` came in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether the session was over before the fence was set.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Command(error) if error.is_closed())
    }

    /// Whether another fence may be passed later, with nothing changed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Timeout | Self::Disconnected => true,
            Self::Command(error) => error.is_temporary(),
        }
    }
}

/// Counts since the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages received, replies and control messages included.
    pub messages_in: u64,
    /// Messages sent, requests included.
    pub messages_out: u64,
    /// Bytes of headers and payloads received.
    pub bytes_in: u64,
    /// Bytes of headers and payloads sent.
    pub bytes_out: u64,
    /// Messages received for subscriptions and requests that were over, and not delivered.
    pub late_messages: u64,
    /// Messages received twice because of a move to another server, and delivered once.
    pub duplicates: u64,
    /// Connections made after the first.
    pub reconnects: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::payload::Payload;

    #[test]
    fn outcomes_by_what_can_be_done() {
        let payload = Payload::default();
        let full = CommandError::BufferFull { payload, limit: 1 };
        let denied = ServerError::new("Permissions Violation for Publish to \"a\"");
        let table = [
            (RequestError::Timeout, [true, false, false, false, true]),
            (RequestError::NoResponders { subject: None }, [false, true, false, false, true]),
            (RequestError::Denied(denied), [false, false, true, false, false]),
            (RequestError::NeverSent, [false, false, false, false, true]),
            (CommandError::Closed.into(), [false, false, false, true, false]),
            (CommandError::Draining.into(), [false, false, false, false, false]),
            (full.clone().into(), [false, false, false, false, true]),
        ];
        for (error, expected) in table {
            let is = [
                error.is_timeout(),
                error.is_no_responders(),
                error.is_denied(),
                error.is_closed(),
                error.is_temporary(),
            ];
            assert_eq!(is, expected, "{error}");
        }
        assert!(FlushError::Timeout.is_timeout() && FlushError::Disconnected.is_temporary());
        assert!(FlushError::from(CommandError::Closed).is_closed());
        assert!(FlushError::from(full).is_temporary());
    }
}
