//! What a session costs, for an instruction counter: messages delivered, published and requested.
//!
//! It times nothing itself. To compare versions, count the instructions of one part alone:
//!
//! ```text
//! cargo build --release -p evnats-protocol --example session_cost
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     --toggle-collect='*deliver_all*' target/release/examples/session_cost deliver
//! ```
//!
//! Parts: `deliver` (messages of 16 bytes arrive, 100 a read), `publish` (messages of 16 bytes are
//! written, 100 a turn), `request` (requests and their replies, one a turn).

use evnats_protocol::{Event, Message, OutgoingMessage, Security, Session, SessionConfig, Which};
use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const TURNS: usize = 1_000;
const BATCH: usize = 100;

type Plain = Session<(), (), ()>;

fn main() -> ExitCode {
    let now = Instant::now();
    let mut session = connected(now);
    match env::args().nth(1).as_deref() {
        Some("deliver") => {
            let sid = session.subscribe("orders.eu.7", None, ()).expect("a valid subject").sid();
            write(&mut session);
            let message = format!("MSG orders.eu.7 {sid} 16\r\n0123456789abcdef\r\n");
            deliver_all(&mut session, message.repeat(BATCH).as_bytes(), now);
        }
        Some("publish") => publish_all(&mut session, now),
        Some("request") => request_all(&mut session, now),
        _ => {
            eprintln!("usage: session_cost deliver|publish|request");
            return ExitCode::FAILURE;
        }
    }
    println!("{:?}", session.statistics());
    ExitCode::SUCCESS
}

fn connected(now: Instant) -> Plain {
    let mut session = Plain::new(SessionConfig::default(), || 42);
    session.handle_connecting(now);
    session.leg(Which::Current).handle_connected(Security::Plain);
    read(&mut session, b"INFO {\"max_payload\":1048576,\"headers\":true}\r\n", now);
    while session.poll_event(&mut Message::default()).is_some() {}
    write(&mut session);
    read(&mut session, b"PONG\r\n", now);
    while session.poll_event(&mut Message::default()).is_some() {}
    session
}

#[inline(never)]
fn deliver_all(session: &mut Plain, batch: &[u8], now: Instant) {
    let mut place = Message::default();
    for _ in 0..TURNS {
        place.clear();
        read(session, batch, now);
        while let Some(event) = session.poll_event(&mut place) {
            black_box(&event);
        }
    }
}

#[inline(never)]
fn publish_all(session: &mut Plain, now: Instant) {
    for _ in 0..TURNS {
        for _ in 0..BATCH {
            publish_one(session, black_box("orders.eu.7"), "0123456789abcdef");
        }
        session.handle_turn(now);
        write(session);
    }
}

/// A function of its own, so that nothing is moved out of the loop.
#[inline(never)]
fn publish_one(session: &mut Plain, subject: &str, payload: &str) {
    session.publish(OutgoingMessage::new(subject, payload)).expect("there is room");
}

#[inline(never)]
fn request_all(session: &mut Plain, now: Instant) {
    let mut place = Message::default();
    for _ in 0..TURNS {
        place.clear();
        let message = OutgoingMessage::new("orders.eu.7", "0123456789abcdef");
        session.request(message, Duration::from_secs(1), ());
        session.handle_turn(now);
        let written: Vec<u8> = session.leg(Which::Current).chunks().flatten().copied().collect();
        write(session);
        let inbox = written.split(|byte| *byte == b' ').rev().nth(1).expect("a reply subject");
        let reply = [b"MSG ", inbox, b" 1 2\r\nok\r\n"].concat();
        read(session, &reply, now);
        while let Some(event) = session.poll_event(&mut place) {
            assert!(matches!(&event, Event::Reply { outcome: Ok(_), .. }), "{event:?}");
        }
    }
}

fn read(session: &mut Plain, bytes: &[u8], now: Instant) {
    let mut leg = session.leg(Which::Current);
    leg.read_room()[..bytes.len()].copy_from_slice(bytes);
    leg.handle_read(bytes.len(), now);
}

/// Everything that waits is written.
fn write(session: &mut Plain) {
    let mut leg = session.leg(Which::Current);
    while leg.writable_len() > 0 {
        let count = leg.chunks().map(|chunk| black_box(chunk).len()).sum();
        leg.handle_written(count);
    }
}
