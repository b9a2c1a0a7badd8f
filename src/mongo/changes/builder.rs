//! The way to make a watcher.

use crate::callback::{Answer, Callback, CallbackSlot, Outcome, lend};
use crate::error::Error as AnyError;
use crate::kv::{ElectionOptions, KeyValue};
use crate::mongo::changes::ack::Ack;
use crate::mongo::changes::candidature::Candidature;
use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::handle::ChangeStreamWatcher;
use crate::mongo::changes::options::ChangeStream;
use crate::mongo::changes::resnapshot::Resnapshot;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::store::{Erased, ResumeStore, Store};
use crate::mongo::changes::watch::{Destination, OnHistoryLost, OnState, Step, Watch, Work};
use crate::mongo::handle::Mongo;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A watcher to be, made by [`Mongo::watch`].
#[must_use = "nothing is watched before `start`"]
pub struct WatchBuilder<S: 'static = ()> {
    mongo: Mongo<S>,
    stream: ChangeStream,
    store: Option<Box<dyn Store>>,
    destination: Option<Rc<dyn Destination>>,
    chain: Vec<CallbackSlot<Step>>,
    on_state: CallbackSlot<OnState>,
    on_history_lost: CallbackSlot<OnHistoryLost>,
    candidature: Option<Candidature<S>>,
}

impl<S: 'static> Mongo<S> {
    /// Watches a change stream. Changes go through the dispatch functions that are added, in their order,
    /// and the position behind a change is saved when all of them are done with it and with all before it:
    /// no change is left out, and after a crash some come again.
    ///
    /// ```no_run
    /// use evnats::EventLoop;
    /// use evnats::mongo::{ChangeStream, KvResumeStore};
    ///
    /// let event_loop = EventLoop::<u64>::new()?;
    /// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
    /// let positions = nats.jetstream().key_value("positions");
    /// mongo
    ///     .watch(ChangeStream::on("shop", "orders"))
    ///     .resume(KvResumeStore::new(&positions, "orders"))
    ///     .dispatch(|seen: &mut u64, _, event, _| {
    ///         println!("{}", event.to_json());
    ///         *seen += 1;
    ///         Ok(())
    ///     })
    ///     .start(|_, _, reason| println!("{reason:?}"));
    /// event_loop.run(&mut 0)?;
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn watch(&self, stream: ChangeStream) -> WatchBuilder<S> {
        WatchBuilder {
            mongo: self.clone(),
            stream,
            store: None,
            destination: None,
            chain: Vec::new(),
            on_state: CallbackSlot::default(),
            on_history_lost: CallbackSlot::default(),
            candidature: None,
        }
    }
}

impl<S: 'static> WatchBuilder<S> {
    /// Keeps the position in a store. Without one, the watcher begins with what happens from now on, or
    /// where the [`ChangeStream`] says, and forgets its position when it stops.
    pub fn resume(mut self, store: impl ResumeStore<S>) -> Self {
        self.store = Some(Box::new(Erased::new(store)));
        self
    }

    /// Adds a dispatch function. It is given the change, and what a function before it has failed with. If
    /// it fails, so does the change, whatever the functions behind it return, and the watcher
    /// [stops](StopReason::Dispatch), or [tries again](ChangeStream::retry_dispatch).
    pub fn dispatch(
        mut self,
        mut function: impl FnMut(
            &mut S,
            &ChangeStreamWatcher<S>,
            &ChangeEvent,
            Option<&AnyError>,
        ) -> Result<(), AnyError>
        + 'static,
    ) -> Self {
        let handle = self.handles();
        self.chain.push(CallbackSlot::new(Box::new(move |state, watch, delivery| {
            // should the function panic, the change has failed
            let ack = Ack::new(watch, delivery);
            let outcome = function(lend(state), &handle(watch), ack.event(), ack.error());
            Ok(ack.take().map(|delivery| delivery.passed(outcome)))
        })));
        self
    }

    /// Adds a dispatch function that may answer later, such as when what it has published is acknowledged.
    /// Changes behind it come meanwhile, as many as the [credit](ChangeStream::credit) allows.
    pub fn dispatch_later<R: Outcome>(
        mut self,
        mut function: impl FnMut(&mut S, &ChangeStreamWatcher<S>, Ack) -> R + 'static,
    ) -> Self {
        let handle = self.handles();
        self.chain.push(CallbackSlot::new(Box::new(move |state, watch, delivery| {
            let ack = Ack::new(watch, delivery);
            function(lend(state), &handle(watch), ack).into_ran()?;
            Ok(None)
        })));
        self
    }

    /// Has changes go to a place that has a position of its own.
    pub(in crate::mongo) fn deliver_to<D: Destination + 'static>(
        mut self,
        destination: Rc<D>,
        take: impl Fn(&Rc<D>, Ack) + 'static,
    ) -> Self {
        self.destination = Some(destination.clone());
        self.chain.push(CallbackSlot::new(Box::new(move |_, watch, delivery| {
            take(&destination, Ack::new(watch, delivery));
            Ok(None)
        })));
        self
    }

    /// Has a callback told whenever the watcher is doing something else.
    pub fn on_state<R: Outcome>(
        self,
        mut callback: impl FnMut(&mut S, &ChangeStreamWatcher<S>, WatchState) -> R + 'static,
    ) -> Self {
        let handle = self.handles();
        self.on_state.replace(Box::new(move |state, watch, news| {
            callback(lend(state), &handle(watch), news).into_ran()
        }));
        self
    }

    /// Has a callback asked to read what is watched anew when the server has forgotten the position, which
    /// [`HistoryLost::Resnapshot`](super::HistoryLost::Resnapshot) is for. The answer may come later; changes
    /// come again when it has, beginning behind the [time](Resnapshot::operation_time) that was noted before,
    /// so that there is no gap.
    pub fn on_history_lost<R: Outcome>(
        self,
        mut callback: impl FnMut(&mut S, &ChangeStreamWatcher<S>, Resnapshot) -> R + 'static,
    ) -> Self {
        let handle = self.handles();
        self.on_history_lost.replace(Box::new(move |state, watch, lost| {
            callback(lend(state), &handle(watch), Resnapshot::new(watch, lost)).into_ran()
        }));
        self
    }

    /// Has the watcher watch only while it leads in an [election](KeyValue::election) that is held in a key
    /// of a bucket: of several instances that share a position, the others stand by
    /// ([`WatchState::Standby`]), and one of them takes over when the one that leads stops, or about a
    /// [`ttl`](ElectionOptions::ttl) after it was last heard of.
    ///
    /// A watcher that leads reads the position, and opens the stream. When it leads no longer, it gives out
    /// nothing more, saves nothing, and stands by again. Answers to what it has given out do not count then:
    /// whoever leads now gives it out, too. It is the compare-and-set of the store that keeps one from saving
    /// over another's position, also if it was suspended meanwhile.
    pub fn lease(
        mut self,
        bucket: &KeyValue<S>,
        key: impl Into<String>,
        options: ElectionOptions,
    ) -> Self {
        self.candidature = Some(Candidature { bucket: bucket.clone(), key: key.into(), options });
        self
    }

    /// The same, with a stream that is adjusted.
    pub(in crate::mongo) fn adjust(
        mut self,
        adjust: impl FnOnce(ChangeStream) -> ChangeStream,
    ) -> Self {
        self.stream = adjust(self.stream);
        self
    }

    /// Starts. The callback runs once, when the watcher has stopped.
    pub fn start(
        self,
        callback: impl Callback<S, ChangeStreamWatcher<S>, StopReason>,
    ) -> ChangeStreamWatcher<S> {
        let handle = self.handles();
        let work = Work { beginning: self.stream.start.clone(), ..Work::default() };
        let watch = Rc::new(Watch {
            bridge: self.mongo.bridge().clone(),
            stream: self.stream,
            store: self.store,
            destination: self.destination,
            chain: self.chain,
            on_state: self.on_state,
            on_history_lost: self.on_history_lost,
            lease: RefCell::default(),
            work: RefCell::new(work),
        });
        let weak = Rc::downgrade(&watch);
        // held by the watcher itself, which would never be dropped otherwise
        let on_stop: Answer<StopReason> = Box::new(move |state, reason| match weak.upgrade() {
            Some(watch) => callback(lend(state), &handle(&watch), reason).into_ran(),
            None => Ok(()),
        });
        watch.work.borrow_mut().on_stop = Some(on_stop);
        watch.bridge.take_in(watch.clone());
        match self.candidature {
            Some(candidature) => candidature.begin(&watch),
            None => watch.load(),
        }
        ChangeStreamWatcher::new(&self.mongo, &watch)
    }

    /// What makes the handle that callbacks are given.
    fn handles(&self) -> impl Fn(&Rc<Watch>) -> ChangeStreamWatcher<S> + 'static {
        let mongo = self.mongo.clone();
        move |watch| ChangeStreamWatcher::new(&mongo, watch)
    }
}

impl<S> fmt::Debug for WatchBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder").field("stream", &self.stream).finish_non_exhaustive()
    }
}
