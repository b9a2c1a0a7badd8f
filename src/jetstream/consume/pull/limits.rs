//! What the consumer and the server permit one request to ask for, as far as it is known: from the
//! consumer's configuration, or from a refusal.

use super::options::ConsumeOptions;
use crate::jetstream::consume::status::{Amount, RequestLimit};
use crate::jetstream::manage::ConsumerConfig;
use std::time::Duration;

/// Servers permit at least this.
const LEAST_EXPIRES: Duration = Duration::from_millis(1);

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    batch: Option<u64>,
    expires: Option<Duration>,
    bytes: Option<u64>,
}

impl Limits {
    /// Takes the limits of a consumer's configuration.
    pub(super) fn learn(&mut self, config: &ConsumerConfig) {
        self.batch = lower(self.batch, config.max_batch);
        self.expires = lower(self.expires, config.max_expires);
        self.bytes = lower(self.bytes, config.max_bytes);
    }

    /// Takes the limit that a request was above. One that the server does not name, or that the
    /// request was not above, is half of what was asked for. Returns what holds from now on, if it is
    /// news.
    pub(super) fn exceed(
        &mut self,
        limit: RequestLimit,
        asked: Amount,
        expires: Duration,
    ) -> Option<RequestLimit> {
        let below = |named: Option<u64>, asked: u64| {
            Some(named.filter(|limit| *limit < asked).unwrap_or(asked / 2).max(1))
        };
        match limit {
            RequestLimit::Batch(named) => {
                let learned = lower(self.batch, below(named, asked.messages));
                (std::mem::replace(&mut self.batch, learned) != learned)
                    .then_some(RequestLimit::Batch(learned))
            }
            RequestLimit::Bytes(named) => {
                let learned = lower(self.bytes, below(named, asked.bytes));
                (std::mem::replace(&mut self.bytes, learned) != learned)
                    .then_some(RequestLimit::Bytes(learned))
            }
            RequestLimit::Expires(named) => {
                let named = named.filter(|limit| *limit < expires).unwrap_or(expires / 2);
                let learned = lower(self.expires, Some(named.max(LEAST_EXPIRES)));
                (std::mem::replace(&mut self.expires, learned) != learned)
                    .then_some(RequestLimit::Expires(learned))
            }
        }
    }

    /// How long a request waits.
    pub(super) fn expires(&self, options: &ConsumeOptions) -> Duration {
        self.at_most(options.expires)
    }

    /// No longer than that, and no longer than is permitted.
    pub(super) fn at_most(&self, expires: Duration) -> Duration {
        self.expires.map_or(expires, |limit| limit.min(expires))
    }

    /// How many messages there may be under way.
    pub(super) fn messages(&self, options: &ConsumeOptions) -> Option<u64> {
        options.message_limit().map(|limit| self.batch.map_or(limit, |batch| batch.min(limit)))
    }

    /// How many messages a request may ask for, whatever is under way.
    pub(super) fn batch(&self) -> Option<u64> {
        self.batch
    }

    /// How many bytes there may be under way.
    pub(super) fn bytes(&self, options: &ConsumeOptions) -> Option<u64> {
        options.max_bytes.map(|limit| self.bytes.map_or(limit, |bytes| bytes.min(limit)))
    }
}

fn lower<T: Ord>(known: Option<T>, other: Option<T>) -> Option<T> {
    match (known, other) {
        (Some(known), Some(other)) => Some(known.min(other)),
        (known, other) => known.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ASKED: Amount = Amount { messages: 500, bytes: 1000 };

    #[test]
    fn a_limit_that_the_server_names_holds_from_then_on_and_is_news_once() {
        let mut limits = Limits::default();
        let options = ConsumeOptions::new().max_messages(500).max_bytes(1000);
        let batch = RequestLimit::Batch(Some(5));
        assert_eq!(limits.exceed(batch, ASKED, 30 * SECOND), Some(batch));
        assert_eq!(limits.exceed(batch, ASKED, 30 * SECOND), None);
        assert_eq!((limits.messages(&options), limits.batch()), (Some(5), Some(5)));
        let expires = RequestLimit::Expires(Some(10 * SECOND));
        assert_eq!(limits.exceed(expires, ASKED, 30 * SECOND), Some(expires));
        assert_eq!(limits.expires(&options), 10 * SECOND);
        let bytes = RequestLimit::Bytes(Some(70));
        assert_eq!(limits.exceed(bytes, ASKED, 30 * SECOND), Some(bytes));
        assert_eq!(limits.bytes(&options), Some(70));
    }

    #[test]
    fn a_limit_that_is_not_named_or_makes_no_sense_is_half_of_what_was_asked_for() {
        let mut limits = Limits::default();
        let batch = |limit| RequestLimit::Batch(Some(limit));
        let exceeded = limits.exceed(RequestLimit::Batch(None), ASKED, SECOND);
        assert_eq!(exceeded, Some(batch(250)));
        let asked = Amount { messages: 250, bytes: 0 };
        assert_eq!(limits.exceed(batch(250), asked, SECOND), Some(batch(125)));
        let one = Amount { messages: 1, bytes: 1 };
        assert_eq!(limits.exceed(batch(9), one, SECOND), Some(batch(1)));
        assert_eq!(limits.exceed(batch(9), one, SECOND), None, "there is nothing below");
        let exceeded = limits.exceed(RequestLimit::Expires(None), one, LEAST_EXPIRES);
        assert_eq!(exceeded, Some(RequestLimit::Expires(Some(LEAST_EXPIRES))));
    }

    #[test]
    fn the_configuration_is_believed_and_only_lowers() {
        let mut limits = Limits::default();
        let config = ConsumerConfig::default().max_batch(7).max_expires(SECOND).max_bytes(9);
        limits.learn(&config);
        limits.learn(&ConsumerConfig::default().max_batch(8));
        let options = ConsumeOptions::new().max_bytes(100);
        assert_eq!(limits.batch(), Some(7));
        assert_eq!(limits.expires(&options), SECOND);
        assert_eq!((limits.bytes(&options), limits.messages(&options)), (Some(9), None));
    }
}
