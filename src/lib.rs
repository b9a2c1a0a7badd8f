//! A callback-driven NATS client on a mio event loop: core NATS, JetStream and Key-Value without
//! an async runtime.

mod client;
mod error;
mod event_loop;
pub mod jetstream;
pub mod kv;

pub use client::{Client, Options, State, Transport};
pub use error::{ConnectionError, Error, Result};
pub use event_loop::{EventLoop, Handle, Remote, TimerId};
pub use evnats_protocol::{
    CommandError, DisconnectReason, FenceError, HeaderError, HeaderMap, Headers, Limits, Message,
    Payload, ProtocolError, Publish, RequestError, ServerError, ServerErrorKind, ServerInfo,
    Statistics, SubscriptionId, subject,
};
