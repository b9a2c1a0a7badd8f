//! Services (ADR-32): endpoints that answer requests, and that are found, described and watched by
//! everybody who asks.
//!
//! A service has a name, a version, and an id of its own for each instance. Its endpoints listen on subjects;
//! the instances of a service share their requests, unless a [`QueueGroup`] says otherwise. Every instance
//! answers on `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, and on the same with its name, and with its name and
//! id. Services of other clients (nats.go, nats.py, `nats micro`) do the same, so that each finds the others.
//!
//! ```no_run
//! use evnats::EventLoop;
//! use evnats::service::{EndpointConfig, ServiceConfig};
//!
//! #[derive(Default)]
//! struct App { sums: u64 }
//!
//! let event_loop = EventLoop::<App>::new()?;
//! let nats = event_loop.connect("nats://127.0.0.1:4222")?;
//! let service = nats.service(ServiceConfig::new("calculator", "1.0.0").description("adds"))?;
//! let add = EndpointConfig::new("add").subject("numbers.add");
//! service.endpoint(add, |app, _, request| {
//!     let mut sum = 0_i64;
//!     for number in request.text().split_whitespace() {
//!         match number.parse::<i64>().ok().and_then(|number| sum.checked_add(number)) {
//!             Some(next) => sum = next,
//!             None => return request.error(400, "that is no number, or too large a one", ""),
//!         }
//!     }
//!     app.sums += 1;
//!     request.respond(sum.to_string())
//! })?;
//! service.on_event(|_, service, event| eprintln!("{}: {event}", service.name()));
//! event_loop.run(&mut App::default())?;
//! # Ok::<(), evnats::Error>(())
//! ```
//!
//! # What is promised
//!
//! * **A caller has an answer**, also from a handler that fails: what it returns as an error, and its panic,
//!   are answered with code 500, as far as there was no answer yet. The service lives on. Where programs
//!   abort on a panic, they do so here.
//! * **A request may be kept**, and answered from anywhere on the loop, later.
//! * **A stop loses nothing**: what the server has sent by then is handled, and what was kept is waited for,
//!   for [`ServiceConfig::stop_timeout`]. Then [`Service::stop`] calls back, exactly once.
//! * **What is counted** is that of ADR-32: requests that have come, errors that were answered or happened,
//!   and the time that handlers have run. A request that is kept does not count for longer.
//! * A service outlives the loss of its connection. It has the same id on the next one, and its counts. What
//!   was on its way then is lost, as always in core NATS, and its callers are told so by their own clients.
//! * A service sets none of the client's hooks, and does not know of others on the same client.
//!
//! # Rights
//!
//! A user with restricted rights needs, for the service `S`:
//!
//! | operation | needs to subscribe to | needs to publish to | without it, does less |
//! |---|---|---|---|
//! | an endpoint | its subject | the inboxes of its callers: `_INBOX.>`, or the [permission to answer](https://docs.nats.io/running-a-nats-service/configuration/securing_nats/authorization#allow-responses-map) | |
//! | to be found and watched | `$SRV.PING`, `$SRV.PING.S`, `$SRV.PING.S.*`, the same of `INFO` and `STATS` | as an endpoint | a subject that is not permitted is [`ServiceEvent::ControlDenied`]: the service works, and is not found there |
//! | [`ping_services`](crate::Client::ping_services) | `_INBOX.*.*` | `$SRV.PING`; with a name `$SRV.PING.S`; with an id `$SRV.PING.S.*` | |
//! | [`services_info`](crate::Client::services_info) | the same | the same of `INFO` | |
//! | [`services_stats`](crate::Client::services_stats) | the same | the same of `STATS` | |
//!
//! # When nothing comes
//!
//! Nothing waits for ever without a word:
//!
//! | what is wrong | what is told, and when |
//! |---|---|
//! | an endpoint is not permitted, or no longer | [`ServiceEvent::EndpointDenied`], as soon as the server has refused |
//! | a subject of discovery is not permitted | [`ServiceEvent::ControlDenied`], as soon as the server has refused |
//! | an answer is not permitted | the client's [`on_error`](crate::Client::on_error); its caller has a timeout |
//! | an answer cannot be sent | [`ServiceEvent::AnswerFailed`]; of one that is too large, its caller has error 500 |
//! | a handler fails or panics | its caller has error 500; [`ServiceEvent::HandlerFailed`], [`ServiceEvent::HandlerPanicked`] |
//! | a handler does not answer | nothing here: some services do so on purpose; its caller has a timeout |
//! | a request that was kept is not answered | nothing, until the service is stopped: [`Error::Unanswered`], after [`ServiceConfig::stop_timeout`] |
//! | the connection is lost | the client's hooks; the service goes on with the next one |
//! | the connection is lost while the service stops | the stop goes on with what has come by then |
//! | the client is over | [`Service::on_end`], and the callback of a stop: [`Error::ClientEnded`] |
//! | there is no such service | an empty list, at once |
//! | services do not reply | what has come, after the timeout; [`Discovered::end`] says so |
//! | something else replies | [`Discovered::unreadable`] |
//! | a question is not permitted, or its inbox | [`RequestError::Denied`](crate::RequestError::Denied), as soon as the server has refused |
//! | there is no connection in all the time of a question | [`RequestError::NeverSent`](crate::RequestError::NeverSent) |

mod check;
mod config;
mod control;
mod discovery;
mod endpoint;
mod error;
mod error_reply;
mod event;
mod group;
mod handle;
mod open;
mod records;
mod request;
mod running;
mod serving;
mod stopping;
mod tally;
mod telling;

pub use config::{EndpointConfig, QueueGroup, ServiceConfig};
pub use discovery::{Discovered, DiscoveryOptions, PingedService, UnreadableReply};
pub use endpoint::Endpoint;
pub use error::Error;
pub use error_reply::{ErrorReply, check_reply};
pub use event::ServiceEvent;
pub use group::ServiceGroup;
pub use handle::Service;
pub use records::{EndpointInfo, EndpointStats, ServiceIdentity, ServiceInfo, ServiceStats};
pub use request::ServiceRequest;
pub use running::ServiceState;
