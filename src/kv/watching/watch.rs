//! Watching a bucket: what is there, the signal that it was all, and then every change.
//!
//! What is of every watch is the [`Course`]'s. Here is what is of Key-Value: entries, the batches that they
//! may be part of, fences, and what this client itself does to the bucket.

use crate::callback::{Handler, Outcome, Ran, State, lend};
use crate::event_loop::timers_on;
use crate::jetstream::watching::{self, Asked, Course, Initial, Question, Step, key_hashes};
use crate::jetstream::{
    self, Api, DeliverPolicy, DeliveryNumbers, OrderedConfig, Reader, ReaderEvent, StoredMessage,
    StoredParts, StreamInfo,
};
use crate::kv::bucket::Bucket;
use crate::kv::entry::{Entry, Operation, says_nothing};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::name;
use crate::kv::name::{FENCE_KEY, is_reserved};
use crate::kv::patterns::uncovered;
use crate::kv::purging::cleared::OnCleared;
use crate::kv::reading::reads::Reads;
use crate::kv::watching::options::{Start, WatchOptions};
use crate::kv::watching::update::{OnUpdate, Update, WatchState, Watching};
use crate::kv::watching::whole_batches::{BatchMark, Released, WholeBatches};
use evnats_protocol::Message;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;

/// A watch. A cheap handle: dropping it does not stop the watch.
pub struct Watcher<S: 'static = ()> {
    kv: KeyValue<S>,
    watching: Rc<Watching>,
}

impl<S: 'static> Watcher<S> {
    /// Ends the watch: its callback does not run again. Its consumer is deleted, over the next connection
    /// if there is none.
    pub fn stop(&self) {
        self.watching.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.watching.is_active()
    }

    /// What the watch is at.
    #[must_use]
    pub fn state(&self) -> WatchState {
        self.watching.state()
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
        Self { kv: self.kv.clone(), watching: self.watching.clone() }
    }
}

impl<S> fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("bucket", &self.kv).field("state", &self.state()).finish()
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
        let on_update = move |state: &mut State, watching: &Rc<Watching>, update: Update| {
            let watcher = Watcher { kv: kv.clone(), watching: watching.clone() };
            callback(lend(state), &watcher, update).into_ran()
        };
        let watching =
            self.shared_bucket().watch(patterns, self.reads(), options, Box::new(on_update));
        Watcher { kv: self.clone(), watching }
    }
}

impl Bucket {
    /// Watches, or reports in the next turn why it cannot.
    pub(crate) fn watch(
        self: &Rc<Self>,
        patterns: &[&str],
        reads: Reads,
        options: WatchOptions,
        on_update: OnUpdate,
    ) -> Rc<Watching> {
        let is_fenced = self.check_patterns(patterns).and_then(|()| self.is_watch_fenced(reads));
        let is_fenced = match is_fenced {
            Ok(is_fenced) => is_fenced,
            Err(error) => return self.refuse_watch(error, on_update),
        };
        let watching = Watching::new(self.api.port(), on_update);
        let needs_answer = reads != Reads::Replica && options.start != Start::Updates;
        let fence = (needs_answer && is_fenced).then_some(FENCE_KEY);
        let patterns: Vec<&str> = patterns.iter().copied().chain(fence).collect();
        let config = self.reader_config(&patterns, &options);
        let mut initial = Initial::new(options.start.counts(), key_hashes(self.api.port()));
        if is_fenced {
            initial.set_up_to_fence();
        }
        if reads == Reads::Replica {
            initial.handle_leader(0);
        }
        let question = match is_fenced {
            true => Question::new(self, self.fence_question()),
            false => {
                let (filters, first) = (config.filter_subjects.clone(), options.start.first());
                Question::new(self, Asked::Leader { filters, first })
            }
        };
        let (is_cleared, on_cleared) = (Rc::new(Cell::new(false)), Rc::new(OnceCell::new()));
        let mut watch = Watch {
            bucket: self.clone(),
            course: Course::new(self, initial, &question, &watching),
            is_cleared: is_cleared.clone(),
            _on_cleared: on_cleared.clone(),
            ignore_deletes: options.ignore_deletes,
            batches: options.whole_batches.then(WholeBatches::default),
        };
        let reader = Reader::start(&self.api, config, move |state, reader, event| {
            watch.handle_event(state, reader, event)
        });
        let notified = reader.downgrade();
        let told = self.on_cleared(move |state| {
            is_cleared.set(true);
            notified.upgrade().map_or(Ok(()), |reader| reader.again(state))
        });
        // there is none before this one
        let _ = on_cleared.set(told);
        if needs_answer {
            question.ask(&reader);
        }
        watching.set_reader(&reader);
        watching
    }

    /// A watch that cannot begin, which is reported in the next turn.
    pub(in crate::kv) fn refuse_watch(&self, error: Error, on_update: OnUpdate) -> Rc<Watching> {
        Watching::refused(self.api.port(), on_update, Update::Ended(error))
    }

    /// Whether it is a fence that tells what the last revision is that a watch has to have come to, and
    /// not the leader.
    fn is_watch_fenced(&self, reads: Reads) -> Result<bool, Error> {
        match reads {
            Reads::Linearizable => self.check_fence().map(|()| true),
            Reads::Verified => Ok(self.check_fence().is_ok()),
            Reads::Leader | Reads::Replica => Ok(false),
        }
    }

    fn fence_question(self: &Rc<Self>) -> Asked<Error> {
        let bucket = self.clone();
        Asked::Other(Box::new(move |answer| bucket.fence(answer)))
    }

    pub(in crate::kv) fn check_patterns(&self, patterns: &[&str]) -> Result<(), Error> {
        self.check()?;
        if patterns.is_empty() {
            return Err(Error::NoPatterns);
        }
        patterns.iter().try_for_each(|pattern| name::check_pattern(pattern))
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

    /// Reads a message on the subject of one of this bucket's keys.
    fn watched_entry(&self, message: &Message, delivery: &DeliveryNumbers) -> Entry {
        let headers = Some(message.headers()).filter(|headers| !says_nothing(*headers));
        let operation = headers.map_or(Operation::Put, Operation::of);
        self.note_revision(delivery.stream_sequence);
        let stored = StoredMessage::copy_of(StoredParts {
            sequence: delivery.stream_sequence,
            subject: message.subject_bytes(),
            payload: message.payload(),
            ..StoredParts::default()
        });
        let entry = Entry::read(&self.name, &self.subjects, stored, operation);
        let entry = entry.delivered(delivery.pending, delivery.timestamp());
        match headers {
            None => entry,
            Some(headers) => entry.living_for(headers),
        }
    }
}

impl watching::Watched for Bucket {
    type Error = Error;
    type Update = Update;

    fn api(&self) -> &Api {
        &self.api
    }

    fn stream(&self) -> &str {
        &self.stream
    }

    fn error(&self, error: jetstream::Error) -> Error {
        self.error(error)
    }

    fn is_unanswered(error: &Error) -> bool {
        error.is_temporary() || error.is_closed()
    }

    fn note_stream(&self, info: &StreamInfo) -> Result<(), Error> {
        self.note_stream(info)
    }
}

/// What turns the events of a reader into updates.
struct Watch {
    bucket: Rc<Bucket>,
    course: Course<Bucket>,
    /// The bucket was emptied, and that is to be told.
    is_cleared: Rc<Cell<bool>>,
    /// Keeps this watch among those that are told of that.
    _on_cleared: Rc<OnceCell<Rc<OnCleared>>>,
    ignore_deletes: bool,
    /// What puts batches together, if that is asked for.
    batches: Option<WholeBatches<Entry>>,
}

impl Watch {
    fn handle_event(&mut self, state: &mut State, reader: &Reader, event: ReaderEvent<'_>) -> Ran {
        let step = match event {
            ReaderEvent::Message(message, delivery) => {
                let (entry, step) = self.read(message, &delivery);
                match entry {
                    Some(entry) if self.batches.is_none() && self.course.is_alone(step) => {
                        return self.watching().report_update(state, Update::Entry(entry));
                    }
                    entry => self.note_entry(message, delivery.pending, entry),
                }
                Ok(step)
            }
            ReaderEvent::Idle => {
                self.release_batch();
                self.course.handle_event(reader, event)
            }
            ReaderEvent::Again if self.is_cleared.take() => {
                self.release_batch();
                self.watching().note(Update::Cleared);
                Ok(Step::Wait)
            }
            event => self.course.handle_event(reader, event),
        };
        match step {
            Ok(step) => self.course.handle_step(step, reader),
            Err(error) => {
                self.release_batch();
                self.course.end(reader, error);
            }
        }
        self.note_signal();
        self.watching().report(state)
    }

    fn watching(&self) -> &Rc<Watching> {
        self.course.watching()
    }

    /// Returns what a message shows, if it shows something, and what it means to the signal.
    fn read(&mut self, message: &Message, delivery: &DeliveryNumbers) -> (Option<Entry>, Step) {
        let subject = message.subject_bytes();
        let key = subject.strip_prefix(self.bucket.subjects.as_bytes());
        let step = self.course.handle_message(key.unwrap_or(subject), delivery);
        let entry = key.map(|_| self.bucket.watched_entry(message, delivery));
        let is_shown = |entry: &Entry| {
            let is_left_out = self.ignore_deletes && entry.operation().is_tombstone();
            !is_left_out && !is_reserved(entry.key_bytes())
        };
        (entry.filter(is_shown), step)
    }

    /// Notes what a message shows, or what it was part of.
    fn note_entry(&mut self, message: &Message, pending: u64, entry: Option<Entry>) {
        if entry.is_none() && pending == 0 {
            self.watching().note_caught_up();
        }
        let Some(batches) = &mut self.batches else {
            entry.into_iter().for_each(|entry| self.watching().note(Update::Entry(entry)));
            return;
        };
        let mark = BatchMark::of(message.headers());
        let before = batches.handle_next(mark);
        self.note_released(before);
        // the signal belongs behind what was held when it became due, and before what comes now
        self.note_signal();
        let len = message.payload().len();
        let released =
            self.batches.as_mut().and_then(|batches| batches.handle_item(mark, entry, len));
        self.note_released(released);
    }

    fn release_batch(&mut self) {
        let released = self.batches.as_mut().and_then(WholeBatches::release);
        self.note_released(released);
    }

    fn note_released(&self, released: Option<Released<Entry>>) {
        match released {
            Some(Released::One(entry)) => self.watching().note(Update::Entry(entry)),
            Some(Released::Batch(entries)) => self.watching().note(Update::Batch(entries)),
            None => {}
        }
    }

    fn note_signal(&mut self) {
        if !self.batches.as_ref().is_some_and(WholeBatches::is_holding) {
            self.course.note_signal();
        }
    }
}
