//! The subscription table: slots by sid, with the counts that end a subscription exactly.
//!
//! A sid holds the slot and its generation, so that a message for a subscription that ended is
//! recognized and counted, and never reaches the next tenant of the slot. The table knows what each
//! server was told, and writes it; it reports nothing.

use super::paused::PausedMessages;
use super::requests::fingerprint;
use super::slots::{Key, Slots};
use crate::wire::encode;
use std::collections::HashMap;

/// A subscription of one session. Dropping the id does not unsubscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubscriptionId(Key);

impl SubscriptionId {
    /// The subscription's number on the wire: 2 or more.
    #[must_use]
    pub fn sid(self) -> u64 {
        u64::from(self.0.generation) << 24 | (u64::from(self.0.index) + FIRST_SID)
    }

    pub(crate) fn from_sid(sid: u64) -> Option<Self> {
        let index = u32::try_from((sid & 0xff_ffff).checked_sub(FIRST_SID)?).ok()?;
        let generation = u32::try_from(sid >> 24).ok()?;
        Some(Self(Key { index, generation }))
    }
}

/// The sids below it are for what is no slot: the inbox for all requests.
const FIRST_SID: u64 = 2;

#[derive(Debug)]
pub(crate) struct Subscription<T> {
    pub(crate) subject: Box<str>,
    pub(crate) queue: Option<Box<str>>,
    /// Messages received since the subscription was made.
    pub(crate) received: u64,
    /// How many of them came before the current server was told of the subscription: servers count
    /// from the `SUB`.
    pub(crate) received_before: u64,
    /// The subscription ends with this message, counted from the first.
    pub(crate) max: Option<u64>,
    /// An `UNSUB` was sent to drain it; the next fence ends it.
    pub(crate) draining: bool,
    /// Where its `SUB` is in the outgoing stream. `None` if it is not there: the server knows of it
    /// from a restore, or will.
    pub(crate) position: Option<u64>,
    /// Number of messages received when the next server was told of it, during a move.
    pub(crate) received_at_join: Option<u64>,
    /// The current server was told of it while another one was delivering, so their counts overlap
    /// and it cannot know when the maximum is reached.
    pub(crate) has_moved: bool,
    /// What waits while it is paused; there once it has been paused or given limits.
    pub(crate) held: Option<Box<PausedMessages>>,
    pub(crate) context: T,
}

impl<T> Subscription<T> {
    /// Writes what a server has to know of it: the `SUB`, and what is left of its maximum as that
    /// server counts.
    fn encode(&self, id: SubscriptionId, max: Option<u64>, out: &mut Vec<u8>) {
        let queue = self.queue.as_deref().map(str::as_bytes);
        encode::subscribe(out, self.subject.as_bytes(), queue, id.sid());
        if max.is_some() {
            encode::unsubscribe(out, id.sid(), max);
        }
    }

    /// Whether its server cannot know that it is over: what it counts is not what was delivered.
    pub(crate) fn is_counted_elsewhere(&self) -> bool {
        self.has_moved || self.received_at_join.is_some()
    }

    /// Whether its last message has come.
    pub(crate) fn has_all(&self) -> bool {
        self.max.is_some_and(|max| self.received >= max)
    }

    /// Drops held messages beyond the maximum. Returns whether any are left.
    pub(crate) fn keep_held(&mut self, max: u64) -> bool {
        let Some(held) = &mut self.held else { return false };
        let delivered = self.received.saturating_sub(held.undelivered());
        held.truncate(max.saturating_sub(delivered) as usize);
        !held.is_empty()
    }

    /// Whether what arrives has to wait.
    #[inline]
    fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.paused || !held.is_empty())
    }

    /// The maximum as the current server counts.
    pub(crate) fn server_max(&self) -> Option<u64> {
        self.max.map(|max| max.saturating_sub(self.received_before))
    }

    /// The maximum as the next server counts, while the session moves to it.
    pub(crate) fn next_server_max(&self) -> Option<u64> {
        let before = self.received_at_join.unwrap_or(self.received_before);
        self.max.map(|max| max.saturating_sub(before))
    }
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Deliver it.
    More,
    /// Deliver it; it is the last one.
    Last,
    /// Keep it until the subscription is resumed.
    Held,
    /// There is no live subscription for it: count it and drop it.
    Late,
}

#[derive(Debug)]
pub(crate) struct Subscriptions<T> {
    slots: Slots<Subscription<T>>,
    /// For denials, which may name a subject only and come by the thousand: ids by the fingerprints
    /// of subjects, those that have ended since among them. There while denials come.
    by_subject: Option<HashMap<u64, Vec<SubscriptionId>>>,
}

impl<T> Default for Subscriptions<T> {
    fn default() -> Self {
        Self { slots: Slots::default(), by_subject: None }
    }
}

impl<T> Subscriptions<T> {
    /// Registers a subscription, or gives the context back if there are too many.
    pub(crate) fn insert(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        position: Option<u64>,
        context: T,
    ) -> Result<SubscriptionId, T> {
        let entry = Subscription {
            subject: subject.into(),
            queue: queue.map(Into::into),
            received: 0,
            received_before: 0,
            max: None,
            draining: false,
            position,
            received_at_join: None,
            has_moved: false,
            held: None,
            context,
        };
        let id = self.slots.insert(entry).map(SubscriptionId).map_err(|entry| entry.context)?;
        if let Some(index) = &mut self.by_subject {
            index.entry(fingerprint(subject.as_bytes())).or_default().push(id);
        }
        Ok(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SubscriptionId> {
        self.slots.keys().map(SubscriptionId)
    }

    fn iter(&self) -> impl Iterator<Item = (SubscriptionId, &Subscription<T>)> {
        self.slots.iter().map(|(key, entry)| (SubscriptionId(key), entry))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (SubscriptionId, &mut Subscription<T>)> {
        self.slots.iter_mut().map(|(key, entry)| (SubscriptionId(key), entry))
    }

    pub(crate) fn contexts(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, entry)| &entry.context)
    }

    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Subscription<T>> {
        self.slots.get(id.0)
    }

    /// Whether the last message of a subscription has come, and none of its messages waits.
    pub(crate) fn is_complete(&self, id: SubscriptionId) -> bool {
        self.get(id).is_some_and(|entry| entry.has_all() && !entry.holds())
    }

    pub(crate) fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription<T>> {
        self.slots.get_mut(id.0)
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> Option<T> {
        self.slots.remove(id.0).map(|entry| entry.context)
    }

    /// The live subscriptions to a subject as members of a queue group, or the one with a sid.
    pub(crate) fn find(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        sid: Option<u64>,
    ) -> Vec<SubscriptionId> {
        if let Some(sid) = sid {
            let id = SubscriptionId::from_sid(sid);
            return id.filter(|id| self.get(*id).is_some()).into_iter().collect();
        }
        let slots = &self.slots;
        let index = self.by_subject.get_or_insert_with(|| {
            let mut index: HashMap<u64, Vec<SubscriptionId>> = HashMap::new();
            for (key, entry) in slots.iter() {
                let subject = fingerprint(entry.subject.as_bytes());
                index.entry(subject).or_default().push(SubscriptionId(key));
            }
            index
        });
        let Some(ids) = index.get_mut(&fingerprint(subject.as_bytes())) else { return Vec::new() };
        let is_meant =
            |entry: &Subscription<T>| &*entry.subject == subject && entry.queue.as_deref() == queue;
        // those that are found end, and those that have ended need not be looked at again
        ids.retain(|id| slots.get(id.0).is_some());
        let (meant, others) = ids.iter().partition(|id| slots.get(id.0).is_some_and(is_meant));
        *ids = others;
        meant
    }

    // ---- servers ------------------------------------------------------------------------------

    /// Writes an `UNSUB` for every subscription that is not being drained, because those have one
    /// already.
    pub(crate) fn unsubscribe_all(&self, out: &mut Vec<u8>) {
        for (id, _) in self.iter().filter(|(_, entry)| !entry.draining) {
            encode::unsubscribe(out, id.sid(), None);
        }
    }

    /// Writes for a new server what the one before it knew. What is in the outgoing stream is not
    /// repeated.
    pub(crate) fn restore(&self, out: &mut Vec<u8>) {
        for (id, entry) in self.iter() {
            if entry.position.is_none() && !entry.draining && !entry.has_all() {
                entry.encode(id, entry.server_max(), out);
            }
        }
    }

    /// The server that had received the stream up to `sent` is gone. Returns the subscriptions that
    /// were being drained: no fence ends them now.
    pub(crate) fn handle_disconnected(
        &mut self,
        sent: u64,
        all_drain: bool,
    ) -> Vec<SubscriptionId> {
        self.by_subject = None;
        let mut drained = Vec::new();
        for (id, entry) in self.iter_mut() {
            if entry.draining || all_drain {
                drained.push(id);
            } else if entry.position.is_none_or(|position| position < sent) {
                entry.position = None;
                entry.received_before = entry.received;
                entry.has_moved = false;
            }
        }
        drained
    }

    // ---- a move to another server -------------------------------------------------------------

    /// Writes for the next server what the current one knows.
    pub(crate) fn join(&mut self, out: &mut Vec<u8>) {
        for (id, entry) in self.iter_mut() {
            if entry.draining || entry.has_all() {
                continue;
            }
            entry.received_at_join = Some(entry.received);
            entry.encode(id, entry.next_server_max(), out);
        }
    }

    /// The next server has been told of a subscription.
    pub(crate) fn mark_joined(&mut self, id: SubscriptionId) {
        if let Some(entry) = self.get_mut(id) {
            entry.received_at_join = Some(entry.received);
        }
    }

    /// Unsubscribes everything at the current server: the next one knows of it.
    pub(crate) fn leave(&mut self, out: &mut Vec<u8>) {
        self.unsubscribe_all(out);
        for (_, entry) in self.iter_mut().filter(|(_, entry)| !entry.draining) {
            entry.position = None;
        }
    }

    /// The next server is the current one.
    pub(crate) fn handle_moved(&mut self) {
        for (_, entry) in self.iter_mut() {
            if let Some(received) = entry.received_at_join.take() {
                entry.received_before = received;
                entry.has_moved = true;
            }
        }
    }

    /// The next server will not be the current one.
    pub(crate) fn forget_join(&mut self) {
        self.iter_mut().for_each(|(_, entry)| entry.received_at_join = None);
    }

    // ---- messages -----------------------------------------------------------------------------

    /// A subscription whose next message is delivered, and not the last one: there is nothing to do
    /// but to count it.
    #[inline(always)]
    pub(crate) fn get_plain(&mut self, id: SubscriptionId) -> Option<&mut Subscription<T>> {
        self.get_mut(id).filter(|entry| entry.max.is_none() && entry.held.is_none())
    }

    /// Counts a message for a subscription.
    #[inline]
    pub(crate) fn receive(&mut self, id: SubscriptionId) -> Received {
        let Some(entry) = self.slots.get_mut(id.0) else {
            return Received::Late;
        };
        entry.received += 1;
        match entry.max {
            Some(max) if entry.received > max => Received::Late,
            _ if entry.holds() => Received::Held,
            Some(max) if entry.received == max => Received::Last,
            _ => Received::More,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_are_small_and_never_given_twice() {
        let mut table = Subscriptions::default();
        let first = table.insert("a", None, None, ()).unwrap();
        let second = table.insert("a", None, None, ()).unwrap();
        assert_eq!((first.sid(), second.sid()), (2, 3));
        table.remove(first);
        let third = table.insert("a", None, None, ()).unwrap();
        assert_eq!(third.sid(), (1 << 24) + 2);
        for id in [first, second, third] {
            assert_eq!(SubscriptionId::from_sid(id.sid()), Some(id));
        }
        assert_eq!(table.receive(first), Received::Late);
        assert_eq!(table.receive(third), Received::More);
    }

    #[test]
    fn odd_sids_find_nothing() {
        let mut table = Subscriptions::default();
        table.insert("a", None, None, ()).unwrap();
        for sid in [0, 1, 3, 1 << 24, u64::MAX, 1 << 56] {
            let found = SubscriptionId::from_sid(sid).map(|id| table.receive(id));
            assert!(matches!(found, None | Some(Received::Late)), "{sid}");
        }
    }

    #[test]
    fn the_last_message_is_known() {
        let mut table = Subscriptions::default();
        let id = table.insert("a", None, None, ()).unwrap();
        table.get_mut(id).unwrap().max = Some(2);
        let received: Vec<_> = (0..3).map(|_| table.receive(id)).collect();
        assert_eq!(received, [Received::More, Received::Last, Received::Late]);
    }
}
