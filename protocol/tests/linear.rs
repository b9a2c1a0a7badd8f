//! Decoding is linear in its input, and so is finding what a server denies. No clock is looked at: if a byte were looked at again for every
//! byte that follows, these tests would take hours instead of a second.

use evnats_protocol::{
    Decoder, Limits, Message, OutgoingMessage, Security, ServerOp, Session, SessionConfig, Which,
};
use std::ops::Range;
use std::time::{Duration, Instant};

const SIZE: usize = 4 << 20;

/// The operation that a stream is, when it comes one byte at a time.
fn decode_bytes(stream: &[u8]) -> ServerOp {
    let mut decoder = Decoder::new(Limits::new().max_line(2 * SIZE));
    let (last, most) = stream.split_last().unwrap();
    for byte in most {
        decoder.feed(&[*byte]);
        assert_eq!(decoder.next_op(), Ok(None));
    }
    decoder.feed(&[*last]);
    decoder.next_op().unwrap().unwrap()
}

#[test]
fn a_large_line_in_single_bytes() {
    let text = "x".repeat(SIZE);
    let ServerOp::Error(error) = decode_bytes(format!("-ERR '{text}'\r\n").as_bytes()) else {
        panic!()
    };
    assert_eq!(error.text().len(), SIZE);
}

#[test]
fn a_large_payload_in_single_bytes() {
    let stream = [format!("MSG a 1 {SIZE}\r\n").as_bytes(), &vec![b'\n'; SIZE], b"\r\n"].concat();
    let ServerOp::Message(message) = decode_bytes(&stream) else { panic!() };
    assert_eq!(message.payload().len(), SIZE);
}

#[test]
fn many_small_operations_that_came_at_once() {
    let mut decoder: Decoder = Decoder::default();
    let count = SIZE / 6;
    decoder.feed(&b"PING\r\n".repeat(count));
    for _ in 0..count {
        assert_eq!(decoder.next_op(), Ok(Some(ServerOp::Ping)));
    }
    assert_eq!(decoder.next_op(), Ok(None));
}

/// A session whose handshake is done and whose commands are written.
fn session() -> Session<u32, u32, ()> {
    let mut numbers = 7_u64;
    let random = move || {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers
    };
    let mut session = Session::new(SessionConfig::default(), random);
    session.handle_connecting(Instant::now());
    session.leg(Which::Current).handle_connected(Security::Plain);
    receive(&mut session, "INFO {\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n");
    receive(&mut session, "PONG\r\n");
    session
}

/// Bytes come, and everything is written. Returns how much has happened.
fn receive(session: &mut Session<u32, u32, ()>, bytes: &str) -> usize {
    let now = Instant::now();
    session.leg(Which::Current).handle_bytes(bytes.as_bytes(), now);
    let mut place = Message::default();
    let events = std::iter::from_fn(|| session.poll_event(&mut place)).count();
    let mut leg = session.leg(Which::Current);
    let len = leg.writable_len();
    leg.handle_written(len);
    events
}

const MANY: u32 = 200_000;

#[test]
fn many_denied_requests_on_many_subjects() {
    let mut session = session();
    let second = Duration::from_secs(1);
    for n in 0..MANY {
        session.request(OutgoingMessage::new(&format!("a.{n}"), b""), second, n);
    }
    receive(&mut session, "");
    let denials = |range: Range<u32>| -> String {
        range
            .map(|n| format!("-ERR 'Permissions Violation for Publish to \"a.{n}\"'\r\n"))
            .collect()
    };
    let half = MANY / 2;
    assert_eq!(receive(&mut session, &denials(0..half)), half as usize);
    // one that is made while denials come is found as well
    session.request(OutgoingMessage::new("a.x", b""), second, 0);
    receive(&mut session, "");
    let last = "-ERR 'Permissions Violation for Publish to \"a.x\"'\r\n";
    assert_eq!(receive(&mut session, last), 1);
    assert_eq!(receive(&mut session, &denials(half..MANY)), half as usize);
    assert_eq!(session.request_count(), 0);
}

#[test]
fn many_denied_requests_on_one_subject() {
    let mut session = session();
    for n in 0..MANY {
        session.request(OutgoingMessage::new("a", b""), Duration::from_secs(1), n);
    }
    receive(&mut session, "");
    let denials = "-ERR 'Permissions Violation for Publish to \"a\"'\r\n".repeat(MANY as usize);
    assert_eq!(receive(&mut session, &denials), MANY as usize);
    assert_eq!(session.request_count(), 0);
}

#[test]
fn many_denied_subscriptions() {
    let mut session = session();
    for n in 0..MANY {
        session.subscribe(&format!("a.{n}"), None, n).expect("room");
    }
    receive(&mut session, "");
    let denials: String = (0..MANY)
        .map(|n| format!("-ERR 'Permissions Violation for Subscription to \"a.{n}\"'\r\n"))
        .collect();
    // a denial, and an end
    assert_eq!(receive(&mut session, &denials), 2 * MANY as usize);
    assert_eq!(session.subscription_count(), 0);
}
