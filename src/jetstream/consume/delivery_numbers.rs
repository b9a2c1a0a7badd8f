//! What an ordered reader needs of a delivery: its numbers. A short way to read them from the reply
//! subjects of one consumer, one after the other.
//!
//! It assumes that these begin alike, up to the number of deliveries, and end in four numbers: then only
//! those are read. Whatever is otherwise takes the long way, [`DeliveryInfo::parse`], and the beginning of
//! what that could read is what the next subject is compared with.

use super::delivery_info::DeliveryInfo;
use evnats_protocol::texts::is_same;
use std::time::{Duration, SystemTime};

/// The numbers of a [`DeliveryInfo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryNumbers {
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    pub(crate) timestamp_nanos: u64,
    pub(crate) pending: u64,
}

impl DeliveryNumbers {
    /// When the stream stored the message.
    pub(crate) fn timestamp(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.timestamp_nanos)
    }
}

impl From<DeliveryInfo<'_>> for DeliveryNumbers {
    #[inline]
    fn from(info: DeliveryInfo<'_>) -> Self {
        let DeliveryInfo { stream_sequence, consumer_sequence, timestamp_nanos, pending, .. } =
            info;
        Self { stream_sequence, consumer_sequence, timestamp_nanos, pending }
    }
}

/// The way to the numbers of a consumer's deliveries.
#[derive(Debug, Default)]
pub(super) struct ShortWay {
    /// What the last subject had before its numbers. Empty: there was none of that form.
    beginning: Vec<u8>,
}

impl ShortWay {
    /// Reads a reply subject; `None` if it is not one of JetStream's.
    #[inline]
    pub(super) fn read(&mut self, reply: &[u8]) -> Option<DeliveryNumbers> {
        match self.read_short(reply) {
            Some(numbers) => Some(numbers),
            None => self.read_long(reply),
        }
    }

    #[inline]
    fn read_short(&self, reply: &[u8]) -> Option<DeliveryNumbers> {
        let (beginning, numbers) = reply.split_at_checked(self.beginning.len())?;
        if beginning.is_empty() || !is_same(beginning, &self.beginning) {
            return None;
        }
        four_numbers(numbers)
    }

    #[cold]
    fn read_long(&mut self, reply: &[u8]) -> Option<DeliveryNumbers> {
        let numbers = DeliveryNumbers::from(DeliveryInfo::parse(reply)?);
        self.beginning.clear();
        // before the fourth dot from the end, unless something follows the numbers
        let mut dots = reply.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.');
        if let Some((dot, _)) = dots.nth(3)
            && four_numbers(&reply[dot + 1..]) == Some(numbers)
        {
            self.beginning.extend_from_slice(&reply[..=dot]);
        }
        Some(numbers)
    }
}

/// Four numbers with dots between them, and nothing else.
#[inline]
fn four_numbers(text: &[u8]) -> Option<DeliveryNumbers> {
    let (stream_sequence, end) = number(text, 0)?;
    let (consumer_sequence, end) = number(text, after_dot(text, end)?)?;
    let (timestamp_nanos, end) = number(text, after_dot(text, end)?)?;
    let (pending, end) = number(text, after_dot(text, end)?)?;
    let numbers = DeliveryNumbers { stream_sequence, consumer_sequence, timestamp_nanos, pending };
    (end == text.len()).then_some(numbers)
}

#[inline(always)]
fn after_dot(text: &[u8], at: usize) -> Option<usize> {
    (*text.get(at)? == b'.').then_some(at + 1)
}

/// The number that begins here, and where it ends. `None` if there is none, and if it is so long that it
/// might be too large.
#[inline(always)]
fn number(text: &[u8], start: usize) -> Option<(u64, usize)> {
    /// So many digits are always few enough.
    const MAX_DIGITS: usize = 19;
    const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let (mut number, mut end) = (0_u64, start);
    loop {
        let (digits, value) = digits_in_front(word_at(text, end)?);
        number = number.wrapping_mul(TENS[digits]).wrapping_add(value);
        end += digits;
        if digits < 8 {
            break;
        }
    }
    (1..=MAX_DIGITS).contains(&(end - start)).then_some((number, end))
}

/// The eight letters from here on as one word, with zeros behind the last one. There have to be eight in all.
#[inline(always)]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let rest = text.get(at..)?;
    if let Some(word) = rest.first_chunk() {
        return Some(u64::from_le_bytes(*word));
    }
    let last = u64::from_le_bytes(*text.last_chunk()?);
    Some(last.checked_shr(64 - 8 * rest.len() as u32).unwrap_or_default())
}

/// How many of eight letters in a row are digits before one that is none, and the number that they are.
#[inline]
fn digits_in_front(word: u64) -> (usize, u64) {
    const EACH: u64 = u64::MAX / 255;
    // what each digit stands for, and for other letters more than 9
    let values = word ^ (EACH * 0x30);
    let others = (((values & (EACH * 0x7f)) + EACH * 0x76) | values) & (EACH * 0x80);
    let digits = others.trailing_zeros() / 8;
    // behind as many zeros as it takes to be eight digits
    let eight = values.checked_shl(64 - 8 * digits).unwrap_or_default();
    // two, four and eight digits become one number, from the first on
    let pairs = eight.wrapping_mul(10).wrapping_add(eight >> 8);
    let first = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let second = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (digits as usize, first.wrapping_add(second) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn long(reply: &[u8]) -> Option<DeliveryNumbers> {
        DeliveryInfo::parse(reply).map(DeliveryNumbers::from)
    }

    #[test]
    fn only_what_begins_as_the_last_one_is_read_the_short_way() {
        let mut way = ShortWay::default();
        let replies: [&[u8]; 8] = [
            b"$JS.ACK.S.C.1.22.3.1700000000123456789.4",
            b"$JS.ACK.S.C.1.23.4.1700000000123456790.0",
            b"$JS.ACK.S.C.2.23.4.1700000000123456790.0",
            b"$JS.ACK.hub.ACC.S.C.2.23.4.1700000000123456790.0",
            b"$JS.ACK.hub.ACC.S.C.2.24.5.18446744073709551615.0",
            b"$JS.ACK.hub.ACC.S.C.2.24.5.17.0.more",
            b"$JS.ACK.hub.ACC.S.C.2.25.6.17.0.8",
            b"$JS.ACK.S.C.1.22.3.17.",
        ];
        let short = [false, true, false, false, false, false, false, false];
        for (reply, short) in replies.into_iter().zip(short) {
            assert_eq!(way.read_short(reply).is_some(), short, "{reply:?}");
            assert_eq!(way.read(reply), long(reply), "{reply:?}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(
            replies in prop::collection::vec(
                ("(|hub\\.ACC\\.)", "[SC]", 0..3_u8, any::<[u64; 4]>(), 0..64_u32, "(|\\.x|\\.7|\\.|x|-)"),
                1..20,
            ),
        ) {
            let mut way = ShortWay::default();
            for (domain, stream, delivered, numbers, shift, end) in replies {
                let [one, two, three, four] = numbers.map(|number| number >> shift);
                let reply =
                    format!("$JS.ACK.{domain}{stream}.C.{delivered}.{one}.{two}.{three}.{four}{end}");
                prop_assert_eq!(way.read(reply.as_bytes()), long(reply.as_bytes()), "{}", reply);
            }
        }

        #[test]
        fn anything_behind_a_known_beginning_is_read_the_same(end in "[0-9.a\\-]{0,60}") {
            let mut way = ShortWay::default();
            way.read(b"$JS.ACK.S.C.1.22.3.17.4");
            let reply = format!("$JS.ACK.S.C.1.{end}");
            prop_assert_eq!(way.read(reply.as_bytes()), long(reply.as_bytes()));
        }

        #[test]
        fn digits_are_counted_and_read(number: u32, digits in 1..9_usize, rest: [u8; 8]) {
            let text = format!("{number:08}");
            let mut word: Vec<u8> = text.as_bytes()[text.len() - digits..].to_vec();
            word.push(b'.');
            word.extend(rest);
            let word = u64::from_le_bytes(*word.first_chunk().expect("eight letters"));
            let expected = u64::from(number) % 10_u64.pow(digits as u32);
            prop_assert_eq!(digits_in_front(word), (digits, expected));
        }
    }
}
