//! The end: one outcome for everything that is pending, and commands that come too late.

use crate::support::{Driver, INFO, SECOND, msg};
use evnats_protocol::{
    CommandError, DisconnectReason, OutgoingMessage, Phase, Security, SessionConfig, Which,
};

#[test]
fn everything_pending_gets_exactly_one_outcome_at_close() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "one");
    let two = driver.session.subscribe("b", None, "two").unwrap();
    driver.session.drain_subscription(two, 5 * SECOND, "drain");
    driver.inbox_of("sent");
    driver.request("s", "unsent");
    driver.session.flush(5 * SECOND, "flush");
    driver.session.close();
    let expected = [
        "disconnected",
        "no reply sent: disconnected, outcome unknown",
        "no reply unsent: disconnected, the request was never sent",
        "no fence drain: disconnected before the server answered",
        "no fence flush: disconnected before the server answered",
        "one ended: closed",
        "two ended: closed",
        "closed",
    ];
    assert_eq!(driver.events(), expected);
    driver.session.close();
    driver.session.leg(Which::Current).handle_disconnected(DisconnectReason::ServerClosed);
    driver.session.handle_timeout(driver.now + 9 * SECOND);
    assert!(driver.events().is_empty());
    assert_eq!(driver.session.next_deadline(), None);
    assert!(!driver.session.needs_turn());
}

#[test]
fn close_before_there_is_a_transport() {
    let mut driver = Driver::new(SessionConfig::default());
    driver.request("s", "a");
    driver.session.close();
    let reason = "no reply a: disconnected, the request was never sent";
    assert_eq!(driver.events(), [reason, "closed"]);
}

#[test]
fn nothing_is_written_or_delivered_after_close() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "sub");
    driver.publish("b", "x");
    driver.receive(msg("a", 2, "read, but not polled"));
    driver.session.close();
    let expected = ["disconnected", "1 never sent", "sub ended: closed", "closed"];
    assert_eq!(driver.events(), expected);
    assert_eq!(
        (
            driver.session.leg(Which::Current).writable_len(),
            driver.session.leg(Which::Current).chunks().count()
        ),
        (0, 0)
    );
    assert!(driver.events_after(msg("a", 2, "x")).is_empty());
}

#[test]
fn commands_after_close_fail_with_an_outcome() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.close();
    driver.events();
    assert_eq!(driver.session.publish(OutgoingMessage::new("a", "x")), Err(CommandError::Closed));
    let (error, context) = driver.session.subscribe("a", None, "late").unwrap_err();
    assert_eq!((error, context), (CommandError::Closed, "late"));
    assert_eq!(driver.session.unsubscribe(id), Err(CommandError::UnknownSubscription));
    driver.request("s", "late");
    driver.session.flush(SECOND, "late");
    driver.session.drain_subscription(id, SECOND, "late");
    driver.session.drain(driver.now);
    let expected = [
        "no reply late: the connection is closed",
        "no fence late: the connection is closed",
        "no fence late: no such subscription",
    ];
    assert_eq!(driver.events(), expected);
    assert_eq!((driver.session.next_deadline(), driver.written().len()), (None, 0));
}

#[test]
fn what_is_asked_while_the_end_is_reported_has_its_outcome_before_closed() {
    let mut driver = Driver::ready();
    driver.session.close();
    assert_eq!(driver.poll().as_deref(), Some("disconnected"));
    driver.request("s", "late");
    assert_eq!(driver.events(), ["no reply late: the connection is closed", "closed"]);
}

#[test]
fn a_transport_that_is_reported_after_the_end_changes_nothing() {
    let mut driver = Driver::new(SessionConfig::default());
    driver.session.close();
    driver.events();
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    assert_eq!(driver.session.next_deadline(), None);
    assert!(driver.events_after(INFO).is_empty());
    assert_eq!(driver.session.phase(), Phase::Closed);
}

#[test]
fn a_write_that_is_reported_after_the_end_is_forgotten() {
    let mut driver = Driver::ready();
    driver.publish("a", "on its way");
    let written = driver.session.leg(Which::Current).writable_len();
    driver.session.close();
    driver.session.leg(Which::Current).handle_written(written);
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
    assert_eq!(driver.events(), ["disconnected", "1 never sent", "closed"]);
}

#[test]
fn a_protocol_violation_ends_the_session_after_what_came_before_it() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "sub");
    let stream = msg("a", 2, "1") + "PINGxyz\r\n" + &msg("a", 2, "2");
    let expected = [
        "message 2: 1",
        "disconnected: protocol violation by the server: unknown operation \"PINGxyz\"",
        "sub ended: closed",
        "closed",
    ];
    assert_eq!(driver.events_after(stream), expected);
}

#[test]
fn a_refusal_is_forgotten_at_the_end() {
    let mut driver = Driver::ready_with(crate::support::config(|config| config.max_buffered = 10));
    assert!(driver.session.publish(OutgoingMessage::new("a", "more than ten")).is_ok());
    assert!(driver.session.publish(OutgoingMessage::new("a", "more than ten")).is_err());
    driver.session.close();
    driver.session.leg(Which::Current).handle_written(0);
    assert_eq!(driver.events(), ["disconnected", "1 never sent", "closed"]);
}

#[test]
fn what_was_read_but_not_polled_needs_a_turn() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.unsubscribe_after(id, 2).unwrap();
    driver.written();
    assert!(!driver.session.needs_turn());
    driver.receive(msg("a", 2, "1") + &msg("a", 2, "2") + "PI");
    for _ in ["message", "message", "ended"] {
        assert!(driver.session.needs_turn());
        driver.poll().unwrap();
    }
    assert!(driver.poll().is_none());
    assert!(!driver.session.needs_turn(), "half an operation is nothing to do");
    driver.session.close();
    for _ in ["disconnected", "closed"] {
        assert!(driver.session.needs_turn());
        driver.poll().unwrap();
    }
    assert!(!driver.session.needs_turn());
}
