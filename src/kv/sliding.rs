//! Sliding expiry: values that live for a time after they were last read.
//!
//! A renewal is a write, so it is made only when enough of the time is gone. How old a value is, its
//! server's clock tells, and what that clock shows is learned from this handle's own renewals: when one was
//! acknowledged is known here, and when it was stored is read with it later. A guess that is off makes
//! renewals come earlier or later by as much, and nothing else.

use crate::callback::{Answer, Callback, State, answer, handed};
use crate::event_loop::timers_on;
use crate::jetstream::Ttl;
use crate::kv::bucket::Bucket;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::reading::get::Found;
use crate::kv::writing::options::WriteOptions;
use crate::kv::writing::ttl::{self, Behind};
use evnats_protocol::Payload;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// A value is renewed when this part of its time is gone: a fourth.
const PART: u32 = 4;

/// A bucket whose values live for a time after they were last read with this handle. A cheap handle.
///
/// Reading renews a value by compare and set when more than a fourth of its time is gone; until then a
/// read is one round trip to the leader, as [`KeyValue::get`] is. A renewal is a new revision, which
/// watches show. Several programs may do so at one time: whose renewal comes second finds that there is
/// nothing left to do.
///
/// It needs server 2.11, and a bucket with a history of 1 that takes a TTL of single keys
/// ([`Config::per_key_ttl`](crate::kv::Config::per_key_ttl)).
///
/// ```no_run
/// # use std::time::Duration;
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let kv = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().key_value("sessions");
/// let sessions = kv.sliding(Duration::from_secs(1800));
/// sessions.put("ada", "a cart with two books", |_, sessions, stored| {
///     stored?;
///     sessions.get("ada", |_, _, found| {
///         println!("{:?}", found?.map(|read| read.entry));
///         Ok(())
///     });
///     Ok(())
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Sliding<S: 'static = ()> {
    kv: KeyValue<S>,
    ttl: Duration,
    clock: Rc<ServerClock>,
}

/// A value that was read, and lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlidingEntry {
    /// The entry as it was read.
    pub entry: Entry,
    /// The key's revision after that: another one than the entry's if it was renewed.
    pub revision: u64,
}

impl<S: 'static> KeyValue<S> {
    /// The same bucket, in which values live for this long after they were last read with the handle.
    /// Nothing is sent; what the bucket does not take shows with the first operation.
    #[must_use]
    pub fn sliding(&self, ttl: Duration) -> Sliding<S> {
        Sliding { kv: self.clone(), ttl, clock: Rc::default() }
    }
}

impl<S: 'static> Sliding<S> {
    /// Reads a key's value from the leader, and renews it if enough of its time is gone. `Ok(None)`: it
    /// has none, or its time was over. One that another writer has replaced or renewed meanwhile is shown
    /// as it was read, and that is no error.
    ///
    /// # Errors
    /// [`Error::TtlDisabled`], [`Error::TtlNeedsHistoryOfOne`], and as [`KeyValue::touch`]. If the renewal
    /// was not acknowledged, that is the error, and the value may live on or not.
    pub fn get(
        &self,
        key: &str,
        callback: impl Callback<S, Sliding<S>, Result<Option<SlidingEntry>, Error>>,
    ) {
        let bucket = self.kv.shared_bucket();
        bucket.get_and_renew(key, self.ttl, &self.clock, answer(self, callback));
    }

    /// Stores a value that lives for that long from now on.
    ///
    /// # Errors
    /// As [`KeyValue::put_with`].
    pub fn put<'a>(
        &self,
        key: &str,
        value: impl Into<Payload<'a>>,
        callback: impl Callback<S, Sliding<S>, Result<u64, Error>>,
    ) {
        let options = WriteOptions::new().ttl(self.ttl);
        self.kv.put_with(key, value, options, handed(answer(self, callback)));
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Sliding, |sliding| sliding.kv.client().port().event_loop());

impl<S> Clone for Sliding<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), ttl: self.ttl, clock: self.clock.clone() }
    }
}

impl<S> fmt::Debug for Sliding<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliding")
            .field("bucket", &self.kv)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// What the server's clock shows, as far as renewals have told.
#[derive(Default)]
pub(in crate::kv) struct ServerClock {
    /// The last renewal, and when it was acknowledged.
    renewed: Cell<Option<(u64, Instant)>>,
    /// A time of the server's clock, and when it was that, at the latest.
    known: Cell<Option<(SystemTime, Instant)>>,
}

impl ServerClock {
    fn note_renewal(&self, revision: u64, now: Instant) {
        self.renewed.set(Some((revision, now)));
    }

    /// Whether what was stored at that time is old enough to be renewed. Nothing is known at first, and then
    /// it is.
    fn is_due(
        &self,
        revision: u64,
        stored: Option<SystemTime>,
        ttl: Duration,
        now: Instant,
    ) -> bool {
        let Some(stored) = stored else { return true };
        if let Some((_, since)) = self.renewed.get().filter(|(renewed, _)| *renewed == revision) {
            self.known.set(Some((stored, since)));
        }
        let Some((time, since)) = self.known.get() else { return true };
        let shown = time.checked_add(now.saturating_duration_since(since));
        let age = shown.map(|shown| shown.duration_since(stored).unwrap_or_default());
        age.is_none_or(|age| age >= ttl / PART)
    }
}

type OnRead = Answer<Result<Option<SlidingEntry>, Error>>;

impl Bucket {
    fn get_and_renew(
        self: &Rc<Self>,
        key: &str,
        ttl: Duration,
        clock: &Rc<ServerClock>,
        answer: OnRead,
    ) {
        let headers = self.check_key_to_write(key).and_then(|()| ttl::headers(Ttl::For(ttl)));
        let headers = match headers {
            Ok(headers) => headers,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let (bucket, clock, key) = (self.clone(), clock.clone(), key.to_owned());
        let on_checked = move |state: &mut State, checked: Result<(), Error>| {
            if let Err(error) = checked {
                return answer(state, Err(error));
            }
            let (asked, read) = (bucket.clone(), key.clone());
            let on_found = move |state: &mut State, found: Found| {
                let entry = match found {
                    Ok(Some(entry)) => entry,
                    Ok(None) => return answer(state, Ok(None)),
                    Err(error) => return answer(state, Err(error)),
                };
                let (revision, now) = (entry.revision(), bucket.api.port().now());
                if !clock.is_due(revision, entry.created(), ttl, now) {
                    return answer(state, Ok(Some(SlidingEntry { entry, revision })));
                }
                let value = Payload::Shared(entry.value_to_bytes());
                let renewing = bucket.clone();
                let on_renewed = move |state: &mut State, renewed: Result<u64, Error>| {
                    let revision = match renewed {
                        Ok(renewed) => {
                            clock.note_renewal(renewed, renewing.api.port().now());
                            renewed
                        }
                        // another one has renewed it, or has written
                        Err(error) if error.is_conflict() => revision,
                        Err(error) => return answer(state, Err(error)),
                    };
                    answer(state, Ok(Some(SlidingEntry { entry, revision })))
                };
                bucket.write_at(&key, value, headers, revision, Box::new(on_renewed));
                Ok(())
            };
            asked.get_value(&read, Box::new(on_found));
            Ok(())
        };
        self.check_ttl(Ttl::For(ttl), Behind::History, Box::new(on_checked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_young_by_the_servers_clock_is_left_alone() {
        let (now, ttl) = (Instant::now(), Duration::from_secs(40));
        let second = |count: u64| Duration::from_secs(count);
        // of another year
        let time = SystemTime::UNIX_EPOCH + second(1_000_000);
        let clock = ServerClock::default();
        assert!(clock.is_due(1, Some(time), ttl, now), "nothing is known");
        clock.note_renewal(2, now);
        assert!(!clock.is_due(2, Some(time), ttl, now + second(9)));
        assert!(clock.is_due(2, Some(time), ttl, now + second(10)), "a fourth is gone");
        // another program's, of another key or not
        assert!(!clock.is_due(7, Some(time + second(15)), ttl, now + second(20)));
        assert!(clock.is_due(7, Some(time + second(15)), ttl, now + second(25)));
        assert!(!clock.is_due(8, Some(time + second(99)), ttl, now), "of the future");
        assert!(clock.is_due(9, None, ttl, now));
    }
}
