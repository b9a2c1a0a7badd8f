//! Reading single values.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::client::Reply;
use crate::jetstream::{
    self, ApiReply, ApiRequest, MessageQuery, StoredMessage, StoredParts, StreamInfo, on_reply,
    other_subject, read_headers,
};
use crate::kv::bucket::Bucket;
use crate::kv::entry::{Entry, Operation, OperationHeaders, Wanted};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::reading::reads::Reads;
use evnats_protocol::{Message, RequestError};
use smol_str::SmolStr;
use std::rc::Rc;
use std::time::Instant;

pub(crate) type Found = Result<Option<Entry>, Error>;

type Stored = Result<StoredMessage, jetstream::Error>;

impl<S: 'static> KeyValue<S> {
    /// Reads a key's value. `Ok(None)`: it has none, because it was never written, or was deleted.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::BucketNotFound`], or what JetStream reports.
    #[inline]
    #[doc(alias = "Get")]
    pub fn get(&self, key: &str, callback: impl Callback<S, KeyValue<S>, Found>) {
        self.read(key, Wanted::Value, callback);
    }

    /// Reads a key's last revision, tombstones included.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_raw(&self, key: &str, callback: impl Callback<S, KeyValue<S>, Found>) {
        self.read(key, Wanted::LastRevision, callback);
    }

    #[inline]
    fn read(&self, key: &str, wanted: Wanted, callback: impl Callback<S, KeyValue<S>, Found>) {
        let bucket = self.shared_bucket();
        if let Err(error) = bucket.check_key(key) {
            return bucket.defer(answer(self, callback), Err(error));
        }
        match self.reads() {
            Reads::Leader => self.ask_leader(key, wanted, Box::new(callback)),
            Reads::Replica => self.ask_replica(key, wanted, Box::new(callback)),
            Reads::Verified => self.ask_for_proof(key, wanted, Box::new(callback)),
            Reads::Linearizable => {
                let answer = answer(self, callback);
                let on_found = move |state: &mut State, mut found: Found| {
                    leave_out(&mut found, wanted);
                    answer(state, found)
                };
                bucket.get_fenced(key, Box::new(on_found));
            }
        }
    }

    /// Reads a revision of a key, which the bucket's history must still hold. `Ok(None)`: it does
    /// not, or the revision is another key's, or a tombstone. Whoever may not ask the leader for it
    /// asks any replica, if the bucket allows it.
    ///
    /// A revision never changes, so one that is found is right, whoever has answered. That it is not
    /// there any more is no more than what the leader says, or the replica with [`Reads::Replica`]: no
    /// kind of read proves that.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[doc(alias = "GetRevision")]
    pub fn get_revision(
        &self,
        key: &str,
        revision: u64,
        callback: impl Callback<S, KeyValue<S>, Found>,
    ) {
        let (bucket, answer) = (self.shared_bucket(), answer(self, callback));
        if let Err(error) = bucket.check_key(key) {
            return bucket.defer(answer, Err(error));
        }
        let key = key.to_owned();
        let on_found = move |state: &mut _, found: Found| {
            let is_it = |entry: &Entry| {
                entry.key_bytes() == key.as_bytes() && !entry.operation().is_tombstone()
            };
            answer(state, found.map(|entry| entry.filter(is_it)))
        };
        bucket.get_revision(revision, self.reads(), Box::new(on_found));
    }
}

/// Leaves out an entry that is not wanted. It is changed where it is, because it is large.
#[inline]
pub(super) fn leave_out(found: &mut Found, wanted: Wanted) {
    if matches!(found, Ok(Some(entry)) if !wanted.includes(entry.operation())) {
        *found = Ok(None);
    }
}

/// What a direct read has brought.
pub(super) enum DirectReply {
    Found(Found),
    /// Nothing, which is to be confirmed.
    Absent,
    /// The bucket does not allow direct reads.
    AskLeader,
}

impl Bucket {
    /// Reads a key's value from the leader, for the layers above.
    pub(crate) fn get_value(self: &Rc<Self>, key: &str, answer: Answer<Found>) {
        if let Err(error) = self.check_key(key) {
            return self.defer(answer, Err(error));
        }
        self.get_from_leader(key, |state, found| {
            let has_value = |entry: &Entry| !entry.operation().is_tombstone();
            answer(state, found.map(|entry| entry.filter(has_value)))
        });
    }

    /// Reads a key's last revision from the leader, whatever a handle's own choice is.
    #[inline]
    pub(in crate::kv) fn get_from_leader(
        self: &Rc<Self>,
        key: &str,
        on_found: impl FnOnce(&mut State, Found) -> Ran + 'static,
    ) {
        let (bucket, deadline) = (self.clone(), self.api.deadline());
        // kept for the case that the leader has to be asked again
        let kept = SmolStr::new(key);
        let on_outcome = move |state: &mut State, reply: Reply<'_>| {
            bucket.tell_leader_reply(state, &kept, deadline, reply, on_found)
        };
        self.leader_reads.last(&self.api, key, on_reply(on_outcome));
    }

    /// Tells what the leader has answered, or asks again until then.
    pub(super) fn tell_leader_reply(
        self: &Rc<Self>,
        state: &mut State,
        key: &str,
        deadline: Instant,
        reply: Reply<'_>,
        on_found: impl FnOnce(&mut State, Found) -> Ran + 'static,
    ) -> Ran {
        match self.leader_entry(reply, key) {
            Ok(entry) => on_found(state, Ok(Some(entry))),
            Err(error) => self.get_again(state, key, deadline, error, Box::new(on_found)),
        }
    }

    /// Goes on when the leader has returned no entry at first.
    fn get_again(
        self: &Rc<Self>,
        state: &mut State,
        key: &str,
        deadline: Instant,
        error: jetstream::Error,
        answer: Answer<Found>,
    ) -> Ran {
        let subject = format!("{}{key}", self.subjects);
        let query = MessageQuery::LastBySubject(&subject);
        let request = ApiRequest::stored_message(&self.stream, query);
        let bucket = self.clone();
        let on_stored =
            move |state: &mut _, stored: Stored| bucket.answer_stored(state, stored, answer);
        self.api.read_again(state, request, deadline, error, Box::new(on_stored))
    }

    /// Reads a key's last revision from the leader, or, if that is not permitted, from any replica.
    /// Whoever writes over what was found is told if it was old.
    pub(in crate::kv) fn get_as_permitted(self: &Rc<Self>, key: &str, answer: Answer<Found>) {
        let (bucket, kept) = (self.clone(), SmolStr::new(key));
        let on_found = move |state: &mut State, found: Found| match found {
            Err(error) if error.is_denied() => {
                let (asked, key) = (bucket.clone(), kept.clone());
                let on_outcome = move |state: &mut State, outcome: Reply<'_>| {
                    let found = match asked.direct_reply(&key, outcome) {
                        DirectReply::Found(found) => found,
                        DirectReply::Absent => Ok(None),
                        DirectReply::AskLeader => Err(error),
                    };
                    answer(state, found)
                };
                bucket.direct_reads.last(&bucket.api, &kept, on_reply(on_outcome));
                Ok(())
            }
            found => answer(state, found),
        };
        self.get_from_leader(key, on_found);
    }

    /// Reads a revision, whosever it is. One that is there is the same everywhere, so that whoever may
    /// not ask the leader asks any replica, and the other way round.
    fn get_revision(self: &Rc<Self>, revision: u64, reads: Reads, answer: Answer<Found>) {
        let bucket = self.clone();
        let query = MessageQuery::Sequence(revision);
        match reads {
            Reads::Leader | Reads::Verified | Reads::Linearizable => {
                let on_found = move |state: &mut State, found: Found| match found {
                    Err(error) if error.is_denied() => {
                        let asked = bucket.clone();
                        let on_stored = move |state: &mut State, stored: Stored| {
                            // what nobody answers is denied after all
                            answer(state, asked.found(stored).map_err(|_| error))
                        };
                        bucket.api.read_direct(&bucket.stream, query, Box::new(on_stored));
                        Ok(())
                    }
                    found => answer(state, found),
                };
                self.read_from_leader(query, Box::new(on_found));
            }
            Reads::Replica => {
                let on_stored = move |state: &mut State, stored: Stored| match stored {
                    // the bucket does not allow direct reads
                    Err(jetstream::Error::NotAvailable) => {
                        bucket.read_from_leader(query, answer);
                        Ok(())
                    }
                    stored => bucket.answer_stored(state, stored, answer),
                };
                self.api.read_direct(&self.stream, query, Box::new(on_stored));
            }
        }
    }

    fn read_from_leader(self: &Rc<Self>, query: MessageQuery<'_>, answer: Answer<Found>) {
        let bucket = self.clone();
        let request = ApiRequest::stored_message(&self.stream, query);
        let on_stored =
            move |state: &mut _, stored: Stored| bucket.answer_stored(state, stored, answer);
        self.api.read(request, Box::new(on_stored));
    }

    fn answer_stored(
        self: &Rc<Self>,
        state: &mut State,
        stored: Stored,
        answer: Answer<Found>,
    ) -> Ran {
        match self.found(stored) {
            Ok(None) if !self.has_own_subjects.get() => {
                self.confirm_absence(answer);
                Ok(())
            }
            found => answer(state, found),
        }
    }

    /// Answers that there is no such message, unless the bucket is one whose keys have the subjects
    /// of another: there, this says nothing. Asked once.
    pub(super) fn confirm_absence(self: &Rc<Self>, answer: Answer<Found>) {
        let bucket = self.clone();
        let on_info = move |state: &mut _, info: Result<StreamInfo, jetstream::Error>| {
            let checked = match info {
                Ok(info) => bucket.note_stream(&info),
                // whoever may not ask has an answer to what was asked first
                Err(error) if error.is_denied() => {
                    bucket.has_own_subjects.set(true);
                    Ok(())
                }
                Err(error) => Err(bucket.error(error)),
            };
            answer(state, checked.map(|()| None))
        };
        self.api.read(ApiRequest::stream_info(&self.stream), Box::new(on_info));
    }

    fn found(&self, stored: Stored) -> Found {
        match stored {
            Ok(stored) => Ok(Some(self.entry(&self.subjects, stored))),
            Err(error) if error.is_no_message() => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    fn leader_entry(&self, reply: Reply<'_>, key: &str) -> Result<Entry, jetstream::Error> {
        let body = reply.map_err(jetstream::Error::from_api_request)?.payload();
        match self.leader_reads.scan(body, key) {
            Some(message) => Ok(self.entry("", message)),
            None => StoredMessage::parse(body).map(|message| self.entry(&self.subjects, message)),
        }
    }

    /// The entry that a message with its own headers is. Its subject begins with the prefix.
    #[inline(always)]
    pub(in crate::kv) fn entry(&self, prefix: &str, message: StoredMessage) -> Entry {
        let operation = Operation::of(message.headers());
        self.note_revision(message.sequence());
        Entry::read(&self.name, prefix, message, operation)
    }

    pub(super) fn direct_reply(&self, key: &str, outcome: Reply<'_>) -> DirectReply {
        DirectReply::Found(match outcome {
            Ok(reply) => match self.direct_entry(reply, key) {
                Ok(entry) => Ok(Some(entry)),
                Err(error) if !error.is_no_message() => Err(self.error(error)),
                Err(_) if self.has_own_subjects.get() => Ok(None),
                Err(_) => return DirectReply::Absent,
            },
            // the bucket does not allow direct reads, as other clients may make them
            Err(RequestError::NoResponders { .. }) => return DirectReply::AskLeader,
            // and server 2.9 says nothing at all then
            Err(RequestError::Timeout) if self.is_silent_server() => {
                return DirectReply::AskLeader;
            }
            Err(error) => Err(Error::JetStream(error.into())),
        })
    }

    fn is_silent_server(&self) -> bool {
        self.api.port().server_info().is_some_and(|info| info.version.starts_with("2.9."))
    }

    /// The entry that a direct read has returned. Of its message, the headers are not copied.
    fn direct_entry(&self, reply: &Message, key: &str) -> Result<Entry, jetstream::Error> {
        let (parts, operation) = match self.direct_reads.scan_headers(reply, key) {
            Some(parts) => (parts, Operation::Put),
            None => self.read_direct_headers(reply, key)?,
        };
        let message = StoredMessage::copy_of(StoredParts { headers: b"", ..parts });
        self.note_revision(message.sequence());
        Ok(Entry::read(&self.name, "", message, operation))
    }

    fn read_direct_headers<'m>(
        &self,
        reply: &'m Message,
        key: &str,
    ) -> Result<(StoredParts<'m>, Operation), jetstream::Error> {
        let mut headers = OperationHeaders::default();
        let parts = read_headers(reply, |name, value| headers.note(name, value))?;
        let subject = parts.subject.strip_prefix(self.subjects.as_bytes());
        match subject.filter(|found| found.len() == key.len()) {
            Some(subject) => Ok((StoredParts { subject, ..parts }, headers.operation())),
            None => Err(other_subject(parts.subject)),
        }
    }
}
