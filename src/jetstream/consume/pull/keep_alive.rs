//! How a consumer is kept that nobody asks for messages for a while. The server deletes one without a
//! request within its `inactive_threshold`, which ephemeral ones have without being told to.

use crate::jetstream::manage::ConsumerConfig;
use std::time::{Duration, Instant};

/// The threshold of an ephemeral consumer that was created without one.
const DEFAULT_THRESHOLD: Duration = Duration::from_secs(5);
/// However short the threshold is, requests are no more frequent.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request waits that is to bring nothing.
pub(super) const EXPIRES: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct KeepAlive {
    threshold: Threshold,
    /// When the server was sent any request last.
    sent: Instant,
    /// The number of the last request that was to keep the consumer.
    number: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    /// Nobody has asked.
    Unknown,
    /// The server has been asked, and has not told. The worst is assumed.
    Assumed,
    /// The server has told. `None`: the consumer is never deleted for inactivity.
    Told(Option<Duration>),
}

impl KeepAlive {
    pub(super) fn new(now: Instant) -> Self {
        Self { threshold: Threshold::Unknown, sent: now, number: None }
    }

    /// Whether the threshold is still to be asked for. It is asked for once.
    pub(super) fn wants_threshold(&mut self) -> bool {
        let wants = self.threshold == Threshold::Unknown;
        if wants {
            self.threshold = Threshold::Assumed;
        }
        wants
    }

    pub(super) fn learn(&mut self, config: &ConsumerConfig) {
        self.threshold = Threshold::Told(config.inactive_threshold);
    }

    /// When the server has to be sent something at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        let threshold = match self.threshold {
            Threshold::Unknown | Threshold::Assumed => DEFAULT_THRESHOLD,
            Threshold::Told(threshold) => threshold?,
        };
        self.sent.checked_add((threshold / 2).max(SHORTEST_INTERVAL))
    }

    /// The server is sent a request for messages.
    pub(super) fn note_request(&mut self, now: Instant) {
        self.sent = now;
    }

    /// The server is sent the request with this number, which is to bring nothing.
    pub(super) fn note_keep_alive(&mut self, number: u64, now: Instant) {
        self.sent = now;
        self.number = Some(number);
    }

    /// Whether it is the last request that was to bring nothing.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_threshold_of_an_ephemeral_consumer_is_assumed_until_the_server_tells() {
        let now = Instant::now();
        let mut keep_alive = KeepAlive::new(now);
        assert!(keep_alive.wants_threshold() && !keep_alive.wants_threshold());
        assert_eq!(keep_alive.due(), Some(now + 5 * SECOND / 2));
        keep_alive.note_request(now + SECOND);
        assert_eq!(keep_alive.due(), Some(now + SECOND + 5 * SECOND / 2));
        keep_alive.learn(&ConsumerConfig::default().inactive_threshold(60 * SECOND));
        assert!(!keep_alive.wants_threshold());
        keep_alive.note_keep_alive(7, now + 2 * SECOND);
        assert_eq!(keep_alive.due(), Some(now + 32 * SECOND));
        assert!(keep_alive.is(7) && !keep_alive.is(6));
    }

    #[test]
    fn a_consumer_that_is_never_deleted_is_left_alone_and_a_short_threshold_is_no_flood() {
        let now = Instant::now();
        let mut keep_alive = KeepAlive::new(now);
        keep_alive.learn(&ConsumerConfig::default());
        assert_eq!(keep_alive.due(), None);
        keep_alive.learn(&ConsumerConfig::default().inactive_threshold(Duration::from_nanos(1)));
        assert_eq!(keep_alive.due(), Some(now + SHORTEST_INTERVAL));
        keep_alive.learn(&ConsumerConfig::default().inactive_threshold(Duration::MAX));
        assert_eq!(keep_alive.due(), now.checked_add(Duration::MAX / 2));
    }
}
