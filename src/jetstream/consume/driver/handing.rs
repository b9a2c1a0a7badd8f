//! How messages, events and the end get to the program, one at a time, and what is done when its
//! callback returns, or does not.

use super::shared::{Answer, Asker, Driver, Phase, Program};
use crate::callback::{Ran, State};
use crate::jetstream::consume::ack;
use crate::jetstream::consume::delivery::Delivered;
use crate::jetstream::consume::machine::{Machine, counted};
use crate::jetstream::consume::outcome::ConsumeEvent;
use evnats_protocol::Message;
use std::mem;
use std::rc::Rc;

/// How many messages that waited are handed over in one turn, so that other work has its turn, too.
const BUDGET: usize = 256;

/// Whether the machine is to be told that the program has taken a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    Due,
    /// It knows.
    Done,
}

impl<M: Machine> Driver<M> {
    /// Whether a message that comes now is for the program at once.
    #[inline]
    pub(super) fn takes_at_once(&self) -> bool {
        self.wants() && self.held.borrow().untaken.is_empty()
    }

    #[inline]
    fn wants(&self) -> bool {
        let takes = match &self.program {
            Program::Each(_) => true,
            Program::Asked(asked) => asked.is_asked(),
        };
        takes && !self.paused.get()
    }

    /// Has the machine ask for messages as long as the program wants them.
    pub(super) fn follow_demand(&self) {
        let is_unasked = matches!(&self.program, Program::Asked(asked) if asked.is_idle());
        let is_to_pause = self.paused.get() || is_unasked;
        if self.machine_paused.replace(is_to_pause) != is_to_pause {
            let (mut machine, now) = (self.machine.borrow_mut(), self.port().now());
            match is_to_pause {
                true => machine.pause(now),
                false => machine.resume(now),
            }
        }
    }

    /// Whether there is something that the program can be told now.
    #[inline]
    pub(super) fn has_something(&self) -> bool {
        let held = self.held.borrow();
        !held.events.is_empty()
            || !held.refused.is_empty()
            || (held.untaken.is_empty() && (held.end.is_some() || self.is_asked_too_late()))
            || (!held.untaken.is_empty() && self.wants())
    }

    fn is_asked_too_late(&self) -> bool {
        self.phase.get() == Phase::Ended
            && matches!(&self.program, Program::Asked(asked) if asked.is_asked())
    }

    /// Has the program told what there is in a turn of its own, unless it is being told already.
    pub(super) fn go_on_soon(self: &Rc<Self>) {
        if self.has_something() && !self.has_notice.replace(true) {
            let driver = self.clone();
            self.port().defer(move |state| {
                driver.has_notice.set(false);
                driver.go_on(state)
            });
        }
    }

    /// Tells the program what there is: events and messages, and then the end.
    pub(super) fn go_on(self: &Rc<Self>, state: &mut State) -> Ran {
        for _ in 0..BUDGET {
            match self.next_notice() {
                Some(Notice::Refused(asker, event)) => {
                    self.guarded(|| asker(state, self, Answer::Event(&event)))?;
                }
                Some(Notice::Event(event)) => {
                    self.log(&event);
                    self.guarded(|| self.on_event.run(|hook| hook(state, self, &event)))?;
                }
                Some(Notice::Message(message)) => {
                    self.hand_over(state, &message, Release::Due)?;
                }
                Some(Notice::TooLate(asker, end)) => {
                    self.guarded(|| asker(state, self, Answer::Ended(&end)))?;
                }
                Some(Notice::End(end)) => return self.finish(state, end),
                None => return Ok(()),
            }
        }
        self.go_on_soon();
        Ok(())
    }

    fn next_notice(&self) -> Option<Notice<M>> {
        let mut held = self.held.borrow_mut();
        if let Some((asker, event)) = held.refused.pop_front() {
            return Some(Notice::Refused(asker, event));
        }
        if let Some(event) = held.events.pop_front() {
            if let (Program::Asked(asked), ConsumeEvent::Silent(_)) = (&self.program, &event) {
                let askers = asked.take_all(self.port());
                held.refused.extend(askers.map(|asker| (asker, event.clone())));
            }
            return Some(Notice::Event(event));
        }
        if self.wants()
            && let Some(message) = held.untaken.pop_front()
        {
            return Some(Notice::Message(message));
        }
        if !held.untaken.is_empty() {
            return None;
        }
        match &self.program {
            Program::Asked(asked) if asked.is_asked() => {
                let end = held.end.as_ref().or(held.told_end.as_ref())?.clone();
                Some(Notice::TooLate(asked.next(self.port())?, end))
            }
            _ => {
                let end = held.end.take()?;
                held.told_end = Some(end.clone());
                Some(Notice::End(end))
            }
        }
    }

    /// Runs the program's callback for one message.
    #[inline]
    pub(super) fn hand_over(
        self: &Rc<Self>,
        state: &mut State,
        message: &Message,
        release: Release,
    ) -> Ran {
        let tracker = if M::FOLLOWS_ANSWERS { self.track(message) } else { None };
        let every = &self.answers.in_progress_every;
        let delivered = Delivered::new(message, self.port(), every, tracker.as_ref());
        let mut telling = Telling::new(self, Some((&delivered, release)));
        let ran = match &self.program {
            Program::Each(slot) => slot.run(|take| take(state, self, &delivered)),
            Program::Asked(asked) => {
                let message = Answer::Message(&delivered);
                asked.next(self.port()).map_or(Ok(()), |asker| asker(state, self, message))
            }
        };
        telling.is_well = ran.is_ok();
        ran
    }

    fn guarded(self: &Rc<Self>, tell: impl FnOnce() -> Ran) -> Ran {
        let mut telling = Telling::new(self, None);
        let ran = tell();
        telling.is_well = ran.is_ok();
        ran
    }

    fn finish(self: &Rc<Self>, state: &mut State, end: M::End) -> Ran {
        self.phase.set(Phase::Ended);
        self.close_if_finished();
        self.release();
        match self.on_end.take() {
            Some(on_end) => on_end(state, self, end),
            None => self.report(&end),
        }
    }

    fn log(&self, event: &ConsumeEvent) {
        let target = self.target.borrow();
        log::info!("consumer {} of stream {}: {event}", target.consumer, target.stream);
    }

    /// What follows when the callback has run for a message.
    #[inline]
    fn settle(self: &Rc<Self>, delivered: &Delivered<'_>, release: Release, is_well: bool) {
        let message = delivered.message();
        if self.answers.acknowledge && delivered.is_open() {
            self.answer_for_program(message, is_well);
        }
        if M::FOLLOWS_ANSWERS {
            self.follow(delivered, is_well);
        }
        if release == Release::Due {
            self.release_message(message);
        }
    }

    #[inline(never)]
    fn release_message(self: &Rc<Self>, message: &Message) {
        if let Program::Asked(_) = self.program {
            self.follow_demand();
        }
        self.machine.borrow_mut().release(counted(message), self.port().turn_time());
        match M::FOLLOWS_ANSWERS {
            true => self.act(),
            false => self.act_on_message(),
        }
    }

    #[inline]
    fn answer_for_program(&self, message: &Message, is_well: bool) {
        if is_well {
            if self.held.borrow().unacknowledged.is_empty()
                && ack::acknowledge(self.port(), message)
            {
                return;
            }
            if let Some(subject) = ack::subject(message) {
                self.send_empty(subject);
            }
        } else if self.answers.hand_back_after_error {
            self.hand_back(message);
        }
    }

    /// What nobody asked to be told leaves `run`, if messages are lost on somebody by it.
    fn report(&self, end: &M::End) -> Ran {
        match (&self.program, M::failure(end)) {
            (Program::Each(_), Some(error)) if !error.is_closed() => {
                Err(Box::new(error.clone().into()))
            }
            _ => Ok(()),
        }
    }

    /// Lets go of the program's callbacks that nothing is left for.
    fn release(&self) {
        if let Program::Each(slot) = &self.program {
            drop(slot.take());
        }
        drop(self.on_event.take());
    }

    /// Lets go of all of the program's callbacks: the loop is gone, and what they have captured may be
    /// the read itself.
    pub(super) fn abandon(&self) {
        self.release();
        drop(self.on_end.take());
        let refused = mem::take(&mut self.held.borrow_mut().refused);
        drop(refused);
        if let Program::Asked(asked) = &self.program {
            drop(asked.take_all(self.port()));
        }
    }
}

/// What the program is to be told next.
enum Notice<M: Machine> {
    /// Who has asked for a message, and why there is none.
    Refused(Asker<M>, ConsumeEvent),
    Event(ConsumeEvent),
    Message(Message),
    /// Who has asked for a message, and how everything has ended.
    TooLate(Asker<M>, M::End),
    End(M::End),
}

/// A callback of the program's is running. What has to follow, follows also if it panics.
struct Telling<'a, M: Machine> {
    driver: &'a Rc<Driver<M>>,
    delivered: Option<(&'a Delivered<'a>, Release)>,
    /// It has returned without an error.
    is_well: bool,
    /// Whether a turn of its own was set for what is to be told.
    had_notice: bool,
}

impl<'a, M: Machine> Telling<'a, M> {
    #[inline]
    fn new(driver: &'a Rc<Driver<M>>, delivered: Option<(&'a Delivered<'a>, Release)>) -> Self {
        // whoever runs the callback goes on after it
        let had_notice = driver.has_notice.replace(true);
        Self { driver, delivered, is_well: false, had_notice }
    }
}

impl<M: Machine> Drop for Telling<'_, M> {
    #[inline]
    fn drop(&mut self) {
        self.driver.has_notice.set(self.had_notice);
        if let Some((delivered, release)) = self.delivered {
            self.driver.settle(delivered, release, self.is_well);
        }
        if !self.is_well {
            self.driver.go_on_soon();
        }
    }
}
