//! The messages of a paused subscription: those that have arrived and are not delivered yet.
//!
//! Invariant: it holds no more than its limits allow. What is beyond them is dropped and counted,
//! and every run of drops is reported once. It does not know which subscription it belongs to.

use crate::wire::message::Message;
use std::collections::VecDeque;

/// How much may wait for a paused subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Most messages. Default: 65,536.
    pub messages: usize,
    /// Most bytes of headers and payloads. Default: 64 MiB.
    pub bytes: usize,
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self { messages: 1 << 16, bytes: 64 << 20 }
    }
}

/// What waits for a paused subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Pending {
    /// Messages that wait.
    pub messages: usize,
    /// Their bytes, headers and payloads.
    pub bytes: usize,
    /// Messages that were dropped since the subscription began, because the limits were reached.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct PausedMessages {
    pub(crate) paused: bool,
    pub(crate) limits: PendingLimits,
    messages: VecDeque<Message>,
    bytes: usize,
    dropped: u64,
    /// Messages that were removed because they are beyond the maximum.
    truncated: u64,
    /// The last message was dropped.
    is_slow: bool,
}

impl PausedMessages {
    /// Keeps a message, or drops it. Returns whether it is the first one dropped since a message was
    /// kept.
    pub(crate) fn push(&mut self, message: &Message) -> bool {
        let is_full = self.messages.len() >= self.limits.messages
            || self.bytes + message.len() > self.limits.bytes;
        if is_full {
            self.dropped += 1;
            return !std::mem::replace(&mut self.is_slow, true);
        }
        self.is_slow = false;
        self.bytes += message.len();
        // a copy, because the original keeps its whole read buffer alive
        self.messages.push_back(message.detached());
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

    pub(crate) fn pending(&self) -> Pending {
        Pending { messages: self.messages.len(), bytes: self.bytes, dropped: self.dropped }
    }
}
