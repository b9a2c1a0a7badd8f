//! A dead letter, and the advisories that are one.
//!
//! The invariant: a [`Notice`] is about the stream and the consumer that were asked for, and names a
//! message. Anybody may publish to the subjects of advisories, so all else is none.

use crate::jetstream::advisory::{Advisory, Delivery, Event};
use crate::jetstream::error::Error;
use crate::jetstream::manage::StoredMessage;
use std::time::SystemTime;

/// A message that a consumer does not deliver any more, although nobody has acknowledged it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The stream, the consumer, the message's sequence, and how often it was delivered.
    pub delivery: Delivery,
    /// Why it is not delivered any more.
    pub cause: DeadLetterCause,
    /// When the consumer has given it up, by the server's clock. `None` if it did not say so readably.
    pub time: Option<SystemTime>,
    /// The message.
    ///
    /// # Errors
    /// [`Error::is_not_found`]: it was removed meanwhile (10037), or the stream was (10059). A stream
    /// whose retention is work queue or interest may remove a message as soon as it is terminated.
    /// [`Error::TooManyDeadLetters`]: it was not read. Otherwise why it could not be read, for as long as
    /// the [`patience`](super::DeadLetterOptions::patience) lasts.
    pub message: Result<StoredMessage, Error>,
}

/// Why a message is not delivered any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterCause {
    /// It was delivered as often as the consumer's `max_deliver` permits.
    MaxDeliver,
    /// Whoever had it has terminated it.
    Terminated {
        /// What they have said. `None` if nothing, and from servers before 2.10.4.
        reason: Option<String>,
    },
}

/// A dead letter whose message is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Notice {
    pub(super) delivery: Delivery,
    cause: DeadLetterCause,
    time: Option<SystemTime>,
}

impl Notice {
    /// Reads an advisory. `None`: it is none of a dead letter of the stream and, if one is named, the
    /// consumer.
    pub(super) fn of(advisory: Advisory, stream: &str, consumer: Option<&str>) -> Option<Self> {
        let (delivery, cause) = match advisory.event {
            Event::MaxDeliveries(delivery) => (delivery, DeadLetterCause::MaxDeliver),
            Event::Terminated(told) => {
                let reason = Some(told.reason).filter(|reason| !reason.is_empty());
                (told.delivery, DeadLetterCause::Terminated { reason })
            }
            _ => return None,
        };
        let is_meant = delivery.stream == stream
            && consumer.is_none_or(|consumer| delivery.consumer == consumer)
            && delivery.stream_sequence > 0;
        is_meant.then_some(Self { delivery, cause, time: advisory.time })
    }

    pub(super) fn with(self, message: Result<StoredMessage, Error>) -> DeadLetter {
        let Self { delivery, cause, time } = self;
        DeadLetter { delivery, cause, time, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(of_type: &str, members: &str, consumer: Option<&str>) -> Option<Notice> {
        let body = format!(
            r#"{{"type":"io.nats.jetstream.advisory.v1.{of_type}","id":"i","timestamp":"2026-01-02T03:04:05Z",{members}}}"#
        );
        Notice::of(Advisory::read("s", body.into()), "S", consumer)
    }

    const OF_7: &str = r#""stream":"S","consumer":"C","stream_seq":7,"deliveries":2"#;

    #[test]
    fn deliveries_that_are_used_up_and_terminations_are_dead_letters() {
        let notice_of_7 = notice("max_deliver", OF_7, Some("C")).expect("a dead letter");
        assert_eq!(notice_of_7.cause, DeadLetterCause::MaxDeliver);
        let delivery = &notice_of_7.delivery;
        assert_eq!((delivery.stream_sequence, delivery.deliveries), (7, 2));
        assert!(notice_of_7.time.is_some());

        let members = format!(r#"{OF_7},"consumer_seq":9,"reason":"it is bad""#);
        let terminated = notice("terminated", &members, None).expect("a dead letter");
        let reason = Some("it is bad".to_owned());
        assert_eq!(terminated.cause, DeadLetterCause::Terminated { reason });
        assert_eq!(terminated.delivery.consumer_sequence, 9);

        let members = format!(r#"{OF_7},"reason":null"#);
        let terminated = notice("terminated", &members, None).expect("a dead letter");
        assert_eq!(terminated.cause, DeadLetterCause::Terminated { reason: None });
        let letter = terminated.with(Err(Error::Closed));
        assert_eq!((letter.delivery.stream_sequence, letter.message), (7, Err(Error::Closed)));
    }

    #[test]
    fn all_else_is_none() {
        assert_eq!(notice("nak", OF_7, None), None);
        assert_eq!(notice("max_deliver", OF_7, Some("D")), None);
        let of_another = OF_7.replace("\"S\"", "\"T\"");
        assert_eq!(notice("max_deliver", &of_another, None), None);
        let of_no_message = OF_7.replace('7', "0");
        assert_eq!(notice("max_deliver", &of_no_message, None), None);
        assert_eq!(notice("max_deliver", r#""stream_seq":"seven""#, None), None);
        assert_eq!(Notice::of(Advisory::read("s", "{".into()), "S", None), None);
    }
}
