//! Reading single values.

use super::entry::{Created, Entry, Said};
use super::{Error, KeyValue, Reads};
use crate::client::Client;
use crate::jetstream::{self, ErrorCode, MessageQuery, StoredMessage, direct_message};
use evnats_protocol::{Message, OutgoingMessage, RequestError};
use smol_str::SmolStr;

type Found = Result<Option<Entry>, Error>;

impl<S: 'static> KeyValue<S> {
    /// Reads a key's value. `Ok(None)`: it has none, because it was never written, or was deleted.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::BucketNotFound`], or what JetStream says.
    #[inline]
    pub fn get(&self, key: &str, callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static) {
        self.get_raw(key, |state, kv, found| {
            let value = found.map(|entry| entry.filter(|entry| !entry.operation.is_tombstone()));
            callback(state, kv, value);
        });
    }

    /// Reads a key's last revision, tombstones included.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_raw(&self, key: &str, callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static) {
        if let Err(error) = self.check_key(key) {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        match self.reads {
            Reads::Leader => self.get_from_leader(key, callback),
            Reads::Direct => self.get_direct(key, callback),
        }
    }

    /// Reads a revision of a key, which the bucket's history must still hold. `Ok(None)`: it does
    /// not, or the revision is another key's, or a tombstone.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_revision(
        &self,
        key: &str,
        revision: u64,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static,
    ) {
        if let Err(error) = self.check_key(key) {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        let key = key.to_owned();
        self.read_from_leader(MessageQuery::Sequence(revision), move |state, kv, found| {
            let is_it = |entry: &Entry| entry.key == key && !entry.operation.is_tombstone();
            callback(state, kv, found.map(|entry| entry.filter(is_it)));
        });
    }

    /// Reads a key's last revision from the leader, whatever the handle's own choice is.
    pub(super) fn get_from_leader(
        &self,
        key: &str,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static,
    ) {
        self.with_subject(&self.bucket.subjects, key, |subject| {
            self.read_from_leader(MessageQuery::LastBySubject(subject), callback);
        });
    }

    fn read_from_leader(
        &self,
        query: MessageQuery<'_>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static,
    ) {
        let kv = self.clone();
        self.bucket.js.message(&self.bucket.stream, query, move |state, _, result| {
            let found = kv.found(result);
            callback(state, &kv, found);
        });
    }

    fn found(&self, result: Result<StoredMessage, jetstream::Error>) -> Found {
        match result {
            Ok(stored) => {
                let bucket = &self.bucket;
                Ok(Some(Entry::from_stored(&bucket.name, &bucket.subjects, stored)))
            }
            Err(error) if is_no_message(&error) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    fn get_direct(&self, key: &str, callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static) {
        let kv = self.clone();
        let timeout = self.bucket.js.timeout();
        // kept for the case that the leader has to be asked; short ones take no memory of their own
        let kept = SmolStr::new(key);
        self.with_subject(&self.bucket.direct_subjects, key, |subject| {
            let on_reply = move |state: &mut S, _: &Client<S>, outcome: Result<Message, _>| {
                kv.direct_reply(state, &kept, outcome, callback);
            };
            self.client().request_message(OutgoingMessage::new(subject, b""), timeout, on_reply);
        });
    }

    fn direct_reply(
        &self,
        state: &mut S,
        key: &str,
        outcome: Result<Message, RequestError>,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Found) + 'static,
    ) {
        let found = match outcome {
            Ok(reply) => match self.direct_entry(&reply, key.len()) {
                Err(error) if is_no_message(&error) => Ok(None),
                entry => entry.map(Some).map_err(|error| self.error(error)),
            },
            // the bucket does not allow direct reads, as other clients may make them
            Err(RequestError::NoResponders) => return self.get_from_leader(key, callback),
            // and server 2.9 says nothing at all then
            Err(RequestError::Timeout) if self.is_silent_server() => {
                return self.get_from_leader(key, callback);
            }
            Err(error) => Err(Error::JetStream(error.into())),
        };
        callback(state, self, found);
    }

    fn is_silent_server(&self) -> bool {
        self.client().server_info().is_some_and(|info| info.version.starts_with("2.9."))
    }

    fn direct_entry(&self, reply: &Message, key_len: usize) -> Result<Entry, jetstream::Error> {
        let mut said = Said::default();
        let direct = direct_message(reply, |name, value| said.note(name, value))?;
        let payload = reply.payload_to_bytes();
        let headers = reply.headers_to_bytes();
        // the subject ends with the key, and lies in the header block
        let key_start = direct.subject.len().saturating_sub(key_len);
        Ok(Entry {
            bucket: self.bucket.name.clone(),
            key: headers.slice_ref(&direct.subject[key_start..]),
            value: payload,
            revision: direct.sequence,
            delta: 0,
            operation: said.operation(),
            created: Created::Text(headers.slice_ref(direct.time)),
        })
    }
}

fn is_no_message(error: &jetstream::Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::NO_MESSAGE_FOUND)
}
