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
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn of(message: &Message) -> Self {
        let mut hasher = DefaultHasher::new();
        message.sid().hash(&mut hasher);
        message.subject_bytes().hash(&mut hasher);
        message.reply_bytes().hash(&mut hasher);
        message.headers().as_bytes().hash(&mut hasher);
        message.payload().hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What is known of messages by their digests. There is no randomness: the same input, the same
/// output.
type ByDigest<T> = HashMap<Digest, T, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug, Default)]
pub(crate) struct Overlap {
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
    /// The old server delivers a message. It is always new: what the next one delivered waits.
    pub(crate) fn handle_old(&mut self, digest: Digest, now: Instant) {
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
    pub(crate) fn handle_next(&mut self, digest: Digest, now: Instant) -> bool {
        let is_copy = self.is_copy(digest, now);
        if !is_copy {
            *self.by_next.entry(digest).or_default() += 1;
        }
        is_copy
    }

    /// Whether the old server has just delivered the message that the next one delivers. The
    /// latest delivery is the one that is meant: earlier ones may have been before its time.
    pub(crate) fn is_copy(&mut self, digest: Digest, now: Instant) -> bool {
        let latest = self.by_old.get_mut(&digest).and_then(|known| known.times.pop_back());
        latest.is_some_and(|time| now.saturating_duration_since(time) <= SKEW)
    }

    /// The old server is told to stop. Of several equal messages nobody can tell which had a copy.
    /// From here on, where a wrong guess would lose one, they are all delivered.
    pub(crate) fn handle_leave(&mut self) {
        self.leaves = true;
        for (digest, known) in self.by_old.iter_mut().filter(|(_, known)| known.is_repeated) {
            known.times.clear();
            self.by_next.remove(digest);
        }
    }

    /// The next server takes the place of the old one. Returns which of the messages that have
    /// waited are still to be delivered, in order.
    pub(crate) fn handle_moved(
        &mut self,
        waiting: impl IntoIterator<Item = Message>,
        now: Option<Instant>,
    ) -> VecDeque<Message> {
        self.ends = now.and_then(|now| now.checked_add(SKEW));
        let cancelled = &mut self.cancelled;
        let is_new = |message: &Message| !take_one(cancelled, Digest::of(message));
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
