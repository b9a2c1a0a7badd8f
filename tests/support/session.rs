//! A bucket that is used one call after the other: each is made, and its outcome is waited for.

use super::asking::{Asking, Told};
use super::{server, unique};
use evnats::jetstream::Storage;
use evnats::kv::{Config, Entry, Error, KeyValue};
use std::ops::Deref;
use std::time::Duration;

pub type Kv = KeyValue<()>;

/// A client, and a bucket of its own. Both end with it.
pub struct Session {
    asking: Asking,
    pub kv: Kv,
}

impl Deref for Session {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.asking
    }
}

impl Session {
    /// A bucket in the memory of the binary's server.
    pub fn new(config: Config) -> Self {
        let session = Self::unmade(server().url().as_str(), &unique("bucket"));
        let config = config.storage(Storage::Memory);
        session.wait(|kv, done| kv.create_bucket(config, done)).expect("a bucket");
        session
    }

    /// A bucket that may not exist.
    pub fn unmade(url: &str, bucket: &str) -> Self {
        let asking = Asking::with(url);
        let kv = asking.nats.jetstream().key_value(bucket);
        Self { asking, kv }
    }

    /// The name of the bucket's stream.
    pub fn stream(&self) -> String {
        format!("KV_{}", self.kv.bucket())
    }

    /// Makes a call of the bucket, and returns its outcome.
    #[track_caller]
    pub fn wait<T: 'static>(&self, call: impl FnOnce(&Kv, Told<Kv, T>)) -> T {
        self.ask(|done| call(&self.kv, done))
    }

    #[track_caller]
    pub fn put(&self, key: &str, value: &str) -> u64 {
        self.wait(|kv, done| kv.put(key, value, done)).expect("stored")
    }

    #[track_caller]
    pub fn delete(&self, key: &str) -> u64 {
        self.wait(|kv, done| kv.delete(key, done)).expect("stored")
    }

    /// The key's value as text, and its revision.
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<(String, u64)> {
        let found: Result<Option<Entry>, Error> = self.wait(|kv, done| kv.get(key, done));
        found.expect("an answer").map(|entry| (entry.text().into_owned(), entry.revision()))
    }

    /// How many messages the bucket's stream has.
    #[track_caller]
    pub fn messages(&self) -> u64 {
        self.wait(|kv, done| kv.status(done)).expect("a status").values()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.kv.delete_bucket(|(), kv, _| kv.client().close());
        while !self.event_loop.is_empty() {
            self.event_loop.dispatch(&mut (), Some(Duration::from_secs(1))).expect("a turn");
        }
    }
}
