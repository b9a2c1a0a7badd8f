//! The queue by itself, under virtual time.

use super::super::letter::DeadLetterCause;
use super::*;
use crate::jetstream::advisory::Advisory;
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::manage::StoredParts;
use evnats_protocol::RequestError;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn notice(sequence: u64) -> Notice {
    let body = format!(
        r#"{{"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":"S","consumer":"C","stream_seq":{sequence},"deliveries":2}}"#
    );
    Notice::of(Advisory::read("s", body.into()), "S", None).expect("a dead letter")
}

fn message(sequence: u64) -> Result<StoredMessage, Error> {
    Ok(StoredMessage::copy_of(StoredParts { sequence, subject: b"a", ..StoredParts::default() }))
}

fn timeout() -> Result<StoredMessage, Error> {
    Err(Error::Request(RequestError::Timeout))
}

fn removed() -> Result<StoredMessage, Error> {
    Err(Error::Api(ApiError::new(404, ErrorCode::NO_MESSAGE_FOUND, "no message found")))
}

fn queue_of(options: DeadLetterOptions, count: u64) -> Queue {
    let mut queue = Queue::new(&options);
    for sequence in 1..=count {
        assert_eq!(queue.handle_notice(notice(sequence)), None);
    }
    queue
}

/// Begins all reads that may begin now.
fn reads(queue: &mut Queue, now: Instant) -> Vec<(Number, u64)> {
    std::iter::from_fn(|| queue.poll_read(now)).collect()
}

fn told(queue: &mut Queue) -> Vec<(u64, Result<StoredMessage, Error>)> {
    let letters = std::iter::from_fn(|| queue.poll_letter());
    letters.map(|letter| (letter.delivery.stream_sequence, letter.message)).collect()
}

#[test]
fn they_are_told_in_the_order_of_their_advisories_whatever_is_read_first() {
    let now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new(), 3);
    let under_way = reads(&mut queue, now);
    assert_eq!(under_way.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>(), [1, 2, 3]);
    queue.handle_read(under_way[2].0, message(3), now);
    queue.handle_read(under_way[1].0, removed(), now);
    assert_eq!(told(&mut queue), [], "the first one has not been read");
    assert!(!queue.is_front_done());
    queue.handle_read(under_way[0].0, message(1), now);
    assert!(queue.is_front_done());
    let letter = queue.poll_letter().expect("a dead letter");
    assert_eq!((letter.cause, letter.message), (DeadLetterCause::MaxDeliver, message(1)));
    assert_eq!(told(&mut queue), [(2, removed()), (3, message(3))]);
    assert!(queue.is_empty());
}

#[test]
fn so_many_are_read_at_once_and_no_more() {
    let now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new(), 100);
    let under_way = reads(&mut queue, now);
    assert_eq!(under_way.len(), MAX_READS);
    // what has come and has to wait for the first one counts
    for (number, sequence) in &under_way[1..] {
        queue.handle_read(*number, message(*sequence), now);
    }
    assert_eq!(reads(&mut queue, now), []);
    queue.handle_read(under_way[0].0, message(1), now);
    assert_eq!(told(&mut queue).len(), MAX_READS);
    assert_eq!(reads(&mut queue, now).len(), 100 - MAX_READS);
}

#[test]
fn what_cannot_be_read_at_the_moment_is_read_again_after_pauses_that_grow() {
    let mut now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new().patience(Duration::from_secs(60)), 1);
    let begun = now;
    let mut pauses = Vec::new();
    while let Some((number, 1)) = queue.poll_read(now) {
        queue.handle_read(number, timeout(), now);
        let Some(wakeup) = queue.wakeup() else { break };
        assert_eq!(queue.poll_read(now), None, "not before its time");
        pauses.push((wakeup - now).as_millis());
        now = wakeup;
    }
    assert_eq!(pauses[..6], [200, 400, 800, 1600, 3200, 5000]);
    assert!(now - begun > Duration::from_secs(54) && now - begun < Duration::from_secs(60));
    assert_eq!(told(&mut queue), [(1, timeout())], "told with the reason, and not lost");
}

#[test]
fn what_will_not_change_is_told_at_once_and_so_is_everything_without_patience() {
    let now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new(), 1);
    let (number, _) = queue.poll_read(now).expect("a read");
    queue.handle_read(number, removed(), now);
    assert_eq!(told(&mut queue), [(1, removed())]);
    // the same answer again is nobody's
    queue.handle_read(number, message(1), now);
    assert_eq!(told(&mut queue), []);

    let mut queue = queue_of(DeadLetterOptions::new().patience(Duration::ZERO), 1);
    let (number, _) = queue.poll_read(now).expect("a read");
    queue.handle_read(number, timeout(), now);
    assert_eq!(told(&mut queue), [(1, timeout())]);
}

#[test]
fn what_is_beyond_the_limit_comes_back_without_its_message() {
    let mut queue = queue_of(DeadLetterOptions::new().max_waiting(2), 2);
    let letter = queue.handle_notice(notice(3)).expect("no room");
    assert_eq!(letter.message, Err(Error::TooManyDeadLetters { waiting: 2 }));
    assert_eq!(letter.delivery.stream_sequence, 3);
    let under_way = reads(&mut queue, Instant::now());
    assert_eq!(under_way.len(), 2);
}

#[test]
fn after_the_end_nothing_is_read_again() {
    let now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new(), 2);
    let under_way = reads(&mut queue, now);
    queue.handle_read(under_way[0].0, timeout(), now);
    queue.handle_end(now);
    assert_eq!(queue.wakeup(), Some(now), "once more, and at once");
    let (number, _) = queue.poll_read(now).expect("a read");
    queue.handle_read(number, timeout(), now);
    queue.handle_read(under_way[1].0, timeout(), now);
    assert_eq!(told(&mut queue), [(1, timeout()), (2, timeout())]);
}

#[test]
fn what_is_cleared_gets_no_answers() {
    let now = Instant::now();
    let mut queue = queue_of(DeadLetterOptions::new(), 1);
    let (number, _) = queue.poll_read(now).expect("a read");
    queue.clear();
    queue.handle_notice(notice(2));
    assert_eq!(queue.poll_read(now).map(|(_, sequence)| sequence), Some(2));
    queue.handle_read(number, message(1), now);
    assert_eq!(told(&mut queue), []);
}

/// Something that happens to a queue.
#[derive(Debug, Clone)]
enum Happens {
    Notice,
    /// One of the reads is answered.
    Read(prop::sample::Index, u8),
    Pass(u64),
    Tell,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        3 => Just(Happens::Notice),
        4 => (any::<prop::sample::Index>(), 0..3_u8).prop_map(|(of, how)| Happens::Read(of, how)),
        2 => (0..6_000_u64).prop_map(Happens::Pass),
        2 => Just(Happens::Tell),
    ]
}

proptest! {
    #[test]
    fn every_one_is_told_once_and_in_order(all in prop::collection::vec(happens(), 0..200)) {
        let (mut now, mut sequence) = (Instant::now(), 0);
        let mut queue = Queue::new(&DeadLetterOptions::new().max_waiting(80));
        let (mut under_way, mut left, mut without_room) = (Vec::new(), Vec::new(), BTreeSet::new());
        for happens in all {
            match happens {
                Happens::Notice => {
                    sequence += 1;
                    without_room.extend(queue.handle_notice(notice(sequence)).map(|_| sequence));
                }
                Happens::Read(of, how) if !under_way.is_empty() => {
                    let (number, sequence) = under_way.swap_remove(of.index(under_way.len()));
                    let outcome = match how {
                        0 => message(sequence),
                        1 => removed(),
                        _ => timeout(),
                    };
                    queue.handle_read(number, outcome, now);
                }
                Happens::Read(..) => {}
                Happens::Pass(millis) => now += Duration::from_millis(millis),
                Happens::Tell => left.extend(told(&mut queue)),
            }
            under_way.extend(reads(&mut queue, now));
            prop_assert!(under_way.len() <= MAX_READS);
        }
        queue.handle_end(now);
        while !queue.is_empty() {
            under_way.extend(reads(&mut queue, now));
            for (number, sequence) in under_way.drain(..) {
                queue.handle_read(number, message(sequence), now);
            }
            left.extend(told(&mut queue));
        }
        let expected: Vec<_> =
            (1..=sequence).filter(|sequence| !without_room.contains(sequence)).collect();
        prop_assert_eq!(left.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), expected);
        for (sequence, message) in left {
            if let Ok(message) = message {
                prop_assert_eq!(message.sequence(), sequence);
            }
        }
    }
}
