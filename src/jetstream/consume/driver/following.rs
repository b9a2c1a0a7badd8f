//! What becomes of the deliveries, for a machine that wants to know: the callback answers, or whoever
//! has taken the right to.

use super::shared::Driver;
use crate::jetstream::consume::delivery::{Delivered, Standing};
use crate::jetstream::consume::delivery_info::DeliveryInfo;
use crate::jetstream::consume::machine::Machine;
use crate::jetstream::consume::settling::{Settled, Settling, Tracker};
use evnats_protocol::Message;
use std::rc::{Rc, Weak};
use std::time::Duration;

impl<M: Machine> Driver<M> {
    /// The way for whoever answers the delivery.
    pub(super) fn track(self: &Rc<Self>, message: &Message) -> Option<Tracker> {
        let info = DeliveryInfo::parse(message.reply_bytes()?)?;
        let settling: Weak<Self> = Rc::downgrade(self);
        Some(Tracker::new(settling, info.stream_sequence))
    }

    /// The callback has run. What nobody has answered or taken is settled by what is answered for the
    /// program.
    pub(super) fn follow(&self, delivered: &Delivered<'_>, is_well: bool) {
        let settled = match delivered.standing() {
            Standing::Taken => return,
            Standing::Settled(settled) => settled,
            Standing::Open if self.answers.acknowledge && is_well => Settled::Done,
            Standing::Open if self.answers.hand_back_after_error && !is_well => {
                Settled::Again(Duration::ZERO)
            }
            Standing::Open => Settled::Unanswered,
        };
        if let Some(tracker) = delivered.tracker() {
            let now = self.port().turn_time();
            self.machine.borrow_mut().handle_settled(tracker.stream_sequence(), settled, now);
        }
    }
}

impl<M: Machine> Settling for Driver<M> {
    fn note_settled(self: Rc<Self>, stream_sequence: u64, settled: Settled) {
        self.machine.borrow_mut().handle_settled(stream_sequence, settled, self.port().now());
        self.act();
        self.go_on_soon();
    }
}
