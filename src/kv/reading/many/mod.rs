//! Reading many keys at one point in time.

mod driver;
mod gather;
#[cfg(test)]
mod tests;

use crate::callback::{Callback, answer};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use smol_str::SmolStr;
use std::collections::HashMap;

impl<S: 'static> KeyValue<S> {
    /// Reads the values of many keys as they were at one point in time (server 2.11). Every key that was
    /// asked for is in the [`Snapshot`], and it is said of those that have no value; one that was named
    /// twice is in it once. There may be any number of keys: up to 1,023 take one question, and of more
    /// the answers are brought together.
    ///
    /// Any replica answers, whichever kind of read it is, and an answer says how old it is. With
    /// [`Reads::Replica`](crate::kv::Reads::Replica) it is taken as it comes; with
    /// [`Linearizable`](crate::kv::Reads::Linearizable) it has to be newer than a fence that is written first;
    /// with the others it is not older than the newest revision that this handle and its clones have
    /// written or seen, and behind a fence, too, if that cannot be proven otherwise. The values of a
    /// [`batch`](Self::batch) are seen all or not at all.
    ///
    /// Answers to several questions, and those of more than a megabyte, are brought to one point in time by
    /// what has changed in the bucket meanwhile. Only where more than 1,024 keys change while it is read, again
    /// and again, there may be no such point to be had.
    ///
    /// # Errors
    /// [`Error::InvalidKey`]; [`Error::Unproven`] if nothing was proven in time, or nothing fit together;
    /// [`Error::NoDirectReads`] if the bucket does not allow replicas to answer,
    /// [`Error::NotLinearizable`], [`Error::BucketNotFound`], or what JetStream reports:
    /// [`jetstream::Error::Unsupported`](crate::jetstream::Error::Unsupported) if the server is older.
    pub fn get_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        callback: impl Callback<S, KeyValue<S>, Result<Snapshot, Error>>,
    ) {
        let keys = keys.into_iter().map(|key| SmolStr::new(key.as_ref())).collect();
        self.shared_bucket().get_many(keys, self.reads(), answer(self, callback));
    }
}

/// The values of several keys at one point in time; of [`KeyValue::get_many`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    entries: Vec<(SmolStr, Option<Entry>)>,
    places: HashMap<SmolStr, usize>,
    up_to: Option<u64>,
}

impl Snapshot {
    pub(in crate::kv) fn new(entries: Vec<(SmolStr, Option<Entry>)>, up_to: Option<u64>) -> Self {
        let keys = entries.iter().enumerate();
        let places = keys.map(|(place, (key, _))| (key.clone(), place)).collect();
        Self { entries, places, up_to }
    }

    /// The key's value. `None`: it had none, or was not asked for.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries[*self.places.get(key)?].1.as_ref()
    }

    /// The keys that were asked for, in their order, and what they had.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&Entry>)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.as_ref()))
    }

    /// How many keys were asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The revision of the bucket at which all of it was so. `None`: none of the keys had a value, and
    /// nothing was to be proven, so that nobody said.
    #[must_use]
    pub fn up_to(&self) -> Option<u64> {
        self.up_to
    }
}
