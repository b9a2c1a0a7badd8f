//! Those who follow a bucket while it is written to and its nodes fail: watches, one of which is begun
//! again and again where it was, and a cache. What each is told is looked at as it comes, and in the end
//! it has to be what the server has.

use super::history::{Content, Outcome, Value};
use super::workload::{BATCH_KEYS, Kv, World, batch_name, content};
use evnats::kv::{
    Cache, CacheEvent, CacheOptions, CacheState, Entry, Update, WatchOptions, WatchState, Watcher,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// How many watches there are beside the one that begins again, and the cache.
pub(crate) const WATCHES: usize = 3;
/// How many consumers all of them have.
pub(crate) const FOLLOWERS: usize = WATCHES + 2;

/// So soon a consumer that is lost is noticed: after three of them.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// For how long a watch that begins again lives, in milliseconds.
const LIFETIME: Range<u64> = 100..2_000;

/// What there is of each key: its revision, and what it holds.
pub(crate) type Contents = BTreeMap<String, (u64, Content)>;

/// What one of them was told.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    contents: Contents,
    /// The last revision.
    last: u64,
    /// Signals of the watch that runs.
    signals: usize,
    /// The first revision of each batch, and how many of its keys were shown.
    batches: BTreeMap<Value, (u64, usize)>,
    /// What should not have been told.
    wrong: Vec<String>,
}

impl Followed {
    fn note(&mut self, update: Update) {
        match update {
            Update::Entry(entry) => self.note_all(&[&entry]),
            Update::Batch(entries) => self.note_all(&entries.iter().collect::<Vec<_>>()),
            Update::Initialized => self.signals += 1,
            Update::Ended(error) => self.wrong.push(error.to_string()),
            Update::Cleared => self.wrong.push("cleared".into()),
            _ => {}
        }
    }

    fn note_all(&mut self, entries: &[&Entry]) {
        self.note_batch(entries);
        for entry in entries {
            if entry.revision() <= self.last {
                self.wrong.push(format!("{entry:?} after revision {}", self.last));
            }
            self.last = entry.revision();
            self.contents.extend([at(entry)]);
        }
    }

    /// Batches are stored next to each other, and come whole, or where a later one has replaced a part of
    /// one already, what is left of it: servers store a batch key by key, so that may be any part. Either
    /// comes at one time.
    fn note_batch(&mut self, entries: &[&Entry]) {
        let is_of_batch = entries[0].key().starts_with("batch.");
        if !is_of_batch && entries.len() == 1 {
            return;
        }
        let number = content(entries[0]);
        // the revision of the batch's first key, by one of its keys
        let first_by = |entry: &Entry| {
            let place = (0..BATCH_KEYS).position(|place| batch_name(place) == entry.key())?;
            entry.revision().checked_sub(place as u64)
        };
        let first = first_by(entries[0]);
        let is_its = |entry: &&Entry| content(entry) == number && first_by(entry) == first;
        if first.is_none() || !entries.iter().all(is_its) {
            self.wrong.push(format!("{entries:?} is no batch"));
        }
        let shown = (first.unwrap_or_default(), entries.len());
        if self.batches.insert(number.unwrap_or_default(), shown).is_some() {
            self.wrong.push(format!("a batch in several parts, of which {entries:?} is one"));
        }
    }

    /// Whether what was told of batches is what those were told who have written them, and what is
    /// missing of one was replaced: there are as many later ones as the bucket keeps.
    fn check_batches(&self, outcomes: &BTreeMap<Value, Outcome>, history: u64) {
        for (number, (first, keys)) in &self.batches {
            match outcomes.get(number) {
                Some(Outcome::Stored(stored)) => assert_eq!(first, stored, "batch {number}"),
                Some(Outcome::Unknown) => {}
                other => panic!("batch {number} is {other:?}, and was seen"),
            }
            let may_be_later = |outcome: &&Outcome| match outcome {
                Outcome::Stored(stored) => stored > first,
                outcome => **outcome == Outcome::Unknown,
            };
            let later = outcomes.values().filter(may_be_later).count() as u64;
            let is_whole = *keys == BATCH_KEYS;
            assert!(is_whole || later >= history, "{keys} keys of batch {number}, {later} later");
        }
    }
}

/// The one that runs of the watches that begin again.
type Again = Rc<RefCell<Option<Watcher<World>>>>;

/// Those who follow a bucket.
pub(crate) struct Followers {
    watchers: Vec<Watcher<World>>,
    again: Again,
    cache: Cache<World>,
}

impl Followers {
    /// Begins to follow a bucket, each by its own client.
    pub(crate) fn begin(world: &mut World, buckets: &[Kv]) -> Self {
        assert_eq!(buckets.len(), FOLLOWERS);
        world.followed = (0..FOLLOWERS).map(|_| Followed::default()).collect();
        let watchers = buckets[..WATCHES].iter().enumerate();
        let watchers = watchers.map(|(place, kv)| watch(kv, place, options())).collect();
        let again = Rc::default();
        begin_again_and_again(world, &buckets[WATCHES], &again);
        Self { watchers, again, cache: keep(&buckets[WATCHES + 1], WATCHES + 1) }
    }

    fn running(&self) -> Vec<Watcher<World>> {
        self.watchers.iter().chain(&*self.again.borrow()).cloned().collect()
    }

    /// Says who does not have what the server has, or is not fed.
    pub(crate) fn differences(&self, world: &World, server: &Contents) -> Vec<String> {
        let mut differences = Vec::new();
        for (place, watcher) in self.running().iter().enumerate() {
            let followed = &world.followed[place];
            let is_live = watcher.state() == WatchState::Live && followed.signals > 0;
            if !is_live || followed.contents != *server {
                let (state, contents) = (watcher.state(), &followed.contents);
                let (signals, wrong) = (followed.signals, &followed.wrong);
                differences
                    .push(format!("watch {place}: {state:?} {contents:?} {signals} {wrong:?}"));
            }
        }
        let with_value = server.iter().filter(|(_, (_, content))| content.is_some());
        let expected: Contents = with_value.map(|(key, at)| (key.clone(), *at)).collect();
        let held: Contents = self.cache.entries().iter().map(|entry| at(entry)).collect();
        if self.cache.state() != CacheState::Live || held != expected {
            differences.push(format!("cache: {:?} {held:?}", self.cache.state()));
        }
        differences
    }

    /// Checks what each was told, of a bucket that keeps so many values of a key, and returns a few words
    /// about it.
    pub(crate) fn check(&self, world: &World, history: u64) -> String {
        let (mut batches, mut in_part) = (0, 0);
        for (place, followed) in world.followed.iter().enumerate() {
            assert_eq!(followed.wrong, [""; 0], "follower {place}");
            assert_eq!(followed.signals, 1, "follower {place}");
            followed.check_batches(&world.batches, history);
            batches += followed.batches.len();
            in_part += followed.batches.values().filter(|(_, keys)| *keys < BATCH_KEYS).count();
        }
        format!("{batches} batches followed, {in_part} of them replaced in part before")
    }

    pub(crate) fn stop(&self) {
        self.running().iter().for_each(Watcher::stop);
        self.cache.stop();
    }
}

fn at(entry: &Entry) -> (String, (u64, Content)) {
    (entry.key().into_owned(), (entry.revision(), content(entry)))
}

fn options() -> WatchOptions {
    WatchOptions::new().whole_batches().heartbeat(HEARTBEAT)
}

fn watch(kv: &Kv, place: usize, options: WatchOptions) -> Watcher<World> {
    kv.watch(">", options, move |world: &mut World, _, update| world.followed[place].note(update))
}

/// Ends the watch that begins again, and begins it behind the last revision that it has shown.
fn begin_again(world: &mut World, kv: &Kv, again: &Again) {
    if let Some(watcher) = again.take() {
        watcher.stop();
    }
    let followed = &mut world.followed[WATCHES];
    if followed.signals > 1 {
        followed.wrong.push("more than one signal".into());
    }
    followed.signals = 0;
    let options = options().from_revision(followed.last + 1);
    let (bucket, next) = (kv.clone(), again.clone());
    let on_update = move |world: &mut World, _: &Watcher<World>, update| match update {
        // without a quorum none can begin
        Update::Ended(error) if error.is_temporary() => begin_again(world, &bucket, &next),
        update => world.followed[WATCHES].note(update),
    };
    again.replace(Some(kv.watch(">", options, on_update)));
}

/// Has it begin again after some time, and so on.
fn begin_again_and_again(world: &mut World, kv: &Kv, again: &Again) {
    if world.stops {
        return;
    }
    begin_again(world, kv, again);
    let (lifetime, again) = (Duration::from_millis(world.random.u64(LIFETIME)), again.clone());
    kv.set_timer(lifetime, move |world, kv| begin_again_and_again(world, kv, &again));
}

fn keep(kv: &Kv, place: usize) -> Cache<World> {
    let options = CacheOptions::new().heartbeat(HEARTBEAT);
    kv.cache(&[">"], options, move |world: &mut World, _, event| {
        let followed = &mut world.followed[place];
        match event {
            CacheEvent::Changed(entry) => followed.note_all(&[&*entry]),
            CacheEvent::Batch(entries) => {
                followed.note_all(&entries.iter().map(|entry| &**entry).collect::<Vec<_>>());
            }
            CacheEvent::Ready => followed.signals += 1,
            CacheEvent::Removed(entry) => followed.wrong.push(format!("removed: {entry:?}")),
            CacheEvent::Ended(error) => followed.wrong.push(error.to_string()),
            CacheEvent::Cleared => followed.wrong.push("cleared".into()),
            _ => {}
        }
    })
}
