//! Paused subscriptions: their messages wait in the session, up to a limit, until they are resumed.
//!
//! A subscription that is being drained is not paused: to drain is to deliver what is left.

use super::command_error::CommandError;
use super::event::{EndReason, Event};
use super::state::Session;
use crate::tables::paused::{PausedMessages, PendingLimits, SubscriptionSnapshot};
use crate::tables::subscriptions::{Subscription, SubscriptionId};
use crate::wire::message::Message;

impl<S, R, F> Session<S, R, F> {
    /// Holds a subscription's messages back until [`resume`](Self::resume). They count towards its
    /// maximum when they arrive.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`] if it has ended, [`CommandError::Draining`] if it, or
    /// the session, is being drained.
    pub fn pause(&mut self, id: SubscriptionId) -> Result<(), CommandError> {
        let is_draining = self.life.is_draining();
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        if entry.draining || is_draining {
            return Err(CommandError::Draining);
        }
        entry.held.get_or_insert_default().paused = true;
        Ok(())
    }

    /// Delivers what a paused subscription has held back, and then what arrives.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`] if it has ended.
    pub fn resume(&mut self, id: SubscriptionId) -> Result<(), CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        if let Some(held) = &mut entry.held
            && std::mem::take(&mut held.paused)
        {
            // until it is empty, what arrives goes after it
            self.inbound.resumed.push_back(id);
        }
        Ok(())
    }

    /// Changes how much may wait for a subscription while it is paused. What waits already stays.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`] if it has ended.
    pub fn set_pending_limits(
        &mut self,
        id: SubscriptionId,
        limits: PendingLimits,
    ) -> Result<(), CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        entry.held.get_or_insert_default().limits = limits;
        Ok(())
    }

    /// A subscription in numbers. `None` if it has ended.
    #[must_use]
    pub fn subscription_snapshot(&self, id: SubscriptionId) -> Option<SubscriptionSnapshot> {
        let entry = self.subscriptions.get(id)?;
        // what comes beyond the maximum is late, and does not count
        let arrived = entry.max.map_or(entry.received, |max| entry.received.min(max));
        Some(match &entry.held {
            Some(held) => held.snapshot(arrived),
            None => PausedMessages::default().snapshot(arrived),
        })
    }

    /// Resumes all paused subscriptions.
    pub(super) fn resume_all(&mut self) {
        let all: Vec<_> = self.subscriptions.ids().collect();
        for id in all {
            // cannot fail: these are the ids of live subscriptions
            let _ = self.resume(id);
        }
    }

    /// A message has arrived for a paused subscription.
    #[cold]
    pub(super) fn hold(&mut self, id: SubscriptionId, message: &Message) {
        let held = self.subscriptions.get_mut(id).and_then(|entry| entry.held.as_deref_mut());
        let Some(held) = held else { return };
        if held.push(message) {
            let dropped = held.dropped();
            self.events.push_back(Event::SlowConsumer { subscription: id, dropped });
        }
        if self.subscriptions.get(id).is_some_and(Subscription::has_all) {
            self.end_at_server(id);
        }
    }

    /// The next message of a subscription that has been resumed.
    #[cold]
    pub(super) fn next_resumed(&mut self, place: &mut Message) -> Option<Event<S, R, F>> {
        while let Some(id) = self.inbound.resumed.front().copied() {
            let entry = self.subscriptions.get_mut(id);
            let held = entry.and_then(|entry| entry.held.as_deref_mut());
            // it may have ended, or have been paused again
            let message = held.filter(|held| !held.paused).and_then(PausedMessages::pop);
            let is_complete = self.subscriptions.is_complete(id);
            if let Some(message) = message {
                if is_complete {
                    self.inbound.finish(id);
                }
                *place = message;
                return Some(Event::Message { subscription: id });
            }
            self.inbound.resumed.pop_front();
            if is_complete {
                self.end_subscription(id, EndReason::MaxReached);
            }
        }
        None
    }
}
