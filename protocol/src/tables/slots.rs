//! A slab whose keys carry a version: the key of a removed entry never finds its successor.
//!
//! It is what makes ids on the wire safe to look up by index: a late message names a slot and a
//! generation, and when the slot has been reused the generation differs. It does not know what the
//! entries are.

use slab::Slab;

/// The slot of an entry, and how often the slot was reused before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Slab<T>,
    /// One per slot that there is.
    generations: Vec<u32>,
    /// What new slots begin with: no slot that was given up has had this generation or a later one.
    first_generation: u32,
    /// Entries removed since slots were given up.
    removed: usize,
}

/// So many slots are not worth giving up.
pub(crate) const SLOTS_KEPT: usize = 4096;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Slab::new(), generations: Vec::new(), first_generation: 0, removed: 0 }
    }
}

impl<T> Slots<T> {
    /// More entries than this at once would not fit the ids on the wire.
    pub(crate) const MAX: usize = (1 << 24) - 2;

    /// Stores an entry, or gives it back if there are [`MAX`](Self::MAX) already.
    #[inline]
    pub(crate) fn insert(&mut self, entry: T) -> Result<Key, T> {
        if self.entries.len() >= Self::MAX {
            return Err(entry);
        }
        let index = self.entries.insert(entry);
        if index == self.generations.len() {
            self.generations.push(self.first_generation);
        }
        Ok(Key { index: index as u32, generation: self.generations[index] })
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.is_current(key).then(|| self.entries.get(key.index as usize)).flatten()
    }

    /// The entry of a slot, and its key.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<(Key, &T)> {
        let entry = self.entries.get(index as usize)?;
        Some((Key { index, generation: *self.generations.get(index as usize)? }, entry))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        if self.is_current(key) { self.entries.get_mut(key.index as usize) } else { None }
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        if !self.is_current(key) {
            return None;
        }
        let entry = self.entries.try_remove(key.index as usize)?;
        let generation = &mut self.generations[key.index as usize];
        *generation = generation.wrapping_add(1);
        self.removed += 1;
        if self.generations.len() > SLOTS_KEPT {
            self.give_up_slots();
        }
        Some(entry)
    }

    /// Gives up the slots behind the last entry, if most slots are vacant: what there was at once some
    /// day is not what there is. So often only that each removal pays for a few slots.
    #[cold]
    fn give_up_slots(&mut self) {
        let slots = self.generations.len();
        let is_paid_for = self.removed > slots / 8 && self.entries.len() < slots / 4;
        if !is_paid_for || self.entries.contains(slots - 1) {
            return;
        }
        self.removed = 0;
        self.entries.shrink_to_fit();
        let left = self.entries.capacity();
        // late messages that name a slot which was given up find nothing in its successor
        let given_up = self.generations.get(left..).unwrap_or_default();
        let latest = given_up.iter().copied().max().unwrap_or(0);
        self.first_generation = self.first_generation.max(latest);
        self.generations.truncate(left);
        self.generations.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an entry is still there. Its key is the current one of the slot until it is removed.
    #[inline]
    pub(crate) fn contains(&self, key: Key) -> bool {
        self.is_current(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries.iter().map(|(index, entry)| {
            (Key { index: index as u32, generation: self.generations[index] }, entry)
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        let generations = &self.generations;
        self.entries.iter_mut().map(move |(index, entry)| {
            (Key { index: index as u32, generation: generations[index] }, entry)
        })
    }

    #[inline]
    fn is_current(&self, key: Key) -> bool {
        self.generations.get(key.index as usize) == Some(&key.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_removed_entry_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert("a").unwrap();
        assert_eq!(slots.remove(first), Some("a"));
        let second = slots.insert("b").unwrap();
        assert_eq!((first.index, second.index), (0, 0));
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"b"));
    }

    #[test]
    fn slots_that_are_given_up_are_not_found_by_their_old_keys() {
        let mut slots = Slots::default();
        let kept = slots.insert(0).unwrap();
        let old: Vec<Key> = (1..=100_000).map(|n| slots.insert(n).unwrap()).collect();
        // the one that is used most often
        let mut busy = old[50_000];
        for _ in 0..9 {
            slots.remove(busy);
            busy = slots.insert(7).unwrap();
        }
        assert_eq!(busy.index, old[50_000].index);
        let mut gone = old.clone();
        gone[50_000] = busy;
        gone.iter().for_each(|key| assert!(slots.remove(*key).is_some()));
        assert!(slots.generations.capacity() < 10_000, "memory follows use");
        assert!(slots.entries.capacity() < 10_000);
        assert_eq!(slots.get(kept), Some(&0));
        let new: Vec<Key> = (0..100_000).map(|n| slots.insert(n).unwrap()).collect();
        assert!(old.iter().chain(&gone).all(|key| slots.get(*key).is_none()));
        assert!(new.iter().all(|key| slots.contains(*key)));
    }
}
