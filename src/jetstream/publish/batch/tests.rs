//! What a batch sends and reports, step by step.

use super::machine::{Draft, Machine, Step};
use crate::jetstream::batch_error::BatchError;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use bytes::Bytes;
use evnats_protocol::{CommandError, HeaderMap, RequestError, ServerError};
use proptest::prelude::*;
use std::time::Duration;

const LIMIT: usize = 20_000;
const ACK: &[u8] = br#"{"stream":"S","seq":7,"batch":"id","count":3}"#;
const REFUSED: &[u8] =
    br#"{"error":{"code":400,"err_code":10199,"description":"atomic publish batch is too large: 5"}}"#;

fn draft(payload: &str) -> Draft {
    Draft {
        subject: "s".into(),
        headers: HeaderMap::new().with("Nats-Batch-Id", "another"),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        timeout: Duration::from_secs(5),
        requirement: None,
    }
}

fn batch() -> Machine {
    Machine::new("id".into(), LIMIT)
}

/// A batch of a server of this level, to which this many messages were added.
fn with(level: Option<u32>, messages: usize) -> Machine {
    let mut batch = batch();
    for _ in 0..messages {
        batch.add(draft("x")).expect("room");
    }
    assert!(matches!(batch.poll(), Some(Step::AskLevel)));
    assert!(batch.poll().is_none());
    batch.handle_level(Ok(level));
    batch
}

/// What is sent now: the numbers, and how the last one commits.
fn sent(batch: &mut Machine) -> (Vec<u64>, Option<String>) {
    let mut numbers = Vec::new();
    let mut commit = None;
    while let Some(step) = batch.poll() {
        let Step::Send { number, message } = step else { panic!("{step:?}") };
        let headers = message.headers.as_headers();
        assert_eq!(headers.get("Nats-Batch-Id").as_deref(), Some("id"));
        assert_eq!(headers.last_number("Nats-Batch-Sequence"), Some(number));
        assert_eq!(commit, None, "nothing is sent behind the commit");
        commit = headers.get("Nats-Batch-Commit").map(String::from);
        numbers.push(number);
    }
    (numbers, commit)
}

fn failure(batch: &Machine) -> Error {
    batch.outcome().expect("an outcome").clone().expect_err("a failure")
}

#[test]
fn the_second_message_waits_until_the_first_one_is_taken() {
    let mut batch = with(Some(5), 2);
    assert_eq!(sent(&mut batch), (vec![1], None));
    batch.add(draft("x")).expect("room");
    assert!(sent(&mut batch).0.is_empty());
    batch.handle_reply(1, Ok(b""));
    assert_eq!(sent(&mut batch), (vec![2, 3], None));
    batch.commit(draft("last"));
    assert_eq!(sent(&mut batch), (vec![4], Some("1".into())));
    for number in [2, 3] {
        batch.handle_reply(number, Ok(b""));
    }
    assert_eq!(batch.outcome(), None);
    batch.handle_reply(4, Ok(ACK));
    let ack = batch.outcome().expect("an outcome").clone().expect("stored");
    assert_eq!((ack.sequence, ack.batch_size), (7, Some(3)));
}

#[test]
fn a_window_of_messages_is_under_way() {
    let mut batch = with(Some(5), 300);
    assert_eq!(sent(&mut batch).0.len(), 1);
    batch.handle_reply(1, Ok(b""));
    assert_eq!(sent(&mut batch).0, (2..=101).collect::<Vec<_>>());
    batch.handle_reply(2, Ok(b""));
    assert_eq!(sent(&mut batch).0, [102]);
}

#[test]
fn what_waits_is_bounded_and_given_back() {
    let mut batch = batch();
    batch.add(draft(&"x".repeat(2 * LIMIT))).expect("one message always fits");
    let error = batch.add(draft("more")).expect_err("no room");
    let Error::Request(RequestError::Command(CommandError::BufferFull { payload, limit })) = error
    else {
        panic!("{error}")
    };
    assert_eq!((&*payload, limit), (&b"more"[..], LIMIT));
    assert_eq!(batch.count(), 1, "the batch goes on without it");
    batch.commit(draft("the last one has room"));
    assert_eq!(batch.count(), 2);
}

#[test]
fn a_single_message_is_sent_with_the_commit() {
    let mut batch = batch();
    batch.commit(draft("x"));
    assert!(matches!(batch.poll(), Some(Step::AskLevel)));
    batch.handle_level(Ok(Some(2)));
    assert_eq!(sent(&mut batch), (vec![1], Some("1".into())));
    batch.handle_reply(1, Ok(ACK));
    assert!(matches!(batch.outcome(), Some(Ok(_))));
}

#[test]
fn an_end_without_a_message_needs_a_server_that_knows_it() {
    for (level, expected) in [(Some(4), Some("eob")), (None, Some("eob")), (Some(3), None)] {
        let mut batch = with(level, 1);
        sent(&mut batch);
        batch.commit_with_end(Duration::ZERO);
        batch.handle_reply(1, Ok(b""));
        assert_eq!(sent(&mut batch).1.as_deref(), expected);
        if let Some(has) = level.filter(|_| expected.is_none()) {
            let unsupported = Error::Unsupported { feature: "commit_with_end", needs: 4, has };
            assert_eq!(failure(&batch), unsupported);
        }
    }
    let mut batch = batch();
    batch.commit_with_end(Duration::ZERO);
    assert_eq!(failure(&batch), BatchError::Empty.into());
    assert!(batch.poll().is_none());
}

#[test]
fn a_message_that_needs_more_than_the_server_has_ends_the_batch() {
    let mut batch = with(Some(2), 1);
    sent(&mut batch);
    batch.handle_reply(1, Ok(b""));
    let requirement = Some(Requirement::new(4, "schedule"));
    batch.add(Draft { requirement, ..draft("x") }).expect("room");
    assert!(batch.poll().is_none());
    let unsupported = Error::Unsupported { feature: "schedule", needs: 4, has: 2 };
    assert_eq!(failure(&batch), unsupported);
}

#[test]
fn an_old_server_that_stores_the_first_message_is_recognised() {
    let mut batch = with(None, 3);
    assert_eq!(sent(&mut batch).0, [1]);
    batch.handle_reply(1, Ok(br#"{"stream":"S","seq":9}"#));
    let (feature, stream) = ("atomic_batch", "S".to_owned());
    assert_eq!(failure(&batch), Error::StoredAsOrdinary { feature, stream, sequence: 9 });
    assert!(batch.poll().is_none(), "nothing follows it");
    let unsupported = Error::Unsupported { feature, needs: 2, has: 1 };
    assert_eq!(failure(&with(Some(1), 3)), unsupported);
}

#[test]
fn what_is_certain_about_a_failure_is_said() {
    let denied = || RequestError::Denied(ServerError::new("Permissions Violation"));
    let lost = |error| Error::from(BatchError::Lost(error));
    let unknown = |error| Error::from(BatchError::OutcomeUnknown(error));
    // of the second message, before the commit was sent
    for error in [RequestError::Timeout, RequestError::OutcomeUnknown, denied()] {
        let mut batch = with(Some(5), 2);
        sent(&mut batch);
        batch.handle_reply(1, Ok(b""));
        sent(&mut batch);
        batch.handle_reply(2, Err(error.clone()));
        assert_eq!(failure(&batch), lost(error.clone()));
        assert_eq!(batch.add(draft("x")), Err(lost(error)), "it is over");
    }
    // of the commit
    for (error, expected) in [
        (RequestError::Timeout, unknown(RequestError::Timeout)),
        (RequestError::OutcomeUnknown, unknown(RequestError::OutcomeUnknown)),
        (RequestError::NeverSent, lost(RequestError::NeverSent)),
        (RequestError::NoResponders { subject: None }, Error::NotStored { subject: None }),
        (denied(), lost(denied())),
    ] {
        let mut batch = with(Some(5), 1);
        sent(&mut batch);
        batch.handle_reply(1, Ok(b""));
        batch.commit(draft("x"));
        sent(&mut batch);
        batch.handle_reply(2, Err(error));
        assert_eq!(failure(&batch), expected);
    }
    // of the first one, of a server that does not tell what it knows
    for (level, expected) in
        [(None, unknown(RequestError::Timeout)), (Some(2), lost(RequestError::Timeout))]
    {
        let mut batch = with(level, 1);
        sent(&mut batch);
        batch.handle_reply(1, Err(RequestError::Timeout));
        assert_eq!(failure(&batch), expected);
    }
}

#[test]
fn once_the_commit_is_sent_its_own_outcome_counts() {
    let committing = || {
        let mut batch = with(Some(5), 2);
        sent(&mut batch);
        batch.handle_reply(1, Ok(b""));
        batch.commit(draft("x"));
        assert_eq!(sent(&mut batch).0, [2, 3]);
        batch
    };
    let mut batch = committing();
    batch.handle_reply(2, Err(RequestError::OutcomeUnknown));
    assert_eq!(batch.outcome(), None, "it may have arrived");
    batch.handle_reply(3, Ok(ACK));
    assert!(matches!(batch.outcome(), Some(Ok(_))));
    // but a refusal is certain, and names the limit, which the commit's own would not
    let mut batch = committing();
    batch.handle_reply(2, Ok(REFUSED));
    let too_large =
        |error: &Error| matches!(error, Error::Batch(BatchError::TooLarge { limit: Some(5), .. }));
    assert!(too_large(&failure(&batch)));
    batch.handle_reply(3, Ok(br#"{"error":{"code":400,"err_code":10176}}"#));
    assert!(too_large(&failure(&batch)), "the first reason stays");
}

#[test]
fn a_batch_that_is_given_up_sends_nothing_more_and_reports_nothing() {
    let mut batch = with(Some(5), 3);
    assert_eq!(sent(&mut batch).0, [1]);
    batch.abandon();
    batch.handle_reply(1, Ok(b""));
    assert!(batch.poll().is_none());
    assert_eq!(batch.outcome(), None);
    // one that is to be committed is not given up when its handle goes
    let mut batch = with(Some(5), 1);
    batch.commit(draft("x"));
    batch.abandon();
    assert_eq!(sent(&mut batch).0, [1]);
}

#[test]
fn other_answers_than_a_batch_s_are_no_success() {
    for body in [&b"ok"[..], b"{}", br#"{"stream":"S","seq":1,"batch":"another","count":2}"#, b""] {
        let mut batch = with(Some(5), 1);
        sent(&mut batch);
        batch.handle_reply(1, Ok(b""));
        batch.commit(draft("x"));
        sent(&mut batch);
        batch.handle_reply(2, Ok(body));
        failure(&batch);
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Add(usize),
    Commit,
    End,
    Abandon,
    Reply(usize, u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4000_usize).prop_map(Event::Add),
        1 => Just(Event::Commit),
        1 => Just(Event::End),
        1 => Just(Event::Abandon),
        8 => (0..4_usize, 0..12_u8).prop_map(|(which, how)| Event::Reply(which, how)),
    ]
}

proptest! {
    /// Whatever happens, in whichever order.
    #[test]
    fn messages_are_numbered_without_a_gap_and_an_outcome_is_the_last_thing(
        level in prop_oneof![Just(None), (0..6_u32).prop_map(Some)],
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut batch = batch();
        let (mut last, mut under_way, mut commits) = (0, Vec::new(), 0);
        let mut outcome = None;
        for event in events {
            let is_committing = commits > 0;
            match event {
                Event::Add(len) if !is_committing => drop(batch.add(draft(&"x".repeat(len)))),
                Event::Commit if !is_committing => { batch.commit(draft("x")); commits += 1; }
                Event::End if !is_committing => {
                    batch.commit_with_end(Duration::ZERO);
                    commits += 1;
                }
                Event::Abandon => batch.abandon(),
                Event::Reply(which, how) if which < under_way.len() => {
                    let number = under_way.remove(which);
                    batch.handle_reply(number, match how {
                        0 => Err(RequestError::Timeout),
                        1 => Err(RequestError::NeverSent),
                        2 => Ok(REFUSED),
                        3 => Ok(ACK),
                        _ => Ok(b""),
                    });
                }
                _ => {}
            }
            while let Some(step) = batch.poll() {
                match step {
                    Step::AskLevel => batch.handle_level(Ok(level)),
                    Step::Send { number, message } => {
                        prop_assert_eq!(number, last + 1);
                        prop_assert!(outcome.is_none(), "nothing is sent after the end");
                        prop_assert!(number != 2 || !under_way.contains(&1));
                        let is_last = message.headers.as_headers().get("Nats-Batch-Commit").is_some();
                        prop_assert!(!is_last || commits == 1);
                        under_way.push(number);
                        last = number;
                    }
                }
            }
            match (&outcome, batch.outcome()) {
                (None, now) => outcome = now.cloned(),
                (before, now) => prop_assert_eq!(before.as_ref(), now),
            }
        }
    }
}
