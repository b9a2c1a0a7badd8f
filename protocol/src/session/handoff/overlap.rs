//! What two servers may both deliver, because both knew of a subscription at the same time.
//!
//! Invariant: a message is dropped only if an equal one was delivered by the other server within
//! a short time. Where equal messages leave open which of them has a copy, they are all delivered:
//! better some too many than one too few. It sees digests and times only.

use crate::wire::message::Message;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// Longest time between the deliveries of one message by two servers, far longer than it takes.
pub(crate) const SKEW: Duration = Duration::from_millis(500);

/// The digest of everything that a subscriber sees of a message. Equal messages have equal digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Digest(u64);

impl Digest {
    /// The key comes first, and nobody else knows it: two messages with one digest, of which one
    /// would be lost, cannot be made on purpose.
    fn of(message: &Message, key: u128) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        message.sid().hash(&mut hasher);
        message.subject_bytes().hash(&mut hasher);
        message.reply_bytes().hash(&mut hasher);
        message.headers().as_bytes().hash(&mut hasher);
        message.payload().hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What is known of messages by their digests.
type ByDigest<T> = HashMap<Digest, T, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug)]
pub(crate) struct Overlap {
    key: u128,
    /// Messages that the old server has delivered, and the next one may deliver too.
    by_old: ByDigest<ByOld>,
    /// How many messages the next server has delivered and the old one has not.
    by_next: ByDigest<u32>,
    /// How many of the messages that wait have been delivered by the old server since.
    cancelled: ByDigest<u32>,
    /// The old server has been told to stop.
    leaves: bool,
    /// The next server has taken the place of the old one, and at this time all of it is forgotten.
    ends: Option<Instant>,
}

#[derive(Debug)]
struct ByOld {
    /// When they came, of those that the next server has not delivered.
    times: VecDeque<Instant>,
    /// There was more than one.
    is_repeated: bool,
}

impl Overlap {
    pub(crate) fn new(key: u128) -> Self {
        Self {
            key,
            by_old: HashMap::default(),
            by_next: HashMap::default(),
            cancelled: HashMap::default(),
            leaves: false,
            ends: None,
        }
    }

    /// The old server delivers a message. It is always new: what the next one delivered waits.
    pub(crate) fn handle_old(&mut self, message: &Message, now: Instant) {
        let digest = Digest::of(message, self.key);
        if self.leaves && self.by_old.get(&digest).is_some_and(|known| known.is_repeated) {
            return;
        }
        if take_one(&mut self.by_next, digest) {
            *self.cancelled.entry(digest).or_default() += 1;
            return;
        }
        match self.by_old.entry(digest) {
            Entry::Vacant(place) => {
                place.insert(ByOld { times: [now].into(), is_repeated: false });
            }
            Entry::Occupied(place) => {
                let ByOld { times, is_repeated } = place.into_mut();
                *is_repeated = true;
                while times.front().is_some_and(|time| now.duration_since(*time) > SKEW) {
                    times.pop_front();
                }
                times.push_back(now);
            }
        }
    }

    /// The next server delivers a message while the old one is still connected. Returns whether it
    /// is a copy; otherwise the message has to wait, because the old server may deliver it too.
    pub(crate) fn handle_next(&mut self, message: &Message, now: Instant) -> bool {
        let digest = Digest::of(message, self.key);
        let is_copy = self.take_copied(digest, now);
        if !is_copy {
            *self.by_next.entry(digest).or_default() += 1;
        }
        is_copy
    }

    /// Whether the old server has just delivered the message that the next one delivers, which is
    /// the current one by now.
    pub(crate) fn is_copy(&mut self, message: &Message, now: Instant) -> bool {
        self.take_copied(Digest::of(message, self.key), now)
    }

    /// Takes the delivery by the old server that the next one repeats. The latest one is meant:
    /// earlier ones may have been before the next server's time.
    fn take_copied(&mut self, digest: Digest, now: Instant) -> bool {
        let latest = self.by_old.get_mut(&digest).and_then(|known| known.times.pop_back());
        latest.is_some_and(|time| now.saturating_duration_since(time) <= SKEW)
    }

    /// The old server is told to stop. Of several equal messages nobody can tell which had a copy.
    /// From here on, where a wrong guess would lose one, they are all delivered.
    pub(crate) fn handle_leave(&mut self) {
        self.leaves = true;
        let repeated = self.by_old.values_mut().filter(|known| known.is_repeated);
        repeated.for_each(|known| known.times.clear());
    }

    /// The next server takes the place of the old one. Returns which of the messages that have
    /// waited are still to be delivered, in order.
    pub(crate) fn handle_moved(
        &mut self,
        waiting: impl IntoIterator<Item = Message>,
        now: Option<Instant>,
    ) -> VecDeque<Message> {
        self.ends = now.and_then(|now| now.checked_add(SKEW));
        let is_new =
            |message: &Message| !take_one(&mut self.cancelled, Digest::of(message, self.key));
        waiting.into_iter().filter(is_new).collect()
    }

    /// Whether the next server has taken the place of the old one.
    pub(crate) fn has_moved(&self) -> bool {
        self.ends.is_some()
    }

    /// When everything may be forgotten.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }
}

fn take_one(counts: &mut ByDigest<u32>, digest: Digest) -> bool {
    match counts.get_mut(&digest) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_depend_on_the_key_and_on_all_that_a_subscriber_sees() {
        let message = |subject, sid, reply, headers, payload| {
            Digest::of(&Message::new(subject, sid, reply, headers, payload), 1)
        };
        let first = message("a", 2, Some("r"), Some(&b"NATS/1.0\r\n\r\n"[..]), b"x");
        assert_eq!(first, message("a", 2, Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"x"));
        let others = [
            message("b", 2, Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"x"),
            message("a", 3, Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"x"),
            message("a", 2, None, Some(b"NATS/1.0\r\n\r\n"), b"x"),
            message("a", 2, Some("r"), None, b"x"),
            message("a", 2, Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"y"),
            Digest::of(&Message::new("a", 2, Some("r"), Some(b"NATS/1.0\r\n\r\n"), b"x"), 2),
        ];
        assert!(others.iter().all(|other| *other != first));
    }
}
