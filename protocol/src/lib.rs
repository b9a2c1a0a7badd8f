//! The NATS client protocol as pure data: bytes to operations, operations to bytes, and the state
//! machine between them. No I/O, no clock, no randomness: a driver passes in what happened, what
//! time it is and a seed, and takes out what is to be done. `evnats` is such a driver, for mio.
//!
//! There are three ways to use it:
//! * [`Decoder`], [`ServerOp::encode`] and [`ClientOp::encode`]: the wire format alone.
//! * [`Session`]: a whole connection: handshake, keep-alive, subscriptions, requests, fences, drain,
//!   and the move to another server.
//! * [`ServerPool`]: which server to connect to, and when.
//!
//! ```
//! use evnats_protocol::{
//!     Event, Message, OutgoingMessage, Security, Session, SessionConfig, Which,
//! };
//! use std::time::{Duration, Instant};
//!
//! let now = Instant::now();
//! let mut place = Message::default();
//! let mut session: Session<(), &str, ()> = Session::new(SessionConfig::new(), || 42);
//! session.request(OutgoingMessage::new("greet", "world"), Duration::from_secs(1), "my request");
//!
//! session.handle_connecting(now);
//! let mut leg = session.leg(Which::Current);
//! leg.handle_connected(Security::Plain);
//! leg.handle_bytes(b"INFO {\"max_payload\":1048576,\"headers\":true}\r\n", now);
//! assert!(session.poll_event(&mut place).is_none());
//! let mut leg = session.leg(Which::Current);
//! leg.handle_written(leg.writable_len()); // CONNECT and PING
//! leg.handle_bytes(b"PONG\r\n", now);
//! assert!(matches!(session.poll_event(&mut place), Some(Event::Connected)));
//!
//! let mut leg = session.leg(Which::Current);
//! let written: Vec<u8> = leg.chunks().flatten().copied().collect();
//! assert!(written.starts_with(b"SUB _INBOX."));
//! # let inbox = String::from_utf8_lossy(&written).split_whitespace().nth(5).unwrap().to_string();
//! leg.handle_bytes(format!("MSG {inbox} 1 5\r\nhello\r\n").as_bytes(), now);
//! let Some(Event::Reply { context: "my request", outcome: Ok(()) }) = session.poll_event(&mut place)
//! else { panic!() };
//! assert_eq!(place.payload(), b"hello");
//! ```

mod disconnect;
mod pool;
mod random;
mod session;
mod setters;
mod tables;
mod wire;

pub use disconnect::{DisconnectReason, TlsErrorKind};
pub use pool::server_pool::{PoolConfig, PoolServer, ServerPool};
pub use pool::server_url::{Scheme, ServerUrl, UrlError, UserInfo};
pub use session::command_error::CommandError;
pub use session::config::SessionConfig;
pub use session::event::{EndReason, Event, FlushError, RequestError, Statistics};
pub use session::leg::{Phase, Security};
pub use session::outgoing_message::OutgoingMessage;
pub use session::state::Session;
pub use session::transport::{LegMut, Which};
pub use tables::known_route::KnownRoute;
pub use tables::paused::{PendingLimits, SubscriptionSnapshot};
pub use tables::subscriptions::SubscriptionId;
pub use wire::decode::{Decoder, Limits};
pub use wire::error::{ProtocolError, ServerError, ServerErrorKind};
pub use wire::headers::{HeaderError, HeaderMap, HeaderStatus, Headers};
pub use wire::info::{Authentication, ConnectInfo, ServerInfo};
pub use wire::letters;
pub use wire::message::Message;
pub use wire::op::{ClientOp, Operation, ServerOp};
pub use wire::payload::Payload;
pub use wire::printable::printable;
pub use wire::secret::Secret;
pub use wire::subject;
pub use wire::texts;
pub use wire::version::ServerVersion;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
