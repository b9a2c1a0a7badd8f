//! One lane for each key that has messages: what is at work, what is to come again, and what is held
//! behind that. It knows no time.
//!
//! The invariants: of each key one message is at work at most, and of all keys together no more than the
//! limit. A message is taken from a lane only if nothing older of its key is held, at work or to come
//! again. A lane whose next message could be taken is in the queue of those that are ready, once. What is
//! neither at work, nor held, nor waited for leaves nothing behind.

use evnats_protocol::Message;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

pub(super) type Key = Rc<[u8]>;

#[derive(Debug)]
pub(super) struct Lanes {
    max_keys: usize,
    lanes: HashMap<Key, Lane>,
    /// Those whose next message waits for a place.
    ready: VecDeque<Key>,
    /// By their numbers in the stream.
    at_work: BTreeMap<u64, Work>,
    held: usize,
    /// Messages from this number on stay where they are.
    barrier: Option<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    is_at_work: bool,
    is_ready: bool,
    /// The numbers of those that are to come again.
    awaited: BTreeSet<u64>,
    /// In the order of their numbers.
    held: VecDeque<Held>,
}

/// A message that waits for those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) sequence: u64,
    pub(super) message: Message,
    /// How many bytes were counted for it when it came.
    pub(super) bytes: u64,
}

/// A message that is with the program.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) key: Key,
    pub(super) message: Message,
}

impl Lane {
    /// Whether the next message may be taken.
    fn is_free(&self, barrier: Option<u64>) -> bool {
        let Some(next) = self.held.front().filter(|_| !self.is_at_work) else { return false };
        let is_first = self.awaited.first().is_none_or(|awaited| next.sequence < *awaited);
        is_first && barrier.is_none_or(|barrier| next.sequence < barrier)
    }

    fn is_empty(&self) -> bool {
        !self.is_at_work && self.awaited.is_empty() && self.held.is_empty()
    }

    /// Where a message is held, or would be.
    fn place(&self, sequence: u64) -> Result<usize, usize> {
        match self.held.back() {
            Some(last) if last.sequence < sequence => Err(self.held.len()),
            _ => self.held.binary_search_by_key(&sequence, |held| held.sequence),
        }
    }
}

impl Lanes {
    pub(super) fn new(max_keys: usize) -> Self {
        Self {
            max_keys,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            at_work: BTreeMap::new(),
            held: 0,
            barrier: None,
        }
    }

    /// How many messages wait for those before them.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn is_at_work(&self, sequence: u64) -> bool {
        self.at_work.contains_key(&sequence)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.at_work.is_empty()
    }

    /// Takes a newer copy of a message that is held. Returns whether there is one.
    pub(super) fn renew(&mut self, key: &[u8], sequence: u64, message: &Message) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        let place = lane.place(sequence);
        if let Ok(at) = place {
            lane.held[at].message = message.clone();
        }
        place.is_ok()
    }

    /// Holds a message that is neither held nor at work.
    pub(super) fn hold(&mut self, key: &[u8], held: Held) {
        let key = match self.lanes.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => Key::from(key),
        };
        let lane = self.lanes.entry(key.clone()).or_default();
        let was_awaited = lane.awaited.remove(&held.sequence);
        if let Err(at) = lane.place(held.sequence) {
            lane.held.insert(at, held);
            self.held += 1;
        }
        self.queue(&key, was_awaited);
    }

    /// Takes the next message that may be handed over. It is at work then.
    pub(super) fn take(&mut self) -> Option<Held> {
        while self.at_work.len() < self.max_keys {
            let key = self.ready.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.is_ready = false;
            if !lane.is_free(self.barrier) {
                continue;
            }
            let Some(next) = lane.held.pop_front() else { continue };
            lane.is_at_work = true;
            self.held -= 1;
            self.at_work.insert(next.sequence, Work { key, message: next.message.clone() });
            return Some(next);
        }
        None
    }

    /// A message is not at work any more. The next one of its key is free, until it is told otherwise.
    pub(super) fn settle(&mut self, sequence: u64) -> Option<Work> {
        let work = self.at_work.remove(&sequence)?;
        if let Some(lane) = self.lanes.get_mut(&work.key) {
            lane.is_at_work = false;
        }
        Some(work)
    }

    /// Keeps what is newer than this message until it has come again.
    pub(super) fn expect(&mut self, key: &Key, sequence: u64) {
        self.lanes.entry(key.clone()).or_default().awaited.insert(sequence);
        self.queue(key, false);
    }

    /// Does not wait for this message.
    pub(super) fn pass_over(&mut self, key: &Key, sequence: u64) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.awaited.remove(&sequence);
        }
        self.queue(key, false);
    }

    /// Keeps messages from this number on where they are, or none.
    pub(super) fn set_barrier(&mut self, barrier: Option<u64>) {
        if std::mem::replace(&mut self.barrier, barrier) == barrier {
            return;
        }
        let free = self.lanes.iter().filter(|(_, lane)| lane.is_free(barrier) && !lane.is_ready);
        let mut free: Vec<_> = free
            .map(|(key, lane)| (lane.held.front().map(|held| held.sequence), key.clone()))
            .collect();
        free.sort();
        free.iter().for_each(|(_, key)| self.queue(key, false));
    }

    /// Queues a lane whose next message may be taken, or forgets one that has nothing.
    fn queue(&mut self, key: &Key, is_next: bool) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.is_empty() {
            self.lanes.remove(key);
        } else if !lane.is_ready && lane.is_free(self.barrier) {
            lane.is_ready = true;
            match is_next {
                true => self.ready.push_front(key.clone()),
                false => self.ready.push_back(key.clone()),
            }
        }
    }

    /// What is with the program, and what is held.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        let held = self.lanes.values().flat_map(|lane| &lane.held).map(|held| &held.message);
        self.at_work.values().map(|work| &work.message).chain(held)
    }

    /// Takes everything that is held, as nobody will take it.
    pub(super) fn take_held(&mut self) -> Vec<(u64, Message)> {
        self.take_held_if(|_| true)
    }

    /// Takes what cannot be handed over before something else has come, in the order of the numbers.
    pub(super) fn take_stuck(&mut self) -> Vec<(u64, Message)> {
        let barrier = self.barrier;
        self.take_held_if(|lane| !lane.is_at_work && !lane.is_free(barrier))
    }

    fn take_held_if(&mut self, is_taken: impl Fn(&Lane) -> bool) -> Vec<(u64, Message)> {
        let mut taken = Vec::new();
        self.lanes.retain(|_, lane| {
            if is_taken(lane) {
                lane.awaited.clear();
                taken.extend(lane.held.drain(..).map(|held| (held.sequence, held.message)));
            }
            !lane.is_empty()
        });
        self.held -= taken.len();
        taken.sort_by_key(|(sequence, _)| *sequence);
        taken
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.ready.is_empty() && self.at_work.is_empty() && self.held == 0
    }

    /// Nothing of it is of use any more.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_keys);
    }
}
