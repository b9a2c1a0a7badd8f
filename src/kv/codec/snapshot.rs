//! Reading many keys at one point in time with codecs.

use super::codecs::{Values, about};
use super::handle::CodedKeyValue;
use crate::callback::{Answer, Callback, State, answer, handed};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::reading::many::Snapshot;
use smol_str::SmolStr;
use std::collections::HashSet;

/// The keys that are asked for, each once.
struct Asked {
    /// As the program knows them.
    keys: Vec<SmolStr>,
    /// As they are in the bucket.
    encoded: Vec<String>,
}

impl<S: 'static> CodedKeyValue<S> {
    /// Reads the values of many keys as they were at one point in time, as
    /// [`KeyValue::get_many`](crate::kv::KeyValue::get_many). In the [`Snapshot`] the keys are as they were
    /// given.
    ///
    /// # Errors
    /// [`Error::Codec`], also if one of the values could not be decoded, or as there.
    pub fn get_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        callback: impl Callback<S, CodedKeyValue<S>, Result<Snapshot, Error>>,
    ) {
        let keys = keys.into_iter().map(|key| SmolStr::new(key.as_ref())).collect();
        self.read_many(keys, answer(self, callback));
    }

    fn read_many(&self, mut keys: Vec<SmolStr>, answer: Answer<Result<Snapshot, Error>>) {
        let mut known = HashSet::with_capacity(keys.len());
        keys.retain(|key| known.insert(key.clone()));
        let encoded = keys.iter().map(|key| self.codecs.encode_key(key)).collect();
        let encoded: Vec<String> = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return self.refuse(answer, error),
        };
        let (asked, codecs) = (Asked { keys, encoded: encoded.clone() }, self.codecs.clone());
        let on_snapshot = move |state: &mut State, snapshot: Result<Snapshot, Error>| {
            let decoded = match snapshot {
                Ok(snapshot) => {
                    asked.named(&snapshot, |entry| codecs.decode_entry(entry, Values::Shown))
                }
                Err(error) => Err(asked.about(error)),
            };
            answer(state, decoded)
        };
        self.kv.get_many(encoded, handed(Box::new(on_snapshot)));
    }
}

impl Asked {
    /// The same snapshot, with the keys as the program knows them.
    fn named(
        self,
        snapshot: &Snapshot,
        decode: impl Fn(&Entry) -> Result<Entry, Error>,
    ) -> Result<Snapshot, Error> {
        let entries = self.keys.into_iter().zip(&self.encoded).map(|(key, encoded)| {
            let entry = snapshot.get(encoded).map(&decode).transpose()?;
            Ok((key, entry))
        });
        Ok(Snapshot::new(entries.collect::<Result<_, Error>>()?, snapshot.up_to()))
    }

    /// The same error, about the key as the program knows it, if it is about one of them.
    fn about(&self, error: Error) -> Error {
        let place = match &error {
            Error::Unproven { key } => self.encoded.iter().position(|encoded| encoded == key),
            _ => None,
        };
        match place {
            Some(place) => about(error, &self.keys[place]),
            None => error,
        }
    }
}
