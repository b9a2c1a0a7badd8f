//! How an incarnation is left, and how the next one is made, if there is to be one.

use super::{OrderedPull, Phase, Question};
use crate::event_loop::after;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::consume::filters;
use crate::jetstream::consume::ordered_pull::cause::ResetCause;
use crate::jetstream::consume::ordered_pull::reading::Reading;
use crate::jetstream::consume::outcome::ConsumeEvent;
use crate::jetstream::error::{Error, OrderedError};
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo, StreamInfo};
use crate::jetstream::stall::Stall;
use std::mem;
use std::rc::Rc;
use std::time::Instant;

impl<M: Reading> OrderedPull<M> {
    /// Leaves the incarnation for the next one.
    pub(super) fn reset(&mut self, cause: ResetCause, now: Instant) {
        self.leave(now);
        self.tell(&cause);
        if self.state.options.max_resets.is_some_and(|max| self.state.resets >= max) {
            let resets = self.state.resets;
            return self.fail_with(OrderedError::TooManyResets { resets, cause }, now);
        }
        // a consumer that had worked is replaced at once
        let is_first = self.state.resets == 0 && !matches!(cause, ResetCause::NotMade(_));
        self.state.resets = self.state.resets.saturating_add(1);
        if is_first {
            self.prepare();
        } else {
            self.state.backoff.fail(now);
        }
    }

    fn tell(&mut self, cause: &ResetCause) {
        if let ResetCause::NotMade(stall) = cause
            && self.told.replace(stall.clone()).as_ref() == Some(stall)
        {
            return;
        }
        self.events.push_back(ConsumeEvent::Reset { cause: cause.clone() });
    }

    /// Leaves the incarnation, and owes its deletion if it may exist.
    pub(super) fn leave(&mut self, now: Instant) {
        self.requests.clear();
        let (serial, name) = (self.state.serial, self.state.name.clone());
        match mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Creating => self.debts.add_creating(serial, name, now),
            _ if self.state.consumer.take().is_some() => self.debts.add(serial, name, now),
            _ => {}
        }
    }

    /// The next incarnation is to be made.
    pub(super) fn prepare(&mut self) {
        self.state.next_consumer();
        self.phase = Phase::Preparing;
        self.question = match self.question {
            Question::Asked | Question::AskedBefore => Question::AskedBefore,
            Question::Unasked | Question::Answered => Question::Unasked,
        };
    }

    /// The stream's information, or why it could not be had. Sequences of another stream mean something
    /// else, and a start behind the last one of them is silence.
    pub(super) fn handle_stream(&mut self, stream: Result<&StreamInfo, &Error>, now: Instant) {
        let asked = mem::replace(&mut self.question, Question::Unasked);
        if asked != Question::Asked || !matches!(self.phase, Phase::Preparing) {
            return;
        }
        match stream {
            Ok(info) if self.state.creation.is_another(info.created) => {
                self.fail_with(OrderedError::StreamRecreated, now);
            }
            // if the question is not permitted, the creation may be
            Ok(_) => self.question = Question::Answered,
            Err(error) if error.is_denied() => self.question = Question::Answered,
            Err(error) => self.fail_start(error, now),
        }
    }

    /// The consumer was made, or was not.
    pub(super) fn handle_created(
        &mut self,
        incarnation: u64,
        made: Result<&ConsumerInfo, &Error>,
        now: Instant,
    ) {
        if let Ok(info) = made {
            // even if it has been left: it shows where the next one has to begin
            self.state.position.record_origin(info);
        }
        let exists = made.map_or_else(may_exist, |_| true);
        if !matches!(self.phase, Phase::Creating) || incarnation != self.state.serial {
            return self.debts.handle_created(incarnation, exists, now);
        }
        self.phase = Phase::Waiting;
        if exists {
            let config = made.ok().and_then(|info| info.config.clone());
            self.state.consumer = Some(Rc::new(config.unwrap_or_default()));
        }
        let subjects = &self.state.options.filter_subjects;
        match made {
            Ok(info) if filters::are_ignored(subjects, info) => {
                self.fail_with(OrderedError::FiltersUnsupported, now);
            }
            Ok(info) if self.lacks_metadata(info) => {
                let members = vec!["metadata".to_owned()];
                self.fail_finally(Error::MadeDifferently { members }, now);
            }
            Ok(_) => self.read(now),
            // a server before 2.10 saw none of several filters, and misses the one it needs
            Err(error) if subjects.len() > 1 && is_without_filter(error) => {
                self.fail_with(OrderedError::FiltersUnsupported, now);
            }
            Err(error) => self.fail_start(error, now),
        }
    }

    /// Whether the server has dropped the metadata without a word, as 2.9 does.
    fn lacks_metadata(&self, info: &ConsumerInfo) -> bool {
        let has = |config: &ConsumerConfig| {
            self.state.options.metadata.keys().all(|key| config.metadata.contains_key(key))
        };
        info.config.as_ref().is_some_and(|config| !has(config))
    }

    /// There is no consumer, for now or for good.
    fn fail_start(&mut self, error: &Error, now: Instant) {
        match (stall_of(error), error.api()) {
            (Some(stall), _) => self.reset(ResetCause::NotMade(stall), now),
            (None, Some(api)) if api.err_code() == ErrorCode::STREAM_NOT_FOUND => {
                self.fail_with(OrderedError::StreamNotFound(api.clone()), now);
            }
            (None, Some(api)) => self.fail_with(OrderedError::Rejected(api.clone()), now),
            (None, None) => self.fail_finally(error.clone(), now),
        }
    }

    pub(super) fn fail_with(&mut self, error: OrderedError, now: Instant) {
        self.fail_finally(error.into(), now);
    }

    fn fail_finally(&mut self, error: Error, now: Instant) {
        self.leave(now);
        self.finish(M::failed(error), now);
    }

    /// Ends it. What it leaves is deleted before, if that does not take long.
    pub(super) fn finish(&mut self, end: M::End, now: Instant) {
        if !self.is_running() {
            return;
        }
        let is_kept = M::KEEPS_CONSUMER && matches!(self.phase, Phase::Reading(_));
        if !is_kept {
            self.leave(now);
        }
        self.requests.clear();
        self.phase = Phase::Closing;
        self.end = Some(end);
        self.debts.give_up_at(after(now, self.state.options.inactive_threshold));
        self.close();
    }

    /// The end, once, when it is time for it.
    pub(super) fn poll_end(&mut self) -> Option<M::End> {
        let end = if self.close() { self.end.take()? } else { return None };
        self.phase = Phase::Ended;
        Some(end)
    }

    /// Returns whether it is time for the end. Then the state is ready for the next read, which may begin
    /// before anybody asks for the end: in the callback of the last message.
    fn close(&mut self) -> bool {
        let Phase::Closing = self.phase else { return false };
        let is_late = M::deadline(&self.wanted).is_some_and(|deadline| deadline <= self.now);
        let is_time = !self.connected || is_late || !self.debts.is_waited_for(self.now);
        if is_time && let Some(home) = self.home.take() {
            home.put(self.state.clone());
        }
        is_time
    }

    pub(super) fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Closing | Phase::Ended)
    }

    /// Whether there is no consumer to read at the moment, and there is to be one.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Preparing | Phase::Creating)
    }
}

/// Whether the consumer may have been made all the same. It may be the reply that is denied.
fn may_exist(error: &Error) -> bool {
    let is_answered = error.api().is_some() || matches!(error, Error::NotAvailable);
    !is_answered
}

/// Why there is no consumer for now; `None`: there never will be one.
fn stall_of(error: &Error) -> Option<Stall> {
    match error {
        Error::NotAvailable => Some(Stall::NotAvailable),
        Error::Malformed(_) => None,
        error if error.is_denied() || error.is_closed() => None,
        error if !error.is_temporary() && !error.is_outcome_unknown() => None,
        error => Some(error.api().map_or(Stall::NoAnswer, |api| Stall::Refused(api.clone()))),
    }
}

fn is_without_filter(error: &Error) -> bool {
    error.api().is_some_and(|api| api.err_code() == ErrorCode::DELIVER_POLICY_CONFLICT)
}
