//! Subscriptions: exact counts, and ids that are never confused.

use crate::support::{Driver, msg};
use evnats_protocol::CommandError;

fn messages(sid: u64, payloads: &[&str]) -> String {
    payloads.iter().map(|payload| msg("a", sid, payload)).collect()
}

#[test]
fn queue_groups_and_patterns_are_written_and_messages_find_their_context() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a.*.>", Some("group"), "sub").unwrap();
    assert_eq!(driver.written(), ["SUB a.*.> group 2"]);
    assert_eq!(driver.events_after(msg("a.b.c", 2, "x")), ["message 2: x"]);
    assert_eq!(driver.session.subscription_mut(id), Some(&mut "sub"));
    assert_eq!(driver.session.subscription_count(), 1);
}

#[test]
fn bad_subjects_and_queue_names_are_refused_and_give_the_context_back() {
    let mut driver = Driver::ready();
    for (subject, queue) in [
        ("", None),
        ("a b", None),
        ("a..b", None),
        (">.a", None),
        ("a", Some("")),
        ("a", Some(" ")),
    ] {
        let (_, context) = driver.session.subscribe(subject, queue, "mine").unwrap_err();
        assert_eq!(context, "mine");
    }
    let long = "x".repeat(5000);
    let (error, _) = driver.session.subscribe(&long, None, "mine").unwrap_err();
    assert_eq!(error, CommandError::ControlLineTooLong { size: 5040, limit: 4096 });
    assert!(driver.written().is_empty());
}

#[test]
fn auto_unsubscribe_delivers_exactly_as_many() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.unsubscribe_after(id, 2).unwrap();
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2 2"]);
    let events = driver.events_after(messages(2, &["1", "2", "3"]));
    assert_eq!(events, ["message 2: 1", "message 2: 2", "sub ended: max"]);
    assert_eq!(driver.session.statistics().late_messages, 1);
}

#[test]
fn the_context_is_there_while_the_last_message_is_reported() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.receive(messages(2, &["1"]));
    driver.poll().unwrap();
    assert_eq!(driver.session.subscription_mut(id), Some(&mut "sub"));
    assert_eq!(driver.events(), ["sub ended: max"]);
    assert_eq!(driver.session.subscription_mut(id), None);
}

#[test]
fn a_subscription_that_is_unsubscribed_at_its_last_message_ends_once() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.receive(messages(2, &["1"]));
    driver.poll().unwrap();
    assert_eq!(driver.session.unsubscribe(id), Ok("sub"));
    assert!(driver.events().is_empty());
}

#[test]
fn unsubscribe_after_immediate() {
    let mut driver = Driver::ready();
    for max in [0, 1, 2] {
        let id = driver.session.subscribe("a", None, "sub").unwrap();
        driver.events_after(messages(id.sid(), &["1", "2"]));
        driver.written();
        driver.session.unsubscribe_after(id, max).unwrap();
        assert_eq!(driver.written(), [format!("UNSUB {}", id.sid())], "max {max} of 2 received");
        assert_eq!(driver.events(), ["sub ended: max"]);
    }
}

#[test]
fn the_maximum_counts_from_the_beginning() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.events_after(messages(2, &["1", "2"]));
    driver.session.unsubscribe_after(id, 3).unwrap();
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2 3"]);
    let events = driver.events_after(messages(2, &["3", "4"]));
    assert_eq!(events, ["message 2: 3", "sub ended: max"]);
}

#[test]
fn a_reused_slot_does_not_deliver_late_messages() {
    let mut driver = Driver::ready();
    let old = driver.session.subscribe("a", None, "old").unwrap();
    assert_eq!(driver.session.unsubscribe(old), Ok("old"));
    let new = driver.session.subscribe("b", None, "new").unwrap();
    assert_ne!(old.sid(), new.sid());
    assert_eq!(driver.written(), ["SUB a 2", "UNSUB 2", "SUB b 16777218"]);
    assert!(driver.events_after(messages(old.sid(), &["late"])).is_empty());
    assert_eq!(driver.session.statistics().late_messages, 1);
    assert_eq!(driver.events_after(messages(new.sid(), &["x"])), ["message 16777218: x"]);
    assert_eq!(driver.session.unsubscribe(old), Err(CommandError::UnknownSubscription));
    assert_eq!(driver.session.unsubscribe_after(old, 1), Err(CommandError::UnknownSubscription));
    assert_eq!(driver.session.subscription_mut(old), None);
}

#[test]
fn messages_that_were_read_but_not_polled_are_not_delivered_after_unsubscribe() {
    let mut driver = Driver::ready();
    let id = driver.session.subscribe("a", None, "sub").unwrap();
    driver.receive(messages(2, &["1", "2"]));
    driver.poll().unwrap();
    driver.session.unsubscribe(id).unwrap();
    assert!(driver.events().is_empty());
}

#[test]
fn messages_for_sids_that_never_were_are_counted() {
    let mut driver = Driver::ready();
    for sid in [0, 2, 77, u64::MAX] {
        assert!(driver.events_after(messages(sid, &["x"])).is_empty());
    }
    assert_eq!(driver.session.statistics().late_messages, 4);
}

#[test]
fn statistics_count_headers_and_payloads() {
    let mut driver = Driver::ready();
    driver.subscribe("a", "sub");
    driver.events_after(crate::support::hmsg("a", 2, "NATS/1.0\r\n\r\n", "hello"));
    driver.publish("b", "four");
    driver.written();
    let statistics = driver.session.statistics();
    assert_eq!((statistics.messages_in, statistics.bytes_in), (1, 17));
    assert_eq!((statistics.messages_out, statistics.bytes_out), (1, 4));
}
