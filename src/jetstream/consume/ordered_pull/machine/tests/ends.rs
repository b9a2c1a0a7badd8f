//! How an ordered consumer ends, what it does after that, and what the next read goes on with.

use super::*;

fn failed(error: impl Into<Error>) -> ConsumeEnd {
    ConsumeEnd::Failed(error.into())
}

#[test]
fn a_stop_deletes_the_consumer_and_then_is_the_end() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.stop();
    assert_eq!((bench.deleted.as_slice(), bench.ends.len()), ([1].as_slice(), 0));
    assert!(!bench.come(1, 2, 2));
    bench.stop();
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [ConsumeEnd::Stopped]);
    assert!(bench.ordered.is_finished());
    bench.reconnect();
    bench.pass(600 * SECOND);
    assert_eq!((bench.deleted.len(), bench.ends.len(), bench.told.len()), (0, 1, 0));
}

#[test]
fn a_deletion_that_is_not_answered_is_owed_after_the_end_and_given_up_when_the_server_has_done_it()
{
    let mut bench = Bench::running(OrderedOptions::new().inactive_threshold(60 * SECOND));
    bench.stop();
    bench.pass(2 * SECOND - MS);
    assert!(bench.ends.is_empty());
    bench.pass(MS);
    assert_eq!(bench.ends, [ConsumeEnd::Stopped]);
    bench.deleted(Err(&NO_ANSWER));
    bench.pass(SECOND);
    assert_eq!(bench.deleted, [1]);
    bench.reconnect();
    bench.deleted(Err(&NO_ANSWER));
    assert!(!bench.ordered.is_finished());
    bench.pass(60 * SECOND);
    assert!(bench.ordered.is_finished());
    assert_eq!(bench.ordered.next_deadline(), None);
}

#[test]
fn a_stop_without_a_connection_is_the_end_at_once_and_the_deletion_follows() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.ordered.handle_disconnected(bench.now);
    bench.stop();
    assert_eq!(bench.ends, [ConsumeEnd::Stopped]);
    assert!(bench.deleted.is_empty() && !bench.ordered.is_finished());
    bench.ordered.handle_reconnected(bench.now);
    bench.obey();
    bench.deleted(Ok(()));
    assert!(bench.ordered.is_finished());
}

#[test]
fn a_stop_while_the_consumer_is_made_deletes_it_once_that_is_known() {
    let mut bench = Bench::new(OrderedOptions::new());
    bench.answer_stream();
    bench.stop();
    assert!(bench.deleted.is_empty() && bench.ends.is_empty());
    bench.tell(Told::Created { incarnation: 1, made: Ok(&info(0)) });
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [ConsumeEnd::Stopped]);
    assert!(bench.ordered.is_finished());
}

#[test]
fn a_drained_one_has_everything_that_it_has_asked_for() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.ordered.drain(bench.now);
    bench.obey();
    bench.deliver(1, 2, 2);
    bench.status(&status("408 Request Timeout\r\nNats-Pending-Messages: 8"));
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [ConsumeEnd::Drained]);

    // between two consumers, nothing is asked for
    let mut bench = Bench::new(OrderedOptions::new());
    bench.ordered.drain(bench.now);
    bench.obey();
    assert_eq!(bench.ends, [ConsumeEnd::Drained]);
}

#[test]
fn as_many_messages_come_as_are_wanted_over_all_consumers() {
    let wanted = consuming().stop_after(5);
    let mut bench = Bench::<Pull>::reading(state(OrderedOptions::new()), wanted);
    bench.make(0);
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    bench.status(&status("503"));
    bench.pulls.clear();
    bench.make_again();
    assert_eq!(bench.pulls[0].1.batch, 3);
    (3..=5).for_each(|sequence| bench.deliver(2, sequence, sequence - 2));
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [ConsumeEnd::Complete]);
}

#[test]
fn a_stream_that_was_created_again_is_the_end() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.status(&status("409 Consumer Deleted"));
    bench.tell(Told::Stream(Ok(&stream_created_at(2))));
    assert_eq!(bench.ends, [failed(OrderedError::StreamRecreated)]);

    // and by the time of a message, if nobody may ask
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 50, 1);
    bench.status(&status("503"));
    bench.make_again();
    let message = message_at("p_2", 4, 1, 51);
    assert_eq!(bench.ordered.handle_message(&message, bench.now), Verdict::Skip);
    bench.obey();
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [failed(OrderedError::StreamRecreated)]);
}

#[test]
fn what_cannot_be_made_is_the_end() {
    let denied = Error::InboxDenied;
    let no_stream = api(404, ErrorCode::STREAM_NOT_FOUND);
    let refused = api(400, ErrorCode(10138));
    let malformed = Error::Malformed("x".into());
    for (error, expected, may_exist) in [
        (
            Error::Api(no_stream.clone()),
            OrderedError::StreamNotFound(no_stream.clone()).into(),
            false,
        ),
        (Error::Api(refused.clone()), OrderedError::Rejected(refused).into(), false),
        (denied.clone(), denied, true),
        (malformed.clone(), malformed, true),
    ] {
        let mut bench = Bench::new(OrderedOptions::new());
        bench.answer_stream();
        bench.not_made(&error);
        if may_exist {
            bench.deleted(Ok(()));
        }
        assert_eq!(bench.ends, [failed(expected)]);
        assert!(bench.ordered.is_finished() && bench.deleted.is_empty());
    }
    let mut bench = Bench::new(OrderedOptions::new());
    bench.tell(Told::Stream(Err(&Error::Api(no_stream.clone()))));
    assert_eq!(bench.ends, [failed(OrderedError::StreamNotFound(no_stream))]);
}

#[test]
fn what_an_old_server_drops_without_a_word_is_the_end() {
    let mut bench = Bench::new(OrderedOptions::new().filter_subjects(["a", "b"]));
    bench.make(0);
    bench.deleted(Ok(()));
    assert_eq!(bench.ends, [failed(OrderedError::FiltersUnsupported)]);

    let options = OrderedOptions::new().filter_subjects(["a", "b"]);
    let mut bench = Bench::new(options.deliver_policy(DeliverPolicy::LastPerSubject));
    bench.answer_stream();
    bench.not_made(&Error::Api(api(400, ErrorCode::DELIVER_POLICY_CONFLICT)));
    assert_eq!(bench.ends, [failed(OrderedError::FiltersUnsupported)]);

    let mut bench = Bench::new(OrderedOptions::new().metadata("a", "b"));
    bench.make(0);
    bench.deleted(Ok(()));
    let members = vec!["metadata".to_owned()];
    assert_eq!(bench.ends, [failed(Error::MadeDifferently { members })]);
}

#[test]
fn a_failure_of_the_connection_is_the_end_and_nothing_can_be_done_after_it() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.ordered.fail(Error::Closed);
    bench.obey();
    assert_eq!(bench.ends, [failed(Error::Closed)]);
    assert!(bench.ordered.is_finished() && bench.deleted.is_empty());
}

#[test]
fn the_state_is_away_while_it_is_read_and_the_next_read_goes_on_from_there() {
    let mut bench = Bench::running(OrderedOptions::new());
    bench.deliver(1, 1, 1);
    bench.deliver(1, 2, 2);
    assert!(bench.home.take().is_none());
    bench.stop();
    assert!(bench.home.take().is_none(), "not before the end");
    bench.deleted(Ok(()));
    let state = bench.home.take().expect("the state");
    assert!(bench.home.take().is_none());
    assert_eq!(state.kept_consumer(), None);
    let mut bench = Bench::<Pull>::reading(state, consuming());
    let config = bench.make(0);
    assert_eq!((config.name.as_deref(), start_at(&config)), (Some("p_2"), Some(3)));
    bench.deliver(2, 3, 1);
}

#[test]
fn what_the_program_does_not_take_is_for_the_next_read() {
    for (in_hand, goes_on_at) in [(0, 2), (1, 3)] {
        let mut bench = Bench::running(OrderedOptions::new());
        bench.deliver(1, 1, 1);
        // the program has some of them in its hands when it stops
        (2..=5).for_each(|sequence| assert!(bench.come(1, sequence, sequence)));
        assert!(!bench.ordered.forgo(4 - in_hand, bench.now), "they are for nobody else");
        bench.stop();
        (0..in_hand).for_each(|_| bench.release());
        bench.deleted(Ok(()));
        let state = bench.home.take().expect("the state");
        let mut bench = Bench::<Pull>::reading(state, consuming());
        assert_eq!(start_at(&bench.make(0)), Some(goes_on_at));
    }
    // and if it has taken nothing at all, it is read from its beginning
    let mut bench = Bench::running(OrderedOptions::new());
    assert!(bench.come(1, 1, 1));
    bench.ordered.forgo(1, bench.now);
    bench.stop();
    bench.deleted(Ok(()));
    let mut bench = Bench::<Pull>::reading(bench.home.take().expect("the state"), consuming());
    assert_eq!(bench.make(0).deliver_policy, DeliverPolicy::All);
}
