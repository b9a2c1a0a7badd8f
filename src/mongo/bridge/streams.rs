//! Streams on the loop's side: items come while there is credit, until the end.

use super::core::Bridge;
use super::feed::{Feed, Stopped};
use super::id::Id;
use super::line::{Line, StreamLimits};
use super::outbox::{Parcel, Report};
use super::under_way::Kind;
use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::mongo::error::Error;
use mongodb::Client;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// Why a stream's job has ended.
#[derive(Debug)]
pub(in crate::mongo) enum StreamEnd {
    Stopped,
    Failed(Error),
}

impl From<Stopped> for StreamEnd {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Error> for StreamEnd {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A stream, for its consumer. Clones are the same stream.
#[derive(Clone)]
pub(in crate::mongo) struct Flow {
    line: Arc<Line>,
}

impl Flow {
    /// An item of so many bytes is done with, and there is room for others.
    pub(in crate::mongo) fn release(&self, bytes: usize) {
        self.line.give_back(bytes);
    }

    /// Takes credit for an item of so many bytes that was released and is not done with after all.
    pub(in crate::mongo) fn take(&self, bytes: usize) {
        self.line.take_anyway(bytes);
    }

    /// Ends the stream. No item comes any more, and the end does when the driver has returned.
    pub(in crate::mongo) fn stop(&self) {
        self.line.hang_up();
    }
}

/// How a stream is run.
#[derive(Debug, Clone, Copy)]
pub(in crate::mongo) struct StreamOptions {
    pub(in crate::mongo) limits: StreamLimits,
    /// For how long the server may be silent.
    pub(in crate::mongo) silence: Duration,
}

impl Bridge {
    /// Runs a job that sends items. Each comes with its size, which is to be [released](Flow::release). The
    /// end comes exactly once, also after a [stop](Flow::stop), which is not an error.
    pub(in crate::mongo) fn stream<T, F>(
        self: &Rc<Self>,
        options: StreamOptions,
        job: impl FnOnce(Client, Feed<T>) -> F + Send + 'static,
        mut on_item: impl FnMut(&mut State, T, usize) -> Ran + 'static,
        on_end: Answer<Result<(), Error>>,
    ) -> Flow
    where
        T: Send + 'static,
        F: Future<Output = Result<(), StreamEnd>> + Send + 'static,
    {
        let line = Arc::new(Line::new(options.limits));
        let flow = Flow { line: line.clone() };
        let unpacked = move |state: &mut State, item: Parcel, bytes| match item.downcast::<T>() {
            Ok(item) => on_item(state, *item, bytes),
            Err(_) => Ok(()),
        };
        let on_item = CallbackSlot::new(Box::new(unpacked) as _);
        let kind = Kind::Stream { on_item, line: line.clone() };
        let ended = move |state: &mut State, outcome: Result<Parcel, Error>| {
            on_end(state, outcome.map(drop))
        };
        let Some(id) = self.admit(kind, Box::new(ended)) else { return flow };
        self.look_after(id, options.silence);
        let feed = Feed { id, outbox: self.outbox.clone(), line, item: PhantomData };
        let outbox = self.outbox.clone();
        self.generations.borrow().run(Box::new(move |connection| {
            Box::pin(async move {
                let report = Report::new(&outbox, id);
                let outcome = match connection.client().await {
                    Ok(client) => job(client, feed).await,
                    Err(error) => Err(error.into()),
                };
                report.send(match outcome {
                    Ok(()) | Err(StreamEnd::Stopped) => Ok(Box::new(())),
                    Err(StreamEnd::Failed(error)) => Err(error),
                });
            })
        }));
        flow
    }

    pub(super) fn hang_up_streams(&self) {
        self.table.borrow().lines().for_each(|line| line.hang_up());
    }

    /// Looks from time to time whether the server is silent.
    fn look_after(self: &Rc<Self>, id: Id, silence: Duration) {
        let weak = Rc::downgrade(self);
        let look = move |state: &mut State| look(&weak, state, id, silence);
        let timer = self.event_loop().set_deadline(silence / 4, Box::new(look));
        self.note_timer(id, timer);
    }
}

fn look(weak: &Weak<Bridge>, state: &mut State, id: Id, silence: Duration) -> Ran {
    let Some(bridge) = weak.upgrade() else { return Ok(()) };
    let since = bridge.table.borrow().line(id).and_then(|line| line.waiting_since());
    if since.is_none_or(|since| since.elapsed() < silence) {
        bridge.look_after(id, silence);
        return Ok(());
    }
    let Some(silent) = bridge.finish(id) else { return Ok(()) };
    // several streams may have had the same peer, which is left once
    if bridge.generations.borrow().is_current(silent.generation) {
        bridge.leave_silent_peer();
    }
    // there may be nothing left to do now
    bridge.slot.wake();
    (silent.on_end)(state, Err(Error::Timeout { within: silence }))
}
