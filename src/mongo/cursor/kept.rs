//! What is kept in memory, and for how long. The time is an argument.
//!
//! All live equally long, so that whatever was written first expires first. What has expired is removed with the
//! next call; what was removed or renewed before leaves a line in the queue, of which there are never more than
//! twice as many as there may be cursors.

use super::error::CursorError;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

pub(super) struct Kept {
    pub(super) ttl: Duration,
    pub(super) capacity: usize,
    values: HashMap<String, Value>,
    /// Keys with the revisions that they had, in the order in which these expire.
    queue: VecDeque<(String, u64)>,
    last_revision: u64,
}

struct Value {
    bytes: Bytes,
    revision: u64,
    written: Instant,
}

impl Kept {
    pub(super) fn new(ttl: Duration, capacity: usize) -> Self {
        Self { ttl, capacity, values: HashMap::new(), queue: VecDeque::new(), last_revision: 0 }
    }

    pub(super) fn len(&mut self, now: Instant) -> usize {
        self.expire(now);
        self.values.len()
    }

    pub(super) fn create(
        &mut self,
        key: &str,
        bytes: Bytes,
        now: Instant,
    ) -> Result<u64, CursorError> {
        self.expire(now);
        if self.values.contains_key(key) {
            return Err(CursorError::Exists);
        }
        if self.values.len() >= self.capacity {
            return Err(CursorError::Full { limit: self.capacity });
        }
        Ok(self.write(key, bytes, now))
    }

    pub(super) fn read(&mut self, key: &str, now: Instant) -> Option<(Bytes, u64)> {
        self.expire(now);
        self.values.get(key).map(|value| (value.bytes.clone(), value.revision))
    }

    pub(super) fn replace(
        &mut self,
        key: &str,
        bytes: Bytes,
        revision: u64,
        now: Instant,
    ) -> Result<u64, CursorError> {
        self.expire(now);
        match self.values.get(key) {
            Some(value) if value.revision == revision => Ok(self.write(key, bytes, now)),
            _ => Err(CursorError::Changed { expected: revision }),
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.values.remove(key);
        self.tidy();
    }

    fn write(&mut self, key: &str, bytes: Bytes, now: Instant) -> u64 {
        self.last_revision += 1;
        let revision = self.last_revision;
        self.values.insert(key.to_owned(), Value { bytes, revision, written: now });
        self.queue.push_back((key.to_owned(), revision));
        self.tidy();
        revision
    }

    fn expire(&mut self, now: Instant) {
        while let Some((key, revision)) = self.queue.front() {
            let current = self.values.get(key).filter(|value| value.revision == *revision);
            match current {
                Some(value) if now.saturating_duration_since(value.written) < self.ttl => return,
                Some(_) => drop(self.values.remove(key)),
                None => {}
            }
            self.queue.pop_front();
        }
    }

    /// Removes the lines that stand for nothing, once they are the most.
    fn tidy(&mut self) {
        if self.queue.len() > 2 * self.values.len() + 16 {
            let values = &self.values;
            let is_current = |(key, revision): &(String, u64)| {
                values.get(key).is_some_and(|value| value.revision == *revision)
            };
            self.queue.retain(is_current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[test]
    fn a_value_lives_for_its_time_from_the_last_write() {
        let (mut kept, begin) = (Kept::new(TTL, 8), Instant::now());
        let first = kept.create("a", Bytes::from_static(b"1"), begin).unwrap();
        let almost = begin + TTL - Duration::from_millis(1);
        assert!(kept.read("a", almost).is_some());
        let second = kept.replace("a", Bytes::from_static(b"1"), first, almost).unwrap();
        assert!(second > first);
        assert_eq!(kept.read("a", begin + TTL), Some((Bytes::from_static(b"1"), second)));
        assert_eq!(kept.read("a", almost + TTL), None);
        let gone = kept.replace("a", Bytes::new(), second, almost + TTL);
        assert_eq!(gone, Err(CursorError::Changed { expected: second }));
        assert!(kept.create("a", Bytes::new(), almost + TTL).is_ok(), "the key is free again");
    }

    #[test]
    fn there_are_no_more_than_may_be_and_the_expired_make_room() {
        let (mut kept, begin) = (Kept::new(TTL, 2), Instant::now());
        kept.create("a", Bytes::new(), begin).unwrap();
        kept.create("b", Bytes::new(), begin + TTL / 2).unwrap();
        assert_eq!(kept.create("b", Bytes::new(), begin + TTL / 2), Err(CursorError::Exists));
        let full = kept.create("c", Bytes::new(), begin + TTL / 2);
        assert_eq!(full, Err(CursorError::Full { limit: 2 }));
        kept.create("c", Bytes::new(), begin + TTL).unwrap();
        assert_eq!(kept.len(begin + TTL), 2);
        kept.remove("b");
        kept.remove("b");
        assert_eq!(kept.len(begin + TTL), 1);
    }

    #[test]
    fn what_was_removed_or_renewed_leaves_no_growing_trace() {
        let (mut kept, now) = (Kept::new(TTL, 4), Instant::now());
        let mut revision = kept.create("touched", Bytes::new(), now).unwrap();
        for _ in 0..1_000 {
            revision = kept.replace("touched", Bytes::new(), revision, now).unwrap();
            kept.create("removed", Bytes::new(), now).unwrap();
            kept.remove("removed");
        }
        assert!(kept.queue.len() < 32, "{}", kept.queue.len());
    }
}
