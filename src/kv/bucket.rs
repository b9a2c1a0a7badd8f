//! What all handles of a bucket share: its names, put together once, and the way to its stream.

use crate::callback::Answer;
use crate::jetstream::{
    self, Api, ApiReply, ApiRequest, DirectReads, JoinedSubject, KnownAck, LastReads, LeaderReads,
    StreamConfig, StreamInfo,
};
use crate::kv::error::{self, Error};
use crate::kv::mark::Mark;
use crate::kv::name;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Bucket {
    pub(in crate::kv) api: Api,
    pub(in crate::kv) name: Arc<str>,
    /// `KV_<bucket>`.
    pub(in crate::kv) stream: String,
    /// `$KV.<bucket>.`: what every key's subject begins with.
    pub(in crate::kv) subjects: String,
    /// A key's subject for publishing, with the API prefix where there is one.
    pub(in crate::kv) put_subject: JoinedSubject,
    /// What the stream answers to a write.
    pub(in crate::kv) ack: KnownAck,
    pub(in crate::kv) direct_reads: DirectReads,
    /// Reads from the leader. Neither a bucket's name nor a key has anything in it that JSON escapes.
    pub(in crate::kv) leader_reads: LeaderReads,
    /// Reads that tell how fresh they are, from the first of them on.
    last_reads: OnceCell<LastReads>,
    /// The bucket that this one is a mirror of, if that is known.
    pub(in crate::kv) origin: Option<Origin>,
    /// Writes that nobody has stored, and that wait for the reason: one question serves them all.
    pub(in crate::kv) unstored: RefCell<Vec<OnWritten>>,
    /// The stream is known to have the bucket's subjects, as a mirror's has not.
    pub(in crate::kv) has_own_subjects: Cell<bool>,
    /// Number of copies of the stream, as far as that is known: 0 if it is not.
    pub(in crate::kv) replicas: Cell<u32>,
    /// What proven reads must not be older than.
    pub(in crate::kv) mark: Rc<Mark>,
    /// A fence is being written.
    pub(in crate::kv) is_fencing: Cell<bool>,
    /// Who waits for the next one.
    pub(in crate::kv) fences_waiting: RefCell<Vec<OnWritten>>,
    /// The stream's configuration, and when it was told.
    pub(in crate::kv) known_config: RefCell<Option<(Rc<StreamConfig>, Instant)>>,
    /// Why the bucket's name cannot be one.
    invalid: Option<Error>,
    /// Why nothing can be written.
    unwritable: Option<Error>,
}

/// The callback of a write: the new revision, or why there is none.
pub(crate) type OnWritten = Answer<Result<u64, Error>>;

/// Where the keys of a mirror are at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kv) struct Origin {
    /// The stream.
    pub(in crate::kv) stream: String,
    /// What the keys' subjects begin with, in the mirror too.
    pub(in crate::kv) subjects: String,
    /// What they begin with for writing. `None`: it cannot be written to.
    pub(in crate::kv) put_subjects: Option<String>,
}

impl Bucket {
    pub(crate) fn new(api: &Api, name: &str) -> Self {
        Self::with_origin(api, name, None)
    }

    /// A bucket whose keys have the subjects of another one, if it is a mirror.
    pub(in crate::kv) fn with_origin(api: &Api, name: &str, origin: Option<Origin>) -> Self {
        let stream = format!("KV_{name}");
        let subjects = match &origin {
            Some(origin) => origin.subjects.clone(),
            None => format!("$KV.{name}."),
        };
        let put_subjects = match &origin {
            Some(Origin { put_subjects: Some(subjects), .. }) => subjects.clone(),
            _ if api.has_default_prefix() => subjects.clone(),
            _ => format!("{}.{subjects}", api.prefix()),
        };
        let writes_to = origin.as_ref().map_or(&stream, |origin| &origin.stream);
        let is_read_only = origin.as_ref().is_some_and(|origin| origin.put_subjects.is_none());
        let invalid = name::check_bucket(name).err();
        let read_only = is_read_only.then(|| Error::ReadOnly { bucket: name.to_owned() });
        Self {
            name: name.into(),
            put_subject: JoinedSubject::new(put_subjects),
            ack: KnownAck::new(writes_to),
            direct_reads: DirectReads::new(api, &stream, &subjects),
            leader_reads: LeaderReads::new(api, &stream, &subjects),
            last_reads: OnceCell::new(),
            has_own_subjects: Cell::new(origin.is_some()),
            origin,
            stream,
            subjects,
            unstored: RefCell::default(),
            replicas: Cell::new(0),
            mark: Rc::default(),
            is_fencing: Cell::new(false),
            fences_waiting: RefCell::default(),
            known_config: RefCell::default(),
            unwritable: invalid.clone().or(read_only),
            invalid,
            api: api.clone(),
        }
    }

    /// The same bucket, which is not written to. What one of them has seen, the other has.
    pub(in crate::kv) fn read_only(&self) -> Self {
        let read_only = Error::ReadOnly { bucket: self.name.to_string() };
        let bucket = Self::with_origin(&self.api, &self.name, self.origin.clone());
        let unwritable = bucket.invalid.clone().or(Some(read_only));
        Self { unwritable, ..bucket.sharing_mark_of(self) }
    }

    /// The same bucket, of which its stream is known now. A handle that is read-only stays so.
    pub(in crate::kv) fn bound(&self, origin: Option<Origin>) -> Self {
        let bucket = Self::with_origin(&self.api, &self.name, origin).sharing_mark_of(self);
        let unwritable = self.unwritable.clone().or_else(|| bucket.unwritable.clone());
        Self { unwritable, ..bucket }
    }

    fn sharing_mark_of(self, other: &Self) -> Self {
        let replicas = Cell::new(other.replicas.get());
        Self { mark: other.mark.clone(), replicas, ..self }
    }

    /// Reads that tell how fresh they are. Their subscription is there from the first one on.
    pub(in crate::kv) fn last_reads(&self) -> &LastReads {
        self.last_reads.get_or_init(|| LastReads::new(&self.api, &self.stream, &self.subjects))
    }

    pub(in crate::kv) fn check(&self) -> Result<(), Error> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    #[inline]
    pub(in crate::kv) fn check_key(&self, key: &str) -> Result<(), Error> {
        if let Some(error) = &self.invalid {
            return Err(error.clone());
        }
        name::check_key(key)
    }

    /// As [`check_key`](Self::check_key), for a key that is to be written.
    #[inline]
    pub(in crate::kv) fn check_key_to_write(&self, key: &str) -> Result<(), Error> {
        if let Some(error) = &self.unwritable {
            return Err(error.clone());
        }
        name::check_key(key)
    }

    pub(in crate::kv) fn check_writable(&self) -> Result<(), Error> {
        self.unwritable.clone().map_or(Ok(()), Err)
    }

    /// The newest revision that the bucket's handles have written or seen.
    pub(in crate::kv) fn mark(&self) -> u64 {
        self.mark.newest()
    }

    #[inline]
    pub(in crate::kv) fn note_revision(&self, revision: u64) {
        self.mark.note(revision);
    }

    /// Gives JetStream's "stream not found" its meaning here.
    pub(in crate::kv) fn error(&self, error: jetstream::Error) -> Error {
        match Error::from_jetstream(error) {
            Error::JetStream(error) if error::is_stream_not_found(&error) => {
                Error::BucketNotFound { bucket: self.name.to_string() }
            }
            Error::JetStream(error) if error::is_batch_disabled(&error) => {
                Error::BatchesDisabled { bucket: self.name.to_string() }
            }
            Error::JetStream(error) if error::is_ttl_disabled(&error) => {
                Error::TtlDisabled { bucket: self.name.to_string() }
            }
            error => error,
        }
    }

    /// Notes what is known of the stream: a mirror's keys have the subjects of another bucket.
    pub(in crate::kv) fn note_stream(&self, info: &StreamInfo) -> Result<(), Error> {
        self.replicas.set(info.config.num_replicas);
        match &info.config.mirror {
            Some(mirror) if self.origin.is_none() => {
                let (bucket, origin) = (self.name.to_string(), mirror.name.clone());
                Err(Error::Mirror { bucket, origin })
            }
            _ => {
                self.has_own_subjects.set(true);
                Ok(())
            }
        }
    }

    /// Answers in the next turn: how misuse is reported that is noticed at once.
    pub(in crate::kv) fn defer<T: 'static>(&self, answer: Answer<T>, outcome: T) {
        self.api.port().defer(move |state| answer(state, outcome));
    }

    /// Sends a request to the API, unless it could not be made, and answers in terms of buckets.
    pub(in crate::kv) fn call<T: ApiReply>(
        self: &Rc<Self>,
        request: Result<ApiRequest, jetstream::Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        if let Some(answer) = self.translate(answer) {
            self.api.call(request, answer);
        }
    }

    /// As [`call`](Self::call), for what changes nothing: it is sent again within its timeout.
    pub(in crate::kv) fn read<T: ApiReply>(
        self: &Rc<Self>,
        request: Result<ApiRequest, jetstream::Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        if let Some(answer) = self.translate(answer) {
            self.api.read(request, answer);
        }
    }

    /// An answer to JetStream's reply, in terms of buckets. `None` if the bucket's name is not valid,
    /// which has been answered then.
    fn translate<T: 'static>(
        self: &Rc<Self>,
        answer: Answer<Result<T, Error>>,
    ) -> Option<Answer<Result<T, jetstream::Error>>> {
        if let Err(error) = self.check() {
            self.defer(answer, Err(error));
            return None;
        }
        let bucket = self.clone();
        Some(Box::new(move |state, reply| {
            answer(state, reply.map_err(|error| bucket.error(error)))
        }))
    }
}
