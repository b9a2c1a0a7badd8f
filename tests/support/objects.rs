//! A bucket of objects that is used one call after the other: each is made, and its outcome is waited
//! for.

use super::asking::{Asking, Told};
use super::{server, unique};
use evnats::jetstream::{Error as Failure, JetStream, Storage, StreamDetails, StreamInfo};
use evnats::object_store::{Config, Error, Object, ObjectInfo, ObjectMeta, ObjectStore};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::{Duration, Instant};

pub type Store = ObjectStore<()>;

/// A client, and a bucket of its own. Both end with it.
pub struct Objects {
    asking: Asking,
    pub store: Store,
}

impl Deref for Objects {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.asking
    }
}

impl Objects {
    /// A bucket in the memory of the binary's server.
    pub fn new() -> Self {
        Self::with(Config::new())
    }

    /// The same, configured otherwise.
    pub fn with(config: Config) -> Self {
        let objects = Self::unmade(server().url().as_str(), &unique("objects"));
        objects.create(config.storage(Storage::Memory));
        objects
    }

    /// A bucket that may not exist.
    pub fn unmade(url: &str, bucket: &str) -> Self {
        Self::of(Asking::with(url), bucket)
    }

    pub fn of(asking: Asking, bucket: &str) -> Self {
        let store = asking.nats.jetstream().object_store(bucket);
        Self { asking, store }
    }

    #[track_caller]
    pub fn create(&self, config: Config) {
        self.wait(|store, done| store.create_bucket(config, done)).expect("a bucket");
    }

    /// The name of the bucket's stream.
    pub fn stream(&self) -> String {
        format!("OBJ_{}", self.store.bucket())
    }

    /// Makes a call of the bucket, and returns its outcome.
    #[track_caller]
    pub fn wait<T: 'static, R>(&self, call: impl FnOnce(&Store, Told<Store, T>) -> R) -> T {
        self.ask(|done| drop(call(&self.store, done)))
    }

    #[track_caller]
    pub fn put(&self, meta: impl Into<ObjectMeta>, data: &[u8]) -> ObjectInfo {
        let data = data.to_vec();
        self.wait(|store, done| store.put(meta, data, done)).expect("stored")
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> Result<Object, Error> {
        self.wait(|store, done| store.get(name, done))
    }

    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.get(name).expect("an object").data.to_vec()
    }

    #[track_caller]
    pub fn info(&self, name: &str) -> Result<ObjectInfo, Error> {
        self.wait(|store, done| store.info(name, done))
    }

    #[track_caller]
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        self.wait(|store, done| store.delete(name, done))
    }

    /// Numbers of the messages that the server has of each identity that chunks are stored under.
    #[track_caller]
    pub fn chunks(&self) -> BTreeMap<String, u64> {
        let prefix = format!("$O.{}.C.", self.store.bucket());
        let details = StreamDetails::new().subjects_filter(format!("{prefix}>"));
        // nodes that were killed may still elect a leader
        let limit = Instant::now() + Duration::from_secs(60);
        let info = loop {
            let info: Result<StreamInfo, Failure> = self.ask(|done: Told<JetStream<()>, _>| {
                self.nats.jetstream().stream_info_with(&self.stream(), &details, done);
            });
            match info {
                Ok(info) => break info,
                Err(error) => assert!(Instant::now() < limit && error.is_temporary(), "{error}"),
            }
        };
        let nuid = |(subject, count): (String, u64)| {
            (subject.strip_prefix(&prefix).expect("a chunk's subject").to_owned(), count)
        };
        info.state.subjects.into_iter().map(nuid).collect()
    }

    /// Every chunk that the server has belongs to one of these objects, and they have all of theirs.
    #[track_caller]
    pub fn assert_no_leaks(&self, objects: &[&ObjectInfo]) {
        let wanted = objects.iter().filter(|info| info.chunks > 0);
        let wanted: BTreeMap<_, _> = wanted.map(|info| (info.nuid.clone(), info.chunks)).collect();
        assert_eq!(self.chunks(), wanted);
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.store.delete_bucket(|(), store, _| store.client().close());
        while !self.event_loop.is_empty() {
            self.event_loop.dispatch(&mut (), Some(Duration::from_secs(1))).expect("a turn");
        }
    }
}

/// Bytes that are others at every place, so that no chunk can be taken for another one.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len.div_ceil(8) as u64).flat_map(u64::to_le_bytes).take(len).collect()
}
