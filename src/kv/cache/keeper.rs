//! What keeps a cache: a watch, and questions about what no watch can hear of.
//!
//! Two things leave no message: values that expire in a bucket without markers, and what is purged from
//! the stream. The first are asked for when their time is over by the server's clock; for the second, the
//! leader is asked for all subjects whenever the consumer was lost meanwhile, or the bucket was emptied.
//! Either makes keys doubtful, and a key is removed only when the leader has said of it that there is
//! nothing, while the cache holds the revision that was in doubt.

use crate::callback::{CallbackSlot, Ran, State};
use crate::event_loop::TimerId;
use crate::jetstream::watching::{KeySet, Page, key_hashes};
use crate::jetstream::{self, ApiRequest, MessageQuery, StoredMessage, StreamInfo};
use crate::kv::bucket::Bucket;
use crate::kv::cache::event::{CacheEvent, CacheOptions, CacheState};
use crate::kv::cache::table::{CacheTable, Lifetime};
use crate::kv::entry::{Entry, Operation};
use crate::kv::error::Error;
use crate::kv::patterns::uncovered;
use crate::kv::reading::reads::Reads;
use crate::kv::watching::options::WatchOptions;
use crate::kv::watching::update::{Update, Watching};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

/// So many doubtful keys are asked for at a time.
const MAX_ASKED: usize = 16;
/// The pause before what was not answered is asked again, and before what should be gone is.
const PAUSE: Duration = Duration::from_secs(1);

pub(in crate::kv) type OnEvent = Box<dyn FnMut(&mut State, &Rc<CacheKeeper>, CacheEvent) -> Ran>;

pub(in crate::kv) struct CacheKeeper {
    bucket: Rc<Bucket>,
    patterns: Vec<String>,
    max_bytes: usize,
    table: RefCell<CacheTable>,
    state: RefCell<CacheState>,
    /// Held by its reader for as long as it is fed, and holds this.
    watching: OnceCell<Weak<Watching>>,
    callback: CallbackSlot<OnEvent>,
    /// Everything that there was in the beginning is there, and that was told.
    is_ready: Cell<bool>,
    /// The watch has shown everything that there was.
    is_filled: Cell<bool>,
    /// How many messages the watch's consumer has to deliver after the last one.
    pending: Cell<u64>,
    /// What the leader is asked for at the moment, all subjects. A later question replaces an earlier one.
    sweep: RefCell<Option<Sweep>>,
    sweeps: Cell<u64>,
    /// A time of the server's clock, and when it was that.
    clock: Cell<Option<(SystemTime, Instant)>>,
    timer: Cell<Option<(TimerId, SystemTime)>>,
    /// Keys that may be gone, with their revisions.
    doubts: RefCell<VecDeque<(Box<[u8]>, u64)>>,
    asked: Cell<usize>,
    /// What was not answered waits for a timer.
    is_pausing: Cell<bool>,
}

/// The leader's subjects, page by page.
struct Sweep {
    number: u64,
    found: KeySet,
    page: Page,
    /// The last revision of the stream when the first page was made: later ones are not missing.
    last: Option<u64>,
}

impl CacheKeeper {
    pub(in crate::kv) fn begin(
        bucket: &Rc<Bucket>,
        reads: Reads,
        patterns: &[&str],
        options: CacheOptions,
        on_event: OnEvent,
    ) -> Rc<Self> {
        let port = bucket.api.port();
        let state = CacheState::CatchingUp { since: port.now() };
        let keeper = Rc::new(Self {
            bucket: bucket.clone(),
            patterns: uncovered(patterns).into_iter().map(str::to_owned).collect(),
            max_bytes: options.max_bytes,
            table: RefCell::new(CacheTable::new(key_hashes(port), options.max_bytes)),
            state: RefCell::new(state),
            watching: OnceCell::new(),
            callback: CallbackSlot::new(on_event),
            is_ready: Cell::new(false),
            is_filled: Cell::new(false),
            pending: Cell::new(0),
            sweep: RefCell::default(),
            sweeps: Cell::new(0),
            clock: Cell::new(None),
            timer: Cell::new(None),
            doubts: RefCell::default(),
            asked: Cell::new(0),
            is_pausing: Cell::new(false),
        });
        let options = WatchOptions::new().whole_batches().heartbeat(options.heartbeat);
        let kept = keeper.clone();
        let on_update =
            move |state: &mut State, _: &Rc<Watching>, update| kept.handle(state, update);
        let watching = bucket.watch(patterns, reads, options, Box::new(on_update));
        let told = Rc::downgrade(&keeper);
        watching.set_on_caught_up(Box::new(move |state| match told.upgrade() {
            Some(keeper) => {
                keeper.pending.set(0);
                keeper.note_exact(state)
            }
            None => Ok(()),
        }));
        if watching.is_active() {
            keeper.ask_stream();
        }
        keeper.watching.get_or_init(|| Rc::downgrade(&watching));
        keeper
    }

    #[inline]
    pub(in crate::kv) fn get(&self, key: &str) -> Option<Rc<Entry>> {
        self.table.borrow().get(key.as_bytes()).cloned()
    }

    pub(in crate::kv) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    pub(in crate::kv) fn bytes(&self) -> usize {
        self.table.borrow().bytes()
    }

    pub(in crate::kv) fn entries(&self) -> Vec<Rc<Entry>> {
        self.table.borrow().entries().cloned().collect()
    }

    pub(in crate::kv) fn state(&self) -> CacheState {
        self.state.borrow().clone()
    }

    pub(in crate::kv) fn is_active(&self) -> bool {
        !matches!(*self.state.borrow(), CacheState::Ended(_))
    }

    pub(in crate::kv) fn stop(&self) {
        if self.is_active() {
            self.finish(None);
        }
        // one that runs is dropped after it
        drop(self.callback.take());
    }

    /// Nothing more is done.
    fn finish(&self, error: Option<Error>) {
        self.state.replace(CacheState::Ended(error));
        if let Some(watching) = self.watching.get().and_then(Weak::upgrade) {
            watching.stop();
        }
        if let Some((timer, _)) = self.timer.take() {
            self.bucket.api.port().cancel_timer(timer);
        }
        self.sweep.take();
        self.doubts.take();
    }

    fn end(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        if !self.is_active() {
            return Ok(());
        }
        self.finish(Some(error.clone()));
        self.emit(state, CacheEvent::Ended(error))
    }

    fn emit(self: &Rc<Self>, state: &mut State, event: CacheEvent) -> Ran {
        self.callback.run_while(|| self.is_active(), |callback| callback(state, self, event))
    }

    fn handle(self: &Rc<Self>, state: &mut State, update: Update) -> Ran {
        match update {
            Update::Entry(entry) => {
                let entry = Rc::new(entry);
                match self.apply(std::slice::from_ref(&entry)) {
                    Err(full) => self.end(state, full),
                    Ok(()) => self.tell_change(state, CacheEvent::Changed(entry)),
                }
            }
            Update::Batch(entries) => {
                let entries: Vec<_> = entries.into_iter().map(Rc::new).collect();
                match self.apply(&entries) {
                    Err(full) => self.end(state, full),
                    Ok(()) => self.tell_change(state, CacheEvent::Batch(entries)),
                }
            }
            Update::Initialized => {
                self.is_filled.set(true);
                self.note_exact(state)
            }
            Update::Recreating { since } => {
                self.sweep.take();
                self.pending.set(0);
                self.state.replace(CacheState::CatchingUp { since });
                self.emit(state, CacheEvent::CatchingUp { since })
            }
            Update::Live => {
                // the answer to the sweep may be here before them
                let watching = self.watching.get().and_then(Weak::upgrade);
                self.pending.set(watching.map_or(0, |watching| watching.expected()));
                self.begin_sweep();
                Ok(())
            }
            Update::Cleared => {
                self.table.borrow_mut().clear();
                // entries from before may be under way
                self.begin_sweep();
                self.emit(state, CacheEvent::Cleared)
            }
            Update::Stalled(stall) => self.emit(state, CacheEvent::Stalled(stall)),
            Update::Resumed => self.emit(state, CacheEvent::Resumed),
            Update::Ended(error) => self.end(state, error),
        }
    }

    /// Takes changes, and notes what they tell of the server's clock.
    fn apply(self: &Rc<Self>, entries: &[Rc<Entry>]) -> Result<(), Error> {
        for entry in entries {
            self.pending.set(entry.delta());
            self.note_clock(entry.created());
            let full = self.table.borrow_mut().apply(entry);
            full.map_err(|_| Error::CacheFull { limit: self.max_bytes })?;
        }
        self.arm_timer();
        Ok(())
    }

    fn tell_change(self: &Rc<Self>, state: &mut State, change: CacheEvent) -> Ran {
        let told = match self.is_ready.get() {
            true => self.emit(state, change),
            false => Ok(()),
        };
        told.and(self.note_exact(state))
    }

    /// Tells that the cache is exact, if that is so and news.
    fn note_exact(self: &Rc<Self>, state: &mut State) -> Ran {
        let is_catching_up = matches!(*self.state.borrow(), CacheState::CatchingUp { .. });
        let is_fed =
            self.watching.get().and_then(Weak::upgrade).is_some_and(|watching| watching.is_live());
        let is_in_doubt = self.asked.get() > 0 || !self.doubts.borrow().is_empty();
        let is_waiting = self.sweep.borrow().is_some() || is_in_doubt;
        let is_complete = self.is_filled.get() && !is_waiting;
        // in the beginning, what the watch calls everything is enough: writes may never pause
        let is_exact = !self.is_ready.get() || (is_fed && self.pending.get() == 0);
        if !(is_catching_up && is_complete && is_exact) {
            return Ok(());
        }
        self.state.replace(CacheState::Live);
        match self.is_ready.replace(true) {
            true => self.emit(state, CacheEvent::Live),
            false => self.emit(state, CacheEvent::Ready),
        }
    }

    /// Asks how the bucket removes what is old, and for the server's clock.
    fn ask_stream(self: &Rc<Self>) {
        let keeper = self.clone();
        let on_info = move |_: &mut State, info: Result<StreamInfo, jetstream::Error>| {
            match info {
                Ok(info) => keeper.learn(&info),
                // it is learned with the next sweep, or may not be known
                Err(error) => log::debug!("a cache does not know its stream: {error}"),
            }
            Ok(())
        };
        self.bucket.api.read(ApiRequest::stream_info(&self.bucket.stream), Box::new(on_info));
    }

    fn learn(self: &Rc<Self>, info: &StreamInfo) {
        if !self.is_active() {
            return;
        }
        let has_markers = info.config.subject_delete_marker_ttl.is_some();
        let lifetime = Lifetime { max_age: info.config.max_age };
        self.table.borrow_mut().set_lifetime((!has_markers).then_some(lifetime));
        self.note_clock(info.timestamp);
        self.arm_timer();
    }

    /// The server's clock shows at least this.
    fn note_clock(&self, time: Option<SystemTime>) {
        let now = self.bucket.api.port().turn_time();
        let known = self.server_time(now);
        if let Some(time) = time.filter(|time| known.is_none_or(|known| known < *time)) {
            self.clock.set(Some((time, now)));
        }
    }

    /// What the server's clock shows at least, as far as is known.
    fn server_time(&self, now: Instant) -> Option<SystemTime> {
        let (time, then) = self.clock.get()?;
        time.checked_add(now.saturating_duration_since(then))
    }

    /// Has the timer fire when the next key should be gone.
    fn arm_timer(self: &Rc<Self>) {
        let Some(next) = self.table.borrow().next_going() else { return };
        let port = self.bucket.api.port();
        let Some(time) = self.server_time(port.now()) else { return };
        if let Some((timer, armed)) = self.timer.take() {
            if armed <= next {
                return self.timer.set(Some((timer, armed)));
            }
            port.cancel_timer(timer);
        }
        let keeper = self.clone();
        let on_time = move |state: &mut State| {
            keeper.timer.take();
            let time = keeper.server_time(keeper.bucket.api.port().turn_time());
            let going = time.map(|time| keeper.table.borrow_mut().take_going(time));
            keeper.doubts.borrow_mut().extend(going.into_iter().flatten());
            keeper.arm_timer();
            keeper.ask_doubts(state)
        };
        let delay = next.duration_since(time).unwrap_or_default();
        self.timer.set(Some((port.set_timer(delay, Box::new(on_time)), next)));
    }

    /// Asks the leader which subjects there are.
    fn begin_sweep(self: &Rc<Self>) {
        let number = self.sweeps.get() + 1;
        self.sweeps.set(number);
        let found = KeySet::new(key_hashes(self.bucket.api.port()));
        let sweep = Sweep { number, found, page: Page::default(), last: None };
        self.sweep.replace(Some(sweep));
        self.ask_page(number);
    }

    fn ask_page(self: &Rc<Self>, number: u64) {
        let request = match &*self.sweep.borrow() {
            Some(sweep) if sweep.number == number => {
                let (stream, prefix) = (&self.bucket.stream, &self.bucket.subjects);
                sweep.page.request(stream, prefix, &self.patterns)
            }
            _ => None,
        };
        let Some(request) = request else { return };
        let keeper = self.clone();
        let on_page =
            move |state: &mut State, info: Result<StreamInfo, jetstream::Error>| match info {
                Ok(info) => keeper.handle_page(state, number, &info),
                Err(error) => keeper.handle_no_page(state, number, &error),
            };
        self.bucket.api.read(request, Box::new(on_page));
    }

    fn handle_no_page(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        error: &jetstream::Error,
    ) -> Ran {
        let is_current = self.sweep.borrow().as_ref().is_some_and(|sweep| sweep.number == number);
        if !is_current {
            return Ok(());
        }
        if error.is_temporary() {
            let keeper = self.clone();
            let again = move |_: &mut State| {
                keeper.ask_page(number);
                Ok(())
            };
            self.bucket.api.port().set_timer(PAUSE, Box::new(again));
            return Ok(());
        }
        // it cannot be known what is gone
        self.sweep.take();
        self.note_exact(state)
    }

    fn handle_page(self: &Rc<Self>, state: &mut State, number: u64, info: &StreamInfo) -> Ran {
        self.learn(info);
        let mut current = self.sweep.borrow_mut();
        let Some(sweep) = current.as_mut().filter(|sweep| sweep.number == number) else {
            return Ok(());
        };
        sweep.last.get_or_insert(info.state.last_sequence);
        for subject in info.state.subjects.keys() {
            if let Some(key) = subject.strip_prefix(&self.bucket.subjects) {
                sweep.found.insert(key.as_bytes());
            }
        }
        sweep.page = sweep.page.next(info);
        if sweep.page.is_within(&self.patterns) {
            drop(current);
            self.ask_page(number);
            return Ok(());
        }
        let Some(sweep) = current.take() else { return Ok(()) };
        drop(current);
        let table = self.table.borrow();
        let last = sweep.last.unwrap_or_default();
        let missing = table
            .entries()
            .filter(|entry| entry.revision() <= last && !sweep.found.contains(entry.key_bytes()));
        let missing = missing.map(|entry| (entry.key_bytes().into(), entry.revision()));
        self.doubts.borrow_mut().extend(missing);
        drop(table);
        self.ask_doubts(state)
    }

    /// Asks the leader for keys that may be gone, some at a time.
    fn ask_doubts(self: &Rc<Self>, state: &mut State) -> Ran {
        while self.is_active() && !self.is_pausing.get() && self.asked.get() < MAX_ASKED {
            let Some((key, revision)) = self.doubts.borrow_mut().pop_front() else { break };
            if self.table.borrow().get(&key).map(|entry| entry.revision()) != Some(revision) {
                continue;
            }
            let subject = format!("{}{}", self.bucket.subjects, String::from_utf8_lossy(&key));
            let query = MessageQuery::LastBySubject(&subject);
            let request = ApiRequest::stored_message(&self.bucket.stream, query);
            let keeper = self.clone();
            let on_stored = move |state: &mut State, stored: Result<StoredMessage, _>| {
                keeper.asked.set(keeper.asked.get() - 1);
                let told = keeper.handle_stored(state, key, revision, stored);
                told.and(keeper.ask_doubts(state))
            };
            self.asked.set(self.asked.get() + 1);
            self.bucket.api.read(request, Box::new(on_stored));
        }
        self.note_exact(state)
    }

    /// What the leader has of a key in doubt, of which the cache had this revision then.
    fn handle_stored(
        self: &Rc<Self>,
        state: &mut State,
        key: Box<[u8]>,
        revision: u64,
        stored: Result<StoredMessage, jetstream::Error>,
    ) -> Ran {
        let is_same = self.table.borrow().get(&key).map(|entry| entry.revision()) == Some(revision);
        if !is_same || !self.is_active() {
            return Ok(());
        }
        match stored {
            // a later one comes by the watch
            Ok(stored) if stored.sequence() > revision => Ok(()),
            Ok(stored) if stored.sequence() == revision => {
                let until = self.server_time(self.bucket.api.port().turn_time());
                if let Some(until) = until.and_then(|time| time.checked_add(PAUSE)) {
                    self.table.borrow_mut().put_off(key, revision, until);
                    self.arm_timer();
                }
                Ok(())
            }
            // the value before it has come back
            Ok(stored) if Operation::of(stored.headers()) == Operation::Put => {
                let (subjects, headers) = (&self.bucket.subjects, stored.clone());
                let entry = Entry::read(&self.bucket.name, subjects, stored, Operation::Put)
                    .living_for(headers.headers());
                let entry = Rc::new(entry);
                let applied = self.table.borrow_mut().apply(&entry);
                if applied.is_err() {
                    return self.end(state, Error::CacheFull { limit: self.max_bytes });
                }
                self.arm_timer();
                self.tell_change(state, CacheEvent::Changed(entry))
            }
            Err(error) if error.is_temporary() => {
                self.doubts.borrow_mut().push_front((key, revision));
                self.pause();
                Ok(())
            }
            Err(error) if !error.is_no_message() && !error.is_denied() => {
                log::debug!("a key of a cache stays in doubt: {error}");
                Ok(())
            }
            _ => {
                let removed = self.table.borrow_mut().remove(&key);
                removed.map_or(Ok(()), |entry| self.tell_change(state, CacheEvent::Removed(entry)))
            }
        }
    }

    /// Asks again after a pause.
    fn pause(self: &Rc<Self>) {
        if self.is_pausing.replace(true) {
            return;
        }
        let keeper = self.clone();
        let again = move |state: &mut State| {
            keeper.is_pausing.set(false);
            keeper.ask_doubts(state)
        };
        self.bucket.api.port().set_timer(PAUSE, Box::new(again));
    }
}
