//! What a read is made of, and how it begins. What it does is in the files beside this one.

use super::asked::Asked;
use super::target::Target;
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Inbox, Port};
use crate::jetstream::api::Api;
use crate::jetstream::consume::delivery::Delivered;
use crate::jetstream::consume::machine::Machine;
use crate::jetstream::consume::outcome::ConsumeEvent;
use crate::jetstream::consume::pull::request::PullRequest;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use evnats_protocol::Message;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Takes every message.
pub(in crate::jetstream::consume) type OnDelivery<M> =
    Box<dyn FnMut(&mut State, &Rc<Driver<M>>, &Delivered<'_>) -> Ran>;

/// Has asked for one message. `None`: it will not get one.
pub(in crate::jetstream::consume) type Asker<M> =
    Box<dyn FnOnce(&mut State, &Rc<Driver<M>>, Answer<'_, <M as Machine>::End>) -> Ran>;

/// What somebody who has asked for a message is answered.
pub(in crate::jetstream::consume) enum Answer<'a, E> {
    Message(&'a Delivered<'a>),
    /// Nothing comes at the moment.
    Event(&'a ConsumeEvent),
    /// Nothing has come in the time that it was to wait.
    TimedOut,
    /// Nothing comes any more.
    Ended(&'a E),
}

/// How the program takes messages.
pub(in crate::jetstream::consume) enum Program<M: Machine> {
    /// Each one as it comes.
    Each(CallbackSlot<OnDelivery<M>>),
    /// As many as it has asked for.
    Asked(Asked<Asker<M>>),
}

impl<M: Machine> Program<M> {
    /// One that takes each message, and need not know of what read.
    pub(in crate::jetstream::consume) fn taking(
        mut take: impl FnMut(&mut State, &Delivered<'_>) -> Ran + 'static,
    ) -> Self {
        let take: OnDelivery<M> = Box::new(move |state, _, delivered| take(state, delivered));
        Self::Each(CallbackSlot::new(take))
    }
}

/// What is answered for the program.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::jetstream::consume) struct Answers {
    /// Acknowledges what the callback has not answered, if it returned without an error.
    pub(in crate::jetstream::consume) acknowledge: bool,
    /// And if it did not, has the message delivered again.
    pub(in crate::jetstream::consume) hand_back_after_error: bool,
    /// Tells the server so often that a message is being worked on, until it is answered.
    pub(in crate::jetstream::consume) in_progress_every: Option<Duration>,
}

/// What the program has asked to be told.
pub(in crate::jetstream::consume) type OnEvent<M> =
    Box<dyn FnMut(&mut State, &Rc<Driver<M>>, &ConsumeEvent) -> Ran>;
pub(super) type OnEnd<M> = Box<dyn FnOnce(&mut State, &Rc<Driver<M>>, <M as Machine>::End) -> Ran>;

/// A read of a consumer. It lives until it has ended, also when nobody holds it.
pub(in crate::jetstream::consume) struct Driver<M: Machine> {
    pub(super) api: Api,
    pub(super) target: RefCell<Target>,
    pub(super) machine: RefCell<M>,
    pub(super) inbox: Inbox,
    /// What the subjects begin with that answers come to.
    pub(super) inbox_subject: String,
    pub(super) phase: Cell<Phase>,
    /// The program wants nothing.
    pub(super) paused: Cell<bool>,
    /// The machine knows that the program wants nothing, or has not asked.
    pub(super) machine_paused: Cell<bool>,
    /// When the timer fires, if it is set.
    pub(super) armed: Cell<Option<Instant>>,
    /// The time has come, and what has come meanwhile is heard first.
    pub(super) looks_again: Cell<bool>,
    pub(super) answers: Answers,
    pub(super) program: Program<M>,
    pub(super) on_event: CallbackSlot<OnEvent<M>>,
    pub(super) on_end: Cell<Option<OnEnd<M>>>,
    pub(super) held: RefCell<Held<M>>,
    /// The program's callbacks are running, or a turn of their own is set for them.
    pub(super) has_notice: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being found out whether the server has what it takes.
    Checking,
    Running,
    /// The machine has said so. The program may have messages to take before it is told.
    Ending,
    /// The program was told.
    Ended,
}

/// What is on its way to the program, or could not be sent yet.
pub(super) struct Held<M: Machine> {
    pub(super) untaken: VecDeque<Message>,
    pub(super) events: VecDeque<ConsumeEvent>,
    /// Who has asked for a message, and why there is none.
    pub(super) refused: VecDeque<(Asker<M>, ConsumeEvent)>,
    /// How it has ended, which the program is to be told.
    pub(super) end: Option<M::End>,
    /// What the program was told.
    pub(super) told_end: Option<M::End>,
    /// Requests that there was no room for. They are of no use on another connection.
    pub(super) unsent: VecDeque<(u64, PullRequest)>,
    /// Where acknowledgements go that there was no room for.
    pub(super) unacknowledged: VecDeque<Box<str>>,
}

impl<M: Machine> Driver<M> {
    pub(in crate::jetstream::consume) fn new(
        api: &Api,
        target: Target,
        machine: M,
        answers: Answers,
        program: Program<M>,
    ) -> Rc<Self> {
        let held = Held {
            untaken: VecDeque::new(),
            events: VecDeque::new(),
            refused: VecDeque::new(),
            end: None,
            told_end: None,
            unsent: VecDeque::new(),
            unacknowledged: VecDeque::new(),
        };
        Rc::new(Self {
            api: api.clone(),
            target: RefCell::new(target),
            machine: RefCell::new(machine),
            inbox: Inbox::new(api.port()),
            inbox_subject: api.port().new_inbox_for_many(),
            phase: Cell::new(Phase::Checking),
            paused: Cell::new(false),
            machine_paused: Cell::new(false),
            armed: Cell::new(None),
            looks_again: Cell::new(false),
            answers,
            program,
            on_event: CallbackSlot::default(),
            on_end: Cell::new(None),
            held: RefCell::new(held),
            has_notice: Cell::new(false),
        })
    }

    /// Has the program told how it ends. It replaces the callback that was set before.
    pub(in crate::jetstream::consume) fn set_on_end(&self, callback: OnEnd<M>) {
        drop(self.on_end.replace(Some(callback)));
    }

    /// Begins, if the options were found to be in order and the server has what they need.
    pub(in crate::jetstream::consume) fn start(
        self: &Rc<Self>,
        checked: Result<Option<Requirement>, Error>,
    ) {
        self.observe();
        let named = self.target.borrow().check();
        match named.and(checked) {
            Ok(None) => self.begin(),
            Ok(Some(requirement)) => {
                let driver = self.clone();
                self.api.with_level(move |told| match requirement.check_told(told) {
                    Ok(()) => driver.begin(),
                    Err(error) => driver.fail(error),
                });
            }
            Err(error) => self.fail(error),
        }
    }

    fn begin(self: &Rc<Self>) {
        if self.phase.get() != Phase::Checking {
            return;
        }
        self.phase.set(Phase::Running);
        if self.machine.borrow().listens_to_inbox()
            && let Err(error) = self.listen(&format!("{}.*", self.inbox_subject), None)
        {
            return self.fail(error);
        }
        if !self.port().is_connected() {
            self.machine.borrow_mut().handle_disconnected(self.port().now());
        }
        self.follow_demand();
        self.act();
        self.go_on_soon();
    }

    /// Ends with an error that is not the consumer's. The program is told in a turn of its own.
    fn fail(self: &Rc<Self>, error: Error) {
        self.give_up(error);
        self.go_on_soon();
    }

    /// Nothing can be heard or answered any more, so that nothing is left to be taken.
    pub(super) fn give_up(self: &Rc<Self>, error: Error) {
        if self.phase.get() == Phase::Checking {
            self.phase.set(Phase::Running);
        }
        let untaken = std::mem::take(&mut self.held.borrow_mut().untaken);
        let mut machine = self.machine.borrow_mut();
        machine.forgo(untaken.len(), self.port().now());
        machine.fail(error);
        drop(machine);
        self.act();
    }

    pub(super) fn port(&self) -> &Port {
        self.api.port()
    }

    /// How it has ended, once the program was told, or has nothing to take any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase.get(), Phase::Ending | Phase::Ended)
    }
}
