//! How soon the server is asked again after a request of which nothing came.
//!
//! Many answers come at once, and whoever asks again at once is answered at once again. So every such
//! answer is followed by a pause, and each pause is twice the one before, until there is progress. The
//! bound that follows: without progress there are no more than a few requests in the first seconds,
//! and then one in eight to ten seconds.

use crate::event_loop::after;
use std::time::{Duration, Instant};

/// The pause after the first request of which nothing came …
pub(in crate::jetstream::consume) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … and the longest one.
pub(in crate::jetstream::consume) const LAST_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(in crate::jetstream::consume) struct Backoff {
    first: Duration,
    last: Duration,
    /// The last pause, without jitter. Zero: there was progress.
    pause: Duration,
    until: Option<Instant>,
    random: fastrand::Rng,
}

impl Backoff {
    /// The seed spreads the pauses of many clients that hear the same at once.
    pub(super) fn new(seed: u64) -> Self {
        Self::between(FIRST_PAUSE, LAST_PAUSE, seed)
    }

    /// As [`new`](Self::new), with another first pause and another longest one.
    pub(in crate::jetstream::consume) fn between(
        first: Duration,
        last: Duration,
        seed: u64,
    ) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { first, last, pause: Duration::ZERO, until: None, random }
    }

    /// When the server may be asked again. `None`: at once.
    #[inline]
    pub(in crate::jetstream::consume) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the last request brought something, and the next one need not wait.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.pause.is_zero() && self.until.is_none()
    }

    /// Whatever was refused before was refused by somebody else, or for another reason.
    pub(in crate::jetstream::consume) fn reset(&mut self) {
        self.pause = Duration::ZERO;
        self.until = None;
    }

    /// There is progress: pauses are short again, and so is what is left of this one. It is not over,
    /// as one request may be refused while others bring messages.
    #[inline]
    pub(super) fn note_progress(&mut self, now: Instant) {
        self.pause = Duration::ZERO;
        if let Some(until) = &mut self.until {
            *until = (*until).min(now + self.first);
        }
    }

    /// Nothing came of a request. Of several that end during a pause, only the first one counts.
    pub(in crate::jetstream::consume) fn fail(&mut self, now: Instant) {
        if self.until.is_none() {
            self.pause = self.pause.saturating_mul(2).clamp(self.first, self.last);
            self.wait(self.pause, now);
        }
    }

    /// A request has lived as long as it may, which is so short that others are to follow slowly.
    pub(super) fn slow_down(&mut self, now: Instant) {
        if self.until.is_none() {
            self.wait(self.first, now);
        }
    }

    /// Ends a pause that is over.
    pub(in crate::jetstream::consume) fn handle_timeout(&mut self, now: Instant) {
        self.until = self.until.filter(|until| now < *until);
    }

    fn wait(&mut self, pause: Duration, now: Instant) {
        // up to a fifth less, so that clients do not come back all at once
        self.until = Some(after(now, pause.mul_f64(1.0 - 0.2 * self.random.f64())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_one_until_there_is_progress() {
        let (mut backoff, mut now) = (Backoff::new(7), Instant::now());
        for pause in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            backoff.fail(now);
            let until = backoff.until().expect("a pause");
            let longest = Duration::from_millis(pause);
            assert!(until - now <= longest && until - now >= longest.mul_f64(0.8), "{pause}");
            backoff.fail(now);
            assert_eq!(backoff.until(), Some(until), "one pause at a time");
            backoff.handle_timeout(until - Duration::from_nanos(1));
            assert_eq!(backoff.until(), Some(until));
            backoff.handle_timeout(until);
            assert_eq!(backoff.until(), None);
            now = until;
        }
        backoff.fail(now);
        backoff.note_progress(now);
        assert_eq!(backoff.until(), Some(now + FIRST_PAUSE), "the long one is cut short");
        backoff.note_progress(now + FIRST_PAUSE / 2);
        assert_eq!(backoff.until(), Some(now + FIRST_PAUSE), "however often");
        backoff.reset();
        assert_eq!(backoff.until(), None);
        backoff.fail(now);
        assert!(backoff.until().expect("a pause") - now <= FIRST_PAUSE);
    }

    #[test]
    fn clients_come_back_at_different_times() {
        let now = Instant::now();
        let until = |seed| {
            let mut backoff = Backoff::new(seed);
            backoff.fail(now);
            backoff.until()
        };
        assert_ne!(until(1), until(2));
        assert_eq!(until(1), until(1), "it can be repeated");
    }
}
