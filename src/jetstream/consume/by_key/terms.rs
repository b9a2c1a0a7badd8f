//! What the consumer's configuration says of deliveries: how long it waits for an answer, and how often
//! it delivers.

use crate::jetstream::manage::{AckPolicy, ConsumerConfig};
use std::time::Duration;

/// What servers wait for an answer if nothing else is said.
const DEFAULT_ACK_WAIT: Duration = Duration::from_secs(30);
/// How often they are told of what is under way, if it is not known how long they wait.
const CAREFUL_PERIOD: Duration = Duration::from_secs(10);
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// For so much longer than it should take, a message is waited for.
const SLACK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Terms {
    /// How long the server waits for an answer at most.
    pub(super) ack_wait: Duration,
    /// How often it is told what is under way.
    pub(super) period: Duration,
    /// The program has said how often.
    is_period_given: bool,
    max_deliver: Option<u64>,
    /// Whether a message counts as done only when it is answered.
    pub(super) wants_answers: bool,
}

impl Terms {
    /// What is assumed until it is known.
    pub(super) fn new(in_progress_every: Option<Duration>) -> Self {
        Self {
            ack_wait: DEFAULT_ACK_WAIT,
            period: in_progress_every.unwrap_or(CAREFUL_PERIOD).max(SHORTEST_PERIOD),
            is_period_given: in_progress_every.is_some(),
            max_deliver: None,
            wants_answers: true,
        }
    }

    pub(super) fn learn(&mut self, config: &ConsumerConfig) {
        let waits = config.ack_wait.iter().chain(&config.backoff);
        self.ack_wait = waits.clone().max().copied().unwrap_or(DEFAULT_ACK_WAIT);
        if !self.is_period_given {
            let shortest = waits.min().copied().unwrap_or(DEFAULT_ACK_WAIT);
            self.period = (shortest / 2).max(SHORTEST_PERIOD);
        }
        self.max_deliver = config.max_deliver;
        self.wants_answers = config.ack_policy != AckPolicy::None;
    }

    /// Whether a message that was delivered so often is not delivered again.
    pub(super) fn is_last(&self, delivered: u64) -> bool {
        self.max_deliver.is_some_and(|most| delivered >= most)
    }

    /// How long a message is waited for that is to come after this time.
    pub(super) fn patience(&self, delay: Duration) -> Duration {
        self.ack_wait.max(delay).saturating_mul(2).saturating_add(SLACK)
    }

    /// How long it takes until the server has delivered again whatever was lost.
    pub(super) fn recovery(&self) -> Duration {
        self.ack_wait.saturating_add(SLACK)
    }
}
