//! Lists with codecs: what cannot be decoded is told apart, and does not end them.

use super::codecs::Values;
use super::decoded::Decoded;
use super::handle::CodedKeyValue;
use crate::callback::{Answer, Callback, State, answer, handed};
use crate::kv::entry::Entry;
use crate::kv::error::Error;

impl<S: 'static> CodedKeyValue<S> {
    /// Lists the keys that have a value, in alphabetical order, as
    /// [`KeyValue::keys`](crate::kv::KeyValue::keys), and those that could not be decoded.
    ///
    /// # Errors
    /// As there.
    pub fn keys(
        &self,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Decoded<String>, Error>>,
    ) {
        self.keys_matching(&[">"], callback);
    }

    /// Lists the keys that have a value and that any of the patterns matches, as
    /// [`KeyValue::keys_matching`](crate::kv::KeyValue::keys_matching).
    ///
    /// # Errors
    /// [`Error::Codec`], also if the codec takes no wildcards, or as there.
    pub fn keys_matching(
        &self,
        patterns: &[&str],
        callback: impl Callback<S, CodedKeyValue<S>, Result<Decoded<String>, Error>>,
    ) {
        let answer = answer(self, callback);
        match self.codecs.encode_patterns(patterns) {
            Ok(patterns) => {
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                self.kv.keys_matching(&patterns, handed(self.decoding_keys(answer)));
            }
            Err(error) => self.refuse(answer, error),
        }
    }

    /// Reads every revision of a key that the bucket holds, the oldest first, as
    /// [`KeyValue::history`](crate::kv::KeyValue::history), and those that could not be decoded.
    ///
    /// # Errors
    /// [`Error::Codec`] if the key could not be encoded, or as there.
    pub fn history(
        &self,
        key: &str,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Decoded<Entry>, Error>>,
    ) {
        let answer = answer(self, callback);
        match self.codecs.encode_key(key) {
            Ok(key) => self.kv.history(&key, handed(self.decoding_history(answer))),
            Err(error) => self.refuse(answer, error),
        }
    }

    fn decoding_keys(
        &self,
        answer: Answer<Result<Decoded<String>, Error>>,
    ) -> Answer<Result<Vec<String>, Error>> {
        let codecs = self.codecs.clone();
        Box::new(move |state: &mut State, keys: Result<Vec<String>, Error>| {
            let decoded = keys.map(|keys| {
                let keys = keys.into_iter().map(|key| codecs.decode_one_key(key));
                let mut decoded = Decoded::sorted(keys);
                decoded.items.sort_unstable();
                decoded
            });
            answer(state, decoded)
        })
    }

    fn decoding_history(
        &self,
        answer: Answer<Result<Decoded<Entry>, Error>>,
    ) -> Answer<Result<Vec<Entry>, Error>> {
        let codecs = self.codecs.clone();
        Box::new(move |state: &mut State, entries: Result<Vec<Entry>, Error>| {
            let decoded = entries.map(|entries| {
                let decode = |entry: &Entry| codecs.decode_one(entry, Values::Shown);
                Decoded::sorted(entries.iter().map(decode))
            });
            answer(state, decoded)
        })
    }
}
