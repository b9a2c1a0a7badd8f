//! From the open transport to `Connected`, and everything that can come instead.

use crate::support::{Driver, INFO, SECOND, config, connect_info, msg, resuming};
use evnats_protocol::{ClientOp, OutgoingMessage, Phase, Security, SessionConfig, Which};
use std::time::Duration;

#[test]
fn connect_and_ping_go_out_in_one_write_and_the_pong_completes_the_handshake() {
    let mut driver = Driver::connected();
    assert_eq!(driver.session.phase(), Phase::AwaitingInfo);
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0, "the server speaks first");
    assert!(driver.events_after(INFO).is_empty());
    assert_eq!(driver.session.leg(Which::Current).chunks().count(), 1);
    let [ClientOp::Connect(connect), ClientOp::Ping] = &driver.written_ops()[..] else { panic!() };
    assert!(connect.headers && connect.no_responders && connect.echo);
    assert!(!connect.verbose && !connect.pedantic);
    assert_eq!(driver.session.phase(), Phase::AwaitingPong);
    assert_eq!(driver.events_after("PONG\r\n"), ["connected"]);
    assert_eq!(driver.session.phase(), Phase::Ready);
}

#[test]
fn the_handshake_may_come_in_single_bytes() {
    let mut driver = Driver::connected();
    for byte in INFO.bytes() {
        assert!(driver.events_after([byte]).is_empty());
    }
    assert_eq!(driver.written(), ["CONNECT", "PING"]);
    let events: Vec<_> = b"PONG\r\n".iter().flat_map(|byte| driver.events_after([*byte])).collect();
    assert_eq!(events, ["connected"]);
}

#[test]
fn bytes_read_before_the_transport_is_reported_open_wait() {
    let mut driver = Driver::new(SessionConfig::default());
    assert!(driver.events_after(INFO).is_empty());
    assert_eq!(driver.session.phase(), Phase::Connecting);
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    assert!(driver.events().is_empty());
    assert_eq!(driver.session.phase(), Phase::AwaitingPong);
}

#[test]
fn commands_before_the_handshake_are_written_after_it_in_order() {
    let mut driver = Driver::connected();
    driver.subscribe("a", "sub");
    driver.publish("a", "1");
    driver.session.flush(SECOND, "flush");
    driver.publish("a", "2");
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
    assert!(driver.session.buffered_len() > 0);
    driver.shake_hands(INFO);
    assert_eq!(driver.written(), ["SUB a 2", "PUB a 1", "PING", "PUB a 2"]);
}

#[test]
fn info_glued_to_the_first_pong_is_processed() {
    let mut driver = Driver::connected();
    driver.receive(INFO);
    assert!(driver.events().is_empty());
    driver.written();
    let glued = "PONG\r\nINFO {\"max_payload\":7,\"connect_urls\":[\"a:1\"]}\r\n";
    assert_eq!(driver.events_after(glued), ["connected", "info changed"]);
    let info = driver.session.server_info().unwrap();
    assert_eq!((info.max_payload, &info.connect_urls[..]), (7, &["a:1".to_string()][..]));
}

#[test]
fn a_second_info_right_after_the_first_pong_is_no_second_handshake() {
    let mut driver = Driver::ready();
    assert_eq!(driver.events_after(INFO), ["info changed"]);
    assert!(driver.written().is_empty(), "no second CONNECT");
}

#[test]
fn an_info_between_connect_and_pong_changes_the_info() {
    let mut driver = Driver::connected();
    driver.receive(INFO);
    driver.events();
    assert_eq!(driver.written(), ["CONNECT", "PING"]);
    assert_eq!(driver.events_after(INFO), ["info changed"]);
    assert!(driver.written().is_empty());
    assert_eq!(driver.events_after("PONG\r\n"), ["connected"]);
}

#[test]
fn an_error_instead_of_the_pong_ends_the_attempt() {
    let mut driver = Driver::connected();
    driver.receive(INFO);
    driver.events();
    driver.written();
    let events = driver.events_after("-ERR 'Authorization Violation'\r\n");
    assert_eq!(events, ["not connected: server error: Authorization Violation", "closed"]);
}

#[test]
fn an_error_instead_of_the_info_ends_the_attempt() {
    let events = Driver::connected().events_after("-ERR 'maximum connections exceeded'\r\n");
    assert_eq!(events, ["not connected: server error: maximum connections exceeded", "closed"]);
}

#[test]
fn a_garbage_info_is_an_error_and_no_hang() {
    for garbage in ["INFO {\"max_payload\":\r\n", "INFO\r\n", "INFO null\r\n", "INFO []x\r\n"] {
        let events = Driver::connected().events_after(garbage);
        let [reason, closed] = &events[..] else { panic!("{events:?}") };
        let expected = "not connected: protocol violation by the server: malformed INFO document";
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(closed, "closed");
    }
    let events = Driver::connected().events_after("HTTP/1.1 400 Bad Request\r\n");
    let reason = "not connected: protocol violation by the server: unknown operation \"HTTP/1.1\"";
    assert_eq!(events, [reason, "closed"]);
}

#[test]
fn the_connect_timeout_covers_a_missing_transport() {
    let mut driver = Driver::new(SessionConfig::default());
    assert_eq!(driver.session.next_deadline(), Some(driver.now + 5 * SECOND));
    assert_eq!(driver.wait(5 * SECOND), ["not connected: connect timed out", "closed"]);
}

#[test]
fn handshake_timeout_no_info() {
    let mut driver = Driver::connected();
    assert!(driver.wait(5 * SECOND - SECOND / 1000).is_empty());
    assert_eq!(driver.wait(SECOND / 1000), ["not connected: connect timed out", "closed"]);
    assert_eq!(driver.session.next_deadline(), None);
}

#[test]
fn handshake_timeout_no_pong() {
    let mut driver = Driver::connected();
    driver.wait(3 * SECOND);
    assert!(driver.events_after(INFO).is_empty());
    assert_eq!(driver.written(), ["CONNECT", "PING"]);
    assert_eq!(driver.wait(2 * SECOND), ["not connected: connect timed out", "closed"]);
}

#[test]
fn an_address_has_less_than_the_connect_timeout_if_others_wait() {
    let mut driver = Driver::new(resuming());
    let begin = driver.now;
    driver.session.handle_connecting(begin);
    let mut leg = driver.session.leg(Which::Current);
    leg.limit_connecting(begin + SECOND);
    leg.handle_connected(Security::Plain);
    // a limit that is further away is none
    leg.limit_connecting(begin + 60 * SECOND);
    assert_eq!(driver.session.next_deadline(), Some(begin + SECOND));
    assert_eq!(driver.wait(SECOND), ["not connected: connect timed out"]);
    // the next attempt has its own
    driver.session.handle_connecting(driver.now);
    assert_eq!(driver.session.next_deadline(), Some(driver.now + 5 * SECOND));
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.shake_hands(INFO);
    driver.session.leg(Which::Current).limit_connecting(driver.now);
    assert!(driver.wait(SECOND).is_empty(), "it is connected");
}

#[test]
fn the_connect_timeout_ends_with_the_handshake() {
    let mut driver = Driver::ready_with(config(|config| config.ping_interval = Duration::ZERO));
    assert_eq!(driver.session.next_deadline(), None);
    assert!(driver.wait(60 * SECOND).is_empty());
}

#[test]
fn a_server_that_requires_tls_is_refused_and_nothing_is_written() {
    let mut driver = Driver::connected();
    let events = driver.events_after("INFO {\"tls_required\":true,\"max_payload\":9}\r\n");
    assert_eq!(
        events,
        [
            "not connected: the server requires TLS, which is not available on this connection",
            "closed"
        ]
    );
    assert!(driver.written().is_empty());
}

#[test]
fn a_server_that_offers_tls_is_not_refused() {
    let info = INFO.replace('{', "{\"tls_available\":true,");
    Driver::connected().shake_hands(&info);
}

#[test]
fn messages_before_the_handshake_break_the_protocol() {
    for early in ["", INFO] {
        let mut driver = Driver::connected();
        driver.subscribe("a", "sub");
        assert!(driver.events_after(early).is_empty());
        let reason = "not connected: protocol violation by the server: unexpected message during \
                      the handshake";
        assert_eq!(driver.events_after(msg("a", 2, "x")), [reason, "sub ended: closed", "closed"]);
    }
}

#[test]
fn a_pong_before_the_info_breaks_the_protocol() {
    let reason =
        "not connected: protocol violation by the server: unexpected PONG during the handshake";
    assert_eq!(Driver::connected().events_after("PONG\r\n"), [reason, "closed"]);
}

#[test]
fn a_ping_during_the_handshake_is_answered_at_once() {
    let mut driver = Driver::connected();
    driver.publish("a", "waits");
    driver.receive(INFO);
    assert!(driver.events_after("PING\r\n").is_empty());
    assert_eq!(driver.written(), ["CONNECT", "PING", "PONG"]);
    assert_eq!(driver.events_after("PONG\r\n"), ["connected"]);
    assert_eq!(driver.written(), ["PUB a waits"]);
}

#[test]
fn a_verbose_ok_stream_is_tolerated() {
    let mut driver = Driver::new(connect_info(|connect| connect.verbose = true));
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.receive(INFO);
    driver.events();
    let ops = driver.written_ops();
    assert!(matches!(&ops[0], ClientOp::Connect(connect) if connect.verbose));
    assert_eq!(driver.events_after("+OK\r\nPONG\r\n"), ["connected"]);
    let sid = driver.subscribe("a", "sub");
    let stream = format!("+OK\r\n{}+OK\r\n", msg("a", sid, "1"));
    assert_eq!(driver.events_after(stream), ["message 2: 1"]);
}

#[test]
fn no_echo_needs_a_server_that_knows_it() {
    let no_echo = || connect_info(|connect| connect.echo = false);
    let mut driver = Driver::new(no_echo());
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    let events = driver.events_after("INFO {\"proto\":0,\"max_payload\":9}\r\n");
    assert_eq!(
        events,
        ["not connected: the server does not support connections without echo", "closed"]
    );

    let mut driver = Driver::new(no_echo());
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.receive(INFO);
    assert!(driver.events().is_empty());
    assert!(matches!(&driver.written_ops()[0], ClientOp::Connect(connect) if !connect.echo));
}

#[test]
fn connect_asks_a_server_without_headers_for_nothing_that_needs_them() {
    let mut driver = Driver::connected();
    driver.receive("INFO {\"proto\":1,\"max_payload\":9}\r\n");
    driver.events();
    let ops = driver.written_ops();
    let ClientOp::Connect(connect) = &ops[0] else { panic!() };
    assert!(!connect.headers && !connect.no_responders);
}

#[test]
fn lame_duck_mode_is_announced_once() {
    let mut driver = Driver::ready();
    let ldm = "INFO {\"ldm\":true,\"max_payload\":9}\r\n";
    assert_eq!(driver.events_after(ldm), ["lame duck", "info changed"]);
    assert_eq!(driver.events_after(ldm), ["info changed"]);
}

#[test]
fn the_reason_that_the_server_gave_before_closing_is_the_reason() {
    use evnats_protocol::DisconnectReason::ServerClosed;
    let mut driver = Driver::ready();
    let error = "-ERR 'Stale Connection'\r\n";
    assert_eq!(driver.events_after(error), ["server error: Stale Connection"]);
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    let expected = ["disconnected: server error: Stale Connection", "closed"];
    assert_eq!(driver.events(), expected);

    let mut driver = Driver::ready();
    driver.events_after("-ERR 'Permissions Violation for Publish to \"a\"'\r\n");
    driver.session.leg(Which::Current).handle_disconnected(ServerClosed);
    let expected = ["disconnected: the server closed the connection", "closed"];
    assert_eq!(driver.events(), expected, "an error that does not close is no reason");
}

#[test]
fn a_permission_violation_is_reported_and_the_connection_stays() {
    let mut driver = Driver::ready();
    let refused = "-ERR 'Permissions Violation for Publish to \"a\"'\r\n";
    let text = "server error: Permissions Violation for Publish to \"a\"";
    assert_eq!(driver.events_after(refused), [text]);
    assert_eq!(driver.session.phase(), Phase::Ready);
    driver.session.publish(OutgoingMessage::new("b", "x")).unwrap();
    assert_eq!(driver.written(), ["PUB b x"]);
}
