//! When the replies to one request are all: a pure machine, without socket and clock.

use super::options::RequestManyOptions;
use crate::event_loop::after;
use evnats_protocol::Message;
use std::time::{Duration, Instant};

/// Why a request with many replies is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepliesEnd {
    /// As many have come as were wanted.
    MaxMessages,
    /// For the time of the option [`stall`](RequestManyOptions::stall), no other has come.
    Stall,
    /// The message that ends them has come.
    Sentinel,
    /// Its time is over. Perhaps nobody has replied.
    Timeout,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Reply,
    LastReply,
    Sentinel,
    /// Not a reply: nobody listens on the subject.
    NoResponders,
}

pub(super) struct Gathering {
    options: RequestManyOptions,
    received: u64,
    deadline: Instant,
    /// When the last reply had been handed on.
    handed: Option<Instant>,
}

impl Gathering {
    pub(super) fn new(options: RequestManyOptions, timeout: Duration, now: Instant) -> Self {
        let deadline = after(now, options.timeout.unwrap_or(timeout));
        Self { options, received: 0, deadline, handed: None }
    }

    /// Whether no reply is wanted.
    pub(super) fn is_complete(&self) -> bool {
        self.options.max_messages.is_some_and(|most| self.received >= most)
    }

    pub(super) fn handle_message(&mut self, message: &Message) -> Verdict {
        if message.control_status() == Some(503) {
            return Verdict::NoResponders;
        }
        if self.options.sentinel.as_ref().is_some_and(|is_last| is_last(message)) {
            return Verdict::Sentinel;
        }
        self.received += 1;
        match self.is_complete() {
            true => Verdict::LastReply,
            false => Verdict::Reply,
        }
    }

    /// A reply was handed on, and whoever got it is done with it.
    pub(super) fn handle_handed(&mut self, now: Instant) {
        self.handed = Some(now);
    }

    /// When it is over if nothing comes, and why.
    pub(super) fn due(&self) -> (Instant, RepliesEnd) {
        let stalled =
            self.options.stall.zip(self.handed).map(|(pause, handed)| after(handed, pause));
        match stalled.filter(|stalled| *stalled < self.deadline) {
            Some(stalled) => (stalled, RepliesEnd::Stall),
            None => (self.deadline, RepliesEnd::Timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn message(payload: &str) -> Message {
        Message::new("inbox", 1, None, None, payload.as_bytes())
    }

    #[test]
    fn the_first_reply_has_all_the_time_and_the_others_that_of_the_stall() {
        let now = Instant::now();
        let options = RequestManyOptions::new().stall(SECOND);
        let mut gathering = Gathering::new(options, 5 * SECOND, now);
        assert_eq!(gathering.due(), (now + 5 * SECOND, RepliesEnd::Timeout));
        assert_eq!(gathering.handle_message(&message("a")), Verdict::Reply);
        gathering.handle_handed(now + 2 * SECOND);
        assert_eq!(gathering.due(), (now + 3 * SECOND, RepliesEnd::Stall));
        // never beyond the whole time
        gathering.handle_handed(now + 4 * SECOND);
        assert_eq!(gathering.due(), (now + 5 * SECOND, RepliesEnd::Timeout));
    }

    #[test]
    fn the_last_reply_and_the_sentinel_are_told_apart() {
        let now = Instant::now();
        let options = RequestManyOptions::new().max_messages(2).until_empty().timeout(SECOND);
        let mut gathering = Gathering::new(options, 5 * SECOND, now);
        assert_eq!(gathering.due(), (now + SECOND, RepliesEnd::Timeout));
        assert_eq!(gathering.handle_message(&message("a")), Verdict::Reply);
        assert_eq!(gathering.handle_message(&message("")), Verdict::Sentinel);
        assert_eq!(gathering.handle_message(&message("b")), Verdict::LastReply);
        let nothing = RequestManyOptions::new().max_messages(0);
        assert!(Gathering::new(nothing, SECOND, now).is_complete());
    }

    #[test]
    fn that_nobody_listens_is_no_reply() {
        let block = b"NATS/1.0 503\r\n\r\n";
        let nobody = Message::new("inbox", 1, None, Some(block), b"");
        let options = RequestManyOptions::new().until_empty();
        let mut gathering = Gathering::new(options, SECOND, Instant::now());
        assert_eq!(gathering.handle_message(&nobody), Verdict::NoResponders);
    }
}
