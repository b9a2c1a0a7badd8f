//! Requests: one outcome each, and replies without a request.

use crate::support::{Driver, INFO, SECOND, config, hmsg, msg};
use evnats_protocol::DisconnectReason::ServerClosed;
use evnats_protocol::{Event, Message, OutgoingMessage, Security, Session, SessionConfig, Which};
use std::time::Instant;

const UNKNOWN: &str = "disconnected, outcome unknown";
const NEVER: &str = "disconnected, the request was never sent";
const CLOSED: &str = "disconnected: the server closed the connection";

#[test]
fn the_inbox_is_subscribed_to_once_and_before_the_first_request() {
    let mut driver = Driver::ready();
    driver.request("s", "a");
    driver.request("s", "b");
    let written = driver.written();
    let [sub, a, b] = &written[..] else { panic!("{written:?}") };
    assert!(sub.starts_with("SUB _INBOX.") && sub.ends_with(".* 1"), "{sub}");
    assert_eq!((&a[..], &b[..]), ("PUB s a", "PUB s b"));
}

#[test]
fn replies_find_their_requests_in_any_order() {
    let mut driver = Driver::ready();
    let (a, b) = (driver.inbox_of("a"), driver.inbox_of("b"));
    assert_ne!(a, b);
    assert_eq!(driver.session.request_count(), 2);
    assert_eq!(driver.events_after(msg(&b, 1, "for b")), ["reply b: for b"]);
    assert_eq!(driver.events_after(msg(&a, 1, "for a")), ["reply a: for a"]);
    assert_eq!(driver.session.request_count(), 0);
}

#[test]
fn a_request_times_out_once_and_its_late_reply_is_counted() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("a");
    assert_eq!(driver.session.next_deadline(), Some(driver.now + 5 * SECOND));
    assert!(driver.wait(4 * SECOND).is_empty());
    assert_eq!(driver.wait(SECOND), ["no reply a: no reply in time"]);
    assert!(driver.events_after(msg(&inbox, 1, "late")).is_empty());
    assert_eq!(driver.session.statistics().late_messages, 1);
    assert!(driver.wait(SECOND).is_empty());
}

#[test]
fn request_multiple_replies_only_the_first_counts() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("a");
    let twice = msg(&inbox, 1, "1") + &msg(&inbox, 1, "2");
    assert_eq!(driver.events_after(twice), ["reply a: 1"]);
    assert_eq!(driver.session.statistics().late_messages, 1);
    driver.inbox_of("b");
    assert!(driver.events_after(msg(&inbox, 1, "3")).is_empty(), "b has a's slot, not its token");
}

#[test]
fn request_leaks_no_map_entries() {
    let mut driver = Driver::ready();
    for _ in 0..1000 {
        let inbox = driver.inbox_of("a");
        assert_eq!(driver.events_after(msg(&inbox, 1, "")), ["reply a: "]);
    }
    assert_eq!(driver.session.request_count(), 0);
    let keep_alive = driver.now + SessionConfig::default().ping_interval;
    assert_eq!(driver.session.next_deadline(), Some(keep_alive), "deadlines are gone too");
}

#[test]
fn no_responders_with_and_without_a_description() {
    let blocks = [
        ("NATS/1.0 503\r\n\r\n", ""),
        ("NATS/1.0 503\r\nNats-Subject: service\r\n\r\n", " \"service\""),
        ("NATS/1.0 503\r\nNats-Subject: a\x1b\r\n\r\n", " \"a\\u{1b}\""),
        ("NATS/1.0 503 No Responders\r\n\r\n", ""),
    ];
    for (block, named) in blocks {
        let mut driver = Driver::ready();
        let inbox = driver.inbox_of("a");
        let expected = [format!("no reply a: nobody is listening on the subject{named}")];
        assert_eq!(driver.events_after(hmsg(&inbox, 1, block, "")), expected, "{block}");
    }
}

#[test]
fn a_forged_503_with_a_payload_is_a_reply() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("a");
    let forged = hmsg(&inbox, 1, "NATS/1.0 503\r\n\r\n", "boo");
    assert_eq!(driver.events_after(forged), ["reply a: boo"]);
}

#[test]
fn other_statuses_and_a_header_named_status_are_replies() {
    for block in ["NATS/1.0 404 No Messages\r\n\r\n", "NATS/1.0\r\nStatus: 503\r\n\r\n", "junk"] {
        let mut driver = Driver::ready();
        let inbox = driver.inbox_of("a");
        assert_eq!(driver.events_after(hmsg(&inbox, 1, block, "")), ["reply a: "], "{block}");
    }
}

#[test]
fn request_mux_with_mapped_subject() {
    let mut driver = Driver::ready();
    driver.inbox_of("a");
    assert_eq!(driver.events_after(msg("mapped.inbox", 1, "x")), ["reply a: x"]);
    driver.inbox_of("b");
    driver.inbox_of("c");
    assert!(driver.events_after(msg("mapped.inbox", 1, "x")).is_empty(), "b's or c's?");
    assert_eq!(driver.session.statistics().late_messages, 1);
}

#[test]
fn a_late_reply_under_a_rewritten_subject_is_for_nobody_else() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("a");
    let token = inbox.rsplit_once('.').unwrap().1.to_owned();
    driver.wait(5 * SECOND);
    let inbox_of_b = driver.inbox_of("b");
    // the token tells whose it is
    assert!(driver.events_after(msg(&format!("mapped.{token}"), 1, "late")).is_empty());
    // and without one it may be the late one
    assert!(driver.events_after(msg("mapped.inbox", 1, "late")).is_empty());
    let token = inbox_of_b.rsplit_once('.').unwrap().1;
    driver.inbox_of("c");
    assert_eq!(driver.events_after(msg(&format!("mapped.{token}"), 1, "x")), ["reply b: x"]);
    assert_eq!(driver.session.statistics().late_messages, 2);
}

#[test]
fn a_wrong_token_in_the_right_inbox_finds_no_request() {
    let mut driver = Driver::ready();
    let inbox = driver.inbox_of("a");
    let (prefix, token) = inbox.rsplit_once('.').unwrap();
    for wrong in [
        "",
        "x",
        "aaaaaaaax",
        "pppppppppppppppppppppppp",
        &token[1..],
        &token.replace('a', "\u{e9}"),
    ] {
        assert!(driver.events_after(msg(&format!("{prefix}.{wrong}"), 1, "x")).is_empty());
    }
    assert_eq!(driver.session.request_count(), 1);
}

#[test]
fn custom_inbox_prefix() {
    let mut driver = Driver::ready_with(config(|config| config.inbox_prefix = "in.mine".into()));
    let inbox = driver.inbox_of("a");
    assert!(inbox.starts_with("in.mine."), "{inbox}");
    assert_eq!(inbox.split('.').count(), 4);
    assert_eq!(driver.events_after(msg(&inbox, 1, "x")), ["reply a: x"]);
}

#[test]
fn a_request_that_cannot_be_made_has_its_outcome_too() {
    let mut driver = Driver::ready();
    driver.request("a b", "bad");
    let expected = "no reply bad: invalid subject: forbidden byte ' ' at byte 1 in \"a b\"";
    assert!(driver.session.needs_turn());
    assert_eq!(driver.events(), [expected]);
    assert!(driver.written().is_empty(), "not even the inbox");
}

#[test]
fn pending_request_fails_on_disconnect_with_what_is_known() {
    let mut driver = Driver::ready();
    driver.inbox_of("written");
    driver.request("s", "half");
    driver.session.leg(Which::Current).handle_written(1);
    driver.request("s", "unwritten");
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    let expected = [
        CLOSED.to_string(),
        format!("no reply half: {NEVER}"),
        format!("no reply written: {UNKNOWN}"),
        format!("no reply unwritten: {NEVER}"),
        "closed".into(),
    ];
    assert_eq!(driver.events(), expected);
}

#[test]
fn requests_before_the_handshake_were_never_sent() {
    let mut driver = Driver::connected();
    driver.request("s", "a");
    driver.receive(INFO);
    driver.events();
    driver.written();
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    let failed = "not connected: the server closed the connection";
    assert_eq!(driver.events(), [failed, &format!("no reply a: {NEVER}"), "closed"]);
}

#[test]
fn a_request_that_waits_before_the_handshake_times_out() {
    let mut driver = Driver::connected();
    driver.session.request(OutgoingMessage::new("s", "ghost"), SECOND, "ghost");
    driver.publish("p", "kept");
    driver.request("s", "alive");
    assert_eq!(driver.wait(SECOND), [format!("no reply ghost: {NEVER}")]);
    driver.shake_hands(INFO);
    let written = driver.written();
    assert!(written[0].starts_with("SUB _INBOX."));
    assert_eq!(written[1..], ["PUB p kept", "PUB s alive"], "nobody waits for the ghost");
}

#[test]
fn the_inbox_and_the_replies_of_two_sessions_differ_if_their_randomness_does() {
    let reply_of = |random: u64| {
        let mut session: Session<(), (), ()> = Session::new(SessionConfig::new(), move || random);
        session.handle_connecting(Instant::now());
        session.request(OutgoingMessage::new("s", ""), SECOND, ());
        let mut leg = session.leg(Which::Current);
        leg.handle_connected(Security::Plain);
        leg.handle_bytes(format!("{INFO}PONG\r\n").as_bytes(), Instant::now());
        assert!(matches!(session.poll_event(&mut Message::default()), Some(Event::Connected)));
        let leg = session.leg(Which::Current);
        let written: Vec<u8> = leg.chunks().flatten().copied().collect();
        let text = String::from_utf8(written).unwrap();
        let inbox = text.split_once("SUB ").unwrap().1.split_once('*').unwrap().0.to_owned();
        let reply = text.split_once("PUB s ").unwrap().1.split_once(' ').unwrap().0.to_owned();
        assert!(reply.starts_with(&inbox), "{reply}");
        reply
    };
    let (zero, one) = (reply_of(0), reply_of(u64::MAX));
    assert_eq!(zero, "_INBOX.0000000000000000000000.aaaaaaaaaaaaaaaaaaaaaaab");
    assert_eq!(one.len(), zero.len());
    assert!(one.ends_with(".aaaaaaaaaaaaaaaaaaaaaaaa"), "{one}");
    assert_ne!(one[..30], zero[..30]);
}
