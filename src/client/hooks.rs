//! The client's callbacks as its inside knows them, with the state's type erased: of requests,
//! fences and subscriptions, of the layers that observe a connection, and the user's hooks.

use super::Client;
use super::capture::Frame;
use super::error::ConnectionError;
use super::port::Port;
use crate::callback::{CallbackSlot, Outcome, Ran, RefHandler, RepeatingTask, State, lend};
use crate::error::Result;
use evnats_protocol::{
    DisconnectReason, EndReason, FlushError, Message, RequestError, ServerInfo, SubscriptionId,
};
use std::time::Duration;

/// What a subscription's callback is given.
pub(crate) enum Delivery<'a> {
    Message(&'a Message),
    /// The last delivery. Does not come after an unsubscribe.
    Ended(EndReason),
}

/// What a layer above is told of the connection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    /// The connection was lost. Whatever the server was about to send is lost with it.
    Disconnected,
    /// Another connection is established, and subscriptions are restored.
    Reconnected,
    /// The client is over: there will be no other connection.
    Ended,
}

pub(crate) type OnDelivery = Box<dyn FnMut(&mut State, Delivery<'_>) -> Ran>;
pub(crate) type OnReply = Box<dyn FnOnce(&mut State, &Port, Result<Message, RequestError>) -> Ran>;
pub(crate) type OnFence = Box<dyn FnOnce(&mut State, &Port, Result<Duration, FlushError>) -> Ran>;
pub(crate) type OnEnd = Box<dyn FnOnce(&mut State, EndReason) -> Ran>;
pub(crate) type OnObserved = Box<dyn FnMut(&mut State, Observed) -> Ran>;

pub(crate) type Subscriber = CallbackSlot<OnDelivery>;

pub(crate) type Hook<T> = CallbackSlot<Box<dyn FnMut(&mut State, &Port, &T) -> Ran>>;

/// Messages of a paused subscription are being dropped, because its limits are reached; see
/// [`Client::on_slow_consumer`](crate::Client::on_slow_consumer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowConsumer {
    /// The subscription; [`Client::subscription`](crate::Client::subscription) has its handle.
    pub subscription: SubscriptionId,
    /// How many of its messages have been dropped since it began.
    pub dropped: u64,
}

/// The user's hooks of a connection as a whole.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(super) connect: Hook<ServerInfo>,
    pub(super) reconnect: Hook<ServerInfo>,
    pub(super) disconnect: Hook<DisconnectReason>,
    pub(super) error: Hook<ConnectionError>,
    pub(super) lame_duck: Hook<()>,
    pub(super) slow_consumer: Hook<SlowConsumer>,
    pub(super) writable: Hook<()>,
    pub(super) close: Hook<DisconnectReason>,
    pub(super) discover: Hook<Vec<String>>,
    pub(super) frame: Hook<Frame>,
}

impl<S: 'static> Client<S> {
    /// Runs when the first connection is established.
    pub fn on_connect(&self, hook: impl RefHandler<S, Client<S>, ServerInfo>) {
        self.set_hook(|hooks| &hooks.connect, hook);
    }

    /// Runs when a lost connection has been made again, perhaps with another server. Subscriptions
    /// are restored; what was published meanwhile is on its way. It also runs when the client has
    /// moved away from a server that is shutting down, without having been disconnected.
    pub fn on_reconnect(&self, hook: impl RefHandler<S, Client<S>, ServerInfo>) {
        self.set_hook(|hooks| &hooks.reconnect, hook);
    }

    /// Runs when the connection was lost or closed, before the callbacks of what was pending.
    /// Attempts that fail are reported to [`on_error`](Self::on_error) as
    /// [`ConnectionError::ConnectFailed`].
    pub fn on_disconnect(&self, hook: impl RefHandler<S, Client<S>, DisconnectReason>) {
        self.set_hook(|hooks| &hooks.disconnect, hook);
    }

    /// Runs when the server has announced servers that were not known, as `host:port`.
    pub fn on_discovered_servers(&self, mut hook: impl RefHandler<S, Client<S>, [String]>) {
        self.set(
            |hooks| &hooks.discover,
            move |state, client, new| hook(state, client, new).into_ran(),
        );
    }

    /// Runs for every frame that is read and written, for debugging. It shows what is on the wire
    /// from now on, before the callbacks of what was read.
    pub fn on_frame(&self, hook: impl RefHandler<S, Client<S>, Frame>) {
        self.port().driver.connection.borrow_mut().capture();
        self.set_hook(|hooks| &hooks.frame, hook);
    }

    /// Runs for errors that no single call can be blamed for. They are logged in any case.
    pub fn on_error(&self, hook: impl RefHandler<S, Client<S>, ConnectionError>) {
        self.set_hook(|hooks| &hooks.error, hook);
    }

    /// Runs when the server has announced that it will shut down.
    pub fn on_lame_duck(&self, mut hook: impl RepeatingTask<S, Client<S>>) {
        self.set(|hooks| &hooks.lame_duck, move |state, client, ()| hook(state, client).into_ran());
    }

    /// Runs when messages of a paused subscription begin to be dropped, because its limits are
    /// reached. It runs again when messages were held and others dropped after that.
    pub fn on_slow_consumer(&self, hook: impl RefHandler<S, Client<S>, SlowConsumer>) {
        self.set_hook(|hooks| &hooks.slow_consumer, hook);
    }

    /// Runs when a command was refused because the outgoing buffer was full, and it has emptied to
    /// its low-water mark.
    pub fn on_writable(&self, mut hook: impl RepeatingTask<S, Client<S>>) {
        self.set(|hooks| &hooks.writable, move |state, client, ()| hook(state, client).into_ran());
    }

    /// Runs once, when the client is over, after the callbacks of everything that was pending, with
    /// the reason: it was closed or drained, or no connection could be made.
    ///
    /// A client without this hook that ends otherwise than by its own [`drain`](Self::drain) or
    /// [`close`](Self::close) ends [`run`](crate::EventLoop::run) with
    /// [`Error::Ended`](crate::Error::Ended), so that it does not go unnoticed.
    pub fn on_close(&self, hook: impl RefHandler<S, Client<S>, DisconnectReason>) {
        self.set_hook(|hooks| &hooks.close, hook);
    }

    fn set_hook<T: 'static>(
        &self,
        pick: impl FnOnce(&Hooks) -> &Hook<T>,
        mut hook: impl RefHandler<S, Client<S>, T>,
    ) {
        self.set(pick, move |state, client, argument| hook(state, client, argument).into_ran());
    }

    fn set<T: 'static>(
        &self,
        pick: impl FnOnce(&Hooks) -> &Hook<T>,
        mut hook: impl FnMut(&mut S, &Client<S>, &T) -> Ran + 'static,
    ) {
        let hook = move |state: &mut State, port: &Port, argument: &T| {
            hook(lend(state), &Client::new(port.clone()), argument)
        };
        let replaced = pick(&self.port().driver.connection.borrow().hooks).replace(Box::new(hook));
        // user code, which may use the client
        drop(replaced);
        self.port().driver.drop_if_ended();
    }
}
