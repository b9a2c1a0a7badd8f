//! What others hear of a window as a whole: room, and the end. They hear it in a turn of its own, so
//! that a callback which fails costs them nothing.

use super::shared::{OnFinished, Window};
use crate::callback::{Ran, State};
use crate::client::Observed;
use crate::jetstream::publish::observer::Observer;
use std::rc::Rc;

impl Window {
    /// Calls back when nothing is outstanding.
    pub(crate) fn finish(self: &Rc<Self>, callback: OnFinished) {
        self.finishing.borrow_mut().push(callback);
        self.notify_soon();
    }

    /// Has those who wait for room and for the end hear of it, in a turn of its own.
    pub(super) fn notify_soon(self: &Rc<Self>) {
        if !std::mem::replace(&mut self.progress.borrow_mut().has_notice, true) {
            let window = self.clone();
            self.port().defer(move |state| window.notify(state));
        }
    }

    fn notify(self: &Rc<Self>, state: &mut State) -> Ran {
        let mut progress = self.progress.borrow_mut();
        progress.has_notice = false;
        let is_over = progress.outstanding == 0;
        let finished = if is_over { self.finishing.take() } else { Vec::new() };
        let has_room =
            progress.wants_room && self.is_half_empty(&progress) && self.port().has_room(0);
        progress.wants_room &= !has_room;
        let report = progress.report.clone();
        drop(progress);
        for callback in finished {
            let (window, report) = (self.clone(), report.clone());
            self.port().defer(move |state| callback(state, &window, report));
        }
        if is_over && !self.hooks.all_acknowledged.is_empty() {
            let window = self.clone();
            self.port().defer(move |state| {
                window.hooks.all_acknowledged.run(|hook| hook(state, &window, &report))
            });
        }
        if self.has_ended.get() {
            if is_over {
                let window = self.clone();
                // after those that are called back above
                self.port().defer(move |_| {
                    window.release_hooks();
                    Ok(())
                });
            }
            return Ok(());
        }
        match has_room {
            true => self.hooks.ready.run(|hook| hook(state, self, &())),
            false => Ok(()),
        }
    }

    /// Lets go of the hooks. Whoever waits for the end may have come just now.
    pub(super) fn release_hooks(&self) {
        let hooks = &self.hooks;
        drop((hooks.ready.take(), hooks.all_acknowledged.take()));
        drop((hooks.stalled.take(), hooks.failed.take()));
    }
}

impl Observer for Window {
    fn observe(self: Rc<Self>, observed: Observed) {
        match observed {
            Observed::Connected | Observed::Disconnected | Observed::Denied(_) => {}
            Observed::Reconnected | Observed::Writable => {
                if self.progress.borrow().wants_room {
                    self.notify_soon();
                }
            }
            Observed::Ended => {
                self.has_ended.set(true);
                self.give_up_resending();
                self.notify_soon();
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    fn release(&self) {
        self.release_hooks();
        drop((self.finishing.take(), self.resend.take(), self.diagnosing.take()));
    }
}
