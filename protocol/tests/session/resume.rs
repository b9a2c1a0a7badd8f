//! A session that outlives its connections: what is restored, what is sent later, and the outcome of
//! everything else.

use crate::support::{Driver, INFO, SECOND, config, msg, resuming};
use evnats_protocol::DisconnectReason::{self, ServerClosed};
use evnats_protocol::{
    CommandError, HeaderMap, OutgoingMessage, Payload, PendingLimits, Phase, Security, Which,
};

const LOST: &str = "disconnected: the server closed the connection";
const UNKNOWN: &str = "disconnected, outcome unknown";
const NEVER: &str = "disconnected, the request was never sent";

fn ready() -> Driver {
    Driver::ready_with(resuming())
}

#[test]
fn only_live_subscriptions_are_restored_in_one_write_before_what_waits() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    let ended = driver.session.subscribe("b", None, "b").unwrap();
    driver.session.subscribe("c.*", Some("group"), "c").unwrap();
    driver.written();
    driver.session.unsubscribe(ended).unwrap();
    driver.written();
    assert_eq!(driver.lose_connection(), [LOST]);
    driver.publish("p", "waits");
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
    assert_eq!(driver.reconnect(), ["SUB a 2", "SUB c.* group 4", "PUB p waits"]);
    assert_eq!(driver.events_after(msg("a", 2, "x")), ["message 2: x"]);
    assert_eq!(driver.session.statistics().reconnects, 1);
}

#[test]
fn restored_subscriptions_and_waiting_messages_go_out_together() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.lose_connection();
    driver.publish("p", "waits");
    driver.forget_written();
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.receive(INFO);
    driver.events();
    driver.written();
    driver.events_after("PONG\r\n");
    let leg = driver.session.leg(Which::Current);
    let chunks: Vec<_> = leg.chunks().collect();
    assert_eq!(chunks, [&b"SUB a 2\r\n"[..], &b"PUB p 5\r\nwaits\r\n"[..]], "for one writev");
}

#[test]
fn unsubscribe_after_reconnect_counts_what_was_delivered_before() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe_after(id, 5).unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2"));
    driver.lose_connection();
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 3"]);
    driver.events_after(msg("a", 2, "3"));
    // a server counts from its SUB
    driver.session.unsubscribe_after(id, 4).unwrap();
    assert_eq!(driver.written(), ["UNSUB 2 2"]);
    driver.lose_connection();
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 1"]);
    let last = driver.events_after(msg("a", 2, "4") + &msg("a", 2, "5"));
    assert_eq!(last, ["message 2: 4", "a ended: max"]);
}

#[test]
fn a_maximum_that_is_set_or_reached_without_a_connection_counts_from_the_beginning_too() {
    let mut driver = ready();
    let three = driver.session.subscribe("a", None, "three").unwrap();
    let two = driver.session.subscribe("b", None, "two").unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1") + &msg("b", 3, "1") + &msg("b", 3, "2"));
    driver.lose_connection();
    driver.session.unsubscribe_after(three, 3).unwrap();
    driver.session.unsubscribe_after(two, 2).unwrap();
    assert_eq!(driver.events(), ["two ended: max"]);
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 2"]);
}

#[test]
fn messages_read_before_the_end_of_the_connection_are_counted() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe_after(id, 2).unwrap();
    driver.written();
    driver.receive(msg("a", 2, "1"));
    assert_eq!(driver.events(), ["message 2: 1"]);
    driver.lose_connection();
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 1"]);
}

#[test]
fn a_subscription_that_no_server_has_heard_of_keeps_its_place() {
    let mut driver = ready();
    driver.publish("a", "before");
    driver.subscribe("a", "a");
    driver.publish("a", "after");
    driver.lose_connection();
    let id = driver.session.subscribe("b", None, "b").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    let expected = ["PUB a before", "SUB a 2", "PUB a after", "SUB b 3", "UNSUB 3 1"];
    assert_eq!(driver.reconnect(), expected, "what comes before a SUB is not delivered to it");
}

#[test]
fn a_subscription_that_ends_before_any_server_hears_of_it_is_not_mentioned() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe(id).unwrap();
    driver.lose_connection();
    let known_to_nobody = driver.session.subscribe("b", None, "b").unwrap();
    driver.lose_connection();
    driver.session.unsubscribe(known_to_nobody).unwrap();
    assert!(driver.reconnect().is_empty());
}

#[test]
fn a_restore_that_was_cut_is_made_again_in_full() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    let id = driver.session.subscribe("b", None, "b").unwrap();
    driver.session.unsubscribe_after(id, 9).unwrap();
    driver.inbox_of("request");
    driver.lose_connection();
    let first = driver.reconnect();
    assert_eq!(first[1..], ["SUB a 2", "SUB b 3", "UNSUB 3 9"]);
    for written in [0, 5, 14] {
        driver.lose_connection();
        driver.forget_written();
        driver.session.handle_connecting(driver.now);
        driver.session.leg(Which::Current).handle_connected(Security::Plain);
        driver.receive(INFO);
        driver.events();
        driver.written();
        assert_eq!(driver.events_after("PONG\r\n"), ["reconnected"]);
        driver.session.leg(Which::Current).handle_written(written);
    }
    driver.lose_connection();
    assert_eq!(driver.reconnect(), first);
}

#[test]
fn the_request_inbox_is_restored_once() {
    let mut driver = ready();
    driver.inbox_of("a");
    driver.lose_connection();
    let inbox = "SUB _INBOX.";
    let written = driver.reconnect();
    assert!(written.len() == 1 && written[0].starts_with(inbox), "{written:?}");
    let inbox_of_b = driver.inbox_of("b");
    assert_eq!(driver.events_after(msg(&inbox_of_b, 1, "x")), ["reply b: x"]);

    let mut driver = ready();
    driver.request("s", "waits");
    driver.lose_connection();
    let written = driver.reconnect();
    assert!(written[0].starts_with(inbox));
    assert_eq!(written[1..], ["PUB s waits"]);
}

#[test]
fn what_was_sent_is_unknown_what_was_cut_was_never_sent_and_the_rest_is_sent_later() {
    let mut driver = ready();
    driver.inbox_of("sent");
    driver.request("s", "half");
    driver.request("s", "waits");
    driver.session.leg(Which::Current).handle_written(7);
    let expected =
        [LOST.into(), format!("no reply half: {NEVER}"), format!("no reply sent: {UNKNOWN}")];
    assert_eq!(driver.lose_connection(), expected);
    assert_eq!(driver.session.request_count(), 1);
    let written = driver.reconnect();
    assert_eq!(written[1..], ["PUB s waits"], "{written:?}");
}

#[test]
fn no_partial_on_reconnect() {
    let headers = HeaderMap::new().with("A", "1");
    for written in 1..40 {
        let mut driver = ready();
        let half = OutgoingMessage::new("half", "0123456789").reply("reply").headers(&headers);
        driver.session.publish(half).unwrap();
        driver.publish("whole", "kept");
        driver.session.leg(Which::Current).handle_written(written);
        let events = driver.lose_connection();
        let lost = "not published to half: the connection was lost while the message was being \
                    written";
        assert_eq!(events, [LOST, lost], "{written}");
        assert_eq!(driver.reconnect(), ["PUB whole kept"]);
    }
}

#[test]
fn a_large_payload_that_was_cut_is_not_continued() {
    let size = 100_000;
    for written in [1, 20, 30_000, size, size + 15] {
        let mut driver = ready();
        driver.session.publish(OutgoingMessage::new("half", vec![b'h'; size])).unwrap();
        driver.session.publish(OutgoingMessage::new("whole", vec![b'w'; size])).unwrap();
        driver.session.leg(Which::Current).handle_written(written);
        assert_eq!(driver.lose_connection().len(), 2);
        assert_eq!(driver.reconnect(), [format!("PUB whole [{size} bytes]")]);
    }
}

#[test]
fn the_half_operation_of_a_lost_connection_is_lost_with_it() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    let message = msg("a", 2, "hello");
    for cut in 1..message.len() {
        assert!(driver.events_after(&message[..cut]).is_empty());
        driver.lose_connection();
        driver.reconnect();
        assert_eq!(driver.events_after(&message), ["message 2: hello"]);
    }
}

#[test]
fn flush_waiters_fail_and_later_fences_are_passed_by_the_next_server() {
    let mut driver = ready();
    driver.session.flush(5 * SECOND, "sent");
    driver.written();
    driver.session.flush(5 * SECOND, "unsent");
    let failed = "disconnected before the server answered";
    let expected =
        [LOST.into(), format!("no fence sent: {failed}"), format!("no fence unsent: {failed}")];
    assert_eq!(driver.lose_connection(), expected);
    driver.session.flush(5 * SECOND, "later");
    assert_eq!(driver.reconnect(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence later: 0ns"]);
}

#[test]
fn without_a_connection_time_goes_on() {
    let mut driver = ready();
    driver.lose_connection();
    driver.session.flush(SECOND, "flush");
    driver.request("s", "request");
    driver.publish("p", "kept");
    assert_eq!(driver.wait(SECOND), ["no fence flush: no answer to a ping in time"]);
    assert_eq!(driver.wait(5 * SECOND), [format!("no reply request: {NEVER}")]);
    let written = driver.reconnect();
    let [inbox, kept] = &written[..] else { panic!("{written:?}") };
    assert!(inbox.starts_with("SUB _INBOX."));
    assert_eq!(kept, "PUB p kept", "nobody waits for the fence and for the request");
    assert!(driver.events_after("PONG\r\n").is_empty());
}

#[test]
fn a_request_that_timed_out_before_it_was_written_is_not_sent_by_the_next_connection() {
    let mut driver = ready();
    driver.session.request(OutgoingMessage::new("s", "late"), SECOND, "late");
    assert_eq!(driver.wait(SECOND), ["no reply late: no reply in time"]);
    driver.lose_connection();
    assert_eq!(driver.reconnect().len(), 1, "only the inbox");
}

#[test]
fn requests_may_be_kept_for_a_reply_on_the_next_connection() {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.keep_requests = true;
    }));
    let (a, _) = (driver.inbox_of("a"), driver.inbox_of("b"));
    assert_eq!(driver.lose_connection(), [LOST]);
    assert_eq!(driver.reconnect().len(), 1);
    assert_eq!(driver.events_after(msg(&a, 1, "late")), ["reply a: late"]);
    assert_eq!(driver.wait(5 * SECOND), ["no reply b: no reply in time"], "it was sent");
    driver.inbox_of("c");
    driver.lose_connection();
    driver.session.close();
    assert_eq!(driver.events(), [format!("no reply c: {UNKNOWN}"), "closed".into()]);
}

#[test]
fn drain_sub_not_resent_on_reconnect() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.subscribe("b", "b");
    driver.session.drain_subscription(id, 5 * SECOND, "drain");
    driver.written();
    let failed = "no fence drain: disconnected before the server answered";
    assert_eq!(driver.lose_connection(), [LOST, "a ended: disconnected", failed]);
    assert_eq!(driver.reconnect(), ["SUB b 3"]);
}

#[test]
fn a_drain_without_a_connection_waits_for_the_next_and_loses_nothing() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.lose_connection();
    driver.publish("p", "kept");
    driver.session.drain(driver.now);
    assert!(driver.events().is_empty());
    assert_eq!(driver.reconnect(), ["SUB a 2", "PUB p kept", "UNSUB 2", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["a ended: drained"]);
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["disconnected: drained", "closed"]);
}

#[test]
fn a_drain_goes_on_after_a_lost_connection_until_its_time_is_up() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.session.drain(driver.now);
    driver.written();
    driver.publish("p", "an answer");
    assert_eq!(driver.lose_connection(), [LOST, "a ended: disconnected"]);
    assert_eq!(driver.reconnect(), ["PUB p an answer", "PING"]);
    driver.lose_connection();
    driver.publish("p", "too late");
    let expected = ["1 never sent", "closed"];
    assert_eq!(driver.wait(30 * SECOND), expected, "the drain's deadline is the first one's");
}

#[test]
fn the_buffer_for_the_time_without_a_connection_has_a_limit_of_its_own() {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.max_unconnected = 1000;
        config.low_water = 10_000;
    }));
    driver.publish("a", &"x".repeat(2000));
    driver.written();
    driver.lose_connection();
    driver.publish("a", &"x".repeat(900));
    let error = driver.session.publish(OutgoingMessage::new("a", vec![b'y'; 200])).unwrap_err();
    let CommandError::BufferFull { payload: Payload::Owned(payload), limit: 1000 } = error else {
        panic!("{error:?}")
    };
    assert_eq!(payload.len(), 200);
    driver.subscribe(&"b".repeat(200), "finds no room, and is restored");
    assert!(driver.events().is_empty(), "not writable yet");
    driver.forget_written();
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.receive(INFO);
    assert!(driver.events().is_empty());
    driver.written();
    assert_eq!(driver.events_after("PONG\r\n"), ["reconnected", "writable"]);
    assert_eq!(
        driver.written(),
        [format!("SUB {} 2", "b".repeat(200)), "PUB a [900 bytes]".into()]
    );
}

#[test]
fn the_buffer_for_the_time_without_a_connection_can_be_turned_off() {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.max_unconnected = 0;
    }));
    driver.lose_connection();
    let error = driver.session.publish(OutgoingMessage::new("a", vec![b'y'; 2])).unwrap_err();
    assert_eq!(error, CommandError::NotConnected { payload: Payload::Owned(vec![b'y'; 2]) });
    driver.request("s", "request");
    driver.session.flush(SECOND, "flush");
    let refused = "not connected, and nothing is buffered meanwhile";
    let expected = [format!("no reply request: {refused}"), format!("no fence flush: {refused}")];
    assert_eq!(driver.events(), expected);
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe_after(id, 7).unwrap();
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 7"], "a subscription needs no buffer");
}

#[test]
fn what_waits_is_checked_against_the_limits_of_the_next_server() {
    let mut driver = ready();
    let headers = HeaderMap::new().with("A", "1");
    driver.publish("large", &"x".repeat(50));
    driver.lose_connection();
    driver.session.publish(OutgoingMessage::new("headers", "").headers(&headers)).unwrap();
    driver.publish("small", "x");
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.forget_written();
    driver.receive("INFO {\"max_payload\":20}\r\n");
    driver.events();
    driver.written();
    let expected = [
        "not published to large: message of 50 bytes is larger than the server's max_payload of \
         20 bytes",
        "not published to headers: the server does not support headers",
        "reconnected",
    ];
    assert_eq!(driver.events_after("PONG\r\n"), expected);
    assert_eq!(driver.written(), ["PUB small x"]);
}

#[test]
fn a_failed_attempt_changes_nothing() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.lose_connection();
    driver.publish("p", "kept");
    for reason in [ServerClosed, DisconnectReason::ConnectTimeout] {
        driver.session.handle_connecting(driver.now);
        driver.session.leg(Which::Current).handle_connected(Security::Plain);
        driver.receive("INFO {\"max_pay");
        driver.session.leg(Which::Current).handle_disconnected(reason.clone());
        assert_eq!(driver.events(), [format!("not connected: {reason}")]);
    }
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    assert_eq!(driver.wait(5 * SECOND), ["not connected: connect timed out"]);
    assert_eq!(driver.reconnect(), ["SUB a 2", "PUB p kept"]);
}

#[test]
fn giving_up_tells_everybody_once() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.lose_connection();
    driver.publish("p", "1");
    driver.publish("p", "2");
    driver.request("s", "request");
    driver.session.flush(SECOND, "flush");
    driver.session.give_up(DisconnectReason::NoServers);
    let expected = [
        "2 never sent".into(),
        format!("no reply request: {NEVER}"),
        "no fence flush: disconnected before the server answered".into(),
        "a ended: closed".into(),
        "closed".into(),
    ];
    assert_eq!(driver.events(), expected);
    driver.session.give_up(ServerClosed);
    assert!(driver.events().is_empty());
    assert_eq!(driver.session.phase(), Phase::Closed);
}

#[test]
fn a_subscription_drained_without_a_connection_is_not_restored() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.written();
    driver.lose_connection();
    driver.session.drain_subscription(id, 5 * SECOND, "drain");
    let written = driver.reconnect();
    let events = driver.events_after("PONG\r\n");
    assert_eq!(events, ["a ended: drained", "fence drain: 0ns"]);
    let unsub = driver.written();
    let all = [written, unsub].concat();
    assert!(
        !all.iter().any(|w| w.starts_with("SUB")) || all.iter().any(|w| w.starts_with("UNSUB")),
        "{all:?}"
    );
}

#[test]
fn a_maximum_set_while_paused_keeps_what_came_before_what_was_dropped() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.set_pending_limits(id, PendingLimits::new().messages(1).bytes(100)).unwrap();
    driver.session.pause(id).unwrap();
    driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2") + &msg("a", 2, "3"));
    driver.session.unsubscribe_after(id, 2).unwrap();
    let mut events = driver.events();
    let _ = driver.session.resume(id);
    events.extend(driver.events());
    assert_eq!(events, ["message 2: 1", "a ended: max"]);
}

#[test]
fn a_transport_that_opens_after_the_attempt_timed_out_comes_too_late() {
    let mut driver = ready();
    driver.lose_connection();
    driver.session.handle_connecting(driver.now);
    driver.now += 5 * SECOND;
    driver.session.handle_timeout(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain); // as Inner::begin_turn does
    assert_eq!(driver.events().len(), 1);
    assert_eq!(driver.session.phase(), Phase::Connecting);
}

#[test]
fn a_drain_that_was_almost_complete_begins_again_on_the_next_connection() {
    let mut driver = ready();
    driver.session.drain(driver.now);
    assert_eq!(driver.written(), ["PING"]);
    driver.events_after("PONG\r\n");
    assert_eq!(driver.written(), ["PING"], "the last fence");
    let refused = driver.session.publish(OutgoingMessage::new("p", ""));
    assert_eq!(refused, Err(CommandError::Draining));
    driver.lose_connection();
    driver.publish("p", "while nothing is being sent");
    assert_eq!(driver.reconnect(), ["PUB p while nothing is being sent", "PING"]);
    driver.events_after("PONG\r\n");
    assert_eq!(driver.written(), ["PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["disconnected: drained", "closed"]);
}
