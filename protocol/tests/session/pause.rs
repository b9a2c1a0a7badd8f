//! Paused subscriptions: messages wait, up to a limit, and nothing else does.

use crate::support::{Driver, SECOND, msg};
use evnats_protocol::{CommandError, PendingLimits, SubscriptionId};

fn subscribed() -> (Driver, SubscriptionId) {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.written();
    (driver, id)
}

fn messages(texts: &[&str]) -> String {
    texts.iter().map(|text| msg("a", 2, text)).collect()
}

#[test]
fn messages_wait_for_a_paused_subscription_and_for_no_other() {
    let (mut driver, id) = subscribed();
    driver.subscribe("b", "b");
    driver.session.pause(id).unwrap();
    let stream = messages(&["1", "2"]) + &msg("b", 3, "x") + "PING\r\n";
    assert_eq!(driver.events_after(stream), ["message 3: x"]);
    assert_eq!(driver.written(), ["SUB b 3", "PONG"]);
    let snapshot = driver.session.subscription_snapshot(id).unwrap();
    assert_eq!((snapshot.pending_messages, snapshot.pending_bytes, snapshot.dropped), (2, 2, 0));
    assert!(snapshot.is_paused && snapshot.delivered == 0);
    driver.session.resume(id).unwrap();
    assert!(driver.session.needs_turn());
    assert_eq!(
        driver.events_after(messages(&["3"])),
        ["message 2: 1", "message 2: 2", "message 2: 3"]
    );
    assert!(!driver.session.needs_turn());
}

#[test]
fn a_snapshot_counts_what_waits_was_delivered_and_was_dropped_and_the_most_that_waited() {
    let (mut driver, id) = subscribed();
    driver.events_after(messages(&["a"]));
    let limits = PendingLimits::new().messages(2);
    driver.session.set_pending_limits(id, limits).unwrap();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1", "22", "333"]));
    let snapshot = driver.session.subscription_snapshot(id).unwrap();
    assert_eq!((snapshot.pending_messages, snapshot.pending_bytes), (2, 3));
    assert_eq!((snapshot.delivered, snapshot.dropped), (1, 1));
    assert!(snapshot.is_paused && snapshot.limits == limits);
    driver.session.resume(id).unwrap();
    driver.events_after(messages(&["4"]));
    let snapshot = driver.session.subscription_snapshot(id).unwrap();
    assert_eq!((snapshot.pending_messages, snapshot.pending_bytes), (0, 0));
    assert_eq!((snapshot.max_pending_messages, snapshot.max_pending_bytes), (2, 3));
    assert_eq!((snapshot.delivered, snapshot.dropped), (4, 1));
    assert!(!snapshot.is_paused);
}

#[test]
fn what_arrives_while_held_messages_are_delivered_comes_after_them() {
    let (mut driver, id) = subscribed();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1", "2"]));
    driver.session.resume(id).unwrap();
    assert_eq!(driver.poll().as_deref(), Some("message 2: 1"));
    driver.session.pause(id).unwrap();
    assert!(driver.events_after(messages(&["3"])).is_empty());
    driver.session.resume(id).unwrap();
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["message 2: 2", "message 2: 3"]);
}

#[test]
fn a_slow_consumer_is_reported_once_for_every_run_of_drops() {
    let (mut driver, id) = subscribed();
    driver.session.set_pending_limits(id, PendingLimits::new().messages(2).bytes(100)).unwrap();
    driver.session.pause(id).unwrap();
    let slow = |dropped| format!("slow: {dropped} dropped");
    assert_eq!(driver.events_after(messages(&["1", "2", "3", "4"])), [slow(1)]);
    assert_eq!(driver.session.subscription_snapshot(id).unwrap().dropped, 2);
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["message 2: 1", "message 2: 2"]);
    driver.session.pause(id).unwrap();
    assert_eq!(driver.events_after(messages(&["5", "6", "7", "8"])), [slow(3)]);
    assert_eq!(driver.events_after("PING\r\n"), [""; 0], "the connection stays");
}

#[test]
fn headers_and_sub_pending_bytes() {
    let (mut driver, id) = subscribed();
    driver.session.set_pending_limits(id, PendingLimits::new().messages(100).bytes(30)).unwrap();
    driver.session.pause(id).unwrap();
    let block = "NATS/1.0\r\nA: 1\r\n\r\n";
    let message = crate::support::hmsg("a", 2, block, "0123456789");
    driver.events_after(&message);
    assert_eq!(driver.session.subscription_snapshot(id).unwrap().pending_bytes, block.len() + 10);
    assert_eq!(driver.events_after(&message), ["slow: 1 dropped"]);
}

#[test]
fn a_maximum_that_is_reached_while_paused_ends_with_the_last_held_message() {
    let (mut driver, id) = subscribed();
    driver.session.unsubscribe_after(id, 2).unwrap();
    driver.session.pause(id).unwrap();
    assert!(driver.events_after(messages(&["1", "2", "3"])).is_empty());
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["message 2: 1", "message 2: 2", "a ended: max"]);
}

#[test]
fn a_maximum_whose_last_messages_were_dropped_ends_too() {
    let (mut driver, id) = subscribed();
    driver.session.set_pending_limits(id, PendingLimits::new().messages(1).bytes(100)).unwrap();
    driver.session.unsubscribe_after(id, 3).unwrap();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1", "2", "3"]));
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["message 2: 1", "a ended: max"]);

    let (mut driver, id) = subscribed();
    driver.session.set_pending_limits(id, PendingLimits::new().messages(0).bytes(0)).unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1"]));
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["a ended: max"], "there was nothing to hold");
}

#[test]
fn a_maximum_that_is_set_while_messages_wait_counts_them() {
    for (max, delivered) in [(1, 1), (2, 2), (3, 3)] {
        let (mut driver, id) = subscribed();
        driver.events_after(messages(&["1"]));
        driver.session.pause(id).unwrap();
        driver.events_after(messages(&["2", "3", "4"]));
        driver.session.unsubscribe_after(id, max).unwrap();
        assert_eq!(driver.written(), ["UNSUB 2"]);
        let mut events = driver.events_after(messages(&["5"]));
        events.extend(driver.session.resume(id).ok().into_iter().flat_map(|()| driver.events()));
        assert_eq!(events.len(), delivered, "one was delivered before, and there is an end");
        assert_eq!(events.last().unwrap(), "a ended: max");
    }
}

#[test]
fn a_maximum_is_lowered_and_raised_while_messages_wait() {
    let (mut driver, id) = subscribed();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1", "2", "3"]));
    for max in [2, 5, 1, 1, 9] {
        driver.session.unsubscribe_after(id, max).unwrap();
    }
    assert_eq!(driver.session.subscription_snapshot(id).unwrap().pending_messages, 1);
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events_after(messages(&["4"])), ["message 2: 1", "a ended: max"]);
}

#[test]
fn to_drain_is_to_resume() {
    let (mut driver, id) = subscribed();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1"]));
    driver.session.drain_subscription(id, SECOND, "drain");
    assert_eq!(driver.session.pause(id), Err(CommandError::Draining));
    driver.written();
    let expected = ["message 2: 1", "message 2: 2", "a ended: drained", "fence drain: 0ns"];
    assert_eq!(driver.events_after(messages(&["2"]) + "PONG\r\n"), expected);

    let (mut driver, id) = subscribed();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1"]));
    driver.session.drain(driver.now);
    driver.written();
    assert_eq!(driver.events_after("PONG\r\n"), ["message 2: 1", "a ended: drained"]);
}

#[test]
fn a_subscription_that_ends_while_paused_is_gone() {
    let (mut driver, id) = subscribed();
    driver.session.pause(id).unwrap();
    driver.events_after(messages(&["1"]));
    driver.session.resume(id).unwrap();
    driver.session.unsubscribe(id).unwrap();
    assert!(driver.events().is_empty());
    assert_eq!(driver.session.pause(id), Err(CommandError::UnknownSubscription));
    assert_eq!(driver.session.resume(id), Err(CommandError::UnknownSubscription));
    assert_eq!(driver.session.subscription_snapshot(id), None);
}
