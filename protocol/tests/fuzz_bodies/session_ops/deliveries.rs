//! Which messages were on their way to the session, by which server, and what became of them.
//!
//! Every message has a serial number in its payload, so that none is equal to another one. What two
//! servers deliver within [`SKEW`] has to be reported once, what one of them delivers has to be
//! reported.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Copies that take longer to come may be reported again.
const SKEW: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Deliveries {
    all: BTreeMap<u32, Delivery>,
}

#[derive(Default)]
struct Delivery {
    context: u32,
    /// The members of a queue group get their messages from either server, and at once.
    is_shared: bool,
    /// The servers from which it has arrived.
    arrived: Vec<u32>,
    first_arrival: Option<Instant>,
    reported: usize,
    may_repeat: bool,
    /// Both servers have sent it, and the session has seen that.
    is_settled: bool,
}

impl Deliveries {
    /// A message for a subscription is on its way. Returns its serial number.
    pub fn add(&mut self, context: u32, is_shared: bool) -> u32 {
        let serial = self.all.len() as u32;
        self.all.insert(serial, Delivery { context, is_shared, ..Delivery::default() });
        serial
    }

    /// All of a message has reached the session.
    pub fn arrive(&mut self, serial: u32, server: u32, now: Instant) {
        let delivery = self.all.get_mut(&serial).expect("it was sent");
        assert!(!delivery.arrived.contains(&server), "a server sends a message once");
        delivery.arrived.push(server);
        delivery.first_arrival.get_or_insert(now);
    }

    /// Time has passed: what arrives from the next server now may be taken for another message. What
    /// that one has sent first waits, however long it takes.
    pub fn advance(&mut self, now: Instant, next: Option<u32>) {
        for delivery in self.all.values_mut().filter(|delivery| !delivery.is_settled) {
            let is_late = delivery.first_arrival.is_some_and(|first| now - first >= SKEW);
            let waits = delivery.arrived.first() == next.as_ref();
            delivery.may_repeat |= is_late && !waits;
        }
    }

    /// Everything that has arrived was dealt with.
    pub fn settle(&mut self) {
        let by_both = self.all.values_mut().filter(|delivery| delivery.arrived.len() == 2);
        by_both.for_each(|delivery| delivery.is_settled = true);
    }

    /// The session forgets what it knows of copies.
    pub fn forget_copies(&mut self) {
        let arrived = self.all.values_mut().filter(|delivery| !delivery.arrived.is_empty());
        arrived.for_each(|delivery| delivery.may_repeat = true);
    }

    pub fn report(&mut self, serial: u32, context: u32) {
        let delivery = self.all.get_mut(&serial).expect("nothing comes out of nothing");
        assert_eq!(delivery.context, context, "it is for another subscription");
        delivery.reported += 1;
        assert!(delivery.reported <= delivery.arrived.len(), "{serial} has not come so often");
        assert!(delivery.reported == 1 || delivery.may_repeat, "{serial} was reported twice");
    }

    /// How many messages have come for a subscription from its current server, and from the next
    /// one if they are its alone, and were not reported.
    pub fn missing(&self, context: u32, current: u32, next: Option<u32>) -> usize {
        let has_arrived = |delivery: &Delivery| {
            let from_next = next.is_some_and(|next| delivery.arrived.contains(&next));
            delivery.arrived.contains(&current) || (delivery.is_shared && from_next)
        };
        let of_it = self.all.values().filter(|delivery| delivery.context == context);
        of_it.filter(|delivery| has_arrived(delivery) && delivery.reported == 0).count()
    }
}
