//! The times of a batch: when the server is asked what it has, and when it is given up.

use super::batch::Operation;
use super::machine::Due;
use super::progress::{Progress, Way};
use super::shared::Ingest;
use crate::callback::State;
use crate::jetstream::error::Error;
use evnats_protocol::{OutgoingMessage, RequestError};
use std::rc::Rc;
use std::time::Duration;

/// The longest pause between two looks at the time.
const TICK: Duration = Duration::from_secs(1);

impl Ingest {
    pub(super) fn tick_later(self: &Rc<Self>, progress: &mut Progress) {
        if progress.timer.is_some() {
            return;
        }
        let Way::Fast(batch) = &progress.way else { return };
        let Some(deadline) = batch.machine.next_deadline() else { return };
        let delay = deadline.saturating_duration_since(self.port().now()).min(TICK);
        let ingest = Rc::downgrade(self);
        let on_due = move |_: &mut State| {
            if let Some(ingest) = ingest.upgrade() {
                ingest.progress.borrow_mut().timer = None;
                ingest.tick();
            }
            Ok(())
        };
        progress.timer = Some(self.port().set_deadline(delay, Box::new(on_due)));
    }

    pub(super) fn tick(self: &Rc<Self>) {
        let mut progress = self.progress.borrow_mut();
        let Progress { way: Way::Fast(batch), home, .. } = &mut *progress else { return };
        match batch.machine.handle_timeout(self.port().now()) {
            Some(Due::Ask(number)) => {
                let question = OutgoingMessage::new(home, "");
                // what does not fit into the buffer is asked the next time
                let _ = batch.publish(self.port(), question, number, Operation::Ping);
            }
            Some(Due::GiveUp) => {
                let timeout = Error::Request(RequestError::Timeout);
                drop(progress);
                return self.fail(timeout);
            }
            None => {}
        }
        self.tick_later(&mut progress);
    }
}
