//! The outgoing buffer at its limit: the caller gets the message back, and learns when to continue.

use crate::support::{Driver, INFO, config};
use evnats_protocol::{
    CommandError, Event, OutgoingMessage, Payload, RequestError, Security, Which,
};
use std::time::Duration;

fn full() -> Driver {
    let mut driver = Driver::ready_with(config(|config| {
        config.max_buffered = 1000;
        config.low_water = 100;
    }));
    driver.publish("a", &"x".repeat(900));
    driver
}

#[test]
fn a_full_buffer_gives_the_payload_back() {
    let mut driver = full();
    let error = driver.session.publish(OutgoingMessage::new("a", vec![b'y'; 200])).unwrap_err();
    let CommandError::BufferFull { payload: Payload::Owned(payload), limit: 1000 } = error else {
        panic!("{error:?}")
    };
    assert_eq!(payload, vec![b'y'; 200]);
    let error = driver.session.publish(OutgoingMessage::new("a", &[b'y'; 200])).unwrap_err();
    assert!(matches!(error, CommandError::BufferFull { payload: Payload::Lent(&[]), .. }));
}

#[test]
fn writable_comes_at_low_water_and_once() {
    let mut driver = full();
    let size = driver.session.leg(Which::Current).writable_len();
    assert!(driver.session.publish(OutgoingMessage::new("a", &[b'y'; 200])).is_err());
    driver.session.leg(Which::Current).handle_written(size - 101);
    assert!(driver.events().is_empty());
    driver.session.leg(Which::Current).handle_written(1);
    assert_eq!(driver.events(), ["writable"]);
    driver.session.leg(Which::Current).handle_written(100);
    assert!(driver.events().is_empty());
    driver.publish("a", "goes on");
}

#[test]
fn a_buffer_that_refused_nothing_is_not_reported_writable() {
    let mut driver = full();
    let mut leg = driver.session.leg(Which::Current);
    leg.handle_written(leg.writable_len());
    assert!(driver.events().is_empty());
}

#[test]
fn a_request_gets_its_payload_back_in_its_outcome() {
    let mut driver = full();
    let request = OutgoingMessage::new("a", "y".repeat(200));
    driver.session.request(request, crate::support::SECOND, "request");
    let Some(Event::Reply { context: "request", outcome: Err(error) }) =
        driver.session.poll_event()
    else {
        panic!()
    };
    let RequestError::Command(CommandError::BufferFull { payload, .. }) = error else { panic!() };
    assert_eq!(&payload[..], "y".repeat(200).as_bytes());
    assert_eq!(driver.session.request_count(), 0);
}

#[test]
fn a_buffer_that_the_second_look_empties_is_writable() {
    let mut driver = Driver::new(config(|config| {
        config.max_buffered = 1000;
        config.low_water = 100;
    }));
    driver.session.leg(Which::Current).handle_connected(Security::Plain);
    driver.publish("a", &"x".repeat(900));
    assert!(driver.session.publish(OutgoingMessage::new("a", &[b'y'; 200])).is_err());
    driver.receive(INFO.replace("1048576", "200"));
    driver.events();
    assert_eq!(driver.written(), ["CONNECT", "PING"]);
    let too_large = "not published to a: message of 900 bytes is larger than the server's \
                     max_payload of 200 bytes";
    assert_eq!(driver.events_after("PONG\r\n"), [too_large, "connected", "writable"]);
    driver.publish("a", &"y".repeat(200));
}

#[test]
fn commands_before_the_handshake_fill_the_buffer_too() {
    let mut driver = Driver::new(config(|config| config.max_buffered = 1000));
    driver.publish("a", &"x".repeat(900));
    assert!(driver.session.publish(OutgoingMessage::new("a", &[b'y'; 200])).is_err());
}

#[test]
fn an_empty_buffer_takes_a_payload_over_its_limit() {
    let mut driver = Driver::ready_with(config(|config| config.max_buffered = 10));
    driver.session.publish(OutgoingMessage::new("a", [0; 100].as_slice())).unwrap();
    assert!(driver.session.publish(OutgoingMessage::new("a", "")).is_err());
    let refused = driver.session.subscribe("a", None, "sub").unwrap_err().0;
    assert!(matches!(refused, CommandError::BufferFull { limit: 10, .. }));
    driver.session.flush(Duration::from_secs(1), "flush");
    assert_eq!(driver.events().len(), 1, "a fence is a command too");
}

#[test]
fn a_server_that_floods_with_pings_does_not_make_the_buffer_grow() {
    let mut driver = Driver::new(config(|config| config.max_buffered = 100));
    driver.events_after("PING\r\n".repeat(1000));
    let written: usize = driver.session.leg(Which::Current).chunks().map(<[u8]>::len).sum();
    assert!(written <= 106, "{written}");
}

#[test]
fn more_written_than_there_was_counts_as_all_of_it() {
    let mut driver = Driver::ready();
    driver.publish("p", "1");
    driver.session.leg(Which::Current).handle_written(usize::MAX);
    assert_eq!(driver.session.leg(Which::Current).writable_len(), 0);
    driver.publish("p", "2");
    assert_eq!(driver.written(), ["PUB p 2"]);
}
