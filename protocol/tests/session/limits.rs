//! What a server does not take is refused before the first byte of it is written.

use crate::support::{Driver, INFO, SECOND, config};
use evnats_protocol::{CommandError, HeaderMap, OutgoingMessage, Security, Which};

const SMALL: &str = "INFO {\"proto\":1,\"headers\":true,\"max_payload\":20}\r\n";
const NO_HEADERS: &str = "INFO {\"proto\":1,\"max_payload\":1048576}\r\n";

fn with_headers<'a>(headers: &'a HeaderMap, payload: &'a str) -> OutgoingMessage<'a> {
    OutgoingMessage::new("a", payload).headers(headers)
}

#[test]
fn payload_size_boundary_matches_server() {
    let mut driver = Driver::connected();
    driver.shake_hands(SMALL);
    let twenty = "x".repeat(20);
    assert_eq!(driver.session.publish(OutgoingMessage::new("a", &twenty)), Ok(()));
    let error = CommandError::PayloadTooLarge { size: 21, limit: 20 };
    let refused = driver.session.publish(OutgoingMessage::new("a", "x".repeat(21)));
    assert_eq!(refused, Err(error));
    assert_eq!(driver.written(), [format!("PUB a {twenty}")]);
}

#[test]
fn publish_with_headers_payload_size() {
    let mut driver = Driver::connected();
    driver.shake_hands(SMALL);
    let headers = HeaderMap::new().with("A", "1");
    assert_eq!(headers.encoded_len(), 18);
    assert_eq!(driver.session.publish(with_headers(&headers, "xy")), Ok(()));
    let error = CommandError::PayloadTooLarge { size: 21, limit: 20 };
    assert_eq!(driver.session.publish(with_headers(&headers, "xyz")), Err(error));
}

#[test]
fn a_new_max_payload_counts_at_once() {
    let mut driver = Driver::ready();
    driver.publish("a", "more than twenty bytes");
    driver.events_after(SMALL);
    let error = CommandError::PayloadTooLarge { size: 22, limit: 20 };
    let refused = driver.session.publish(OutgoingMessage::new("a", "more than twenty bytes"));
    assert_eq!(refused, Err(error));
}

#[test]
fn messages_that_waited_are_checked_when_the_limit_is_known() {
    let mut driver = Driver::connected();
    driver.subscribe("s", "sub");
    driver.publish("small.1", "1");
    driver.publish("large", "this is too large for it");
    driver.publish("small.2", "2");
    driver.session.flush(9 * SECOND, "flush");
    driver.session.publish(OutgoingMessage::new("small.3", "3").reply("r")).unwrap();
    driver.request("service.large", "a request whose name is too large");
    driver.request("service.small", "small");
    driver.receive(SMALL);
    driver.events();
    assert_eq!(driver.written(), ["CONNECT", "PING"]);
    let too_large = |size| {
        format!("message of {size} bytes is larger than the server's max_payload of 20 bytes")
    };
    let expected = [
        format!("not published to large: {}", too_large(24)),
        format!("no reply a request whose name is too large: {}", too_large(33)),
        "connected".into(),
    ];
    assert_eq!(driver.events_after("PONG\r\n"), expected);
    let written = driver.written();
    let [head @ .., mux, last] = &written[..] else { panic!() };
    assert_eq!(head, ["SUB s 2", "PUB small.1 1", "PUB small.2 2", "PING", "PUB small.3 3"]);
    assert!(mux.starts_with("SUB _INBOX."));
    assert_eq!(last, "PUB service.small small");
    assert_eq!(driver.events_after("PONG\r\n"), ["fence flush: 0ns"]);
    assert_eq!(driver.session.request_count(), 1);
}

#[test]
fn a_ghost_request_that_is_too_large_has_had_its_outcome() {
    let mut driver = Driver::connected();
    let payload = "this is too large for it";
    driver.session.request(OutgoingMessage::new("s", payload), SECOND, "ghost");
    driver.session.request(OutgoingMessage::new("s", "ghost 2"), SECOND, "ghost 2");
    let never_sent = ["ghost", "ghost 2"]
        .map(|name| format!("no reply {name}: disconnected, the request was never sent"));
    assert_eq!(driver.wait(SECOND), never_sent);
    driver.shake_hands(SMALL);
    assert_eq!(driver.written().len(), 1, "only the inbox's SUB");
}

#[test]
fn requests_are_answered_after_the_second_look() {
    let mut driver = Driver::connected();
    driver.publish("large", "this is too large for it");
    driver.request("s", "a");
    driver.receive(SMALL);
    driver.events();
    driver.written();
    driver.events_after("PONG\r\n");
    let inbox = driver.inboxes().pop().unwrap();
    assert_eq!(driver.events_after(crate::support::msg(&inbox, 1, "x")), ["reply a: x"]);
}

#[test]
fn the_second_look_reads_lines_longer_than_what_a_server_may_send() {
    let mut driver = Driver::new(config(|config| config.limits.max_line = 128));
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.publish("large", "this is too large for it");
    let long = "x".repeat(200);
    driver.publish(&long, "kept");
    driver.receive(SMALL);
    driver.events();
    driver.written();
    driver.events_after("PONG\r\n");
    assert_eq!(driver.written(), [format!("PUB {long} kept")]);
}

#[test]
fn headers_not_supported() {
    let headers = HeaderMap::new().with("A", "1");
    let mut driver = Driver::connected();
    driver.shake_hands(NO_HEADERS);
    let refused = driver.session.publish(with_headers(&headers, "x"));
    assert_eq!(refused, Err(CommandError::HeadersUnsupported));
    driver.session.publish(with_headers(&HeaderMap::new(), "x")).unwrap();
    assert_eq!(driver.written(), ["PUB a x"], "no headers, no error");
}

#[test]
fn headers_that_waited_for_a_server_without_them_are_reported() {
    let headers = HeaderMap::new().with("A", "1");
    let mut driver = Driver::connected();
    driver.session.publish(with_headers(&headers, "x")).unwrap();
    driver.session.request(with_headers(&headers, "x"), SECOND, "request");
    driver.publish("b", "kept");
    driver.receive(NO_HEADERS);
    driver.events();
    driver.written();
    let expected = [
        "not published to a: the server does not support headers",
        "no reply request: the server does not support headers",
        "connected",
    ];
    assert_eq!(driver.events_after("PONG\r\n"), expected);
    let written = driver.written();
    assert_eq!(written.last().unwrap(), "PUB b kept");
    assert_eq!(written.len(), 2);
}

#[test]
fn what_would_forge_a_line_is_refused() {
    let mut driver = Driver::ready();
    let forged = HeaderMap::new().with("A", "1\r\nB: 2");
    assert!(driver.session.publish(with_headers(&forged, "x")).is_err());
    assert!(driver.session.publish(OutgoingMessage::new("a 1\r\nPUB b", "x")).is_err());
    assert!(driver.session.publish(OutgoingMessage::new("a.*", "x")).is_err());
    assert!(driver.session.publish(OutgoingMessage::new("a\r\n", "x").allow_wildcards()).is_err());
    let reply = OutgoingMessage::new("a", "x").reply("r 9");
    assert!(matches!(driver.session.publish(reply), Err(CommandError::ReplySubject(_))));
    assert!(driver.written().is_empty());
}

#[test]
fn control_lines_longer_than_servers_read_are_refused() {
    let mut driver = Driver::ready();
    let long = "x".repeat(4096 - 40);
    driver.publish(&long, "fits");
    let reply = OutgoingMessage::new(&long, "x").reply("r");
    let error = CommandError::ControlLineTooLong { size: 4097, limit: 4096 };
    assert_eq!(driver.session.publish(reply), Err(error));
    driver.request(&long, "inbox too");
    assert!(driver.events()[0].starts_with("no reply inbox too: control line of"));
}

#[test]
fn a_large_payload_goes_through_unharmed_and_uncopied() {
    let mut driver = Driver::ready();
    let large: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    let address = large.as_ptr();
    driver.publish("a", "before");
    driver.session.publish(OutgoingMessage::new("a", large.clone())).unwrap();
    driver.session.publish(OutgoingMessage::new("a", large)).unwrap();
    driver.publish("a", "after");
    assert!(
        driver.session.leg(Which::Current).chunks().any(|chunk| chunk.as_ptr() == address),
        "not copied"
    );
    let expected = ["PUB a before", "PUB a [300000 bytes]", "PUB a [300000 bytes]", "PUB a after"];
    assert_eq!(driver.written(), expected);
}

#[test]
fn a_large_payload_is_unharmed_by_writes_of_any_size() {
    let payload: Vec<u8> = (0..100_000_u32).map(|n| (n * 7) as u8).collect();
    for step in [1000, 4096, 65_536, 65_537, 99_999] {
        let mut driver = Driver::ready();
        driver.publish("a", "before");
        driver.session.publish(OutgoingMessage::new("a", payload.clone())).unwrap();
        driver.publish("a", "after");
        let mut wire = Vec::new();
        while driver.session.leg(Which::Current).writable_len() > 0 {
            let all: Vec<u8> =
                driver.session.leg(Which::Current).chunks().flatten().copied().collect();
            let count = step.min(all.len());
            wire.extend_from_slice(&all[..count]);
            driver.session.leg(Which::Current).handle_written(count);
        }
        let expected =
            [b"PUB a 6\r\nbefore\r\nPUB a 100000\r\n", &payload[..], b"\r\nPUB a 5\r\nafter\r\n"];
        assert_eq!(wire, expected.concat(), "{step}");
    }
}

#[test]
fn the_limits_of_one_session_are_not_another_s() {
    let mut driver = Driver::connected();
    driver.shake_hands(INFO);
    driver.publish("a", &"x".repeat(1 << 20));
    let too_large = driver.session.publish(OutgoingMessage::new("a", "x".repeat((1 << 20) + 1)));
    assert!(matches!(too_large, Err(CommandError::PayloadTooLarge { .. })));
}
