//! What all handles of a bucket share: its names, put together once, the way to its stream, and what is
//! known of that.

use crate::callback::{Answer, State};
use crate::jetstream::{
    self, Api, ApiReply, ApiRequest, ErrorCode, KnownAck, StreamConfig, StreamInfo,
    check_bucket_name,
};
use crate::object_store::error::Error;
use crate::object_store::name::{STREAM_PREFIX, encoded};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long what is known of the stream counts.
const KNOWN_FOR: Duration = Duration::from_secs(10);

pub(crate) struct Store {
    pub(in crate::object_store) api: Api,
    pub(in crate::object_store) bucket: Arc<str>,
    /// `OBJ_<bucket>`.
    pub(in crate::object_store) stream: String,
    /// What the stream answers to a write.
    pub(in crate::object_store) ack: KnownAck,
    /// Why the bucket's name cannot be one.
    invalid: Option<Error>,
    /// The stream's configuration, and when it was told.
    known: RefCell<Option<(Rc<StreamConfig>, Instant)>>,
}

impl Store {
    pub(in crate::object_store) fn new(api: &Api, bucket: &str) -> Self {
        let invalid = check_bucket_name(bucket)
            .err()
            .map(|reason| Error::InvalidBucket { bucket: bucket.to_owned(), reason });
        let stream = format!("{STREAM_PREFIX}{bucket}");
        Self {
            api: api.clone(),
            bucket: bucket.into(),
            ack: KnownAck::new(&stream),
            stream,
            invalid,
            known: RefCell::default(),
        }
    }

    /// The subject of an object's metadata.
    pub(in crate::object_store) fn meta_subject(&self, name: &str) -> String {
        format!("{}{}", self.meta_prefix(), encoded(name))
    }

    /// What the subjects of all metadata begin with.
    pub(in crate::object_store) fn meta_prefix(&self) -> String {
        format!("$O.{}.M.", self.bucket)
    }

    /// The subject of the chunks that are stored under this identity.
    pub(in crate::object_store) fn chunk_subject(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    pub(in crate::object_store) fn check(&self) -> Result<(), Error> {
        self.invalid.clone().map_or(Ok(()), Err)
    }

    /// Checks whether the bucket can be written to from here: through a domain or another prefix, there
    /// is no subject for that.
    pub(in crate::object_store) fn check_writable(&self) -> Result<(), Error> {
        self.check()?;
        match self.api.has_default_prefix() {
            true => Ok(()),
            false => Err(Error::NoWritesThroughPrefix {
                bucket: self.bucket.to_string(),
                prefix: self.api.prefix().to_owned(),
            }),
        }
    }

    /// Gives what JetStream reports its meaning here.
    pub(in crate::object_store) fn error(&self, error: jetstream::Error) -> Error {
        let bucket = || self.bucket.to_string();
        match error.api().map(|api| api.err_code()) {
            Some(ErrorCode::STREAM_NOT_FOUND) => Error::BucketNotFound { bucket: bucket() },
            Some(ErrorCode::STREAM_SEALED) => Error::Sealed { bucket: bucket() },
            _ => Error::JetStream(error),
        }
    }

    /// Answers in the next turn: how misuse is reported that is noticed at once.
    pub(in crate::object_store) fn defer<T: 'static>(&self, answer: Answer<T>, outcome: T) {
        self.api.port().defer(move |state| answer(state, outcome));
    }

    /// Sends a request to the API, unless it could not be made, and answers in terms of buckets.
    pub(in crate::object_store) fn call<T: ApiReply>(
        self: &Rc<Self>,
        request: Result<ApiRequest, jetstream::Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        if let Some(answer) = self.translate(answer) {
            self.api.call(request, answer);
        }
    }

    /// As [`call`](Self::call), for what changes nothing: it is sent again within its timeout.
    pub(in crate::object_store) fn read<T: ApiReply>(
        self: &Rc<Self>,
        request: Result<ApiRequest, jetstream::Error>,
        answer: Answer<Result<T, Error>>,
    ) {
        if let Some(answer) = self.translate(answer) {
            self.api.read(request, answer);
        }
    }

    /// An answer to what JetStream says, in terms of buckets. `None` if the bucket's name is not valid,
    /// which has been answered then.
    pub(in crate::object_store) fn translate<T: 'static>(
        self: &Rc<Self>,
        answer: Answer<Result<T, Error>>,
    ) -> Option<Answer<Result<T, jetstream::Error>>> {
        if let Err(error) = self.check() {
            self.defer(answer, Err(error));
            return None;
        }
        let store = self.clone();
        Some(Box::new(move |state, reply| answer(state, reply.map_err(|error| store.error(error)))))
    }

    /// What the stream is like. It is asked for if that is not known, or not any more.
    pub(in crate::object_store) fn with_config(
        self: &Rc<Self>,
        answer: Answer<Result<Rc<StreamConfig>, Error>>,
    ) {
        let now = self.api.port().now();
        let known = self.known.borrow().clone().filter(|(_, told)| now - *told < KNOWN_FOR);
        if let Some((config, _)) = known {
            return self.defer(answer, Ok(config));
        }
        let store = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            answer(state, info.map(|info| store.learn(&info)))
        };
        self.read(ApiRequest::stream_info(&self.stream), Box::new(on_info));
    }

    /// Asks the leader how many chunks are stored under an identity.
    pub(in crate::object_store) fn count_chunks(
        self: &Rc<Self>,
        nuid: &str,
        answer: Answer<Result<u64, Error>>,
    ) {
        let subject = self.chunk_subject(nuid);
        let request = ApiRequest::stream_subjects(&self.stream, &subject, 0);
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            let count = |info: StreamInfo| info.state.subjects.get(&subject).copied();
            answer(state, info.map(|info| count(info).unwrap_or_default()))
        };
        self.read(request, Box::new(on_info));
    }

    /// Notes what the stream is like.
    pub(in crate::object_store) fn learn(&self, info: &StreamInfo) -> Rc<StreamConfig> {
        let config = Rc::new(info.config.clone());
        self.known.replace(Some((config.clone(), self.api.port().now())));
        config
    }

    /// What is known of the stream does not count any more.
    pub(in crate::object_store) fn forget_config(&self) {
        self.known.take();
    }
}
