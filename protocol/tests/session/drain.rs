//! Draining: a subscription or the whole connection ends, and nothing on its way is lost.

use crate::support::{Driver, INFO, SECOND, config, msg};
use evnats_protocol::{CommandError, OutgoingMessage, Phase};

const DISCONNECTED: &str = "disconnected: drained";

#[test]
fn drain_subscription_delivers_everything_on_its_way() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.drain_subscription(id, 5 * SECOND, "drain");
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2", "PING"]);
    let stream = format!("{}{}PONG\r\n{}", msg("a", 2, "1"), msg("a", 2, "2"), msg("a", 2, "3"));
    let expected = ["message 2: 1", "message 2: 2", "sub ended: drained", "fence drain: 0ns"];
    assert_eq!(driver.events_after(stream), expected);
    assert_eq!(driver.session.statistics().late_messages, 1);
}

#[test]
fn a_subscription_drained_twice_ends_once() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.drain_subscription(id, 5 * SECOND, "first");
    driver.session.drain_subscription(id, 5 * SECOND, "second");
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2", "PING", "PING"]);
    let expected = ["sub ended: drained", "fence first: 0ns", "fence second: 0ns"];
    assert_eq!(driver.events_after("PONG\r\nPONG\r\n"), expected);
    driver.session.drain_subscription(id, 5 * SECOND, "third");
    assert_eq!(driver.events(), ["no fence third: no such subscription"]);
}

#[test]
fn a_drained_subscription_ends_with_its_maximum_if_that_comes_first() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.session.drain_subscription(id, 5 * SECOND, "drain");
    driver.written();
    let expected = ["message 2: 1", "sub ended: max", "fence drain: 0ns"];
    assert_eq!(driver.events_after(msg("a", 2, "1") + "PONG\r\n"), expected);
}

#[test]
fn a_subscription_whose_drain_timed_out_ends_with_the_pong() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.drain_subscription(id, SECOND, "drain");
    driver.written();
    assert_eq!(driver.wait(SECOND), ["no fence drain: no answer to a ping in time"]);
    let stream = msg("a", 2, "on its way") + "PONG\r\n";
    assert_eq!(driver.events_after(stream), ["message 2: on its way", "sub ended: drained"]);
    assert_eq!(driver.session.subscription_count(), 0);
}

#[test]
fn drain_connection_ends_subscriptions_and_then_the_session() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "one");
    driver.subscribe("b", "two");
    driver.publish("c", "last words");
    driver.session.drain(driver.now);
    assert_eq!(driver.session.phase(), Phase::Draining);
    let expected = ["SUB a 2", "SUB b 3", "PUB c last words", "UNSUB 2", "UNSUB 3", "PING"];
    assert_eq!(driver.written(), expected);
    let expected = ["message 3: x", "one ended: drained", "two ended: drained"];
    assert_eq!(driver.events_after(msg("b", 3, "x") + "PONG\r\n"), expected);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), [DISCONNECTED, "closed"]);
    assert_eq!(driver.session.next_deadline(), None);
}

/// A driver with a budget may stop polling after the last reply.
#[test]
fn a_drain_that_lacks_nothing_but_its_last_fence_needs_a_turn() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("last");
    driver.session.drain(driver.now);
    driver.written();
    driver.session.handle_turn(driver.now);
    assert!(driver.events_after("PONG\r\n").is_empty());
    assert!(!driver.session.needs_turn(), "the reply is waited for");
    driver.receive(msg(&inbox, 1, "x"));
    assert_eq!(driver.poll().unwrap(), "reply last: x");
    assert!(driver.session.needs_turn());
    assert_eq!(driver.poll(), None);
    driver.session.handle_turn(driver.now);
    assert!(!driver.session.needs_turn());
    assert_eq!(driver.written(), ["PING"]);
}

#[test]
fn callbacks_of_drained_messages_may_still_publish() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "sub");
    driver.session.drain(driver.now);
    driver.written();
    driver.receive(msg("a", 2, "question") + "PONG\r\n");
    driver.poll().unwrap();
    driver.publish("answers", "yes");
    assert_eq!(driver.events(), ["sub ended: drained"]);
    assert_eq!(driver.written(), ["PUB answers yes", "PING"], "the answer before the last fence");
    let refused = driver.session.publish(OutgoingMessage::new("answers", "more"));
    assert_eq!(refused, Err(CommandError::Draining));
    driver.request("s", "late");
    driver.session.flush(SECOND, "late");
    let expected =
        ["no reply late: the connection is draining", "no fence late: the connection is draining"];
    assert_eq!(driver.events(), expected);
    assert_eq!(driver.events_after("PONG\r\n"), [DISCONNECTED, "closed"]);
}

#[test]
fn drain_does_not_wait_for_a_keep_alive_ping() {
    let mut driver = Driver::ready();
    driver.session.drain(driver.now);
    assert_eq!(driver.written(), ["PING"]);
    assert!(driver.events_after("PONG\r\n").is_empty());
    assert_eq!(driver.written(), ["PING"], "no time has passed");
}

#[test]
fn drain_conn_req_reply_waits_for_replies_and_fences() {
    let mut driver = Driver::ready();
    let a = driver.inbox_of("a");
    driver.session.drain(driver.now);
    let b = driver.inbox_of("b");
    driver.session.flush(5 * SECOND, "flush");
    assert_eq!(driver.written(), ["PING"]);
    assert!(driver.events_after("PONG\r\n").is_empty());
    assert!(driver.written().is_empty(), "still waited for: a, b, flush");
    assert_eq!(driver.events_after(msg(&a, 1, "x")), ["reply a: x"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence flush: 0ns"]);
    assert!(driver.written().is_empty(), "still waited for: b");
    assert_eq!(driver.events_after(msg(&b, 1, "y")), ["reply b: y"]);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), [DISCONNECTED, "closed"]);
}

#[test]
fn requests_that_time_out_let_the_drain_go_on() {
    let mut driver = Driver::ready();
    driver.inbox_of("a");
    driver.session.drain(driver.now);
    driver.written();
    driver.events_after("PONG\r\n");
    assert_eq!(driver.wait(5 * SECOND), ["no reply a: no reply in time"]);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), [DISCONNECTED, "closed"]);
}

#[test]
fn drain_before_the_handshake_happens_after_it() {
    let mut driver = Driver::connected();
    driver.subscribe("a", "sub");
    driver.publish("b", "x");
    driver.session.drain(driver.now);
    let (error, context) = driver.session.subscribe("c", None, "refused").unwrap_err();
    assert_eq!((error, context), (CommandError::Draining, "refused"));
    driver.shake_hands(INFO);
    assert_eq!(driver.written(), ["SUB a 2", "PUB b x", "UNSUB 2", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["sub ended: drained"]);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), [DISCONNECTED, "closed"]);
}

#[test]
fn a_drain_that_takes_too_long_ends_everything() {
    let mut driver = Driver::ready_with(config(|config| config.drain_timeout = SECOND));
    driver.subscribe("a", "sub");
    driver.inbox_of("request");
    driver.session.flush(9 * SECOND, "flush");
    driver.session.drain(driver.now);
    driver.written();
    let expected = [
        "disconnected: drain timed out",
        "no reply request: disconnected, outcome unknown",
        "no fence flush: disconnected before the server answered",
        "sub ended: closed",
        "closed",
    ];
    assert_eq!(driver.wait(SECOND), expected);
}

#[test]
fn a_second_drain_changes_nothing() {
    let mut driver = Driver::ready_with(config(|config| config.drain_timeout = SECOND));
    driver.session.drain(driver.now);
    driver.session.drain(driver.now + SECOND);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.session.next_deadline(), Some(driver.now + SECOND));
}

#[test]
fn subscriptions_that_drain_already_end_with_the_connection_s_drain_once() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.drain_subscription(id, 5 * SECOND, "own");
    driver.session.drain(driver.now);
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2", "PING", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["sub ended: drained", "fence own: 0ns"]);
    assert!(driver.events_after("PONG\r\n").is_empty());
    assert_eq!(driver.written(), ["PING"]);
}
