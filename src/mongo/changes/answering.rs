//! Answers that come later are taken up in the next turn, many at once.

use crate::callback::{Ran, State};
use crate::mongo::changes::delivery::Delivery;
use crate::mongo::changes::watch::Watch;
use std::rc::Rc;
use std::time::Duration;

impl Watch {
    pub(super) fn take_answer(self: &Rc<Self>, delivery: Delivery) {
        let mut work = self.work.borrow_mut();
        let is_first = work.answered.is_empty();
        work.answered.push_back(delivery);
        drop(work);
        if is_first {
            self.take_up_soon();
        }
    }

    fn take_up_soon(self: &Rc<Self>) {
        let watch = self.clone();
        let take_up = move |state: &mut State| watch.take_up(state);
        self.bridge.event_loop().set_timer(Duration::ZERO, Box::new(take_up));
    }

    fn take_up(self: &Rc<Self>, state: &mut State) -> Ran {
        let rest = Rest(self);
        while let Some(delivery) = self.next_answered() {
            self.pass_on(state, delivery)?;
        }
        drop(rest);
        Ok(())
    }

    fn next_answered(&self) -> Option<Delivery> {
        self.work.borrow_mut().answered.pop_front()
    }
}

/// What an error or a panic leaves is taken up in the next turn.
struct Rest<'a>(&'a Rc<Watch>);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let has_rest = !self.0.work.borrow().answered.is_empty();
        if has_rest {
            self.0.take_up_soon();
        }
    }
}
