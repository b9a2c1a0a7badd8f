//! How long to wait before the next attempt.

use std::time::Duration;

/// How attempts that fail are repeated: after pauses that grow, each somewhat random, until one gets on.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    pub(in crate::mongo) first: Duration,
    pub(in crate::mongo) longest: Duration,
    pub(in crate::mongo) factor: f64,
    pub(in crate::mongo) jitter: f64,
    pub(in crate::mongo) attempts: Option<u32>,
}

impl Default for Backoff {
    /// 200 ms, then twice as long each time, up to 30 s, give or take a fifth, without an end.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            factor: 2.0,
            jitter: 0.2,
            attempts: None,
        }
    }
}

impl Backoff {
    /// The default one; see [`Backoff::default`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No repetition: the first failure counts.
    #[must_use]
    pub fn none() -> Self {
        Self { attempts: Some(0), ..Self::default() }
    }

    /// The first pause. 200 ms by default.
    #[must_use]
    pub fn first(mut self, pause: Duration) -> Self {
        self.first = pause;
        self
    }

    /// The longest pause. 30 s by default.
    #[must_use]
    pub fn longest(mut self, pause: Duration) -> Self {
        self.longest = pause;
        self
    }

    /// How much longer than the one before a pause is. Twice by default.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.max(1.0);
        self
    }

    /// By how much of itself a pause may be shorter or longer, from 0 to 1. 0.2 by default.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter.clamp(0.0, 1.0);
        self
    }

    /// How often in a row it is tried again before the failure counts. No limit by default.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// The pause after so many failures in a row before this one, with a random number of 64 bits. `None`:
    /// it is not tried again.
    pub(in crate::mongo) fn pause(&self, failures: u32, random: u64) -> Option<Duration> {
        let is_over = self.attempts.is_some_and(|attempts| failures >= attempts);
        (!is_over).then(|| self.pause_in_any_case(failures, random))
    }

    /// As [`pause`](Self::pause), however often it was tried.
    pub(in crate::mongo) fn pause_in_any_case(&self, failures: u32, random: u64) -> Duration {
        let exponent = i32::try_from(failures.min(64)).unwrap_or(64);
        let pause = self.first.as_secs_f64() * self.factor.powi(exponent);
        let pause = pause.min(self.longest.as_secs_f64());
        // from -1 to 1
        let swing = random as f64 / u64::MAX as f64 * 2.0 - 1.0;
        Duration::try_from_secs_f64(pause * (1.0 + swing * self.jitter)).unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u64 = u64::MAX / 2;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let backoff =
            Backoff::new().first(Duration::from_millis(100)).longest(Duration::from_secs(1));
        let pauses: Vec<_> = (0..6).map(|n| backoff.pause(n, MIDDLE).expect("a pause")).collect();
        let millis: Vec<_> = pauses.iter().map(|pause| pause.as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.pause(u32::MAX, MIDDLE).map(|pause| pause.as_millis()), Some(1000));
    }

    #[test]
    fn a_pause_is_shorter_or_longer_by_the_jitter() {
        let backoff = Backoff::new().first(Duration::from_secs(1)).jitter(0.5);
        assert_eq!(backoff.pause(0, 0).map(|pause| pause.as_millis()), Some(500));
        assert_eq!(backoff.pause(0, u64::MAX).map(|pause| pause.as_millis()), Some(1500));
    }

    #[test]
    fn attempts_come_to_an_end() {
        assert_eq!(Backoff::none().pause(0, MIDDLE), None);
        let backoff = Backoff::new().attempts(2);
        assert!(backoff.pause(1, MIDDLE).is_some());
        assert_eq!(backoff.pause(2, MIDDLE), None);
    }
}
