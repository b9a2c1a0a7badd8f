//! A window that stays full: whoever was refused hears after a while that nothing was answered
//! meanwhile, and why.

use super::report::Stalled;
use super::shared::Window;
use crate::callback::State;
use std::rc::Rc;

impl Window {
    /// Looks after a while whether anything was answered meanwhile.
    pub(super) fn watch_for_a_stall(self: &Rc<Self>, subject: Rc<str>) {
        let mut progress = self.progress.borrow_mut();
        if progress.stall_timer.is_some() || progress.outstanding == 0 {
            return;
        }
        let answered = progress.answered();
        let window = Rc::downgrade(self);
        let on_due = move |_: &mut State| {
            if let Some(window) = window.upgrade() {
                window.look_for_a_stall(subject);
            }
            Ok(())
        };
        let timer = self.port().set_deadline(self.options().stall_after, Box::new(on_due));
        progress.stall_timer = Some((timer, answered));
    }

    fn look_for_a_stall(self: &Rc<Self>, subject: Rc<str>) {
        let mut progress = self.progress.borrow_mut();
        let answered_before = progress.stall_timer.take().map(|(_, answered)| answered);
        let has_moved = answered_before != Some(progress.answered());
        let wants_room = progress.wants_room;
        drop(progress);
        match (wants_room, has_moved) {
            (false, _) => {}
            (true, true) => self.watch_for_a_stall(subject),
            (true, false) => self.report_a_stall(&subject),
        }
    }

    fn report_a_stall(self: &Rc<Self>, subject: &str) {
        if self.hooks.stalled.is_empty() {
            return log::warn!("{} messages wait for an acknowledgement", self.outstanding());
        }
        let window = self.clone();
        self.api().ask_why_unanswered(subject, move |state, reason| {
            let stalled = Stalled { outstanding: window.outstanding(), reason };
            window.hooks.stalled.run(|hook| hook(state, &window, &stalled))
        });
    }
}
