//! What a read does because its machine asks for it: requests, replies, questions.

use super::shared::{Driver, Phase};
use super::target::Target;
use crate::callback::{Ran, State};
use crate::jetstream::api::ApiRequest;
use crate::jetstream::consume::ack::{self, Ack};
use crate::jetstream::consume::machine::{Action, Machine, Told};
use crate::jetstream::consume::pull::request::PullRequest;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo, StreamInfo};
use evnats_protocol::{CommandError, Message, OutgoingMessage, RequestError};
use std::rc::Rc;

impl<M: Machine> Driver<M> {
    /// Does what the machine asks for, until it asks for nothing. The program is not told here.
    pub(super) fn act(self: &Rc<Self>) {
        self.carry_out_all();
        self.arm_timer();
        self.close_if_finished();
    }

    /// As [`act`](Self::act), after a message that was taken: if nothing follows from it, the timer is
    /// right as it is.
    #[inline]
    pub(super) fn act_on_message(self: &Rc<Self>) {
        if self.carry_out_all() || self.armed.get().is_none() {
            self.arm_timer();
        }
    }

    /// Returns whether there was anything to do.
    #[inline]
    fn carry_out_all(self: &Rc<Self>) -> bool {
        let mut has_acted = false;
        while self.phase.get() != Phase::Checking {
            let action = self.machine.borrow_mut().poll_action();
            let Some(action) = action else { break };
            self.carry_out(action);
            has_acted = true;
        }
        has_acted
    }

    fn carry_out(self: &Rc<Self>, action: Action<M::End>) {
        match action {
            Action::Pull { number, request } => self.pull(number, request),
            Action::Reply { subject } => self.reply(&subject),
            Action::Listen { subject, queue_group } => {
                if let Err(error) = self.listen(&subject, queue_group.as_deref()) {
                    self.machine.borrow_mut().fail(error);
                }
            }
            Action::StopListening => {
                let driver = self.clone();
                self.inbox.drain(move |state| driver.hear(state, Told::Drained));
            }
            Action::AskConsumer => self.ask_consumer(),
            Action::AskStream => self.ask_stream(),
            Action::Create { incarnation, config } => self.create(incarnation, &config),
            Action::Delete { incarnation, name } => self.delete(incarnation, &name),
            Action::HandOver(message) => self.held.borrow_mut().untaken.push_back(message),
            Action::HandBack(message) => self.hand_back(&message),
            Action::Prolong(message) => self.prolong(&message),
            Action::Tell(event) => self.held.borrow_mut().events.push_back(event),
            Action::End(end) => {
                self.phase.set(Phase::Ending);
                self.held.borrow_mut().end = Some(end);
                // what is on its way is handed back
                self.inbox.drain(|_| Ok(()));
            }
        }
    }

    fn pull(&self, number: u64, request: PullRequest) {
        let is_first = self.held.borrow().unsent.is_empty();
        if !is_first || !self.send_pull(number, &request) {
            self.held.borrow_mut().unsent.push_back((number, request));
        }
    }

    /// Returns whether there was room for it.
    fn send_pull(&self, number: u64, request: &PullRequest) -> bool {
        let body = match serde_json::to_vec(request) {
            Ok(body) => body,
            Err(error) => {
                log::warn!("request cannot be encoded: {error}");
                return true;
            }
        };
        let reply = format!("{}.{number}", self.inbox_subject);
        let mut target = self.target.borrow_mut();
        let sent = match &target.first {
            None => self.port().publish(OutgoingMessage::new(&target.pulls, body).reply(&reply)),
            Some((subject, verb)) => {
                let body = [verb.as_bytes(), &body].concat();
                self.port().publish(OutgoingMessage::new(subject, body).reply(&reply))
            }
        };
        match sent {
            Err(CommandError::BufferFull { .. }) => return false,
            // the next one would not be sent, either
            Err(error) if !error.is_temporary() => {
                self.machine.borrow_mut().fail(RequestError::Command(error).into());
            }
            _ => target.first = None,
        }
        true
    }

    fn reply(&self, subject: &[u8]) {
        match std::str::from_utf8(subject) {
            Ok(subject) => self.send_empty(subject),
            Err(_) => log::warn!("not a subject: {}", String::from_utf8_lossy(subject)),
        }
    }

    /// Acknowledges a message, or does so when there is room.
    pub(super) fn send_empty(&self, subject: &str) {
        let is_first = self.held.borrow().unacknowledged.is_empty();
        if !is_first || !self.try_to_send_empty(subject) {
            self.held.borrow_mut().unacknowledged.push_back(subject.into());
        }
    }

    fn try_to_send_empty(&self, subject: &str) -> bool {
        has_room(self.port().publish(OutgoingMessage::new(subject, b"")), subject)
    }

    /// Has a message delivered to somebody else, as soon as can be. If there is no room for that, it is
    /// delivered again when the time is over that the consumer gives.
    pub(super) fn hand_back(&self, message: &Message) {
        self.try_to_answer(message, Ack::Again(None));
    }

    /// Tells the server that a message is being worked on. If there is no room for that, there will be
    /// for the next time.
    fn prolong(&self, message: &Message) {
        self.try_to_answer(message, Ack::InProgress);
    }

    fn try_to_answer(&self, message: &Message, ack: Ack<'_>) {
        let sent = ack::subject(message).map(|subject| ack::send(self.port(), subject, ack));
        if let Some(Err(error)) = sent {
            log::debug!("{ack:?} was not sent for a message: {error}");
        }
    }

    /// Sends what there was no room for.
    pub(super) fn send_again(&self) {
        loop {
            let next = self.held.borrow_mut().unacknowledged.pop_front();
            let Some(subject) = next else { break };
            if !self.try_to_send_empty(&subject) {
                return self.held.borrow_mut().unacknowledged.push_front(subject);
            }
        }
        loop {
            let next = self.held.borrow_mut().unsent.pop_front();
            let Some((number, request)) = next else { return };
            if !self.send_pull(number, &request) {
                return self.held.borrow_mut().unsent.push_front((number, request));
            }
        }
    }

    fn ask_consumer(self: &Rc<Self>) {
        let driver = self.clone();
        let on_info = move |state: &mut State, info: Result<ConsumerInfo, Error>| {
            driver.hear(state, Told::Consumer(info.as_ref()))
        };
        let target = self.target.borrow();
        self.api.consumer_info(&target.stream, &target.consumer, Box::new(on_info));
    }

    fn ask_stream(self: &Rc<Self>) {
        let driver = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            driver.hear(state, Told::Stream(info.as_ref()))
        };
        let stream = &self.target.borrow().stream;
        self.api.read(ApiRequest::stream_info(stream), Box::new(on_info));
    }

    fn create(self: &Rc<Self>, incarnation: u64, config: &ConsumerConfig) {
        let mut target = self.target.borrow_mut();
        *target =
            Target::new(&self.api, &target.stream, config.name.as_deref().unwrap_or_default());
        let driver = self.clone();
        let on_made = move |state: &mut State, made: Result<ConsumerInfo, Error>| {
            driver.hear(state, Told::Created { incarnation, made: made.as_ref() })
        };
        self.api.call(ApiRequest::create_consumer(&target.stream, config), Box::new(on_made));
    }

    fn delete(self: &Rc<Self>, incarnation: u64, name: &str) {
        let driver = self.clone();
        let on_deleted = move |state: &mut State, deleted: Result<(), Error>| {
            let deleted = deleted.as_ref().copied();
            driver.hear(state, Told::Deleted { incarnation, deleted })
        };
        let stream = &self.target.borrow().stream;
        self.api.call(ApiRequest::delete_consumer(stream, name), Box::new(on_deleted));
    }

    /// An answer has come.
    fn hear(self: &Rc<Self>, state: &mut State, told: Told<'_>) -> Ran {
        self.machine.borrow_mut().handle_told(told, self.port().turn_time());
        self.act();
        self.go_on(state)
    }

    /// Lets go of the connection, when neither the program nor the machine needs it.
    pub(super) fn close_if_finished(&self) {
        if self.phase.get() == Phase::Ended && self.machine.borrow().is_finished() {
            self.inbox.close();
        }
    }
}

/// Whether a message could be sent, or cannot be sent at all.
fn has_room(sent: Result<(), CommandError>, subject: &str) -> bool {
    match sent {
        Ok(()) => true,
        Err(CommandError::BufferFull { .. }) => false,
        Err(error) => {
            log::warn!("not sent to {subject}: {error}");
            true
        }
    }
}
