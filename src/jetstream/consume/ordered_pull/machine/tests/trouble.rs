//! Why consumers are left, and how soon the next one is made.

use super::*;

/// What an ordered consumer does about something.
fn causes(trouble: impl Fn(&mut Bench<Pull>)) -> Vec<ConsumeEvent> {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    trouble(&mut bench);
    let told = bench.take_told();
    if !told.is_empty() {
        if !bench.deleted.is_empty() {
            bench.deleted(Ok(()));
        }
        assert_eq!(start_at(&bench.make(0)), Some(3));
        bench.deliver(2, 3, 1);
    } else {
        bench.deliver(1, 3, 3);
    }
    assert!(bench.ends.is_empty());
    told
}

#[test]
fn every_reason_to_leave_a_consumer_is_told() {
    use ResetCause::*;
    assert_eq!(causes(|bench| _ = bench.come(1, 5, 4)), [reset(MessagesLost)]);
    assert_eq!(causes(|bench| bench.status(&heartbeat(3))), [reset(MessagesLost)]);
    assert_eq!(causes(|bench| bench.status(&heartbeat(1))), [reset(ConsumerReset)]);
    assert_eq!(causes(|bench| _ = bench.come(1, 9, 1)), [reset(ConsumerReset)]);
    assert_eq!(causes(|bench| bench.pass(31 * SECOND)), [reset(MissedHeartbeats)]);
    assert_eq!(causes(|bench| bench.status(&status("503"))), [reset(NoResponders)]);
    let deleted = status("409 Consumer Deleted");
    assert_eq!(causes(|bench| bench.status(&deleted)), [reset(ConsumerDeleted)]);
    assert_eq!(causes(|bench| bench.reconnect()), [reset(Reconnected)]);
    let unnoticed = |bench: &mut Bench<Pull>| {
        bench.ordered.handle_reconnected(bench.now);
        bench.obey();
    };
    assert_eq!(causes(unnoticed), [reset(Reconnected)]);
}

#[test]
fn what_is_as_it_should_be_is_no_reason() {
    assert_eq!(causes(|bench| bench.status(&heartbeat(2))), []);
    let expired = status("408 Request Timeout\r\nNats-Pending-Messages: 8");
    assert_eq!(causes(|bench| bench.status(&expired)), []);
    // whether the consumer outlives it, the next request shows
    assert_eq!(causes(|bench| bench.status(&status("409 Leadership Change"))), []);
}

#[test]
fn a_consumer_that_somebody_has_deleted_is_not_deleted_again() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.status(&status("409 Consumer Deleted"));
    assert!(bench.deleted.is_empty());
    bench.make(0);
}

#[test]
fn an_unanswered_deletion_is_waited_for_two_seconds_and_owed() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.status(&status("503"));
    bench.answer_stream();
    bench.pass(2 * SECOND - MS);
    assert!(bench.created.is_empty());
    bench.pass(MS);
    bench.made(0);
    bench.deliver(2, 1, 1);
    for _ in 0..5 {
        assert_eq!(bench.deleted, [1], "one request at a time");
        bench.deleted(Err(&NO_ANSWER));
        assert!(bench.deleted.is_empty(), "not at once");
        bench.pass(5 * SECOND);
        bench.status(&heartbeat(1));
    }
    bench.deleted(Err(&Error::Api(api(404, ErrorCode::CONSUMER_NOT_FOUND))));
    bench.pass(25 * SECOND);
    assert!(bench.deleted.is_empty(), "it is gone");
    assert_eq!(bench.ordered.debts.len(), 0);
}

#[test]
fn what_is_owed_is_asked_for_again_over_the_next_connection() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.ordered.handle_disconnected(bench.now);
    bench.obey();
    bench.pass(60 * SECOND);
    assert!(bench.deleted.is_empty(), "there is nobody to talk to");
    bench.ordered.handle_reconnected(bench.now);
    bench.obey();
    assert_eq!(bench.deleted, [1]);
    bench.reconnect();
    assert_eq!(bench.deleted, [1], "the answer that there is none is still to come");
    bench.deleted(Err(&Error::Request(RequestError::OutcomeUnknown)));
    bench.pass(SECOND);
    assert_eq!(bench.deleted, [1]);
    // the answer about the stream may be older than the connection
    bench.answer_stream();
    assert!(bench.created.is_empty());
    bench.answer_stream();
    bench.deleted(Ok(()));
    assert_eq!(bench.made(0).name.as_deref(), Some("p_3"));
}

#[test]
fn a_creation_without_an_answer_may_have_made_a_consumer() {
    let mut bench = Bench::new(OrderedOptions::new());
    bench.answer_stream();
    bench.not_made(&NO_ANSWER);
    assert_eq!(bench.take_told(), [reset(ResetCause::NotMade(Stall::NoAnswer))]);
    assert_eq!(bench.deleted, [1]);
    bench.pass(SECOND);
    assert_eq!(bench.make_again().name.as_deref(), Some("p_2"));

    let mut bench = Bench::new(OrderedOptions::new());
    bench.answer_stream();
    bench.not_made(&Error::NotAvailable);
    assert!(bench.deleted.is_empty(), "nobody was there to make it");
}

#[test]
fn a_consumer_that_is_left_while_it_is_made_is_deleted_when_that_is_known() {
    for (outcome, exists) in
        [(Ok(&info(0)), true), (Err(&NO_ANSWER), true), (Err(&Error::NotAvailable), false)]
    {
        let mut bench = Bench::new(OrderedOptions::new());
        bench.answer_stream();
        bench.reconnect();
        assert!(bench.deleted.is_empty());
        bench.tell(Told::Created { incarnation: 1, made: outcome });
        assert_eq!(bench.deleted.len(), usize::from(exists));
        bench.created.remove(0);
        bench.answer_stream();
        assert_eq!(bench.created.is_empty(), exists, "it waits for the deletion");
        if exists {
            bench.deleted(Ok(()));
        }
        bench.made(0);
        bench.deliver(2, 1, 1);
    }
}

#[test]
fn the_first_reset_is_at_once_and_further_ones_after_growing_pauses() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.status(&status("503"));
    assert_eq!(bench.asked, 1, "at once");
    bench.make_again();
    for pause in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
        bench.status(&status("503"));
        bench.deleted(Ok(()));
        bench.pass(pause * MS * 8 / 10 - MS);
        assert_eq!(bench.asked, 0, "before {pause} ms");
        bench.pass(pause * MS * 2 / 10 + MS);
        bench.make(0);
    }
    bench.status(&heartbeat(0));
    bench.status(&status("503"));
    assert_eq!(bench.asked, 1, "a consumer that reports has worked");
}

#[test]
fn pauses_are_as_long_as_the_options_say() {
    let options = OrderedOptions::new().min_backoff(3 * SECOND).max_backoff(4 * SECOND);
    let mut bench = Bench::running(options);
    bench.status(&status("503"));
    bench.make_again();
    for pause in [3, 4, 4] {
        bench.status(&status("503"));
        bench.deleted(Ok(()));
        bench.pass(pause * SECOND * 8 / 10 - MS);
        assert_eq!(bench.asked, 0);
        bench.pass(pause * SECOND * 2 / 10 + MS);
        bench.make(0);
    }
}

#[test]
fn consumers_of_different_seeds_come_back_at_different_times() {
    let pause = |seed| {
        let state = OrderedState::new(OrderedOptions::new(), "p", seed);
        let mut bench = Bench::<Pull>::reading(state, consuming());
        bench.tell(Told::Stream(Err(&Error::NotAvailable)));
        bench.ordered.next_deadline().expect("a pause") - bench.now
    };
    let mut pauses: Vec<_> = (0..20).map(pause).collect();
    pauses.sort_unstable();
    pauses.dedup();
    assert!(pauses.len() > 15, "{pauses:?}");
}

#[test]
fn failed_starts_are_told_once_for_each_reason_and_tried_again() {
    let mut bench = Bench::new(OrderedOptions::new());
    let no_leader = api(503, ErrorCode(10008));
    for (error, stall) in [
        (Error::NotAvailable, Some(Stall::NotAvailable)),
        (Error::NotAvailable, None),
        (NO_ANSWER, Some(Stall::NoAnswer)),
        (Error::Api(no_leader.clone()), Some(Stall::Refused(no_leader))),
    ] {
        bench.answer_stream();
        bench.not_made(&error);
        let expected: Vec<_> =
            stall.into_iter().map(|stall| reset(ResetCause::NotMade(stall))).collect();
        assert_eq!(bench.take_told(), expected);
        bench.deleted.drain(..).for_each(drop);
        assert_eq!(bench.asked, 0, "not at once");
        bench.pass(10 * SECOND);
    }
    bench.make(0);
    bench.deliver(bench.ordered.state.serial, 1, 1);
}

#[test]
fn after_so_many_resets_in_a_row_that_brought_nothing_it_ends() {
    let mut bench = Bench::running(OrderedOptions::new().max_resets(2));
    for sequence in 1..=4 {
        // each of them brings something
        let incarnation = bench.ordered.state.serial;
        bench.deliver(incarnation, sequence, 1);
        bench.status(&status("503"));
        bench.make_again();
    }
    bench.status(&status("503"));
    bench.pass(SECOND);
    bench.make_again();
    bench.reconnect();
    bench.make_again();
    assert!(bench.ends.is_empty());
    bench.come(bench.ordered.state.serial, 9, 2);
    bench.deleted(Ok(()));
    let cause = ResetCause::MessagesLost;
    let error = OrderedError::TooManyResets { resets: 2, cause };
    assert_eq!(
        error.to_string(),
        "2 resets in a row have brought nothing, and now: messages were lost on their way"
    );
    assert_eq!(bench.ends, [ConsumeEnd::Failed(error.into())]);
    assert!(bench.ordered.is_finished());
}

#[test]
fn the_number_of_consumers_that_are_owed_is_bounded() {
    let mut bench = Bench::running(OrderedOptions::new());
    for _ in 0..100 {
        bench.status(&status("503"));
        bench.pass(20 * SECOND);
        bench.make(0);
    }
    assert!(bench.ordered.debts.len() <= 16);
}
