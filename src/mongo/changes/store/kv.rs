//! Positions in a Key-Value bucket: one key for each watcher, written by compare-and-set.

use super::resume_store::{ResumeStore, StoredPoint};
use crate::kv::{self, KeyValue};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use crate::mongo::storage_callback::StorageCallback;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is stored: the position, and who has stored it.
#[derive(Serialize, Deserialize)]
struct Value {
    #[serde(flatten)]
    point: ResumePoint,
    writer: String,
}

/// Keeps the position of a watcher under a key of a bucket, as JSON. Two instances of a watcher that share
/// the key notice each other: whoever saves second is [fenced](Error::Fenced).
pub struct KvResumeStore<S: 'static = ()> {
    bucket: KeyValue<S>,
    key: String,
    /// Tells instances apart that are at the same position.
    writer: String,
}

impl<S: 'static> KvResumeStore<S> {
    /// The position under this key. The bucket has to exist.
    pub fn new(bucket: &KeyValue<S>, key: impl Into<String>) -> Self {
        let writer = bucket.client().port().new_nuid();
        Self { bucket: bucket.clone(), key: key.into(), writer }
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.bucket
    }
}

impl<S: 'static> ResumeStore<S> for KvResumeStore<S> {
    fn get(&self, done: StorageCallback<S, Option<StoredPoint>>) {
        let key = self.key.clone();
        self.bucket.get(&self.key, move |state, _, entry| done(state, stored(&key, entry)));
    }

    fn save(&self, point: &ResumePoint, expected: Option<u64>, done: StorageCallback<S, u64>) {
        let own = Value { point: point.clone(), writer: self.writer.clone() };
        let value = match serde_json::to_vec(&own) {
            Ok(value) => value,
            Err(error) => return self.refuse(unusable(&self.key, &error, expected), done),
        };
        let key = self.key.clone();
        let written =
            move |state: &mut S, bucket: &KeyValue<S>, written: Result<u64, kv::Error>| {
                match written {
                    // it may be this very write, whose acknowledgement was lost
                    Err(error) if error.is_conflict() => {
                        let key_to_read = key.clone();
                        bucket.get(&key_to_read, move |state, _, entry| {
                            done(state, own_revision(&key, &own, entry))
                        });
                        Ok(())
                    }
                    written => done(state, written.map_err(Error::from)),
                }
            };
        match expected {
            None => self.bucket.create(&self.key, &value[..], written),
            Some(revision) => self.bucket.update(&self.key, &value[..], revision, written),
        }
    }

    fn delete(&self, point: &ResumePoint, done: StorageCallback<S, ()>) {
        let (key, deleted) = (self.key.clone(), point.clone());
        self.bucket.get(&self.key, move |state, bucket, entry| {
            let revision = match stored(&key, entry) {
                Ok(Some(stored)) if stored.point == deleted => stored.revision,
                Ok(_) => return done(state, Ok(())),
                Err(error) => return done(state, Err(error)),
            };
            bucket.purge_at(&key, revision, move |state, _, purged| match purged {
                Err(error) if error.is_conflict() => done(state, Ok(())),
                purged => done(state, purged.map(drop).map_err(Error::from)),
            });
            Ok(())
        });
    }
}

impl<S: 'static> KvResumeStore<S> {
    fn refuse<T: 'static>(&self, error: Error, done: StorageCallback<S, T>) {
        self.bucket.set_timer(std::time::Duration::ZERO, move |state: &mut S, _: &KeyValue<S>| {
            done(state, Err(error))
        });
    }
}

impl<S> fmt::Debug for KvResumeStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvResumeStore").field("key", &self.key).finish_non_exhaustive()
    }
}

fn stored(
    key: &str,
    entry: Result<Option<kv::Entry>, kv::Error>,
) -> Result<Option<StoredPoint>, Error> {
    let read = read(key, entry)?;
    Ok(read.map(|(value, revision)| StoredPoint { point: value.point, revision }))
}

fn read(
    key: &str,
    entry: Result<Option<kv::Entry>, kv::Error>,
) -> Result<Option<(Value, u64)>, Error> {
    let Some(entry) = entry? else { return Ok(None) };
    let revision = entry.revision();
    let value = serde_json::from_slice(entry.value());
    let value = value.map_err(|error| unusable(key, &error, Some(revision)))?;
    Ok(Some((value, revision)))
}

/// The revision of a write whose outcome was not known, if it is what is stored.
fn own_revision(
    key: &str,
    own: &Value,
    entry: Result<Option<kv::Entry>, kv::Error>,
) -> Result<u64, Error> {
    match read(key, entry)? {
        Some((value, revision)) if value.writer == own.writer && value.point == own.point => {
            Ok(revision)
        }
        _ => Err(Error::Fenced),
    }
}

fn unusable(key: &str, error: &serde_json::Error, revision: Option<u64>) -> Error {
    Error::BadPoint { key: key.to_owned(), reason: error.to_string(), revision }
}
