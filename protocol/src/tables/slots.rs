//! A slab whose keys carry a version: the key of a removed entry never finds its successor.
//!
//! It is what makes ids on the wire safe to look up by index: a late message names a slot and a
//! generation, and when the slot has been given to somebody else the generation tells.

use slab::Slab;

/// Where an entry is, and the how-many-th tenant of that place it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Slab<T>,
    /// One a slot that was ever used; grows to the largest number of entries there were at once.
    generations: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Slab::new(), generations: Vec::new() }
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
            self.generations.push(0);
        }
        Ok(Key { index: index as u32, generation: self.generations[index] })
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.is_current(key).then(|| self.entries.get(key.index as usize)).flatten()
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
        Some(entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.get(key).is_some()
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
}
