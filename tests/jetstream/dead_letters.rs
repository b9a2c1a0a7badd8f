//! Dead letters: what a consumer gives up is told with the message, or with the reason why there is none.

use crate::support::{finish_with, flush, run_with, server, turn_until, unique};
use evnats::jetstream::{
    AckPolicy, ConsumerConfig, DeadLetter, DeadLetterCause, DeadLetterOptions, Error, JetStream,
    Listed, Listing, MessageQuery, ReadFrom, Retention, StreamConfig,
};
use evnats::{Client, EventLoop, HeaderMap, Options, OutgoingMessage};
use evnats_harness::Server;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What a test was told.
#[derive(Default)]
struct Told {
    letters: Vec<DeadLetter>,
    end: Option<Error>,
    answers: usize,
}

fn note(told: &mut Told, _: &Listing<Told>, listed: Listed<DeadLetter>) {
    match listed {
        Listed::Item(letter) => {
            assert_eq!(told.end, None, "the end is the last");
            told.letters.push(letter);
        }
        Listed::Ended(end) => assert!(told.end.replace(end.expect_err("no good end")).is_none()),
    }
}

fn answered<H, T>(told: &mut Told, _: &H, outcome: Result<T, Error>) {
    outcome.expect("done");
    told.answers += 1;
}

/// A loop with a client, and a stream of its own on a server.
struct Room {
    event_loop: EventLoop<Told>,
    nats: Client<Told>,
    stream: String,
    told: Told,
}

impl Room {
    fn new() -> Self {
        Self::on(server(), |config| config)
    }

    fn on(server: &Server, adjust: impl FnOnce(StreamConfig) -> StreamConfig) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let options = Options::new(server.url()).reconnect_delay(Duration::from_millis(20));
        let nats = event_loop.connect(options).expect("a client");
        let stream = unique("DEAD");
        let mut room = Self { event_loop, nats, stream, told: Told::default() };
        let config = StreamConfig::new(&room.stream).subjects([format!("{}.>", room.stream)]);
        room.ask(1, |js| js.create_stream(&adjust(config), answered));
        room
    }

    /// Makes so many calls, and waits until they are answered.
    #[track_caller]
    fn ask(&mut self, count: usize, ask: impl FnOnce(&JetStream<Told>)) {
        let all = self.told.answers + count;
        ask(&self.nats.jetstream());
        turn_until(&self.event_loop, &mut self.told, "answers", |told| told.answers == all);
    }

    fn create_consumer(&mut self, config: ConsumerConfig) {
        let stream = self.stream.clone();
        self.ask(1, |js| js.create_consumer(&stream, &config, answered));
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        let subject = format!("{}.{subject}", self.stream);
        self.ask(1, |js| js.publish(&subject, payload, answered));
    }

    /// Has the next message of a consumer answered; an empty answer is none.
    fn deliver(&mut self, consumer: &str, reply: &'static str) {
        let inbox = unique("next");
        let subscribed = self.nats.subscribe(&inbox, move |told: &mut Told, sub, message| {
            if message.reply().is_some() {
                told.answers += 1;
                if !reply.is_empty() {
                    sub.client().respond(message, reply)?;
                }
            }
            Ok(())
        });
        subscribed.expect("a subscription");
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", self.stream);
        let request = OutgoingMessage::new(&subject, r#"{"batch":1}"#).reply(&inbox);
        self.ask(1, |js| js.client().send(request).expect("sent"));
    }

    fn listen(&self) -> Listing<Told> {
        let stream = self.nats.jetstream().stream(&self.stream);
        stream.dead_letters(&DeadLetterOptions::new(), note)
    }

    /// Waits until so many dead letters were told, and returns them.
    #[track_caller]
    fn letters(&mut self, count: usize) -> &[DeadLetter] {
        let told = &mut self.told;
        turn_until(&self.event_loop, told, "dead letters", |told| told.letters.len() >= count);
        &self.told.letters
    }

    fn flush(&mut self) {
        flush(&self.event_loop, &mut self.told, &self.nats);
    }

    fn end(mut self) -> Told {
        self.nats.close();
        finish_with(&self.event_loop, &mut self.told);
        self.told
    }
}

fn durable(name: &str) -> ConsumerConfig {
    ConsumerConfig::new(name).durable_name(name).ack_policy(AckPolicy::Explicit)
}

#[test]
fn a_message_whose_deliveries_are_used_up_is_told_with_what_is_stored() {
    let mut room = Room::new();
    room.create_consumer(durable("C").max_deliver(2).ack_wait(Duration::from_millis(100)));
    let listing = room.listen();
    let subject = format!("{}.order", room.stream);
    let headers = HeaderMap::new().with("Of", "ada");
    let message = OutgoingMessage::new(&subject, "tea").headers(&headers).reply("_INBOX.none.0");
    room.nats.send(message).expect("sent");
    // nobody answers, and the server has somebody who waits for the next one
    room.deliver("C", "");
    room.deliver("C", "");
    let inbox = unique("next");
    room.nats.subscribe(&inbox, |_: &mut Told, _, _| {}).expect("a subscription");
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.C", room.stream);
    let request = OutgoingMessage::new(&next, r#"{"batch":1,"expires":60000000000}"#);
    room.nats.send(request.reply(&inbox)).expect("sent");
    let stream = room.stream.clone();
    let [letter] = room.letters(1) else { panic!("one") };
    assert_eq!(letter.cause, DeadLetterCause::MaxDeliver);
    let delivery = &letter.delivery;
    assert_eq!((delivery.stream.as_str(), delivery.consumer.as_str()), (stream.as_str(), "C"));
    assert_eq!((delivery.stream_sequence, delivery.deliveries), (1, 2));
    let age = SystemTime::now().duration_since(letter.time.expect("a time"));
    assert!(age.is_ok_and(|age| age < Duration::from_secs(60)), "{letter:?}");
    let message = letter.message.as_ref().expect("the message");
    assert_eq!((message.sequence(), message.payload()), (1, &b"tea"[..]));
    assert_eq!(message.headers().get("Of").as_deref(), Some("ada"));
    assert!(listing.is_active());
    let told = room.end();
    assert_eq!((told.letters.len(), told.end), (1, Some(Error::Closed)));
}

#[test]
fn a_terminated_message_is_told_with_the_reason_if_there_is_one() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    room.listen();
    room.publish("a", "one");
    room.publish("a", "two");
    room.deliver("C", "+TERM");
    // before 2.10.4, a server passes over what has a reason
    let has_reason = server().version().minor >= 10;
    room.deliver("C", if has_reason { "+TERM it is bad" } else { "+TERM" });
    let letters = room.letters(2);
    assert_eq!(letters[0].cause, DeadLetterCause::Terminated { reason: None });
    let reason = has_reason.then(|| "it is bad".to_owned());
    assert_eq!(letters[1].cause, DeadLetterCause::Terminated { reason });
    let delivery = &letters[1].delivery;
    assert_eq!((delivery.stream_sequence, delivery.consumer_sequence), (2, 2));
    let payload = |letter: &DeadLetter| letter.message.clone().expect("stored").payload().to_vec();
    assert_eq!((payload(&letters[0]), payload(&letters[1])), (b"one".into(), b"two".into()));
    room.end();
}

#[test]
fn a_message_that_is_gone_is_told_as_such() {
    let mut room = Room::on(server(), |config| config.retention(Retention::WorkQueue));
    room.create_consumer(durable("C"));
    room.listen();
    room.publish("a", "one");
    room.deliver("C", "+TERM");
    let letter = &room.letters(1)[0];
    assert_eq!(letter.delivery.stream_sequence, 1);
    let error = letter.message.as_ref().expect_err("a work queue removes it");
    assert!(error.is_not_found(), "{error}");
    assert!(error.api().is_some_and(|error| error.err_code().0 == 10037), "{error}");
    room.end();
}

#[test]
fn a_consumer_hears_of_its_own_and_the_stream_of_all() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    room.create_consumer(durable("D"));
    room.listen();
    let of_one = Rc::new(Cell::new(0));
    let count = of_one.clone();
    let consumer = room.nats.jetstream().stream(&room.stream).consumer("D");
    consumer.dead_letters(&DeadLetterOptions::new(), move |_: &mut Told, _, listed| {
        if let Listed::Item(letter) = listed {
            assert_eq!(letter.delivery.consumer, "D");
            count.set(count.get() + 1);
        }
    });
    room.publish("a", "one");
    room.deliver("C", "+TERM");
    room.deliver("D", "+TERM");
    let letters = room.letters(2).iter();
    // servers tell of two consumers in any order
    let consumers: BTreeSet<_> = letters.map(|letter| letter.delivery.consumer.clone()).collect();
    assert!(consumers.iter().eq(["C", "D"]), "{consumers:?}");
    turn_until(&room.event_loop, &mut room.told, "the other one", |_| of_one.get() > 0);
    room.flush();
    assert_eq!((of_one.get(), room.told.letters.len()), (1, 2));
    room.end();
}

#[test]
fn of_a_queue_group_each_dead_letter_is_told_to_one() {
    const COUNT: usize = 20;
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    let options = DeadLetterOptions::new().queue_group("undertakers");
    room.nats.jetstream().stream(&room.stream).dead_letters(&options, note);
    let other: Client<Told> = room.event_loop.connect(server().url().as_str()).expect("a client");
    other.jetstream().stream(&room.stream).dead_letters(&options, note);
    flush(&room.event_loop, &mut room.told, &other);
    for _ in 0..COUNT {
        room.publish("a", "x");
        room.deliver("C", "+TERM");
    }
    room.letters(COUNT);
    for nats in [&other, &room.nats.clone()] {
        flush(&room.event_loop, &mut room.told, nats);
    }
    let mut told: Vec<_> =
        room.told.letters.iter().map(|letter| letter.delivery.stream_sequence).collect();
    told.sort_unstable();
    assert_eq!(told, (1..=COUNT as u64).collect::<Vec<_>>());
    // both ends are told
    room.told.end = None;
    other.close();
    turn_until(&room.event_loop, &mut room.told, "an end", |told| told.end.take().is_some());
    room.end();
}

/// Has a message terminated on a server of its own that is frozen as the advisory comes, so that nobody
/// answers the read.
fn frozen_before_the_read() -> (Room, Rc<RefCell<Server>>) {
    let server = Server::start();
    let mut room = Room::on(&server, |config| config);
    let server = Rc::new(RefCell::new(server));
    room.create_consumer(durable("C"));
    room.publish("a", "one");
    let (freezing, is_frozen) = (server.clone(), Rc::new(Cell::new(false)));
    let frozen = is_frozen.clone();
    let terminations = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>";
    let on_advisory = move |_: &mut Told, _: &evnats::Subscription<Told>, _: &evnats::Message| {
        freezing.borrow().pause();
        frozen.set(true);
    };
    room.nats.subscribe(terminations, on_advisory).expect("a subscription");
    room.listen();
    room.flush();
    room.deliver("C", "+TERM");
    turn_until(&room.event_loop, &mut room.told, "an advisory", |_| is_frozen.get());
    (room, server)
}

#[test]
fn what_the_server_was_killed_over_is_read_from_the_next_one() {
    let (mut room, server) = frozen_before_the_read();
    assert_eq!(room.told.letters, []);
    server.borrow_mut().kill9();
    server.borrow_mut().start_again();
    let letter = &room.letters(1)[0];
    assert_eq!(letter.delivery.stream_sequence, 1);
    assert_eq!(letter.message.as_ref().map(|message| message.payload()), Ok(&b"one"[..]));
    room.end();
}

#[test]
fn what_waits_at_the_end_of_the_client_is_told_before_the_end() {
    let (room, server) = frozen_before_the_read();
    assert_eq!(room.told.letters, []);
    let told = room.end();
    let [letter] = &told.letters[..] else { panic!("{:?}", told.letters) };
    assert!(letter.message.as_ref().is_err_and(Error::is_closed), "{letter:?}");
    assert_eq!(told.end, Some(Error::Closed));
    server.borrow().resume();
}

#[test]
fn what_cannot_be_read_in_time_is_told_with_the_error() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    // an API without anybody who could answer
    let js = room.nats.jetstream().with_prefix(&unique("nobody"));
    let options = DeadLetterOptions::new().patience(Duration::from_millis(500));
    js.stream(&room.stream).dead_letters(&options, note);
    room.publish("a", "one");
    room.deliver("C", "+TERM");
    let letter = &room.letters(1)[0];
    assert_eq!(letter.message, Err(Error::NotAvailable));
    room.end();
}

/// Stores so many messages, and has all of them told as dead letters at once.
fn storm(options: &DeadLetterOptions, count: u64) -> Vec<DeadLetter> {
    let mut room = Room::new();
    let subject = format!("{}.a", room.stream);
    room.ask(count as usize, |js| {
        for number in 1..=count {
            js.publish(&subject, number.to_string(), answered);
        }
    });
    room.nats.jetstream().stream(&room.stream).dead_letters(options, note);
    let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{}.C", room.stream);
    for sequence in 1..=count {
        let advisory = format!(
            r#"{{"type":"io.nats.jetstream.advisory.v1.max_deliver","stream":{:?},"consumer":"C",
            "stream_seq":{sequence},"deliveries":2}}"#,
            room.stream
        );
        room.nats.publish(&subject, advisory).expect("sent");
    }
    room.letters(count as usize);
    room.end().letters
}

#[test]
fn of_a_storm_all_are_told_in_their_order() {
    const COUNT: u64 = 2_000;
    let letters = storm(&DeadLetterOptions::new(), COUNT);
    for (letter, sequence) in letters.iter().zip(1..) {
        let message = letter.message.as_ref().expect("the message");
        assert_eq!((letter.delivery.stream_sequence, message.sequence()), (sequence, sequence));
        assert_eq!(message.payload(), sequence.to_string().as_bytes());
    }
    assert_eq!(letters.len() as u64, COUNT);
}

#[test]
fn a_storm_beyond_the_limit_is_told_in_part_without_messages() {
    const COUNT: u64 = 2_000;
    let letters = storm(&DeadLetterOptions::new().max_waiting(100), COUNT);
    let (told, untold): (Vec<_>, Vec<_>) =
        letters.iter().partition(|letter| letter.message.is_ok());
    assert!(told.len() >= 100 && !untold.is_empty(), "{} of {COUNT}", told.len());
    assert!(told.is_sorted_by_key(|letter| letter.delivery.stream_sequence));
    let too_many = Err(Error::TooManyDeadLetters { waiting: 100 });
    assert!(untold.iter().all(|letter| letter.message == too_many));
    let mut all: Vec<_> = letters.iter().map(|letter| letter.delivery.stream_sequence).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=COUNT).collect::<Vec<_>>());
}

#[test]
fn what_there_is_no_room_for_is_told_without_its_message() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    let options = DeadLetterOptions::new().max_waiting(0);
    room.nats.jetstream().stream(&room.stream).dead_letters(&options, note);
    room.publish("a", "one");
    room.deliver("C", "+TERM");
    let letter = &room.letters(1)[0];
    assert_eq!(letter.message, Err(Error::TooManyDeadLetters { waiting: 0 }));
    assert_eq!(letter.delivery.stream_sequence, 1);
    room.end();
}

#[test]
fn what_others_publish_there_is_no_dead_letter() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    room.listen();
    let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{}.C", room.stream);
    let of_another = r#"{"type":"io.nats.jetstream.advisory.v1.terminated","stream":"ANOTHER",
        "consumer":"C","stream_seq":1}"#;
    for body in ["", "{", "null", of_another] {
        room.nats.publish(&subject, body).expect("sent");
    }
    room.publish("a", "one");
    room.deliver("C", "+TERM");
    room.letters(1);
    room.flush();
    assert_eq!(room.told.letters.len(), 1);
    room.end();
}

#[test]
fn a_listener_that_is_stopped_from_inside_is_told_nothing_more() {
    let mut room = Room::new();
    room.create_consumer(durable("C"));
    let stream = room.nats.jetstream().stream(&room.stream);
    let listening = stream.dead_letters(
        &DeadLetterOptions::new(),
        |told: &mut Told, listing: &Listing<Told>, listed| {
            note(told, listing, listed);
            listing.stop();
        },
    );
    for _ in 0..3 {
        room.publish("a", "x");
        room.deliver("C", "+TERM");
    }
    room.letters(1);
    room.flush();
    assert!(!listening.is_active());
    let told = room.end();
    assert_eq!((told.letters.len(), told.end), (1, None));
}

#[test]
fn names_that_cannot_be_one_are_an_end_in_the_next_turn() {
    for (stream, consumer) in [("S", "a b"), ("a.b", "C")] {
        let end = run_with(server().url().as_str(), |nats: &Client<Option<Error>>| {
            let consumer = nats.jetstream().stream(stream).consumer(consumer);
            let options = DeadLetterOptions::new();
            consumer.dead_letters(&options, |end: &mut Option<Error>, listing, listed| {
                let Listed::Ended(Err(error)) = listed else { panic!("{listed:?}") };
                *end = Some(error);
                listing.jetstream().client().close();
            });
        });
        assert!(matches!(end, Some(Error::InvalidName { .. })), "{end:?}");
    }
}

#[test]
fn what_nobody_was_told_of_is_what_a_work_queue_has_below_the_floor() {
    let mut room = Room::on(server(), |config| config.retention(Retention::WorkQueue));
    room.create_consumer(durable("C").max_deliver(1).ack_wait(Duration::from_secs(60)));
    for payload in ["given up", "done", "done"] {
        room.publish("a", payload);
    }
    // a server that takes the NAK after the ACKs leaves the floor below all of them
    let is_taken = Rc::new(Cell::new(false));
    let advisory = format!("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.{}.C", room.stream);
    let taken = is_taken.clone();
    let subscribed = room.nats.subscribe(&advisory, move |_, _, _| taken.set(true));
    subscribed.expect("a subscription");
    room.deliver("C", "-NAK");
    turn_until(&room.event_loop, &mut room.told, "the NAK to be taken", |_| is_taken.get());
    room.deliver("C", "+ACK");
    // with this one it would be delivered again
    room.deliver("C", "+ACK");
    room.flush();
    let stream = room.stream.clone();
    let mut floor = 0;
    turn_until(&room.event_loop, &mut room.told, "the floor", |_| {
        floor = floor_of(&stream);
        floor == 3
    });
    let query = |sequence| MessageQuery::Sequence(sequence);
    room.ask(2, |js| {
        js.stored_message(&stream, query(1), ReadFrom::Leader, |told, js, read| {
            assert_eq!(read.as_ref().map(|message| message.payload()), Ok(&b"given up"[..]));
            answered(told, js, read);
        });
        js.stream_info(&stream, |told, js, info| {
            assert_eq!(info.as_ref().map(|info| info.state.messages), Ok(1));
            answered(told, js, info);
        });
    });
    room.end();
}

/// The consumer's floor: it has delivered what is stored there and before, for the last time.
fn floor_of(stream: &str) -> u64 {
    run_with(server().url().as_str(), |nats: &Client<u64>| {
        nats.jetstream().consumer_info(stream, "C", |floor: &mut u64, js, info| {
            *floor = info.expect("a consumer").ack_floor.stream_sequence;
            js.client().close();
        });
    })
}
