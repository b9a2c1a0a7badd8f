//! The client: a connection to a server, and the commands that can be given on it.

mod callbacks;
mod capture;
mod connector;
mod core;
mod credentials;
mod inner;
mod link;
mod moving;
mod options;
#[cfg(all(test, any(feature = "tls", feature = "websocket")))]
mod pipe;
#[cfg(feature = "tls")]
mod tls;
mod transport;
#[cfg(feature = "websocket")]
#[allow(dead_code)] // until the link uses it
mod websocket;

pub(crate) use callbacks::{Delivery, OnDelivery};
pub use capture::Frame;
pub use credentials::{Credentials, CredentialsError};
pub use options::Options;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use transport::Transport;

use crate::error::{ConnectionError, Result};
use crate::event_loop::Handle;
use crate::jetstream::JetStream;
use callbacks::{Hook, Hooks, Subscriber};
use core::Core;
use evnats_protocol::{
    DisconnectReason, FlushError, HeaderMap, Message, OutgoingMessage, Payload, Pending,
    PendingLimits, Phase, PoolServer, RequestError, ServerInfo, Statistics, SubscriptionId,
};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A connection to a NATS server. A cheap handle: clones are the same connection.
///
/// Commands never block and never call back before they return. What they write goes out at the
/// end of the loop's turn, or at once when 64 KiB are waiting. Dropping every handle does not
/// close the connection: [`drain`](Self::drain) or [`close`](Self::close) do.
pub struct Client<S: 'static = ()> {
    core: Rc<Core<S>>,
}

/// Where a connection stands; see [`Client::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// On the way to the first connection. Commands wait.
    Connecting,
    /// Connected.
    Connected,
    /// The connection was lost, and another one is being made. Commands wait.
    Reconnecting,
    /// Connected, and closing once everything pending is complete.
    Draining,
    /// Over.
    Closed,
}

impl<S: 'static> Client<S> {
    pub(crate) fn connect(handle: &Handle<S>, options: Options) -> Result<Self> {
        Ok(Self::new(Core::connect(handle, options)?))
    }

    pub(crate) fn connect_over(
        handle: &Handle<S>,
        transport: Box<dyn Transport>,
        options: Options,
    ) -> Result<Self> {
        Ok(Self::new(Core::connect_over(handle, transport, options)?))
    }

    fn new(core: Rc<Core<S>>) -> Self {
        Self { core }
    }

    /// Publishes a message. Before the connection stands, it waits in the buffer.
    ///
    /// That the server has got it is known after a later [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): an invalid subject, a payload over the server's `max_payload`, a full
    /// buffer (the payload comes back in the error; wait for [`on_writable`](Self::on_writable)),
    /// a connection that drains or is closed.
    #[inline]
    pub fn publish<'a>(&self, subject: &str, payload: impl Into<Payload<'a>>) -> Result<()> {
        self.publish_message(OutgoingMessage::new(subject, payload.into()))
    }

    /// Publishes a message with headers.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), or a header that cannot be sent, or a server without
    /// headers.
    pub fn publish_with_headers<'a>(
        &self,
        subject: &str,
        headers: &HeaderMap,
        payload: impl Into<Payload<'a>>,
    ) -> Result<()> {
        self.publish_message(OutgoingMessage::new(subject, payload.into()).headers(headers))
    }

    /// Publishes a message, with reply subject and headers as it says.
    ///
    /// # Errors
    /// As [`publish_with_headers`](Self::publish_with_headers).
    #[inline]
    pub fn publish_message(&self, message: OutgoingMessage<'_>) -> Result<()> {
        Ok(self.core.command(|session| session.publish(message))?)
    }

    /// Answers a message that has a reply subject.
    ///
    /// # Errors
    /// As [`publish`](Self::publish). A message without a reply subject wants no answer: nothing
    /// is sent, and that is no error.
    pub fn respond<'a>(&self, message: &Message, payload: impl Into<Payload<'a>>) -> Result<()> {
        match message.reply() {
            Some(reply) => self.publish(&reply, payload),
            None => Ok(()),
        }
    }

    /// Subscribes to a subject, which may have wildcards: `*` for a token, `>` for the last ones.
    /// The callback runs for every message, in the order of the wire.
    ///
    /// Letting go of the id does not unsubscribe.
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): an invalid subject, a connection that drains or is closed. That the
    /// server does not permit it is reported to [`on_error`](Self::on_error).
    pub fn subscribe(
        &self,
        subject: &str,
        callback: impl FnMut(&mut S, &Client<S>, &Message) + 'static,
    ) -> Result<SubscriptionId> {
        self.subscribe_for(subject, None, messages_only(callback))
    }

    /// Subscribes as a member of a queue group: of its members, one gets each message.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), or a group that is empty or has white space.
    pub fn queue_subscribe(
        &self,
        subject: &str,
        queue_group: &str,
        callback: impl FnMut(&mut S, &Client<S>, &Message) + 'static,
    ) -> Result<SubscriptionId> {
        self.subscribe_for(subject, Some(queue_group), messages_only(callback))
    }

    /// Subscribes for a layer above, which is told of the end as well.
    pub(crate) fn subscribe_for(
        &self,
        subject: &str,
        queue_group: Option<&str>,
        callback: OnDelivery<S>,
    ) -> Result<SubscriptionId> {
        let subscriber = Subscriber::new(callback);
        let subscribed =
            self.core.command(|session| session.subscribe(subject, queue_group, subscriber));
        // the callback is dropped here, where no borrow is alive
        subscribed.map_err(|(error, _callback)| error.into())
    }

    /// Ends a subscription at once: its callback does not run again.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended already.
    pub fn unsubscribe(&self, subscription: SubscriptionId) -> Result<()> {
        let callback = self.core.command(|session| session.unsubscribe(subscription))?;
        drop(callback);
        Ok(())
    }

    /// Ends a subscription after `max` messages, counted from its beginning. If it has had as many
    /// already, it ends now.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended already.
    pub fn unsubscribe_after(&self, subscription: SubscriptionId, max: u64) -> Result<()> {
        Ok(self.core.command(|session| session.unsubscribe_after(subscription, max))?)
    }

    /// Holds a subscription's messages back, in memory, until it is resumed; the callback does not
    /// run meanwhile. Others are not affected. What goes beyond
    /// [`set_pending_limits`](Self::set_pending_limits) is dropped, and told to
    /// [`on_slow_consumer`](Self::on_slow_consumer). Draining resumes.
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): the subscription has ended, or is being drained.
    pub fn pause(&self, subscription: SubscriptionId) -> Result<()> {
        Ok(self.core.command(|session| session.pause(subscription))?)
    }

    /// Has the callback of a paused subscription run for what was held back, and then for what
    /// comes.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended.
    pub fn resume(&self, subscription: SubscriptionId) -> Result<()> {
        Ok(self.core.command(|session| session.resume(subscription))?)
    }

    /// Changes how much may wait for a subscription while it is paused.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended.
    pub fn set_pending_limits(
        &self,
        subscription: SubscriptionId,
        limits: PendingLimits,
    ) -> Result<()> {
        Ok(self.core.command(|session| session.set_pending_limits(subscription, limits))?)
    }

    /// What waits for a subscription because it is paused, and how much was dropped. `None` if it
    /// has ended.
    pub fn pending(&self, subscription: SubscriptionId) -> Option<Pending> {
        self.core.inner.borrow().session.pending(subscription)
    }

    /// Ends a subscription without losing a message: the server stops sending, and the callback
    /// given here runs after the last message.
    pub fn drain_subscription(
        &self,
        subscription: SubscriptionId,
        callback: impl FnOnce(&mut S, &Client<S>, Result<(), FlushError>) + 'static,
    ) {
        let on_fence = Box::new(move |state: &mut S, client: &Client<S>, outcome: FenceOutcome| {
            callback(state, client, outcome.map(drop));
        });
        let timeout = self.core.request_timeout;
        self.core.command(|session| session.drain_subscription(subscription, timeout, on_fence));
    }

    /// Sends a request. The callback runs exactly once: with the reply, or with the reason why
    /// there is none. The timeout is that of the options; if it passes while there is no connection,
    /// the request was never sent, and that is the reason
    /// ([`RequestError::NeverSent`]).
    #[inline]
    pub fn request<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        callback: impl FnOnce(&mut S, &Client<S>, Result<Message, RequestError>) + 'static,
    ) {
        let message = OutgoingMessage::new(subject, payload.into());
        self.request_message(message, self.core.request_timeout, callback);
    }

    /// Sends a request with headers, and with a timeout of its own, which runs from the end of the
    /// loop's turn. The message's reply subject is not used, requests have an inbox.
    #[inline]
    pub fn request_message(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        callback: impl FnOnce(&mut S, &Client<S>, Result<Message, RequestError>) + 'static,
    ) {
        self.core.command(|session| session.request(message, timeout, Box::new(callback)));
    }

    /// Calls back when the server has read everything sent before, and every message that it had
    /// sent before has had its callback.
    ///
    /// It orders core messages. It does not mean that a stream has stored anything: for that, see
    /// the acknowledgement of a JetStream publish.
    pub fn flush(
        &self,
        callback: impl FnOnce(&mut S, &Client<S>, Result<(), FlushError>) + 'static,
    ) {
        self.rtt(move |state, client, outcome| callback(state, client, outcome.map(drop)));
    }

    /// Measures the time that a `PING` takes to the server and back, callbacks before it included.
    pub fn rtt(
        &self,
        callback: impl FnOnce(&mut S, &Client<S>, Result<Duration, FlushError>) + 'static,
    ) {
        let timeout = self.core.request_timeout;
        self.core.command(|session| session.flush(timeout, Box::new(callback)));
    }

    /// Closes the connection without losing anything: subscriptions are ended, what the server has
    /// sent gets its callback, requests are completed, what was published is written. New
    /// subscriptions are refused at once, publishing when nothing is pending any more. `on_close`
    /// runs at the end; after the drain timeout the connection is closed as it is.
    pub fn drain(&self) {
        self.core.command(|session| session.drain(Instant::now()));
    }

    /// Closes the connection. What was commanded is written as far as the socket takes it without
    /// waiting. Requests and flushes that are pending fail, in the next turn.
    pub fn close(&self) {
        self.core.write_now();
        self.core.command(|session| session.close());
    }

    /// Leaves the server, and connects to the next one at once; if the client is waiting for its next
    /// attempt, makes it now. What was written and not answered is unknown, as after any lost
    /// connection. A client that is closed, or connects already, does nothing.
    pub fn reconnect(&self) {
        self.core.reconnect();
    }

    /// Names other servers in place of those of the options, and of those that were announced. The
    /// connection that stands is kept.
    ///
    /// # Errors
    /// A URL cannot be used; then nothing is changed.
    pub fn set_servers<U: Into<String>>(&self, servers: impl IntoIterator<Item = U>) -> Result<()> {
        let servers: Vec<_> = servers.into_iter().map(Into::into).collect();
        self.core.set_servers(options::parse_servers(&servers)?);
        Ok(())
    }

    /// The servers that the client knows, the one that it is connected or connecting to first. A
    /// client on a given transport knows none.
    pub fn servers(&self) -> Vec<PoolServer> {
        let inner = self.core.inner.borrow();
        let pool = inner.connector.as_ref().map(|connector| &connector.pool);
        pool.map_or(Vec::new(), |pool| pool.servers().cloned().collect())
    }

    /// Runs when the first connection stands.
    pub fn on_connect(&self, hook: impl FnMut(&mut S, &Client<S>, &ServerInfo) + 'static) {
        self.set_hook(|hooks| &hooks.connect, hook);
    }

    /// Runs when a lost connection has been made again, perhaps with another server. Subscriptions
    /// are restored; what was published meanwhile is on its way. It also runs when the client has
    /// moved away from a server that is shutting down, without having been disconnected.
    pub fn on_reconnect(&self, hook: impl FnMut(&mut S, &Client<S>, &ServerInfo) + 'static) {
        self.set_hook(|hooks| &hooks.reconnect, hook);
    }

    /// Runs when the connection was lost or closed, before the callbacks of what was pending.
    /// Attempts that fail are told to [`on_error`](Self::on_error) as
    /// [`ConnectionError::ConnectFailed`].
    pub fn on_disconnect(&self, hook: impl FnMut(&mut S, &Client<S>, &DisconnectReason) + 'static) {
        self.set_hook(|hooks| &hooks.disconnect, hook);
    }

    /// Runs when the server has announced servers that were not known, as `host:port`.
    pub fn on_discovered_servers(
        &self,
        mut hook: impl FnMut(&mut S, &Client<S>, &[String]) + 'static,
    ) {
        self.set_hook(|hooks| &hooks.discover, move |state, client, new| hook(state, client, new));
    }

    /// Runs for every frame that is read and written, for debugging. It shows what is on the wire
    /// from now on, before the callbacks of what was read.
    pub fn on_frame(&self, hook: impl FnMut(&mut S, &Client<S>, &Frame) + 'static) {
        self.core.inner.borrow_mut().capture();
        self.set_hook(|hooks| &hooks.frame, hook);
    }

    /// Runs for errors that no single call can be blamed for. They are logged in any case.
    pub fn on_error(&self, hook: impl FnMut(&mut S, &Client<S>, &ConnectionError) + 'static) {
        self.set_hook(|hooks| &hooks.error, hook);
    }

    /// Runs when the server has announced that it will shut down.
    pub fn on_lame_duck(&self, mut hook: impl FnMut(&mut S, &Client<S>) + 'static) {
        self.set_hook(|hooks| &hooks.lame_duck, move |state, client, _| hook(state, client));
    }

    /// Runs when messages of a paused subscription begin to be dropped, because its limits are
    /// reached, with the number dropped since the subscription began. It runs again when messages
    /// were held and others dropped after that.
    pub fn on_slow_consumer(
        &self,
        mut hook: impl FnMut(&mut S, &Client<S>, SubscriptionId, u64) + 'static,
    ) {
        self.set_hook(
            |hooks| &hooks.slow_consumer,
            move |state, client, (subscription, dropped)| {
                hook(state, client, *subscription, *dropped);
            },
        );
    }

    /// Runs when a command was refused because the outgoing buffer was full, and it has emptied to
    /// its low-water mark.
    pub fn on_writable(&self, mut hook: impl FnMut(&mut S, &Client<S>) + 'static) {
        self.set_hook(|hooks| &hooks.writable, move |state, client, _| hook(state, client));
    }

    /// Runs once, when the client is over, after the callbacks of everything that was pending, with
    /// the reason: it was closed or drained, or no connection could be made.
    pub fn on_close(&self, hook: impl FnMut(&mut S, &Client<S>, &DisconnectReason) + 'static) {
        self.set_hook(|hooks| &hooks.close, hook);
    }

    fn set_hook<T>(
        &self,
        pick: impl FnOnce(&Hooks<S>) -> &Hook<S, T>,
        hook: impl FnMut(&mut S, &Client<S>, &T) + 'static,
    ) {
        let replaced = pick(&self.core.inner.borrow().hooks).replace(Box::new(hook));
        // user code, which may use the client
        drop(replaced);
    }

    /// Where the connection stands.
    pub fn state(&self) -> ConnectionState {
        let session = &self.core.inner.borrow().session;
        match session.phase() {
            Phase::Closed => ConnectionState::Closed,
            _ if session.is_draining() => ConnectionState::Draining,
            Phase::Ready => ConnectionState::Connected,
            _ if session.was_connected() => ConnectionState::Reconnecting,
            _ => ConnectionState::Connecting,
        }
    }

    /// The server's last description of itself, once it has sent one.
    pub fn server_info(&self) -> Option<ServerInfo> {
        self.core.inner.borrow().session.server_info().cloned()
    }

    /// Counts since the client was made.
    pub fn statistics(&self) -> Statistics {
        self.core.inner.borrow().session.statistics()
    }

    /// Bytes of commands that wait to be written.
    pub fn buffered(&self) -> usize {
        self.core.inner.borrow().session.buffered_len()
    }

    /// Number of subscriptions. The inbox of requests does not count.
    pub fn subscription_count(&self) -> usize {
        self.core.inner.borrow().session.subscription_count()
    }

    /// Number of requests without an outcome.
    pub fn request_count(&self) -> usize {
        self.core.inner.borrow().session.request_count()
    }

    /// A subject that nobody else uses, to receive answers on. It lies outside the inbox of
    /// requests, so that nothing is delivered twice.
    pub fn new_inbox(&self) -> String {
        let prefix = self.core.inner.borrow().session.inbox_prefix().to_owned();
        let id: String = (0..22).map(|_| fastrand::alphanumeric()).collect();
        format!("{prefix}.{id}")
    }

    /// JetStream, and with it Key-Value, over this connection.
    pub fn jetstream(&self) -> JetStream<S> {
        JetStream::new(self.clone())
    }

    /// The loop that the connection runs on.
    pub fn handle(&self) -> &Handle<S> {
        self.core.handle()
    }

    /// Runs a callback in the next turn.
    pub(crate) fn defer(&self, callback: impl FnOnce(&mut S, &Client<S>) + 'static) {
        let client = self.clone();
        self.handle().set_timer(Duration::ZERO, move |state, _| callback(state, &client));
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.core.request_timeout
    }
}

type FenceOutcome = Result<Duration, FlushError>;

/// Makes a subscription's callback of one that wants to see messages only.
fn messages_only<S: 'static>(
    mut callback: impl FnMut(&mut S, &Client<S>, &Message) + 'static,
) -> OnDelivery<S> {
    Box::new(move |state, client, delivery| {
        if let Delivery::Message(message) = delivery {
            callback(state, client, message);
        }
    })
}

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
