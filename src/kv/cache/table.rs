//! What a cache holds: the last entry of each key, and which of them will be gone when. A pure machine:
//! no socket, no clock.
//!
//! A server that leaves no markers removes what is too old without a word. Such entries are noted by the
//! time at which they have to go, and given out then.

use crate::jetstream::watching::KeyHashes;
use crate::kv::entry::Entry;
use evnats_protocol::texts::is_same;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What a key takes beside itself and its value, in bytes: the entry, its part of the table, and what
/// the allocator adds.
const OVERHEAD: usize = 208;

pub(in crate::kv) struct CacheTable {
    hashes: KeyHashes,
    /// By the hashes of their keys.
    entries: HashTable<Rc<Entry>>,
    /// The keys that go without a word, by the time and the revision.
    going: BTreeMap<(SystemTime, u64), Box<[u8]>>,
    lifetime: Option<Lifetime>,
    bytes: usize,
    max_bytes: usize,
}

/// How a bucket removes what is old without leaving a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) struct Lifetime {
    /// The age of the bucket's values, if they have one.
    pub(in crate::kv) max_age: Option<Duration>,
}

/// The cache may not hold that much.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::kv) struct Full;

impl CacheTable {
    pub(in crate::kv) fn new(hashes: KeyHashes, max_bytes: usize) -> Self {
        Self {
            hashes,
            entries: HashTable::new(),
            going: BTreeMap::new(),
            lifetime: None,
            bytes: 0,
            max_bytes,
        }
    }

    #[inline]
    pub(in crate::kv) fn get(&self, key: &[u8]) -> Option<&Rc<Entry>> {
        self.entries.find(self.hashes.hash_one(key), |entry| is_same(entry.key_bytes(), key))
    }

    pub(in crate::kv) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What it takes, as it is reckoned.
    pub(in crate::kv) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::kv) fn entries(&self) -> impl Iterator<Item = &Rc<Entry>> {
        self.entries.iter()
    }

    /// Takes what a key is now.
    pub(in crate::kv) fn apply(&mut self, entry: &Rc<Entry>) -> Result<(), Full> {
        self.remove(entry.key_bytes());
        if entry.operation().is_tombstone() {
            return Ok(());
        }
        let bytes = self.bytes.saturating_add(size(entry));
        if bytes > self.max_bytes {
            return Err(Full);
        }
        self.bytes = bytes;
        self.note_going(entry);
        let hash = |entry: &Rc<Entry>| self.hashes.hash_one(entry.key_bytes());
        self.entries.insert_unique(hash(entry), entry.clone(), hash);
        Ok(())
    }

    pub(in crate::kv) fn remove(&mut self, key: &[u8]) -> Option<Rc<Entry>> {
        let hash = self.hashes.hash_one(key);
        let found = self.entries.find_entry(hash, |entry| is_same(entry.key_bytes(), key));
        let (entry, _) = found.ok()?.remove();
        self.bytes -= size(&entry);
        if let Some(time) = self.goes_at(&entry) {
            self.going.remove(&(time, entry.revision()));
        }
        Some(entry)
    }

    pub(in crate::kv) fn clear(&mut self) {
        self.entries.clear();
        self.going.clear();
        self.bytes = 0;
    }

    /// The bucket removes values without a word, or (`None`) it does not.
    pub(in crate::kv) fn set_lifetime(&mut self, lifetime: Option<Lifetime>) {
        if self.lifetime == lifetime {
            return;
        }
        self.lifetime = lifetime;
        let going = self.entries.iter().filter_map(|entry| {
            let time = lifetime?.end_of(entry)?;
            Some(((time, entry.revision()), entry.key_bytes().into()))
        });
        self.going = going.collect();
    }

    /// When the next one goes, by the server's clock.
    pub(in crate::kv) fn next_going(&self) -> Option<SystemTime> {
        self.going.first_key_value().map(|((time, _), _)| *time)
    }

    /// Gives out the keys whose time is over, with their revisions.
    pub(in crate::kv) fn take_going(&mut self, now: SystemTime) -> Vec<(Box<[u8]>, u64)> {
        let later = self.going.split_off(&(now, u64::MAX));
        let gone = std::mem::replace(&mut self.going, later);
        gone.into_iter().map(|((_, revision), key)| (key, revision)).collect()
    }

    /// A key that should be gone is there: it is given out again at this time.
    pub(in crate::kv) fn put_off(&mut self, key: Box<[u8]>, revision: u64, until: SystemTime) {
        self.going.insert((until, revision), key);
    }

    fn note_going(&mut self, entry: &Entry) {
        if let Some(time) = self.goes_at(entry) {
            self.going.insert((time, entry.revision()), entry.key_bytes().into());
        }
    }

    fn goes_at(&self, entry: &Entry) -> Option<SystemTime> {
        self.lifetime?.end_of(entry)
    }
}

impl Lifetime {
    /// When the server removes it.
    fn end_of(self, entry: &Entry) -> Option<SystemTime> {
        let age = match (entry.ttl(), self.max_age) {
            (Some(Duration::MAX), _) => return None,
            (Some(own), Some(max_age)) => own.min(max_age),
            (own, max_age) => own.or(max_age)?,
        };
        entry.created()?.checked_add(age)
    }
}

fn size(entry: &Entry) -> usize {
    entry.key_bytes().len() + entry.value().len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::{StoredMessage, StoredParts};
    use crate::kv::entry::Operation;
    use evnats_protocol::Headers;

    fn table(max_bytes: usize) -> CacheTable {
        CacheTable::new(KeyHashes::fixed(), max_bytes)
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A value of a key, stored at second 100.
    fn entry(key: &str, sequence: u64, headers: &str) -> Rc<Entry> {
        let subject = format!("$KV.b.{key}");
        let subject = subject.as_bytes();
        let parts = StoredParts { sequence, subject, payload: b"12345", ..StoredParts::default() };
        let block = format!("NATS/1.0\r\n{headers}\r\n");
        let headers = Headers::new(block.as_bytes());
        let stored = StoredMessage::copy_of(parts);
        let entry = Entry::read(&"b".into(), "$KV.b.", stored, Operation::of(headers));
        Rc::new(entry.delivered(0, at(100)).living_for(headers))
    }

    #[test]
    fn it_holds_the_last_value_of_each_key() {
        let mut table = table(usize::MAX);
        for entry in [entry("a", 1, ""), entry("b", 2, ""), entry("a", 3, "")] {
            assert_eq!(table.apply(&entry), Ok(()));
        }
        assert_eq!(table.get(b"a").map(|entry| entry.revision()), Some(3));
        assert_eq!((table.len(), table.bytes()), (2, 2 * (6 + OVERHEAD)));
        assert_eq!(table.apply(&entry("a", 4, "KV-Operation: DEL\r\n")), Ok(()));
        assert_eq!(table.apply(&entry("b", 5, "Nats-Marker-Reason: MaxAge\r\n")), Ok(()));
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn it_is_full_at_its_limit() {
        let mut table = table(2 * (6 + OVERHEAD));
        assert_eq!(table.apply(&entry("a", 1, "")), Ok(()));
        assert_eq!(table.apply(&entry("b", 2, "")), Ok(()));
        assert_eq!(table.apply(&entry("b", 3, "")), Ok(()), "in the place of the other");
        assert_eq!(table.apply(&entry("c", 4, "")), Err(Full));
    }

    #[test]
    fn what_goes_without_a_word_is_given_out_when_it_does() {
        let mut table = table(usize::MAX);
        for entry in [
            entry("old", 1, ""),
            entry("own", 2, "Nats-TTL: 5\r\n"),
            entry("ever", 3, "Nats-TTL: never\r\n"),
            entry("long", 4, "Nats-TTL: 1h\r\n"),
        ] {
            table.apply(&entry).expect("room");
        }
        assert_eq!(table.next_going(), None, "as far as is known");
        table.set_lifetime(Some(Lifetime { max_age: Some(Duration::from_secs(60)) }));
        assert_eq!(table.next_going(), Some(at(105)));
        assert_eq!(table.take_going(at(104)), []);
        assert_eq!(table.take_going(at(105)), [(b"own".as_slice().into(), 2)]);
        // it is still there, and then it is written again
        table.put_off(b"own".as_slice().into(), 2, at(106));
        table.apply(&entry("own", 5, "")).expect("room");
        assert_eq!(
            table.take_going(at(106)),
            [(b"own".as_slice().into(), 2)],
            "of another revision"
        );
        table.remove(b"old").expect("it is there");
        let going = table.take_going(at(1000)).into_iter().map(|(_, revision)| revision);
        assert_eq!(going.collect::<Vec<_>>(), [4, 5]);
        assert_eq!((table.len(), table.next_going()), (3, None));
    }

    #[test]
    fn a_bucket_that_leaves_markers_says_so_itself() {
        let mut table = table(usize::MAX);
        table.set_lifetime(Some(Lifetime { max_age: None }));
        table.apply(&entry("own", 1, "Nats-TTL: 5\r\n")).expect("room");
        table.apply(&entry("ever", 2, "")).expect("room");
        assert_eq!(table.next_going(), Some(at(105)));
        table.set_lifetime(None);
        assert_eq!(table.next_going(), None);
    }
}
