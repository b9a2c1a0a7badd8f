//! Emptying a bucket, and who is told of it.
//!
//! A purge of the stream leaves no message that a consumer could deliver. So this client's own watches of
//! the bucket are told by a registry of the client's, whichever handle has emptied it; nobody else can
//! be.

use crate::callback::{Answer, Callback, Ran, State, answer};
use crate::jetstream;
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

impl<S: 'static> KeyValue<S> {
    /// Empties the bucket at once: every value, every tombstone and all history go, without a message in
    /// their place. Revisions go on as if nothing had happened.
    ///
    /// **Nobody else hears of it.** The watches and caches of other clients keep what they have seen, and
    /// so do those of other programs; this client's own watches of the bucket are told with
    /// [`Update::Cleared`](crate::kv::Update::Cleared). Where others watch, use
    /// [`purge_keys`](Self::purge_keys), which leaves a tombstone for each key.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::ReadOnly`], [`Error::Mirror`], or what JetStream reports: 10110
    /// if the bucket's stream denies it.
    pub fn clear(&self, callback: impl Callback<S, KeyValue<S>, Result<(), Error>>) {
        self.shared_bucket().clear(answer(self, callback));
    }
}

impl Bucket {
    fn clear(self: &Rc<Self>, answer: Answer<Result<(), Error>>) {
        if let Err(error) = self.check_purgeable() {
            return self.defer(answer, Err(error));
        }
        let bucket = self.clone();
        let on_purged = move |state: &mut State, purged: Result<u64, jetstream::Error>| match purged
        {
            Ok(_) => {
                bucket.api.port().layer::<ClearedWatchers>().tell(&bucket);
                answer(state, Ok(()))
            }
            Err(error) => answer(state, Err(bucket.error(error))),
        };
        self.api.purge_stream(&self.stream, &jetstream::PurgeOptions::new(), Box::new(on_purged));
    }

    /// A mirror can be purged, and has again from its origin what it then lacks.
    pub(in crate::kv) fn check_purgeable(&self) -> Result<(), Error> {
        self.check_writable()?;
        match &self.origin {
            Some(origin) => {
                Err(Error::Mirror { bucket: self.name.to_string(), origin: origin.stream.clone() })
            }
            None => Ok(()),
        }
    }

    /// Has a watch told, in a turn of its own, that the bucket was emptied by this client, for as long as
    /// what is returned is kept.
    pub(in crate::kv) fn on_cleared(
        &self,
        told: impl Fn(&mut State) -> Ran + 'static,
    ) -> Rc<OnCleared> {
        let told: Rc<OnCleared> = Rc::new(OnCleared(Box::new(told)));
        self.api.port().layer::<ClearedWatchers>().add(self, &told);
        told
    }
}

/// What a watch does when its bucket was emptied.
pub(in crate::kv) struct OnCleared(Box<dyn Fn(&mut State) -> Ran>);

/// A bucket, by the API's prefix and the stream.
type Place = (String, String);

/// The watches of a client, by what they watch. They own what is to run.
#[derive(Default)]
struct ClearedWatchers {
    by_stream: RefCell<HashMap<Place, Vec<Weak<OnCleared>>>>,
}

impl ClearedWatchers {
    fn add(&self, bucket: &Bucket, told: &Rc<OnCleared>) {
        let mut by_stream = self.by_stream.borrow_mut();
        // those that are over are left here until the next one comes
        let watchers = by_stream.entry(place(bucket)).or_default();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Rc::downgrade(told));
    }

    fn tell(&self, bucket: &Bucket) {
        let by_stream = self.by_stream.borrow();
        for watcher in by_stream.get(&place(bucket)).into_iter().flatten() {
            let watcher = watcher.clone();
            // each in a turn of its own: a callback may panic, and the next one is to run
            bucket.api.port().defer(move |state| match watcher.upgrade() {
                Some(told) => (told.0)(state),
                None => Ok(()),
            });
        }
    }
}

fn place(bucket: &Bucket) -> Place {
    (bucket.api.prefix().to_owned(), bucket.stream.clone())
}
