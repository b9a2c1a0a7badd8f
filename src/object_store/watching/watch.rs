//! Watching a bucket: what is known of its objects, the signal that it was all, and then every change.
//!
//! What is of every watch is the [`Course`]'s. Here is what is of objects: what is known of them, and
//! what of that cannot be read, which neither ends a watch nor keeps the signal back.

use crate::callback::{Handler, Outcome, Ran, State, lend};
use crate::event_loop::timers_on;
use crate::jetstream::watching::{self, Asked, Course, Initial, Question, key_hashes};
use crate::jetstream::{
    self, Api, DeliveryNumbers, OrderedConfig, Reader, ReaderEvent, StreamInfo,
};
use crate::object_store::buckets::status::check_stream;
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::ObjectInfo;
use crate::object_store::listing::sieve::Sieve;
use crate::object_store::store::Store;
use crate::object_store::watching::options::{Start, WatchOptions};
use crate::object_store::watching::unreadable::Unreadable;
use crate::object_store::watching::update::{OnUpdate, Update, WatchState, Watching};
use evnats_protocol::Message;
use std::fmt;
use std::rc::Rc;

/// A watch. A cheap handle: dropping it does not stop the watch.
pub struct Watcher<S: 'static = ()> {
    store: ObjectStore<S>,
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
    pub fn bucket(&self) -> &ObjectStore<S> {
        &self.store
    }
}

timers_on!(Watcher, |watcher| watcher.store.client().port().event_loop());

impl<S> Clone for Watcher<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), watching: self.watching.clone() }
    }
}

impl<S> fmt::Debug for Watcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("bucket", &self.store)
            .field("state", &self.watching.state())
            .finish()
    }
}

impl<S: 'static> ObjectStore<S> {
    /// Watches the bucket's objects: what is known of each, and then every change. Objects themselves
    /// are not transferred.
    ///
    /// The callback runs for every [`Update`], until the watch ends or is stopped. What is replaced
    /// before its turn is not seen. An object that gets another name shows under its new one; that there
    /// is none of the old name any more leaves no message, and is not shown.
    #[doc(alias = "Watch")]
    pub fn watch(
        &self,
        options: WatchOptions,
        mut callback: impl Handler<S, Watcher<S>, Update>,
    ) -> Watcher<S> {
        let store = self.clone();
        let on_update = move |state: &mut State, watching: &Rc<Watching>, update: Update| {
            let watcher = Watcher { store: store.clone(), watching: watching.clone() };
            callback(lend(state), &watcher, update).into_ran()
        };
        let watching = self.store().watch(options, None, Box::new(on_update));
        Watcher { store: self.clone(), watching }
    }
}

impl Store {
    /// Watches, or reports in the next turn why it cannot. With a sieve, shows what passes it.
    pub(in crate::object_store) fn watch(
        self: &Rc<Self>,
        options: WatchOptions,
        sieve: Option<Sieve>,
        on_update: OnUpdate,
    ) -> Rc<Watching> {
        let port = self.api.port();
        if let Err(error) = self.check() {
            return Watching::refused(port, on_update, Update::Ended(error));
        }
        let watching = Watching::new(port, on_update);
        let prefix = self.meta_prefix();
        let filters = vec![format!("{prefix}>")];
        let initial = Initial::new(options.start.counts(), key_hashes(port));
        let question = Question::new(self, Asked::Leader { filters: filters.clone(), first: 0 });
        let config = OrderedConfig {
            stream: self.stream.clone(),
            name_prefix: format!("evnats_{:016x}", port.random()),
            filter_subjects: filters,
            deliver_policy: options.start.policy(),
            idle_heartbeat: options.heartbeat,
            ..OrderedConfig::default()
        };
        let mut watch = Watch {
            store: self.clone(),
            prefix,
            course: Course::new(self, initial, &question, &watching),
            sieve,
            ignore_deletes: options.ignore_deletes,
        };
        let reader = Reader::start(&self.api, config, move |state, reader, event| {
            watch.handle_event(state, reader, event)
        });
        if options.start != Start::Updates {
            question.ask(&reader);
        }
        watching.set_reader(&reader);
        watching
    }
}

impl watching::Watched for Store {
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
        check_stream(&self.bucket, &info.config)
    }
}

/// What turns the events of a reader into updates.
struct Watch {
    store: Rc<Store>,
    /// What the subjects of all metadata begin with.
    prefix: String,
    course: Course<Store>,
    /// What decides which messages are read.
    sieve: Option<Sieve>,
    ignore_deletes: bool,
}

impl Watch {
    fn handle_event(&mut self, state: &mut State, reader: &Reader, event: ReaderEvent<'_>) -> Ran {
        let step = match event {
            ReaderEvent::Message(message, delivery) => {
                let token = self.token(message);
                let step = self.course.handle_message(token, &delivery);
                let shown = self.read(message, token, &delivery);
                let watching = self.course.watching();
                match shown {
                    Some(update) if self.course.is_alone(step) => {
                        return watching.report_update(state, update);
                    }
                    shown => shown.into_iter().for_each(|update| watching.note(update)),
                }
                Ok(step)
            }
            event => self.course.handle_event(reader, event),
        };
        match step {
            Ok(step) => self.course.handle_step(step, reader),
            Err(error) => self.course.end(reader, error),
        }
        self.course.note_signal();
        self.course.watching().report(state)
    }

    /// What of a message's subject stands for an object's name.
    fn token<'a>(&self, message: &'a Message) -> &'a [u8] {
        let subject = message.subject_bytes();
        subject.strip_prefix(self.prefix.as_bytes()).unwrap_or(subject)
    }

    /// Returns what a message shows, if it is not left out.
    fn read(
        &mut self,
        message: &Message,
        token: &[u8],
        delivery: &DeliveryNumbers,
    ) -> Option<Update> {
        let (revision, time) = (delivery.stream_sequence, delivery.timestamp());
        if self.sieve.as_mut().is_some_and(|sieve| !sieve.passes(token, revision)) {
            return None;
        }
        match ObjectInfo::of_delivery(&self.store.bucket, message.payload(), revision, time) {
            Ok(info) if info.deleted && self.ignore_deletes => None,
            Ok(info) => Some(Update::Object(info)),
            Err(reason) => {
                let subject = message.subject_bytes();
                Some(Update::Unreadable(Unreadable::new(subject, token, revision, reason)))
            }
        }
    }
}
