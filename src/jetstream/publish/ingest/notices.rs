//! What an ingest hears of the connection, and what others hear of it: that there is room, in a turn
//! of its own.

use super::progress::Way;
use super::shared::Ingest;
use crate::callback::{Ran, State};
use crate::client::Observed;
use crate::jetstream::error::Error;
use crate::jetstream::publish::observer::Observer;
use std::rc::Rc;

impl Ingest {
    pub(super) fn notify_soon(self: &Rc<Self>) {
        if !std::mem::replace(&mut self.progress.borrow_mut().has_notice, true) {
            let ingest = self.clone();
            self.port().defer(move |state| ingest.notify(state));
        }
    }

    /// Commits if that is wanted and possible, and says that there is room.
    fn notify(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.has_notice = false;
        if self.is_finishing() {
            drop(progress);
            self.try_to_finish();
            return Ok(());
        }
        let has_room = progress.wants_room
            && match &progress.way {
                Way::Fast(batch) => batch.machine.is_ready() && self.port().has_room(0),
                Way::Window(_) => true,
                Way::Undecided | Way::Over => false,
            };
        progress.wants_room &= !has_room;
        drop(progress);
        match has_room {
            true => self.hooks.ready.run(|hook| hook(state, self, &())),
            false => Ok(()),
        }
    }
}

impl Observer for Ingest {
    fn observe(self: Rc<Self>, observed: Observed) {
        match observed {
            Observed::Connected | Observed::Disconnected | Observed::Denied(_) => {}
            Observed::Writable => self.notify_soon(),
            Observed::Reconnected => {
                if let Way::Fast(batch) = &mut self.progress.borrow_mut().way {
                    batch.machine.handle_reconnected(self.port().now());
                }
                self.tick();
                self.notify_soon();
            }
            Observed::Ended => {
                self.fail(Error::Closed);
            }
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.progress.borrow().way, Way::Over)
    }

    fn release(&self) {
        let way = std::mem::replace(&mut self.progress.borrow_mut().way, Way::Over);
        if let Way::Window(window) = &way {
            window.release();
        }
        let hooks = &self.hooks;
        drop((hooks.ready.take(), hooks.acknowledged.take(), hooks.gap.take()));
        drop((hooks.refused.take(), hooks.ended.take()));
        drop(self.finishing.take());
    }
}
