//! The user's hooks: what a client reports of its connection as a whole.

use super::capture::Frame;
use super::error::ConnectionError;
use super::handle::Client;
use super::hooks::{Hook, Hooks, SlowConsumer};
use super::port::Port;
use crate::callback::{Outcome, Ran, RefHandler, RepeatingTask, State, lend};
use evnats_protocol::{DisconnectReason, ServerInfo};

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
