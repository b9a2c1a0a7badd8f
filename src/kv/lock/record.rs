//! What is stored in a lock's key, in readable JSON, and what was found there.

use crate::kv::entry::{Entry, Operation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A claim to a lock, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) owner: String,
    /// Another one for every claim, also of one owner.
    pub(super) id: String,
    ttl_ms: u64,
}

/// Servers expire nothing earlier, and no lock says anything shorter.
const MIN_TTL_MS: u64 = 1000;

/// A year: what a claim says of itself, clocks can count.
const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

impl Record {
    pub(super) fn new(owner: &str, id: u64, ttl: Duration) -> Self {
        let ttl_ms = u64::try_from(ttl.min(MAX_TTL).as_millis()).unwrap_or(u64::MAX);
        Self { owner: owner.into(), id: format!("{id:016x}"), ttl_ms }
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms.max(MIN_TTL_MS))
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // of strings and a number, that cannot fail
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What a lock's key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The key's last revision, tombstones included; 0: it has none.
    pub(super) revision: u64,
    pub(super) holder: Holder,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    Lock(Record),
    /// A value that is none of a lock.
    Foreign,
}

impl Found {
    pub(super) fn nothing() -> Self {
        Self { revision: 0, holder: Holder::Nobody }
    }

    pub(super) fn read(entry: &Entry) -> Self {
        let holder = match entry.operation() {
            Operation::Put => match serde_json::from_slice(entry.value()) {
                Ok(record) => Holder::Lock(record),
                Err(_) => Holder::Foreign,
            },
            _ => Holder::Nobody,
        };
        Self { revision: entry.revision(), holder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_readable_and_may_have_more_in_it() {
        let record = Record::new("worker-1", 0xab, Duration::from_secs(10));
        let json = r#"{"owner":"worker-1","id":"00000000000000ab","ttl_ms":10000}"#;
        assert_eq!(record.to_json(), json.as_bytes());
        let more = r#"{"owner":"a","id":"x","ttl_ms":0,"since":7}"#;
        let read: Record = serde_json::from_str(more).expect("a record");
        assert_eq!(read.ttl(), Duration::from_secs(1), "nobody is taken for dead at once");
        assert!(serde_json::from_str::<Record>(r#"{"owner":"a","ttl_ms":-1}"#).is_err());
    }
}
