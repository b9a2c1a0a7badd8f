//! The messages of a paused subscription: those that have arrived and are not delivered yet.
//!
//! Invariant: it holds no more than its limits allow. What is beyond them is dropped and counted,
//! and every run of drops is reported once. It does not know which subscription it belongs to.

use crate::setters::setters;
use crate::wire::message::Message;
use std::collections::VecDeque;

/// How much may wait for a paused subscription: `PendingLimits::new().messages(1000)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingLimits {
    /// Maximum number of messages. Default: 65,536.
    pub messages: usize,
    /// Maximum number of bytes of headers and payloads. Default: 64 MiB.
    pub bytes: usize,
}

impl PendingLimits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! { messages: usize, bytes: usize }
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self { messages: 1 << 16, bytes: 64 << 20 }
    }
}

/// A subscription in numbers, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SubscriptionSnapshot {
    /// Messages that wait because the subscription is paused, or was and is being resumed.
    pub pending_messages: usize,
    /// Their bytes, headers and payloads.
    pub pending_bytes: usize,
    /// The most messages that have waited at one time.
    pub max_pending_messages: usize,
    /// The most bytes that have waited at one time.
    pub max_pending_bytes: usize,
    /// Messages that were delivered since the subscription began.
    pub delivered: u64,
    /// Messages that were dropped since the subscription began, because the limits were reached.
    pub dropped: u64,
    /// How much may wait.
    pub limits: PendingLimits,
    /// Whether it is paused.
    pub is_paused: bool,
}

#[derive(Debug, Default)]
pub(crate) struct PausedMessages {
    pub(crate) paused: bool,
    pub(crate) limits: PendingLimits,
    messages: VecDeque<Message>,
    bytes: usize,
    /// The most messages and bytes at one time.
    peak: (usize, usize),
    dropped: u64,
    /// Messages that were removed because they are beyond the maximum.
    truncated: u64,
    /// The last message was dropped.
    is_slow: bool,
}

impl PausedMessages {
    /// Keeps a message, or drops it. Returns whether it is the first one dropped since a message
    /// was kept.
    pub(crate) fn push(&mut self, message: &Message) -> bool {
        let is_full = self.messages.len() >= self.limits.messages
            || self.bytes + message.len() > self.limits.bytes;
        if is_full {
            self.dropped += 1;
            return !std::mem::replace(&mut self.is_slow, true);
        }
        self.is_slow = false;
        self.bytes += message.len();
        self.messages.push_back(message.clone());
        let (messages, bytes) = self.peak;
        self.peak = (messages.max(self.messages.len()), bytes.max(self.bytes));
        false
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    /// Keeps the first messages only.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.truncated += self.messages.len().saturating_sub(count) as u64;
        self.messages.truncate(count);
        self.bytes = self.messages.iter().map(Message::len).sum();
    }

    /// Messages that arrived while the subscription was paused and that were not delivered.
    pub(crate) fn undelivered(&self) -> u64 {
        self.messages.len() as u64 + self.dropped + self.truncated
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A subscription in numbers, of whose messages `arrived` have come and counted.
    pub(crate) fn snapshot(&self, arrived: u64) -> SubscriptionSnapshot {
        let (max_pending_messages, max_pending_bytes) = self.peak;
        SubscriptionSnapshot {
            pending_messages: self.messages.len(),
            pending_bytes: self.bytes,
            max_pending_messages,
            max_pending_bytes,
            delivered: arrived.saturating_sub(self.undelivered()),
            dropped: self.dropped,
            limits: self.limits,
            is_paused: self.paused,
        }
    }
}
