//! Both machines as the driver knows them.

use super::fetch::{Fetch, FetchEnd};
use super::machine::Pull;
use crate::jetstream::consume::machine::{Action, Machine, Told, Verdict, counted};
use crate::jetstream::consume::outcome::ConsumeEnd;
use crate::jetstream::consume::status::PullStatus;
use crate::jetstream::error::Error;
use evnats_protocol::Message;
use std::time::Instant;

impl Machine for Pull {
    type End = ConsumeEnd;

    fn failure(end: &ConsumeEnd) -> Option<&Error> {
        end.failure()
    }

    #[inline]
    fn poll_action(&mut self) -> Option<Action<ConsumeEnd>> {
        self.poll_action()
    }

    #[inline]
    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict {
        let bytes = counted(message);
        match self.is_grouped() {
            false => self.handle_message(bytes, None, now),
            true => {
                let pin = message.headers().last("Nats-Pin-Id");
                self.handle_message(bytes, pin.as_deref(), now)
            }
        }
    }

    #[inline]
    fn pass(&mut self, _: &Message, now: Instant) -> bool {
        self.pass(now)
    }

    #[inline]
    fn release(&mut self, bytes: u64, now: Instant) {
        self.release(bytes, now);
    }

    fn handle_status(&mut self, number: u64, message: &Message, now: Instant) {
        self.handle_status(number, &status_of(message), now);
    }

    fn handle_told(&mut self, told: Told<'_>, now: Instant) {
        if let Told::Consumer(info) = told {
            self.handle_consumer_info(info, now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn handle_disconnected(&mut self, now: Instant) {
        self.handle_disconnected(now);
    }

    fn handle_reconnected(&mut self, now: Instant) {
        self.handle_reconnected(now);
    }

    fn pause(&mut self, now: Instant) {
        self.pause(now);
    }

    fn resume(&mut self, now: Instant) {
        self.resume(now);
    }

    fn drain(&mut self, now: Instant) {
        self.drain(now);
    }

    fn stop(&mut self, _: Instant) {
        self.stop();
    }

    fn fail(&mut self, error: Error) {
        self.fail(error);
    }
}

/// One request: nothing is asked for again, so there is nothing to pause.
impl Machine for Fetch {
    type End = Result<FetchEnd, Error>;

    fn failure(end: &Self::End) -> Option<&Error> {
        end.as_ref().err()
    }

    fn poll_action(&mut self) -> Option<Action<Self::End>> {
        let request = self.poll_request().map(|request| Action::Pull { number: 1, request });
        request.or_else(|| self.poll_end().map(Action::End))
    }

    #[inline]
    fn handle_message(&mut self, message: &Message, now: Instant) -> Verdict {
        self.handle_message(counted(message), now)
    }

    fn release(&mut self, _: u64, _: Instant) {}

    fn handle_status(&mut self, _: u64, message: &Message, now: Instant) {
        self.handle_status(&status_of(message), now);
    }

    fn handle_told(&mut self, _: Told<'_>, _: Instant) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn handle_disconnected(&mut self, _: Instant) {
        self.handle_disconnected();
    }

    fn handle_reconnected(&mut self, now: Instant) {
        self.handle_reconnected(now);
    }

    fn pause(&mut self, _: Instant) {}

    fn resume(&mut self, _: Instant) {}

    fn drain(&mut self, _: Instant) {}

    fn stop(&mut self, _: Instant) {
        self.fail(Error::Closed);
    }

    fn fail(&mut self, error: Error) {
        self.fail(error);
    }
}

/// The status that a message without payload is.
pub(in crate::jetstream::consume) fn status_of(message: &Message) -> PullStatus<'_> {
    let headers = message.headers();
    let (code, description) = headers.status().map_or((0, &[][..]), |s| (s.code, s.description));
    PullStatus::new(code, description, headers)
}
