//! One write of a batch: what it expects, and what it is as a message.

use crate::jetstream::{PublishOptions, Ttl};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::writing::ttl::Behind;
use bytes::Bytes;
use smol_str::SmolStr;

#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: SmolStr,
    pub(super) kind: Kind,
    pub(super) value: Bytes,
    pub(super) ttl: Option<Ttl>,
}

/// What a write does, and at which revision of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Create,
    Update(u64),
    Delete(Option<u64>),
    Purge(Option<u64>),
}

impl Kind {
    /// The revision that the key has to be at. 0: it has none.
    pub(super) fn expected(self) -> Option<u64> {
        match self {
            Self::Put => None,
            Self::Create => Some(0),
            Self::Update(revision) => Some(revision),
            Self::Delete(revision) | Self::Purge(revision) => revision,
        }
    }

    /// What may be behind the write.
    pub(super) fn behind(self) -> Behind {
        match self {
            Self::Create | Self::Purge(_) => Behind::NoValue,
            Self::Update(revision) => Behind::revision(revision),
            Self::Put | Self::Delete(_) => Behind::History,
        }
    }
}

impl Change {
    /// The options of the message, which expects a revision of its subject.
    pub(super) fn options(&self, expected: Option<u64>) -> PublishOptions {
        let options = match self.kind {
            Kind::Put | Kind::Create | Kind::Update(_) => PublishOptions::new(),
            Kind::Delete(_) => PublishOptions::new().header("KV-Operation", "DEL"),
            Kind::Purge(_) => {
                PublishOptions::new().header("KV-Operation", "PURGE").rollup_subject()
            }
        };
        let options = match expected {
            Some(revision) => options.expect_last_subject_sequence(revision),
            None => options,
        };
        match self.ttl {
            Some(ttl) => options.ttl(ttl),
            None => options,
        }
    }

    /// Returns what the message is to expect, given the key's last revision, or that the change is not
    /// possible any more. A creation expects the tombstone that it is to be over.
    pub(super) fn look(&self, found: Option<&Entry>) -> Result<Option<u64>, Error> {
        let actual = found.map_or(0, Entry::revision);
        let key = || self.key.to_string();
        match (self.kind, self.kind.expected()) {
            (Kind::Create, _) => match found {
                Some(entry) if !entry.operation().is_tombstone() => {
                    Err(Error::KeyExists { key: key(), revision: Some(actual) })
                }
                _ => Ok(Some(actual)),
            },
            (_, Some(expected)) if expected != actual => {
                Err(Error::WrongRevision { key: key(), expected, actual: Some(actual) })
            }
            (_, expected) => Ok(expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::{StoredMessage, StoredParts};
    use crate::kv::entry::Operation;

    fn entry(sequence: u64, operation: Operation) -> Entry {
        let message = StoredMessage::copy_of(StoredParts { sequence, ..StoredParts::default() });
        Entry::read(&"b".into(), "", message, operation)
    }

    fn look(kind: Kind, found: Option<(u64, Operation)>) -> Result<Option<u64>, Error> {
        let change = Change { key: "k".into(), kind, value: Bytes::new(), ttl: None };
        change.look(found.map(|(sequence, operation)| entry(sequence, operation)).as_ref())
    }

    #[test]
    fn a_creation_goes_over_whatever_is_no_value() {
        assert_eq!(look(Kind::Create, None), Ok(Some(0)));
        for tombstone in [Operation::Delete, Operation::Purge, Operation::Expire] {
            assert_eq!(look(Kind::Create, Some((7, tombstone))), Ok(Some(7)));
        }
        let exists = Error::KeyExists { key: "k".into(), revision: Some(7) };
        assert_eq!(look(Kind::Create, Some((7, Operation::Put))), Err(exists));
    }

    #[test]
    fn a_revision_is_that_of_a_value_or_of_a_tombstone() {
        for kind in [Kind::Update(7), Kind::Delete(Some(7)), Kind::Purge(Some(7))] {
            assert_eq!(look(kind, Some((7, Operation::Put))), Ok(Some(7)));
            assert_eq!(look(kind, Some((7, Operation::Delete))), Ok(Some(7)));
            for (found, actual) in [(Some((8, Operation::Put)), 8), (None, 0)] {
                let wrong =
                    Error::WrongRevision { key: "k".into(), expected: 7, actual: Some(actual) };
                assert_eq!(look(kind, found), Err(wrong));
            }
        }
        assert_eq!(look(Kind::Update(0), None), Ok(Some(0)));
    }

    #[test]
    fn what_expects_nothing_is_not_in_the_way() {
        for kind in [Kind::Put, Kind::Delete(None), Kind::Purge(None)] {
            assert_eq!(look(kind, Some((7, Operation::Put))), Ok(None));
        }
    }
}
