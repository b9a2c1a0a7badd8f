//! What a member of a group has to do: when its consumer is made, when it is another one, and when it is
//! over. A pure state machine: no socket, no clock.
//!
//! The invariant: a member consumes only while there is a consumer with exactly the filters that the
//! last configuration gives it. Others may have had the partitions before, and let go of them in their
//! own time: the server makes no consumer for what is another one's, and the member asks again. Adding
//! filters to a consumer would not do: it may be behind messages of a partition that is new to it.
//!
//! The driver empties `Member::poll_action` after every input, and answers each `Make` and `Delete`.
//! There is exactly one end.

use super::group::{Group, GroupEnd};
use crate::event_loop::after;
use crate::jetstream::Error;
use crate::jetstream::ErrorCode;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pause before a consumer is asked for again, which doubles up to what the member is made with.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// For so long an instance that is not served leaves it to the one that is to change the consumer.
const COURTESY: Duration = Duration::from_millis(500);

/// One instance of a member.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    group: Group,
    /// What the consumer is to have. Empty: there is to be none.
    filters: Vec<String>,
    state: State,
    /// Whether this instance of the member is the one that is served.
    is_pinned: bool,
    /// Whether a consumer with other filters was deleted, since it was waited or the filters have changed:
    /// if there is another one at once, somebody else wants it so.
    has_deleted: bool,
    pause: Duration,
    longest_pause: Duration,
    actions: VecDeque<Action>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It has no partition.
    Idle,
    /// A consumer is to be made then.
    Waiting {
        until: Instant,
    },
    /// The consumer with these filters was asked for.
    Making {
        filters: Vec<String>,
    },
    /// The consumer is to go before the next one, if there is to be one.
    Deleting,
    Consuming,
    Over,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Make the consumer with these filters, if there is none, and answer.
    Make(Vec<String>),
    /// Delete the consumer, and answer unless it is the end.
    Delete,
    /// Consume what the consumer delivers.
    Consume,
    /// Consume no more.
    Stop,
    /// Tell the end.
    End(GroupEnd),
}

impl Member {
    /// Asks for no consumer more seldom than that.
    pub(super) fn new(group: Group, name: &str, longest_pause: Duration) -> Self {
        let filters = group.filters_of(name);
        let mut member = Self {
            name: name.to_owned(),
            group,
            filters,
            state: State::Idle,
            is_pinned: false,
            has_deleted: false,
            pause: FIRST_PAUSE,
            longest_pause,
            actions: VecDeque::new(),
        };
        member.make();
        member
    }

    /// What the consumer is to have.
    pub(super) fn filters(&self) -> &[String] {
        &self.filters
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When it wants to be told the time.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    pub(super) fn handle_time(&mut self, now: Instant) {
        if self.wakeup().is_some_and(|until| until <= now) {
            self.has_deleted = false;
            self.make();
        }
    }

    /// Whether this instance is the one that is served has become known.
    pub(super) fn handle_pin(&mut self, is_pinned: bool) {
        self.is_pinned = is_pinned;
    }

    /// There is another configuration, or the same again.
    pub(super) fn handle_config(&mut self, body: &[u8], now: Instant) {
        if self.state == State::Over {
            return;
        }
        match self.group.read_next(body) {
            Ok(group) => {
                self.group = group;
                self.change(now);
            }
            Err(end) => self.end(end),
        }
    }

    /// The configuration was deleted.
    pub(super) fn handle_removed(&mut self) {
        self.end(GroupEnd::Deleted);
    }

    /// The user wants no more of it. The consumer stays for other instances of the member.
    pub(super) fn stop(&mut self) {
        if self.state != State::Over {
            self.stop_consuming();
            self.state = State::Over;
            self.actions.push_back(Action::End(GroupEnd::Stopped));
        }
    }

    /// The consumer was made, or was there already with the same filters; or it was refused.
    pub(super) fn handle_made(&mut self, outcome: Result<(), Error>, now: Instant) {
        let State::Making { filters } = &self.state else { return };
        let is_outdated = *filters != self.filters;
        match outcome {
            Ok(()) if is_outdated => self.delete(),
            Ok(()) => {
                self.pause = FIRST_PAUSE;
                self.state = State::Consuming;
                self.actions.push_back(Action::Consume);
            }
            // with other filters, as before a change. What a static group's has done is not to be lost
            Err(error)
                if is_code(&error, ErrorCode::CONSUMER_EXISTS) && !self.group.is_static() =>
            {
                match self.has_deleted {
                    true => self.wait_longer(now),
                    false => self.delete(),
                }
            }
            Err(error) if may_change(&error) => self.wait_longer(now),
            Err(error) => self.end(GroupEnd::Refused(error)),
        }
    }

    /// The consumer was deleted, or could not be: whether it is still there shows when it is made.
    pub(super) fn handle_deleted(&mut self) {
        if self.state == State::Deleting {
            self.make();
        }
    }

    /// The consumer is gone: another instance of the member has deleted it, or the server has.
    pub(super) fn handle_consumer_lost(&mut self, now: Instant) {
        if self.state == State::Consuming {
            self.stop_consuming();
            self.wait_longer(now);
        }
    }

    /// Goes on with what the configuration gives the member now.
    fn change(&mut self, now: Instant) {
        let filters = self.group.filters_of(&self.name);
        if filters == self.filters {
            return;
        }
        self.filters = filters;
        self.pause = FIRST_PAUSE;
        self.has_deleted = false;
        match self.state {
            State::Consuming => {
                self.stop_consuming();
                match self.is_pinned {
                    true => self.delete(),
                    false => self.wait(COURTESY, now),
                }
            }
            State::Idle | State::Waiting { .. } => self.make(),
            // the answer tells how to go on
            State::Making { .. } | State::Deleting | State::Over => {}
        }
    }

    fn make(&mut self) {
        match self.filters.is_empty() {
            true if self.group.is_static() => return self.end(GroupEnd::NotMember),
            true => {
                self.state = State::Idle;
                return;
            }
            false => {}
        }
        self.state = State::Making { filters: self.filters.clone() };
        self.actions.push_back(Action::Make(self.filters.clone()));
    }

    fn delete(&mut self) {
        self.has_deleted = true;
        self.state = State::Deleting;
        self.actions.push_back(Action::Delete);
    }

    fn wait_longer(&mut self, now: Instant) {
        self.wait(self.pause, now);
        self.pause = (self.pause * 2).min(self.longest_pause.max(FIRST_PAUSE));
    }

    fn wait(&mut self, pause: Duration, now: Instant) {
        self.state = State::Waiting { until: after(now, pause) };
    }

    fn stop_consuming(&mut self) {
        if self.state == State::Consuming {
            self.actions.push_back(Action::Stop);
        }
    }

    fn end(&mut self, end: GroupEnd) {
        if self.state == State::Over {
            return;
        }
        self.stop_consuming();
        // the consumer of an elastic group goes by itself, and one that is refused is somebody else's
        let is_own = !matches!(end, GroupEnd::Refused(_) | GroupEnd::NotMember);
        if self.group.is_static() && is_own {
            self.actions.push_back(Action::Delete);
        }
        self.state = State::Over;
        self.actions.push_back(Action::End(end));
    }
}

fn is_code(error: &Error, code: ErrorCode) -> bool {
    error.api().is_some_and(|error| error.err_code() == code)
}

/// Whether the same consumer may be made later: a partition is another one's for the moment, or the
/// server does not answer.
fn may_change(error: &Error) -> bool {
    is_code(error, ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE) || error.is_temporary()
}

#[cfg(test)]
mod tests;
