//! What a session reports, and what must be true of it.

use super::{Subscribed, World, number};
use evnats_protocol::{
    EndReason, Event, FlushError, Message, Phase, RequestError, SubscriptionId, Which,
};

impl World {
    /// Takes one event and checks it. Returns whether there was one.
    pub fn poll(&mut self) -> bool {
        // the short way, wherever it is open
        if let Some(subscription) = self.delivered
            && self.session.poll_another(subscription, &mut self.place)
        {
            self.check_message(subscription, &self.place.clone());
            return true;
        }
        let reply = self.session.poll_reply(&mut self.place);
        let reply = reply.map(|context| Event::Reply { context, outcome: Ok(()) });
        let event = reply.or_else(|| self.session.poll_event(&mut self.place));
        self.delivered = match event {
            Some(Event::Message { subscription }) => Some(subscription),
            _ => None,
        };
        let Some(event) = event else {
            // a driver that keeps the read buffer is slower, and nothing else
            if self.session.statistics().messages_in.is_multiple_of(2) {
                self.place.clear();
            }
            let has_room = self.session.buffered_len() == 0;
            let is_ready = self.session.phase() == Phase::Ready;
            assert!(
                !(self.waits_for_room && has_room && is_ready),
                "nobody says that there is room"
            );
            let is_over =
                |entry: &Subscribed| entry.is_certain && entry.max == Some(entry.received);
            assert!(!self.subscriptions.values().any(is_over), "its end was not reported");
            let must_end = |entry: &Subscribed| entry.must_end;
            assert!(!self.subscriptions.values().any(must_end), "its drain was forgotten");
            self.check_missing();
            return false;
        };
        match event {
            Event::Message { subscription } => {
                let message = self.place.clone();
                self.check_message(subscription, &message);
            }
            Event::SubscriptionEnded { subscription, context, reason } => {
                let entry = self.subscriptions.remove(&context).expect("ends once");
                assert_eq!(entry.id, subscription);
                assert_eq!(self.session.subscription_mut(subscription), None);
                if reason == EndReason::MaxReached && entry.is_certain {
                    assert_eq!(entry.max, Some(entry.received));
                }
            }
            Event::Reply { context, outcome } => self.check_reply(context, outcome),
            Event::Fence { context, outcome } => {
                assert!(self.fences.remove(&context), "one outcome");
                if outcome.is_ok() && !self.delayed.contains(&context) {
                    assert!(self.passed < Some(context), "fences are passed in order");
                    self.passed = Some(context);
                }
                match outcome {
                    Err(FlushError::Command(error)) => self.count_refusal(&error),
                    Err(FlushError::Disconnected) => assert!(self.disconnected || self.is_over()),
                    _ => {}
                }
            }
            Event::PublishFailed { subject, .. } => {
                let context = subject[2..].parse().expect("the subject that was published to");
                assert!(self.published.remove(&context), "failed once");
                self.cluster.unseen.insert(context);
            }
            Event::Writable => {
                self.waits_for_room = false;
                self.refusals = self.refusals.checked_sub(1).expect("somebody was refused");
            }
            Event::Connected => assert!(!std::mem::replace(&mut self.connected, true)),
            Event::Reconnected => {
                assert!(self.connected && self.disconnected && self.resumes);
                self.reconnects += 1;
            }
            Event::Moved => {
                self.current = self.next.take().expect("a server to move to");
                self.reconnects += 1;
            }
            Event::MoveFailed(_) => _ = self.next.take().expect("a server to move to"),
            Event::SlowConsumer { subscription, dropped } => {
                let snapshot =
                    self.session.subscription_snapshot(subscription).expect("a live subscription");
                assert!(dropped > 0 && snapshot.dropped >= dropped);
                let context = self.context_of(subscription).expect("a live subscription");
                self.subscriptions.get_mut(&context).unwrap().is_certain = false;
            }
            Event::Disconnected(_) => {
                // the move has ended with the connection
                self.next = None;
                assert!(!self.session.is_moving());
                self.subscriptions
                    .values_mut()
                    .for_each(|entry| entry.must_end |= entry.drains_here);
                let again = std::mem::replace(&mut self.disconnected, true);
                assert!(self.connected && (self.resumes || !again));
            }
            Event::Closed(_) => assert!(!std::mem::replace(&mut self.closed, true)),
            _ => {}
        }
        true
    }

    /// There is nothing more to report: everything that has come was reported, is held back for a
    /// paused subscription, or was dropped there.
    fn check_missing(&mut self) {
        let is_open = matches!(self.session.phase(), Phase::Ready | Phase::Draining);
        if !is_open || self.cluster.raw {
            return;
        }
        self.deliveries.settle();
        let next_is_ready = self.session.leg(Which::Next).phase() == Phase::Ready;
        let next = self.next.as_ref().filter(|_| next_is_ready).map(|next| next.id);
        for (context, entry) in &self.subscriptions {
            let snapshot =
                self.session.subscription_snapshot(entry.id).expect("a live subscription");
            let held = snapshot.pending_messages + snapshot.dropped as usize;
            let missing = self.deliveries.missing(*context, self.current.id, next);
            assert!(entry.max.is_some() || missing <= held, "{missing} lost, {held} held");
        }
    }

    fn check_message(&mut self, id: SubscriptionId, message: &Message) {
        let context = self.context_of(id).expect("a live subscription");
        let entry = self.subscriptions.get_mut(&context).unwrap();
        entry.received += 1;
        let is_allowed = entry.max.is_none_or(|max| entry.received <= max);
        assert!(is_allowed || !entry.is_certain, "one too many");
        assert_eq!(self.session.subscription_mut(id).copied(), Some(context));
        if !self.cluster.raw {
            assert_eq!(number(message.payload()), Some(context), "{message:?}");
            let serial = message.text().split(' ').nth(1).and_then(|serial| serial.parse().ok());
            self.deliveries.report(serial.expect("a serial number"), context);
        }
    }

    fn check_reply(&mut self, context: u32, outcome: Result<(), RequestError>) {
        assert!(self.requests.remove(&context), "one outcome");
        match outcome {
            Ok(()) => {
                let message = &self.place;
                let is_own = number(message.payload()) == Some(context);
                let is_mapped = message.payload() == b"mapped";
                let was_only = self.session.request_count() == 0;
                let is_mine = is_own || (is_mapped && was_only);
                assert!(self.cluster.raw || is_mine, "{context}: {message:?}");
            }
            Err(RequestError::Command(error)) => {
                self.cluster.unseen.insert(context);
                self.check_full(context, error);
            }
            Err(RequestError::NeverSent) => {
                assert!(!self.cluster.seen.contains(&context), "it was sent");
                self.cluster.unseen.insert(context);
            }
            Err(RequestError::OutcomeUnknown) => assert!(self.disconnected),
            Err(_) => {}
        }
    }
}
