//! Traces of messages (server 2.11): which servers a message passes, and what becomes of it there,
//! told by the servers themselves.
//!
//! [`Client::trace`](crate::Client::trace) publishes a message and collects its trace. To have
//! others collected elsewhere, add [`headers`] to any message, an acknowledged one included
//! ([`PublishOptions::headers`](crate::jetstream::PublishOptions::headers)), and decode what comes to
//! the destination with [`TraceEvent::parse`].
//!
//! The user needs the right to publish to the destination. Servers before 2.11 pass over the wish, and
//! deliver also what is to be traced only.

mod error;
mod event;
mod headers;
mod progress;
mod tracing;

pub use error::Error;
pub use event::{
    ConnectionKind, TraceConnection, TraceEvent, TraceKind, TraceRequest, TraceServer, TraceStep,
};
pub use headers::{Delivery, headers};
pub use tracing::{TraceEnd, TraceOptions, TraceUpdate, Tracing};
