//! A batch that is published fast, as a machine without I/O: which message may leave, and what to do if
//! nothing is heard.
//!
//! The server sets the pace: with each acknowledgement it says after how many messages the next one
//! comes. Before the first one only one message leaves, and later no more than a few such windows are
//! without an acknowledgement. A later acknowledgement implies the earlier ones.

use super::flow::Flow;
use crate::event_loop::after;
use std::time::{Duration, Instant};

/// How long nothing is heard while something is missing before the server is asked how far it is.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a batch that waits for the program is kept alive: servers abandon one after 10 s.
const IDLE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Machine {
    max_windows: u64,
    timeout: Duration,
    /// The number of the last message that was sent, which counts from 1.
    sent: u64,
    acknowledged: u64,
    /// How many messages the server acknowledges at once. `None` until it has said so.
    window: Option<u64>,
    is_committing: bool,
    /// When anything was sent or heard last.
    active: Instant,
    /// Since when the server has been asked without an answer.
    asked: Option<Instant>,
}

/// What to do when it is time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Asks the server how far it is, with the number of the last message.
    Ask(u64),
    /// The server does not answer.
    GiveUp,
}

impl Machine {
    pub(super) fn new(max_windows: u64, timeout: Duration, now: Instant) -> Self {
        Self {
            max_windows: max_windows.max(1),
            timeout,
            sent: 0,
            acknowledged: 0,
            window: None,
            is_committing: false,
            active: now,
            asked: None,
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many messages the server has not acknowledged.
    pub(super) fn outstanding(&self) -> usize {
        usize::try_from(self.sent - self.acknowledged).unwrap_or(usize::MAX)
    }

    pub(super) fn is_started(&self) -> bool {
        self.sent > 0
    }

    /// Whether another message may leave.
    pub(super) fn may_send(&self) -> bool {
        !self.is_committing && self.free() > 0
    }

    /// Whether so many may leave that it is worth a call.
    pub(super) fn is_ready(&self) -> bool {
        // before the server has set the pace, the first message is all that there is room for
        let half = self.window.map_or(1, |window| window.saturating_mul(self.max_windows) / 2);
        !self.is_committing && self.free() >= half.max(1)
    }

    fn free(&self) -> u64 {
        let limit = match self.window {
            Some(window) => {
                self.acknowledged.saturating_add(window.saturating_mul(self.max_windows))
            }
            None => 1,
        };
        limit.saturating_sub(self.sent)
    }

    /// Whether the server has taken the first message.
    pub(super) fn is_taken(&self) -> bool {
        self.window.is_some()
    }

    /// The end may leave once the server has taken the first message.
    pub(super) fn may_commit(&self) -> bool {
        self.is_taken() && !self.is_committing
    }

    /// Another message leaves. Returns its number.
    pub(super) fn send(&mut self, now: Instant) -> u64 {
        self.active = now;
        self.sent += 1;
        self.sent
    }

    /// The end leaves. Returns its number.
    pub(super) fn commit(&mut self, now: Instant) -> u64 {
        self.is_committing = true;
        self.active = now;
        self.sent + 1
    }

    /// Takes what the server says of a batch that goes on; as the answer to a question, or of itself.
    ///
    /// An answer after the end was sent means that the end was lost: the server would have told how the
    /// batch has ended. It leaves once more then.
    pub(super) fn handle(&mut self, flow: &Flow, is_answer: bool, now: Instant) {
        self.active = now;
        self.asked = None;
        self.is_committing &= !is_answer;
        if let Flow::Ack { seq, msgs } = *flow {
            self.acknowledged = self.acknowledged.max(seq.min(self.sent));
            self.window = Some(msgs.max(1));
        }
    }

    /// Has the server asked at once: the connection is another one.
    pub(super) fn handle_reconnected(&mut self, now: Instant) {
        if self.is_started() {
            self.active = now.checked_sub(IDLE).unwrap_or(now);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if !self.is_started() {
            return None;
        }
        let is_missing =
            self.is_committing || self.window.is_none() || self.acknowledged < self.sent;
        let pause = if is_missing { PATIENCE } else { IDLE };
        let next = self.active + pause.min(self.timeout);
        Some(self.asked.map_or(next, |asked| next.min(after(asked, self.timeout))))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        let asked = *self.asked.get_or_insert(now);
        if now >= after(asked, self.timeout) {
            return Some(Due::GiveUp);
        }
        self.active = now;
        Some(Due::Ask(self.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn machine() -> (Machine, Instant) {
        let now = Instant::now();
        (Machine::new(2, 5 * SECOND, now), now)
    }

    fn ack(seq: u64, msgs: u64) -> Flow {
        Flow::Ack { seq, msgs }
    }

    #[test]
    fn one_message_leaves_and_then_two_windows() {
        let (mut machine, now) = machine();
        assert!(machine.may_send() && !machine.may_commit());
        assert_eq!(machine.send(now), 1);
        assert!(!machine.may_send(), "the first one is not taken yet");
        machine.handle(&ack(0, 3), false, now);
        assert!(machine.may_commit());
        for number in 2..=6 {
            assert!(machine.may_send());
            assert_eq!(machine.send(now), number);
        }
        assert!(!machine.may_send());
        machine.handle(&ack(3, 3), false, now);
        assert!(machine.may_send() && machine.is_ready());
        // the server changes the pace
        machine.handle(&ack(6, 10), false, now);
        let more = std::iter::from_fn(|| machine.may_send().then(|| machine.send(now))).count();
        assert_eq!(more, 20);
    }

    #[test]
    fn there_is_room_for_the_first_message_however_many_acknowledgements_may_be_outstanding() {
        let now = Instant::now();
        let mut machine = Machine::new(10, 5 * SECOND, now);
        assert!(machine.is_ready());
        machine.send(now);
        assert!(!machine.is_ready());
    }

    #[test]
    fn a_server_may_be_silent_for_as_long_as_there_is_time() {
        let now = Instant::now();
        let mut machine = Machine::new(2, Duration::MAX, now);
        machine.send(now);
        for second in 1..100 {
            assert_eq!(machine.handle_timeout(now + second * SECOND), Some(Due::Ask(1)));
        }
    }

    #[test]
    fn acknowledgements_may_come_late_and_lie() {
        let (mut machine, now) = machine();
        machine.send(now);
        machine.handle(&ack(0, 5), false, now);
        machine.send(now);
        machine.handle(&ack(u64::MAX, u64::MAX), false, now);
        assert_eq!(machine.acknowledged(), 2, "no more than was sent");
        machine.handle(&ack(1, 0), false, now);
        assert_eq!(machine.acknowledged(), 2);
        assert!(machine.may_send(), "a window has one message at least");
    }

    #[test]
    fn the_server_is_asked_and_given_up() {
        let (mut machine, start) = machine();
        assert_eq!(machine.next_deadline(), None, "nothing was sent");
        machine.send(start);
        assert_eq!(machine.next_deadline(), Some(start + SECOND));
        let mut now = start;
        for _ in 0..5 {
            now += SECOND;
            assert_eq!(machine.handle_timeout(now), Some(Due::Ask(1)));
            assert_eq!(machine.handle_timeout(now), None);
        }
        now += SECOND;
        assert_eq!(machine.handle_timeout(now), Some(Due::GiveUp));
    }

    #[test]
    fn an_answer_ends_the_asking_and_what_is_idle_is_kept_alive() {
        let (mut machine, start) = machine();
        machine.send(start);
        assert_eq!(machine.handle_timeout(start + SECOND), Some(Due::Ask(1)));
        machine.handle(&ack(1, 10), false, start + SECOND);
        assert_eq!(machine.next_deadline(), Some(start + 5 * SECOND));
        assert_eq!(machine.handle_timeout(start + 5 * SECOND), Some(Due::Ask(1)));
        machine.handle(&ack(1, 10), false, start + 5 * SECOND);
        machine.handle_reconnected(start + 6 * SECOND);
        assert_eq!(machine.handle_timeout(start + 6 * SECOND), Some(Due::Ask(1)), "at once");
    }

    #[test]
    fn an_end_that_was_lost_leaves_again() {
        let (mut machine, now) = machine();
        machine.send(now);
        machine.handle(&ack(0, 10), false, now);
        assert_eq!(machine.commit(now), 2);
        machine.handle(&ack(0, 10), false, now);
        assert!(!machine.may_commit(), "that was on its way before");
        let later = now + SECOND;
        assert_eq!(machine.handle_timeout(later), Some(Due::Ask(1)));
        machine.handle(&ack(0, 10), true, later);
        assert!(machine.may_commit());
        assert_eq!(machine.commit(later), 2, "with the same number");
    }

    #[test]
    fn nothing_leaves_after_the_end() {
        let (mut machine, now) = machine();
        machine.send(now);
        machine.handle(&ack(1, 10), false, now);
        assert_eq!(machine.commit(now), 2);
        assert!(!machine.may_send() && !machine.may_commit() && !machine.is_ready());
        assert_eq!(machine.next_deadline(), Some(now + SECOND), "it is waited for");
    }
}
