//! The reply subject of a delivered message, which is where JetStream puts the delivery's metadata.
//!
//! Reads both layouts: nine tokens, and eleven or more with domain and account (servers 2.14+ can
//! be told to write it). The invariant: a [`DeliveryInfo`] is complete or absent; a subject with any
//! other number of tokens, or with a number that is none, is not JetStream's. Nothing is allocated,
//! and nothing is acknowledged here: the whole subject, verbatim, is the address to acknowledge to.

use crate::jetstream::words::each_place;
use std::time::{Duration, SystemTime};

/// What JetStream says about one delivery of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryInfo<'a> {
    /// The stream's domain, if the server names one.
    pub domain: Option<&'a str>,
    /// The stream that holds the message.
    pub stream: &'a str,
    /// The consumer that delivers it.
    pub consumer: &'a str,
    /// How often the message has been delivered, this time included: 2 or more is a redelivery.
    pub delivered: u64,
    /// The message's sequence in the stream.
    pub stream_sequence: u64,
    /// The delivery's sequence in the consumer, from 1 without gaps.
    pub consumer_sequence: u64,
    /// When the stream stored the message, in nanoseconds since the Unix epoch.
    pub timestamp_nanos: u64,
    /// How many matching messages the stream held after this one at that moment.
    pub pending: u64,
}

impl<'a> DeliveryInfo<'a> {
    /// Reads a reply subject; `None` if it is not an acknowledgement subject of JetStream.
    #[must_use]
    pub fn parse(reply: &'a [u8]) -> Option<Self> {
        let rest = str::from_utf8(reply.strip_prefix(b"$JS.ACK.")?).ok()?;
        // after the prefix: 7 tokens, or 9 and any number of tokens that later servers add
        let mut ends = [rest.len(); 9];
        let (mut dots, mut begin, mut has_empty) = (0, 0, false);
        each_place(rest.as_bytes(), b'.', |at| {
            if let Some(end) = ends.get_mut(dots) {
                *end = at;
            }
            dots += 1;
            has_empty |= at == begin;
            begin = at + 1;
        });
        if has_empty || begin == rest.len() {
            return None;
        }
        let (has_domain, mut start) = match dots {
            6 => (false, 0),
            8.. => (true, ends[1] + 1),
            _ => return None,
        };
        let mut fields = ends[if has_domain { 2 } else { 0 }..].iter().map(|end| {
            let field = &rest[start..*end];
            start = end + 1;
            field
        });
        let names = [fields.next()?, fields.next()?];
        let domain = if has_domain { Some(&rest[..ends[0]]) } else { None };
        let mut next = || number(fields.next()?);
        Some(Self {
            domain: domain.filter(|domain| *domain != "_"),
            stream: names[0],
            consumer: names[1],
            delivered: next()?,
            stream_sequence: next()?,
            consumer_sequence: next()?,
            timestamp_nanos: next()?,
            pending: next()?,
        })
    }

    /// When the stream stored the message.
    #[must_use]
    pub fn timestamp(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.timestamp_nanos)
    }
}

/// Digits only: no sign, no space, no overflow. There is one at least.
#[inline]
fn number(digits: &str) -> Option<u64> {
    /// So many cannot overflow.
    const SAFE: usize = 19;
    let (safe, rest) = digits.as_bytes().split_at(digits.len().min(SAFE));
    let (mut number, mut worst) = (0_u64, 0);
    for digit in safe {
        let value = digit.wrapping_sub(b'0');
        worst = value.max(worst);
        number = number.wrapping_mul(10).wrapping_add(u64::from(value));
    }
    if safe.is_empty() || worst > 9 || rest.len() > 1 {
        return None;
    }
    match rest {
        [] => Some(number),
        [digit, ..] => {
            let value = char::from(*digit).to_digit(10)?;
            number.checked_mul(10)?.checked_add(u64::from(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: DeliveryInfo<'_> = DeliveryInfo {
        domain: None,
        stream: "ORDERS",
        consumer: "worker",
        delivered: 1,
        stream_sequence: 22,
        consumer_sequence: 3,
        timestamp_nanos: 1_700_000_000_123_456_789,
        pending: 4,
    };

    fn parse(reply: &str) -> Option<DeliveryInfo<'_>> {
        DeliveryInfo::parse(reply.as_bytes())
    }

    #[test]
    fn nine_tokens() {
        let reply = "$JS.ACK.ORDERS.worker.1.22.3.1700000000123456789.4";
        assert_eq!(parse(reply), Some(PLAIN));
        let expected = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        assert_eq!(PLAIN.timestamp(), expected);
    }

    #[test]
    fn eleven_or_more_tokens() {
        let none = "$JS.ACK._.ACCHASH.ORDERS.worker.1.22.3.1700000000123456789.4";
        assert_eq!(parse(none), Some(PLAIN));
        let hub = "$JS.ACK.hub.ACCHASH.ORDERS.worker.1.22.3.1700000000123456789.4.rnd.more";
        assert_eq!(parse(hub), Some(DeliveryInfo { domain: Some("hub"), ..PLAIN }));
    }

    #[test]
    fn not_jetstream() {
        for reply in [
            "",
            "$JS.ACK",
            "$JS.ACK.",
            "_INBOX.abc.1",
            "$JS.FC.ORDERS.worker.abc",
            "$JS.ACK.ORDERS.worker.1.22.3.17",
            "$JS.ACK.x.ORDERS.worker.1.22.3.17.4",
            "$JS.ACK.ORDERS.worker.1.22.3.17.-4",
            "$JS.ACK.ORDERS.worker.1.22.3.17.",
            "$JS.ACK.ORDERS.worker.1.22..17.4",
            "$JS.ACK.ORDERS.worker.1.18446744073709551616.3.17.4",
            "$JS.ACKS.ORDERS.worker.1.22.3.17.4",
        ] {
            assert_eq!(parse(reply), None, "{reply}");
        }
        assert_eq!(DeliveryInfo::parse(b"$JS.ACK.\xff.worker.1.22.3.17.4"), None);
    }

    #[test]
    fn extreme_numbers() {
        let max = u64::MAX;
        let reply = format!("$JS.ACK.S.C.{max}.{max}.{max}.{max}.{max}");
        let delivery = parse(&reply).unwrap();
        assert_eq!(delivery.pending, max);
        let _ = delivery.timestamp();
    }

    proptest! {
        #[test]
        fn never_panics(reply in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = DeliveryInfo::parse(&reply);
            let _ = DeliveryInfo::parse(&[b"$JS.ACK.", &reply[..]].concat());
        }

        #[test]
        fn reads_back(numbers in any::<[u64; 5]>(), domain in "[a-z]{1,4}", extra in 0..3_usize) {
            let [delivered, stream, consumer, time, pending] = numbers;
            let mut reply = format!(
                "$JS.ACK.{domain}.ACC.S.C.{delivered}.{stream}.{consumer}.{time}.{pending}"
            );
            (0..extra).for_each(|_| reply.push_str(".x"));
            let read = parse(&reply).unwrap();
            prop_assert_eq!(read.domain, Some(&domain[..]));
            prop_assert_eq!(
                [read.delivered, read.stream_sequence, read.consumer_sequence,
                    read.timestamp_nanos, read.pending],
                numbers
            );
        }
    }
}
