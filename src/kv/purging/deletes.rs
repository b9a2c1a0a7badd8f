//! Removing what deleted keys have left behind: old tombstones and markers, and the history of those
//! that are too young to go.
//!
//! A tombstone is not removed by its key: who has written the key meanwhile would lose the value. It is
//! removed up to its own revision, so that what is newer stays.

use crate::callback::{Answer, Callback, CallbackSlot, Handler, Outcome, Ran, State, answer, lend};
use crate::event_loop::timers_on;
use crate::jetstream::wire::setters;
use crate::jetstream::{self, ApiRequest, StreamInfo};
use crate::kv::bucket::Bucket;
use crate::kv::entry::{Entry, Operation};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::listing::collected::{Collection, Listing};
use crate::kv::purging::sweep::{Sweep, Swept};
use crate::kv::reading::reads::Reads;
use crate::kv::watching::options::WatchOptions;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Which tombstones are removed: `PurgeDeletes::new().older_than(Duration::from_secs(3600))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeDeletes {
    /// Those that are at least so old go; of younger ones only the history does, so that watches which
    /// were away for a while still learn of the deletion. Zero: all go. Default: 30 min.
    pub older_than: Duration,
}

impl Default for PurgeDeletes {
    fn default() -> Self {
        Self { older_than: Duration::from_secs(30 * 60) }
    }
}

impl PurgeDeletes {
    /// Those that are 30 min old.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(PurgeDeletes {
    value older_than: Duration,
});

/// What was removed with the tombstones of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgedDeletes {
    /// Of how many deleted keys something was removed.
    pub keys: u64,
    /// How many messages: tombstones, markers, and older values.
    pub messages: u64,
}

/// How far a removal of tombstones has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeProgress {
    /// How many deleted keys were dealt with.
    pub done: u64,
    /// How many there are to deal with.
    pub of: u64,
}

/// The hook for the progress, with the type of the state erased.
type OnProgress = Box<dyn FnMut(&mut State, PurgeProgress) -> Ran>;

/// A removal of tombstones under way. A cheap handle: dropping it does not stop the removal.
pub struct Purging<S: 'static = ()> {
    kv: KeyValue<S>,
    hook: Rc<CallbackSlot<OnProgress>>,
}

impl<S: 'static> Purging<S> {
    /// Runs after each of the keys.
    pub fn on_progress(&self, mut hook: impl Handler<S, KeyValue<S>, PurgeProgress>) {
        let kv = self.kv.clone();
        let hook: OnProgress =
            Box::new(move |state, progress| hook(lend(state), &kv, progress).into_ran());
        // one that was there is the user's to drop, too
        drop(self.hook.replace(hook));
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Purging, |purging| purging.kv.client().port().event_loop());

impl<S> Clone for Purging<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), hook: self.hook.clone() }
    }
}

impl<S> fmt::Debug for Purging<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purging").field("bucket", &self.kv).finish_non_exhaustive()
    }
}

impl<S: 'static> KeyValue<S> {
    /// Removes the tombstones and markers that are old enough, with whatever history there is before
    /// them, and of younger ones the history alone. The callback gets what was removed.
    ///
    /// The keys stay deleted. Nothing that is written meanwhile is lost: each is removed up to the
    /// tombstone's own revision. They are found as by a watch, and collected, which takes some 100 bytes
    /// of memory and their length for each deleted key; up to 64 requests are under way at a time.
    ///
    /// How old a tombstone is, the server's clock says (`ts`, server 2.10). On an older server it is the
    /// time until the last write to the bucket, which may make it seem younger than it is.
    ///
    /// # Errors
    /// [`Error::Incomplete`] with the number of keys that were dealt with if something failed on the way;
    /// [`Error::BucketNotFound`], [`Error::ReadOnly`], [`Error::Mirror`], or what JetStream reports: 10110
    /// if the bucket's stream denies purges.
    #[doc(alias = "PurgeDeletes")]
    #[doc(alias = "compact")]
    pub fn purge_deletes(
        &self,
        options: PurgeDeletes,
        callback: impl Callback<S, KeyValue<S>, Result<PurgedDeletes, Error>>,
    ) -> Purging<S> {
        let hook = Rc::default();
        self.shared_bucket().purge_deletes(options, &hook, answer(self, callback));
        Purging { kv: self.clone(), hook }
    }
}

type OnPurged = Answer<Result<PurgedDeletes, Error>>;

impl Bucket {
    fn purge_deletes(
        self: &Rc<Self>,
        options: PurgeDeletes,
        hook: &Rc<CallbackSlot<OnProgress>>,
        answer: OnPurged,
    ) {
        if let Err(error) = self.check_purgeable() {
            return self.defer(answer, Err(error));
        }
        let (bucket, hook) = (self.clone(), hook.clone());
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| match info {
            Ok(info) => {
                Removal { bucket, rule: Rule::new(&info, options), hook }.collect(answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.read(ApiRequest::stream_info(&self.stream), Box::new(on_info));
    }
}

/// What is to be removed with a tombstone.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Tombstones go that are not younger than this.
    young_from: Option<SystemTime>,
    /// The bucket keeps more than one message of a key.
    has_history: bool,
}

impl Rule {
    fn new(info: &StreamInfo, options: PurgeDeletes) -> Self {
        let now = info.timestamp.or(info.state.last_time);
        Self {
            young_from: now.and_then(|now| now.checked_sub(options.older_than)),
            has_history: info.config.max_msgs_per_subject != Some(1),
        }
    }

    /// The revision that everything goes before. `None`: there is nothing to remove.
    fn limit(&self, tombstone: &Tombstone) -> Option<u64> {
        let is_old = match (tombstone.created, self.young_from) {
            (Some(created), Some(young_from)) => created <= young_from,
            _ => false,
        };
        match is_old {
            true => Some(tombstone.revision.saturating_add(1)),
            // what has purged its key has no history
            false => (self.has_history && tombstone.keeps_history).then_some(tombstone.revision),
        }
    }
}

struct Tombstone {
    revision: u64,
    created: Option<SystemTime>,
    /// It leaves the values before it, as far as the bucket keeps them.
    keeps_history: bool,
}

/// The tombstones of a bucket.
impl Collection for BTreeMap<String, Tombstone> {
    /// A key that is written during the listing comes again.
    fn add(&mut self, entry: Entry) {
        match entry.operation().is_tombstone() {
            true => {
                let tombstone = Tombstone {
                    revision: entry.revision(),
                    created: entry.created(),
                    keeps_history: entry.operation() == Operation::Delete,
                };
                self.insert(entry.key().into_owned(), tombstone);
            }
            false => {
                self.remove(&*entry.key());
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    /// Whatever a replica has shown is removed by its revision, so that nothing has to be confirmed.
    fn confirm(listing: &Rc<Listing<Self>>, state: &mut State) -> Ran {
        listing.succeed(state)
    }
}

/// A removal of tombstones.
struct Removal {
    bucket: Rc<Bucket>,
    rule: Rule,
    hook: Rc<CallbackSlot<OnProgress>>,
}

impl Removal {
    fn collect(self, answer: OnPurged) {
        let bucket = self.bucket.clone();
        let on_collected =
            move |state: &mut State, found: Result<BTreeMap<String, Tombstone>, Error>| match found
            {
                Ok(found) => self.remove(state, found, answer),
                Err(error) => answer(state, Err(error)),
            };
        let options = WatchOptions::new().meta_only();
        Listing::collect(&bucket, Reads::Leader, &[">"], options, Box::new(on_collected));
    }

    fn remove(
        self,
        state: &mut State,
        found: BTreeMap<String, Tombstone>,
        answer: OnPurged,
    ) -> Ran {
        let Self { bucket, rule, hook } = self;
        let limit = |(key, tombstone)| Some((key, rule.limit(&tombstone)?));
        let limits: Vec<(String, u64)> = found.into_iter().filter_map(limit).collect();
        let (of, told) = (limits.len() as u64, hook.clone());
        let port = bucket.api.port().clone();
        // in turns of their own, which come in this order
        let on_progress = move |done| {
            let told = told.clone();
            port.defer(move |state| {
                told.run(|callback| callback(state, PurgeProgress { done, of }))
            });
        };
        let ended = bucket.clone();
        let on_swept = move |_: &mut State, swept: Result<Swept, Error>| {
            let purged =
                |swept: Swept| PurgedDeletes { keys: swept.effective, messages: swept.counted };
            let last: Answer<Result<Swept, Error>> = Box::new(move |state, swept| {
                drop(hook.take());
                answer(state, swept.map(purged))
            });
            ended.defer(last, swept);
            Ok(())
        };
        let purge =
            move |(key, limit): (String, u64), answer| bucket.purge_before(&key, limit, answer);
        Sweep::begin(limits, purge, on_progress, state, Box::new(on_swept))
    }
}

impl Bucket {
    /// Removes what a key has before a revision from the stream, and answers with the number of messages.
    fn purge_before(self: &Rc<Self>, key: &str, limit: u64, answer: Answer<Result<u64, Error>>) {
        let subject = format!("{}{key}", self.subjects);
        let options = jetstream::PurgeOptions::new().subject(subject).before(limit);
        let bucket = self.clone();
        let on_purged = move |state: &mut State, purged: Result<u64, jetstream::Error>| {
            answer(state, purged.map_err(|error| bucket.error(error)))
        };
        self.api.purge_stream(&self.stream, &options, Box::new(on_purged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rule: Rule, age: u64, keeps_history: bool) -> Option<u64> {
        let created = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age));
        rule.limit(&Tombstone { revision: 7, created, keeps_history })
    }

    #[test]
    fn old_tombstones_go_and_young_ones_lose_their_history() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let young_from = now.checked_sub(Duration::from_secs(60));
        let rule = Rule { young_from, has_history: true };
        assert_eq!(limit(rule, 60, true), Some(8));
        assert_eq!(limit(rule, 60, false), Some(8));
        assert_eq!(limit(rule, 59, true), Some(7));
        assert_eq!(limit(rule, 59, false), None, "a purge has no history");
        assert_eq!(limit(Rule { has_history: false, ..rule }, 59, true), None);
    }

    #[test]
    fn what_is_not_known_to_be_old_is_young() {
        let rule = Rule { young_from: None, has_history: true };
        assert_eq!(limit(rule, 999, true), Some(7));
        let unknown = Tombstone { revision: 7, created: None, keeps_history: true };
        let rule = Rule { young_from: Some(SystemTime::UNIX_EPOCH), has_history: true };
        assert_eq!(rule.limit(&unknown), Some(7));
    }
}
