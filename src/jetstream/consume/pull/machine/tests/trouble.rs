//! Refusals, losses and silence.

use super::*;
use crate::jetstream::consume::pull::silence::Silence;
use crate::jetstream::consume::status::RequestLimit;

/// How many requests are sent within a time by a consumption whose every request is answered so, at
/// once.
fn pulls_within(time: Duration, options: ConsumeOptions, kind: &StatusKind<'_>) -> usize {
    let mut bench = Bench::new(options);
    let (end, mut count) = (bench.now + time, 0);
    while bench.now < end {
        for (number, _) in bench.take_pulls() {
            count += 1;
            bench.status(number, kind.clone());
        }
        if bench.asked > 0 {
            bench.info(Err(&Error::NotAvailable));
        }
        bench.pass(10 * MS);
    }
    count
}

#[test]
fn whatever_is_answered_at_once_is_not_followed_by_a_hot_loop() {
    use StatusKind::*;
    let too_much = |limit| Exceeded(limit);
    for kind in [
        NoMessages,
        Expired,
        BatchCompleted,
        MessageTooLarge,
        too_much(RequestLimit::Expires(Some(Duration::from_nanos(1)))),
        too_much(RequestLimit::Expires(None)),
        too_much(RequestLimit::Bytes(Some(1))),
        TooManyWaiting,
        LeadershipChange,
        ServerShutdown,
        PinMismatch,
        NoResponders,
        Other { code: 409, text: "New".into() },
    ] {
        for options in [options(), options().max_bytes(1000), ConsumeOptions::new().max_bytes(9)] {
            let count = pulls_within(60 * SECOND, options, &kind);
            assert!((6..=18).contains(&count), "{count} requests in a minute after {kind:?}");
        }
    }
}

/// A peer asked again at once, and was refused at once, some 10,000 times a second.
#[test]
fn there_is_no_hot_loop_on_409_exceeded_max_request_batch() {
    for limit in [None, Some(5), Some(10), Some(1_000_000)] {
        let kind = StatusKind::Exceeded(RequestLimit::Batch(limit));
        let count = pulls_within(60 * SECOND, options(), &kind);
        assert!((6..=18).contains(&count), "{count} requests in a minute, {limit:?}");
    }
}

#[test]
fn pauses_grow_until_something_comes() {
    let mut bench = Bench::new(options());
    for (number, pause) in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000].iter().enumerate() {
        bench.take_pulls();
        bench.status(number as u64 + 1, StatusKind::TooManyWaiting);
        bench.pass(*pause * MS * 8 / 10 - MS);
        assert!(bench.pulls.is_empty(), "before {pause} ms");
        bench.pass(*pause * MS * 2 / 10 + MS);
        assert_eq!(bench.pulls.len(), 1, "after {pause} ms");
    }
    assert_eq!(bench.told(), [ConsumeEvent::MaxWaiting], "once");
    bench.deliver(1, 100);
    bench.take_pulls();
    bench.status_with(9, StatusKind::Expired, 9, 0);
    assert_eq!(bench.batches(), [10], "it has brought something");
}

/// One request is refused again and again while another one brings messages.
#[test]
fn messages_of_one_request_are_no_reason_to_repeat_another_one_at_once() {
    let mut bench = Bench::new(options().threshold_messages(10));
    let mut count = 0;
    for _ in 0..8 {
        bench.deliver(1, 100);
        for (number, _) in bench.take_pulls().into_iter().filter(|(number, _)| *number > 1) {
            count += 1;
            bench.status(number, StatusKind::TooManyWaiting);
        }
        bench.pass(10 * MS);
    }
    assert_eq!(count, 1);
}

#[test]
fn limits_that_the_server_names_hold_from_then_on_and_are_told_once() {
    let mut bench = Bench::new(ConsumeOptions::new().max_messages(100).max_bytes(10_000));
    let refusals = [
        RequestLimit::Batch(Some(7)),
        RequestLimit::Expires(Some(2 * SECOND)),
        RequestLimit::Bytes(Some(900)),
    ];
    for (number, limit) in refusals.iter().enumerate() {
        bench.status(number as u64 + 1, StatusKind::Exceeded(*limit));
        bench.pass(2 * SECOND - MS);
        assert_eq!(bench.told(), [ConsumeEvent::Limited(*limit)]);
    }
    let request = bench.take_pulls().pop().expect("a request").1;
    assert_eq!((request.batch, request.max_bytes), (7, 900));
    assert_eq!(request.expires, Some(2 * SECOND));
    assert_eq!(request.idle_heartbeat, Some(SECOND));
    bench.deliver(4, 100);
    assert_eq!(bench.batches(), [4], "the threshold is half of what is permitted");
}

#[test]
fn what_a_configuration_permits_is_not_exceeded() {
    let mut bench = Bench::new(options());
    let config = ConsumerConfig::default().max_batch(4).max_expires(5 * SECOND);
    bench.pull.handle_consumer_info(Ok(&info_with(config)), bench.now);
    bench.pull.handle_reconnected(bench.now);
    bench.obey();
    let request = bench.take_pulls().pop().expect("a request").1;
    assert_eq!((request.batch, request.expires), (4, Some(5 * SECOND)));
    assert_eq!(bench.told(), [], "nothing was refused");
}

#[test]
fn requests_that_may_wait_for_a_moment_only_follow_slowly_and_evenly() {
    let mut bench = Bench::new(options());
    let limit = RequestLimit::Expires(Some(100 * MS));
    bench.status(1, StatusKind::Exceeded(limit));
    bench.pass(250 * MS);
    bench.take_pulls();
    bench.pass(100 * MS);
    for number in 3..30 {
        bench.status_with(number - 1, StatusKind::Expired, 10, 0);
        bench.pass(350 * MS);
        assert_eq!(bench.batches(), [10]);
    }
}

#[test]
fn a_message_that_can_never_fit_is_told_once_and_asked_for_ever_more_slowly() {
    let mut bench = Bench::new(ConsumeOptions::new().max_bytes(1000));
    for number in 1..5 {
        bench.take_pulls();
        bench.status_with(number, StatusKind::MessageTooLarge, 1_000_000, 1000);
        assert!(bench.pulls.is_empty());
        bench.pass(10 * SECOND);
        assert_eq!(bench.pulls.len(), 1);
    }
    assert_eq!(bench.told(), [ConsumeEvent::MessageTooLarge { max_bytes: 1000 }]);
    // it was removed, and there is another one later
    bench.deliver(1, 100);
    bench.status_with(5, StatusKind::MessageTooLarge, 999_999, 900);
    assert_eq!(bench.told(), [], "something was delivered");
    let number = bench.take_pulls().pop().expect("a request").0;
    bench.status_with(number, StatusKind::MessageTooLarge, 1_000_000, 1000);
    assert_eq!(bench.told(), [ConsumeEvent::MessageTooLarge { max_bytes: 1000 }]);
}

#[test]
fn another_leader_knows_nothing_of_what_was_asked_for_before() {
    let mut bench = Bench::new(options());
    bench.deliver(7, 100);
    assert_eq!(bench.batches(), [10, 6]);
    bench.now += 5 * SECOND;
    bench.status(2, StatusKind::LeadershipChange);
    assert_eq!(bench.batches(), [10], "everything is asked for again");
    bench.status(1, StatusKind::LeadershipChange);
    assert_eq!(bench.batches(), [0; 0], "that was about an earlier request");
    bench.now += 5 * SECOND;
    bench.status_with(3, StatusKind::ServerShutdown, 10, 0);
    assert_eq!(bench.batches(), [10]);
}

/// The new leader may have been sent a request while the old one's farewell was on its way.
#[test]
fn what_the_next_leader_was_asked_for_is_not_asked_for_again() {
    let mut bench = Bench::new(options());
    bench.deliver(6, 100);
    assert_eq!(bench.batches(), [10, 6]);
    bench.status(1, StatusKind::LeadershipChange);
    assert_eq!(bench.pull.window.outstanding().messages, 6);
    bench.pass(SECOND);
    assert_eq!(bench.batches(), [0; 0]);
}

#[test]
fn a_request_without_an_answer_is_taken_for_lost_at_its_deadline() {
    let mut bench = Bench::new(options());
    bench.batches();
    // the server reports, for whatever reason, and gives nothing
    for _ in 0..6 {
        bench.pass(5 * SECOND);
        bench.status(1, StatusKind::Heartbeat);
    }
    assert_eq!(bench.batches(), [0; 0]);
    bench.pass(SECOND);
    assert_eq!((bench.batches(), bench.told()), (vec![10], vec![]));
}

#[test]
fn two_missing_heartbeats_are_told_with_their_cause_and_everything_is_asked_for_again() {
    let mut bench = Bench::new(options());
    bench.deliver(3, 100);
    bench.batches();
    bench.pass(30 * SECOND - MS);
    assert_eq!((bench.asked, bench.batches()), (0, vec![]));
    bench.pass(MS);
    assert_eq!((bench.asked, bench.batches()), (1, vec![10]));
    assert_eq!(bench.told(), [], "the cause is being asked for");
    bench.info(Ok(&ConsumerInfo { num_pending: 4, ..ConsumerInfo::default() }));
    let cause = SilenceCause::RequestsLost;
    let silence = Silence { lasted: 30 * SECOND, cause, asked_again: true };
    assert_eq!(bench.told(), [ConsumeEvent::Silent(silence)]);
    assert!(bench.ends.is_empty());
}

#[test]
fn a_silence_is_told_again_when_its_cause_is_another_one_or_after_a_sign() {
    let mut bench = Bench::new(options());
    let causes = |bench: &mut Bench, info: Result<&ConsumerInfo, &Error>| {
        bench.pass(30 * SECOND);
        bench.info(info);
        bench.told().len()
    };
    let paused = ConsumerInfo { paused: true, ..ConsumerInfo::default() };
    assert_eq!(causes(&mut bench, Ok(&paused)), 1);
    assert_eq!(causes(&mut bench, Ok(&paused)), 0);
    assert_eq!(causes(&mut bench, Err(&Error::NotAvailable)), 1);
    assert_eq!(causes(&mut bench, Ok(&paused)), 1);
    bench.status(99, StatusKind::Heartbeat);
    assert_eq!(causes(&mut bench, Ok(&paused)), 1);
}

#[test]
fn the_cause_of_a_silence_is_asked_for_once_at_a_time() {
    let mut bench = Bench::new(options());
    bench.pass(90 * SECOND);
    assert_eq!(bench.asked, 1);
    assert_eq!(bench.batches(), [10; 4]);
    bench.info(Err(&Error::NotAvailable));
    assert_eq!(bench.told().len(), 1);
}

#[test]
fn a_silence_is_not_told_if_that_is_switched_off() {
    let mut bench = Bench::new(options().report_silence(false));
    bench.pass(30 * SECOND);
    assert_eq!(bench.batches(), [10, 10]);
    bench.info(Ok(&ConsumerInfo::default()));
    assert_eq!(bench.told(), []);
}

#[test]
fn any_sign_of_the_server_ends_a_silence() {
    let mut bench = Bench::new(options());
    for _ in 0..4 {
        bench.pass(29 * SECOND);
        bench.deliver(1, 100);
    }
    bench.pass(29 * SECOND);
    assert_eq!((bench.told(), bench.asked), (vec![], 0));
}

/// What was asked for may be in the program's hands long since.
#[test]
fn nothing_is_missing_while_messages_are_buffered() {
    let mut bench = Bench::new(options());
    let durable = info_with(ConsumerConfig::default());
    bench.pull.handle_consumer_info(Ok(&durable), bench.now);
    bench.come(3, 100);
    bench.pass(600 * SECOND);
    assert_eq!((bench.told(), bench.asked), (vec![], 0));
    bench.release(3, 100);
    bench.pass(29 * SECOND);
    assert_eq!((bench.told(), bench.asked), (vec![], 0), "it begins with the last one");
}

#[test]
fn a_silence_that_the_clock_alone_has_seen_is_none() {
    let mut bench = Bench::new(options());
    // the program has kept the loop busy for longer than its requests live
    bench.now += 100 * SECOND;
    bench.pull.handle_timeout(bench.now);
    bench.obey();
    assert_eq!((bench.told(), bench.asked, bench.batches()), (vec![], 0, vec![10, 10]));
}

#[test]
fn nobody_who_answers_is_a_silence_too() {
    let mut bench = Bench::new(options());
    bench.status(1, StatusKind::NoResponders);
    assert_eq!(bench.asked, 1);
    let info = ConsumerInfo { num_pending: 4, ..ConsumerInfo::default() };
    bench.info(Ok(&info));
    let told = bench.told();
    assert!(matches!(&told[..], [ConsumeEvent::Silent(Silence { asked_again: false, .. })]));
}

#[test]
fn what_is_not_known_is_told_once_in_a_row() {
    let mut bench = Bench::new(options());
    for number in 1..4 {
        bench.status(number, StatusKind::Other { code: 409, text: "New".into() });
        bench.pass(10 * SECOND);
    }
    assert_eq!(bench.told(), [ConsumeEvent::Unknown { code: 409, text: "New".into() }]);
}
