//! The handle of MongoDB, and the door to it from the loop.

use crate::callback::{Callback, answer};
use crate::event_loop::{Handle, timers_on};
use crate::mongo::bridge::Bridge;
use crate::mongo::error::Error;
use crate::mongo::options::Options;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// MongoDB, whose results come by callback on the loop. A cheap handle.
///
/// The driver runs in a thread of its own, which ends with [`close`](Self::close), with the loop, or when
/// no handle is left and nothing is under way. An idle connection does not keep
/// [`run`](crate::EventLoop::run) going.
///
/// ```no_run
/// use evnats::EventLoop;
/// use evnats::mongo::bson::{Document, doc};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
/// mongo.call(
///     async |client| {
///         let orders = client.database("shop").collection::<Document>("orders");
///         orders.find_one(doc! { "state": "open" }).await
///     },
///     |_, mongo, order| {
///         println!("{:?}", order?);
///         mongo.close(|_, _, ()| {});
///         Ok(())
///     },
/// );
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Mongo<S: 'static = ()> {
    bridge: Rc<Bridge>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Handle<S> {
    /// Connects to MongoDB. Commands may be given at once, they wait for the connection, and a server that
    /// cannot be reached is told to their callbacks.
    ///
    /// # Errors
    /// [`mongo::Error`](Error): the connection string cannot be used, the thread for the driver cannot be
    /// started. [`Error::LoopEnded`](crate::Error::LoopEnded).
    pub fn connect_mongo(&self, options: impl Into<Options>) -> crate::error::Result<Mongo<S>> {
        let bridge = Bridge::start(self.shared(), options.into())?;
        Ok(Mongo { bridge, state: PhantomData })
    }
}

impl<S: 'static> Mongo<S> {
    /// Has the driver do anything that it can, and gives its result to the callback, which runs exactly once,
    /// at the latest after the [timeout](Options::timeout). The operation runs in the driver's thread, beside
    /// others: it must not block.
    ///
    /// A late operation is not undone, and goes on in the driver: what it asked for may be done.
    pub fn call<T, F>(
        &self,
        operation: impl FnOnce(mongodb::Client) -> F + Send + 'static,
        callback: impl Callback<S, Self, Result<T, Error>>,
    ) where
        T: Send + 'static,
        F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
    {
        self.call_within(self.bridge.options().timeout, operation, callback);
    }

    /// As [`call`](Self::call), with a timeout of its own.
    pub fn call_within<T, F>(
        &self,
        timeout: Duration,
        operation: impl FnOnce(mongodb::Client) -> F + Send + 'static,
        callback: impl Callback<S, Self, Result<T, Error>>,
    ) where
        T: Send + 'static,
        F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
    {
        let operation = async |client| operation(client).await.map_err(Error::from);
        self.bridge.call(timeout, operation, answer(self, callback));
    }

    /// Asks a server whether it answers.
    pub fn ping(&self, callback: impl Callback<S, Self, Result<(), Error>>) {
        let ping = async |client: mongodb::Client| {
            client.database("admin").run_command(bson::doc! { "ping": 1 }).await.map(drop)
        };
        self.call(ping, callback);
    }

    /// Ends the connection: nothing new is begun, watchers and lists that are read as a whole end, whatever
    /// they wait for, and what is under way and has no outcome within the [timeout](Options::timeout) ends
    /// with [`Error::Closed`]. The callback runs when the driver's thread has ended; also if the connection
    /// was closed before.
    pub fn close(&self, callback: impl Callback<S, Self, ()>) {
        self.bridge.close(self.bridge.options().timeout, answer(self, callback));
    }

    pub(in crate::mongo) fn bridge(&self) -> &Rc<Bridge> {
        &self.bridge
    }

    /// Whether [`close`](Self::close) was called, or the loop has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.bridge.is_closed()
    }
}

timers_on!(Mongo, |mongo| mongo.bridge.event_loop());

impl<S> Clone for Mongo<S> {
    fn clone(&self) -> Self {
        Self { bridge: self.bridge.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Mongo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongo").field("options", self.bridge.options()).finish_non_exhaustive()
    }
}
