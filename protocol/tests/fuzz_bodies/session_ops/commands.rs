//! What a driver commands, and the checks of what the session returns at once.

use super::super::reader::Reader;
use super::{SECOND, Subscribed, World, number};
use evnats_protocol::{
    CommandError, HeaderMap, OutgoingMessage, PendingLimits, Phase, SubscriptionId,
};
use std::time::Duration;

impl World {
    pub fn context(&mut self) -> u32 {
        self.contexts += 1;
        self.contexts
    }

    pub fn subscribe(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let subject = ["a", "a.*", ">", "a b", ""][input.below(5)];
        let is_shared = input.flag();
        match self.session.subscribe(subject, is_shared.then_some("q"), context) {
            Ok(id) => {
                let subscribed = Subscribed {
                    id,
                    received: 0,
                    max: None,
                    is_shared,
                    drains: false,
                    drains_here: false,
                    must_end: false,
                    is_certain: true,
                };
                assert!(self.subscriptions.insert(context, subscribed).is_none());
                assert!(!self.ids.contains(&id), "an id was given twice");
                assert_eq!(self.session.subscription_mut(id), Some(&mut context.clone()));
                self.ids.push(id);
                self.cluster.sids.insert(id.sid(), context);
            }
            Err((error, returned)) => {
                assert_eq!(returned, context);
                self.count_refusal(&error);
            }
        }
    }

    /// Any id, dead or alive.
    pub fn id(&self, input: &mut Reader<'_>) -> Option<SubscriptionId> {
        let index = input.below(self.ids.len().max(1));
        self.ids.get(index).copied()
    }

    pub fn context_of(&self, id: SubscriptionId) -> Option<u32> {
        self.subscriptions.iter().find(|(_, entry)| entry.id == id).map(|(context, _)| *context)
    }

    pub fn unsubscribe(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        match self.session.unsubscribe(id) {
            Ok(context) => assert_eq!(self.subscriptions.remove(&context).unwrap().id, id),
            Err(error) => assert_eq!(error, CommandError::UnknownSubscription),
        }
    }

    pub fn unsubscribe_after(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let max = input.below(4) as u64;
        let snapshot = self.session.subscription_snapshot(id).unwrap_or_default();
        let waits = snapshot.pending_messages > 0 || snapshot.dropped > 0;
        if self.session.unsubscribe_after(id, max).is_ok() {
            let context = self.context_of(id).expect("the session knows it");
            let entry = self.subscriptions.get_mut(&context).unwrap();
            entry.is_certain &= !waits;
            // what has received its last message is over, whatever is asked then
            if entry.max != Some(entry.received) {
                entry.max = Some(max.max(entry.received));
            }
        }
    }

    pub fn drain_subscription(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let context = self.context();
        self.fences.insert(context);
        if self.session.is_moving() {
            self.delayed.insert(context);
        }
        if let Some(context) = self.context_of(id) {
            let entry = self.subscriptions.get_mut(&context).unwrap();
            entry.drains = true;
            entry.drains_here |= self.session.phase() == Phase::Ready;
        }
        self.session.drain_subscription(id, input.below(4) as u32 * SECOND, context);
    }

    pub fn set_pending_limits(&mut self, input: &mut Reader<'_>) {
        let Some(id) = self.id(input) else { return };
        let limits = PendingLimits::new().messages(input.below(4));
        let limits = limits.bytes([1 << 20, 12, 0][input.below(3)]);
        let is_live = self.context_of(id).is_some();
        let is_known = self.session.set_pending_limits(id, limits).is_ok();
        assert!(is_live || !is_known, "it has ended");
    }

    pub fn begin_move(&mut self) {
        // a driver has one transport to the next server, which it keeps until it hears of its end
        if self.next.is_some() {
            return;
        }
        let is_ready = self.session.phase() == Phase::Ready && !self.session.is_moving();
        assert_eq!(self.session.begin_move(self.now), is_ready);
        assert_eq!(self.session.is_moving(), is_ready);
        if is_ready {
            self.deliveries.forget_copies();
            self.next = Some(self.new_server());
        }
    }

    pub fn flush(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        self.fences.insert(context);
        let timeout = [SECOND, 3 * SECOND, Duration::MAX, Duration::ZERO][input.below(4)];
        self.session.flush(timeout, context);
    }

    /// The payload begins with the context's number.
    pub fn payload(&self, context: u32, input: &mut Reader<'_>) -> Vec<u8> {
        let mut payload = format!("#{context} ").into_bytes();
        let padding = [0, 50, 200, 70_000][input.below(4)];
        payload.resize(payload.len() + padding, b'x');
        payload
    }

    pub fn publish(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let payload = self.payload(context, input);
        let headers = HeaderMap::new().with("A", "1");
        let subject = format!("p.{context}");
        let mut message = OutgoingMessage::new(&subject, payload);
        if input.flag() {
            message = message.headers(&headers);
        }
        match self.session.publish(message) {
            Ok(()) => {
                self.published.insert(context);
            }
            Err(error) => {
                self.cluster.unseen.insert(context);
                self.check_full(context, error);
            }
        }
    }

    pub fn request(&mut self, input: &mut Reader<'_>) {
        let context = self.context();
        let payload = self.payload(context, input);
        let timeouts = [SECOND, 3 * SECOND, Duration::MAX, Duration::ZERO];
        // one choice more: a request that cannot be made
        let timeout = timeouts.get(input.below(5)).copied();
        let subject = if timeout.is_some() { "service" } else { "bad subject" };
        let timeout = timeout.unwrap_or(SECOND);
        self.requests.insert(context);
        self.session.request(OutgoingMessage::new(subject, payload), timeout, context);
    }

    pub fn check_full(&mut self, context: u32, error: CommandError) {
        self.count_refusal(&error);
        if let CommandError::BufferFull { payload, limit } = error {
            assert_eq!(number(&payload), Some(context));
            assert!([self.max_buffered, self.max_unconnected].contains(&limit));
            self.waits_for_room |= payload.len() <= limit;
        }
    }

    pub fn count_refusal(&mut self, error: &CommandError) {
        let is_refusal =
            matches!(error, CommandError::BufferFull { .. } | CommandError::NotConnected { .. });
        self.refusals += usize::from(is_refusal);
    }
}
