//! The port: all that JetStream and the layers above need of a client.
//!
//! Publish, request, subscribe (messages, and an end with its reason), observe the connection,
//! timers, time, randomness. It is the client with the type of the user's state erased, so that
//! what is built on it is compiled once; hooks and `on_writable` stay the user's own.

use super::driver::Driver;
use super::hooks::{OnDelivery, OnFence, OnObserved, OnReply, Reply};
use crate::callback::{Ran, State};
use crate::error::Result;
use crate::event_loop::{Shared, TimerId, TimerTask};
use evnats_protocol::{
    CommandError, KnownRoute, Message, OutgoingMessage, Phase, ServerInfo, SubscriptionId,
};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A client, for the layers above. Clones are the same client.
#[derive(Clone)]
pub(crate) struct Port {
    pub(super) driver: Rc<Driver>,
}

/// An observer that was added; see [`Port::observe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObserverId(pub(super) usize);

impl Port {
    pub(super) fn new(driver: Rc<Driver>) -> Self {
        Self { driver }
    }

    pub(crate) fn event_loop(&self) -> &Rc<Shared> {
        self.driver.event_loop()
    }

    #[inline]
    pub(crate) fn publish(&self, message: OutgoingMessage<'_>) -> Result<(), CommandError> {
        self.driver.command(|session| session.publish(message))
    }

    /// Publishes, if it is to the subject of the last message and nothing speaks against it. Returns
    /// whether it was.
    #[inline]
    pub(crate) fn publish_again(&self, subject: &str, payload: &[u8]) -> bool {
        self.driver.publish_again(subject, payload)
    }

    /// Publishes a message whose subjects are known, if nothing speaks against it. Returns whether it did.
    #[inline]
    pub(crate) fn publish_on<const N: usize, const PARTS: usize>(
        &self,
        route: &mut KnownRoute<N>,
        reply_end: &[u8; N],
        payload: [&[u8]; PARTS],
    ) -> bool {
        self.driver.publish_on(route, reply_end, payload)
    }

    /// Answers to the reply subject of a message, if nothing speaks against it. Returns whether it did.
    #[inline]
    pub(crate) fn answer(&self, message: &Message, payload: &[u8]) -> bool {
        self.driver.answer(message, payload)
    }

    /// Whether there is room for a message of this size. If not, observers will hear of room.
    #[inline]
    pub(crate) fn has_room(&self, payload_len: usize) -> bool {
        self.driver.connection.borrow_mut().session.has_room(payload_len)
    }

    /// Sends a request. The callback runs exactly once.
    #[inline]
    pub(crate) fn request(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        callback: impl FnOnce(&mut State, &Port, Reply<'_>) -> Ran + 'static,
    ) {
        self.request_for(message, timeout, Box::new(callback));
    }

    /// As [`request`](Self::request), for what is boxed already.
    #[inline]
    pub(crate) fn request_for(
        &self,
        message: OutgoingMessage<'_>,
        timeout: Duration,
        awaiting: OnReply,
    ) {
        self.driver.command(|session| session.request(message, timeout, awaiting));
    }

    /// Sets a fence; see [`Client::flush`](super::Client::flush).
    pub(crate) fn fence(&self, callback: OnFence) {
        let timeout = self.driver.request_timeout;
        self.driver.command(|session| session.flush(timeout, callback));
    }

    /// Subscribes. The callback is given the subscription's end, too.
    pub(crate) fn subscribe(
        &self,
        subject: &str,
        queue_group: Option<&str>,
        callback: OnDelivery,
    ) -> Result<SubscriptionId, CommandError> {
        self.subscribe_with(subject, queue_group, |_| callback)
    }

    /// As [`subscribe`](Self::subscribe), with a callback that knows the subscription.
    pub(super) fn subscribe_with(
        &self,
        subject: &str,
        queue_group: Option<&str>,
        callback: impl FnOnce(SubscriptionId) -> OnDelivery,
    ) -> Result<SubscriptionId, CommandError> {
        let subscriber = super::hooks::Subscriber::default();
        let context = subscriber.share();
        let subscribed = self.driver.command(|s| s.subscribe(subject, queue_group, context));
        match subscribed {
            Ok(id) => {
                subscriber.replace(callback(id));
                Ok(id)
            }
            Err((error, _empty)) => Err(error),
        }
    }

    /// Ends a subscription at once; one that has ended already is none of the caller's concern.
    pub(crate) fn unsubscribe(&self, id: SubscriptionId) {
        let _ = self.driver.unsubscribe(id);
    }

    /// Ends a subscription after everything that the server has sent for it, and runs the callback then.
    /// If that cannot be asked for, it is ended at once.
    pub(crate) fn drain_subscription(
        &self,
        id: SubscriptionId,
        on_drained: impl FnOnce(&mut State) -> Ran + 'static,
    ) {
        let timeout = self.driver.request_timeout;
        let on_fence: OnFence = Box::new(move |state, port, drained| {
            if drained.is_err() {
                port.unsubscribe(id);
            }
            on_drained(state)
        });
        self.driver.command(|session| session.drain_subscription(id, timeout, on_fence));
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        let phase = self.driver.connection.borrow().session.phase();
        matches!(phase, Phase::Ready | Phase::Draining)
    }

    /// Whether there is no connection at the moment, and there may be one again.
    pub(crate) fn is_connecting(&self) -> bool {
        let phase = self.driver.connection.borrow().session.phase();
        !matches!(phase, Phase::Ready | Phase::Draining | Phase::Closed)
    }

    /// Has a callback run when the connection is lost and when it is made again, and when there is
    /// room again after a refusal, until [`stop_observing`](Self::stop_observing) or the client's end.
    pub(crate) fn observe(&self, callback: OnObserved) -> ObserverId {
        self.driver.observe(callback)
    }

    pub(crate) fn stop_observing(&self, observer: ObserverId) {
        self.driver.stop_observing(observer);
    }

    /// Runs a callback in the next turn: how misuse is reported that is noticed at once.
    pub(crate) fn defer(&self, callback: impl FnOnce(&mut State) -> Ran + 'static) {
        self.set_timer(Duration::ZERO, Box::new(callback));
    }

    pub(crate) fn set_timer(&self, delay: Duration, callback: TimerTask) -> TimerId {
        self.event_loop().set_timer(delay, callback)
    }

    /// As [`set_timer`](Self::set_timer), for what looks whether something has come in time: by then the
    /// loop has read what came while it was held up.
    pub(crate) fn set_deadline(&self, delay: Duration, callback: TimerTask) -> TimerId {
        self.event_loop().set_deadline(delay, callback)
    }

    pub(crate) fn cancel_timer(&self, timer: TimerId) {
        self.event_loop().cancel_timer(timer);
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.event_loop().now()
    }

    /// The time as the loop has read it last. Costs no system call.
    pub(crate) fn turn_time(&self) -> Instant {
        self.event_loop().turn_time()
    }

    /// An id as other clients make them: 22 letters and digits, which nobody can guess.
    pub(crate) fn new_nuid(&self) -> String {
        const LETTERS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..22).map(|_| char::from(LETTERS[(self.random() % 62) as usize])).collect()
    }

    pub(crate) fn random(&self) -> u64 {
        self.event_loop().random()
    }

    /// What a layer keeps for each client; its first use makes it. It must not hold the client for
    /// longer than a request is under way.
    pub(crate) fn layer<T: Default + 'static>(&self) -> Rc<T> {
        let layers = &mut self.driver.connection.borrow_mut().layers;
        let kept = layers.iter().find_map(|layer| layer.clone().downcast().ok());
        kept.unwrap_or_else(|| {
            let made = Rc::<T>::default();
            layers.push(made.clone());
            made
        })
    }

    /// How often the client has reconnected: what a server has said holds for the same number.
    pub(crate) fn reconnects(&self) -> u64 {
        self.driver.connection.borrow().session.reconnects()
    }

    /// A subject that nobody else uses, outside the inbox of requests.
    pub(crate) fn new_inbox(&self) -> String {
        self.driver.new_inbox()
    }

    /// As [`new_inbox`](Self::new_inbox), for replies of many kinds: what one of them is about is one
    /// token more.
    pub(crate) fn new_inbox_for_many(&self) -> String {
        self.driver.new_inbox_for_many()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.driver.request_timeout
    }

    pub(crate) fn server_info(&self) -> Option<ServerInfo> {
        self.driver.server_info()
    }
}
