//! The request table: one wildcard inbox for all requests, the slot in the last token.
//!
//! `_INBOX.<id>.<token>`: the token is the slot and its generation in base 64, so that a reply is
//! found by index, without a hash and without a string key, and a reply that comes after its
//! request has ended finds nothing. Every request has a deadline.

use super::deadlines::Deadlines;
use super::slots::{Key, Slots};
use crate::wire::encode;
use rustc_hash::FxHasher;
use std::hash::Hasher;
use std::time::{Duration, Instant};

/// The sid of the inbox for all requests, which is no subscription of the user's.
pub(crate) const INBOX_SID: u64 = 1;

/// Characters of a token: 4 for the slot, 6 for the generation.
pub(crate) const TOKEN: usize = 10;

#[derive(Debug)]
pub(crate) struct Request<T> {
    pub(crate) context: T,
    /// Where its frame begins in the outgoing stream; `None` if it went out on a connection that
    /// was lost since.
    pub(crate) position: Option<u64>,
    /// Stands for its subject, to find it when the server refuses it.
    pub(crate) subject: u64,
}

impl<T> Request<T> {
    /// Whether some of it has been written, if that is so of the stream up to `sent`.
    pub(crate) fn was_sent(&self, sent: u64) -> bool {
        self.position.is_none_or(|position| position < sent)
    }
}

/// A number for a subject. Equal subjects have equal numbers, different ones almost never.
#[inline]
pub(crate) fn fingerprint(subject: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(subject);
    hasher.finish()
}

#[derive(Debug)]
pub(crate) struct Requests<T> {
    slots: Slots<Request<T>>,
    deadlines: Deadlines<Key>,
    /// Requests since the last turn, whose clocks have not been started.
    unarmed: Vec<(Key, Duration)>,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { slots: Slots::default(), deadlines: Deadlines::default(), unarmed: Vec::new() }
    }
}

impl<T> Requests<T> {
    /// Registers a request; its clock starts with the next [`arm`](Self::arm). Gives the context
    /// back if there are too many.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        context: T,
        timeout: Duration,
        position: u64,
        subject: &str,
    ) -> Result<[u8; TOKEN], T> {
        let subject = fingerprint(subject.as_bytes());
        let request = Request { context, position: Some(position), subject };
        let key = self.slots.insert(request).map_err(|request| request.context)?;
        self.unarmed.push((key, timeout));
        Ok(encode_token(key))
    }

    /// Starts the clocks of the requests made since the last call.
    #[inline]
    pub(crate) fn arm(&mut self, now: Instant) {
        for (key, timeout) in self.unarmed.drain(..) {
            // a timeout beyond what the clock can express is as good as the furthest it can
            let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 31));
            let slots = &self.slots;
            self.deadlines.push(deadline, key, slots.len(), |key| slots.contains(key));
        }
    }

    /// Ends the request that a reply's token names.
    #[inline]
    pub(crate) fn take(&mut self, token: &[u8]) -> Option<Request<T>> {
        self.slots.remove(decode_token(token)?)
    }

    /// The request that a token names.
    pub(crate) fn find_mut(&mut self, token: &[u8]) -> Option<&mut Request<T>> {
        self.slots.get_mut(decode_token(token)?)
    }

    /// Ends the request on a subject that was written first on this connection, of those that begin
    /// before `sent`.
    pub(crate) fn take_first_on(&mut self, subject: &[u8], sent: u64) -> Option<Request<T>> {
        let subject = fingerprint(subject);
        let was_sent = |request: &Request<T>| request.position.is_some_and(|at| at < sent);
        let on_subject = self.slots.iter().filter(|(_, request)| request.subject == subject);
        let sent = on_subject.filter(|(_, request)| was_sent(request));
        let (key, _) = sent.min_by_key(|(_, request)| request.position)?;
        self.slots.remove(key)
    }

    /// Ends the requests that `ends` says so of.
    pub(crate) fn take_if(&mut self, ends: impl Fn(&Request<T>) -> bool) -> Vec<Request<T>> {
        let keys: Vec<Key> =
            self.slots.iter().filter(|(_, request)| ends(request)).map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| self.slots.remove(key)).collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Request<T>> {
        self.slots.iter_mut().map(|(_, request)| request)
    }

    /// Ends the only request there is, if there is just one.
    pub(crate) fn take_only(&mut self) -> Option<Request<T>> {
        let mut keys = self.slots.keys();
        let (key, None) = (keys.next()?, keys.next()) else {
            return None;
        };
        drop(keys);
        self.slots.remove(key)
    }

    /// Ends one request whose time is up.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Request<T>> {
        loop {
            let key = self.deadlines.pop_due(now)?;
            if let Some(request) = self.slots.remove(key) {
                return Some(request);
            }
        }
    }

    /// Ends every request.
    pub(crate) fn take_all(&mut self) -> Vec<Request<T>> {
        self.deadlines.clear();
        self.unarmed.clear();
        self.take_if(|_| true)
    }

    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        let slots = &self.slots;
        self.deadlines.next(slots.len(), |key| slots.contains(key))
    }

    /// Whether some clocks have not been started.
    pub(crate) fn has_unarmed(&self) -> bool {
        !self.unarmed.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Writes the subscription for all replies: `_INBOX.<id>.*`.
pub(crate) fn subscribe_inbox(out: &mut Vec<u8>, inbox: &str) {
    let pattern = format!("{inbox}*");
    encode::subscribe(out, pattern.as_bytes(), None, INBOX_SID);
}

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

const VALUES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 64 {
        table[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[inline]
fn encode_token(key: Key) -> [u8; TOKEN] {
    let mut bits = u64::from(key.generation) << 24 | u64::from(key.index);
    let mut token = [0; TOKEN];
    for digit in token.iter_mut().rev() {
        *digit = DIGITS[(bits & 63) as usize];
        bits >>= 6;
    }
    token
}

#[inline]
fn decode_token(token: &[u8]) -> Option<Key> {
    let token: &[u8; TOKEN] = token.try_into().ok()?;
    let mut bits = 0_u64;
    for digit in token {
        let value = VALUES[*digit as usize];
        if value == 0xff {
            return None;
        }
        bits = bits << 6 | u64::from(value);
    }
    let generation = u32::try_from(bits >> 24).ok()?;
    Some(Key { index: (bits & 0xff_ffff) as u32, generation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        for (index, generation) in [(0, 0), (1, 0), (0xff_ffff, u32::MAX), (63, 64), (77, 1 << 31)]
        {
            let key = Key { index, generation };
            assert_eq!(decode_token(&encode_token(key)), Some(key));
        }
        for odd in [&b""[..], b"000000000", b"00000000000", b"00000000.0", b"__________"] {
            assert_eq!(decode_token(odd), None);
        }
    }

    #[test]
    fn a_reply_that_comes_late_or_twice_finds_nothing() {
        let mut requests = Requests::default();
        let first = requests.insert("a", Duration::from_secs(1), 0, "s").unwrap();
        assert_eq!(requests.take(&first).unwrap().context, "a");
        let second = requests.insert("b", Duration::from_secs(1), 0, "s").unwrap();
        assert!(requests.take(&first).is_none());
        assert_eq!(requests.take(&second).unwrap().context, "b");
    }

    #[test]
    fn clocks_start_when_armed() {
        let mut requests = Requests::default();
        let start = Instant::now();
        requests.insert("a", Duration::from_secs(1), 0, "s").unwrap();
        assert_eq!(requests.next_deadline(), None);
        requests.arm(start);
        assert_eq!(requests.next_deadline(), Some(start + Duration::from_secs(1)));
        assert!(requests.take_due(start + Duration::from_millis(999)).is_none());
        assert!(requests.take_due(start + Duration::from_secs(1)).is_some());
        requests.insert("for ever", Duration::MAX, 0, "s").unwrap();
        requests.arm(start);
        assert!(requests.next_deadline().is_some());
    }
}
