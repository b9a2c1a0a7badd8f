//! The one error that every other one converts into, so that `?` works in every callback.
//!
//! Each floor has its own error type, beside what it is about. This file is below them all: of the
//! floors above, it knows only that they can say what kind of error theirs are.

use evnats_protocol::subject::SubjectError;
use evnats_protocol::{
    CommandError, DisconnectReason, FlushError, HeaderError, RequestError, UrlError,
};
use std::error::Error as StdError;
use std::{fmt, io};
use thiserror::Error;

/// The result of a call that reports its errors at once, and of callbacks that may fail.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a call failed, or what a callback returned.
///
/// Every error of this crate converts into it, so that `?` works in callbacks. To use `?` on an
/// error type of your own, implement `From` of it with [`Error::other`], or return a
/// `Box<dyn std::error::Error + Send + Sync>`; either way it is kept as the
/// [source](StdError::source) and can be had back with [`downcast_ref`](Self::downcast_ref).
///
/// `Debug` shows the same text as `Display`, because that is what a `main` prints that returns it.
#[derive(Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of a server cannot be used. It is not shown, because what cannot be understood may
    /// be secret.
    #[error(transparent)]
    InvalidUrl(#[from] UrlError),
    /// The system's selector failed.
    #[error("event loop: {0}")]
    EventLoop(#[source] io::Error),
    /// The loop was run from inside one of its callbacks.
    #[error("the event loop is running already")]
    Reentrant,
    /// The loop has been dropped, and nothing can be added to it.
    #[error("the event loop has ended")]
    LoopEnded,
    /// The command cannot be carried out; nothing was sent.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A request has no reply.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A flush, a drain or the measurement of a round trip did not complete.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// A client has ended otherwise than by its own `drain` or `close`, and has no
    /// [`on_close`](crate::Client::on_close) to report it to.
    #[error("the client has ended: {0}")]
    Ended(#[source] DisconnectReason),
    /// An error of a floor above: JetStream, Key-Value. [`Error::downcast_ref`] lends it.
    #[error("{0}")]
    Layer(Box<dyn LayerError>),
    /// An error of the user's own, from a callback.
    #[error(transparent)]
    Other(Box<dyn StdError + Send + Sync>),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an error of a floor above the client reports about itself.
pub trait LayerError: StdError + Send + Sync + sealed::Sealed + 'static {
    /// Whether what was asked for does not exist.
    fn is_not_found(&self) -> bool;
    /// The error that caused this one, if it is one of a request.
    fn request_error(&self) -> Option<&RequestError>;
    /// Whether the same call may well succeed a moment later.
    fn is_temporary(&self) -> bool;
    #[doc(hidden)]
    fn as_std(&self) -> &(dyn StdError + 'static);
}

/// Makes an error of a floor above one that `?` converts into [`Error`], by its own methods
/// `is_not_found`, `request_error` and `is_temporary`.
macro_rules! layer_error {
    ($type:ty) => {
        impl From<$type> for $crate::error::Error {
            fn from(error: $type) -> Self {
                Self::Layer(Box::new(error))
            }
        }

        impl $crate::error::sealed::Sealed for $type {}

        impl $crate::error::LayerError for $type {
            fn is_not_found(&self) -> bool {
                self.is_not_found()
            }

            fn request_error(&self) -> Option<&evnats_protocol::RequestError> {
                self.request_error()
            }

            fn is_temporary(&self) -> bool {
                self.is_temporary()
            }

            fn as_std(&self) -> &(dyn std::error::Error + 'static) {
                self
            }
        }
    };
}

pub(crate) use layer_error;

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
}

impl Error {
    /// Wraps an error of the user's own.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The error of a floor above, or of the user's own, if it is of this type.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Layer(error) => error.as_std().downcast_ref(),
            Self::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// Whether what was asked for does not exist: a stream, a consumer, a message, a bucket.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Layer(error) if error.is_not_found())
    }

    /// Whether there was no answer in time. The outcome is unknown then.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Flush(error) => *error == FlushError::Timeout,
            _ => self.request_error().is_some_and(|error| *error == RequestError::Timeout),
        }
    }

    /// Whether nobody listens on the subject of a request.
    pub fn is_no_responders(&self) -> bool {
        self.request_error().is_some_and(RequestError::is_no_responders)
    }

    /// Whether the server does not permit it.
    pub fn is_denied(&self) -> bool {
        self.request_error().is_some_and(|error| matches!(error, RequestError::Denied(_)))
    }

    /// Whether the client is over, or draining.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Ended(_)) || self.command_error().is_some_and(is_closed)
    }

    /// Whether the same call may well succeed a moment later: there is no connection at the moment,
    /// the buffer is full, there was no answer in time, or no leader.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Layer(error) if error.is_temporary() => true,
            Self::Flush(FlushError::Timeout | FlushError::Disconnected) => true,
            _ => {
                self.request_error().is_some_and(is_temporary_request)
                    || self.command_error().is_some_and(is_temporary_command)
            }
        }
    }

    /// Whether all it tells is that there was no connection, or no longer.
    pub(crate) fn is_for_want_of_a_connection(&self) -> bool {
        use RequestError::{NeverSent, OutcomeUnknown};
        matches!(self.request_error(), Some(NeverSent | OutcomeUnknown))
            || matches!(self, Self::Flush(FlushError::Disconnected))
            || self.is_closed()
    }

    fn request_error(&self) -> Option<&RequestError> {
        match self {
            Self::Request(error) => Some(error),
            Self::Layer(error) => error.request_error(),
            _ => None,
        }
    }

    fn command_error(&self) -> Option<&CommandError> {
        match (self, self.request_error()) {
            (Self::Command(error) | Self::Flush(FlushError::Command(error)), _)
            | (_, Some(RequestError::Command(error))) => Some(error),
            _ => None,
        }
    }
}

fn is_closed(error: &CommandError) -> bool {
    matches!(error, CommandError::Closed | CommandError::Draining)
}

fn is_temporary_command(error: &CommandError) -> bool {
    matches!(error, CommandError::BufferFull { .. } | CommandError::NotConnected { .. })
}

fn is_temporary_request(error: &RequestError) -> bool {
    use RequestError::{Command, NeverSent, NoResponders, OutcomeUnknown, Timeout};
    match error {
        Timeout | NoResponders { .. } | OutcomeUnknown | NeverSent => true,
        Command(error) => is_temporary_command(error),
        _ => false,
    }
}

impl From<HeaderError> for Error {
    fn from(error: HeaderError) -> Self {
        Self::Command(error.into())
    }
}

impl From<SubjectError> for Error {
    fn from(error: SubjectError) -> Self {
        Self::Command(error.into())
    }
}

impl From<Box<dyn StdError + Send + Sync>> for Error {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Other(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::other(error)
    }
}

impl From<fmt::Error> for Error {
    fn from(error: fmt::Error) -> Self {
        Self::other(error)
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(error: std::str::Utf8Error) -> Self {
        Self::other(error)
    }
}

impl From<std::string::FromUtf8Error> for Error {
    fn from(error: std::string::FromUtf8Error) -> Self {
        Self::other(error)
    }
}

impl From<std::num::ParseIntError> for Error {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::other(error)
    }
}

impl From<std::num::ParseFloatError> for Error {
    fn from(error: std::num::ParseFloatError) -> Self {
        Self::other(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::other(error)
    }
}
