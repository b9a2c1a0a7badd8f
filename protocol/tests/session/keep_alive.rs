//! Pings in both directions, and a server that no longer answers.

use crate::support::{Driver, SECOND, config};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn pings_are_sent_at_the_interval_and_a_pong_clears_the_count() {
    let mut driver = Driver::ready();
    for _ in 0..10 {
        assert_eq!(driver.session.next_deadline(), Some(driver.now + 2 * MINUTE));
        assert!(driver.wait(2 * MINUTE).is_empty());
        assert_eq!(driver.written(), ["PING"]);
        assert!(driver.events_after("PONG\r\n").is_empty());
    }
}

#[test]
fn one_pong_clears_the_count_of_several_pings() {
    let mut driver = Driver::ready();
    for _ in 0..10 {
        assert!(driver.wait(2 * MINUTE).is_empty());
        assert!(driver.wait(2 * MINUTE).is_empty());
        assert_eq!(driver.written(), ["PING", "PING"]);
        assert!(driver.events_after("PONG\r\n").is_empty());
    }
}

#[test]
fn a_server_that_does_not_answer_is_stale_after_two_pings() {
    let mut driver = Driver::ready();
    assert!(driver.wait(2 * MINUTE).is_empty());
    assert!(driver.wait(2 * MINUTE).is_empty());
    assert_eq!(driver.written(), ["PING", "PING"]);
    assert!(driver.wait(2 * MINUTE - SECOND).is_empty());
    let stale = "disconnected: stale connection: the server stopped answering pings";
    assert_eq!(driver.wait(SECOND), [stale, "closed"]);
}

#[test]
fn ping_not_starved_by_frequent_publishes() {
    let mut driver = Driver::ready();
    let mut pings = 0;
    for _ in 0..359 {
        driver.publish("a", "x");
        assert!(driver.wait(SECOND).is_empty());
        pings += driver.written().iter().filter(|op| *op == "PING").count();
    }
    assert_eq!(pings, 2);
    driver.publish("a", "x");
    let stale = "disconnected: stale connection: the server stopped answering pings";
    assert_eq!(driver.wait(SECOND), [stale, "1 never sent", "closed"]);
}

#[test]
fn messages_are_no_answer_to_a_ping() {
    let mut driver = Driver::ready_with(config(|config| config.max_pings_outstanding = 1));
    let sid = driver.subscribe("a", "sub");
    driver.wait(2 * MINUTE);
    driver.events_after(crate::support::msg("a", sid, "still there"));
    let stale = "disconnected: stale connection: the server stopped answering pings";
    assert_eq!(driver.wait(2 * MINUTE), [stale, "sub ended: closed", "closed"]);
}

#[test]
fn a_server_that_streams_and_never_answers_is_stale() {
    let mut driver = Driver::ready();
    let sid = driver.subscribe("a", "sub");
    let message = crate::support::msg("a", sid, "still there");
    let begin = driver.now;
    let mut is_lost = false;
    while !is_lost {
        // there is always more than the driver polls
        driver.receive(message.repeat(3));
        driver.now += SECOND / 2;
        driver.session.handle_timeout(driver.now);
        for _ in 0..2 {
            is_lost |= driver.poll().is_some_and(|event| event.starts_with("disconnected"));
        }
        assert!(driver.now - begin < 20 * MINUTE, "never");
    }
    assert!(driver.now - begin >= 6 * MINUTE);
}

#[test]
fn an_answer_far_behind_in_what_has_been_read_counts() {
    let mut driver = Driver::ready();
    let sid = driver.subscribe("a", "sub");
    let message = crate::support::msg("a", sid, "still there");
    driver.wait(2 * MINUTE);
    driver.wait(2 * MINUTE);
    driver.receive(message.repeat(20) + "PONG\r\n" + &message.repeat(20));
    driver.now += 2 * MINUTE;
    for _ in 0..40 {
        driver.session.handle_timeout(driver.now);
        assert_eq!(driver.poll(), Some(format!("message {sid}: still there")));
        driver.receive(&message);
        driver.now += SECOND;
    }
}

#[test]
fn an_answer_that_was_read_and_not_polled_counts() {
    let mut driver = Driver::ready();
    driver.wait(2 * MINUTE);
    driver.wait(2 * MINUTE);
    driver.written();
    driver.receive("PONG\r\n");
    driver.now += 2 * MINUTE;
    driver.session.handle_timeout(driver.now);
    assert!(driver.events().is_empty());
    assert_eq!(driver.session.next_deadline(), Some(driver.now + SECOND));
    assert!(driver.wait(SECOND).is_empty());
    assert_eq!(driver.written(), ["PING"]);
}

#[test]
fn an_interval_of_zero_sends_none() {
    let mut driver = Driver::ready_with(config(|config| config.ping_interval = Duration::ZERO));
    assert_eq!(driver.session.next_deadline(), None);
    assert!(driver.wait(600 * MINUTE).is_empty());
    assert!(driver.written().is_empty());
}

#[test]
fn a_ping_of_the_server_is_answered_in_order_with_what_was_ordered_before() {
    let mut driver = Driver::ready();
    driver.publish("a", "1");
    assert!(driver.events_after("PING\r\nping\r\n").is_empty());
    driver.publish("a", "2");
    assert_eq!(driver.written(), ["PUB a 1", "PONG", "PONG", "PUB a 2"]);
}

#[test]
fn the_longest_durations_mean_never() {
    let mut driver = Driver::ready_with(config(|config| {
        config.connect_timeout = Duration::MAX;
        config.ping_interval = Duration::MAX;
        config.drain_timeout = Duration::MAX;
    }));
    assert_eq!(driver.session.next_deadline(), None);
    driver.session.drain(driver.now);
    driver.session.flush(Duration::MAX, "flush");
    assert_eq!(driver.written(), ["PING", "PING"]);
    assert_eq!(driver.session.next_deadline(), None);
    assert_eq!(driver.events_after("PONG\r\nPONG\r\n"), ["fence flush: 0ns"]);
}
