//! What follows from the end of a request, and what the program is told of it.

use super::{Pull, Silent};
use crate::jetstream::consume::consumer_error::ConsumerError;
use crate::jetstream::consume::machine::Action;
use crate::jetstream::consume::outcome::{ConsumeEnd, ConsumeEvent};
use crate::jetstream::consume::pull::silence::{Silence, SilenceCause};
use crate::jetstream::consume::pull::window::Open;
use crate::jetstream::consume::status::{PullStatus, StatusKind};
use std::time::{Duration, Instant};

/// A request that has lasted this long was taken by the server, whatever has ended it.
const LASTING: Duration = Duration::from_secs(1);

impl Pull {
    /// A request that was open is over.
    pub(super) fn handle_end_of(&mut self, request: &Open, status: &PullStatus<'_>, now: Instant) {
        let mut is_refused = status.is_refusal();
        match &status.kind {
            StatusKind::Exceeded(limit) => {
                let exceeded = self.limits.exceed(*limit, request.asks, request.expires());
                self.actions
                    .extend(exceeded.map(|limit| Action::Tell(ConsumeEvent::Limited(limit))));
            }
            StatusKind::TooManyWaiting => self.tell_once(ConsumeEvent::MaxWaiting),
            StatusKind::MessageTooLarge if self.is_untouched(request, status) => {
                if !request.is_whole {
                    self.needs_whole = true;
                    return;
                }
                is_refused = true;
                self.tell_once(ConsumeEvent::MessageTooLarge { max_bytes: request.asks.bytes });
            }
            StatusKind::PinMismatch if self.pin.is_some() && request.pin == self.pin_number => {
                self.pin = None;
                self.actions.push_back(Action::Tell(ConsumeEvent::Unpinned));
                // there is a pin only after a message, and without one the request is another one
                return self.backoff.reset();
            }
            StatusKind::LeadershipChange | StatusKind::ServerShutdown => {
                self.window.void_up_to(request.number);
            }
            StatusKind::NoResponders => {
                self.silent = Some(Silent { since: request.sent, asked_again: false });
                self.ask_consumer();
            }
            // as it should be: what was told before is over
            StatusKind::NoMessages | StatusKind::Expired | StatusKind::BatchCompleted => {
                self.told = None;
            }
            StatusKind::Other { code, text } => {
                self.tell_once(ConsumeEvent::Unknown { code: *code, text: text.to_string() });
            }
            _ if status.is_terminal() => return self.fail_for(status),
            _ => {}
        }
        self.pace(request, is_refused, now);
    }

    /// How soon the server may be asked again.
    fn pace(&mut self, request: &Open, is_refused: bool, now: Instant) {
        let has_come = self.received > request.received_before;
        let lasted = request.lasted(now);
        if is_refused || (!has_come && lasted < request.expires().min(LASTING)) {
            self.backoff.fail(now);
        } else if !has_come && lasted < LASTING {
            self.backoff.slow_down(now);
        } else {
            self.backoff.note_progress(now);
        }
    }

    /// Whether a request has brought nothing.
    fn is_untouched(&self, request: &Open, status: &PullStatus<'_>) -> bool {
        match status.pending {
            Some(left) => left.messages >= request.asks.messages,
            None => self.received == request.received_before,
        }
    }

    pub(super) fn tell_silence(&mut self, silent: Silent, cause: SilenceCause, now: Instant) {
        if self.told_cause.as_ref() != Some(&cause) {
            self.told_cause = Some(cause.clone());
            let Silent { since, asked_again } = silent;
            let lasted = now.saturating_duration_since(since);
            let silence = Silence { lasted, cause, asked_again };
            self.actions.push_back(Action::Tell(ConsumeEvent::Silent(silence)));
        }
    }

    /// Tells a warning, if it is not the one that was told last.
    fn tell_once(&mut self, event: ConsumeEvent) {
        if self.told.as_ref() != Some(&event) {
            self.told = Some(event.clone());
            self.actions.push_back(Action::Tell(event));
        }
    }

    pub(super) fn fail_for(&mut self, status: &PullStatus<'_>) {
        if let Some(error) = ConsumerError::of(status) {
            self.end(ConsumeEnd::Failed(error.into()));
        }
    }
}
