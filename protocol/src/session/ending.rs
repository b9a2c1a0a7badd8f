//! The end of a connection, and of the session: whatever was pending gets its outcome.
//!
//! What was sent is unknown, what was cut in the middle is never continued, and what was not begun
//! is kept for the next connection, if there may be one. A drain is the end in good order:
//! subscriptions first, then requests and fences, then a last fence.

use super::command_error::CommandError;
use super::event::{EndReason, Event, FlushError, RequestError};
use super::leg::Leg;
use super::life::{DrainStage, Life};
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::tables::fences::Purpose;
use crate::tables::outgoing::HalfWritten;
use crate::tables::requests::Request;
use crate::tables::subscriptions::SubscriptionId;
use crate::wire::op::ClientOp;

impl<S, R, F> Session<S, R, F> {
    /// Ends the session because there will be no other connection.
    pub fn give_up(&mut self, reason: DisconnectReason) {
        self.finish(reason);
    }

    // ---- a lost connection --------------------------------------------------------------------

    /// The connection, or the attempt to make one, is over.
    #[cold]
    pub(super) fn lose_connection(&mut self, reason: DisconnectReason) {
        if self.life.is_over() {
            return;
        }
        let was_open = self.is_open();
        if self.config.resume && self.current.is_idle() {
            // what was lost has been reported
            return;
        }
        if !self.config.resume {
            if !was_open {
                self.events.push_back(Event::ConnectFailed(reason.clone()));
            }
            return self.finish(reason);
        }
        self.abandon_move();
        self.current = Leg::new(&self.config);
        if was_open {
            self.events.push_back(Event::Disconnected(reason));
            self.give_outcomes();
        } else {
            self.events.push_back(Event::ConnectFailed(reason));
        }
    }

    /// Gives outcomes to everything that waited for the lost connection, and keeps the rest for the
    /// next one.
    fn give_outcomes(&mut self) {
        let half = self.outgoing.cut();
        let sent = self.outgoing.total_sent();
        let all_drain = self.life.is_draining();
        for id in self.subscriptions.handle_disconnected(sent, all_drain) {
            self.end_subscription(id, EndReason::Disconnected);
        }
        self.report_half_written(half);
        if self.config.keep_requests {
            self.requests.keep_sent(sent);
        } else {
            for request in self.requests.take_if(|request| request.was_sent(sent)) {
                self.fail_request(request.context, RequestError::OutcomeUnknown);
            }
        }
        self.fail_all_fences();
        self.keep_unsent();
        self.requests.handle_disconnected();
        self.life.enter(DrainStage::Requested);
    }

    fn report_half_written(&mut self, half: Option<HalfWritten>) {
        let Some(HalfWritten { size, subject, reply }) = half else { return };
        self.uncount_sent(size);
        if reply.as_ref().is_some_and(|reply| reply.starts_with(self.requests.inbox())) {
            // the server does not have the end of it, and without the end it does nothing
            let request = reply.and_then(|reply| self.requests.take_by_reply(&reply));
            if let Some(Request { context, .. }) = request {
                self.fail_request(context, RequestError::NeverSent);
            }
        } else {
            let error = CommandError::HalfWritten;
            self.events.push_back(Event::PublishFailed { subject, error });
        }
    }

    fn fail_all_fences(&mut self) {
        while let Some(fence) = self.fences.pop() {
            self.fail_fence(fence.purpose, FlushError::Disconnected);
        }
    }

    // ---- the end of subscriptions -------------------------------------------------------------

    #[cold]
    pub(super) fn end_subscription(&mut self, subscription: SubscriptionId, reason: EndReason) {
        if let Some(context) = self.subscriptions.remove(subscription) {
            self.events.push_back(Event::SubscriptionEnded { subscription, context, reason });
        }
    }

    pub(super) fn end_all_subscriptions(&mut self, reason: EndReason) {
        let all: Vec<_> = self.subscriptions.ids().collect();
        for id in all {
            self.end_subscription(id, reason);
        }
    }

    // ---- draining -----------------------------------------------------------------------------

    pub(super) fn begin_drain(&mut self) {
        self.life.enter(DrainStage::Subscriptions);
        // the next server knows of nothing yet
        self.fail_move(DisconnectReason::Requested);
        self.resume_all();
        self.subscriptions.unsubscribe_all(self.outgoing.buffer());
        self.push_fence(Purpose::DrainAll);
    }

    /// Whether the session's last event is to be reported, or nothing but the last fence is left of a
    /// drain.
    #[cold]
    pub(super) fn has_news_of_end(&self) -> bool {
        self.life.has_end() || self.can_finish_drain()
    }

    /// Whether nothing but the last fence is left of a drain.
    pub(super) fn can_finish_drain(&self) -> bool {
        self.life.is_at(DrainStage::Requests)
            && self.requests.is_empty()
            && !self.fences.is_waited_for()
    }

    /// Sends the last fence once nothing is pending. Called when there is nothing to report, so
    /// every callback has had its turn.
    #[inline(never)]
    pub(super) fn advance_drain(&mut self) -> bool {
        if self.can_finish_drain() {
            self.life.enter(DrainStage::Final);
            self.push_fence(Purpose::Final);
        }
        !self.events.is_empty()
    }

    // ---- the end of the session ---------------------------------------------------------------

    /// Ends the session: everything that is pending gets its outcome.
    #[cold]
    pub(super) fn finish(&mut self, reason: DisconnectReason) {
        if self.life.is_over() {
            return;
        }
        let was_open = self.is_open();
        self.abandon_move();
        self.current = Leg::new(&self.config);
        if was_open {
            self.events.push_back(Event::Disconnected(reason.clone()));
        }
        self.life = Life::Ending(reason);
        self.report_unsent();
        let sent = self.outgoing.total_sent();
        for request in self.requests.take_all() {
            let error = match request.was_sent(sent) {
                true => RequestError::OutcomeUnknown,
                false => RequestError::NeverSent,
            };
            self.fail_request(request.context, error);
        }
        self.fail_all_fences();
        self.end_all_subscriptions(EndReason::Closed);
        self.outgoing.clear();
    }

    /// Counts what was published and will never be sent.
    fn report_unsent(&mut self) {
        if self.outgoing.len() == 0 {
            return;
        }
        let half = self.outgoing.cut();
        self.report_half_written(half);
        let mut decoder = self.outgoing.take();
        let mut messages = 0;
        while let Ok(Some(op)) = decoder.next_op() {
            if let ClientOp::Publish(message) = op {
                self.uncount_sent(message.len());
                messages += u64::from(self.requests.token(&message).is_none());
            }
        }
        if messages > 0 {
            self.events.push_back(Event::Unsent { messages });
        }
    }
}
