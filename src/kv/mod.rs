//! Key-Value: buckets of keys with revisions, on JetStream streams.
//!
//! A value is the last message on the key's subject, its revision the message's sequence. A write
//! is complete when the stream has acknowledged it, never before: a `PONG` says nothing about
//! storage. A read goes to the stream's leader unless told otherwise, so that it sees every write
//! that was complete when it began.

mod config;
mod entry;
mod error;
mod listing;
mod name;
mod read;
mod status;
mod watch;
mod write;

pub use config::Config;
pub use entry::{Entry, Operation};
pub use error::Error;
pub use status::Status;
pub use watch::{Update, WatchOptions, Watcher};

use crate::client::Client;
use crate::jetstream::{self, JetStream, StreamConfig, StreamInfo};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A Key-Value bucket. A cheap handle.
///
/// ```no_run
/// use evnats::{EventLoop, kv};
///
/// let event_loop = EventLoop::new()?;
/// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// let config = nats.jetstream().key_value("config");
/// config.create_bucket(kv::Config::default(), |_: &mut (), config, created| {
///     created.expect("the bucket");
///     config.put("app.setting", "on", |_, config, revision| {
///         println!("stored as revision {}", revision.expect("the revision"));
///         config.get("app.setting", |_, config, entry| {
///             println!("{:?}", entry.expect("an answer"));
///             config.client().drain();
///         });
///     });
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct KeyValue<S: 'static = ()> {
    bucket: Rc<Bucket<S>>,
    reads: Reads,
}

/// Who answers reads of single values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reads {
    /// The stream's leader: a read sees every write that was complete when it began.
    #[default]
    Leader,
    /// Whichever replica is nearest. Cheaper, and on a bucket with replicas it may miss writes
    /// that are complete, even the reader's own. Buckets that do not allow it are read from the
    /// leader.
    Direct,
}

/// What the handles of a bucket share: its names, put together once.
struct Bucket<S: 'static> {
    js: JetStream<S>,
    name: Rc<str>,
    /// `KV_<bucket>`.
    stream: String,
    /// `$KV.<bucket>.`: what every key's subject begins with.
    subjects: String,
    /// The same for publishing, with the API prefix where there is one.
    put_subjects: String,
    /// `<prefix>.DIRECT.GET.<stream>.$KV.<bucket>.`
    direct_subjects: String,
    /// Why the bucket's name cannot be one.
    invalid: Option<Error>,
    /// Where subjects are put together. Only borrowed while a command is given.
    scratch: RefCell<String>,
}

impl<S: 'static> KeyValue<S> {
    pub(crate) fn new(js: &JetStream<S>, name: &str) -> Self {
        let invalid = name::check_bucket(name).err();
        let stream = format!("KV_{name}");
        let prefix = js.prefix();
        let subjects = format!("$KV.{name}.");
        let put_subjects = match js.has_default_prefix() {
            true => subjects.clone(),
            false => format!("{prefix}.{subjects}"),
        };
        let bucket = Bucket {
            name: name.into(),
            put_subjects,
            direct_subjects: format!("{prefix}.DIRECT.GET.{stream}.{subjects}"),
            stream,
            subjects,
            invalid,
            scratch: RefCell::default(),
            js: js.clone(),
        };
        Self { bucket: Rc::new(bucket), reads: Reads::default() }
    }

    /// The same bucket, with reads of single values answered by somebody else.
    #[must_use]
    pub fn with_reads(&self, reads: Reads) -> Self {
        Self { bucket: self.bucket.clone(), reads }
    }

    /// The connection.
    pub fn client(&self) -> &Client<S> {
        self.bucket.js.client()
    }

    /// JetStream, over which the bucket is reached.
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.bucket.js
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket.name
    }

    /// Creates the bucket. One that exists with the same configuration counts as created; one
    /// that an old client has made with settings that no longer fit is repaired.
    ///
    /// # Errors
    /// [`Error::BucketExists`] if it exists with another configuration, [`Error::Unsupported`] if
    /// the server is too old for a part of it, [`Error::InvalidBucket`], or what JetStream says.
    pub fn create_bucket(
        &self,
        config: Config,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Status, Error>) + 'static,
    ) {
        let prepared = self.check_bucket().and_then(|()| config.to_stream(&self.bucket.name));
        let stream = match prepared {
            Ok(stream) => stream,
            Err(error) => return self.defer(move |state, kv| callback(state, kv, Err(error))),
        };
        let kv = self.clone();
        let wanted = stream.clone();
        self.bucket.js.create_stream(&stream, move |state, _, created| match created {
            Ok(info) => {
                let checked = config::check_settings(&info.config, &wanted);
                callback(state, &kv, checked.map(|()| Status::new(&kv.bucket.name, info)));
            }
            Err(error) if error.is_stream_name_in_use() => kv.repair(wanted, callback),
            Err(error) => callback(state, &kv, Err(Error::from_jetstream(error))),
        });
    }

    /// Before server 2.9, clients made buckets that discard old values and cannot be read
    /// directly. Such a bucket is updated if nothing else differs.
    fn repair(
        &self,
        wanted: StreamConfig,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Status, Error>) + 'static,
    ) {
        let kv = self.clone();
        self.bucket.js.stream_info(&self.bucket.stream, move |state, js, info| {
            let found = match info {
                Ok(info) => info.config,
                Err(error) => return callback(state, &kv, Err(Error::from_jetstream(error))),
            };
            if !config::differs_by_age_only(&found, &wanted) {
                let bucket = kv.bucket.name.to_string();
                return callback(state, &kv, Err(Error::BucketExists { bucket }));
            }
            let repaired = StreamConfig {
                discard: wanted.discard,
                allow_direct: wanted.allow_direct,
                ..found
            };
            js.update_stream(&repaired, move |state, _, updated| {
                callback(state, &kv, kv.status_of(updated));
            });
        });
    }

    /// Asks for the bucket's configuration and contents in numbers.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream says.
    pub fn status(
        &self,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<Status, Error>) + 'static,
    ) {
        if let Err(error) = self.check_bucket() {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        let kv = self.clone();
        self.bucket.js.stream_info(&self.bucket.stream, move |state, _, info| {
            callback(state, &kv, kv.status_of(info));
        });
    }

    /// Deletes the bucket with all its values.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream says.
    pub fn delete_bucket(
        &self,
        callback: impl FnOnce(&mut S, &KeyValue<S>, Result<(), Error>) + 'static,
    ) {
        if let Err(error) = self.check_bucket() {
            return self.defer(move |state, kv| callback(state, kv, Err(error)));
        }
        let kv = self.clone();
        self.bucket.js.delete_stream(&self.bucket.stream, move |state, _, deleted| {
            callback(state, &kv, deleted.map_err(|error| kv.error(error)));
        });
    }

    fn status_of(&self, info: Result<StreamInfo, jetstream::Error>) -> Result<Status, Error> {
        let status = info.map(|info| Status::new(&self.bucket.name, info));
        status.map_err(|error| self.error(error))
    }

    fn check_bucket(&self) -> Result<(), Error> {
        self.bucket.invalid.clone().map_or(Ok(()), Err)
    }

    fn check_key(&self, key: &str) -> Result<(), Error> {
        if let Some(error) = &self.bucket.invalid {
            return Err(error.clone());
        }
        name::check_key(key)
    }

    /// Gives JetStream's "stream not found" its meaning here.
    fn error(&self, error: jetstream::Error) -> Error {
        match Error::from_jetstream(error) {
            Error::JetStream(error) if error::is_stream_not_found(&error) => {
                Error::BucketNotFound { bucket: self.bucket.name.to_string() }
            }
            error => error,
        }
    }

    /// Runs a callback in the next turn: how misuse is reported that is seen at once.
    fn defer(&self, callback: impl FnOnce(&mut S, &KeyValue<S>) + 'static) {
        let kv = self.clone();
        self.client().defer(move |state, _| callback(state, &kv));
    }

    /// Lends a subject that is put together of a prefix and a key.
    #[inline]
    fn with_subject<T>(&self, prefix: &str, key: &str, lend: impl FnOnce(&str) -> T) -> T {
        let mut subject = self.bucket.scratch.borrow_mut();
        subject.clear();
        subject.push_str(prefix);
        subject.push_str(key);
        lend(&subject)
    }
}

impl<S> Clone for KeyValue<S> {
    fn clone(&self) -> Self {
        Self { bucket: self.bucket.clone(), reads: self.reads }
    }
}

impl<S> fmt::Debug for KeyValue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("bucket", &self.bucket.name)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}
