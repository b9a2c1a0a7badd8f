//! Fences: in order, each to its own `PONG`, whatever else pings.

use crate::support::{Driver, INFO, SECOND, config, msg};
use evnats_protocol::{DisconnectReason, Which};

#[test]
fn fences_are_passed_in_order_and_report_the_round_trip_time() {
    let mut driver = Driver::ready();
    driver.session.flush(5 * SECOND, "a");
    driver.session.flush(5 * SECOND, "b");
    assert_eq!(driver.written(), ["PING", "PING"]);
    driver.now += SECOND;
    assert_eq!(driver.events_after("PONG\r\n"), ["fence a: 1s"]);
    driver.now += SECOND;
    assert_eq!(driver.events_after("PONG\r\n"), ["fence b: 2s"]);
}

#[test]
fn a_fence_comes_after_the_messages_before_its_pong() {
    let mut driver = Driver::ready();
    let sid = driver.subscribe("a", "sub");
    driver.session.flush(5 * SECOND, "f");
    driver.written();
    let stream = format!("{}PONG\r\n{}", msg("a", sid, "before"), msg("a", sid, "after"));
    let expected = ["message 2: before", "fence f: 0ns", "message 2: after"];
    assert_eq!(driver.events_after(stream), expected);
}

#[test]
fn keep_alive_pings_between_fences_have_pongs_of_their_own() {
    let mut driver = Driver::ready_with(config(|config| config.ping_interval = SECOND));
    driver.session.flush(9 * SECOND, "a");
    driver.wait(SECOND);
    driver.session.flush(9 * SECOND, "b");
    assert_eq!(driver.written(), ["PING"; 3]);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence a: 1s"]);
    assert!(driver.events_after("PONG\r\n").is_empty(), "the keep-alive's");
    assert_eq!(driver.events_after("PONG\r\n"), ["fence b: 0ns"]);
}

#[test]
fn a_fence_that_timed_out_keeps_its_place() {
    let mut driver = Driver::ready();
    driver.session.flush(SECOND, "a");
    driver.session.flush(9 * SECOND, "b");
    driver.written();
    assert_eq!(driver.session.next_deadline(), Some(driver.now + SECOND));
    assert_eq!(driver.wait(SECOND), ["no fence a: no answer to a ping in time"]);
    assert!(driver.events_after("PONG\r\n").is_empty(), "that was a's");
    assert_eq!(driver.events_after("PONG\r\n"), ["fence b: 1s"]);
    assert!(driver.events_after("PONG\r\n").is_empty(), "nobody asked");
}

#[test]
fn the_handshake_s_pong_passes_no_fence() {
    let mut driver = Driver::connected();
    driver.session.flush(9 * SECOND, "early");
    driver.shake_hands(INFO);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence early: 0ns"]);
}

#[test]
fn a_fence_s_clock_starts_with_the_turn() {
    let mut driver = Driver::ready();
    driver.now += 9 * SECOND;
    driver.session.flush(SECOND, "a");
    assert!(driver.session.needs_turn());
    driver.session.handle_turn(driver.now);
    assert!(!driver.session.needs_turn());
    assert_eq!(driver.session.next_deadline(), Some(driver.now + SECOND));
}

#[test]
fn fences_fail_at_disconnect_in_order() {
    let mut driver = Driver::ready();
    driver.session.flush(9 * SECOND, "a");
    driver.written();
    driver.session.flush(9 * SECOND, "b");
    driver.session.leg(Which::Current).handle_disconnected(DisconnectReason::ServerClosed);
    let expected = [
        "disconnected: the server closed the connection",
        "no fence a: disconnected before the server answered",
        "no fence b: disconnected before the server answered",
        "closed",
    ];
    assert_eq!(driver.events(), expected);
}

#[test]
fn a_pong_that_nobody_asked_for_passes_no_fence() {
    let mut driver = Driver::ready();
    driver.session.flush(SECOND, "flush");
    driver.session.handle_turn(driver.now);
    assert!(driver.events_after("PONG\r\n").is_empty(), "its PING has not been written");
    let mut leg = driver.session.leg(Which::Current);
    leg.handle_written(leg.writable_len() - 1);
    assert!(driver.events_after("PONG\r\n").is_empty(), "nor all of it");
    driver.session.leg(Which::Current).handle_written(1);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence flush: 0ns"]);
}

/// What waits is written anew when the server has less room for it.
#[test]
fn a_fence_is_passed_where_its_ping_has_come_to_stand() {
    let mut driver = Driver::connected();
    driver.publish("a", &"x".repeat(500));
    driver.session.flush(SECOND, "first");
    driver.publish("a", &"x".repeat(500));
    driver.session.flush(SECOND, "second");
    driver.events_after("INFO {\"max_payload\":100}\r\n");
    driver.written();
    let failed = driver.events_after("PONG\r\n");
    assert_eq!(failed.len(), 3, "connected, and two messages too large: {failed:?}");
    assert_eq!(driver.written(), ["PING", "PING"]);
    let expected = ["fence first: 0ns", "fence second: 0ns"];
    assert_eq!(driver.events_after("PONG\r\nPONG\r\n"), expected);
}
