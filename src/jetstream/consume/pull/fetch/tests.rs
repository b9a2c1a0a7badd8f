//! One behavior a test, in virtual time.

use super::*;
use crate::jetstream::consume::status::RequestLimit;

const SECOND: Duration = Duration::from_secs(1);

fn status(kind: StatusKind<'_>) -> PullStatus<'_> {
    PullStatus { kind, pending: None }
}

fn fetch(options: FetchOptions) -> (Fetch, Instant) {
    let now = Instant::now();
    let mut fetch = Fetch::new(options, None, now);
    assert!(fetch.poll_request().is_some(), "it is sent at once");
    (fetch, now)
}

/// How a fetch ends after so many messages, by a status.
fn end_by(options: FetchOptions, messages: u64, kind: StatusKind<'_>) -> Result<FetchEnd, Error> {
    let (mut fetch, now) = fetch(options);
    (0..messages).for_each(|_| assert_eq!(fetch.handle_message(100, now), Verdict::Deliver));
    fetch.handle_status(&status(kind), now);
    assert_eq!(fetch.received.messages, messages);
    fetch.poll_end().expect("an end")
}

fn failed(error: impl Into<Error>) -> Result<FetchEnd, Error> {
    Err(error.into())
}

#[test]
fn a_fetch_is_complete_with_the_last_message_or_byte() {
    let (mut fetch, now) = fetch(FetchOptions::messages(2));
    fetch.handle_message(100, now);
    assert_eq!(fetch.poll_end(), None);
    fetch.handle_message(100, now);
    assert_eq!(fetch.poll_end(), Some(Ok(FetchEnd::Complete)));
    assert_eq!(fetch.received, Amount { messages: 2, bytes: 200 });
    assert_eq!(fetch.next_deadline(), None);

    let (mut fetch, now) = self::fetch(FetchOptions::messages(9).max_bytes(250));
    (0..2).for_each(|_| _ = fetch.handle_message(100, now));
    assert_eq!(fetch.poll_end(), None);
    fetch.handle_message(100, now);
    assert_eq!(fetch.poll_end(), Some(Ok(FetchEnd::Complete)));
}

#[test]
fn there_is_one_end_and_what_comes_later_is_not_delivered() {
    let (mut fetch, now) = fetch(FetchOptions::new());
    fetch.fail(Error::Closed);
    fetch.handle_disconnected();
    fetch.handle_status(&status(StatusKind::Expired), now);
    fetch.handle_timeout(now + 99 * SECOND);
    assert_eq!(fetch.handle_message(100, now), Verdict::HandBack);
    assert_eq!(fetch.poll_end(), Some(Err(Error::Closed)));
    assert_eq!(fetch.poll_end(), None);
    assert_eq!(fetch.received, Amount::default());
}

#[test]
fn every_status_that_ends_the_request_ends_the_fetch() {
    use StatusKind::*;
    let limit = RequestLimit::Batch(Some(5));
    let bad = ConsumerError::BadRequest("Bad Request".into());
    for (kind, expected) in [
        (NoMessages, Ok(FetchEnd::NoMoreMessages)),
        (Expired, Ok(FetchEnd::Expired)),
        (BatchCompleted, Ok(FetchEnd::Complete)),
        (MessageTooLarge, failed(FetchError::MessageTooLarge)),
        (Exceeded(limit), failed(FetchError::Exceeded(limit))),
        (TooManyWaiting, failed(FetchError::MaxWaiting)),
        (LeadershipChange, failed(FetchError::LeaderLost)),
        (ServerShutdown, failed(FetchError::LeaderLost)),
        (ConsumerDeleted, failed(ConsumerError::ConsumerDeleted)),
        (PushBased, failed(ConsumerError::PushBased)),
        (BadRequest("Bad Request".into()), failed(bad)),
        (RequiredApiLevel, failed(ConsumerError::RequiredApiLevel)),
        (PinMismatch, failed(FetchError::Unpinned)),
        (NoResponders, failed(FetchError::NoResponders)),
        (
            Other { code: 409, text: "New".into() },
            failed(FetchError::Unknown { code: 409, text: "New".into() }),
        ),
    ] {
        assert_eq!(end_by(FetchOptions::messages(9), 0, kind.clone()), expected, "{kind:?}");
    }
    let error = FetchError::Exceeded(limit).to_string();
    assert_eq!(error, "asks for more than is permitted: max_batch is 5");
}

#[test]
fn a_message_that_does_not_fit_completes_what_has_come() {
    let options = FetchOptions::bytes(150);
    assert_eq!(end_by(options, 1, StatusKind::MessageTooLarge), Ok(FetchEnd::Complete));
}

#[test]
fn what_does_not_wait_ends_with_what_there_is() {
    let no_wait = || FetchOptions::messages(9).no_wait(true);
    for messages in [0, 3] {
        // the first one is server 2.15, the second one an older one with a part of the batch
        for kind in [StatusKind::NoMessages, StatusKind::Expired] {
            assert_eq!(end_by(no_wait(), messages, kind), Ok(FetchEnd::NoMoreMessages));
        }
    }
    let waits = || no_wait().expires(5 * SECOND);
    assert_eq!(end_by(waits(), 0, StatusKind::Expired), Ok(FetchEnd::Expired));
    assert_eq!(end_by(waits(), 3, StatusKind::Expired), Ok(FetchEnd::NoMoreMessages));
}

#[test]
fn a_heartbeat_is_no_end() {
    let (mut fetch, now) = fetch(FetchOptions::new());
    fetch.handle_status(&status(StatusKind::Heartbeat), now);
    let later = StatusKind::Other { code: 110, text: "Later".into() };
    fetch.handle_status(&status(later), now);
    assert_eq!(fetch.poll_end(), None);
}

/// A request that is sent just before its consumer is deleted may have no answer.
#[test]
fn a_fetch_does_not_hang_on_an_orphaned_pull() {
    let (mut fetch, now) = fetch(FetchOptions::messages(5).expires(8 * SECOND));
    assert_eq!(fetch.next_deadline(), Some(now + 9 * SECOND));
    fetch.handle_message(100, now + 8 * SECOND);
    fetch.handle_timeout(now + 9 * SECOND - Duration::from_nanos(1));
    assert_eq!(fetch.poll_end(), None);
    fetch.handle_timeout(now + 9 * SECOND);
    assert_eq!(fetch.poll_end(), Some(failed(FetchError::Unanswered)));
    assert_eq!(fetch.received.messages, 1);

    let (mut fetch, now) = self::fetch(FetchOptions::messages(5).no_wait(true));
    fetch.handle_timeout(now + PATIENCE);
    assert_eq!(fetch.poll_end(), Some(failed(FetchError::Unanswered)));
    let (fetch, now) = self::fetch(FetchOptions::new().expires(Duration::MAX));
    assert!(fetch.next_deadline() > Some(now), "it may wait for ever, but for heartbeats");
}

#[test]
fn two_missing_heartbeats_are_an_error() {
    let (mut fetch, now) = fetch(FetchOptions::new());
    assert_eq!(fetch.next_deadline(), Some(now + 10 * SECOND));
    fetch.handle_status(&status(StatusKind::Heartbeat), now + 5 * SECOND);
    fetch.handle_timeout(now + 10 * SECOND);
    assert_eq!(fetch.poll_end(), None);
    fetch.handle_timeout(now + 15 * SECOND);
    assert_eq!(fetch.poll_end(), Some(failed(FetchError::MissedHeartbeats)));
}

#[test]
fn missing_heartbeats_are_no_error_if_that_is_switched_off() {
    let (mut fetch, now) = fetch(FetchOptions::new().fail_when_silent(false));
    assert_eq!(fetch.request.idle_heartbeat, Some(5 * SECOND), "the server still reports");
    assert_eq!(fetch.next_deadline(), Some(now + 31 * SECOND));
    fetch.handle_timeout(now + 30 * SECOND);
    assert_eq!(fetch.poll_end(), None);
}

#[test]
fn a_fetch_waits_for_a_connection_before_it_is_sent() {
    let now = Instant::now();
    let mut fetch = Fetch::new(FetchOptions::messages(5), None, now);
    fetch.handle_disconnected();
    assert_eq!(fetch.poll_request(), None);
    assert_eq!(fetch.next_deadline(), Some(now + 31 * SECOND), "and for no longer than its time");
    fetch.handle_reconnected(now + 20 * SECOND);
    assert!(fetch.poll_request().is_some());
    assert_eq!(fetch.poll_request(), None, "once");
    assert_eq!(fetch.next_deadline(), Some(now + 30 * SECOND), "two heartbeats from now");
    assert_eq!(fetch.poll_end(), None);
}

#[test]
fn a_lost_connection_ends_a_fetch_with_what_has_come() {
    let (mut fetch, now) = fetch(FetchOptions::messages(5));
    fetch.handle_message(100, now);
    fetch.handle_disconnected();
    assert_eq!(fetch.poll_end(), Some(failed(FetchError::Disconnected)));
    assert_eq!(fetch.received.messages, 1);
}
