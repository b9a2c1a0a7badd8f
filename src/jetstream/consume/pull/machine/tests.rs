//! One behavior a test, in virtual time: nothing sleeps. How they combine is left to `simulation`.

mod anything;
mod lifecycle;
mod simulation;
mod trouble;

use super::*;
use crate::jetstream::consume::pull::request::PullRequest;
use crate::jetstream::manage::ConsumerConfig;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn options() -> ConsumeOptions {
    ConsumeOptions::new().max_messages(10)
}

/// A consumption, and what its driver has been told to do.
struct Bench {
    pull: Pull,
    now: Instant,
    pulls: Vec<(u64, PullRequest)>,
    asked: usize,
    told: Vec<ConsumeEvent>,
    ends: Vec<ConsumeEnd>,
}

impl Bench {
    fn new(options: ConsumeOptions) -> Self {
        assert!(options.check().is_ok());
        let now = Instant::now();
        let pull = Pull::new(options, 7, now);
        let mut bench = Self { pull, now, pulls: vec![], asked: 0, told: vec![], ends: vec![] };
        bench.obey();
        bench
    }

    fn obey(&mut self) {
        while let Some(action) = self.pull.poll_action() {
            assert!(self.ends.is_empty(), "{action:?} after the end");
            match action {
                Action::Pull { number, request } => {
                    assert!(self.pull.connected, "{request:?} without a connection");
                    self.pulls.push((number, request));
                }
                Action::AskConsumer => self.asked += 1,
                Action::Tell(event) => self.told.push(event),
                Action::End(end) => self.ends.push(end),
                other => panic!("{other:?} is not for a pull consumer"),
            }
        }
    }

    /// The requests since the last call.
    fn take_pulls(&mut self) -> Vec<(u64, PullRequest)> {
        std::mem::take(&mut self.pulls)
    }

    /// How many messages each of the requests asks for since the last call.
    fn batches(&mut self) -> Vec<u64> {
        self.take_pulls().into_iter().map(|(_, request)| request.batch).collect()
    }

    fn told(&mut self) -> Vec<ConsumeEvent> {
        std::mem::take(&mut self.told)
    }

    /// So many messages come, and wait for the program.
    fn come(&mut self, count: u64, bytes: u64) {
        for _ in 0..count {
            assert_eq!(self.pull.handle_message(bytes, None, self.now), Verdict::Deliver);
            self.obey();
        }
    }

    fn release(&mut self, count: u64, bytes: u64) {
        for _ in 0..count {
            self.pull.release(bytes, self.now);
            self.obey();
        }
    }

    /// So many messages come, and the program takes each one.
    fn deliver(&mut self, count: u64, bytes: u64) {
        for _ in 0..count {
            self.come(1, bytes);
            self.release(1, bytes);
        }
    }

    fn status(&mut self, number: u64, kind: StatusKind<'_>) {
        self.pull.handle_status(number, &PullStatus { kind, pending: None }, self.now);
        self.obey();
    }

    /// A status that says what is left of its request.
    fn status_with(&mut self, number: u64, kind: StatusKind<'_>, messages: u64, bytes: u64) {
        let status = PullStatus { kind, pending: Some(Amount { messages, bytes }) };
        self.pull.handle_status(number, &status, self.now);
        self.obey();
    }

    fn info(&mut self, info: Result<&ConsumerInfo, &Error>) {
        self.asked -= 1;
        self.pull.handle_consumer_info(info, self.now);
        self.obey();
    }

    /// Time passes, and the timer fires whenever it is to.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.pull.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.pull.handle_timeout(self.now);
            self.obey();
            assert!(self.pull.next_deadline().is_none_or(|next| next > self.now), "a busy loop");
        }
        self.now = end;
    }
}

fn info_with(config: ConsumerConfig) -> ConsumerInfo {
    ConsumerInfo { config: Some(config), num_waiting: 1, num_pending: 1, ..ConsumerInfo::default() }
}

#[test]
fn more_is_asked_for_when_less_than_the_threshold_is_under_way() {
    let mut bench = Bench::new(options());
    assert_eq!(bench.batches(), [10]);
    bench.deliver(5, 100);
    assert_eq!(bench.batches(), [0; 0], "five are under way, which is half of ten");
    bench.deliver(1, 100);
    assert_eq!(bench.batches(), [6]);
    let mut bench = Bench::new(options().threshold_messages(10));
    bench.batches();
    bench.deliver(2, 100);
    assert_eq!(bench.batches(), [1, 1]);
}

#[test]
fn half_of_an_odd_number_is_rounded_up_and_one_is_one_by_one() {
    let mut bench = Bench::new(ConsumeOptions::new().max_messages(3));
    bench.deliver(2, 100);
    assert_eq!(bench.batches(), [3, 2]);
    let mut bench = Bench::new(ConsumeOptions::new().max_messages(1));
    bench.come(1, 100);
    assert_eq!(bench.batches(), [1], "the program has it still");
    bench.release(1, 100);
    assert_eq!(bench.batches(), [1]);
}

#[test]
fn what_the_program_has_not_taken_is_under_way() {
    let mut bench = Bench::new(options());
    bench.come(10, 100);
    assert_eq!(bench.batches(), [10]);
    bench.release(5, 100);
    assert_eq!(bench.batches(), [0; 0]);
    bench.release(1, 100);
    assert_eq!(bench.batches(), [6]);
}

#[test]
fn bytes_are_counted_where_they_are_limited() {
    let mut bench = Bench::new(ConsumeOptions::new().max_bytes(1000));
    let (number, request) = bench.take_pulls().remove(0);
    assert_eq!((number, request.batch, request.max_bytes), (1, 1_000_000, 1000));
    bench.deliver(5, 100);
    assert!(bench.take_pulls().is_empty());
    bench.deliver(1, 100);
    let (number, request) = bench.take_pulls().remove(0);
    assert_eq!((number, request.batch, request.max_bytes), (2, 1_000_000, 600));
}

#[test]
fn of_messages_and_bytes_whichever_comes_first_counts() {
    let mut bench = Bench::new(options().max_bytes(1000));
    let request = bench.take_pulls().remove(0).1;
    assert_eq!((request.batch, request.max_bytes), (10, 1000));
    bench.deliver(2, 300);
    let request = bench.take_pulls().remove(0).1;
    assert_eq!((request.batch, request.max_bytes), (2, 600));
    bench.deliver(6, 1);
    let request = bench.take_pulls().remove(0).1;
    assert_eq!((request.batch, request.max_bytes), (6, 6), "by number, too");
}

#[test]
fn what_is_left_of_a_request_is_asked_for_again() {
    let mut bench = Bench::new(options());
    bench.deliver(7, 100);
    assert_eq!(bench.batches(), [10, 6]);
    bench.deliver(1, 100);
    bench.now += 30 * SECOND;
    bench.status_with(1, StatusKind::Expired, 2, 0);
    assert_eq!(bench.batches(), [0; 0], "six are under way");
    bench.status_with(2, StatusKind::Expired, 6, 0);
    assert_eq!(bench.batches(), [10], "at once, as it has waited for its whole time");
}

#[test]
fn no_more_is_asked_for_than_is_wanted() {
    let mut bench = Bench::new(options().stop_after(14));
    bench.deliver(6, 100);
    assert_eq!(bench.batches(), [10, 4], "and not six");
    bench.deliver(7, 100);
    assert_eq!(bench.batches(), [0; 0]);
    assert!(bench.ends.is_empty());
    bench.deliver(1, 100);
    assert_eq!(bench.ends, [ConsumeEnd::Complete]);
    assert_eq!(bench.pull.handle_message(100, None, bench.now), Verdict::HandBack);
    let mut bench = Bench::new(options().stop_after(3));
    assert_eq!(bench.batches(), [3]);
}

#[test]
fn what_was_lost_of_what_is_wanted_is_asked_for_again() {
    let mut bench = Bench::new(options().stop_after(3));
    bench.deliver(1, 100);
    bench.batches();
    // two are lost on their way
    bench.status_with(1, StatusKind::BatchCompleted, 0, 0);
    assert_eq!(bench.batches(), [2]);
}

/// A message that does not fit into what is left fits into all of it.
#[test]
fn a_message_that_does_not_fit_waits_for_the_whole_window() {
    let mut bench = Bench::new(ConsumeOptions::new().max_bytes(1000));
    bench.come(6, 100);
    bench.release(2, 100);
    let request = bench.take_pulls().pop().expect("a request").1;
    assert_eq!(request.max_bytes, 1000);
    bench.release(4, 100);
    let (number, request) = bench.take_pulls().pop().expect("a request");
    assert_eq!((number, request.max_bytes), (2, 600));
    // 700 bytes fit into neither the one nor the other
    bench.status_with(1, StatusKind::MessageTooLarge, 999_994, 400);
    bench.status_with(2, StatusKind::MessageTooLarge, 1_000_000, 600);
    assert_eq!(bench.take_pulls().pop().expect("a request").1.max_bytes, 1000);
    assert_eq!(bench.told(), []);
    bench.deliver(1, 700);
    assert_eq!(bench.take_pulls().len(), 1);
}

#[test]
fn the_room_that_a_program_still_takes_is_waited_for() {
    let mut bench = Bench::new(ConsumeOptions::new().max_bytes(1000).threshold_bytes(1000));
    bench.come(5, 100);
    bench.status_with(1, StatusKind::MessageTooLarge, 999_995, 500);
    assert_eq!(bench.take_pulls().pop().expect("a request").1.max_bytes, 500);
    bench.status_with(2, StatusKind::MessageTooLarge, 1_000_000, 500);
    bench.release(4, 100);
    bench.pass(60 * SECOND);
    let without_keep_alives = |(_, request): &(u64, PullRequest)| request.max_bytes > 1;
    assert!(!bench.take_pulls().iter().any(without_keep_alives));
    bench.release(1, 100);
    assert_eq!(bench.take_pulls().pop().expect("a request").1.max_bytes, 1000);
}
