//! A set of keys in little memory, and exact: the keys one after the other, and a table of where they
//! are. A key of 16 bytes takes 18, and 6 to 11 in the table.
//!
//! The invariant: a key is stored once. One that is taken out stays where it is, marked, for the set is
//! made to be filled, looked at, and thrown away.

use crate::jetstream::watching::hashing::KeyHashes;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Memory for keys is made in pieces, which never move.
const PIECE: usize = 1 << 18;
/// How long a key is in front of it, and whether it is in the set.
const HEAD: usize = 3;

pub(crate) struct KeySet {
    hashes: KeyHashes,
    pieces: Vec<Vec<u8>>,
    /// Where keys are, plus one; 0: nowhere. As many as a power of two.
    table: Vec<u32>,
    /// Keys in the pieces.
    stored: usize,
    /// Keys that no server takes by default, because they are too long, or too many.
    others: HashMap<Box<[u8]>, bool, KeyHashes>,
    len: usize,
}

impl KeySet {
    pub(crate) fn new(hashes: KeyHashes) -> Self {
        let others = HashMap::with_hasher(hashes.clone());
        Self { hashes, pieces: Vec::new(), table: vec![0; 16], stored: 0, others, len: 0 }
    }

    /// Takes all keys out.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.hashes.clone());
    }

    /// How many keys are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts a key in. Returns whether it was not there.
    pub(crate) fn insert(&mut self, key: &[u8]) -> bool {
        let is_new = !self.set(key, true);
        self.len += usize::from(is_new);
        is_new
    }

    /// Takes a key out. Returns whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let was_there = self.contains(key) && self.set(key, false);
        self.len -= usize::from(was_there);
        was_there
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self.find(key) {
            Ok(at) => self.piece(at)[0] != 0,
            Err(_) => self.others.get(key).copied().unwrap_or(false),
        }
    }

    /// Sets whether a key is in, and returns whether it was.
    fn set(&mut self, key: &[u8], is_in: bool) -> bool {
        match self.find(key) {
            Ok(at) => {
                let (piece, offset) = place(at);
                std::mem::replace(&mut self.pieces[piece][offset], u8::from(is_in)) != 0
            }
            Err(slot) if !self.others.contains_key(key) && self.store(slot, key) => false,
            Err(_) => self.others.insert(key.into(), is_in).unwrap_or(false),
        }
    }

    /// Where a key is, or which place in the table is free for it.
    fn find(&self, key: &[u8]) -> Result<u32, usize> {
        let mask = self.table.len() - 1;
        let mut slot = self.hashes.hash_one(key) as usize & mask;
        loop {
            let Some(at) = self.table[slot].checked_sub(1) else { return Err(slot) };
            if self.key(at) == key {
                return Ok(at);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// What begins at a place.
    fn piece(&self, at: u32) -> &[u8] {
        let (piece, offset) = place(at);
        &self.pieces[piece][offset..]
    }

    fn key(&self, at: u32) -> &[u8] {
        let piece = self.piece(at);
        let len = u16::from_le_bytes([piece[1], piece[2]]);
        &piece[HEAD..HEAD + usize::from(len)]
    }

    /// Stores a key that is not there. Returns whether there is a place for one like it.
    fn store(&mut self, slot: usize, key: &[u8]) -> bool {
        let Ok(len) = u16::try_from(key.len()) else { return false };
        let room = self.pieces.last().map_or(0, |piece| PIECE - piece.len());
        if room < HEAD + key.len() {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let last = self.pieces.len() - 1;
        let Some(piece) = self.pieces.last_mut() else { return false };
        let Ok(entry) = u32::try_from(last * PIECE + piece.len() + 1) else { return false };
        piece.push(1);
        piece.extend_from_slice(&len.to_le_bytes());
        piece.extend_from_slice(key);
        self.table[slot] = entry;
        self.stored += 1;
        if self.stored * 4 > self.table.len() * 3 {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let doubled = vec![0; self.table.len() * 2];
        let mask = doubled.len() - 1;
        let before = std::mem::replace(&mut self.table, doubled);
        for entry in before.into_iter().filter(|entry| *entry != 0) {
            let mut slot = self.hashes.hash_one(self.key(entry - 1)) as usize & mask;
            while self.table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = entry;
        }
    }
}

/// The piece, and where in it.
fn place(at: u32) -> (usize, usize) {
    (at as usize / PIECE, at as usize % PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn set() -> KeySet {
        KeySet::new(KeyHashes::fixed())
    }

    #[test]
    fn a_hundred_thousand_keys_are_each_there_once() {
        let mut keys = set();
        for round in 0..2 {
            for number in 0..100_000 {
                assert_eq!(keys.insert(format!("key.{number:012}").as_bytes()), round == 0);
            }
        }
        assert_eq!(keys.len(), 100_000);
        assert!(keys.contains(b"key.000000099999") && !keys.contains(b"key.000000100000"));
        let bytes = keys.pieces.len() * PIECE + keys.table.capacity() * 4;
        assert!(bytes < 100_000 * 32, "{bytes} bytes");
    }

    #[test]
    fn keys_of_any_length_have_a_place() {
        let mut keys = set();
        for len in [0, 1, 65_535, 65_536, PIECE, 300_000] {
            let key = vec![b'k'; len];
            assert!(keys.insert(&key) && !keys.insert(&key), "{len} bytes");
            assert!(keys.remove(&key) && !keys.remove(&key), "{len} bytes");
            assert!(keys.insert(&key), "{len} bytes");
        }
        assert_eq!(keys.len(), 6);
    }

    proptest! {
        #[test]
        fn it_does_what_a_set_does(steps in prop::collection::vec((0u8..40, any::<bool>()), 0..400)) {
            let (mut keys, mut expected) = (set(), HashSet::new());
            for (number, is_in) in steps {
                let key = format!("key.{number}").into_bytes();
                match is_in {
                    true => prop_assert_eq!(keys.insert(&key), expected.insert(key)),
                    false => prop_assert_eq!(keys.remove(&key), expected.remove(&key)),
                }
                prop_assert_eq!(keys.len(), expected.len());
            }
            for number in 0u8..40 {
                let key = format!("key.{number}").into_bytes();
                prop_assert_eq!(keys.contains(&key), expected.contains(&key));
            }
        }
    }
}
