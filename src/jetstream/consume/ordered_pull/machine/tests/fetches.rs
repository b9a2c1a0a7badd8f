//! A fetch, over however many consumers.

use super::*;

fn fetch(options: FetchOptions) -> Bench<Fetch> {
    let now = Instant::now();
    let wanted = FetchWanted::new(options, now);
    let mut bench = Bench::reading_at(state(OrderedOptions::new()), wanted, now);
    bench.make(0);
    bench
}

/// A fetch that goes on with the state of the one before.
fn fetch_again(bench: &Bench<Fetch>, options: FetchOptions) -> Bench<Fetch> {
    let state = bench.home.take().expect("the state");
    Bench::reading_at(state, FetchWanted::new(options, bench.now), bench.now)
}

#[test]
fn a_consumer_serves_one_fetch_after_the_other() {
    let mut bench = fetch(FetchOptions::messages(2));
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
    assert!(bench.ordered.is_finished());
    let mut bench = fetch_again(&bench, FetchOptions::messages(1));
    assert_eq!((bench.asked, bench.pulls.len()), (0, 1));
    bench.deliver(1, 3, 3);
    let state = bench.home.take().expect("the state");
    assert_eq!(state.kept_consumer(), Some("p_1"));
    let mut bench = Bench::<Pull>::reading(state, consuming());
    bench.deliver(1, 4, 4);
    assert!(bench.told.is_empty() && bench.deleted.is_empty());
}

#[test]
fn a_consumer_that_is_gone_by_the_next_fetch_is_replaced() {
    let mut bench = fetch(FetchOptions::messages(1));
    bench.deliver(1, 1, 1);
    let mut bench = fetch_again(&bench, FetchOptions::messages(1).no_wait(true));
    bench.status(&status("503"));
    assert_eq!(start_at(&bench.make_again()), Some(2));
    bench.deliver(2, 2, 1);
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
}

#[test]
fn after_a_reset_a_fetch_asks_for_what_is_left_of_messages_bytes_and_time() {
    let size = counted(&message("p_1", 1, 1));
    let options = FetchOptions::messages(5).max_bytes(1000).expires(20 * SECOND);
    let mut bench = fetch(options);
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    bench.pass(3 * SECOND);
    bench.status(&status("409 Leadership Change"));
    assert_eq!(bench.take_told(), [reset(ResetCause::LeaderLost)]);
    bench.pulls.clear();
    bench.make_again();
    let request = &bench.pulls[0].1;
    assert_eq!((request.batch, request.max_bytes), (3, 1000 - 2 * size));
    assert_eq!(request.expires, Some(17 * SECOND));
    (3..=5).for_each(|sequence| bench.deliver(2, sequence, sequence - 2));
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
}

#[test]
fn a_message_that_does_not_fit_into_what_a_reset_has_left_completes_it() {
    let mut bench = fetch(FetchOptions::bytes(100));
    bench.deliver(1, 1, 1);
    bench.come(1, 3, 3);
    bench.make_again();
    bench.status(&status("409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 9"));
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
}

#[test]
fn what_takes_what_there_is_does_not_wait_after_a_reset() {
    let options = FetchOptions::messages(5).no_wait(true).expires(20 * SECOND);
    let mut bench = fetch(options);
    bench.deliver(1, 1, 1);
    bench.come(1, 3, 3);
    bench.pulls.clear();
    bench.make_again();
    let request = &bench.pulls[0].1;
    assert_eq!((request.batch, request.no_wait, request.expires), (4, true, None));
    bench.status(&status("404 No Messages"));
    assert_eq!(bench.ends, [Ok(FetchEnd::NoMoreMessages)]);
}

#[test]
fn deliveries_that_were_seen_are_asked_for_once_more() {
    let mut bench = fetch(FetchOptions::messages(3));
    bench.deliver(1, 5, 1);
    bench.come(1, 8, 3);
    bench.make_again();
    bench.pulls.clear();
    assert!(!bench.come(2, 5, 1), "its replica lags behind");
    bench.deliver(2, 6, 2);
    assert_eq!(bench.ends, []);
    assert_eq!(bench.pulls[0].1.batch, 1, "the request has got its two messages");
    bench.deliver(2, 7, 3);
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
}

#[test]
fn a_silent_server_is_no_reason_to_fail() {
    let mut bench = fetch(FetchOptions::messages(3));
    bench.pass(10 * SECOND);
    assert_eq!(bench.take_told(), [reset(ResetCause::MissedHeartbeats)]);
    bench.make_again();
    bench.deliver(2, 1, 1);
    bench.pass(5 * SECOND);
    bench.status(&status("408 Request Timeout\r\nNats-Pending-Messages: 2"));
    assert_eq!(bench.ends, [Ok(FetchEnd::Expired)]);
}

#[test]
fn without_a_consumer_a_fetch_ends_a_second_after_its_time() {
    let now = Instant::now();
    let options = FetchOptions::messages(5).expires(10 * SECOND);
    for is_connected in [true, false] {
        let wanted = FetchWanted::new(options.clone(), now);
        let mut bench = Bench::<Fetch>::reading_at(state(OrderedOptions::new()), wanted, now);
        if !is_connected {
            bench.ordered.handle_disconnected(now);
        }
        bench.pass(11 * SECOND - MS);
        assert!(bench.ends.is_empty());
        bench.pass(MS);
        let error = match is_connected {
            true => crate::jetstream::FetchError::Unanswered,
            false => crate::jetstream::FetchError::Disconnected,
        };
        assert_eq!(bench.ends, [Err(error.into())]);
    }
}

#[test]
fn a_lost_connection_is_waited_for() {
    let mut bench = fetch(FetchOptions::messages(2).expires(20 * SECOND));
    bench.deliver(1, 1, 1);
    bench.ordered.handle_disconnected(bench.now);
    bench.obey();
    bench.pass(5 * SECOND);
    bench.ordered.handle_reconnected(bench.now);
    bench.obey();
    bench.make_again();
    bench.deliver(2, 2, 1);
    assert_eq!(bench.ends, [Ok(FetchEnd::Complete)]);
}

#[test]
fn what_the_request_has_wrong_ends_the_fetch_and_not_the_consumer() {
    let mut bench = fetch(FetchOptions::messages(5));
    bench.status(&status("409 Exceeded MaxRequestBatch of 3"));
    assert!(matches!(bench.ends[..], [Err(Error::Fetch(_))]));
    let mut bench = fetch_again(&bench, FetchOptions::messages(3));
    bench.deliver(1, 1, 1);
    bench.stop();
    assert_eq!(bench.ends, [Err(Error::Closed)]);
}
