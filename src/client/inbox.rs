//! An inbox of its own for what comes in many messages: the subscription, the observation of the
//! connection meanwhile, and a timer that looks how long nothing has come.
//!
//! The callbacks may hold the owner of the inbox, which then lives until it is [closed](Inbox::close).
//! Whatever the inbox has is given back once: when it is closed, when something takes its place, or when
//! the inbox is dropped.

use super::hooks::{Delivery, Observed};
use super::port::{ObserverId, Port};
use crate::callback::{Ran, State};
use crate::event_loop::TimerId;
use evnats_protocol::{CommandError, EndReason, Message, SubscriptionId};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What is heard on an inbox: a message, or why there will be none.
pub(crate) type Heard<'m> = Result<&'m Message, EndReason>;

pub(crate) struct Inbox {
    port: Port,
    subscription: Cell<Option<SubscriptionId>>,
    observer: Cell<Option<ObserverId>>,
    timer: Cell<Option<TimerId>>,
    /// When something was last heard, to tell what takes long from what is stuck.
    heard: Cell<Instant>,
}

impl Inbox {
    pub(crate) fn new(port: &Port) -> Self {
        Self {
            port: port.clone(),
            subscription: Cell::new(None),
            observer: Cell::new(None),
            timer: Cell::new(None),
            heard: Cell::new(port.now()),
        }
    }

    /// Listens on a subject, and no longer on the one before. The callback is given every message, and
    /// the reason if the subscription ends by itself.
    pub(crate) fn listen(
        &self,
        subject: &str,
        callback: impl FnMut(&mut State, Heard<'_>) -> Ran + 'static,
    ) -> Result<(), CommandError> {
        self.listen_as(subject, None, callback)
    }

    /// As [`listen`](Self::listen), perhaps as a member of a queue group.
    pub(crate) fn listen_as(
        &self,
        subject: &str,
        queue_group: Option<&str>,
        mut callback: impl FnMut(&mut State, Heard<'_>) -> Ran + 'static,
    ) -> Result<(), CommandError> {
        self.stop_listening();
        let on_delivery = move |state: &mut State, delivery: Delivery<'_>| match delivery {
            Delivery::Message(message) => callback(state, Ok(message)),
            // the client that drains tells the end
            Delivery::Ended(EndReason::Drained) => Ok(()),
            Delivery::Ended(reason) => callback(state, Err(*reason)),
        };
        let subscription = self.port.subscribe(subject, queue_group, Box::new(on_delivery))?;
        self.subscription.set(Some(subscription));
        Ok(())
    }

    /// Has a callback run with what becomes of the connection.
    pub(crate) fn observe(&self, callback: impl FnMut(&mut State, Observed) -> Ran + 'static) {
        self.stop_observing();
        self.observer.set(Some(self.port.observe(Box::new(callback))));
    }

    /// Has a callback run after this time, to look at the [`silence`](Self::silence).
    pub(crate) fn look_after(
        &self,
        delay: Duration,
        callback: impl FnOnce(&mut State) -> Ran + 'static,
    ) {
        self.cancel_timer();
        self.timer.set(Some(self.port.set_deadline(delay, Box::new(callback))));
    }

    /// Something was heard.
    pub(crate) fn note_progress(&self) {
        self.heard.set(self.port.turn_time());
    }

    /// For how long nothing was heard.
    pub(crate) fn silence(&self) -> Duration {
        self.port.turn_time().saturating_duration_since(self.heard.get())
    }

    /// Listens until everything has come that the server has sent, and runs the callback then.
    pub(crate) fn drain(&self, on_drained: impl FnOnce(&mut State) -> Ran + 'static) {
        if let Some(subscription) = self.subscription.take() {
            self.port.drain_subscription(subscription, on_drained);
        }
    }

    /// Ends the subscription, the observation and the timer: no callback runs any more.
    pub(crate) fn close(&self) {
        self.stop_listening();
        self.cancel_timer();
        self.stop_observing();
    }

    fn stop_listening(&self) {
        if let Some(subscription) = self.subscription.take() {
            self.port.unsubscribe(subscription);
        }
    }

    fn stop_observing(&self) {
        if let Some(observer) = self.observer.take() {
            self.port.stop_observing(observer);
        }
    }

    fn cancel_timer(&self) {
        if let Some(timer) = self.timer.take() {
            self.port.cancel_timer(timer);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_loop::EventLoop;
    use std::rc::Rc;

    /// Fills an inbox with callbacks that hold what is given.
    fn fill(inbox: &Inbox, held: &Rc<()>) {
        let (listening, observing, waiting) = (held.clone(), held.clone(), held.clone());
        let on_message = move |_: &mut State, _: Heard<'_>| {
            let _held = &listening;
            Ok(())
        };
        inbox.listen("inbox", on_message).expect("a subscription");
        inbox.observe(move |_, _| {
            let _held = &observing;
            Ok(())
        });
        inbox.look_after(Duration::from_secs(60), move |_| {
            drop(waiting);
            Ok(())
        });
    }

    #[test]
    fn whatever_an_inbox_has_is_given_back_once() {
        let event_loop = EventLoop::<()>::new().expect("an event loop");
        let client = event_loop.connect("nats://127.0.0.1:1").expect("a client");
        let (inbox, held) = (Inbox::new(client.port()), Rc::new(()));
        fill(&inbox, &held);
        assert_eq!(Rc::strong_count(&held), 4);
        fill(&inbox, &held);
        assert_eq!(Rc::strong_count(&held), 4, "the second ones take the place of the first ones");
        inbox.close();
        assert_eq!(Rc::strong_count(&held), 1);
        // what others have got since has the same place, and is theirs
        let other = Inbox::new(client.port());
        fill(&other, &held);
        inbox.close();
        drop(inbox);
        assert_eq!(Rc::strong_count(&held), 4, "it was given back before");
        drop(other);
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
