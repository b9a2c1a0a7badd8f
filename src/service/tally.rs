//! What an endpoint counts.

use std::cell::{Cell, RefCell};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Tally {
    requests: Cell<u64>,
    errors: Cell<u64>,
    last_error: RefCell<String>,
    processing_time: Cell<Duration>,
}

impl Tally {
    pub(super) fn note_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    pub(super) fn note_error(&self, error: String) {
        self.errors.set(self.errors.get() + 1);
        self.last_error.replace(error);
    }

    /// The handler has run for this time.
    pub(super) fn note_time(&self, time: Duration) {
        self.processing_time.set(self.processing_time.get().saturating_add(time));
    }

    pub(super) fn reset(&self) {
        self.requests.take();
        self.errors.take();
        self.last_error.take();
        self.processing_time.take();
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.get()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.get()
    }

    pub(super) fn last_error(&self) -> String {
        self.last_error.borrow().clone()
    }

    pub(super) fn processing_time(&self) -> Duration {
        self.processing_time.get()
    }

    /// In whole nanoseconds, rounded down; zero without a request (ADR-32).
    pub(super) fn average_processing_time(&self) -> Duration {
        let total = self.processing_time.get().as_nanos();
        let average = total.checked_div(u128::from(self.requests.get())).unwrap_or_default();
        Duration::from_nanos(u64::try_from(average).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_whole_nanoseconds_for_each_request() {
        let tally = Tally::default();
        assert_eq!(tally.average_processing_time(), Duration::ZERO);
        for nanos in [3, 4, 4] {
            tally.note_request();
            tally.note_time(Duration::from_nanos(nanos));
        }
        assert_eq!(tally.average_processing_time(), Duration::from_nanos(3));
        tally.note_error("500:no".into());
        tally.reset();
        assert_eq!((tally.requests(), tally.errors(), &*tally.last_error()), (0, 0, ""));
        assert_eq!(tally.processing_time(), Duration::ZERO);
        tally.note_time(Duration::MAX);
        tally.note_time(Duration::MAX);
        tally.note_request();
        assert_eq!(tally.average_processing_time(), Duration::from_nanos(u64::MAX));
    }
}
