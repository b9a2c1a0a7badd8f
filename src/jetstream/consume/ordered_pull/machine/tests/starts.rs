//! How server-side consumers are made, read and told apart.

use super::*;

#[test]
fn the_stream_is_asked_for_and_then_a_consumer_is_made_and_asked_for_messages() {
    let mut bench = Bench::new(OrderedOptions::new());
    assert_eq!((bench.asked, bench.created.len()), (1, 0));
    bench.answer_stream();
    assert!(bench.pulls.is_empty());
    let config = bench.made(0);
    assert_eq!(config.name.as_deref(), Some("p_1"));
    assert_eq!(config.deliver_policy, DeliverPolicy::All);
    assert_eq!(bench.pulls.len(), 1);
    bench.deliver(1, 3, 1);
    bench.deliver(1, 7, 2);
    assert_eq!(bench.take_told(), []);
}

#[test]
fn the_question_about_the_stream_may_be_denied() {
    let mut bench = Bench::new(OrderedOptions::new());
    let denied = Error::InboxDenied;
    bench.tell(Told::Stream(Err(&denied)));
    bench.made(0);
    bench.deliver(1, 1, 1);
}

#[test]
fn a_gap_starts_anew_behind_the_last_message_when_the_old_one_is_deleted() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 5, 1);
    assert!(!bench.come(1, 8, 3));
    assert_eq!(bench.take_told(), [reset(ResetCause::MessagesLost)]);
    assert_eq!(bench.deleted, [1]);
    bench.answer_stream();
    assert!(bench.created.is_empty(), "the old one may be there still");
    bench.deleted(Ok(()));
    let config = bench.made(5);
    assert_eq!((config.name.as_deref(), start_at(&config)), (Some("p_2"), Some(6)));
    bench.deliver(2, 8, 1);
}

#[test]
fn what_the_old_consumer_sent_is_told_by_its_name() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 5, 1);
    bench.come(1, 8, 3);
    assert!(!bench.come(1, 6, 2), "there is no consumer");
    bench.make_again();
    assert!(!bench.come(1, 6, 1), "it has the right number, and is another one's");
    bench.deliver(2, 6, 1);
    assert_eq!(bench.take_told().len(), 1);
}

#[test]
fn what_is_no_delivery_is_skipped() {
    let mut bench = Bench::running(OrderedOptions::new());
    for reply in [None, Some("x"), Some("$JS.ACK.S.p_1.1.1")] {
        let message = Message::new("a", 1, reply, None, b"");
        assert_eq!(bench.ordered.handle_message(&message, bench.now), Verdict::Skip);
    }
    bench.deliver(1, 1, 1);
}

#[test]
fn numbers_of_requests_never_repeat_and_old_ones_mean_nothing() {
    let mut bench = Bench::running(OrderedOptions::new());
    let old = bench.ordered.last_number;
    bench.come(1, 8, 3);
    bench.make_again();
    assert!(bench.pulls.iter().all(|(number, _)| *number > old), "{:?}", bench.pulls);
    bench.take_told();
    for text in ["409 Consumer Deleted", "503", "100 x\r\nNats-Last-Consumer: 9", "400 Bad"] {
        bench.status_about(old, &status(text));
    }
    assert_eq!(bench.take_told(), []);
    assert!(bench.deleted.is_empty() && bench.ends.is_empty());
    bench.deliver(2, 1, 1);
}

#[test]
fn repeated_deliveries_are_skipped_and_count_against_the_request() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    for _ in 0..3 {
        assert!(!bench.come(1, 2, 2));
    }
    assert_eq!(bench.pulls.len(), 0);
    assert!(!bench.come(1, 1, 1), "as it was the first time");
    assert_eq!(bench.pulls.len(), 1, "fewer than five are under way");
    bench.deliver(1, 3, 3);
    assert_eq!(bench.take_told(), []);
}

/// Its replica lags behind.
#[test]
fn a_consumer_that_starts_too_early_brings_nothing_twice() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 5, 1);
    bench.come(1, 8, 3);
    bench.make_again();
    assert!(!bench.come(2, 4, 1) && !bench.come(2, 5, 2));
    bench.deliver(2, 6, 3);
    assert_eq!(bench.take_told().len(), 1);
}

#[test]
fn a_reset_before_any_message_keeps_the_policy() {
    for policy in [
        DeliverPolicy::All,
        DeliverPolicy::LastPerSubject,
        DeliverPolicy::ByStartSequence(5),
        DeliverPolicy::ByStartTime(SystemTime::UNIX_EPOCH),
    ] {
        let mut bench = Bench::running(OrderedOptions::new().deliver_policy(policy.clone()));
        bench.status(&status("503"));
        assert_eq!(bench.make_again().deliver_policy, policy);
    }
}

#[test]
fn after_a_message_neither_time_nor_last_per_subject_matter() {
    for policy in
        [DeliverPolicy::LastPerSubject, DeliverPolicy::ByStartTime(SystemTime::UNIX_EPOCH)]
    {
        let mut bench = Bench::running(OrderedOptions::new().deliver_policy(policy));
        bench.deliver(1, 5, 1);
        bench.status(&status("503"));
        let config = bench.make_again();
        assert_eq!((start_at(&config), config.filter_subject), (Some(6), None));
    }
}

#[test]
fn new_and_last_stay_where_they_first_were() {
    for policy in [DeliverPolicy::New, DeliverPolicy::Last] {
        let mut bench = Bench::new(OrderedOptions::new().deliver_policy(policy.clone()));
        bench.answer_stream();
        bench.not_made(&Error::NotAvailable);
        bench.pass(SECOND);
        assert_eq!(bench.make(41).deliver_policy, policy, "there never was a first place");
        bench.status(&status("503"));
        bench.pass(SECOND);
        assert_eq!(start_at(&bench.make_again()), Some(42));
        bench.status(&status("503"));
        bench.pass(2 * SECOND);
        assert_eq!(start_at(&bench.make_again()), Some(42));
    }
}

#[test]
fn what_the_program_has_not_taken_stays_under_way_over_a_reset() {
    let mut bench = Bench::running(OrderedOptions::new());
    for sequence in 1..=8 {
        assert!(bench.come(1, sequence, sequence));
    }
    bench.status(&status("503"));
    bench.pulls.clear();
    bench.make_again();
    assert!(bench.pulls.is_empty(), "eight of ten are untaken: {:?}", bench.pulls);
    (0..4).for_each(|_| bench.release());
    assert_eq!(bench.pulls.iter().map(|(_, request)| request.batch).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_paused_one_asks_for_nothing_over_a_reset_and_its_consumer_is_kept() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.ordered.pause(bench.now);
    bench.status(&status("503"));
    bench.make_again();
    assert!(bench.pulls.is_empty());
    bench.pass(299 * SECOND);
    let batches: Vec<_> = bench.pulls.iter().map(|(_, request)| request.max_bytes).collect();
    assert_eq!(batches, [1], "a request that brings nothing, after half of the threshold");
    bench.ordered.resume(bench.now);
    bench.obey();
    assert_eq!(bench.pulls.last().expect("a request").1.batch, 10);
    assert_eq!(bench.take_told().len(), 1);
}
