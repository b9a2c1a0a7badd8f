//! The outgoing buffer at its limit: the caller gets the message back, and learns when to continue.

use crate::support::{Driver, INFO, config};
use evnats_protocol::{
    CommandError, Event, Message, OutgoingMessage, Payload, RequestError, Security, Which,
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
        driver.session.poll_event(&mut Message::default())
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
}

#[test]
fn who_publishes_until_the_buffer_is_full_can_flush_then() {
    let mut driver = full();
    driver.session.flush(Duration::from_secs(1), "flush");
    assert!(driver.events().is_empty());
    let written = driver.written();
    assert_eq!(written.last().map(String::as_str), Some("PING"));
    driver.receive("PONG\r\n");
    assert!(driver.events().contains(&"fence flush: 0ns".to_owned()));
}

#[test]
fn fences_beyond_the_limit_have_one_too() {
    let mut driver = full();
    for _ in 0..100_000 {
        driver.session.flush(Duration::from_secs(1), "flush");
    }
    assert!(driver.session.buffered_len() < 100 << 10, "{}", driver.session.buffered_len());
    let refused = "no fence flush: the outgoing buffer is full";
    assert!(driver.events().iter().any(|event| event.starts_with(refused)));
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

/// A session without a connection, with so much room.
fn unconnected(limit: usize) -> Driver {
    let mut driver = Driver::ready_with(config(|config| {
        config.resume = true;
        config.max_unconnected = limit;
    }));
    driver.lose_connection();
    driver
}

#[test]
fn without_a_connection_requests_that_timed_out_do_not_fill_the_buffer() {
    let mut driver = unconnected(65_536);
    for n in 0..1000 {
        driver.session.request(
            OutgoingMessage::new("a", &[b'x'; 1000]),
            crate::support::SECOND,
            "request",
        );
        let events = driver.wait(Duration::from_secs(1));
        let never = "no reply request: disconnected, the request was never sent";
        assert_eq!(events, [never], "{n}");
    }
    driver.publish("b", "there is room");
    assert!(driver.session.buffered_len() < 65_536);
    let written = driver.reconnect();
    // nothing of what nobody waits for
    assert!(written.iter().all(|op| !op.starts_with("PUB a")), "{written:?}");
    assert!(written.iter().any(|op| op.starts_with("PUB b")), "{written:?}");
}

#[test]
fn without_a_connection_subscriptions_that_ended_do_not_fill_the_buffer() {
    let mut driver = unconnected(4096);
    for _ in 0..1000 {
        let id = driver.session.subscribe("some.inbox", None, "s").unwrap();
        driver.session.unsubscribe(id).unwrap();
    }
    driver.publish("b", "there is room");
    let written = driver.reconnect();
    assert_eq!(written.iter().filter(|op| op.starts_with("SUB")).count(), 0, "{written:?}");
    assert_eq!(written.iter().filter(|op| op.starts_with("UNSUB")).count(), 0, "{written:?}");
}

#[test]
fn without_a_connection_only_the_last_maximum_of_a_subscription_is_written() {
    let mut driver = unconnected(4096);
    let id = driver.session.subscribe("a", None, "s").unwrap();
    let before = driver.session.buffered_len();
    for max in 1..=1000 {
        driver.session.unsubscribe_after(id, max).unwrap();
    }
    assert_eq!(driver.session.buffered_len(), before);
    let written = driver.reconnect();
    let maximums: Vec<_> = written.iter().filter(|op| op.starts_with("UNSUB")).collect();
    assert_eq!(maximums.len(), 1, "{written:?}");
    assert!(maximums[0].ends_with("1000"), "{written:?}");
}

#[test]
fn without_a_connection_fences_that_timed_out_do_not_fill_the_buffer() {
    let mut driver = unconnected(4096);
    for n in 0..2000 {
        driver.session.flush(crate::support::SECOND, "flush");
        assert_eq!(driver.wait(Duration::from_secs(1)).len(), 1, "{n}");
    }
    driver.session.flush(Duration::from_secs(60), "last");
    driver.publish("b", "there is room");
    let pings = driver.reconnect().iter().filter(|op| *op == "PING").count();
    assert_eq!(pings, 1, "that of the fence that is waited for");
    assert_eq!(driver.events_after("PONG\r\n").len(), 1);
}

#[test]
fn without_a_connection_drains_need_room_as_every_command_does() {
    let mut driver = unconnected(4096);
    let mut subscribe =
        || driver.session.subscribe("some.subject", None, "s").expect("a subscription");
    let ids: Vec<_> = (0..2000).map(|_| subscribe()).collect();
    for id in &ids {
        driver.session.drain_subscription(*id, 60 * crate::support::SECOND, "drain");
    }
    // one of a small subscription is at most a SUB, an UNSUB and a PING more
    assert!(driver.session.buffered_len() < 4096 + 100, "{}", driver.session.buffered_len());
    let refused = driver.events();
    assert!(refused.len() > 1900, "{}", refused.len());
    let full =
        "no fence drain: the outgoing buffer is full (4096 bytes); try again when it is writable";
    assert!(refused.iter().all(|event| event == full), "{}", refused[0]);
    // who was refused is subscribed as before
    assert_eq!(driver.session.subscription_count(), 2000);
    driver.reconnect();
    let taken = 2000 - refused.len();
    let ended = driver.events_after("PONG\r\n".repeat(taken));
    assert_eq!(ended.iter().filter(|event| event.starts_with("fence")).count(), taken);
    assert_eq!(driver.session.subscription_count(), refused.len());
}

#[test]
fn drained_again_and_again_a_subscription_does_not_fill_the_buffer() {
    let mut driver = Driver::ready_with(config(|config| config.max_buffered = 100));
    let id = driver.session.subscribe("a", None, "s").unwrap();
    for _ in 0..1000 {
        driver.session.drain_subscription(id, crate::support::SECOND, "drain");
    }
    assert!(driver.session.buffered_len() < 120, "{}", driver.session.buffered_len());
}

#[test]
fn statistics_count_what_was_sent() {
    let mut driver = unconnected(4096);
    let sent = |driver: &Driver| {
        let statistics = driver.session.statistics();
        (statistics.messages_out, statistics.bytes_out)
    };
    driver.publish("a", "12345");
    driver.session.request(OutgoingMessage::new("a", b"123"), crate::support::SECOND, "request");
    assert_eq!(sent(&driver), (0, 0), "it waits");
    driver.wait(Duration::from_secs(1));
    driver.reconnect();
    assert_eq!(sent(&driver), (1, 5), "the request timed out before");
    driver.publish("a", "1234567");
    let mut leg = driver.session.leg(Which::Current);
    let len = leg.writable_len();
    leg.handle_written(len - 1);
    assert_eq!(sent(&driver), (1, 5), "not to the end");
    driver.session.leg(Which::Current).handle_written(1);
    assert_eq!(sent(&driver), (2, 12));
    driver.publish("a", "what is lost");
    driver.session.close();
    driver.events();
    assert_eq!(sent(&driver), (2, 12));
}
