//! Paused subscriptions: their messages wait in the session, up to a limit, until they are resumed.
//!
//! A subscription that is being drained is not paused: to drain is to deliver what is left.

use super::Session;
use super::command_error::CommandError;
use super::event::{EndReason, Event};
use crate::tables::paused::{Held, Pending, PendingLimits};
use crate::tables::subscriptions::{Subscription, SubscriptionId};
use crate::wire::message::Message;

impl<S, R, F> Session<S, R, F> {
    /// Holds a subscription's messages back until [`resume`](Self::resume). They count towards its
    /// maximum when they come.
    pub fn pause(&mut self, id: SubscriptionId) -> Result<(), CommandError> {
        let is_draining = self.drain.is_some();
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        if entry.draining || is_draining {
            return Err(CommandError::Draining);
        }
        entry.held.get_or_insert_default().paused = true;
        Ok(())
    }

    /// Delivers what a paused subscription has held back, and then what comes.
    pub fn resume(&mut self, id: SubscriptionId) -> Result<(), CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        if let Some(held) = &mut entry.held
            && std::mem::take(&mut held.paused)
        {
            // until it is empty, what comes goes behind it
            self.resumed.push_back(id);
        }
        Ok(())
    }

    /// Changes how much may wait for a subscription while it is paused.
    pub fn set_pending_limits(
        &mut self,
        id: SubscriptionId,
        limits: PendingLimits,
    ) -> Result<(), CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        entry.held.get_or_insert_default().limits = limits;
        Ok(())
    }

    /// What waits for a subscription, and how much was dropped. `None` if it has ended.
    pub fn pending(&self, id: SubscriptionId) -> Option<Pending> {
        let entry = self.subscriptions.get(id)?;
        Some(entry.held.as_deref().map_or(Pending::default(), Held::pending))
    }

    /// Resumes whatever is paused.
    pub(super) fn resume_all(&mut self) {
        let all: Vec<_> = self.subscriptions.ids().collect();
        for id in all {
            // they are alive
            let _ = self.resume(id);
        }
    }

    /// A message has come for a paused subscription.
    #[cold]
    pub(super) fn hold(&mut self, id: SubscriptionId, message: &Message) {
        let held = self.subscriptions.get_mut(id).and_then(|entry| entry.held.as_deref_mut());
        let Some(held) = held else { return };
        if held.push(message) {
            let dropped = held.pending().dropped;
            self.events.push_back(Event::SlowConsumer { subscription: id, dropped });
        }
        if self.subscriptions.get(id).is_some_and(Subscription::has_all) {
            self.end_at_server(id);
        }
    }

    /// The next message of a subscription that has been resumed.
    #[cold]
    pub(super) fn next_resumed(&mut self) -> Option<Event<S, R, F>> {
        while let Some(id) = self.resumed.front().copied() {
            let entry = self.subscriptions.get_mut(id);
            let held = entry.and_then(|entry| entry.held.as_deref_mut());
            // it may have ended, or have been paused again
            let message = held.filter(|held| !held.paused).and_then(Held::pop);
            if self.subscriptions.is_complete(id) {
                self.finished = Some(id);
            }
            if let Some(message) = message {
                return Some(Event::Message { subscription: id, message });
            }
            self.resumed.pop_front();
            if let Some(id) = self.finished.take() {
                self.end_subscription(id, EndReason::MaxReached);
            }
        }
        None
    }
}
