//! The session: one connection's protocol as a state machine, without socket and clock.
//!
//! A driver feeds it what happened (`handle_*`), gives it commands, and takes what is to be done
//! (`poll_event`, `chunks`). Three invariants hold whatever the peer and the driver do: every
//! context comes back exactly once, `PONG`s are matched to `PING`s in order, and nothing of what
//! the user sent is written before the handshake is done.
//!
//! A session can outlive its connection ([`SessionConfig::resume`](crate::SessionConfig)): the
//! driver makes another one, and the session restores on it what the server has to know. Which
//! server that is, and when, is not its business; see [`ServerPool`](crate::ServerPool).

pub(crate) mod command_error;
mod commands;
pub(crate) mod config;
mod ending;
pub(crate) mod event;
mod handoff;
mod inbound;
mod incoming;
pub(crate) mod leg;
mod life;
mod moving;
pub(crate) mod outgoing_message;
mod pause;
mod resuming;
pub(crate) mod state;
mod timing;
pub(crate) mod transport;
