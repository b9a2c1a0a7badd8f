//! The bridge's turns on the loop: what has come over is told.

use super::core::Bridge;
use super::id::Id;
use super::outbox::{Left, Parcel};
use super::phase::Closing;
use super::under_way::Kind;
use crate::callback::{Ran, State};
use crate::event_loop::{Progress, Readiness, Source};
use crate::mongo::error::Error;
use mio::Token;
use std::rc::Rc;
use std::time::Instant;

/// What a turn tells at most, so that MongoDB does not starve the others of the loop.
const MAX_TOLD: usize = 256;

impl Source for Bridge {
    fn handle_ready(&self, _: Token, _: Readiness) {}

    fn turn(self: Rc<Self>, state: &mut State, _: Instant) -> Ran {
        // what was reported once is not reported again
        let taken = self.outbox.take();
        self.arrived.borrow_mut().extend(taken);
        for _ in 0..MAX_TOLD {
            let Some(left) = self.arrived.borrow_mut().pop_front() else { break };
            self.tell(state, left)?;
        }
        self.go_on_closing(state)
    }

    fn settle(&self, _: Instant) -> Progress {
        if !self.arrived.borrow().is_empty() || self.can_go_on_closing() {
            Progress::More
        } else if self.table.borrow().len() > 0 || self.is_closing() {
            Progress::Idle(None)
        } else {
            Progress::Over
        }
    }

    /// Also after a turn that has left nothing under way: then the thread stays, for the next call.
    fn abandon(&self) {
        if !self.event_loop().has_ended() {
            return;
        }
        let under_way = self.table.borrow_mut().drain();
        let closing = self.closing.replace(Some(Closing::over()));
        let arrived = self.arrived.take();
        let generations = self.generations.take();
        let tenants = self.tenants.take();
        // user code may run in the drop of a callback; threads are waited for in that of generations
        drop((under_way, closing, arrived, tenants, generations));
    }
}

impl Bridge {
    fn tell(&self, state: &mut State, left: Left) -> Ran {
        match left {
            Left::Item { id, item, bytes } => self.tell_item(state, id, item, bytes),
            Left::Ended { id, outcome } => {
                self.late_in_a_row.set(0);
                match self.finish(id) {
                    Some(ended) => (ended.on_end)(state, outcome),
                    // it was given up
                    None => Ok(()),
                }
            }
            Left::Gone { generation } => self.handle_gone(generation),
        }
    }

    fn tell_item(&self, state: &mut State, id: Id, item: Parcel, bytes: usize) -> Ran {
        let mut table = self.table.borrow_mut();
        let Some(under_way) = table.get_mut(id) else { return Ok(()) };
        let Kind::Stream { on_item, line } = &under_way.kind else { return Ok(()) };
        let (on_item, is_stopped) = (on_item.share(), line.is_stopped());
        drop(table);
        match is_stopped {
            true => Ok(()),
            false => on_item.run(|on_item| on_item(state, item, bytes)),
        }
    }

    /// A thread has ended. If nobody asked it to, what it had to do has no outcome.
    fn handle_gone(&self, generation: u64) -> Ran {
        let was_current = self.generations.borrow().is_current(generation);
        let gone = self.generations.borrow_mut().take_gone(generation);
        if let Some(gone) = gone {
            gone.join();
        }
        if was_current {
            let lost = self.table.borrow().of_generation(generation);
            let panicked = |id| Left::Ended { id, outcome: Err(Error::Panicked) };
            self.arrived.borrow_mut().extend(lost.into_iter().map(panicked));
        }
        Ok(())
    }
}
