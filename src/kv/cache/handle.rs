//! A cache of a bucket, kept by a watch: its handle.

use crate::callback::{Handler, Outcome, State, lend};
use crate::event_loop::timers_on;
use crate::kv::cache::event::{CacheEvent, CacheOptions, CacheState};
use crate::kv::cache::keeper::CacheKeeper;
use crate::kv::entry::Entry;
use crate::kv::handle::KeyValue;
use std::fmt;
use std::rc::Rc;

/// The keys of a bucket that some patterns match, with their last values, in this program's memory: reads
/// without a round trip. A cheap handle: dropping it does not stop the cache.
///
/// A watch keeps it. So it is as far behind as deliveries take, never goes back, and shows atomic batches
/// whole. While the watch is not fed ([`CacheState::CatchingUp`]) it holds what it held; what is removed
/// without a message meanwhile is noticed after that.
///
/// What leaves no message, no watch hears of:
///
/// - In a bucket whose values expire without markers
///   ([`Config::limit_marker_ttl`](crate::kv::Config::limit_marker_ttl)), an entry whose time is over by the
///   server's clock, as far as that is known here, is asked for, and removed when the leader does not have
///   it any more: about a round trip late. A server before 2.10 does not tell its clock; there entries
///   of a bucket in which nothing is written may stay for longer. With markers nothing is asked for.
/// - When this client [clears](KeyValue::clear) the bucket, the cache is told. When another one does, or
///   purges keys from the stream by hand, the cache notices it when its consumer is lost and made again,
///   and not before. [`purge_keys`](KeyValue::purge_keys) leaves messages.
///
/// A key takes its own bytes, those of its value, and about 210 more (measured).
///
/// ```no_run
/// # use evnats::kv::{CacheEvent, CacheOptions};
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let config = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().key_value("config");
/// config.cache(&["app.>"], CacheOptions::new(), |_, cache, event| match event {
///     CacheEvent::Ready => println!("{} settings", cache.len()),
///     CacheEvent::Changed(entry) => println!("{} is {} now", entry.key(), entry.text()),
///     CacheEvent::Ended(error) => eprintln!("settings are not followed any more: {error}"),
///     _ => {}
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Cache<S: 'static = ()> {
    kv: KeyValue<S>,
    keeper: Rc<CacheKeeper>,
}

impl<S: 'static> KeyValue<S> {
    /// Keeps the keys that any of the patterns matches in a cache; `&[">"]` are all.
    ///
    /// The callback runs for every [`CacheEvent`], until the cache ends or is stopped. Needs what
    /// [`watch_many`](Self::watch_many) needs. Without the right to ask for the stream's information, what
    /// leaves no message stays in the cache.
    pub fn cache(
        &self,
        patterns: &[&str],
        options: CacheOptions,
        mut callback: impl Handler<S, Cache<S>, CacheEvent>,
    ) -> Cache<S> {
        let kv = self.clone();
        let on_event = move |state: &mut State, keeper: &Rc<CacheKeeper>, event: CacheEvent| {
            let cache = Cache { kv: kv.clone(), keeper: keeper.clone() };
            callback(lend(state), &cache, event).into_ran()
        };
        let (bucket, reads) = (self.shared_bucket(), self.reads());
        let keeper = CacheKeeper::begin(bucket, reads, patterns, options, Box::new(on_event));
        Cache { kv: self.clone(), keeper }
    }
}

impl<S: 'static> Cache<S> {
    /// The last entry of a key, which the cache has, too. `None`: it has no value, or the cache does not
    /// know of it (yet).
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Rc<Entry>> {
        self.keeper.get(key)
    }

    /// How many keys it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keeper.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes it takes, as [`CacheOptions::max_bytes`] reckons.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.keeper.bytes()
    }

    /// All entries as they are now, in no order.
    #[must_use]
    pub fn entries(&self) -> Vec<Rc<Entry>> {
        self.keeper.entries()
    }

    /// All keys as they are now, in no order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.entries().iter().map(|entry| entry.key().into_owned()).collect()
    }

    /// What the cache is at.
    #[must_use]
    pub fn state(&self) -> CacheState {
        self.keeper.state()
    }

    /// Ends the cache: its callback does not run again, and it goes on holding what it held.
    pub fn stop(&self) {
        self.keeper.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.keeper.is_active()
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Cache, |cache| cache.kv.client().port().event_loop());

impl<S> Clone for Cache<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), keeper: self.keeper.clone() }
    }
}

impl<S> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("bucket", &self.kv)
            .field("state", &self.keeper.state())
            .finish_non_exhaustive()
    }
}
