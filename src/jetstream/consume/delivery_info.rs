//! The reply subject of a delivered message, which is where JetStream puts the delivery's metadata.
//!
//! Reads both layouts: nine tokens, and eleven or more with domain and account (servers 2.14+ can
//! be told to write it). The invariant: a [`DeliveryInfo`] is complete or absent; a subject with any
//! other number of tokens, or with a number that is none, is not JetStream's. Nothing is allocated,
//! and nothing is acknowledged here: the whole subject, verbatim, is the address to acknowledge to.

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
    pub fn parse(reply: &'a [u8]) -> Option<Self> {
        let rest = reply.strip_prefix(b"$JS.ACK.")?;
        // after the prefix: 7 tokens, or 9 and any number of tokens that later servers add
        let mut tokens = [&[][..]; 9];
        let mut count = 0;
        for token in rest.split(|byte| *byte == b'.') {
            if token.is_empty() {
                return None;
            }
            if let Some(slot) = tokens.get_mut(count) {
                *slot = token;
            }
            count += 1;
        }
        let (domain, fields) = match count {
            7 => (None, &tokens[..7]),
            8 => return None,
            9.. => (Some(tokens[0]).filter(|domain| *domain != b"_"), &tokens[2..]),
            _ => return None,
        };
        let domain = match domain {
            Some(domain) => Some(str::from_utf8(domain).ok()?),
            None => None,
        };
        Some(Self {
            domain,
            stream: str::from_utf8(fields[0]).ok()?,
            consumer: str::from_utf8(fields[1]).ok()?,
            delivered: number(fields[2])?,
            stream_sequence: number(fields[3])?,
            consumer_sequence: number(fields[4])?,
            timestamp_nanos: number(fields[5])?,
            pending: number(fields[6])?,
        })
    }

    /// When the stream stored the message.
    #[must_use]
    pub fn timestamp(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.timestamp_nanos)
    }
}

/// Digits only: no sign, no space, no overflow.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
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
