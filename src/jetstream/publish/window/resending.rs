//! Messages that are kept, because they may be sent more than once: each is sent, judged by its answer
//! ([`Attempts`](super::retry::Attempts)), and sent again at its time ([`Resend`](super::resend::Resend)).

use super::retry::Verdict;
use super::shared::{Kept, Window};
use crate::callback::{Ran, State};
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use evnats_protocol::OutgoingMessage;
use std::rc::Rc;
use std::time::Duration;

/// How many messages are sent again at once …
const RESEND_BURST: usize = 100;
/// … and the pause after that.
const RESEND_PAUSE: Duration = Duration::from_millis(5);

impl Window {
    /// Publishes a message that is kept, and sent once the server is known to have what it needs.
    pub(super) fn send_kept(self: &Rc<Self>, kept: Kept, requirement: Option<Requirement>) {
        let Some(requirement) = requirement else { return self.attempt(kept) };
        let window = self.clone();
        self.api().with_level(move |told| match requirement.check_told(told) {
            Ok(()) => window.attempt(kept),
            Err(error) => window.fail_later(kept.pending, error),
        });
    }

    /// Sends a message that is kept, or waits for the room to.
    fn attempt(self: &Rc<Self>, kept: Kept) {
        let (window, content, subject) =
            (self.clone(), kept.content.clone(), kept.pending.subject.clone());
        let message = OutgoingMessage::new(&subject, content.payload.clone());
        let message = message.headers(&content.headers);
        self.port().request(message, content.timeout, move |state, _, reply| {
            match window.read(reply) {
                Ok(ack) => window.complete(state, kept.pending.done, ack),
                Err(error) => window.try_again(state, kept, error),
            }
        });
    }

    fn try_again(self: &Rc<Self>, state: &mut State, mut kept: Kept, error: Error) -> Ran {
        match kept.attempts.judge(error, self.options(), self.port().now()) {
            Verdict::Failed(error) => self.fail(state, kept.pending, error),
            Verdict::Again(at) => {
                self.resend.borrow_mut().insert(at, kept.pending.number, kept);
                self.plan_resend();
                Ok(())
            }
        }
    }

    /// Sets the timer for the first message that is to be sent again.
    fn plan_resend(self: &Rc<Self>) {
        let mut resend = self.resend.borrow_mut();
        let next = resend.next();
        if resend.timer.map(|(_, at)| at) == next {
            return;
        }
        if let Some((timer, _)) = resend.timer.take() {
            self.port().cancel_timer(timer);
        }
        let Some(at) = next else { return };
        let window = self.clone();
        let delay = at.saturating_duration_since(self.port().now());
        let on_due = move |_: &mut State| {
            window.resend.borrow_mut().timer = None;
            window.resend_due();
            Ok(())
        };
        resend.timer = Some((self.port().set_timer(delay, Box::new(on_due)), at));
    }

    /// Sends what is due, a part of it at a time: what has refused it may be overloaded.
    fn resend_due(self: &Rc<Self>) {
        let now = self.port().now();
        for _ in 0..RESEND_BURST {
            let kept = self.resend.borrow_mut().pop_due(now);
            let Some(kept) = kept else { break };
            self.progress.borrow_mut().report.resent += 1;
            self.attempt(kept);
        }
        self.resend.borrow_mut().pause_until(now + RESEND_PAUSE);
        self.plan_resend();
    }

    /// The client is over: nothing is sent again.
    pub(super) fn give_up_resending(self: &Rc<Self>) {
        loop {
            let kept = self.resend.borrow_mut().pop();
            let Some(kept) = kept else { break };
            let error = kept.attempts.give_up(Error::Closed);
            self.fail_later(kept.pending, error);
        }
        self.plan_resend();
    }
}
