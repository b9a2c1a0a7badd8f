//! Where an ordered consumer is: the sequences of what it has delivered, over however many server-side
//! consumers. It knows nothing of push or pull, nor of when a consumer is left.

use super::delivery_numbers::DeliveryNumbers;
use crate::jetstream::manage::{ConsumerInfo, DeliverPolicy};

/// Where the reader is, in the current incarnation and in the stream. Serves push and pull alike.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    /// The last delivery of the current incarnation; 0 before the first.
    pub(super) consumer_sequence: u64,
    /// The last message delivered in any incarnation; 0 before the first.
    pub(super) stream_sequence: u64,
    /// The first message of the current incarnation.
    first_sequence: u64,
    /// The latest time at which a delivered message was stored.
    timestamp_nanos: u64,
    /// The sequence before the first incarnation's start, as the reply to its creation reported.
    origin: Option<u64>,
}

/// A message that was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    stream_sequence: u64,
    timestamp_nanos: u64,
}

/// What a delivery is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next message.
    Next,
    /// The next delivery, of a message that an earlier incarnation brought.
    Seen,
    /// A delivery that was here before.
    Repeated,
    /// Deliveries before this one are missing.
    Gap,
    /// A message newer than all, under a number that has been used: this is another stream.
    Recreated,
}

impl Position {
    /// Whether a delivery is the next one, of a new message.
    #[inline]
    pub(super) fn is_next(&self, delivery: &DeliveryNumbers) -> bool {
        delivery.consumer_sequence == self.consumer_sequence.saturating_add(1)
            && delivery.stream_sequence > self.stream_sequence
    }

    /// Takes a delivery of the current incarnation.
    pub(super) fn advance(&mut self, delivery: &DeliveryNumbers) -> Step {
        let next = self.consumer_sequence.saturating_add(1);
        if delivery.consumer_sequence > next {
            return Step::Gap;
        }
        if delivery.consumer_sequence < next {
            return Step::Repeated;
        }
        if next == 1 {
            self.first_sequence = delivery.stream_sequence;
        }
        if delivery.stream_sequence <= self.stream_sequence {
            // a consumer placed on a replica that lags behind may begin before the requested
            // start. Its messages have been seen, and so have their times.
            if delivery.timestamp_nanos > self.timestamp_nanos {
                return Step::Recreated;
            }
            self.consumer_sequence = next;
            return Step::Seen;
        }
        self.consumer_sequence = next;
        self.stream_sequence = delivery.stream_sequence;
        self.timestamp_nanos = self.timestamp_nanos.max(delivery.timestamp_nanos);
        Step::Next
    }

    /// Whether a consumer that says it has delivered up to `last` agrees. One that says less was
    /// set back, and what it sends next would be taken for repetitions.
    pub(super) fn is_at(&self, last: u64) -> bool {
        last == self.consumer_sequence
    }

    /// Whether a delivery that was here before is none: the consumer counts from 1 again, at another
    /// message. Somebody has set it back, or forth.
    pub(super) fn has_started_over(&self, delivery: &DeliveryNumbers) -> bool {
        delivery.consumer_sequence == 1 && delivery.stream_sequence != self.first_sequence
    }

    /// Takes the place of the first consumer's start from the reply to its creation.
    pub(super) fn record_origin(&mut self, info: &ConsumerInfo) {
        // deliveries made by then have moved on the stream sequence by one each, or more if other
        // messages lie between; servers mostly report the state before any.
        let delivered = &info.delivered;
        let origin = delivered.stream_sequence.saturating_sub(delivered.consumer_sequence);
        self.origin.get_or_insert(origin);
    }

    /// The next incarnation begins.
    pub(super) fn restart(&mut self) {
        self.consumer_sequence = 0;
    }

    /// What was delivered last, to go back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { stream_sequence: self.stream_sequence, timestamp_nanos: self.timestamp_nanos }
    }

    /// What was delivered after the mark is to be delivered again, by the next incarnation.
    pub(super) fn go_back(&mut self, mark: Mark) {
        let Mark { stream_sequence, timestamp_nanos } = mark;
        *self = Self { stream_sequence, timestamp_nanos, ..*self };
    }

    /// Where the next incarnation has to start.
    pub(super) fn deliver_policy(&self, original: &DeliverPolicy) -> DeliverPolicy {
        if self.stream_sequence > 0 {
            return DeliverPolicy::ByStartSequence(self.stream_sequence.saturating_add(1));
        }
        match (original, self.origin) {
            // these mean another place each time: stay with the first one
            (DeliverPolicy::New | DeliverPolicy::Last, Some(origin)) => {
                DeliverPolicy::ByStartSequence(origin.saturating_add(1))
            }
            _ => original.clone(),
        }
    }
}
