//! What a session reports: outcomes that give a context back, and what happened to the connection.

use super::command_error::CommandError;
use crate::disconnect::DisconnectReason;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::error::ServerError;
use crate::wire::message::Message;
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
    /// A connection could not be made. The session goes on if it resumes, and else is over.
    ConnectFailed(DisconnectReason),
    /// The server has sent a new `INFO`; [`Session::server_info`](crate::Session::server_info)
    /// has it.
    InfoChanged,
    /// The server announced that it will shut down (`ldm` in its `INFO`). Once a connection.
    LameDuck,
    /// The session has moved: what was the leg [`Which::Next`](crate::Which::Next) is the current
    /// one from now on, and the transport of the one before has to be closed.
    Moved,
    /// The session could not move, and stays where it is; the next server's transport has to be
    /// closed.
    MoveFailed(DisconnectReason),
    /// A message for a subscription.
    Message {
        /// The subscription, whose context
        /// [`Session::subscription_mut`](crate::Session::subscription_mut) lends.
        subscription: SubscriptionId,
        /// The message.
        message: Message,
    },
    /// A subscription is over; no message for it comes after this.
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
        /// The reply.
        outcome: Result<Message, RequestError>,
    },
    /// A fence was passed: all that the server sent before its `PONG` has been reported.
    Fence {
        /// The driver's context.
        context: F,
        /// The time from handing the `PING` to the transport to its `PONG`.
        outcome: Result<Duration, FlushError>,
    },
    /// The server refused something (`-ERR`). If it also closes, `Disconnected` follows.
    ServerError(ServerError),
    /// A message was published, and could not be sent after all: it was taken before the server's
    /// limits were known and does not fit them, or the connection was lost in the middle of it.
    PublishFailed {
        /// Its subject.
        subject: String,
        /// What came in between.
        error: CommandError,
    },
    /// Messages of a paused subscription are being dropped, because its limits are reached. Comes
    /// again when a message was taken in between.
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
        /// What the server said.
        error: ServerError,
    },
    /// Messages that were published and never sent, because the session is over.
    Unsent {
        /// How many. Requests are not among them, they have an outcome each.
        messages: u64,
    },
    /// The connection is gone. Outcomes of what was pending follow.
    Disconnected(DisconnectReason),
    /// The last event of a session, and why it is over. Only the outcomes of commands given after
    /// it come later.
    Closed(DisconnectReason),
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It received as many messages as it was to receive.
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

/// Why there is no reply to a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No reply in time. Whether somebody acts on the request is unknown.
    #[error("no reply in time")]
    Timeout,
    /// Nobody listens on the subject (status 503).
    #[error("nobody is listening on the subject")]
    NoResponders,
    /// The connection was lost, and the request may have reached the server.
    #[error("disconnected, outcome unknown")]
    OutcomeUnknown,
    /// There was no connection to send it on, or it was lost before the whole request was written:
    /// nobody has seen it.
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

/// Counts since the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages received, replies and control messages included.
    pub messages_in: u64,
    /// Bytes of headers and payloads received.
    pub bytes_in: u64,
    /// Messages sent, requests included.
    pub messages_out: u64,
    /// Bytes of headers and payloads sent.
    pub bytes_out: u64,
    /// Messages received for subscriptions and requests that were over, and not delivered.
    pub late_messages: u64,
    /// Messages received twice because of a move to another server, and delivered once.
    pub duplicates: u64,
    /// Connections made after the first.
    pub reconnects: u64,
}
