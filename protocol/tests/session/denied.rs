//! What a server does not permit ends with its error, and nothing else does.

use crate::support::{Driver, SECOND, config, hmsg, resuming};
use evnats_protocol::OutgoingMessage;

fn ready() -> Driver {
    Driver::ready_with(resuming())
}

fn denied(what: &str) -> String {
    format!("-ERR 'Permissions Violation for {what}'\r\n")
}

#[test]
fn a_denied_publish_fails_the_request_that_it_was() {
    let mut driver = ready();
    driver.session.request(OutgoingMessage::new("allowed", ""), 5 * SECOND, "allowed");
    driver.session.request(OutgoingMessage::new("denied", ""), 5 * SECOND, "first");
    driver.session.request(OutgoingMessage::new("denied", ""), 5 * SECOND, "second");
    driver.written();
    driver.session.request(OutgoingMessage::new("denied", ""), 5 * SECOND, "unsent");
    let text = "server error: Permissions Violation for Publish to \"denied\"";
    let error = denied("Publish to \"denied\"");
    // and it is told there alone
    assert_eq!(driver.events_after(&error), [format!("no reply first: {text}")]);
    assert_eq!(driver.events_after(&error), [format!("no reply second: {text}")]);
    assert_eq!(driver.events_after(&error), [text], "it cannot be about what was not written");
    assert_eq!(driver.session.request_count(), 2);
}

#[test]
fn a_denied_reply_subject_fails_the_request_that_has_it() {
    let mut driver = ready();
    driver.inbox_of("a");
    let inbox = driver.inbox_of("b");
    let events = driver.events_after(denied(&format!("Publish with Reply of \"{inbox}\"")));
    assert!(events[0].starts_with("no reply b: server error: Permissions"), "{events:?}");
    assert_eq!(driver.session.request_count(), 1);
}

#[test]
fn a_denied_subscription_ends_and_only_that_one() {
    let mut driver = ready();
    driver.subscribe("a", "plain");
    driver.session.subscribe("a", Some("q"), "queue").unwrap();
    let by_sid = driver.subscribe("a", "by sid");
    driver.written();
    let text = "Permissions Violation for Subscription to \"a\" using queue \"q\"";
    let events = driver.events_after(format!("-ERR '{text}'\r\n"));
    assert_eq!(events, [&format!("denied: {text}"), "queue ended: denied"]);
    let events = driver.events_after(denied(&format!("Subscription to \"a\" (sid \"{by_sid}\")")));
    assert_eq!(events[1], "by sid ended: denied");
    assert_eq!(driver.session.subscription_count(), 1);
    driver.lose_connection();
    assert_eq!(driver.reconnect(), ["SUB a 2"], "a server would refuse it again");
}

#[test]
fn a_denied_request_inbox_fails_the_requests_that_wait_for_it() {
    let mut driver = ready();
    let inbox = driver.inbox_of("a");
    let (pattern, _) = inbox.rsplit_once('.').unwrap();
    let error = denied(&format!("Subscription to \"{pattern}.*\""));
    let events = driver.events_after(&error);
    assert!(events[0].starts_with("no reply a: server error: Permissions"), "{events:?}");
    driver.request("s", "b");
    let written = driver.written();
    assert!(written[0].starts_with("SUB _INBOX."), "perhaps it is permitted now");
}

#[test]
fn an_error_behind_a_503_finds_nobody() {
    let mut driver = ready();
    let inbox = driver.inbox_of("a");
    driver.events_after(hmsg(&inbox, 1, "NATS/1.0 503\r\n\r\n", ""));
    let events = driver.events_after(denied("Publish to \"service\""));
    assert_eq!(events, ["server error: Permissions Violation for Publish to \"service\""]);
}

#[test]
fn a_denied_publish_is_none_of_the_requests_kept_from_another_connection() {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.keep_requests = true;
    }));
    driver.inbox_of("kept");
    driver.lose_connection();
    driver.reconnect();
    driver.inbox_of("now");
    let events = driver.events_after(denied("Publish to \"service\""));
    assert!(events[0].starts_with("no reply now"), "{events:?}");
}
