//! What operations cost in allocations: none for a publish, a delivery, also one of a consumer with its
//! acknowledgement, a request, and an acknowledged write; one for a read, which is the copy of what was
//! read; and one more for a callback that captures something. Buffers grow to their sizes in a first round,
//! which does not count.

mod support;

use allocation_counter::{measure, opt_out};
use evnats::jetstream::{ConsumeOptions, PubAck, PublishWindow, WindowOptions};
use evnats::kv::{KeyValue, Reads};
use evnats::{Client, EventLoop, Options, Readiness, SetReadiness};
use evnats_protocol::{
    Decoder, Limits, Message, OutgoingMessage, Security, ServerOp, Session, SessionConfig, Which,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;
use support::memory::{InMemory, Speaker};

const COUNT: u64 = 10_000;
/// Growth of tables and of the buffers of the test itself.
const SLACK: u64 = 100;

/// A server that says what the test puts into its mouth, and gives every request the same answer, if
/// it has one.
#[derive(Clone, Default)]
struct Canned(Rc<RefCell<Words>>);

#[derive(Default)]
struct Words {
    waiting: VecDeque<u8>,
    readiness: Option<SetReadiness>,
    answer: Option<Answer>,
    /// What was written after the last whole line.
    heard: Vec<u8>,
    /// How often something was written.
    writes: u64,
}

#[derive(Clone, Default)]
struct Answer {
    headers: &'static str,
    payload: String,
    /// The headers of a second message, if there is one. Both are for the first subscription then, and not
    /// for the inbox of requests.
    end: &'static str,
}

impl Answer {
    fn to(&self, inbox: &str) -> String {
        let Self { headers, payload, end } = self;
        let sid = if end.is_empty() { 1 } else { 2 };
        let total = headers.len() + payload.len();
        let answer = match headers.len() {
            0 => format!("MSG {inbox} {sid} {total}\r\n{payload}\r\n"),
            len => format!("HMSG {inbox} {sid} {len} {total}\r\n{headers}{payload}\r\n"),
        };
        match end.len() {
            0 => answer,
            len => format!("{answer}HMSG {inbox} {sid} {len} {len}\r\n{end}\r\n"),
        }
    }
}

/// What nobody answers.
const NO_RESPONDERS: Answer =
    Answer { headers: "NATS/1.0 503\r\n\r\n", payload: String::new(), end: "" };

impl Canned {
    fn say(&self, bytes: &[u8]) {
        let words = &mut *self.0.borrow_mut();
        words.waiting.extend(bytes);
        if let Some(readiness) = &words.readiness {
            readiness.set_readiness(Readiness::READABLE);
        }
    }

    /// Answers the requests in what a client writes.
    fn hear(&self, bytes: &[u8]) {
        let mut words = self.0.borrow_mut();
        let Some(answer) = words.answer.clone() else { return };
        words.heard.extend(bytes);
        let end = words.heard.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = words.heard.drain(..end).collect();
        drop(words);
        for line in String::from_utf8_lossy(&lines).lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["PUB", "$JS.API.INFO", inbox, _] => self.say(NO_RESPONDERS.to(inbox).as_bytes()),
                ["PUB", _, inbox, _] => self.say(answer.to(inbox).as_bytes()),
                _ => {}
            }
        }
    }
}

impl Read for Canned {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.borrow_mut().waiting.read(room)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().writes += 1;
        opt_out(|| self.hear(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Speaker for Canned {
    fn has_more(&self) -> bool {
        !self.0.borrow().waiting.is_empty()
    }

    fn register(&mut self, readiness: SetReadiness) {
        self.0.borrow_mut().readiness = Some(readiness);
    }
}

struct Fixture {
    event_loop: EventLoop<u64>,
    nats: Client<u64>,
    server: Canned,
}

impl Fixture {
    fn new() -> Self {
        let server = Canned::default();
        server.say(b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\nPONG\r\n");
        let event_loop = EventLoop::new().expect("an event loop");
        let options = Options::new("memory").request_timeout(Duration::from_secs(3600));
        let nats = event_loop
            .handle()
            .connect_over(InMemory::new(server.clone()), options)
            .expect("a client");
        let fixture = Self { event_loop, nats, server };
        fixture.turn();
        fixture
    }

    /// Turns the loop until nothing is left to do; returns what the callbacks counted.
    fn turn(&self) -> u64 {
        let mut count = 0;
        while self.event_loop.dispatch(&mut count, Some(Duration::ZERO)).expect("a turn") {}
        count
    }
}

/// Allocations of a second round.
fn second_round(mut round: impl FnMut()) -> u64 {
    round();
    measure(round).count_total
}

#[test]
fn a_publish_does_not_allocate() {
    let fixture = Fixture::new();
    let allocations = second_round(|| {
        for _ in 0..COUNT {
            fixture.nats.publish("some.subject", b"sixteen bytes xx").expect("a publish");
        }
        fixture.turn();
    });
    assert!(allocations <= SLACK, "{allocations}");
}

#[test]
fn a_delivery_does_not_allocate() {
    let fixture = Fixture::new();
    fixture.nats.subscribe("a", |count: &mut u64, _, _| *count += 1).expect("a subscription");
    let frames = b"MSG some.subject 2 16\r\nsixteen bytes xx\r\n".repeat(COUNT as usize);
    let allocations = second_round(|| {
        fixture.server.say(&frames);
        assert_eq!(fixture.turn(), COUNT);
    });
    assert!(allocations <= SLACK, "{allocations}");
}

#[test]
fn a_delivery_of_a_consumer_and_its_acknowledgement_do_not_allocate() {
    let fixture = Fixture::new();
    let consumer = fixture.nats.jetstream().stream("S").consumer("C");
    let options = ConsumeOptions::new().max_messages(1_000_000);
    consumer.consume(options, |count: &mut u64, _, message| {
        *count += 1;
        Ok(message.ack()?)
    });
    let frame = |n| format!("MSG s 2 $JS.ACK.S.C.1.{n}.{n}.1700000000000000000.9 5\r\nhello\r\n");
    let frames: String = (1..=COUNT).map(frame).collect();
    let allocations = second_round(|| {
        fixture.server.say(frames.as_bytes());
        assert_eq!(fixture.turn(), COUNT);
    });
    assert!(allocations <= SLACK, "{allocations}");
    // those of a turn leave together
    let writes = fixture.server.0.borrow().writes;
    assert!(writes < 2 * COUNT / 100, "{writes} writes");
}

#[test]
fn a_request_does_not_allocate_unless_its_callback_captures() {
    let fixture = Fixture::new();
    let request_all = || {
        for _ in 0..COUNT {
            fixture.nats.request("some.service", b"x", |_, _, _| {});
        }
        fixture.turn();
    };
    assert!(second_round(request_all) <= SLACK);
    let captured = Rc::new(());
    let allocations = measure(|| {
        for _ in 0..COUNT {
            let captured = captured.clone();
            fixture.nats.request("some.service", b"x", move |_, _, _| drop(captured));
        }
    });
    assert!(allocations.count_total <= COUNT + SLACK, "{}", allocations.count_total);
}

/// So many operations are under way at once.
const WINDOW: u64 = 500;

/// How much an operation allocates that is answered so: allocations, and bytes.
fn answered(
    headers: &'static str,
    payload: impl Into<String>,
    operation: impl Fn(&KeyValue<u64>),
) -> (u64, u64) {
    answered_with(Answer { headers, payload: payload.into(), end: "" }, operation)
}

fn answered_with(answer: Answer, operation: impl Fn(&KeyValue<u64>)) -> (u64, u64) {
    let fixture = Fixture::new();
    fixture.server.0.borrow_mut().answer = Some(answer);
    let kv = fixture.nats.jetstream().key_value("b");
    let round = || {
        for _ in 0..COUNT / WINDOW {
            (0..WINDOW).for_each(|_| operation(&kv));
            assert_eq!(fixture.turn(), WINDOW);
        }
    };
    round();
    let allocations = measure(round);
    (
        (allocations.count_total - SLACK.min(allocations.count_total)).div_ceil(COUNT),
        allocations.bytes_total / COUNT,
    )
}

#[test]
fn an_acknowledged_write_allocates_no_more_than_its_callback_captures() {
    let (count, _) = answered("", r#"{"stream":"KV_b","seq":7}"#, |kv| {
        kv.put("some.key", b"x", |count: &mut u64, _, revision| {
            assert_eq!(revision.expect("a revision"), 7);
            *count += 1;
        });
    });
    assert_eq!(count, 0, "put");
    let captured = Rc::new(1);
    let (count, bytes) = answered("", r#"{"stream":"KV_b","seq":7}"#, |kv| {
        let captured = captured.clone();
        kv.put("some.key", b"x", move |count: &mut u64, _, _| *count += *captured);
    });
    assert!(count == 1 && bytes < 64, "put: {count} allocations of {bytes} bytes");
    let (count, _) = answered("", r#"{"stream":"ORDERS","seq":7}"#, |kv| {
        kv.jetstream().publish("orders.new", b"x", |count: &mut u64, _, ack| {
            assert_eq!(&*ack.expect("an acknowledgement").stream, "ORDERS");
            *count += 1;
        });
    });
    assert_eq!(count, 0, "publish");
}

#[test]
fn a_message_in_a_window_is_one_small_allocation() {
    let fixture = Fixture::new();
    let payload = r#"{"stream":"ORDERS","seq":7}"#.to_owned();
    fixture.server.0.borrow_mut().answer = Some(Answer { payload, ..Answer::default() });
    let options = WindowOptions::new().max_outstanding(COUNT as usize);
    let window = fixture.nats.jetstream().publish_window(options);
    let round = || {
        for _ in 0..COUNT {
            let stored = |count: &mut u64, _: &PublishWindow<u64>, ack: Result<PubAck, _>| {
                assert_eq!(ack.expect("an acknowledgement").sequence, 7);
                *count += 1;
            };
            window.publish("orders.new", b"x", stored).expect("room");
        }
        assert_eq!(fixture.turn(), COUNT);
    };
    round();
    let count = measure(round).count_total;
    assert!(count <= COUNT + SLACK, "{count} allocations for {COUNT} messages");
}

#[test]
fn a_read_of_a_key_allocates_for_its_entry_and_for_what_its_callback_captures() {
    /// Longer than what is kept within other things.
    const KEY: &str = "a.key.that.is.longer.than.most.of.them";
    fn get(kv: &KeyValue<u64>, reads: Reads) {
        kv.with_reads(reads).get(KEY, |count: &mut u64, _, entry| {
            let entry = entry.expect("an answer").expect("an entry");
            assert_eq!((entry.value(), entry.revision()), (&b"hello"[..], 7));
            *count += 1;
        });
    }
    let headers = "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.a.key.that.is.longer.than.most.of.them\r\n\
                   Nats-Sequence: 7\r\nNats-Time-Stamp: 2024-02-29T12:34:56.5Z\r\n\r\n";
    let (count, bytes) = answered(headers, "hello", |kv| get(kv, Reads::Replica));
    assert!(count == 1 && bytes < 256, "direct: {count} allocations of {bytes} bytes");
    let reply = r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"$KV.b.a.key.that.is.longer.than.most.of.them","seq":7,"data":"aGVsbG8=","time":"2024-02-29T12:34:56.5Z"}}"#;
    let (count, bytes) = answered("", reply, |kv| get(kv, Reads::Leader));
    assert!(count == 1 && bytes < 256, "leader: {count} allocations of {bytes} bytes");
    // headers of its own are decoded into the same copy
    let reply = r#"{"type":"io.nats.jetstream.api.v1.stream_msg_get_response","message":{"subject":"$KV.b.a.key.that.is.longer.than.most.of.them","seq":7,"hdrs":"TkFUUy8xLjANCkE6IDENCg0K","data":"aGVsbG8=","time":"2024-02-29T12:34:56.5Z"}}"#;
    let (count, bytes) = answered("", reply, |kv| get(kv, Reads::Leader));
    assert!(count == 1 && bytes < 256, "leader: {count} allocations of {bytes} bytes");
    let answer = Answer {
        headers: "NATS/1.0\r\nNats-Stream: KV_b\r\nNats-Subject: $KV.b.a.key.that.is.longer.than.most.of.them\r\n\
                  Nats-Sequence: 7\r\nNats-Time-Stamp: 2024-02-29T12:34:56.5Z\r\n\
                  Nats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n",
        payload: "hello".into(),
        end: "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 7\r\n\
              Nats-UpTo-Sequence: 9\r\n\r\n",
    };
    let (count, bytes) = answered_with(answer, |kv| get(kv, Reads::Verified));
    assert!(count == 1 && bytes < 256, "verified: {count} allocations of {bytes} bytes");
    let captured = Rc::new(1);
    let (count, bytes) = answered(headers, "hello", |kv| {
        let captured = captured.clone();
        let kv = kv.with_reads(Reads::Replica);
        kv.get(KEY, move |count: &mut u64, _, _| *count += *captured);
    });
    assert!(count == 2 && bytes < 256, "captured: {count} allocations of {bytes} bytes");
}

#[test]
fn an_idle_client_takes_little_memory() {
    const CLIENTS: i64 = 100;
    let event_loop: EventLoop<u64> = EventLoop::new().expect("an event loop");
    let mut clients = Vec::with_capacity(CLIENTS as usize);
    let taken = measure(|| {
        for _ in 0..CLIENTS {
            let server = Canned::default();
            server.say(b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\nPONG\r\n");
            let options = Options::new("memory");
            let nats = event_loop.connect_over(InMemory::new(server), options);
            clients.push(nats.expect("a client"));
        }
        while event_loop.dispatch(&mut 0, Some(Duration::ZERO)).expect("a turn") {}
    });
    assert!(clients.iter().all(|nats| nats.server_info().is_some()));
    let each = taken.bytes_current / CLIENTS;
    assert!(each < 16 * 1024, "{each} bytes for each");
}

/// What stays allocated.
fn kept<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let mut result = None;
    let info = measure(|| result = Some(work()));
    (result.expect("a result"), info.bytes_current)
}

#[test]
fn small_messages_that_are_kept_beside_large_ones_keep_little_alive() {
    let message = |size: usize| {
        [format!("MSG a 1 {size}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat()
    };
    let (large, small) = (message(12 << 20), message(10));
    let mut decoder: Decoder = Decoder::new(Limits::new().max_message(64 << 20));
    let (messages, bytes) = kept(|| {
        let mut kept = Vec::new();
        for _ in 0..10 {
            for bytes in [&large, &small].repeat(2) {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let room = decoder.room();
                    let count = room.len().min(rest.len());
                    room[..count].copy_from_slice(&rest[..count]);
                    decoder.filled(count);
                    rest = &rest[count..];
                    while let Some(op) = decoder.next_op().expect("what a server says") {
                        let ServerOp::Message(message) = op else { panic!("{op:?}") };
                        if message.payload().len() == 10 {
                            kept.push(message);
                        }
                    }
                }
            }
        }
        kept
    });
    assert_eq!(messages.len(), 20);
    // each, and the decoder itself
    assert!(bytes < 21 * (300 << 10), "{bytes} bytes are kept");
    drop(messages);
    assert!(decoder.pending() == 0);
}

#[test]
fn a_decoder_keeps_little_after_a_huge_message() {
    let (decoder, bytes) = kept(|| {
        let mut decoder: Decoder = Decoder::new(Limits::new().max_message(64 << 20));
        decoder.feed(format!("MSG a 1 {}\r\n", 50 << 20).as_bytes());
        decoder.feed(&vec![b'x'; 50 << 20]);
        decoder.feed(b"\r\n");
        assert!(matches!(decoder.next_op(), Ok(Some(ServerOp::Message(_)))));
        decoder
    });
    assert!(bytes < 1 << 20, "{bytes} bytes are kept");
    drop(decoder);
}

/// A session whose transport takes everything.
fn session() -> Session<(), (), ()> {
    let mut numbers = 7_u64;
    let random = move || {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers
    };
    let mut session = Session::new(SessionConfig::default(), random);
    let now = std::time::Instant::now();
    session.handle_connecting(now);
    session.leg(Which::Current).handle_connected(Security::Plain);
    session
        .leg(Which::Current)
        .handle_bytes(b"INFO {\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n", now);
    while session.poll_event(&mut Message::default()).is_some() {}
    session.leg(Which::Current).handle_bytes(b"PONG\r\n", now);
    write(&mut session);
    session
}

/// Writes everything, and forgets what has happened.
fn write(session: &mut Session<(), (), ()>) {
    while session.poll_event(&mut Message::default()).is_some() {}
    let mut leg = session.leg(Which::Current);
    let len = leg.writable_len();
    leg.handle_written(len);
}

#[test]
fn memory_follows_use_and_not_what_there_was_at_once_some_day() {
    const MANY: u64 = 200_000;
    let start = std::time::Instant::now();
    let (_requests, bytes) = kept(|| {
        let mut session = session();
        for _ in 0..MANY {
            session.request(OutgoingMessage::new("a", b""), Duration::from_secs(1), ());
        }
        session.handle_turn(start);
        write(&mut session);
        session.handle_timeout(start + Duration::from_secs(2));
        session.handle_turn(start + Duration::from_secs(2));
        write(&mut session);
        session.handle_turn(start + Duration::from_secs(2));
        session
    });
    assert!(bytes < 3 << 20, "{bytes} bytes after requests");
    let (_subscriptions, bytes) = kept(|| {
        let mut session = session();
        let ids: Vec<_> =
            (0..MANY).map(|_| session.subscribe("a", None, ()).expect("room")).collect();
        write(&mut session);
        for id in ids {
            session.unsubscribe(id).expect("a subscription");
        }
        write(&mut session);
        session.handle_turn(start);
        session
    });
    assert!(bytes < 3 << 20, "{bytes} bytes after subscriptions");
    let (_fences, bytes) = kept(|| {
        let mut session = session();
        for _ in 0..MANY {
            session.flush(Duration::from_secs(1), ());
        }
        session.handle_turn(start);
        write(&mut session);
        session.leg(Which::Current).handle_bytes(&b"PONG\r\n".repeat(MANY as usize), start);
        write(&mut session);
        session.handle_timeout(start + Duration::from_secs(2));
        session.handle_turn(start + Duration::from_secs(2));
        session
    });
    assert!(bytes < 3 << 20, "{bytes} bytes after fences");
}
