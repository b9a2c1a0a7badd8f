//! The session's state: one owner for each part of it, and the questions about it.
//!
//! Every field has a file of its own with its invariant. What concerns more than one of them is in
//! the files beside this one: [`transport`](super::transport), [`commands`](super::commands),
//! [`incoming`](super::incoming), [`timing`](super::timing), [`moving`](super::moving),
//! [`ending`](super::ending), [`resuming`](super::resuming).

use super::config::SessionConfig;
use super::event::{Event, Statistics};
use super::handoff::Handoff;
use super::inbound::Inbound;
use super::leg::{Leg, Phase};
use super::life::Life;
use crate::random::Random;
use crate::tables::fences::Fences;
use crate::tables::outgoing::Outgoing;
use crate::tables::requests::Requests;
use crate::tables::subscriptions::{SubscriptionId, Subscriptions};
use crate::wire::info::ServerInfo;
use std::collections::VecDeque;
use std::fmt;

/// One connection's protocol. `S`, `R` and `F` are what the driver attaches to subscriptions,
/// requests and fences.
pub struct Session<S, R, F> {
    pub(super) config: SessionConfig,
    pub(super) life: Life,
    /// It has been connected.
    pub(super) was_connected: bool,
    /// The connection that commands go to.
    pub(super) current: Leg,
    /// The way to another server, while the session moves. Boxed, because there is none most of the
    /// time.
    pub(super) handoff: Option<Box<Handoff<F>>>,
    pub(super) outgoing: Outgoing,
    pub(super) subscriptions: Subscriptions<S>,
    pub(super) requests: Requests<R>,
    pub(super) fences: Fences<F>,
    pub(super) inbound: Inbound,
    /// What has happened and was not polled.
    pub(super) events: VecDeque<Event<S, R, F>>,
    pub(super) statistics: Statistics,
    pub(super) random: Random,
}

impl<S, R, F> Session<S, R, F> {
    /// A session that waits for its transport. What `random` returns makes its inbox unique, keeps
    /// strangers from answering its requests, and peers from forging messages that count as copies
    /// of each other: it has to be a cryptographic generator that is seeded by the system. It is
    /// called once for each request.
    #[must_use]
    pub fn new(config: SessionConfig, random: impl FnMut() -> u64 + 'static) -> Self {
        let mut random = Random::new(random);
        Self {
            life: Life::Running,
            was_connected: false,
            current: Leg::new(&config),
            handoff: None,
            outgoing: Outgoing::default(),
            subscriptions: Subscriptions::default(),
            requests: Requests::new(&config.inbox_prefix, &mut random),
            fences: Fences::default(),
            inbound: Inbound::new(random.u128()),
            random,
            events: VecDeque::new(),
            statistics: Statistics::default(),
            config,
        }
    }

    /// The phase of the session's life and of its current connection.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.current.phase() {
            _ if self.life.is_over() => Phase::Closed,
            Phase::Ready if self.life.is_draining() => Phase::Draining,
            phase => phase,
        }
    }

    /// The last `INFO` of the server that the session is connected or connecting to, once it has
    /// sent one.
    #[must_use]
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.current.server_info()
    }

    /// Whether the session has ever been connected.
    #[must_use]
    pub fn was_connected(&self) -> bool {
        self.was_connected
    }

    /// Whether the session will end once everything pending is complete.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.life.is_draining()
    }

    /// Counts since the session began. Looks through what waits to be written, which does not count
    /// as sent.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let (messages, bytes) = self.outgoing.waiting_messages();
        Statistics {
            messages_out: self.statistics.messages_out.saturating_sub(messages),
            bytes_out: self.statistics.bytes_out.saturating_sub(bytes),
            ..self.statistics
        }
    }

    /// How often another connection was made after the first one; [`statistics`](Self::statistics) has
    /// it, too, and looks at all that waits to be sent.
    #[inline]
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.statistics.reconnects
    }

    /// The context of a live subscription.
    #[inline]
    #[must_use]
    pub fn subscription_mut(&mut self, id: SubscriptionId) -> Option<&mut S> {
        self.subscriptions.get_mut(id).map(|entry| &mut entry.context)
    }

    /// The contexts of all live subscriptions.
    pub fn subscriptions(&self) -> impl Iterator<Item = &S> {
        self.subscriptions.contexts()
    }

    /// The first token or tokens of inboxes.
    #[must_use]
    pub fn inbox_prefix(&self) -> &str {
        &self.config.inbox_prefix
    }

    /// Number of live subscriptions, the request inbox not counted.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// Number of requests without an outcome.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.requests.len()
    }

    /// Bytes of commands that wait to be written, or for the handshake.
    #[inline]
    #[must_use]
    pub fn buffered_len(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether commands go to a server, and not only into the buffer.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.current.is_open()
    }
}

impl<S, R, F> fmt::Debug for Session<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase())
            .field("server", &self.server_info().map(|info| &info.server_name))
            .field("subscriptions", &self.subscriptions.len())
            .field("requests", &self.requests.len())
            .field("buffered", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}
