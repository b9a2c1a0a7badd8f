//! What a service tells of itself while it runs.

use crate::error::Error;
use evnats_protocol::CommandError;
use std::fmt;

/// What happens to a service; see [`Service::on_event`](super::Service::on_event). Each is logged, too.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServiceEvent {
    /// A handler has returned an error. The caller was told, with code 500, if it had no answer yet.
    HandlerFailed {
        /// The endpoint's name.
        endpoint: String,
        /// What the handler has returned.
        error: Error,
    },
    /// A handler, or the stats handler for an endpoint, has panicked. The caller of the handler was told,
    /// with code 500, if it had no answer yet, and nothing of the message.
    HandlerPanicked {
        /// The endpoint's name.
        endpoint: String,
        /// The panic's message. Empty if it was no text.
        message: String,
    },
    /// An answer could not be sent: the client drains or is closed, its buffer is full, the server takes
    /// no message of this size, or the reply subject is none. If it was too large, the caller was told,
    /// with code 500.
    AnswerFailed {
        /// The subject of the request.
        subject: String,
        /// Why.
        error: CommandError,
    },
    /// The server does not permit to listen on the subject of an endpoint, or no longer. The endpoint gets
    /// no requests; the others do.
    EndpointDenied {
        /// The endpoint's name.
        endpoint: String,
        /// Its subject.
        subject: String,
    },
    /// The server does not permit to listen on a subject on which services are discovered and watched. The
    /// service works, and is not found there.
    ControlDenied {
        /// The subject.
        subject: String,
    },
}

impl fmt::Display for ServiceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandlerFailed { endpoint, error } => {
                write!(f, "the handler of endpoint {endpoint:?} failed: {error}")
            }
            Self::HandlerPanicked { endpoint, message } => {
                write!(f, "the handler of endpoint {endpoint:?} panicked: {message}")
            }
            Self::AnswerFailed { subject, error } => {
                write!(f, "an answer to a request on {subject:?} was not sent: {error}")
            }
            Self::EndpointDenied { endpoint, subject } => {
                write!(
                    f,
                    "the server does not permit endpoint {endpoint:?} to listen on {subject:?}"
                )
            }
            Self::ControlDenied { subject } => {
                write!(f, "the server does not permit the service to be found on {subject:?}")
            }
        }
    }
}
