//! A subscription's handle: the second argument of its callback, and what ends, pauses and counts it.

use super::handle::Client;
use super::hooks::{Delivery, OnDelivery};
use super::port::Port;
use crate::callback::{Callback, Outcome, RefHandler, lend};
use crate::error::Result;
use crate::event_loop::timers_on;
use evnats_protocol::{
    EndReason, FlushError, Message, PendingLimits, SubscriptionId, SubscriptionSnapshot,
};
use std::fmt;

/// A subscription. A cheap handle: clones are the same subscription, and dropping them does not end
/// it.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<u32>::new()?;
/// # let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// nats.subscribe("jobs", |done: &mut u32, jobs, message| {
///     *done += 1;
///     if *done == 3 {
///         jobs.unsubscribe();
///     }
///     jobs.client().respond(message, "done")
/// })?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Subscription<S: 'static = ()> {
    client: Client<S>,
    id: SubscriptionId,
}

impl<S: 'static> Subscription<S> {
    pub(super) fn new(client: Client<S>, id: SubscriptionId) -> Self {
        Self { client, id }
    }

    /// The client that it is a subscription of.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        &self.client
    }

    /// The id, which is never used for another subscription of the client.
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.snapshot().is_some()
    }

    /// Ends the subscription at once: the callback does not run again, not even for what has come
    /// already. Returns whether it had not ended before.
    #[expect(clippy::must_use_candidate, reason = "a command, whose answer may be of no interest")]
    pub fn unsubscribe(&self) -> bool {
        self.port().driver.unsubscribe(self.id).is_ok()
    }

    /// Ends the subscription with its `max`th message, counted from its beginning: after two
    /// messages, a `max` of 3 lets one more pass, and one of 2 ends it at once.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended.
    pub fn unsubscribe_after(&self, max: u64) -> Result<()> {
        let (driver, id) = (&self.port().driver, self.id);
        Ok(driver.command(|session| session.unsubscribe_after(id, max))?)
    }

    /// Ends the subscription without losing a message: the server stops sending, and the callback
    /// given here runs after the last message.
    ///
    /// Without a connection, a drain needs room in the outgoing buffer, as every other command does.
    /// If there is none, the callback gets [`FlushError::Command`], and the subscription stays.
    pub fn drain(&self, callback: impl Callback<S, Subscription<S>, Result<(), FlushError>>) {
        let subscription = self.clone();
        let on_fence = Box::new(move |state: &mut _, _: &Port, outcome: Result<_, _>| {
            callback(lend(state), &subscription, outcome.map(drop)).into_ran()
        });
        let (driver, id) = (&self.port().driver, self.id);
        let timeout = driver.request_timeout;
        driver.command(|session| session.drain_subscription(id, timeout, on_fence));
    }

    /// Runs a callback when the subscription ends otherwise than by
    /// [`unsubscribe`](Self::unsubscribe): after the last message, with the reason. It replaces the
    /// one that was set before. Nothing runs if the subscription has ended already.
    pub fn on_end(&self, callback: impl Callback<S, Subscription<S>, EndReason>) {
        let subscription = self.clone();
        let on_end = Box::new(move |state: &mut _, reason| {
            callback(lend(state), &subscription, reason).into_ran()
        });
        self.port().driver.set_on_end(self.id, on_end);
    }

    /// Holds the callback back until [`resume`](Self::resume): messages wait here. What goes beyond
    /// the [limits](Self::set_pending_limits) is dropped and reported to
    /// [`Client::on_slow_consumer`]. Draining resumes.
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): the subscription has ended, or is being drained.
    pub fn pause(&self) -> Result<()> {
        Ok(self.port().driver.command(|session| session.pause(self.id))?)
    }

    /// Resumes a paused subscription: delivers held messages first, then new ones.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended.
    pub fn resume(&self) -> Result<()> {
        Ok(self.port().driver.command(|session| session.resume(self.id))?)
    }

    /// Changes how much may wait while the subscription is paused.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`](crate::CommandError::UnknownSubscription): it has ended.
    pub fn set_pending_limits(&self, limits: PendingLimits) -> Result<()> {
        let (driver, id) = (&self.port().driver, self.id);
        Ok(driver.command(|session| session.set_pending_limits(id, limits))?)
    }

    /// What waits, what was delivered and dropped, and the limits. `None` if it has ended.
    #[must_use]
    pub fn snapshot(&self) -> Option<SubscriptionSnapshot> {
        self.port().driver.connection.borrow().session.subscription_snapshot(self.id)
    }

    fn port(&self) -> &Port {
        self.client.port()
    }
}

timers_on!(Subscription, |subscription| subscription.port().event_loop());

impl<S> Clone for Subscription<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), id: self.id }
    }
}

impl<S> PartialEq for Subscription<S> {
    /// Whether both are the same subscription of the same client.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.client == other.client
    }
}

impl<S> Eq for Subscription<S> {}

impl<S> fmt::Debug for Subscription<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<S: 'static> Client<S> {
    /// Subscribes to a subject, which may have wildcards: `*` for a token, `>` for the last ones.
    /// The callback runs for every message, in the order of the wire.
    ///
    /// Dropping the handle does not unsubscribe.
    ///
    /// # Errors
    /// [`CommandError`](crate::CommandError): an invalid subject, a client that drains or is closed.
    /// That the server does not permit it is reported to [`on_error`](Self::on_error).
    #[doc(alias = "Subscribe")]
    pub fn subscribe(
        &self,
        subject: &str,
        callback: impl RefHandler<S, Subscription<S>, Message>,
    ) -> Result<Subscription<S>> {
        self.subscribe_as(subject, None, callback)
    }

    /// Subscribes as a member of a queue group: of its members, one gets each message.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), or a group that is empty or has white space.
    #[doc(alias = "QueueSubscribe")]
    pub fn queue_subscribe(
        &self,
        subject: &str,
        queue_group: &str,
        callback: impl RefHandler<S, Subscription<S>, Message>,
    ) -> Result<Subscription<S>> {
        self.subscribe_as(subject, Some(queue_group), callback)
    }

    fn subscribe_as(
        &self,
        subject: &str,
        queue_group: Option<&str>,
        mut callback: impl RefHandler<S, Subscription<S>, Message>,
    ) -> Result<Subscription<S>> {
        let client = self.clone();
        let id = self.port().subscribe_with(subject, queue_group, |id| -> OnDelivery {
            let subscription = Subscription::new(client, id);
            Box::new(move |state, delivery| match delivery {
                Delivery::Message(message) => {
                    callback(lend(state), &subscription, message).into_ran()
                }
                Delivery::Ended(_) => Ok(()),
            })
        })?;
        Ok(Subscription::new(self.clone(), id))
    }

    /// The handle of a live subscription, by its id.
    #[must_use]
    pub fn subscription(&self, id: SubscriptionId) -> Option<Subscription<S>> {
        let subscription = Subscription::new(self.clone(), id);
        subscription.is_active().then_some(subscription)
    }
}
