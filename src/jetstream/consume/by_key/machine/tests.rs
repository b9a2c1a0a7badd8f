//! One rule a test, in virtual time, and all of them with a server that is simulated.

mod simulation;

use super::*;
use crate::jetstream::manage::{ClusterInfo, ConsumerConfig};
use std::collections::BTreeSet;
use std::rc::Rc;

const SECOND: Duration = Duration::from_secs(1);
const NONE: [u64; 0] = [];

/// A message as it is delivered, whose subject is its key.
fn delivery(key: &str, sequence: u64, consumer_sequence: u64, delivered: u64) -> Message {
    let reply =
        format!("$JS.ACK.S.C.{delivered}.{sequence}.{consumer_sequence}.1700000000000000000.0");
    Message::new(key, 1, Some(&reply), None, b"")
}

fn sequence_of(message: &Message) -> u64 {
    let info = message.reply_bytes().and_then(DeliveryInfo::parse);
    info.expect("a delivery").stream_sequence
}

fn info(adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig) -> ConsumerInfo {
    let config = adjust(ConsumerConfig::new("C").ack_wait(SECOND));
    ConsumerInfo { config: Some(config), ..ConsumerInfo::default() }
}

/// What the machine has asked for, as far as it is about messages.
#[derive(Default, Debug, PartialEq, Eq)]
struct Acts {
    handed: Vec<u64>,
    back: Vec<u64>,
    prolonged: BTreeSet<u64>,
    skipped: Vec<u64>,
    pulled: u64,
    questions: usize,
    end: Option<ConsumeEnd>,
}

fn acts(machine: &mut KeyedPull) -> Acts {
    let mut acts = Acts::default();
    while let Some(action) = machine.poll_action() {
        match action {
            Action::HandOver(message) => acts.handed.push(sequence_of(&message)),
            Action::HandBack(message) => {
                assert!(acts.end.is_some() || !matches!(machine.phase, Phase::Leaving(_)));
                acts.back.push(sequence_of(&message));
            }
            Action::Prolong(message) => assert!(acts.prolonged.insert(sequence_of(&message))),
            Action::Tell(ConsumeEvent::Skipped { stream_sequence }) => {
                acts.skipped.push(stream_sequence);
            }
            Action::Tell(_) => {}
            Action::Pull { request, .. } => acts.pulled += request.batch,
            Action::AskConsumer => acts.questions += 1,
            Action::End(end) => acts.end = Some(end),
            other => panic!("{other:?}"),
        }
    }
    acts
}

/// A machine whose deliveries are numbered as they come.
struct Bench {
    machine: KeyedPull,
    now: Instant,
    last: u64,
}

impl Bench {
    fn new(max_keys: usize, adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig) -> Self {
        Self::with(ConsumeOptions::new(), max_keys, adjust)
    }

    fn with(
        options: ConsumeOptions,
        max_keys: usize,
        adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig,
    ) -> Self {
        let now = Instant::now();
        let key_of: KeyOf = Rc::new(|message| message.subject_bytes().to_vec());
        let mut machine = KeyedPull::new(options, key_of, max_keys, 1, now);
        assert_eq!(acts(&mut machine).questions, 1);
        machine.handle_told(Told::Consumer(Ok(&info(adjust))), now);
        Self { machine, now, last: 0 }
    }

    fn come(&mut self, key: &str, sequence: u64) -> Verdict {
        self.come_again(key, sequence, 1)
    }

    fn come_again(&mut self, key: &str, sequence: u64, delivered: u64) -> Verdict {
        self.last += 1;
        let message = delivery(key, sequence, self.last, delivered);
        self.machine.handle_message(&message, self.now)
    }

    /// The callback has run for the message.
    fn settle(&mut self, sequence: u64, settled: Settled) {
        self.machine.handle_settled(sequence, settled, self.now);
        self.machine.release(1, self.now);
    }

    fn acts(&mut self) -> Acts {
        acts(&mut self.machine)
    }

    fn handed(&mut self) -> Vec<u64> {
        self.acts().handed
    }

    /// Lets the time pass, and everything happen that is due meanwhile.
    fn pass(&mut self, time: Duration) -> Acts {
        let (end, mut all) = (self.now + time, Acts::default());
        for _ in 0..10_000 {
            let due = self.machine.next_deadline().filter(|due| *due <= end);
            self.now = due.unwrap_or(end).max(self.now);
            self.machine.handle_timeout(self.now);
            let acts = self.acts();
            all.handed.extend(acts.handed);
            all.skipped.extend(acts.skipped);
            all.prolonged.extend(acts.prolonged);
            all.pulled += acts.pulled;
            all.questions += acts.questions;
            if due.is_none() {
                return all;
            }
        }
        panic!("the machine is never done");
    }

    fn confirm(&mut self, adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig) -> Acts {
        self.machine.handle_told(Told::Consumer(Ok(&info(adjust))), self.now);
        self.acts()
    }
}

fn same(config: ConsumerConfig) -> ConsumerConfig {
    config
}

#[test]
fn a_key_goes_on_when_its_message_is_answered_for_good_and_others_meanwhile() {
    let mut bench = Bench::new(9, same);
    for (key, sequence) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
        assert_eq!(bench.come(key, sequence), Verdict::Kept);
    }
    assert_eq!(bench.handed(), [1, 3]);
    bench.settle(1, Settled::Done);
    assert_eq!(bench.handed(), [2]);
    bench.settle(3, Settled::Done);
    assert_eq!(bench.handed(), NONE);
    bench.settle(2, Settled::Done);
    assert_eq!(bench.handed(), [4]);
}

#[test]
fn so_many_keys_are_at_work_and_those_that_wait_have_their_turn() {
    let mut bench = Bench::new(2, same);
    for (key, sequence) in [("a", 1), ("a", 2), ("b", 3), ("c", 4), ("d", 5), ("a", 6)] {
        bench.come(key, sequence);
    }
    assert_eq!(bench.handed(), [1, 3]);
    bench.settle(1, Settled::Done);
    assert_eq!(bench.handed(), [4], "c has waited longer than a");
    bench.settle(4, Settled::Done);
    bench.settle(3, Settled::Done);
    assert_eq!(bench.handed(), [5, 2]);
}

#[test]
fn nothing_is_handed_over_before_it_is_known_what_the_consumer_is() {
    let now = Instant::now();
    let key_of: KeyOf = Rc::new(|message| message.subject_bytes().to_vec());
    let mut machine = KeyedPull::new(ConsumeOptions::new(), key_of, 1, 1, now);
    machine.handle_message(&delivery("a", 1, 1, 1), now);
    assert_eq!(acts(&mut machine).handed, NONE);
    machine.handle_told(Told::Consumer(Err(&Error::Closed)), now);
    assert_eq!(acts(&mut machine).handed, [1]);
}

#[test]
fn what_others_have_handed_back_is_gathered_and_put_in_order() {
    let mut now = Instant::now();
    let key_of: KeyOf = Rc::new(|message| message.subject_bytes().to_vec());
    let mut machine = KeyedPull::new(ConsumeOptions::new(), key_of, 1, 1, now);
    let unanswered = ConsumerInfo { num_ack_pending: 2, ..info(same) };
    machine.handle_told(Told::Consumer(Ok(&unanswered)), now);
    machine.handle_message(&delivery("a", 2, 7, 2), now);
    machine.handle_message(&delivery("a", 1, 8, 2), now);
    assert_eq!(acts(&mut machine).handed, NONE);
    now = machine.next_deadline().expect("a deadline");
    machine.handle_timeout(now);
    assert_eq!(acts(&mut machine).handed, [1]);
}

#[test]
fn a_key_waits_for_what_is_to_come_again_and_leaves_its_place_to_others() {
    for settled in [Settled::Again(Duration::ZERO), Settled::Unanswered] {
        let mut bench = Bench::new(1, same);
        for (key, sequence) in [("a", 1), ("a", 2), ("b", 3)] {
            bench.come(key, sequence);
        }
        assert_eq!(bench.handed(), [1]);
        bench.settle(1, settled);
        assert_eq!(bench.handed(), [3]);
        bench.settle(3, Settled::Done);
        assert_eq!(bench.handed(), NONE, "{settled:?}: 2 waits for 1");
        assert_eq!(bench.come_again("a", 1, 2), Verdict::Kept);
        assert_eq!(bench.handed(), [1]);
        bench.settle(1, Settled::Done);
        assert_eq!(bench.handed(), [2]);
    }
}

#[test]
fn what_is_here_already_is_not_handed_over_again() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    bench.come("a", 2);
    assert_eq!(bench.come_again("a", 1, 2), Verdict::Skip, "at work");
    assert_eq!(bench.come_again("a", 2, 2), Verdict::Skip, "held");
    assert_eq!(bench.handed(), [1]);
    bench.settle(1, Settled::Done);
    let Some(Action::HandOver(message)) = bench.machine.poll_action() else { panic!() };
    let info = message.reply_bytes().and_then(DeliveryInfo::parse).expect("a delivery");
    assert_eq!((info.stream_sequence, info.delivered), (2, 2), "the newer copy");
    bench.settle(2, Settled::Done);
    assert_eq!(bench.handed(), NONE);
}

#[test]
fn what_is_older_goes_first() {
    let mut bench = Bench::new(1, same);
    bench.come("b", 1);
    bench.come("a", 5);
    bench.come_again("a", 3, 2);
    assert_eq!(bench.handed(), [1]);
    bench.settle(1, Settled::Done);
    assert_eq!(bench.handed(), [3]);
    bench.settle(3, Settled::Unanswered);
    bench.come_again("a", 2, 2);
    assert_eq!(bench.handed(), [2], "also before what is waited for");
    bench.settle(2, Settled::Done);
    assert_eq!(bench.handed(), NONE);
}

#[test]
fn the_last_delivery_is_known_as_such() {
    let mut bench = Bench::new(9, |config| config.max_deliver(2));
    bench.come_again("a", 1, 2);
    bench.come("a", 2);
    assert_eq!(bench.handed(), [1]);
    bench.settle(1, Settled::Again(SECOND));
    let acts = bench.acts();
    assert_eq!((acts.skipped, acts.handed), (vec![1], vec![2]));
}

#[test]
fn what_does_not_come_in_time_is_skipped_when_the_consumer_is_not_paused() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    bench.come("a", 2);
    bench.acts();
    bench.settle(1, Settled::Again(3 * SECOND));
    assert_eq!(bench.pass(11 * SECOND - SECOND / 10).skipped, NONE);
    assert_eq!(bench.pass(SECOND / 5).questions, 1);
    let paused = ConsumerInfo { paused: true, ..info(same) };
    bench.machine.handle_told(Told::Consumer(Ok(&paused)), bench.now);
    assert_eq!(bench.acts().skipped, NONE);
    // nothing comes while it is paused
    bench.machine.pause(bench.now);
    assert_eq!(bench.pass(60 * SECOND).skipped, NONE);
    bench.machine.resume(bench.now);
    assert!(bench.pass(11 * SECOND).questions > 0);
    let acts = bench.confirm(same);
    assert_eq!((acts.skipped, acts.handed), (vec![1], vec![2]));
    assert_eq!(bench.pass(60 * SECOND).skipped, NONE);
}

/// All waits begin anew at the server that has the consumer now.
#[test]
fn nothing_is_skipped_because_another_server_has_the_consumer() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    bench.come("a", 2);
    bench.acts();
    bench.settle(1, Settled::Again(Duration::ZERO));
    let cluster = ClusterInfo { leader: Some("two".into()), ..ClusterInfo::default() };
    let info = ConsumerInfo { cluster: Some(cluster), ..info(same) };
    for skipped in [&[][..], &[1]] {
        assert_eq!(bench.pass(8 * SECOND).questions, 1);
        bench.machine.handle_told(Told::Consumer(Ok(&info)), bench.now);
        assert_eq!(bench.acts().skipped, skipped);
    }
}

/// As long as the information fails for another reason, it may be that nobody gets anything.
#[test]
fn what_cannot_be_confirmed_is_skipped_only_if_other_messages_come() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    bench.come("a", 2);
    bench.acts();
    bench.settle(1, Settled::Again(Duration::ZERO));
    bench.pass(8 * SECOND);
    bench.machine.handle_told(Told::Consumer(Err(&Error::Closed)), bench.now);
    assert_eq!(bench.acts().skipped, NONE);
    bench.pass(8 * SECOND);
    bench.come("b", 3);
    bench.machine.handle_told(Told::Consumer(Err(&Error::Closed)), bench.now);
    assert_eq!(bench.acts().skipped, [1]);
}

#[test]
fn what_is_here_is_told_to_be_under_way_until_it_is_answered() {
    let mut bench = Bench::new(1, same);
    for (key, sequence) in [("a", 1), ("a", 2), ("b", 3)] {
        bench.come(key, sequence);
    }
    bench.acts();
    assert_eq!(bench.pass(SECOND / 2).prolonged, [1, 2, 3].into());
    bench.settle(1, Settled::Unanswered);
    bench.settle(3, Settled::Done);
    assert_eq!(bench.pass(SECOND / 2).prolonged, [2].into(), "1 is to come again");
}

#[test]
fn the_program_says_how_often_that_is_told() {
    let options = ConsumeOptions::new().in_progress_every(SECOND / 10);
    let mut bench = Bench::with(options, 1, same);
    bench.come("a", 1);
    bench.acts();
    assert_eq!(bench.pass(SECOND / 10).prolonged, [1].into());
}

#[test]
fn without_room_it_is_asked_for_what_is_waited_for() {
    let mut bench = Bench::with(ConsumeOptions::new().max_messages(3), 1, same);
    assert_eq!(bench.acts().pulled, 0, "it has asked before");
    for sequence in 1..=3 {
        bench.come("a", sequence);
    }
    assert_eq!(bench.acts().pulled, 0);
    bench.settle(1, Settled::Again(Duration::ZERO));
    // so is the one that was released
    bench.come("a", 4);
    let pulled = bench.acts().pulled;
    assert!(pulled <= 1, "{pulled}");
    assert!(bench.pass(2 * SECOND).pulled + pulled >= 1);
}

#[test]
fn what_was_lost_on_its_way_holds_up_what_is_newer() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    assert_eq!(bench.handed(), [1]);
    bench.last += 2;
    bench.come("b", 4);
    assert_eq!(bench.handed(), NONE, "2 or 3 may be of the same key");
    bench.settle(1, Settled::Done);
    bench.come_again("b", 3, 2);
    assert_eq!(bench.handed(), NONE);
    bench.come_again("c", 2, 2);
    assert_eq!(bench.handed(), [2, 3]);
}

#[test]
fn gaps_that_others_leave_hold_up_nothing_for_long() {
    let mut bench = Bench::new(9, same);
    bench.come("a", 1);
    bench.last += 1;
    bench.come("b", 3);
    assert_eq!(bench.handed(), [1]);
    assert_eq!(bench.pass(6 * SECOND).handed, [3]);
    bench.last += 1;
    bench.come("c", 5);
    assert_eq!(bench.handed(), [5], "there are others");
}

#[test]
fn a_stop_hands_everything_back_in_order_after_the_end() {
    let mut bench = Bench::new(2, same);
    for (key, sequence) in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("c", 5)] {
        bench.come(key, sequence);
    }
    assert_eq!(bench.handed(), [1, 2]);
    // the program has begun with 1, and has not taken 2
    assert!(!bench.machine.forgo(1, bench.now));
    bench.machine.stop(bench.now);
    let acts = bench.acts();
    assert_eq!((acts.end, acts.back), (Some(ConsumeEnd::Stopped), vec![2, 3, 4, 5]));
    assert!(!bench.machine.is_finished());
    assert_eq!(bench.pass(SECOND / 2).prolonged, [1].into());
    bench.settle(1, Settled::Unanswered);
    assert!(bench.machine.is_finished());
    assert_eq!((bench.machine.next_deadline(), bench.handed()), (None, vec![]));
}

#[test]
fn the_end_is_told_when_nothing_is_held_and_what_cannot_go_on_is_handed_back() {
    let mut bench = Bench::with(ConsumeOptions::new().stop_after(5), 9, same);
    for (key, sequence) in [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("b", 5)] {
        bench.come(key, sequence);
    }
    let acts = bench.acts();
    assert_eq!((acts.handed, acts.end), (vec![1, 3], None));
    bench.settle(1, Settled::Unanswered);
    assert_eq!(bench.acts().back, [2]);
    bench.settle(3, Settled::Done);
    bench.settle(4, Settled::Done);
    let acts = bench.acts();
    assert_eq!((acts.handed, acts.end), (vec![4, 5], Some(ConsumeEnd::Complete)));
}

#[test]
fn nothing_is_left_when_the_client_is_over() {
    let mut bench = Bench::new(1, same);
    bench.come("a", 1);
    bench.come("a", 2);
    bench.acts();
    bench.machine.forgo(1, bench.now);
    bench.machine.fail(Error::Closed);
    let acts = bench.acts();
    assert_eq!((acts.end, acts.back), (Some(ConsumeEnd::Failed(Error::Closed)), vec![]));
    assert!(bench.machine.is_finished() && bench.machine.next_deadline().is_none());
}

#[test]
fn a_key_that_has_nothing_leaves_nothing_behind() {
    let mut bench = Bench::new(3, same);
    for sequence in 1..1_000 {
        bench.come(&format!("k{sequence}"), sequence);
        assert_eq!(bench.handed(), [sequence]);
        bench.settle(sequence, Settled::Done);
    }
    assert!(bench.machine.lanes.is_empty());
}
