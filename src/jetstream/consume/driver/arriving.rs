//! What a read hears: messages and statuses, what becomes of the connection, and the time.

use super::handing::Release;
use super::shared::{Driver, Phase};
use crate::callback::{Ran, State};
use crate::client::Observed;
use crate::jetstream::consume::ack;
use crate::jetstream::consume::machine::{Machine, Verdict};
use crate::jetstream::error::Error;
use evnats_protocol::{EndReason, Message, RequestError, ServerError};
use std::rc::Rc;
use std::time::Duration;

impl<M: Machine> Driver<M> {
    pub(super) fn listen(
        self: &Rc<Self>,
        subject: &str,
        queue_group: Option<&str>,
    ) -> Result<(), Error> {
        let driver = self.clone();
        let denied = Error::SubscriptionDenied { subject: subject.to_owned() };
        let listening =
            self.inbox.listen_as(subject, queue_group, move |state, heard| match heard {
                Ok(message) => driver.receive(state, message),
                Err(reason) => {
                    let is_own = driver.machine.borrow().listens_to_inbox();
                    driver.give_up(match reason {
                        EndReason::Denied if !is_own => denied.clone(),
                        reason => Error::from_inbox_end(reason),
                    });
                    driver.go_on(state)
                }
            });
        Ok(listening.map_err(RequestError::Command)?)
    }

    pub(super) fn observe(self: &Rc<Self>) {
        let observed_by = WhileObserved(self.clone());
        self.inbox.observe(move |state, observed| {
            let driver = &observed_by.0;
            match observed {
                Observed::Writable => driver.send_again(),
                Observed::Disconnected => {
                    driver.held.borrow_mut().unsent.clear();
                    driver.machine.borrow_mut().handle_disconnected(driver.port().turn_time());
                }
                Observed::Connected | Observed::Reconnected => {
                    driver.held.borrow_mut().unsent.clear();
                    driver.machine.borrow_mut().handle_reconnected(driver.port().turn_time());
                }
                Observed::Denied(error) if driver.is_about_pulls(&error) => {
                    let denied = RequestError::Denied((*error).clone());
                    driver.machine.borrow_mut().fail(denied.into());
                }
                Observed::Denied(_) => {}
                Observed::Ended => driver.give_up(Error::Closed),
            }
            driver.act();
            driver.go_on(state)
        });
    }

    /// Whether the server does not permit the requests, or that they are answered here.
    fn is_about_pulls(&self, error: &ServerError) -> bool {
        let pulls = &self.target.borrow().pulls;
        let subject = error.subject().unwrap_or_default();
        subject == pulls || subject.starts_with(&self.inbox_subject)
    }

    /// A message of a consumer can be answered, and a status cannot.
    #[inline]
    fn receive(self: &Rc<Self>, state: &mut State, message: &Message) -> Ran {
        if ack::is_delivery(message) {
            return self.receive_delivery(state, message);
        }
        if message.control_status().is_none() {
            log::debug!("{}: not a consumer's: {}", self.inbox_subject, message.subject());
            return Ok(());
        }
        let number = self.number_of(message);
        self.machine.borrow_mut().handle_status(number, message, self.port().turn_time());
        self.act();
        self.go_on(state)
    }

    #[inline]
    fn receive_delivery(self: &Rc<Self>, state: &mut State, message: &Message) -> Ran {
        let (now, takes_at_once) = (self.port().turn_time(), self.takes_at_once());
        if takes_at_once && self.machine.borrow_mut().pass(message, now) {
            let ran = self.hand_over(state, message, Release::Done);
            return if ran.is_ok() && self.has_something() { self.go_on(state) } else { ran };
        }
        self.receive_carefully(state, message, takes_at_once)
    }

    #[inline(never)]
    fn receive_carefully(
        self: &Rc<Self>,
        state: &mut State,
        message: &Message,
        takes_at_once: bool,
    ) -> Ran {
        let verdict = self.judge(message);
        match verdict {
            Verdict::Deliver if takes_at_once => {
                self.hand_over(state, message, Release::Due)?;
                self.go_on(state)
            }
            Verdict::Deliver => {
                self.held.borrow_mut().untaken.push_back(message.clone());
                self.act();
                self.go_on(state)
            }
            Verdict::HandBack => {
                self.hand_back(message);
                Ok(())
            }
            Verdict::Skip | Verdict::Kept => {
                self.act();
                self.go_on(state)
            }
        }
    }

    fn judge(&self, message: &Message) -> Verdict {
        let (key_of, now) = (self.machine.borrow().key_of(), self.port().turn_time());
        match key_of.map(|key_of| key_of(message)) {
            Some(key) => self.machine.borrow_mut().handle_keyed(key, message, now),
            None => self.machine.borrow_mut().handle_message(message, now),
        }
    }

    /// The number of the request that a status is about: the last part of its subject.
    fn number_of(&self, message: &Message) -> u64 {
        let number = message.subject_bytes().strip_prefix(self.inbox_subject.as_bytes());
        let number = number.and_then(|rest| std::str::from_utf8(rest.get(1..)?).ok());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// Has the timer fire no later than the machine's deadline. Most messages move the deadline
    /// further away: then the timer stays, and asks again when it fires.
    pub(super) fn arm_timer(self: &Rc<Self>) {
        let deadline = self.machine.borrow().next_deadline();
        let Some(deadline) = deadline.filter(|_| self.phase.get() != Phase::Checking) else {
            return;
        };
        if self.armed.get().is_some_and(|armed| armed <= deadline) {
            return;
        }
        self.armed.set(Some(deadline));
        let driver = self.clone();
        let delay = deadline.saturating_duration_since(self.port().now());
        self.inbox.look_after(delay, move |state| driver.look(state));
    }

    fn look(self: &Rc<Self>, state: &mut State) -> Ran {
        let now = self.port().turn_time();
        self.armed.set(None);
        let is_due = self.machine.borrow().next_deadline().is_some_and(|due| due <= now);
        if is_due && !self.looks_again.replace(true) {
            // a program that was busy has heard nothing: what has come meanwhile is heard first
            self.armed.set(Some(now));
            let driver = self.clone();
            self.inbox.look_after(Duration::ZERO, move |state| driver.look(state));
            return Ok(());
        }
        self.looks_again.set(false);
        self.machine.borrow_mut().handle_timeout(now);
        self.act();
        self.go_on(state)
    }
}

/// The observer of a read, without which it would never hear of the end.
struct WhileObserved<M: Machine>(Rc<Driver<M>>);

impl<M: Machine> Drop for WhileObserved<M> {
    fn drop(&mut self) {
        if self.0.phase.get() != Phase::Ended {
            self.0.abandon();
        }
    }
}
