//! Readiness: what can be done with a source now, and the way to report it without a selector.
//!
//! Sources with a descriptor are reported by the selector. For the others there is
//! [`SetReadiness`]: what is set is kept until the loop takes it, so reports are neither lost nor
//! piled up, however many come between two turns.

use super::alarm::Alarm;
use mio::Token;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be done with a source: an edge, reported once. It can be reported in vain, as a
/// selector does at times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Something can be read, or the end of the stream, or an error.
    pub const READABLE: Self = Self(1);
    /// Something can be written.
    pub const WRITABLE: Self = Self(2);
    /// The peer sends no more. What it sent before can still be read.
    pub const READ_CLOSED: Self = Self(4);
    /// The source has failed; reading or writing tells how.
    pub const ERROR: Self = Self(8);

    /// Whether a read is worth trying.
    #[must_use]
    pub fn is_readable(self) -> bool {
        self.contains(Self::READABLE)
    }

    /// Whether a write is worth trying.
    #[must_use]
    pub fn is_writable(self) -> bool {
        self.contains(Self::WRITABLE)
    }

    /// Whether the peer sends no more.
    #[must_use]
    pub fn is_read_closed(self) -> bool {
        self.contains(Self::READ_CLOSED)
    }

    /// Whether the source has failed.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.contains(Self::ERROR)
    }

    fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl From<&mio::event::Event> for Readiness {
    fn from(event: &mio::event::Event) -> Self {
        let mut readiness = Self::default();
        for (is_so, flag) in [
            (event.is_readable(), Self::READABLE),
            (event.is_writable(), Self::WRITABLE),
            (event.is_read_closed(), Self::READ_CLOSED),
            (event.is_error(), Self::ERROR),
        ] {
            if is_so {
                readiness |= flag;
            }
        }
        readiness
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .field("read_closed", &self.is_read_closed())
            .field("error", &self.is_error())
            .finish()
    }
}

/// Reports the readiness of a source that no selector knows, such as a transport in memory. A
/// cheap handle, for any thread; see [`Registration`](crate::Registration).
#[derive(Clone)]
pub struct SetReadiness {
    signal: Arc<Signal>,
    reported: Arc<Reported>,
}

/// What was set for one source and has not been taken by the loop.
struct Signal {
    token: Token,
    pending: AtomicU8,
}

/// The sources that were reported since the loop looked last, each at most once.
pub(crate) struct Reported {
    signals: Mutex<Vec<Arc<Signal>>>,
    /// Whether there are signals: set with them locked, and read in every turn without.
    is_empty: AtomicBool,
    alarm: Arc<Alarm>,
}

impl SetReadiness {
    pub(super) fn new(token: Token, reported: Arc<Reported>) -> Self {
        Self { signal: Arc::new(Signal { token, pending: AtomicU8::new(0) }), reported }
    }

    /// Has the loop look at the source in its next turn, and wakes the loop for it.
    pub fn set_readiness(&self, readiness: Readiness) {
        let pending = self.signal.pending.fetch_or(readiness.0, Ordering::SeqCst);
        if pending == 0 && readiness != Readiness::default() {
            self.reported.push(self.signal.clone());
        }
    }
}

impl fmt::Debug for SetReadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetReadiness").finish_non_exhaustive()
    }
}

impl Reported {
    pub(super) fn new(alarm: Arc<Alarm>) -> Self {
        Self { signals: Mutex::default(), is_empty: AtomicBool::new(true), alarm }
    }

    /// Whether nothing was reported. A report that rang the [alarm](Alarm) is seen.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::SeqCst)
    }

    fn push(&self, signal: Arc<Signal>) {
        let mut signals = self.signals();
        signals.push(signal);
        self.is_empty.store(false, Ordering::SeqCst);
        drop(signals);
        self.alarm.ring();
    }

    /// Takes what has been reported. `taken` is an empty buffer, for the loop to use again.
    pub(super) fn take(&self, taken: &mut Vec<(Token, Readiness)>) {
        let mut signals = self.signals();
        self.is_empty.store(true, Ordering::SeqCst);
        taken.extend(
            signals
                .drain(..)
                .map(|signal| (signal.token, Readiness(signal.pending.swap(0, Ordering::SeqCst)))),
        );
    }

    /// A push or a drain leaves the list whole also when it panics.
    fn signals(&self) -> MutexGuard<'_, Vec<Arc<Signal>>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_twice_is_reported_once_and_together() {
        let alarm = Arc::new(Alarm::new(Box::new(|| {})));
        let reported = Arc::new(Reported::new(alarm));
        let one = SetReadiness::new(Token(1), reported.clone());
        let other = SetReadiness::new(Token(2), reported.clone());
        one.set_readiness(Readiness::default());
        assert!(reported.is_empty(), "nothing was set");
        one.set_readiness(Readiness::READABLE);
        other.set_readiness(Readiness::READABLE);
        one.set_readiness(Readiness::WRITABLE);
        let mut taken = Vec::new();
        reported.take(&mut taken);
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(taken, [(Token(1), both), (Token(2), Readiness::READABLE)]);
        assert!(reported.is_empty());
        one.set_readiness(Readiness::READABLE);
        assert!(!reported.is_empty(), "an edge again");
    }
}
