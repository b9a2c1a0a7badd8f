//! The client's callbacks: their types, and the hooks of a connection.

use super::Client;
use crate::error::ConnectionError;
use evnats_protocol::{DisconnectReason, FenceError, Message, RequestError, ServerInfo};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// What a subscription's callback is told. Users see the messages only; the layers above want to
/// know when there will be no more.
pub(crate) enum Delivery<'a> {
    Message(&'a Message),
    Ended,
}

pub(crate) type OnDelivery<S> = Box<dyn FnMut(&mut S, &Client<S>, Delivery<'_>)>;
pub(crate) type OnReply<S> = Box<dyn FnOnce(&mut S, &Client<S>, Result<Message, RequestError>)>;
pub(crate) type OnFence<S> = Box<dyn FnOnce(&mut S, &Client<S>, Result<Duration, FenceError>)>;

/// A subscription's callback, which is away while it runs. Its place is shared with whoever runs
/// it, so that it comes back also when the subscription has ended meanwhile, and can be told so.
pub(crate) struct Subscriber<S: 'static>(Rc<Cell<Option<OnDelivery<S>>>>);

impl<S: 'static> Subscriber<S> {
    pub(super) fn new(callback: OnDelivery<S>) -> Self {
        Self(Rc::new(Cell::new(Some(callback))))
    }

    /// The same place, to run the callback where nothing is borrowed.
    #[inline]
    pub(super) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Runs the callback, which goes back to its place also when it panics.
    #[inline]
    pub(super) fn call(&self, state: &mut S, client: &Client<S>, delivery: Delivery<'_>) {
        struct Lent<'a, S: 'static> {
            place: &'a Cell<Option<OnDelivery<S>>>,
            callback: Option<OnDelivery<S>>,
        }
        impl<S> Drop for Lent<'_, S> {
            #[inline]
            fn drop(&mut self) {
                self.place.set(self.callback.take());
            }
        }
        let mut lent = Lent { place: &self.0, callback: self.0.take() };
        if let Some(callback) = &mut lent.callback {
            callback(state, client, delivery);
        }
    }
}

/// A hook, which is away while it runs.
pub(crate) type Hook<S, T> = Option<Box<dyn FnMut(&mut S, &Client<S>, &T)>>;

/// What a user wants to be told of a connection as a whole.
pub(crate) struct Hooks<S: 'static> {
    pub(super) connect: Hook<S, ServerInfo>,
    pub(super) disconnect: Hook<S, DisconnectReason>,
    pub(super) error: Hook<S, ConnectionError>,
    pub(super) lame_duck: Hook<S, ()>,
    pub(super) writable: Hook<S, ()>,
    pub(super) close: Hook<S, ()>,
}

impl<S> Default for Hooks<S> {
    fn default() -> Self {
        Self {
            connect: None,
            disconnect: None,
            error: None,
            lame_duck: None,
            writable: None,
            close: None,
        }
    }
}
