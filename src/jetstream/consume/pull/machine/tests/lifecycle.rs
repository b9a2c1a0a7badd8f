//! Connections, pauses, pins and ends.

use super::*;
use crate::jetstream::api_error::{ApiError, ErrorCode};

#[test]
fn while_the_connection_is_lost_nothing_is_asked_for_and_nothing_is_due() {
    let mut bench = Bench::new(options());
    bench.batches();
    bench.pull.handle_disconnected(bench.now);
    bench.obey();
    assert_eq!(bench.pull.next_deadline(), None);
    bench.pass(600 * SECOND);
    assert_eq!((bench.batches(), bench.told(), bench.asked), (vec![], vec![], 0));
    bench.pull.handle_reconnected(bench.now);
    bench.obey();
    assert_eq!(bench.batches(), [10], "at once, and for everything");
}

/// A client may learn of a lost connection only when there is another one.
#[test]
fn a_reconnect_that_completes_between_two_waits_is_not_followed_by_silence() {
    let mut bench = Bench::new(options());
    bench.deliver(3, 100);
    bench.batches();
    bench.now += 3 * SECOND;
    bench.pull.handle_reconnected(bench.now);
    bench.obey();
    assert_eq!(bench.batches(), [10]);
}

#[test]
fn a_reconnect_ends_every_pause_of_the_back_off() {
    let mut bench = Bench::new(options());
    for number in 1..6 {
        bench.status(number, StatusKind::NoResponders);
        bench.pass(10 * SECOND);
    }
    bench.batches();
    bench.status(6, StatusKind::NoResponders);
    assert_eq!(bench.batches(), [0; 0]);
    bench.pull.handle_reconnected(bench.now);
    bench.obey();
    assert_eq!(bench.batches(), [10]);
}

#[test]
fn what_is_not_sent_when_the_connection_is_lost_is_not_sent_later() {
    let now = Instant::now();
    let mut pull = Pull::new(options(), 7, now);
    pull.handle_disconnected(now);
    assert_eq!(pull.poll_action(), None);
    pull.handle_reconnected(now);
    assert!(matches!(pull.poll_action(), Some(Action::Pull { number: 2, .. })));
    // a question that was not sent is not waited for
    pull.pause(now);
    pull.handle_disconnected(now);
    pull.handle_reconnected(now);
    pull.resume(now);
    pull.handle_timeout(now + 30 * SECOND);
    assert!(std::iter::from_fn(|| pull.poll_action()).any(|action| action == Action::AskConsumer));
}

#[test]
fn a_paused_consumption_asks_for_nothing_and_reports_nothing() {
    let mut bench = Bench::new(options());
    bench.info_of_a_durable_consumer();
    bench.batches();
    bench.pull.pause(bench.now);
    bench.come(8, 100);
    bench.release(8, 100);
    bench.pass(3600 * SECOND);
    assert_eq!((bench.batches(), bench.told(), bench.asked), (vec![], vec![], 0));
    bench.pull.resume(bench.now);
    bench.obey();
    assert_eq!(bench.batches(), [10]);
    bench.pass(29 * SECOND);
    assert_eq!(bench.told(), [], "silence begins with the resumption");
}

impl Bench {
    /// Its server never deletes it for inactivity.
    fn info_of_a_durable_consumer(&mut self) {
        let info = info_with(ConsumerConfig::default());
        self.pull.handle_consumer_info(Ok(&info), self.now);
        self.obey();
    }
}

/// A server deletes an ephemeral consumer that nobody asks for messages, after five seconds.
#[test]
fn an_ephemeral_consumer_outlives_a_pause() {
    let mut bench = Bench::new(options());
    bench.batches();
    bench.pull.pause(bench.now);
    bench.obey();
    assert_eq!(bench.asked, 1, "what is its threshold?");
    bench.pass(5 * SECOND);
    let keep_alives = bench.take_pulls();
    assert_eq!(keep_alives.len(), 2, "the worst is assumed until it is known");
    for (_, request) in keep_alives {
        assert_eq!((request.batch, request.max_bytes), (1, 1));
        assert_eq!(request.expires, Some(SECOND));
    }
    bench.info(Ok(&info_with(ConsumerConfig::default().inactive_threshold(60 * SECOND))));
    bench.pass(300 * SECOND);
    assert_eq!(bench.take_pulls().len(), 10);
    bench.pull.resume(bench.now);
    bench.pull.pause(bench.now);
    bench.obey();
    assert_eq!(bench.asked, 0, "it is known");
}

#[test]
fn an_ephemeral_consumer_outlives_a_slow_program() {
    let mut bench = Bench::new(options());
    bench.come(10, 100);
    bench.info(Ok(&info_with(ConsumerConfig::default().inactive_threshold(10 * SECOND))));
    bench.batches();
    bench.pass(3600 * SECOND);
    assert_eq!(bench.take_pulls().len(), 720);
    assert_eq!(bench.told(), []);
}

#[test]
fn a_keep_alive_does_not_count_as_asked_for() {
    let mut bench = Bench::new(options());
    bench.pull.pause(bench.now);
    bench.pass(3 * SECOND);
    let (number, _) = bench.take_pulls().pop().expect("a keep-alive");
    assert_eq!(bench.pull.window.outstanding().messages, 10);
    bench.status_with(number, StatusKind::MessageTooLarge, 1, 1);
    bench.status(number, StatusKind::BadRequest("Bad Request".into()));
    assert_eq!(bench.pull.window.outstanding().messages, 10);
    assert_eq!((bench.told(), bench.ends.len()), (vec![], 0));
    bench.info(Err(&Error::NotAvailable));
    bench.status(number, StatusKind::NoResponders);
    assert_eq!(bench.asked, 1, "the consumer may be gone");
}

#[test]
fn the_pin_is_taken_from_messages_and_sent_with_requests() {
    let mut bench = Bench::new(options().group("g"));
    bench.pull.handle_message(100, Some("one"), bench.now);
    bench.pull.release(100, bench.now);
    bench.obey();
    assert_eq!(bench.told(), [ConsumeEvent::Pinned { id: "one".into() }]);
    bench.deliver(5, 100);
    let ids: Vec<_> = bench.take_pulls().into_iter().map(|(_, request)| request.id).collect();
    assert_eq!(ids, [None, Some("one".into())]);
}

#[test]
fn a_lost_pin_is_dropped_at_once_and_once() {
    let mut bench = Bench::new(options().group("g"));
    bench.pull.handle_message(100, Some("one"), bench.now);
    bench.pull.release(100, bench.now);
    bench.deliver(9, 100);
    let numbers: Vec<_> = bench.take_pulls().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2]);
    bench.told();
    bench.status_with(2, StatusKind::PinMismatch, 6, 0);
    assert_eq!(bench.told(), [ConsumeEvent::Unpinned]);
    let again = bench.take_pulls();
    assert_eq!(again.len(), 1, "at once");
    assert_eq!(again[0].1.id, None);
    // and now without a pin: nothing that another request would change
    bench.status(again[0].0, StatusKind::PinMismatch);
    assert_eq!((bench.told(), bench.take_pulls().len()), (vec![], 0));
    bench.pass(250 * MS);
    assert_eq!(bench.take_pulls().len(), 1);
}

#[test]
fn a_late_mismatch_of_an_older_pin_leaves_the_new_one() {
    let mut bench = Bench::new(options().group("g").threshold_messages(10));
    let mut message = |id| {
        bench.pull.handle_message(100, id, bench.now);
        bench.pull.release(100, bench.now);
        bench.obey();
        bench.take_pulls().pop().expect("a request").0
    };
    let older = message(Some("one"));
    message(Some("two"));
    bench.told();
    bench.status(older, StatusKind::PinMismatch);
    assert_eq!(bench.told(), []);
    assert_eq!(bench.pull.pin.as_deref(), Some("two"));
}

#[test]
fn a_pin_means_nothing_without_a_group() {
    let mut bench = Bench::new(options());
    bench.pull.handle_message(100, Some("forged"), bench.now);
    bench.obey();
    assert_eq!((bench.told(), bench.pull.pin.clone()), (vec![], None));
}

#[test]
fn what_cannot_be_helped_ends_it_with_its_reason() {
    use StatusKind::*;
    for (kind, expected) in [
        (ConsumerDeleted, ConsumerError::ConsumerDeleted),
        (PushBased, ConsumerError::PushBased),
        (BadRequest("why".into()), ConsumerError::BadRequest("why".into())),
        (RequiredApiLevel, ConsumerError::RequiredApiLevel),
    ] {
        let mut bench = Bench::new(options());
        bench.deliver(2, 100);
        bench.status(1, kind);
        assert_eq!(bench.ends, [ConsumeEnd::Failed(expected.into())]);
        assert_eq!(bench.pull.next_deadline(), None);
        assert_eq!(bench.pull.handle_message(100, None, bench.now), Verdict::HandBack);
    }
}

#[test]
fn a_consumer_that_is_gone_ends_it_whichever_request_tells() {
    let mut bench = Bench::new(options());
    bench.status(77, StatusKind::BadRequest("about another one".into()));
    assert!(bench.ends.is_empty());
    bench.status(77, StatusKind::ConsumerDeleted);
    assert_eq!(bench.ends, [ConsumeEnd::Failed(ConsumerError::ConsumerDeleted.into())]);
}

#[test]
fn a_consumer_that_is_not_found_ends_it() {
    let mut bench = Bench::new(options());
    bench.status(1, StatusKind::NoResponders);
    assert_eq!(bench.asked, 1);
    let error = ApiError::new(404, ErrorCode::CONSUMER_NOT_FOUND, "consumer not found");
    bench.info(Err(&Error::Api(error.clone())));
    assert_eq!(bench.ends, [ConsumeEnd::Failed(ConsumerError::NotFound(error).into())]);
}

#[test]
fn a_stop_ends_it_at_once_and_only_once() {
    let mut bench = Bench::new(options());
    bench.pull.pause(bench.now);
    bench.obey();
    bench.pull.stop();
    bench.pull.stop();
    bench.pull.drain(bench.now);
    bench.pull.handle_reconnected(bench.now);
    bench.pull.resume(bench.now);
    bench.info(Ok(&ConsumerInfo::default()));
    bench.pass(600 * SECOND);
    assert_eq!(bench.ends, [ConsumeEnd::Stopped]);
}

#[test]
fn a_drain_waits_for_everything_that_was_asked_for() {
    let mut bench = Bench::new(options());
    bench.deliver(6, 100);
    assert_eq!(bench.batches(), [10, 6]);
    bench.pull.drain(bench.now);
    bench.deliver(7, 100);
    assert!(bench.ends.is_empty() && bench.batches().is_empty());
    bench.status_with(1, StatusKind::Expired, 0, 0);
    assert!(bench.ends.is_empty());
    bench.status_with(2, StatusKind::Expired, 3, 0);
    assert_eq!(bench.ends, [ConsumeEnd::Drained]);

    let mut bench = Bench::new(options());
    bench.pull.drain(bench.now);
    bench.deliver(10, 100);
    assert_eq!(bench.ends, [ConsumeEnd::Drained], "with the last message");
}

#[test]
fn a_drain_ends_without_an_answer_and_without_a_connection() {
    let mut bench = Bench::new(options().heartbeat(SECOND));
    bench.pull.drain(bench.now);
    for _ in 0..31 {
        assert!(bench.ends.is_empty());
        bench.status(99, StatusKind::Heartbeat);
        bench.pass(SECOND);
    }
    assert_eq!(bench.ends, [ConsumeEnd::Drained], "at the deadline of the request");
    let mut bench = Bench::new(options());
    bench.pull.drain(bench.now);
    bench.pull.handle_disconnected(bench.now);
    bench.obey();
    assert_eq!(bench.ends, [ConsumeEnd::Drained], "nothing can come any more");
}
