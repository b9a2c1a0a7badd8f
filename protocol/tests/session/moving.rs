//! Moving to another server while this one still serves: nothing is lost, nothing comes twice.

use crate::support::{Driver, INFO, SECOND, config, msg, resuming};
use evnats_protocol::DisconnectReason::ServerClosed;
use evnats_protocol::{OutgoingMessage, Phase, Security, Which};
use std::time::Duration;

fn ready() -> Driver {
    Driver::ready_with(resuming())
}

impl Driver {
    /// The next server has taken the connection, and knows what it has to know. Returns what was
    /// written to it after the handshake.
    #[track_caller]
    fn join(&mut self) -> Vec<String> {
        self.session.begin_move(self.now);
        let mut next = self.session.leg(Which::Next);
        assert_eq!(next.phase(), Phase::Connecting);
        next.handle_connected(Security::Plain);
        assert!(self.next_receives(INFO).is_empty());
        assert_eq!(self.next_written(), ["CONNECT", "PING"]);
        assert!(self.next_receives("PONG\r\n").is_empty());
        self.next_written()
    }

    /// The time of the overlap is over. Returns what is written to the old server.
    #[track_caller]
    fn leave(&mut self) -> Vec<String> {
        assert!(self.next_receives("PONG\r\n").is_empty());
        assert!(self.wait(SECOND).is_empty());
        self.written()
    }
}

#[test]
fn lame_duck_move_subscribes_there_then_unsubscribes_here_and_a_fence_ends_it() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.session.subscribe("b", Some("q"), "b").unwrap();
    driver.inbox_of("request");
    let joined = driver.join();
    assert!(joined[0].starts_with("SUB _INBOX."));
    assert_eq!(joined[1..], ["SUB a 2", "SUB b q 3", "PING"]);
    assert!(driver.written().is_empty(), "the old server is not told yet");
    assert_eq!(driver.leave(), ["UNSUB 2", "UNSUB 3", "PING"]);
    assert_eq!(driver.events_after(msg("a", 2, "last")), ["message 2: last"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert!(!driver.session.is_moving());
    assert_eq!(driver.events_after(msg("a", 2, "first")), ["message 2: first"]);
    assert_eq!(driver.session.phase(), Phase::Ready);
    assert_eq!(driver.session.statistics().reconnects, 1);
    assert_eq!(driver.session.request_count(), 1, "requests do not notice");
}

#[test]
fn what_both_servers_deliver_is_delivered_once_and_in_order() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    assert_eq!(driver.events_after(msg("a", 2, "1")), ["message 2: 1"]);
    let overlap = msg("a", 2, "2") + &msg("a", 2, "2") + &msg("a", 2, "3");
    assert!(driver.next_receives(&overlap).is_empty(), "it waits");
    driver.leave();
    let expected = ["message 2: 2", "message 2: 2", "message 2: 3"];
    assert_eq!(driver.events_after(&overlap), expected);
    driver.next_receives(msg("a", 2, "4"));
    assert_eq!(driver.events_after("PONG\r\n"), ["moved", "message 2: 4"]);
    assert_eq!(driver.session.statistics().duplicates, 3);
    assert_eq!(
        driver.events_after(msg("a", 2, "3")),
        ["message 2: 3"],
        "another one with this text"
    );
    driver.wait(3 * SECOND);
    assert_eq!(driver.session.next_deadline(), Some(driver.now + 116 * SECOND), "only the ping's");
}

#[test]
fn the_copy_may_come_after_the_move() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    driver.leave();
    driver.events_after(msg("a", 2, "1"));
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert_eq!(driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2")), ["message 2: 2"]);
}

#[test]
fn members_of_queue_groups_get_what_either_server_gives_them() {
    let mut driver = ready();
    driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.join();
    assert_eq!(driver.events_after(msg("a", 2, "x")).len(), 1);
    assert_eq!(driver.next_receives(msg("a", 2, "x")), ["message 2: x"], "nobody else gets it");
    driver.leave();
    assert_eq!(driver.next_receives(msg("a", 2, "y")), ["message 2: y"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
}

#[test]
fn replies_may_come_from_either_server_and_only_one_counts() {
    let mut driver = ready();
    let (a, b) = (driver.inbox_of("a"), driver.inbox_of("b"));
    driver.join();
    assert_eq!(driver.events_after(msg(&a, 1, "x")), ["reply a: x"]);
    let replies = msg(&a, 1, "x") + &msg(&b, 1, "y");
    assert_eq!(driver.next_receives(replies), ["reply b: y"]);
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
}

#[test]
fn commands_during_the_move_are_known_where_they_have_to_be() {
    let mut driver = ready();
    let gone = driver.session.subscribe("gone", None, "gone").unwrap();
    driver.written();
    driver.join();
    driver.subscribe("new", "new");
    driver.session.unsubscribe(gone).unwrap();
    assert_eq!(driver.next_written(), ["SUB new 3", "UNSUB 2"]);
    assert_eq!(driver.written(), ["SUB new 3", "UNSUB 2"]);
    driver.leave();
    driver.subscribe("later", "later");
    driver.publish("p", "later");
    driver.session.flush(5 * SECOND, "flush");
    assert!(driver.written().is_empty(), "not to the old server any more");
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert_eq!(driver.written(), ["SUB later 16777218", "PUB p later", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["fence flush: 0ns"]);
}

#[test]
fn fences_before_the_leave_are_passed_by_the_old_server() {
    let mut driver = ready();
    driver.join();
    driver.publish("p", "early");
    driver.session.flush(5 * SECOND, "flush");
    assert_eq!(driver.leave(), ["PUB p early", "PING", "PING"]);
    assert_eq!(driver.events_after("PONG\r\nPONG\r\n"), ["fence flush: 1s", "moved"]);
}

#[test]
fn maximums_stay_exact() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe_after(id, 4).unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1"));
    assert_eq!(driver.join(), ["SUB a 2", "UNSUB 2 3", "PING"]);
    driver.events_after(msg("a", 2, "2"));
    driver.next_receives(msg("a", 2, "2") + &msg("a", 2, "3"));
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved", "message 2: 3"]);
    let last = driver.events_after(msg("a", 2, "4") + &msg("a", 2, "5"));
    assert_eq!(last, ["message 2: 4", "a ended: max"]);
    assert_eq!(driver.written(), ["UNSUB 2"], "its server's count may be another one");
}

#[test]
fn a_move_that_fails_leaves_everything_as_it_was() {
    let fails: [fn(&mut Driver) -> Vec<String>; 6] = [
        |driver| driver.next_receives("-ERR 'Authorization Violation'\r\n"),
        |driver| driver.next_receives("garbage\r\n"),
        |driver| driver.wait(5 * SECOND),
        |driver| {
            driver.session.leg(Which::Next).handle_disconnected(ServerClosed);
            driver.events()
        },
        |driver| driver.next_receives("INFO {\"max_payload\":10,\"headers\":true}\r\n"),
        |driver| driver.next_receives("INFO {\"max_payload\":1048576}\r\n"),
    ];
    let reasons = [
        "server error: Authorization Violation",
        "protocol violation by the server: unknown operation \"garbage\"",
        "connect timed out",
        "the server closed the connection",
        "the next server accepts only messages of up to 10 bytes, the current one larger ones",
        "the next server does not support headers, as the current one does",
    ];
    for (index, fail) in fails.into_iter().enumerate() {
        let mut driver = ready();
        driver.subscribe("a", "a");
        driver.written();
        assert!(driver.session.begin_move(driver.now));
        driver.session.leg(Which::Next).handle_connected(Security::Plain);
        let mut events = fail(&mut driver);
        if index >= 4 {
            events = driver.next_receives("PONG\r\n");
        }
        let reason = reasons[index];
        assert_eq!(events, [format!("not moved: {reason}")]);
        assert!(!driver.session.is_moving());
        assert_eq!(driver.events_after(msg("a", 2, "x")), ["message 2: x"]);
        assert_eq!(driver.join(), ["SUB a 2", "PING"], "it can be tried again");
    }
}

#[test]
fn losing_the_old_server_in_the_middle_is_a_lost_connection() {
    for leaves in [false, true] {
        let mut driver = ready();
        driver.subscribe("a", "a");
        driver.written();
        driver.join();
        if leaves {
            driver.leave();
        }
        driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
        assert_eq!(driver.events(), ["disconnected: the server closed the connection"]);
        assert!(!driver.session.is_moving());
        driver.forget_written();
        driver.publish("p", "kept");
        driver.session.handle_connecting(driver.now);
        driver.session.leg(Which::Current).handle_connected(Security::Plain);
        driver.events_after(INFO);
        driver.written();
        assert_eq!(driver.events_after("PONG\r\n"), ["reconnected"]);
        assert_eq!(driver.written(), ["SUB a 2", "PUB p kept"]);
        assert_eq!(
            driver.events_after(msg("a", 2, "x")),
            ["message 2: x"],
            "nothing is taken for a copy"
        );
    }
}

#[test]
fn losing_the_next_server_after_the_old_one_was_left_is_a_lost_connection() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.join();
    driver.leave();
    driver.session.leg(Which::Next).handle_disconnected(ServerClosed);
    assert_eq!(driver.events(), ["disconnected: the server closed the connection"]);
    assert_eq!(driver.session.phase(), Phase::Connecting);
}

#[test]
fn a_drain_stops_the_move_or_happens_at_the_next_server() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.session.begin_move(driver.now);
    driver.session.drain(driver.now);
    assert_eq!(driver.events(), ["not moved: closed"]);
    assert_eq!(driver.written(), ["UNSUB 2", "PING"]);

    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.join();
    driver.leave();
    driver.session.drain(driver.now);
    driver.session.publish(OutgoingMessage::new("p", "last")).unwrap();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert_eq!(driver.written(), ["PUB p last", "UNSUB 2", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["a ended: drained"]);
}

#[test]
fn a_next_server_that_is_about_to_shut_down_too_is_reported() {
    let mut driver = ready();
    driver.join();
    driver.next_receives("INFO {\"ldm\":true,\"max_payload\":9}\r\n");
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved", "lame duck"]);
}

#[test]
fn there_is_no_move_without_a_connection_or_at_its_end() {
    let mut driver = ready();
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    driver.session.begin_move(driver.now);
    assert!(!driver.session.is_moving());
    let mut driver = ready();
    driver.session.drain(driver.now);
    driver.session.begin_move(driver.now);
    assert!(!driver.session.is_moving());
}

#[test]
fn a_maximum_set_after_a_failed_move_is_what_the_old_server_counts() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2") + &msg("a", 2, "3"));
    driver.join();
    driver.session.leg(Which::Next).handle_disconnected(ServerClosed);
    driver.events();
    driver.session.unsubscribe_after(id, 5).unwrap();
    assert_eq!(driver.written(), ["UNSUB 2 5"], "the old server counts from its SUB");
}

#[test]
fn a_maximum_set_during_a_move_is_sent_to_each_server_as_it_counts() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2") + &msg("a", 2, "3"));
    driver.join();
    driver.session.unsubscribe_after(id, 5).unwrap();
    assert_eq!(driver.next_written(), ["UNSUB 2 2"]);
    assert_eq!(driver.written(), ["UNSUB 2 5"], "the old server counts from its SUB");
}

#[test]
fn a_subscription_made_in_the_overlap_survives_the_loss_of_the_old_server() {
    let mut driver = ready();
    driver.join();
    assert!(driver.next_receives("PONG\r\n").is_empty());
    driver.subscribe("new", "new"); // the socket takes nothing
    assert!(driver.wait(SECOND).is_empty()); // leave
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    driver.events();
    driver.forget_written();
    driver.session.handle_connecting(driver.now);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.events_after(INFO);
    driver.written();
    driver.events_after("PONG\r\n");
    assert_eq!(driver.written(), ["SUB new 2"]);
}

#[test]
fn a_next_server_that_does_not_answer_the_join_is_given_up() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    let mut events = Vec::new();
    for n in 0..600 {
        driver.receive("PONG\r\n");
        driver.receive(msg("a", 2, &n.to_string()));
        driver.events();
        driver.written();
        events.extend(driver.wait(SECOND));
    }
    assert!(!driver.session.is_moving(), "after 10 minutes {events:?}");
}

#[test]
fn a_next_server_that_floods_with_pings_does_not_make_its_buffer_grow() {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.max_buffered = 1000;
    }));
    driver.join();
    let pings = "PING\r\n".repeat(100_000);
    driver.next_receives(&pings);
    let waiting = driver.session.leg(Which::Next).writable_len();
    assert!(waiting < 2000, "{waiting}");
}

#[test]
fn an_equal_message_after_the_move_is_not_taken_for_a_copy() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.join();
    // was on its way before the next server read the SUB: there is no copy
    assert_eq!(driver.events_after(msg("a", 2, "tick")), ["message 2: tick"]);
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    driver.wait(SECOND / 2);
    assert_eq!(
        driver.events_after(msg("a", 2, "tick")),
        ["message 2: tick"],
        "half a second later"
    );
}

#[test]
fn a_move_may_follow_right_after_another() {
    let mut driver = ready();
    driver.join();
    driver.next_receives("INFO {\"ldm\":true,\"max_payload\":1048576}\r\n");
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved", "lame duck"]);
    driver.session.begin_move(driver.now);
    assert!(driver.session.is_moving(), "as the driver does on LameDuck");
}

#[test]
fn a_subscription_drained_in_the_overlap_gets_what_the_next_server_had_sent() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.written();
    driver.join();
    driver.next_receives("PONG\r\n");
    driver.session.drain_subscription(id, SECOND, "drain");
    driver.written();
    let mut events = driver.events_after("PONG\r\n");
    // the next server had sent it before it read the UNSUB
    events.extend(driver.next_receives(msg("a", 2, "x")));
    assert!(events.contains(&"message 2: x".to_owned()), "{events:?}");
}

#[test]
fn a_drain_in_the_overlap_waits_for_the_end_of_the_move() {
    let mut driver = ready();
    driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.written();
    driver.join();
    driver.next_receives("PONG\r\n");
    let now = driver.now;
    driver.session.leg(Which::Next).handle_bytes(msg("a", 2, "x").as_bytes(), now);
    driver.session.drain(driver.now);
    driver.written();
    let events = driver.events_after("PONG\r\n");
    assert!(events.contains(&"message 2: x".to_owned()), "{events:?}");
}

#[test]
fn a_maximum_reached_while_paused_after_a_move_is_sent_to_the_server() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.session.unsubscribe_after(id, 2).unwrap();
    driver.written();
    driver.join();
    driver.events_after(msg("a", 2, "1")); // by the old one, the next does not count it
    driver.leave();
    driver.events_after("PONG\r\n");
    driver.session.pause(id).unwrap();
    driver.events_after(msg("a", 2, "2"));
    let mut w = driver.written();
    driver.session.resume(id).unwrap();
    assert_eq!(driver.events(), ["message 2: 2", "a ended: max"]);
    w.extend(driver.written());
    assert_eq!(w, ["UNSUB 2"]);
}

#[test]
fn a_maximum_reached_in_the_overlap_is_sent_to_the_next_server() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", Some("q"), "a").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.written();
    driver.join();
    assert_eq!(driver.events_after(msg("a", 2, "1")), ["message 2: 1", "a ended: max"]);
    let next = driver.next_written();
    assert_eq!(next, ["UNSUB 2"], "or it takes a message from the group");
}

#[test]
fn copies_are_known_for_a_while_after_a_move_that_took_long() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    driver.leave();
    driver.wait(3 * SECOND); // the old server is slow
    assert_eq!(driver.events_after(msg("a", 2, "1")), ["message 2: 1"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    driver.wait(SECOND / 100);
    assert!(driver.events_after(msg("a", 2, "1")).is_empty(), "the copy");
}

#[test]
fn an_old_server_that_does_not_answer_the_leave_is_given_up() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    driver.leave();
    let stale = "disconnected: stale connection: the server stopped answering pings";
    assert_eq!(driver.wait(5 * SECOND), [stale]);
}

#[test]
fn a_half_written_frame_is_not_continued_at_the_next_server() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.join();
    driver.next_receives("PONG\r\n");
    driver.publish("p", "0123456789\r\nSUB > 99\r\n");
    driver.session.leg(Which::Current).handle_written(19);
    assert!(driver.wait(SECOND).is_empty(), "it leaves");
    assert!(driver.events_after("PONG\r\n").is_empty(), "nobody has asked");
    let mut leg = driver.session.leg(Which::Current);
    let rest: Vec<u8> = leg.chunks().flatten().copied().collect();
    assert!(rest.starts_with(b"9\r\nSUB > 99\r\n"), "{}", String::from_utf8_lossy(&rest));
    leg.handle_written(rest.len());
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
}

#[test]
fn what_waits_for_the_end_of_a_move_is_limited() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    let empty = msg("a", 2, "").repeat(1000);
    let mut rounds = 0;
    let mut events = Vec::new();
    while driver.session.is_moving() {
        events = driver.next_receives(&empty);
        rounds += 1;
        assert!(rounds < 1000, "a million messages wait");
    }
    let reason = "more than 16777216 bytes have arrived during the move to another server";
    assert_eq!(events, [format!("not moved: {reason}")]);
}

#[test]
fn the_old_server_is_left_as_soon_as_what_came_before_the_join_is_no_copy_of_what_comes_after() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    // on its way before the next server read the SUB: that one has no copy of it
    assert_eq!(driver.events_after(msg("a", 2, "tick")), ["message 2: tick"]);
    driver.join();
    assert_eq!(driver.events_after(msg("a", 2, "tick")), ["message 2: tick"]);
    driver.next_receives("PONG\r\n");
    let overlap = driver.session.next_deadline().unwrap() - driver.now;
    driver.wait(overlap - Duration::from_millis(1));
    assert!(driver.written().is_empty(), "the cluster may not have heard of it");
    driver.wait(Duration::from_millis(1));
    assert_eq!(driver.written(), ["UNSUB 2", "PING"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    assert_eq!(driver.events_after(msg("a", 2, "tick")), ["message 2: tick"], "another one");
}

#[test]
fn of_equal_messages_just_before_the_leave_none_is_taken_for_a_copy() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.written();
    driver.join();
    driver.next_receives("PONG\r\n");
    driver.wait(Duration::from_millis(749));
    let twice = msg("a", 2, "x").repeat(2);
    assert_eq!(driver.events_after(twice), ["message 2: x", "message 2: x"]);
    driver.wait(Duration::from_millis(1));
    assert_eq!(driver.written(), ["UNSUB 2", "PING"]);
    assert!(driver.next_receives(msg("a", 2, "x")).is_empty(), "it waits");
    assert_eq!(driver.events_after(msg("a", 2, "x")), ["message 2: x"], "perhaps the same");
    let expected = ["moved", "message 2: x"];
    assert_eq!(driver.events_after("PONG\r\n"), expected, "perhaps another one");
}

#[test]
fn of_equal_messages_the_latest_is_the_one_that_has_a_copy() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    let x = msg("a", 2, "x");
    // before the next server read the SUB: that one has no copy of it
    assert_eq!(driver.events_after(&x).len(), 1);
    driver.wait(Duration::from_millis(300));
    assert_eq!(driver.events_after(&x).len(), 1);
    driver.next_receives(&x);
    assert_eq!(driver.session.statistics().duplicates, 1);
    driver.wait(Duration::from_millis(300));
    driver.next_receives(&x);
    assert_eq!(driver.session.statistics().duplicates, 1, "too late for the first, so a third one");
}

#[test]
fn a_maximum_set_after_a_move_is_what_the_new_server_counts() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.written();
    driver.events_after(msg("a", 2, "1") + &msg("a", 2, "2") + &msg("a", 2, "3"));
    driver.join();
    driver.leave();
    assert_eq!(driver.events_after("PONG\r\n"), ["moved"]);
    driver.session.unsubscribe_after(id, 5).unwrap();
    assert_eq!(driver.written(), ["UNSUB 2 2"], "it counts from its SUB");
    driver.lose_connection();
    assert_eq!(driver.reconnect(), ["SUB a 2", "UNSUB 2 2"], "and so does the one after it");
}

#[test]
fn a_server_that_was_not_left_knows_when_a_maximum_is_reached() {
    let mut driver = ready();
    let id = driver.session.subscribe("a", None, "a").unwrap();
    driver.session.unsubscribe_after(id, 1).unwrap();
    driver.written();
    driver.join();
    driver.session.leg(Which::Next).handle_disconnected(ServerClosed);
    assert_eq!(driver.events(), ["not moved: the server closed the connection"]);
    assert_eq!(driver.events_after(msg("a", 2, "1")), ["message 2: 1", "a ended: max"]);
    assert!(driver.written().is_empty());
}

#[test]
fn what_the_next_server_has_taken_is_not_counted_for_the_current_one() {
    let mut driver = ready();
    driver.join();
    driver.publish("p", "waits");
    driver.session.leg(Which::Next).handle_written(1000);
    assert_eq!(driver.written(), ["PUB p waits"]);
}

#[test]
fn a_subscription_drained_during_a_move_ends_with_the_connection() {
    for leaves in [false, true] {
        let mut driver = ready();
        let id = driver.session.subscribe("a", None, "a").unwrap();
        driver.written();
        driver.join();
        if leaves {
            driver.leave();
        }
        driver.session.drain_subscription(id, 5 * SECOND, "drain");
        driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
        let expected = [
            "disconnected: the server closed the connection",
            "a ended: disconnected",
            "no fence drain: disconnected before the server answered",
        ];
        assert_eq!(driver.events(), expected);
        assert_eq!(driver.session.subscription_count(), 0);
    }
}

#[test]
fn a_leg_that_does_not_exist_does_nothing() {
    let mut driver = ready();
    let now = driver.now;
    let mut next = driver.session.leg(Which::Next);
    assert_eq!(next.phase(), Phase::Closed);
    next.handle_connected(Security::Plain);
    next.handle_secured();
    next.handle_bytes(b"PING\r\n", now);
    next.handle_disconnected(ServerClosed);
    assert!(next.read_room().is_empty() && !next.wants_read());
    next.handle_read(10, now);
    next.handle_written(10);
    assert_eq!((next.chunks().count(), next.writable_len()), (0, 0));
    assert!(next.server_info().is_none());
    assert_eq!(driver.events(), [] as [&str; 0]);
    assert_eq!(driver.session.phase(), Phase::Ready);
}

#[test]
fn the_next_server_is_read_up_to_a_limit_while_the_old_one_is_being_left() {
    let mut driver = ready();
    driver.subscribe("a", "a");
    driver.join();
    driver.leave();
    let empty = msg("a", 2, "").repeat(1000);
    let mut rounds = 0;
    while driver.session.leg(Which::Next).wants_read() {
        assert!(driver.next_receives(&empty).is_empty(), "they wait");
        rounds += 1;
        assert!(rounds < 1000, "a million messages wait");
    }
    assert!(driver.session.is_moving(), "there is no way back");
    let events = driver.events_after("PONG\r\n");
    assert_eq!((events.len(), &events[0][..]), (1 + 1000 * rounds, "moved"), "none is lost");
    assert!(driver.session.leg(Which::Current).wants_read());
}

#[test]
fn a_move_begins_once_and_only_on_a_connection() {
    let mut driver = ready();
    assert!(driver.session.begin_move(driver.now) && driver.session.is_moving());
    assert!(!driver.session.begin_move(driver.now), "one at a time");
    driver.session.leg(Which::Next).handle_disconnected(ServerClosed);
    assert_eq!(driver.events(), ["not moved: the server closed the connection"]);
    driver.lose_connection();
    assert!(!driver.session.begin_move(driver.now) && !driver.session.is_moving());
}

#[test]
fn the_next_server_has_less_time_to_answer_if_other_addresses_wait() {
    let mut driver = ready();
    driver.session.begin_move(driver.now);
    let mut next = driver.session.leg(Which::Next);
    next.limit_connecting(driver.now + SECOND);
    next.handle_connected(Security::Plain);
    assert_eq!(driver.wait(SECOND), ["not moved: connect timed out"]);
    assert!(!driver.session.is_moving());
    // once the handshake is done, the limit is none
    driver.session.begin_move(driver.now);
    let mut next = driver.session.leg(Which::Next);
    next.limit_connecting(driver.now + SECOND);
    next.handle_connected(Security::Plain);
    driver.next_receives(INFO);
    driver.next_receives("PONG\r\n");
    assert!(driver.wait(2 * SECOND).is_empty());
    assert!(driver.session.is_moving());
}
