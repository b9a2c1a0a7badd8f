//! The line between the two ends of a stream: how much may be under way on it, whether it was hung up, and
//! since when the server has been silent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How much of a stream may wait for its consumer. One item may be larger than all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mongo) struct StreamLimits {
    pub(in crate::mongo) items: usize,
    pub(in crate::mongo) bytes: usize,
}

pub(super) struct Line {
    limits: StreamLimits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    items: usize,
    bytes: usize,
    is_stopped: bool,
    /// Since when an answer has been waited for.
    waiting_since: Option<Instant>,
}

impl Line {
    pub(super) fn new(limits: StreamLimits) -> Self {
        Self { limits, state: Mutex::default(), changed: Notify::new() }
    }

    /// Takes credit for an item, when there is some. `false`: the line was hung up.
    pub(super) async fn take_credit(&self, bytes: usize) -> bool {
        loop {
            if let Some(is_live) = self.try_take(bytes) {
                return is_live;
            }
            self.changed.notified().await;
        }
    }

    fn try_take(&self, bytes: usize) -> Option<bool> {
        let mut state = self.state();
        if state.is_stopped {
            return Some(false);
        }
        let is_empty = state.items == 0;
        let fits = state.items < self.limits.items && state.bytes + bytes <= self.limits.bytes;
        if !is_empty && !fits {
            return None;
        }
        state.items += 1;
        state.bytes += bytes;
        Some(true)
    }

    /// Takes credit for an item, also if there is none.
    pub(super) fn take_anyway(&self, bytes: usize) {
        let mut state = self.state();
        state.items += 1;
        state.bytes += bytes;
    }

    /// Gives the credit of an item back.
    pub(super) fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        state.items = state.items.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn hang_up(&self) {
        self.state().is_stopped = true;
        self.changed.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    pub(super) fn set_waiting(&self, since: Option<Instant>) {
        self.state().waiting_since = since;
    }

    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.state().waiting_since
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(StreamLimits { items: 2, bytes: 100 })
    }

    #[test]
    fn credit_is_counted_in_items_and_in_bytes() {
        let line = line();
        assert_eq!(line.try_take(60), Some(true));
        assert_eq!(line.try_take(60), None, "too many bytes");
        assert_eq!(line.try_take(40), Some(true));
        assert_eq!(line.try_take(0), None, "too many items");
        line.give_back(60);
        assert_eq!(line.try_take(60), Some(true));
    }

    #[test]
    fn an_item_that_is_larger_than_the_limit_goes_alone() {
        let line = line();
        assert_eq!(line.try_take(1_000), Some(true));
        assert_eq!(line.try_take(1), None);
        line.give_back(1_000);
        assert_eq!(line.try_take(1), Some(true));
    }

    #[test]
    fn nothing_more_is_taken_once_it_is_hung_up() {
        let line = line();
        line.hang_up();
        assert_eq!(line.try_take(1), Some(false));
    }
}
