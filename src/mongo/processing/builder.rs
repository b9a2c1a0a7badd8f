//! The way to a processor: a watcher whose changes go to a [`CollectionWatcher`], and which is started once,
//! or again and again.

use super::collection_watcher::CollectionWatcher;
use super::processor::DocumentProcessor;
use super::routing::route;
use super::start_error::StartError;
use crate::callback::{Callback, Handler, Outcome};
use crate::kv::{ElectionOptions, KeyValue};
use crate::mongo::changes::{
    Backoff, ChangeStream, ChangeStreamWatcher, Resnapshot, ResumeStore, StopReason, WatchBuilder,
    WatchState,
};
use crate::mongo::handle::Mongo;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

type Told<S, T> = Box<dyn FnMut(&mut S, &DocumentProcessor<S>, T) -> crate::error::Result<()>>;

/// A processor to be, made by [`Mongo::process`].
#[must_use = "nothing is processed before `start` or `start_with_retry`"]
pub struct ProcessorBuilder<S: 'static = ()> {
    watch: WatchBuilder<S>,
    skipped: Rc<Cell<u64>>,
    on_state: Option<Told<S, WatchState>>,
    on_start_err: Option<Told<S, StartError>>,
}

impl<S: 'static> Mongo<S> {
    /// Gives the documents of a collection to a [`CollectionWatcher`] as they change. Updates come with the
    /// whole document, as the server looks it up, unless the stream says otherwise.
    ///
    /// Changes behind one that is not answered come meanwhile, as many as the
    /// [credit](ChangeStream::credit) allows, and come again if that one fails. With a credit of one change,
    /// or in [`SeedOrder`](crate::mongo::CommitMode::SeedOrder), they come one after the other.
    ///
    /// ```no_run
    /// # use evnats::mongo::{Ack, CollectionWatcher};
    /// # struct Orders;
    /// # impl CollectionWatcher<()> for Orders {
    /// #     fn insert(&mut self, _: &mut (), _: &[u8], ack: Ack) { ack.ok(); }
    /// #     fn update(&mut self, _: &mut (), _: &[u8], ack: Ack) { ack.ok(); }
    /// #     fn delete(&mut self, _: &mut (), _: &[u8], ack: Ack) { ack.ok(); }
    /// # }
    /// use evnats::mongo::{Backoff, ChangeStream, MongoResumeStore};
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
    ///
    /// mongo
    ///     .process(ChangeStream::on("shop", "orders"), Orders)
    ///     .resume(MongoResumeStore::new(&mongo, "shop", "points", "orders"))
    ///     .on_start_err(|_, _, error| eprintln!("{error:?}"))
    ///     .start_with_retry(Backoff::new(), |_, _, reason| println!("{reason:?}"));
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn process(
        &self,
        stream: ChangeStream,
        mut watcher: impl CollectionWatcher<S>,
    ) -> ProcessorBuilder<S> {
        let skipped = Rc::new(Cell::new(0));
        let count = skipped.clone();
        let watch = self.watch(stream.looking_up()).dispatch_later(move |state, _, ack| {
            if let Some(ack) = route(&mut watcher, state, ack) {
                count.set(count.get() + 1);
                ack.ok();
            }
        });
        ProcessorBuilder { watch, skipped, on_state: None, on_start_err: None }
    }
}

impl<S: 'static> ProcessorBuilder<S> {
    /// Keeps the position in a store: [`WatchBuilder::resume`].
    pub fn resume(mut self, store: impl ResumeStore<S>) -> Self {
        self.watch = self.watch.resume(store);
        self
    }

    /// Processes only while this instance leads: [`WatchBuilder::lease`].
    pub fn lease(
        mut self,
        bucket: &KeyValue<S>,
        key: impl Into<String>,
        options: ElectionOptions,
    ) -> Self {
        self.watch = self.watch.lease(bucket, key, options);
        self
    }

    /// Has a callback read everything anew when changes were lost: [`WatchBuilder::on_history_lost`].
    pub fn on_history_lost<R: Outcome>(
        mut self,
        callback: impl FnMut(&mut S, &ChangeStreamWatcher<S>, Resnapshot) -> R + 'static,
    ) -> Self {
        self.watch = self.watch.on_history_lost(callback);
        self
    }

    /// Has a callback told each time that the processor cannot go on: before it tries again, when it was
    /// invalidated, and when it ends otherwise than by [`stop`](DocumentProcessor::stop).
    pub fn on_start_err(
        mut self,
        callback: impl Handler<S, DocumentProcessor<S>, StartError>,
    ) -> Self {
        self.on_start_err = Some(told(callback));
        self
    }

    /// Has a callback told whenever the watcher below is doing something else.
    pub fn on_state(mut self, callback: impl Handler<S, DocumentProcessor<S>, WatchState>) -> Self {
        self.on_state = Some(told(callback));
        self
    }

    /// Starts, and ends with the first failure, or with an invalidate
    /// ([`StopReason::Invalidated`]). The next processor with the same store goes on from there. The callback
    /// runs once.
    pub fn start(
        self,
        callback: impl Callback<S, DocumentProcessor<S>, StopReason>,
    ) -> DocumentProcessor<S> {
        self.run(|stream| stream.backoff(Backoff::none()).stop_at_invalidate(), callback)
    }

    /// Starts, and starts again after each failure that may pass, of the watcher's methods, too, with pauses
    /// that grow until there is progress. It goes on behind an invalidate at once. The callback runs once,
    /// when the processor was stopped, or when trying again would not help.
    pub fn start_with_retry(
        self,
        backoff: Backoff,
        callback: impl Callback<S, DocumentProcessor<S>, StopReason>,
    ) -> DocumentProcessor<S> {
        self.run(|stream| stream.backoff(backoff).retry_dispatch(), callback)
    }

    fn run(
        self,
        adjust: impl FnOnce(ChangeStream) -> ChangeStream,
        callback: impl Callback<S, DocumentProcessor<S>, StopReason>,
    ) -> DocumentProcessor<S> {
        let skipped = self.skipped.clone();
        let (mut on_state, mut on_start_err) = (self.on_state, self.on_start_err);
        let tell = move |state: &mut S, watcher: &ChangeStreamWatcher<S>, news: WatchState| {
            let (watcher, skipped) = (watcher.clone(), skipped.clone());
            let processor = DocumentProcessor { watcher, skipped };
            if let (Some(tell), Some(error)) = (&mut on_start_err, start_error(&news)) {
                tell(state, &processor, error)?;
            }
            on_state.as_mut().map_or(Ok(()), |tell| tell(state, &processor, news))
        };
        let skipped = self.skipped.clone();
        let stopped = move |state: &mut S, watcher: &ChangeStreamWatcher<S>, reason| {
            let (watcher, skipped) = (watcher.clone(), skipped.clone());
            callback(state, &DocumentProcessor { watcher, skipped }, reason)
                .into_ran()
                .map_err(|error| *error)
        };
        let watcher = self.watch.adjust(adjust).on_state(tell).start(stopped);
        DocumentProcessor { watcher, skipped: self.skipped }
    }
}

fn told<S: 'static, T: 'static>(
    mut callback: impl Handler<S, DocumentProcessor<S>, T>,
) -> Told<S, T> {
    Box::new(move |state, processor, news| {
        callback(state, processor, news).into_ran().map_err(|error| *error)
    })
}

fn start_error(news: &WatchState) -> Option<StartError> {
    match news {
        WatchState::Invalidated => Some(StartError::Invalidated),
        WatchState::Waiting { cause, failures, pause } => {
            let (cause, failures, pause) = (cause.clone(), *failures, *pause);
            Some(StartError::Failed { cause, failures, pause })
        }
        WatchState::Stopped(StopReason::Stopped | StopReason::Invalidated) => None,
        WatchState::Stopped(reason) => Some(StartError::Ended(reason.clone())),
        _ => None,
    }
}

impl<S> fmt::Debug for ProcessorBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessorBuilder").field("watch", &self.watch).finish_non_exhaustive()
    }
}
