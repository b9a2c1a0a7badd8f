//! The client's callbacks: their types, and the hooks of a connection.

use super::Client;
use super::capture::Frame;
use crate::error::ConnectionError;
use crate::place::Place;
use evnats_protocol::{
    DisconnectReason, FlushError, Message, RequestError, ServerInfo, SubscriptionId,
};
use std::time::Duration;

/// What a subscription's callback is told. Users see the messages only; the layers above want to
/// know when messages may be missing, and when there will be no more.
pub(crate) enum Delivery<'a> {
    Message(&'a Message),
    Disconnected,
    Reconnected,
    Ended,
}

pub(crate) type OnDelivery<S> = Box<dyn FnMut(&mut S, &Client<S>, Delivery<'_>)>;
pub(crate) type OnReply<S> = Box<dyn FnOnce(&mut S, &Client<S>, Result<Message, RequestError>)>;
pub(crate) type OnFence<S> = Box<dyn FnOnce(&mut S, &Client<S>, Result<Duration, FlushError>)>;

pub(crate) type Subscriber<S> = Place<OnDelivery<S>>;

pub(crate) type Hook<S, T> = Place<Box<dyn FnMut(&mut S, &Client<S>, &T)>>;

/// What a user wants to be told of a connection as a whole.
pub(crate) struct Hooks<S: 'static> {
    pub(super) connect: Hook<S, ServerInfo>,
    pub(super) reconnect: Hook<S, ServerInfo>,
    pub(super) disconnect: Hook<S, DisconnectReason>,
    pub(super) error: Hook<S, ConnectionError>,
    pub(super) lame_duck: Hook<S, ()>,
    pub(super) slow_consumer: Hook<S, (SubscriptionId, u64)>,
    pub(super) writable: Hook<S, ()>,
    pub(super) close: Hook<S, DisconnectReason>,
    pub(super) discover: Hook<S, Vec<String>>,
    pub(super) frame: Hook<S, Frame>,
}

impl<S> Default for Hooks<S> {
    fn default() -> Self {
        Self {
            connect: Place::default(),
            reconnect: Place::default(),
            disconnect: Place::default(),
            error: Place::default(),
            lame_duck: Place::default(),
            slow_consumer: Place::default(),
            writable: Place::default(),
            close: Place::default(),
            discover: Place::default(),
            frame: Place::default(),
        }
    }
}
