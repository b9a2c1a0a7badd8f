//! The handle of a client, the door to it from a loop, and the commands that can be given on it.

use super::driver::Driver;
use super::options::{self, Options};
use super::port::Port;
use crate::callback::{Callback, Outcome, RefCallback, lend};
use crate::error::{Error, Result};
use crate::event_loop::{Handle, Transport, timers_on};
use evnats_protocol::{
    CommandError, FlushError, HeaderMap, Message, OutgoingMessage, Payload, Phase, PoolServer,
    RequestError, ServerInfo, Statistics, subject,
};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// A connection to a NATS server. A cheap handle: clones are the same connection.
///
/// Commands never block and never call back before they return. What they write goes out at the
/// end of the loop's turn, or at once when 64 KiB are waiting. Dropping every handle does not
/// close the connection: [`drain`](Self::drain) or [`close`](Self::close) do.
///
/// # When nothing comes
///
/// Nothing waits for ever without a word. What a watch and a listing say is in the docs of
/// [`kv`](crate::kv#when-nothing-comes).
///
/// | what is wrong | what is told, and when |
/// |---|---|
/// | no server can be reached, or what answers is none | [`on_error`](Self::on_error) for each attempt, after [`connect_timeout`](Options::connect_timeout) at the latest; without a server to go on with, the client's end |
/// | a name is not found, or not looked up in time | the same |
/// | the server does not accept the credentials | the same, with its words; twice in a row, the client's end |
/// | the server falls silent | [`on_disconnect`](Self::on_disconnect), after [`max_pings_outstanding`](Options::max_pings_outstanding) times [`ping_interval`](Options::ping_interval); then the next server |
/// | the connection is lost | the same, at once; what was under way has the outcomes that the README lists |
/// | there is no connection | commands wait; when the buffer is full, they are refused with [`CommandError::BufferFull`], and [`on_writable`](Self::on_writable) tells when there is room; a request that has waited for its timeout is [`RequestError::NeverSent`] |
/// | nobody listens on the subject of a request | [`RequestError::NoResponders`], at once |
/// | whoever listens does not answer | [`RequestError::Timeout`]; of a request with many replies, [`RepliesEnd::Timeout`](crate::RepliesEnd::Timeout) |
/// | a request, or the inbox for its answer, is not permitted | [`RequestError::Denied`], as soon as the server has refused |
/// | a subscription is not permitted, or no longer | its end, [`on_end`](crate::Subscription::on_end), and `on_error` |
/// | publishing to a subject is not permitted | `on_error` |
/// | nobody has subscribed to what is published | nothing, as always in core NATS |
/// | an answer cannot be sent | `on_error` |
/// | a subscription is paused | nothing, until more comes than it may hold: [`on_slow_consumer`](Self::on_slow_consumer) |
/// | a flush, or the drain of a subscription, is not answered | [`FlushError::Timeout`], after [`request_timeout`](Options::request_timeout) |
/// | a server does not tell what it has done with a message that is traced | [`TraceEnd::Timeout`](crate::trace::TraceEnd::Timeout), after the time that was given for it |
/// | a drain of the client does not come to its end | the client's end, after [`drain_timeout`](Options::drain_timeout) |
/// | the client is over | an error for every callback that waits, and for every later command |
/// | the client's end has no [`on_close`](Self::on_close) to hear of it | [`EventLoop::run`](crate::EventLoop::run) returns it |
/// | more is posted to the loop than it takes | [`PostError::Full`](crate::PostError::Full), with the closure |
pub struct Client<S: 'static = ()> {
    port: Port,
    state: PhantomData<fn(&mut S)>,
}

/// The state of a client; see [`Client::state`].
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

impl<S: 'static> Handle<S> {
    /// Begins to connect to a server. Commands may be given at once, they wait for the connection.
    ///
    /// # Errors
    /// A URL cannot be used. That a server cannot be reached is reported to `on_error`, that none
    /// can to `on_close` and to the callbacks of what was commanded.
    pub fn connect(&self, options: impl Into<Options>) -> Result<Client<S>> {
        Ok(Client::new(Port::new(Driver::connect(self.shared(), options.into())?)))
    }

    /// Talks to a server over a transport that is already open: a tunnel, a connection made by a
    /// dialer of your own, or memory. It cannot be made again: when it is lost, the client closes.
    ///
    /// The options count as they do in [`connect`](Self::connect), those of TLS included: the
    /// handshake is made over the transport. The first URL in the options names the server at the
    /// other end, the host that its certificate has to be for and perhaps the user; with `ws://`,
    /// WebSocket is spoken over the transport. The options may also do without
    /// (`Options::new("")`), and then TLS needs [`Tls::server_name`](crate::Tls::server_name).
    ///
    /// # Errors
    /// The options cannot be used, or the transport cannot be registered.
    pub fn connect_over(
        &self,
        transport: impl Transport,
        options: impl Into<Options>,
    ) -> Result<Client<S>> {
        let driver = Driver::connect_over(self.shared(), Box::new(transport), options.into())?;
        Ok(Client::new(Port::new(driver)))
    }
}

impl<S: 'static> Client<S> {
    /// The port has to be that of a client on a loop with states of this type.
    pub(crate) fn new(port: Port) -> Self {
        Self { port, state: PhantomData }
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// Publishes a message. Until there is a connection, it waits in the buffer.
    ///
    /// That the server has got it is known after a later [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): an invalid subject, a payload over the server's `max_payload`, a full
    /// buffer (the payload comes back in the error; wait for [`on_writable`](Self::on_writable)),
    /// a connection that drains or is closed.
    #[inline]
    pub fn publish<'a>(&self, subject: &str, payload: impl Into<Payload<'a>>) -> Result<()> {
        let payload = payload.into();
        if self.port.publish_again(subject, &payload) {
            return Ok(());
        }
        self.send(OutgoingMessage::new(subject, payload))
    }

    /// Publishes a message, with headers and a reply subject where it has them.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), or a header that cannot be sent, or a server without
    /// headers.
    #[inline]
    #[doc(alias = "publish_with_headers")]
    #[doc(alias = "PublishMsg")]
    pub fn send(&self, message: OutgoingMessage<'_>) -> Result<()> {
        Ok(self.port.publish(message)?)
    }

    /// Answers a message that has a reply subject. A message without one wants no answer: nothing
    /// is sent, and that is no error.
    ///
    /// Nor is anything that a peer, the server or an outage can cause: an answer that cannot be sent
    /// for such a reason is counted in [`answers_failed`](Self::answers_failed) and reported to
    /// [`on_error`](Self::on_error) as
    /// [`ConnectionError::AnswerFailed`](crate::ConnectionError::AnswerFailed), so that `?` on this call
    /// does not end a service because of one of its callers.
    ///
    /// # Errors
    /// None today; the result is for what only the caller can be blamed for.
    #[doc(alias = "Respond")]
    pub fn respond<'a>(&self, message: &Message, payload: impl Into<Payload<'a>>) -> Result<()> {
        self.respond_with_headers(message, &HeaderMap::new(), payload)
    }

    /// As [`respond`](Self::respond), with headers. Those of a received message can be sent on:
    /// `HeaderMap::from(message.headers())`.
    ///
    /// # Errors
    /// A header that cannot be sent.
    #[doc(alias = "RespondMsg")]
    pub fn respond_with_headers<'a>(
        &self,
        message: &Message,
        headers: &HeaderMap,
        payload: impl Into<Payload<'a>>,
    ) -> Result<()> {
        let Some(reply) = message.reply_bytes() else { return Ok(()) };
        let sent = match subject::text(reply) {
            Ok(reply) => self.send(OutgoingMessage::new(reply, payload.into()).headers(headers)),
            Err(error) => Err(CommandError::ReplySubject(error).into()),
        };
        match sent {
            Err(Error::Command(error)) if !matches!(error, CommandError::Header(_)) => {
                let reply = String::from_utf8_lossy(reply).into_owned();
                self.port.driver.fail_answer(reply, error);
                Ok(())
            }
            result => result,
        }
    }

    /// Sends a request. The callback runs exactly once: with the reply, which it is lent and may
    /// clone, or with the reason why there is none. The timeout is that of the options; if it passes
    /// while there is no connection, the request was never sent, and that is the reason
    /// ([`RequestError::NeverSent`]).
    #[inline]
    pub fn request<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        callback: impl RefCallback<S, Client<S>, Message, RequestError>,
    ) {
        let message = OutgoingMessage::new(subject, payload.into());
        self.send_request(message, self.port.request_timeout(), callback);
    }

    /// Sends a request with headers, and with a timeout of its own, which runs from the end of the
    /// loop's turn. The message's reply subject is not used, requests have an inbox.
    #[inline]
    #[doc(alias = "request_message")]
    #[doc(alias = "RequestMsg")]
    pub fn send_request(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        callback: impl RefCallback<S, Client<S>, Message, RequestError>,
    ) {
        self.port.request(message, timeout, move |state, port, outcome| {
            callback(lend(state), &Client::new(port.clone()), outcome).into_ran()
        });
    }

    /// Calls back when the server has read everything sent before, and every message that it had
    /// sent before has had its callback.
    ///
    /// It orders core messages. It does not mean that a stream has stored anything: for that, see
    /// the acknowledgement of a JetStream publish.
    pub fn flush(&self, callback: impl Callback<S, Client<S>, Result<(), FlushError>>) {
        self.port.fence(Box::new(move |state, port, outcome| {
            callback(lend(state), &Client::new(port.clone()), outcome.map(drop)).into_ran()
        }));
    }

    /// Measures the time that a `PING` takes to the server and back, callbacks before it included.
    pub fn rtt(&self, callback: impl Callback<S, Client<S>, Result<Duration, FlushError>>) {
        self.port.fence(Box::new(move |state, port, outcome| {
            callback(lend(state), &Client::new(port.clone()), outcome).into_ran()
        }));
    }

    /// Closes the connection without losing anything: subscriptions are ended, what the server has
    /// sent gets its callback, requests are completed, what was published is written. New
    /// subscriptions are refused at once, publishing when nothing is pending any more. `on_close`
    /// runs at the end; after the drain timeout the connection is closed as it is.
    pub fn drain(&self) {
        let now = self.port.now();
        self.driver().command(|session| session.drain(now));
    }

    /// Closes the connection. What was commanded is written as far as the socket takes it without
    /// waiting. Requests and flushes that are pending fail, in the next turn.
    pub fn close(&self) {
        self.driver().write_now();
        self.driver().command(|session| session.close());
    }

    /// Leaves the server, and connects to the next one at once; if the client is waiting for its next
    /// attempt, makes it now. What was written and not answered is unknown, as after any lost
    /// connection. A client that is closed, or connects already, does nothing.
    pub fn reconnect(&self) {
        self.driver().reconnect();
    }

    /// Names other servers in place of those of the options, and of those that were announced. The
    /// current connection is kept.
    ///
    /// # Errors
    /// A URL cannot be used; then nothing is changed.
    pub fn set_servers<U: Into<String>>(&self, servers: impl IntoIterator<Item = U>) -> Result<()> {
        let servers: Vec<_> = servers.into_iter().map(Into::into).collect();
        self.driver().set_servers(options::parse_servers(&servers)?);
        Ok(())
    }

    /// The servers that the client knows, the one that it is connected or connecting to first. A
    /// client on a given transport knows none.
    #[must_use]
    pub fn servers(&self) -> Vec<PoolServer> {
        let inner = self.driver().connection.borrow();
        let pool = inner.connector.as_ref().map(|connector| &connector.pool);
        pool.map_or(Vec::new(), |pool| pool.servers().cloned().collect())
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        let session = &self.driver().connection.borrow().session;
        match session.phase() {
            Phase::Closed => ConnectionState::Closed,
            _ if session.is_draining() => ConnectionState::Draining,
            Phase::Ready => ConnectionState::Connected,
            _ if session.was_connected() => ConnectionState::Reconnecting,
            _ => ConnectionState::Connecting,
        }
    }

    /// The server's last description of itself, once it has sent one.
    #[must_use]
    pub fn server_info(&self) -> Option<ServerInfo> {
        self.driver().connection.borrow().session.server_info().cloned()
    }

    /// Counts since the client was made.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.driver().connection.borrow().session.statistics()
    }

    /// Bytes of commands that wait to be written.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.driver().connection.borrow().session.buffered_len()
    }

    /// Number of subscriptions. The inbox of requests does not count.
    #[must_use]
    pub fn subscription_count(&self) -> usize {
        self.driver().connection.borrow().session.subscription_count()
    }

    /// Number of requests without an outcome.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.driver().connection.borrow().session.request_count()
    }

    /// A subject that nobody else uses, to receive answers on. It lies outside the inbox of
    /// requests, so that nothing is delivered twice.
    #[must_use]
    #[doc(alias = "NewInbox")]
    pub fn new_inbox(&self) -> String {
        self.port.new_inbox()
    }

    /// Number of answers that could not be sent; see [`respond`](Self::respond).
    #[must_use]
    pub fn answers_failed(&self) -> u64 {
        self.driver().connection.borrow().answers_failed
    }

    /// The loop that the client runs on.
    #[must_use]
    pub fn handle(&self) -> Handle<S> {
        Handle::new(self.driver().event_loop().clone())
    }

    fn driver(&self) -> &Rc<Driver> {
        &self.port.driver
    }
}

timers_on!(Client, |client| client.driver().event_loop());

impl<S> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone(), state: PhantomData }
    }
}

impl<S> PartialEq for Client<S> {
    /// Whether both are the same client.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.port.driver, &other.port.driver)
    }
}

impl<S> Eq for Client<S> {}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish_non_exhaustive()
    }
}
