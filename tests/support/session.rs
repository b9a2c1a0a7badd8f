//! A bucket that is used one call after the other: each is made, and its outcome is waited for.

use super::{server, turn_until, unique};
use evnats::jetstream::Storage;
use evnats::kv::{Config, Entry, Error, KeyValue};
use evnats::{Client, EventLoop};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub type Kv = KeyValue<()>;

/// What the callback of a call has to be.
pub type Done<H, T> = Box<dyn FnOnce(&mut (), &H, T)>;

/// A client, and a bucket of its own. Both end with it.
pub struct Session {
    pub event_loop: EventLoop<()>,
    pub nats: Client<()>,
    pub kv: Kv,
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
        let event_loop = EventLoop::new().expect("an event loop");
        let nats = event_loop.connect(url).expect("a client");
        let kv = nats.jetstream().key_value(bucket);
        Self { event_loop, nats, kv }
    }

    /// The name of the bucket's stream.
    pub fn stream(&self) -> String {
        format!("KV_{}", self.kv.bucket())
    }

    /// Makes a call of the bucket, and returns its outcome.
    #[track_caller]
    pub fn wait<T: 'static>(&self, call: impl FnOnce(&Kv, Done<Kv, T>)) -> T {
        self.wait_for(|done| call(&self.kv, done))
    }

    /// Makes a call of whatever it is, and returns its outcome.
    #[track_caller]
    pub fn wait_for<H: 'static, T: 'static>(&self, call: impl FnOnce(Done<H, T>)) -> T {
        let outcome = Rc::new(RefCell::new(None));
        let given = outcome.clone();
        call(Box::new(move |(), _, value| {
            assert!(given.replace(Some(value)).is_none(), "the callback has run twice");
        }));
        assert!(outcome.borrow().is_none(), "the callback has run within the call");
        turn_until(&self.event_loop, &mut (), "the outcome of a call", |()| {
            outcome.borrow().is_some()
        });
        outcome.take().expect("an outcome")
    }

    /// Runs until something is so.
    #[track_caller]
    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        turn_until(&self.event_loop, &mut (), what, |()| is_so());
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
