//! The end of an ingest: when everything is stored and the program wants it, or before that, for a
//! reason. Whoever finishes it hears of it, or the hook, and once.

use super::batch::Operation;
use super::progress::{Progress, Way};
use super::report::IngestReport;
use super::shared::{Ingest, OnFinished};
use crate::jetstream::error::Error;
use crate::jetstream::publish::observer::Observer;
use crate::jetstream::publish::window::WindowReport;
use evnats_protocol::OutgoingMessage;
use std::rc::Rc;

impl Ingest {
    /// Ends the ingest when everything is stored, and calls back.
    pub(crate) fn finish(self: &Rc<Self>, callback: OnFinished) {
        let progress = self.progress.borrow();
        if matches!(progress.way, Way::Over) || self.is_finishing() {
            let ended = progress.ended(None);
            drop(progress);
            let ingest = self.clone();
            return self.port().defer(move |state| callback(state, &ingest, Err(ended)));
        }
        drop(progress);
        self.finishing.replace(Some(callback));
        self.notify_soon();
    }

    pub(super) fn try_to_finish(self: &Rc<Self>) {
        let mut progress = self.progress.borrow_mut();
        if let Way::Window(window) = &progress.way {
            let (window, ingest) = (window.clone(), self.clone());
            drop(progress);
            return window.finish(Box::new(move |_, _, report| {
                ingest.finish_window(&report);
                Ok(())
            }));
        }
        let Progress { way: Way::Fast(batch), home, .. } = &mut *progress else { return };
        if !batch.machine.is_started() {
            let report = progress.report.clone();
            drop(progress);
            return self.end(Ok(report));
        }
        if batch.machine.may_commit() {
            let end = OutgoingMessage::new(home, "");
            let number = batch.machine.sent() + 1;
            match batch.publish(self.port(), end, number, Operation::CommitEnd) {
                Ok(()) => drop(batch.machine.commit(self.port().turn_time())),
                // an observer hears of room
                Err(error) if error.is_temporary() => {}
                Err(error) => {
                    drop(progress);
                    self.fail(error.into());
                }
            }
        }
    }

    fn finish_window(self: &Rc<Self>, window: &WindowReport) {
        let mut progress = self.progress.borrow_mut();
        progress.report.stored = window.stored;
        progress.report.last_sequence = window.last_sequence;
        let is_whole = window.is_complete() || self.options.continue_on_gap;
        let outcome = match is_whole {
            true => Ok(progress.report.clone()),
            false => Err(progress.ended(window.first_error.clone())),
        };
        drop(progress);
        self.end(outcome);
    }

    /// The ingest is over before all is stored, for this reason.
    pub(super) fn fail(self: &Rc<Self>, cause: Error) {
        let ended = self.progress.borrow().ended(Some(cause));
        self.end(Err(ended));
    }

    /// The ingest is over, however it was. Tells the one who finishes it, or the hook.
    pub(super) fn end(self: &Rc<Self>, outcome: Result<IngestReport, Error>) {
        if matches!(self.progress.borrow().way, Way::Over) {
            return;
        }
        self.leave_batch();
        let way = std::mem::replace(&mut self.progress.borrow_mut().way, Way::Over);
        if let Way::Window(window) = &way {
            window.hooks.ready.take();
            window.hooks.failed.take();
        }
        let finishing = self.finishing.take();
        let ingest = self.clone();
        self.port().defer(move |state| {
            let told = match (finishing, outcome) {
                (Some(callback), outcome) => callback(state, &ingest, outcome),
                (None, Err(error)) => ingest.hooks.ended.run(|hook| hook(state, &ingest, &error)),
                (None, Ok(_)) => Ok(()),
            };
            ingest.release();
            told
        });
    }

    pub(super) fn leave_batch(&self) {
        let mut progress = self.progress.borrow_mut();
        let timer = progress.timer.take();
        progress.report = progress.report();
        if let Way::Fast(batch) = &progress.way {
            let subscription = batch.subscription;
            progress.way = Way::Undecided;
            drop(progress);
            self.port().unsubscribe(subscription);
        }
        if let Some(timer) = timer {
            self.port().cancel_timer(timer);
        }
    }
}
