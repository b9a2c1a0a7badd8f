//! What was asked for and has not come: in total, and by request as far as that can be known.
//!
//! A message does not tell which request it is for, and servers serve several at once, in turn; a
//! status does tell, by the number in its subject. So messages count against the total, and a status
//! takes off what its request will not get any more. A request that got everything ends without a word.
//!
//! The invariant: the total is never more than all requests together ask for that may still be open,
//! so that what was lost on its way weighs on it no longer than those requests live, and with the last
//! of them it is exactly zero. When nothing is missing any more, none is open.

use crate::jetstream::consume::status::{Amount, PullStatus};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For so much longer than a request may wait its end is waited for.
pub(in crate::jetstream::consume) const GRACE: Duration = Duration::from_secs(1);
/// So many requests are told apart. With more, the server is serving the later ones already.
const MAX_OPEN: usize = 32;

/// A request that may still be open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) asks: Amount,
    /// It asks for as many bytes as any request may, so that what does not fit never will.
    pub(super) is_whole: bool,
    pub(super) sent: Instant,
    /// When it is taken for lost, or for done.
    pub(super) deadline: Instant,
    /// How many messages had come when it was sent.
    pub(super) received_before: u64,
    /// Which pin it was sent with, as a number.
    pub(super) pin: u64,
}

impl Open {
    /// How long it has waited.
    pub(super) fn lasted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.sent)
    }

    /// How long it may wait.
    pub(super) fn expires(&self) -> Duration {
        self.deadline.saturating_duration_since(self.sent).saturating_sub(GRACE)
    }
}

#[derive(Debug, Default)]
pub(super) struct Window {
    outstanding: Amount,
    /// What all requests ask for that may still be open.
    asked: Amount,
    /// In the order of their numbers.
    open: VecDeque<Open>,
    older: Option<Older>,
    /// The earliest deadline.
    deadline: Option<Instant>,
}

/// Requests that are not told apart any more.
#[derive(Debug)]
struct Older {
    asked: Amount,
    deadline: Instant,
}

impl Window {
    /// What has been asked for and has not come.
    pub(super) fn outstanding(&self) -> Amount {
        self.outstanding
    }

    /// Whether no request is open.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.older.is_none()
    }

    /// When a request is taken for lost, or for done.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A request was sent.
    pub(super) fn add(&mut self, open: Open) {
        self.outstanding = self.outstanding.plus(open.asks);
        self.asked = self.asked.plus(open.asks);
        self.deadline = Some(earlier(self.deadline, open.deadline));
        self.open.push_back(open);
        if self.open.len() > MAX_OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            let older = self
                .older
                .get_or_insert(Older { asked: Amount::default(), deadline: oldest.deadline });
            older.asked = older.asked.plus(oldest.asks);
            older.deadline = older.deadline.max(oldest.deadline);
        }
    }

    /// A message has come that is not the last one that was asked for, and bytes are not counted.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.outstanding.messages -= 1;
    }

    /// A message has come, for whichever request.
    #[inline]
    pub(super) fn take(&mut self, bytes: u64) {
        let counts_bytes = self.outstanding.bytes > 0;
        self.outstanding = self.outstanding.minus(Amount { messages: 1, bytes });
        if self.outstanding.messages == 0 || (counts_bytes && self.outstanding.bytes == 0) {
            // each of them has got everything
            self.void();
        }
    }

    /// A request is over, and will not get what the server says is left of it. Returns the request if
    /// it was open: a status may come twice, or late.
    pub(super) fn end(&mut self, number: u64, left: Left) -> Option<Open> {
        let at = self.open.binary_search_by_key(&number, |open| open.number).ok()?;
        let open = self.open.remove(at)?;
        let left = match left {
            Left::Known(left) => left.min(open.asks),
            Left::All => open.asks,
            // it goes as soon as no open request can account for it
            Left::Unknown => Amount::default(),
        };
        self.outstanding = self.outstanding.minus(left);
        self.asked = self.asked.minus(open.asks);
        self.settle();
        Some(open)
    }

    /// Nothing will come of this request and those before it. Later ones may have been sent to somebody
    /// else already; if not, they get a status of their own.
    pub(super) fn void_up_to(&mut self, number: u64) {
        self.retain(|open| open.number > number);
        if let Some(older) = self.older.take() {
            self.asked = self.asked.minus(older.asked);
        }
        self.settle();
    }

    /// Gives up every request whose deadline is over.
    pub(super) fn lapse(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.retain(|open| now < open.deadline);
        if let Some(older) = self.older.take_if(|older| older.deadline <= now) {
            self.asked = self.asked.minus(older.asked);
        }
        self.settle();
    }

    /// Nothing of what was asked for will come.
    pub(super) fn void(&mut self) {
        self.open.clear();
        *self = Self { open: std::mem::take(&mut self.open), ..Self::default() };
    }

    fn retain(&mut self, is_open: impl Fn(&Open) -> bool) {
        self.open.retain(|open| {
            let stays = is_open(open);
            if !stays {
                self.asked = self.asked.minus(open.asks);
            }
            stays
        });
    }

    /// Requests have gone.
    fn settle(&mut self) {
        let deadlines = self.open.iter().map(|open| open.deadline);
        self.deadline = deadlines.chain(self.older.as_ref().map(|older| older.deadline)).min();
        // sums of bytes and messages saturate, and nothing is left of them with the last request
        self.asked = if self.is_empty() { Amount::default() } else { self.asked };
        self.outstanding = self.outstanding.min(self.asked);
        if self.outstanding.messages == 0 {
            self.void();
        }
    }
}

/// How much a request that is over will not get any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// So much, as the server says.
    Known(Amount),
    /// All of it: the server has refused it.
    All,
    /// The server does not say.
    Unknown,
}

impl Left {
    pub(super) fn of(status: &PullStatus<'_>) -> Self {
        match status.pending {
            Some(left) => Self::Known(left),
            None if status.is_refusal() => Self::All,
            None => Self::Unknown,
        }
    }
}

fn earlier(one: Option<Instant>, other: Instant) -> Instant {
    one.map_or(other, |one| one.min(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn amount(messages: u64, bytes: u64) -> Amount {
        Amount { messages, bytes }
    }

    /// Adds a request with 31 seconds to live.
    fn ask(window: &mut Window, number: u64, asks: Amount, now: Instant) {
        let deadline = now + 31 * SECOND;
        window.add(Open {
            number,
            asks,
            is_whole: false,
            sent: now,
            deadline,
            received_before: 0,
            pin: 0,
        });
    }

    fn take(window: &mut Window, count: u64, bytes: u64) {
        (0..count).for_each(|_| window.take(bytes));
    }

    #[test]
    fn messages_count_against_the_total_whichever_request_they_are_for() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(500, 0), now);
        take(&mut window, 251, 100);
        ask(&mut window, 2, amount(251, 0), now);
        assert_eq!(window.outstanding(), amount(500, 0));
        // both are served in turn, and the second one ends first
        take(&mut window, 300, 100);
        assert!(window.end(2, Left::Known(amount(101, 0))).is_some());
        assert_eq!(window.outstanding(), amount(99, 0));
        assert!(window.end(1, Left::Known(amount(99, 0))).is_some());
        assert_eq!(window.outstanding(), amount(0, 0));
        assert!(window.is_empty() && window.next_deadline().is_none());
    }

    #[test]
    fn a_status_counts_once() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(10, 0), now);
        ask(&mut window, 2, amount(10, 0), now);
        for _ in 0..2 {
            window.end(1, Left::Known(amount(10, 0)));
            assert_eq!(window.outstanding(), amount(10, 0));
        }
        assert_eq!(window.end(7, Left::All), None, "no such request");
        assert!(window.end(2, Left::All).is_some());
        assert_eq!(window.outstanding(), amount(0, 0));
    }

    #[test]
    fn with_the_last_request_the_total_is_zero_whatever_was_lost() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(10, 1000), now);
        ask(&mut window, 2, amount(10, 1000), now + SECOND);
        take(&mut window, 3, 10);
        assert!(window.end(1, Left::Unknown).is_some());
        assert_eq!(window.outstanding(), amount(10, 1000), "no more than the other one asks for");
        assert!(window.end(2, Left::Known(amount(2, 0))).is_some());
        assert_eq!((window.outstanding(), window.is_empty()), (amount(0, 0), true));
    }

    #[test]
    fn what_the_server_says_is_believed_as_far_as_it_can_be_true() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(10, 0), now);
        ask(&mut window, 2, amount(10, 0), now);
        window.end(1, Left::Known(amount(u64::MAX, u64::MAX)));
        assert_eq!(window.outstanding(), amount(10, 0));
        take(&mut window, 50, u64::MAX);
        assert_eq!(window.outstanding(), amount(0, 0));
    }

    #[test]
    fn a_request_without_an_answer_is_given_up_at_its_deadline() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(10, 0), now);
        ask(&mut window, 2, amount(5, 0), now + SECOND);
        assert_eq!(window.next_deadline(), Some(now + 31 * SECOND));
        window.lapse(now + 30 * SECOND);
        assert_eq!(window.outstanding(), amount(15, 0));
        window.lapse(now + 31 * SECOND);
        assert_eq!(window.outstanding(), amount(5, 0));
        assert_eq!(window.next_deadline(), Some(now + 32 * SECOND));
        window.lapse(now + 32 * SECOND);
        assert!(window.is_empty());
    }

    #[test]
    fn what_was_asked_for_before_may_be_void_and_what_was_asked_for_later_not() {
        let (mut window, now) = (Window::default(), Instant::now());
        for number in 1..=3 {
            ask(&mut window, number, amount(10, 100), now);
        }
        take(&mut window, 4, 1);
        window.void_up_to(2);
        assert_eq!(window.outstanding(), amount(10, 100));
        window.void_up_to(3);
        assert!(window.is_empty() && window.outstanding() == Amount::default());
    }

    #[test]
    fn an_earlier_deadline_of_a_later_request_counts() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(10, 0), now + 9 * SECOND);
        ask(&mut window, 2, amount(10, 0), now);
        assert_eq!(window.next_deadline(), Some(now + 31 * SECOND));
        window.lapse(now + 31 * SECOND);
        assert_eq!(window.next_deadline(), Some(now + 40 * SECOND));
    }

    #[test]
    fn requests_that_got_everything_are_forgotten_without_a_word_of_the_server() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(2, 0), now);
        take(&mut window, 2, 100);
        assert!(window.is_empty());
        ask(&mut window, 2, amount(1_000_000, 1000), now);
        take(&mut window, 10, 100);
        assert!(window.is_empty(), "all bytes have come");
        ask(&mut window, 3, amount(3, 0), now);
        take(&mut window, 2, 100);
        assert!(!window.is_empty(), "bytes are not counted where they are not limited");
    }

    /// A consumption that is never idle must not remember all of its requests.
    #[test]
    fn the_number_of_requests_that_are_remembered_is_bounded() {
        let (mut window, now) = (Window::default(), Instant::now());
        ask(&mut window, 1, amount(500, 0), now);
        for number in 2..10_000 {
            take(&mut window, 250, 100);
            ask(&mut window, number, amount(250, 0), now + number as u32 * SECOND / 1000);
            assert!(window.open.len() <= MAX_OPEN);
            assert_eq!(window.outstanding(), amount(500, 0));
        }
        assert_eq!(window.end(3, Left::Known(amount(250, 0))), None);
        assert_eq!(window.outstanding(), amount(500, 0));
        window.lapse(now + 60 * SECOND);
        assert!(window.is_empty() && window.asked == Amount::default());
    }
}
