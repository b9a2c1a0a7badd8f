//! Simulation: a loop with a clock that jumps, a network in memory, and randomness from a seed, for
//! tests that take no time and can be repeated exactly.
//!
//! A loop in a [`Simulation`] is like any other, with the same clients on it. Time passes only while
//! the loop waits: then the clock jumps to whatever comes next, a deadline of the loop or something
//! on the network. Servers are [`Peer`]s, one for each connection; they live on the network and run
//! while the loop waits. The same seed and the same program give the same run.
//!
//! ```
//! use evnats::simulation::{Connection, Peer, Simulation};
//! use std::time::Duration;
//!
//! /// A server that does no more than answer pings.
//! struct Idle;
//!
//! impl Peer for Idle {
//!     fn handle_bytes(&mut self, connection: &Connection, bytes: &[u8]) {
//!         for line in String::from_utf8_lossy(bytes).lines() {
//!             if line == "PING" {
//!                 connection.send(b"PONG\r\n");
//!             }
//!         }
//!     }
//! }
//!
//! let simulation = Simulation::new(7);
//! simulation.listen("nats.test:4222", |connection| {
//!     connection.send(b"INFO {\"headers\":true,\"max_payload\":1048576}\r\n");
//!     Idle
//! })?;
//! let event_loop = simulation.event_loop::<bool>()?;
//! let nats = event_loop.connect("nats://nats.test:4222")?;
//! nats.set_timer(Duration::from_secs(86_400), |survived: &mut bool, nats| {
//!     *survived = true;
//!     nats.close();
//! });
//! let mut survived = false;
//! event_loop.run(&mut survived)?; // a day of keep-alive, in no time
//! assert!(survived && simulation.elapsed() >= Duration::from_secs(86_400));
//! # Ok::<(), evnats::Error>(())
//! ```

mod network;
mod platform;
mod wire;
mod world;

pub use wire::{Connection, Peer};
pub use world::Simulation;
