//! Watching a bucket: what is there, the signal that it was all, and then every change.
//!
//! The signal comes exactly once, also for an empty bucket, also when everything was filtered
//! out, and also under steady writes, where "nothing is pending" may never be true: [`Initial`]
//! decides. The consumer may sit on a replica that lags behind, so the leader is asked at the
//! beginning what was the last revision.

use super::bucket::Bucket;
use super::cleared::OnCleared;
use super::entry::{Entry, Operation};
use super::error::Error;
use super::fence::is_reserved;
use super::handle::KeyValue;
use super::name;
use super::patterns::uncovered;
use super::read::is_no_message;
use super::reads::Reads;
use super::watch_initial::{Counts, Initial, Step};
use crate::callback::{Handler, Outcome, Ran, State, lend};
use crate::event_loop::timers_on;
use crate::jetstream::{
    self, ApiRequest, DeliverPolicy, DeliveryInfo, MessageQuery, OrderedConfig, Reader,
    ReaderEvent, Stall, StoredMessage, StoredParts,
};
use evnats_protocol::Message;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What a watch shows. Default: the last value of every key, and then every change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    start: Start,
    ignore_deletes: bool,
    meta_only: bool,
    heartbeat: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    LastPerKey,
    History,
    Updates,
    Revision(u64),
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            start: Start::LastPerKey,
            ignore_deletes: false,
            meta_only: false,
            heartbeat: Duration::from_secs(5),
        }
    }
}

impl WatchOptions {
    /// The last value of every key, and then every change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with every value of the history.
    #[must_use]
    pub fn include_history(mut self) -> Self {
        self.start = Start::History;
        self
    }

    /// Shows only what changes from now on. [`Update::Initialized`] comes when the watch is established.
    #[must_use]
    pub fn updates_only(mut self) -> Self {
        self.start = Start::Updates;
        self
    }

    /// Begins with this revision, and shows everything since that the bucket still holds.
    #[must_use]
    pub fn from_revision(mut self, revision: u64) -> Self {
        self.start = Start::Revision(revision);
        self
    }

    /// Leaves tombstones out.
    #[must_use]
    pub fn ignore_deletes(mut self) -> Self {
        self.ignore_deletes = true;
        self
    }

    /// Leaves the values out: entries have empty ones.
    #[must_use]
    pub fn meta_only(mut self) -> Self {
        self.meta_only = true;
        self
    }

    /// How often the server reports while nothing changes. After three missed reports the watch
    /// is set up again, after the last entry. Default: 5 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }
}

/// What a watch reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// A revision, in the order of the bucket, none twice.
    Entry(Entry),
    /// Everything that there was when the watch began has been reported: everything that the leader
    /// of the bucket's stream knew of then. Comes exactly once. With [`Reads::Replica`], everything
    /// that the replica knew of which serves the watch.
    Initialized,
    /// Nothing comes at the moment, for this reason, although the connection is there: consumers
    /// were lost, or could not be made, twice in a row and without progress in between. The watch
    /// goes on trying, and shows everything when it is over. Comes again if the reason changes.
    Stalled(Stall),
    /// What was reported with `Stalled` is over.
    Resumed,
    /// This client has emptied the bucket ([`clear`](KeyValue::clear)): every key that was shown before has
    /// no value any more, unless an entry that comes later says otherwise. When another client does
    /// that, nobody is told.
    Cleared,
    /// The watch is over: the bucket or the connection is gone, or could not be reached in the
    /// first place. The last report. Not sent after [`Watcher::stop`].
    Ended(Error),
}

impl Start {
    fn counts(self) -> Counts {
        match self {
            Self::LastPerKey => Counts::Keys,
            Self::History | Self::Revision(_) => Counts::Messages,
            Self::Updates => Counts::Nothing,
        }
    }
}

/// A watch. A cheap handle: dropping it does not stop the watch.
pub struct Watcher<S: 'static = ()> {
    kv: KeyValue<S>,
    /// `None` if the watch could not even begin.
    reader: Option<Reader>,
}

impl<S: 'static> Watcher<S> {
    /// Ends the watch: its callback does not run again.
    pub fn stop(&self) {
        if let Some(reader) = &self.reader {
            reader.stop();
        }
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| !reader.is_stopped())
    }

    /// The bucket that is watched.
    #[must_use]
    pub fn bucket(&self) -> &KeyValue<S> {
        &self.kv
    }
}

timers_on!(Watcher, |watcher| watcher.kv.client().port().event_loop());

impl<S> Clone for Watcher<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), reader: self.reader.clone() }
    }
}

impl<S> fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("bucket", &self.kv).finish_non_exhaustive()
    }
}

impl<S: 'static> KeyValue<S> {
    /// Watches the keys that a pattern matches: a key, a pattern with `*` and `>`, or `>` for all.
    ///
    /// The callback runs for every [`Update`], until the watch ends or is stopped. A value that is
    /// replaced before its turn is not seen, unless the bucket's history still holds it: with a
    /// history of one, a put and a delete in a row may show as the delete alone.
    #[doc(alias = "Watch")]
    pub fn watch(
        &self,
        pattern: &str,
        options: WatchOptions,
        callback: impl Handler<S, Watcher<S>, Update>,
    ) -> Watcher<S> {
        self.watch_many(&[pattern], options, callback)
    }

    /// Watches the keys that any of several patterns matches. Patterns that others cover are left
    /// out. More than one needs server 2.10.
    #[doc(alias = "WatchFiltered")]
    pub fn watch_many(
        &self,
        patterns: &[&str],
        options: WatchOptions,
        mut callback: impl Handler<S, Watcher<S>, Update>,
    ) -> Watcher<S> {
        let kv = self.clone();
        let on_update = move |state: &mut State, reader: Option<&Reader>, update: Update| {
            let watcher = Watcher { kv: kv.clone(), reader: reader.cloned() };
            callback(lend(state), &watcher, update).into_ran()
        };
        let reader = self.shared_bucket().watch(patterns, self.reads(), options, on_update);
        Watcher { kv: self.clone(), reader }
    }
}

impl Bucket {
    /// Watches, or reports in the next turn why it cannot.
    pub(crate) fn watch(
        self: &Rc<Self>,
        patterns: &[&str],
        reads: Reads,
        options: WatchOptions,
        mut on_update: impl FnMut(&mut State, Option<&Reader>, Update) -> Ran + 'static,
    ) -> Option<Reader> {
        let checked = self
            .check()
            .and_then(|()| if patterns.is_empty() { Err(Error::NoPatterns) } else { Ok(()) })
            .and_then(|()| patterns.iter().try_for_each(|pattern| name::check_pattern(pattern)));
        if let Err(error) = checked {
            self.api.port().defer(move |state| on_update(state, None, Update::Ended(error)));
            return None;
        }
        let config = self.reader_config(patterns, &options);
        let mut initial = Initial::new(options.start.counts(), self.api.port().random());
        let question = Question::new(self, &config.filter_subjects, options.start);
        if reads == Reads::Replica {
            initial.handle_leader(0);
        }
        let needs_leader = reads == Reads::Leader && options.start != Start::Updates;
        let asking = question.clone();
        let (is_cleared, on_cleared) = (Rc::new(Cell::new(false)), Rc::new(OnceCell::new()));
        let mut watch = Watch {
            bucket: self.clone(),
            initial,
            question,
            is_stream_known: false,
            behind: 0,
            owes_signal: false,
            is_cleared: is_cleared.clone(),
            _on_cleared: on_cleared.clone(),
            ignore_deletes: options.ignore_deletes,
            on_update,
        };
        let reader = Reader::start(&self.api, config, move |state, reader, event| {
            watch.handle_event(state, reader, event)
        });
        let notified = reader.clone();
        let told = self.on_cleared(move |state| {
            is_cleared.set(true);
            notified.again(state)
        });
        // there is none before this one
        let _ = on_cleared.set(told);
        if needs_leader {
            asking.ask(&reader);
        }
        Some(reader)
    }

    fn reader_config(&self, patterns: &[&str], options: &WatchOptions) -> OrderedConfig {
        let filters = uncovered(patterns);
        let subject = |pattern: &&str| format!("{}{pattern}", self.subjects);
        OrderedConfig {
            stream: self.stream.clone(),
            name_prefix: format!("evnats_{:016x}", self.api.port().random()),
            filter_subjects: filters.iter().map(subject).collect(),
            deliver_policy: match options.start {
                Start::LastPerKey => DeliverPolicy::LastPerSubject,
                Start::History => DeliverPolicy::All,
                Start::Updates => DeliverPolicy::New,
                Start::Revision(revision) => DeliverPolicy::ByStartSequence(revision.max(1)),
            },
            headers_only: options.meta_only,
            idle_heartbeat: options.heartbeat,
            ..OrderedConfig::default()
        }
    }

    /// Returns `None` for a message whose subject is not one of this bucket's keys.
    fn watched_entry(&self, message: &Message, delivery: &DeliveryInfo<'_>) -> Option<Entry> {
        if !message.subject_bytes().starts_with(self.subjects.as_bytes()) {
            return None;
        }
        let operation = Operation::of(message.headers());
        self.note_revision(delivery.stream_sequence);
        let stored = StoredMessage::copy_of(StoredParts {
            sequence: delivery.stream_sequence,
            subject: message.subject_bytes(),
            payload: message.payload(),
            ..StoredParts::default()
        });
        let entry = Entry::read(&self.name, &self.subjects, stored, operation);
        Some(entry.delivered(delivery.pending, delivery.timestamp()))
    }
}

/// After so many replicas that lag behind, one after the other, the user is told.
const LAGGING_REPLICAS: u32 = 2;

/// What turns the events of a reader into updates.
struct Watch<C> {
    bucket: Rc<Bucket>,
    initial: Initial,
    question: Rc<Question>,
    /// The stream is one whose subjects are the bucket's, as far as that can be known.
    is_stream_known: bool,
    /// How often the consumer was left because its replica lagged behind.
    behind: u32,
    /// The signal is due. The user's callback for the entry before it may panic or return an error;
    /// then the signal comes in the next turn.
    owes_signal: bool,
    /// The bucket was emptied, and that is to be told.
    is_cleared: Rc<Cell<bool>>,
    /// Keeps this watch among those that are told of that.
    _on_cleared: Rc<OnceCell<Rc<OnCleared>>>,
    ignore_deletes: bool,
    on_update: C,
}

impl<C: FnMut(&mut State, Option<&Reader>, Update) -> Ran> Watch<C> {
    fn handle_event(&mut self, state: &mut State, reader: &Reader, event: ReaderEvent<'_>) -> Ran {
        let mut entry = None;
        let step = match event {
            ReaderEvent::Message(message, delivery) => {
                entry = self.bucket.watched_entry(message, &delivery);
                let key = match &entry {
                    Some(entry) => entry.key_bytes(),
                    None => message.subject_bytes(),
                };
                self.initial.handle_message(key, delivery.stream_sequence, delivery.pending)
            }
            ReaderEvent::Created { initial, received } => {
                self.initial.handle_created(initial, received)
            }
            ReaderEvent::Idle => self.initial.handle_idle(),
            ReaderEvent::Stalled(stall) => {
                return (self.on_update)(state, Some(reader), Update::Stalled(stall));
            }
            ReaderEvent::Resumed => {
                return (self.on_update)(state, Some(reader), Update::Resumed);
            }
            ReaderEvent::Again if self.is_cleared.take() => {
                return (self.on_update)(state, Some(reader), Update::Cleared);
            }
            ReaderEvent::Again => match self.question.take_answer() {
                None => Step::Wait,
                Some(Ok(last)) => {
                    let step = self.initial.handle_leader(last);
                    if self.initial.is_behind() {
                        return self.leave_replica(state, reader);
                    }
                    step
                }
                // whoever reads is told of a client that is over, and asks again after the rest
                Some(Err(error)) if error.is_temporary() || error.is_closed() => {
                    self.initial.handle_unanswered();
                    Step::Wait
                }
                Some(Err(error)) => return self.end(state, reader, error),
            },
            ReaderEvent::Stream(info) => {
                if let Err(error) = info.map_or(Ok(()), |info| self.bucket.note_stream(info)) {
                    return self.end(state, reader, error);
                }
                self.is_stream_known = true;
                Step::Wait
            }
            ReaderEvent::Failed(error) => {
                let error = self.bucket.error(error);
                return (self.on_update)(state, Some(reader), Update::Ended(error));
            }
        };
        match step {
            Step::Wait => {}
            Step::Ask => self.question.ask(reader),
            Step::Done => {
                self.owes_signal = true;
                reader.call_again();
            }
        }
        let is_shown = |entry: &Entry| {
            let is_left_out = self.ignore_deletes && entry.operation().is_tombstone();
            !is_left_out && !is_reserved(entry.key_bytes())
        };
        if let Some(entry) = entry.filter(is_shown) {
            (self.on_update)(state, Some(reader), Update::Entry(entry))?;
        }
        if !self.is_stream_known || !self.owes_signal || reader.is_stopped() {
            return Ok(());
        }
        if std::mem::take(&mut self.behind) >= LAGGING_REPLICAS {
            (self.on_update)(state, Some(reader), Update::Resumed)?;
        }
        self.owes_signal = false;
        (self.on_update)(state, Some(reader), Update::Initialized)
    }

    /// A consumer that is idle, and behind what the leader knows, is on a replica that lags: the next
    /// one may be on another.
    fn leave_replica(&mut self, state: &mut State, reader: &Reader) -> Ran {
        log::info!("a replica of {} lags behind, trying another", self.bucket.stream);
        reader.restart();
        self.behind += 1;
        match self.behind == LAGGING_REPLICAS {
            true => (self.on_update)(state, Some(reader), Update::Stalled(Stall::LagsBehind)),
            false => Ok(()),
        }
    }

    fn end(&mut self, state: &mut State, reader: &Reader, error: Error) -> Ran {
        reader.stop();
        (self.on_update)(state, Some(reader), Update::Ended(error))
    }
}

/// The question to the leader: which revision is the last one of those that are watched? There is a
/// request for each pattern.
struct Question {
    bucket: Rc<Bucket>,
    filters: Vec<String>,
    start: Start,
    /// Requests under way.
    pending: Cell<usize>,
    answer: Cell<Option<Result<u64, Error>>>,
}

impl Question {
    fn new(bucket: &Rc<Bucket>, filters: &[String], start: Start) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            filters: filters.to_vec(),
            start,
            pending: Cell::new(0),
            answer: Cell::new(None),
        })
    }

    /// Asks, unless that is under way. The reader's callback runs with [`ReaderEvent::Again`] when
    /// there is an answer.
    fn ask(self: &Rc<Self>, reader: &Reader) {
        if self.pending.get() > 0 {
            return;
        }
        self.pending.set(self.filters.len());
        self.answer.set(None);
        for filter in &self.filters {
            let (question, reader) = (self.clone(), reader.clone());
            let query = MessageQuery::LastBySubject(filter);
            let request = ApiRequest::stored_message(&self.bucket.stream, query);
            let on_stored = move |state: &mut State, stored: Result<StoredMessage, _>| {
                question.note(stored.map(|stored| stored.sequence()));
                match question.pending.get() {
                    0 => reader.again(state),
                    _ => Ok(()),
                }
            };
            self.bucket.api.read(request, Box::new(on_stored));
        }
    }

    /// Keeps the latest of the answers, or what is wrong with one.
    fn note(&self, last: Result<u64, jetstream::Error>) {
        self.pending.set(self.pending.get() - 1);
        let last = match last {
            Err(error) if is_no_message(&error) => Ok(0),
            Err(error) => Err(self.bucket.error(error)),
            // what was before the revision to begin with does not come
            Ok(last) if matches!(self.start, Start::Revision(first) if last < first) => Ok(0),
            Ok(last) => Ok(last),
        };
        self.answer.set(Some(match (self.answer.take(), last) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (before, Ok(last)) => Ok(before.and_then(Result::ok).unwrap_or(0).max(last)),
        }));
    }

    fn take_answer(&self) -> Option<Result<u64, Error>> {
        match self.pending.get() {
            0 => self.answer.take(),
            _ => None,
        }
    }
}
