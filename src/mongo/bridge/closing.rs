//! The bridge's end: streams stop, calls may come to an outcome for a while, and the threads end.

use super::core::Bridge;
use super::outbox::Left;
use super::phase::Phase;
use crate::callback::{Answer, Ran, State};
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// For how long threads that were asked to end are waited for.
const THREADS_WITHIN: Duration = Duration::from_secs(2);

impl Bridge {
    pub(in crate::mongo) fn is_closed(&self) -> bool {
        self.closing.borrow().is_some()
    }

    /// Whether there is something left to do for the end.
    pub(super) fn is_closing(&self) -> bool {
        let closing = self.closing.borrow();
        closing.as_ref().is_some_and(|own| own.phase != Phase::Over || !own.answers.is_empty())
    }

    /// Ends everything: what has no outcome `within` ends with [`Error::Closed`]. The answer comes when the
    /// threads have ended.
    pub(in crate::mongo) fn close(self: &Rc<Self>, within: Duration, answer: Answer<()>) {
        let is_first = !self.is_closed();
        self.closing.borrow_mut().get_or_insert_default().answers.push_back(answer);
        if is_first {
            self.hang_up_streams();
            self.tell_tenants();
            self.cut_short_in(within, Self::give_up_all);
        }
        self.slot.wake();
    }

    /// Whether a turn would bring the end nearer.
    pub(super) fn can_go_on_closing(&self) -> bool {
        let closing = self.closing.borrow();
        closing.as_ref().is_some_and(|closing| match closing.phase {
            Phase::Draining => self.table.borrow().len() == 0,
            Phase::Ending => self.generations.borrow().is_empty(),
            Phase::Over => !closing.answers.is_empty(),
        })
    }

    /// Goes from one phase to the next when it is over.
    pub(super) fn go_on_closing(self: &Rc<Self>, state: &mut State) -> Ran {
        if self.phase() == Some(Phase::Draining) && self.table.borrow().len() == 0 {
            self.enter(Phase::Ending);
            self.generations.borrow_mut().end();
            self.cut_short_in(THREADS_WITHIN, |bridge| bridge.generations.take().detach());
        }
        if self.phase() == Some(Phase::Ending) && self.generations.borrow().is_empty() {
            self.enter(Phase::Over);
        }
        while self.phase() == Some(Phase::Over) {
            let Some(answer) = self.next_answer() else { break };
            answer(state, ())?;
        }
        Ok(())
    }

    fn phase(&self) -> Option<Phase> {
        self.closing.borrow().as_ref().map(|closing| closing.phase)
    }

    fn next_answer(&self) -> Option<Answer<()>> {
        self.closing.borrow_mut().as_mut()?.answers.pop_front()
    }

    fn enter(&self, phase: Phase) {
        let mut closing = self.closing.borrow_mut();
        let Some(closing) = closing.as_mut() else { return };
        closing.phase = phase;
        if let Some(timer) = closing.timer.take() {
            self.event_loop().cancel_timer(timer);
        }
    }

    /// Has a phase end at the latest then.
    fn cut_short_in(self: &Rc<Self>, delay: Duration, cut: fn(&Rc<Self>)) {
        let weak = Rc::downgrade(self);
        let cut = move |_: &mut State| {
            if let Some(bridge) = weak.upgrade() {
                cut(&bridge);
                bridge.slot.wake();
            }
            Ok(())
        };
        let timer = self.event_loop().set_timer(delay, Box::new(cut));
        if let Some(closing) = self.closing.borrow_mut().as_mut() {
            closing.timer = Some(timer);
        }
    }

    fn give_up_all(self: &Rc<Self>) {
        let ids = self.table.borrow().ids();
        let closed = |id| Left::Ended { id, outcome: Err(Error::Closed) };
        self.arrived.borrow_mut().extend(ids.into_iter().map(closed));
    }
}
