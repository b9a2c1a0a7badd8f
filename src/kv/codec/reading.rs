//! Reading single values with codecs. What cannot be decoded is an error of the read.

use super::codecs::Values;
use super::handle::CodedKeyValue;
use crate::callback::{Answer, Callback, State, answer, handed};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::reading::get::Found;

impl<S: 'static> CodedKeyValue<S> {
    /// Reads a key's value, as [`KeyValue::get`](crate::kv::KeyValue::get).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn get(
        &self,
        key: &str,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Option<Entry>, Error>>,
    ) {
        let answer = self.decoding(answer(self, callback));
        self.with_key(key, answer, |kv, key, answer| kv.get(key, handed(answer)));
    }

    /// Reads a key's last revision, tombstones included, as
    /// [`KeyValue::get_raw`](crate::kv::KeyValue::get_raw).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn get_raw(
        &self,
        key: &str,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Option<Entry>, Error>>,
    ) {
        let answer = self.decoding(answer(self, callback));
        self.with_key(key, answer, |kv, key, answer| kv.get_raw(key, handed(answer)));
    }

    /// Reads a revision of a key, as [`KeyValue::get_revision`](crate::kv::KeyValue::get_revision).
    ///
    /// # Errors
    /// [`Error::Codec`], or as there.
    pub fn get_revision(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Option<Entry>, Error>>,
    ) {
        let answer = self.decoding(answer(self, callback));
        self.with_key(key, answer, |kv, key, answer| {
            kv.get_revision(key, revision, handed(answer));
        });
    }

    fn decoding(&self, answer: Answer<Found>) -> Answer<Found> {
        let codecs = self.codecs.clone();
        Box::new(move |state: &mut State, found: Found| {
            let decode = |entry: Entry| codecs.decode_entry(&entry, Values::Shown);
            answer(state, found.and_then(|entry| entry.map(decode).transpose()))
        })
    }
}
