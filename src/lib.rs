//! A callback-driven NATS client on a mio event loop: core NATS, JetStream, Key-Value, Object Store and
//! services, without an async runtime and without threads on the message path.
//!
//! ```no_run
//! use evnats::{EventLoop, kv};
//!
//! #[derive(Default)]
//! struct App { stored: u64 }
//!
//! fn main() -> evnats::Result {
//!     let event_loop = EventLoop::<App>::new()?;
//!     let nats = event_loop.connect("nats://127.0.0.1:4222")?;
//!     let config = nats.jetstream().key_value("config");
//!
//!     config.create_bucket(kv::Config::new(), |_, config, created| {
//!         created?; // an error leaves `run`
//!         config.put("app.setting", "on", |app, config, revision| {
//!             app.stored = revision?;
//!             config.get("app.setting", |_, config, entry| {
//!                 println!("got {:?}", entry?);
//!                 config.client().drain();
//!                 Ok(())
//!             });
//!             Ok(())
//!         });
//!         Ok(())
//!     });
//!     event_loop.run(&mut App::default()) // returns when no client and no timer is left
//! }
//! ```
//!
//! # Three doors
//!
//! * **Run**: register callbacks and call [`EventLoop::run`].
//! * **Embed**: put the loop's one file descriptor ([`EventLoop`] is [`AsFd`](std::os::fd::AsFd))
//!   into the reactor you have, wait no longer than until [`EventLoop::next_deadline`], and call
//!   [`EventLoop::dispatch`]. While it returns `true`, more is waiting: call it again first. Or lend
//!   the loop the registry of a `mio::Poll` of yours: [`EventLoop::on_registry`].
//! * **Protocol**: the crate `evnats-protocol`, without socket and clock.
//!
//! # Callbacks
//!
//! * Every callback gets the user's state, the thing it was asked of (a [`Subscription`], a
//!   [`kv::Watcher`], else the handle that the call was made on), and the outcome. The state is lent
//!   by [`run`](EventLoop::run) or [`dispatch`](EventLoop::dispatch).
//! * A callback returns nothing or a [`Result`]. An error ends `run` or `dispatch` with it after the
//!   callback; the loop can be run again, and nothing is lost. What a peer, a server or an outage can
//!   cause is no error of [`Client::respond`].
//! * Commands return before anything is called back, also when they fail at once. What is wrong
//!   with a call that has a callback is reported to the callback, in the next turn.
//! * A one-shot callback runs exactly once: with a result, an error of the server, a timeout, or
//!   the loss of the connection. Requests cannot be made without a timeout.
//! * A callback may do anything: command, unsubscribe itself, close, drop the last handle. It
//!   cannot run the loop it runs on: that is [`Error::Reentrant`].
//! * A panic in a callback unwinds out of `run` or `dispatch`. The loop can be run again; nothing
//!   but the event at hand is lost.
//! * Handlers of [services](service) are otherwise: what they return as an error, and their panics, are
//!   answered to their callers, and the loop goes on.
//!
//! # Ordering
//!
//! Messages of a connection have their callbacks in the order of the wire, subscriptions among
//! each other too. A [`Client::flush`] calls back behind every message that the server had sent
//! before it read the flush. It says nothing about streams: stored is what was acknowledged.
//!
//! # Backpressure
//!
//! A turn reads at most 256 KiB and runs at most 4096 callbacks of each client, so a fast sender
//! fills its socket, and not memory; it also runs at most 1024 timers and as many closures that other
//! threads have posted, of which no more than [`LoopOptions::max_posted`] wait. What is commanded is written at the end of the turn, or when
//! 64 KiB are waiting. Beyond [`Options::outgoing_limit`], commands are refused with
//! [`CommandError::BufferFull`], which gives the payload back, and
//! [`Client::on_writable`] tells when there is room.
//!
//! # Reconnect
//!
//! A client lives longer than its connections. When one is lost, [`Client::on_disconnect`] runs,
//! and then the callbacks of what was pending, as far as its outcome can be known. Subscriptions,
//! watches, and messages that have not been written wait for the next connection, which
//! [`Client::on_reconnect`] reports; attempts that fail are reported to [`Client::on_error`]. The
//! client is over when [`Client::on_close`] runs: after `drain` or `close`, or when there is no
//! server left to try.
//!
//! A request knows whether it may have been seen. [`RequestError::NeverSent`]: nobody has, and it
//! can be sent again. [`RequestError::OutcomeUnknown`]: a service may have acted on it. With
//! [`Options::keep_requests`], it waits for its reply on the next connection instead.
//!
//! What was published and written, and not read by the server, is lost without a word, as always in
//! core NATS: what must not be lost goes through JetStream.
//!
//! # Security
//!
//! TLS is used when the server demands it. Whether it is demanded here is said by the URL
//! (`tls://`, `wss://`) or by `Options::require_tls`; without either, an attacker in between can turn
//! it off. Whom to trust, and who the client is, is in `Tls` and [`Credentials`]. Files are read in
//! every attempt to connect.
//!
//! Secrets are wiped from memory when they are dropped, and appear in no error, log or `Debug` output,
//! nor in a [`Frame`] that is printed.
//!
//! # Features
//!
//! `tls` and `nkeys` (seeds and credentials files) are on by default; `websocket` and `mongodb` (the module
//! `mongo`) are not.
//!
//! # Dropping
//!
//! Handles are cheap and dropping them does nothing: a connection ends by [`Client::drain`],
//! [`Client::close`] or from the other side, a subscription by unsubscribing, a watch by
//! [`kv::Watcher::stop`]. Dropping the [`EventLoop`] drops every connection and every callback
//! that was waiting, without running it.

pub mod callback;
mod client;
mod error;
mod event_loop;
pub mod groups;
pub mod jetstream;
pub mod kv;
#[cfg(feature = "mongodb")]
pub mod mongo;
pub mod object_store;
pub mod service;
pub mod simulation;
pub mod trace;

pub use bytes::Bytes;
pub use client::{
    Client, ConnectionError, ConnectionState, Credentials, CredentialsError, Frame, Options,
    ProxyKey, Replied, Replies, RepliesEnd, RequestManyOptions, SlowConsumer, Subscription,
};
#[cfg(feature = "tls")]
pub use client::{ClientCertificate, Tls};
pub use error::{Error, LayerError, Result};
#[cfg(unix)]
pub use event_loop::Descriptor;
pub use event_loop::{
    EventLoop, ForeignSource, Handle, KeepRunning, LoopOptions, NextDeadline, PostError, Readiness,
    Registration, Remote, SetReadiness, TimerId, Transport,
};
pub use evnats_protocol::{
    Authentication, ClientOp, CommandError, ConnectInfo, DisconnectReason, EndReason, FlushError,
    HeaderError, HeaderMap, HeaderStatus, Headers, Limits, Message, OutgoingMessage, Payload,
    PendingLimits, PoolServer, ProtocolError, RequestError, Scheme, Secret, ServerError,
    ServerErrorKind, ServerInfo, ServerOp, ServerUrl, ServerVersion, Statistics, SubscriptionId,
    SubscriptionSnapshot, TlsErrorKind, UrlError, UserInfo, subject,
};
/// The event loop's `mio`, in the version whose types this crate's signatures have.
pub use mio;

#[doc = include_str!("cookbook.md")]
pub mod cookbook {}

#[doc = include_str!("from_ev_nats.md")]
pub mod from_ev_nats {}

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadmeExamples;
