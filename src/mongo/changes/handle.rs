//! The handle of a watcher, and the way to make one.

use crate::callback::{Answer, Callback, CallbackSlot, Outcome, State, handed, lend};
use crate::error::Error as AnyError;
use crate::event_loop::timers_on;
use crate::kv::{ElectionOptions, KeyValue};
use crate::mongo::changes::ack::Ack;
use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::lease::Lease;
use crate::mongo::changes::metrics::WatchMetrics;
use crate::mongo::changes::options::ChangeStream;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::resnapshot::Resnapshot;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::store::{Erased, ResumeStore, Store};
use crate::mongo::changes::watch::{Destination, OnHistoryLost, OnState, Phase, Step, Watch, Work};
use crate::mongo::handle::Mongo;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A change stream that is watched. A cheap handle; dropping it does not [stop](Self::stop) the watcher,
/// which keeps [`run`](crate::EventLoop::run) going until it has stopped.
pub struct ChangeStreamWatcher<S: 'static = ()> {
    mongo: Mongo<S>,
    watch: Rc<Watch>,
}

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

/// What a watcher stands for an election with.
struct Candidature<S: 'static> {
    bucket: KeyValue<S>,
    key: String,
    options: ElectionOptions,
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
        let mongo = self.mongo.clone();
        self.chain.push(CallbackSlot::new(Box::new(move |state, watch, delivery| {
            let watcher = ChangeStreamWatcher { mongo: mongo.clone(), watch: watch.clone() };
            // should the function panic, the change has failed
            let ack = Ack::new(watch, delivery);
            let outcome = function(lend(state), &watcher, ack.event(), ack.error());
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
        let mongo = self.mongo.clone();
        self.chain.push(CallbackSlot::new(Box::new(move |state, watch, delivery| {
            let watcher = ChangeStreamWatcher { mongo: mongo.clone(), watch: watch.clone() };
            let ack = Ack::new(watch, delivery);
            function(lend(state), &watcher, ack).into_ran()?;
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
        let mongo = self.mongo.clone();
        self.on_state.replace(Box::new(move |state, watch, news| {
            let watcher = ChangeStreamWatcher { mongo: mongo.clone(), watch: watch.clone() };
            callback(lend(state), &watcher, news).into_ran()
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
        let mongo = self.mongo.clone();
        self.on_history_lost.replace(Box::new(move |state, watch, lost| {
            let watcher = ChangeStreamWatcher { mongo: mongo.clone(), watch: watch.clone() };
            callback(lend(state), &watcher, Resnapshot::new(watch, lost)).into_ran()
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
        let watcher = ChangeStreamWatcher { mongo: self.mongo, watch };
        let (mongo, weak) = (watcher.mongo.clone(), Rc::downgrade(&watcher.watch));
        // held by the watcher itself, which would never be dropped otherwise
        let on_stop: Answer<StopReason> =
            Box::new(move |state: &mut State, reason| match weak.upgrade() {
                Some(watch) => {
                    callback(lend(state), &ChangeStreamWatcher { mongo, watch }, reason).into_ran()
                }
                None => Ok(()),
            });
        watcher.watch.work.borrow_mut().on_stop = Some(on_stop);
        watcher.watch.bridge.take_in(watcher.watch.clone());
        match self.candidature {
            Some(candidature) => candidature.begin(&watcher.watch),
            None => watcher.watch.load(),
        }
        watcher
    }
}

impl<S: 'static> Candidature<S> {
    fn begin(self, watch: &Rc<Watch>) {
        watch.enter(Phase::Standby);
        let told = watch.clone();
        let stand_by = move |state: &mut State, ()| told.tell_standby(state);
        watch.bridge.defer(Box::new(stand_by), ());
        let told = watch.clone();
        let election =
            self.bucket.election(&self.key, self.options, move |state: &mut S, _, event| {
                told.handle_election(state, event).map_err(|error| *error)
            });
        let (leading, resigning) = (election.clone(), election);
        watch.lease.replace(Some(Lease {
            is_leading: Box::new(move || leading.is_leading()),
            resign: Box::new(move |answer| resigning.stop(handed(answer))),
        }));
    }
}

impl<S: 'static> ChangeStreamWatcher<S> {
    /// Stops: no change comes any more, those that were given out have five seconds to be answered, and the
    /// position is saved. A watcher that has stopped stays so.
    pub fn stop(&self) {
        self.watch.stop_soon();
    }

    /// Whether the watcher is to stop, or has.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.watch.is_ending()
    }

    /// Everything up to here is done. It may not be saved yet. In
    /// [`SeedOrder`](super::CommitMode::SeedOrder), the position that a watcher starts with is that of the
    /// change that comes again.
    #[must_use]
    pub fn position(&self) -> Option<ResumePoint> {
        self.watch.work.borrow().position.clone()
    }

    /// What the watcher has done so far, and what it has at hand.
    #[must_use]
    pub fn metrics(&self) -> WatchMetrics {
        self.watch.metrics()
    }

    /// The connection to MongoDB.
    #[must_use]
    pub fn mongo(&self) -> &Mongo<S> {
        &self.mongo
    }
}

timers_on!(ChangeStreamWatcher, |watcher| watcher.watch.bridge.event_loop());

impl<S> Clone for ChangeStreamWatcher<S> {
    fn clone(&self) -> Self {
        Self { mongo: self.mongo.clone(), watch: self.watch.clone() }
    }
}

impl<S> fmt::Debug for ChangeStreamWatcher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeStreamWatcher").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for WatchBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder").field("stream", &self.stream).finish_non_exhaustive()
    }
}
