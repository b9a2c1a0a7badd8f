//! The client's callbacks as its inside knows them, with the state's type erased: of requests,
//! fences and subscriptions, of the layers that observe a connection, and the user's hooks.

use super::capture::Frame;
use super::error::ConnectionError;
use super::port::Port;
use crate::callback::{CallbackSlot, Ran, State};
use crate::error::Result;
use evnats_protocol::{
    DisconnectReason, EndReason, Event, FlushError, LegMut, Message, RequestError, ServerError,
    ServerInfo, Session, SubscriptionId,
};
use std::rc::Rc;
use std::time::Duration;

/// What a subscription's callback is given: references, which are handed over in registers.
pub(crate) enum Delivery<'a> {
    Message(&'a Message),
    /// The last delivery. Does not come after an unsubscribe.
    Ended(&'a EndReason),
}

/// What a layer above learns about the connection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observed {
    /// The connection was lost. Whatever the server was about to send is lost with it.
    Disconnected,
    /// The first connection is established.
    Connected,
    /// Another connection is established, and subscriptions are restored.
    Reconnected,
    /// A command was refused because the outgoing buffer was full, and it has emptied.
    Writable,
    /// The server does not permit something that was no request and no subscription of ours.
    Denied(Rc<ServerError>),
    /// The client is over: there will be no other connection.
    Ended,
}

pub(crate) type OnDelivery = Box<dyn FnMut(&mut State, Delivery<'_>) -> Ran>;
/// How a request ended. The reply is a view of the read buffer.
pub(crate) type Reply<'m> = Result<&'m Message, RequestError>;
pub(crate) type OnReply = Box<dyn Awaiting>;
pub(crate) type OnFence = Box<dyn FnOnce(&mut State, &Port, Result<Duration, FlushError>) -> Ran>;
pub(crate) type OnEnd = Box<dyn FnOnce(&mut State, EndReason) -> Ran>;
pub(crate) type OnObserved = Box<dyn FnMut(&mut State, Observed) -> Ran>;

/// What awaits the reply to a request: a callback, or an operation in a [box that is
/// used again](super::spares).
pub(crate) trait Awaiting {
    fn hear(self: Box<Self>, state: &mut State, port: &Port, reply: Reply<'_>) -> Ran;
}

impl<F: FnOnce(&mut State, &Port, Reply<'_>) -> Ran> Awaiting for F {
    #[inline]
    fn hear(self: Box<Self>, state: &mut State, port: &Port, reply: Reply<'_>) -> Ran {
        (*self)(state, port, reply)
    }
}

pub(crate) type Subscriber = CallbackSlot<OnDelivery>;

/// The protocol's session, with these callbacks attached to what they are for.
pub(crate) type ClientSession = Session<Subscriber, OnReply, OnFence>;
pub(crate) type ClientLeg<'s> = LegMut<'s, Subscriber, OnReply, OnFence>;
pub(crate) type ClientEvent = Event<Subscriber, OnReply, OnFence>;

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

/// What one of several callbacks is to hear of.
pub(super) enum Notice {
    /// For one of the layers above.
    Observed(CallbackSlot<OnObserved>, Observed),
    /// For the user.
    Writable,
    Denied(Rc<ServerError>),
    Connected(Box<ServerInfo>),
    Reconnected(Box<ServerInfo>),
    Disconnected(DisconnectReason),
    Closed(DisconnectReason),
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
