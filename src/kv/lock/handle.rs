//! The handle of a lock, and how it is acquired.

use super::claim::Claim;
use super::keeper::Claimant;
use super::lost::Lost;
use super::options::LockOptions;
use crate::callback::{Callback, answer};
use crate::event_loop::timers_on;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use std::fmt;
use std::rc::Rc;

/// A lock that was asked for. A cheap handle: dropping it does not release the lock.
///
/// One at a time holds it, and renews it by itself. Who is not heard of for the
/// [time to live](LockOptions::ttl) loses it:
///
/// - The holder believes that it has lost the lock a tenth of that time before others may take it, as
///   measured since its last acknowledged renewal was sent. So never two believe at one time that they
///   hold it, as long as their clocks run at about the same speed: within 5 %. What the clocks show does
///   not matter.
/// - Whoever waits takes it over when it has seen it unchanged for that long by its own clock. In a
///   bucket with a history of 1 that takes a TTL of single keys
///   ([`Config::per_key_ttl`](crate::kv::Config::per_key_ttl), server 2.11), the server also lets it
///   expire when nobody is looking. Both may be in use at one time.
///
/// A program that is stopped for a while believes what it believed before. So what the lock protects
/// should be given the [fencing token](Self::revision), and should refuse a lower one than it has seen.
///
/// ```no_run
/// # use evnats::kv::LockOptions;
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let locks = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().key_value("locks");
/// let options = LockOptions::new().owner("host-1");
/// locks.lock("nightly-report", options, |_, lock, acquired| {
///     println!("the fencing token is {}", acquired?);
///     lock.on_lost(|_, _, lost| eprintln!("stop at once: {lost}"));
///     lock.release(|_, _, released| released.map_err(Into::into));
///     Ok(())
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Lock<S: 'static = ()> {
    kv: KeyValue<S>,
    claim: Rc<Claim>,
}

impl<S: 'static> KeyValue<S> {
    /// Acquires a lock on a key, and waits while another one holds it. The callback gets the
    /// [fencing token](Lock::revision). Waiting ends with [`LockOptions::wait`] or [`Lock::release`].
    ///
    /// The lock is held until it is [released](Lock::release) or [lost](Lock::on_lost); dropping the handle
    /// changes nothing. The key's value is JSON with the holder's name in it.
    ///
    /// # Errors
    /// [`Error::Locked`] if [`LockOptions::wait`] is over and another one holds it;
    /// [`Error::NotHeld`] if it was released meanwhile; [`Error::NotALock`]; or as [`update`](Self::update).
    /// What may be over in a moment, such as a missing leader, is waited for.
    pub fn lock(
        &self,
        key: &str,
        options: LockOptions,
        callback: impl Callback<S, Lock<S>, Result<u64, Error>>,
    ) -> Lock<S> {
        self.claim(key, options, false, callback)
    }

    /// As [`lock`](Self::lock), but does not wait for another one: that one holds it is an answer. A
    /// holder that is dead is not recognized by that, unless the bucket takes a TTL of single keys.
    ///
    /// # Errors
    /// [`Error::Locked`], which says who holds it; else as [`lock`](Self::lock), and what is not over
    /// within the time of a request.
    pub fn try_lock(
        &self,
        key: &str,
        options: LockOptions,
        callback: impl Callback<S, Lock<S>, Result<u64, Error>>,
    ) -> Lock<S> {
        let options = options.wait(self.shared_bucket().api.timeout());
        self.claim(key, options, true, callback)
    }

    fn claim(
        &self,
        key: &str,
        options: LockOptions,
        is_at_once: bool,
        callback: impl Callback<S, Lock<S>, Result<u64, Error>>,
    ) -> Lock<S> {
        let LockOptions { owner, ttl, wait } = options;
        let claimant =
            Claimant { owner, ttl, is_at_once, wait, stands_back: None, always_watches: false };
        let claim = Claim::new(self.shared_bucket(), key);
        let lock = Lock { kv: self.clone(), claim };
        lock.claim.begin(claimant, answer(&lock, callback));
        lock
    }
}

impl<S: 'static> Lock<S> {
    /// The fencing token: the revision with which the lock was acquired, higher than that of every
    /// holder before. `None`: it was not acquired. It stays the same while the lock is renewed.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        self.claim.fence()
    }

    /// Whether the lock is held now, by this program's clock.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.claim.is_held()
    }

    /// The callback runs once if the lock is lost, also if that has happened already. It does not run for
    /// a lock that is [released](Self::release).
    pub fn on_lost(&self, callback: impl Callback<S, Lock<S>, Lost>) {
        self.claim.on_lost(answer(self, callback));
    }

    /// Gives the lock back: from now on it is not held, and whoever waits gets it. Also ends the
    /// waiting for it.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if it was lost, not acquired, or released before. Otherwise it becomes free
    /// by itself when its time is over.
    pub fn release(&self, callback: impl Callback<S, Lock<S>, Result<(), Error>>) {
        self.claim.release(answer(self, callback));
    }

    /// The lock's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.claim.key
    }

    /// The bucket that it is in.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Lock, |lock| lock.kv.client().port().event_loop());

impl<S> Clone for Lock<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), claim: self.claim.clone() }
    }
}

impl<S> fmt::Debug for Lock<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("bucket", &self.kv).field("key", &self.claim.key).finish()
    }
}
