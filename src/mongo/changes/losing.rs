//! The server does not know the position any more, or nobody can read it.

use crate::callback::{Ran, State};
use crate::error::Error as AnyError;
use crate::mongo::changes::cluster_time::{behind, cluster_time};
use crate::mongo::changes::lost::Lost;
use crate::mongo::changes::options::{HistoryLost, Start};
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::changes::state::{StopReason, WatchState};
use crate::mongo::changes::watch::{Phase, Watch};
use crate::mongo::error::Error;
use bson::Timestamp;
use std::rc::Rc;

/// How often in a row a position may be lost before the watcher does not go on any more.
const RESETS: u32 = 3;

impl Watch {
    pub(super) fn handle_lost(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        let may_go_on = self.work.borrow().resets < RESETS;
        match self.stream.history_lost {
            HistoryLost::ResetToNow if may_go_on => self.reset_to_now(state, error),
            HistoryLost::Resnapshot if may_go_on && !self.on_history_lost.is_empty() => {
                self.note_time(error);
                Ok(())
            }
            _ => self.stop(state, StopReason::HistoryLost(error)),
        }
    }

    fn reset_to_now(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        let from = self.forget_position();
        let cause: Rc<AnyError> = Rc::new(error.into());
        let waiting = self.pause_in_any_case(cause.clone());
        self.tell(state, WatchState::Reset { from, cause })?;
        self.tell(state, waiting)
    }

    /// Returns the position. What is done of it later would lead back to where nothing is any more.
    fn forget_position(&self) -> Option<ResumePoint> {
        let mut work = self.work.borrow_mut();
        work.resets += 1;
        work.tally.resets += 1;
        work.in_flight.clear();
        work.sequence.clear();
        work.sequence.end_repeating();
        work.beginning = None;
        work.saving.unsaved = None;
        work.position.take()
    }

    /// Asks what time it is by the cluster's clock: what is read from then on, and what the stream tells
    /// since then, leave no gap between them.
    fn note_time(self: &Rc<Self>, error: Error) {
        let mut work = self.work.borrow_mut();
        work.phase = Phase::Resnapshotting;
        work.opening += 1;
        let opening = work.opening;
        drop(work);
        let operation = async move |client: mongodb::Client| {
            let mut session = client.start_session().await?;
            cluster_time(&client, &mut session).await
        };
        let watch = self.clone();
        let noted = move |state: &mut State, time| watch.hand_out(state, opening, error, time);
        self.bridge.call(self.bridge.options().timeout, operation, Box::new(noted));
    }

    fn hand_out(
        self: &Rc<Self>,
        state: &mut State,
        opening: u64,
        error: Error,
        time: Result<Timestamp, Error>,
    ) -> Ran {
        if self.is_ending() || self.work.borrow().opening != opening {
            return Ok(());
        }
        let time = match time {
            Ok(time) => time,
            Err(failed) if failed.is_temporary() => {
                let cause = Rc::new(failed.into());
                return self.fail(state, cause, |_| StopReason::HistoryLost(error));
            }
            Err(failed) => return self.stop(state, StopReason::Failed(failed)),
        };
        let from = self.forget_position();
        let cause: Rc<AnyError> = Rc::new(error.into());
        // what is told first may fail, and the program is asked all the same
        self.ask_soon(Lost { opening, time, from: from.clone(), cause: cause.clone() });
        self.tell(state, WatchState::Resnapshot { from, cause })
    }

    fn ask_soon(self: &Rc<Self>, lost: Lost) {
        let watch = self.clone();
        let ask = move |state: &mut State, lost: Lost| {
            if watch.is_ending() || watch.work.borrow().opening != lost.opening {
                return Ok(());
            }
            watch.on_history_lost.run(|on_history_lost| on_history_lost(state, &watch, lost))
        };
        self.bridge.defer(Box::new(ask), lost);
    }

    /// The program has read its data anew, or has failed to.
    pub(super) fn handle_resnapshot(
        self: &Rc<Self>,
        state: &mut State,
        opening: u64,
        outcome: Result<(Timestamp, Rc<AnyError>), Rc<AnyError>>,
    ) -> Ran {
        if self.is_ending() || self.work.borrow().opening != opening {
            return Ok(());
        }
        match outcome {
            Ok((time, cause)) => {
                self.work.borrow_mut().beginning = Some(Start::At(behind(time)));
                let waiting = self.pause_in_any_case(cause);
                self.tell(state, waiting)
            }
            Err(error) => self.stop(state, StopReason::Resnapshot(error)),
        }
    }
}
