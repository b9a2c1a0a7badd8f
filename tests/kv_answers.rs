//! What verified reads make of the answers that a replica may give, and that no real one gives at will.

mod support;

use evnats::kv::{Entry, Error, KeyValue, Operation, Reads};
use evnats::{EventLoop, Options};
use evnats_protocol::{ClientOp, Message, ServerOp};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use support::memory::{InMemory, Responder, Responding};
use support::turn_until;

type Kv = KeyValue<()>;
type Found = Result<Option<Entry>, Error>;

/// A message of an answer: its headers and its payload.
type Piece = (String, &'static str);

/// The last message on a key, alone.
fn message(key: &str, sequence: u64, value: &'static str) -> Piece {
    message_with("", key, sequence, value)
}

/// The same with headers of its own.
fn message_with(own: &str, key: &str, sequence: u64, value: &'static str) -> Piece {
    let headers = format!(
        "NATS/1.0\r\n{own}Nats-Stream: KV_b\r\nNats-Subject: $KV.b.{key}\r\n\
         Nats-Sequence: {sequence}\r\nNats-Time-Stamp: 2024-02-29T12:34:56.5Z\r\n\
         Nats-Num-Pending: 0\r\nNats-Last-Sequence: 0\r\n\r\n"
    );
    (headers, value)
}

/// The end of an answer of a replica that has read so far.
fn end(up_to: u64) -> Piece {
    let headers = format!(
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 1\r\n\
         Nats-UpTo-Sequence: {up_to}\r\n\r\n"
    );
    (headers, "")
}

fn status(line: &str) -> Piece {
    (format!("NATS/1.0 {line}\r\n\r\n"), "")
}

/// A server that gives the answers that it was told, one after the other, and none when they are over.
#[derive(Default)]
struct Answering {
    subscriptions: Vec<(String, u64)>,
    answers: Rc<RefCell<VecDeque<Vec<Piece>>>>,
}

impl Responder for Answering {
    fn hear(&mut self, op: ClientOp, say: &mut dyn FnMut(ServerOp)) {
        match op {
            ClientOp::Subscribe { subject, sid, .. } => {
                let pattern = String::from_utf8_lossy(&subject).into_owned();
                self.subscriptions.push((pattern, sid));
            }
            ClientOp::Publish(message) if message.subject() == "$JS.API.INFO" => {
                self.answer(&message, [status("503")], say);
            }
            ClientOp::Publish(message) => {
                let pieces = self.answers.borrow_mut().pop_front();
                self.answer(&message, pieces.unwrap_or_default(), say);
            }
            _ => {}
        }
    }
}

impl Answering {
    fn answer(
        &self,
        question: &Message,
        pieces: impl IntoIterator<Item = Piece>,
        say: &mut dyn FnMut(ServerOp),
    ) {
        let reply = question.reply().expect("a question");
        let is_for = |pattern: &str| reply.starts_with(pattern.trim_end_matches('*'));
        let subscription = self.subscriptions.iter().find(|(pattern, _)| is_for(pattern));
        let (_, sid) = *subscription.expect("somebody who listens");
        for (headers, payload) in pieces {
            let headers = Some(headers.as_bytes());
            let message = Message::new(&reply, sid, None, headers, payload.as_bytes());
            say(ServerOp::Message(message));
        }
    }
}

/// A bucket on a server that gives these answers.
struct Fixture {
    event_loop: EventLoop<()>,
    kv: Kv,
    answers: Rc<RefCell<VecDeque<Vec<Piece>>>>,
}

impl Fixture {
    fn new(answers: impl IntoIterator<Item = Vec<Piece>>) -> Self {
        let answers = Rc::new(RefCell::new(answers.into_iter().collect()));
        let server = Answering { answers: answers.clone(), ..Answering::default() };
        let server = Responding::new(server);
        let event_loop = EventLoop::new().expect("a loop");
        let nats = event_loop.connect_over(InMemory::new(server), Options::new("memory"));
        let kv = nats.expect("a client").jetstream().key_value("b").with_reads(Reads::Verified);
        Self { event_loop, kv, answers }
    }

    #[track_caller]
    fn ask(&self, ask: impl FnOnce(&Kv, Rc<RefCell<Vec<Found>>>), count: usize) -> Vec<Found> {
        let found = Rc::default();
        ask(&self.kv, Rc::clone(&found));
        turn_until(&self.event_loop, &mut (), "the outcomes", |()| found.borrow().len() >= count);
        // what was said beside them is heard, too
        self.event_loop.dispatch(&mut (), Some(std::time::Duration::ZERO)).expect("a turn");
        found.take()
    }

    #[track_caller]
    fn get(&self, key: &'static str) -> Found {
        let get = |kv: &Kv, found: Rc<RefCell<Vec<Found>>>| {
            kv.get(key, move |(), _, entry| found.borrow_mut().push(entry));
        };
        self.ask(get, 1).pop().expect("one")
    }

    fn are_all_given(&self) -> bool {
        self.answers.borrow().is_empty()
    }
}

#[track_caller]
fn value(found: Found) -> (u64, String) {
    let entry = found.expect("an answer").expect("an entry");
    (entry.revision(), entry.text().into_owned())
}

#[test]
fn an_answer_that_comes_twice_is_none_of_the_next_read() {
    let old = [message("k", 5, "old"), end(5)];
    let first = [old.clone(), old].concat();
    let fixture = Fixture::new([first, vec![message("k", 6, "new"), end(6)]]);
    let get_twice = |kv: &Kv, found: Rc<RefCell<Vec<Found>>>| {
        kv.get("k", move |(), kv, entry| {
            found.borrow_mut().push(entry);
            kv.get("k", move |(), _, entry| found.borrow_mut().push(entry));
        });
    };
    let found = fixture.ask(get_twice, 2);
    let read: Vec<_> = found.into_iter().map(value).collect();
    assert_eq!(read, [(5, "old".into()), (6, "new".into())]);
}

#[test]
fn a_replica_that_is_behind_is_asked_again() {
    let fixture = Fixture::new([
        vec![message("a", 9, "a"), end(9)],
        vec![message("b", 3, "old"), end(8)],
        vec![message("b", 3, "last"), end(9)],
    ]);
    assert_eq!(value(fixture.get("a")), (9, "a".into()));
    assert_eq!(value(fixture.get("b")), (3, "last".into()), "proven by the end alone");
    assert!(fixture.are_all_given());
}

#[test]
fn a_message_that_is_new_enough_proves_itself() {
    let end = ("NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n".to_owned(), "");
    let fixture = Fixture::new([
        vec![message("k", 9, "one"), end.clone()],
        vec![message("k", 9, "same"), end],
    ]);
    assert_eq!(value(fixture.get("k")), (9, "one".into()));
    assert_eq!(value(fixture.get("k")), (9, "same".into()));
}

#[test]
fn another_key_is_no_entry_of_the_one_that_was_asked_for() {
    let fixture = Fixture::new([vec![message("key", 5, "v"), end(5)]]);
    assert_eq!(fixture.get("k"), Ok(None));
}

#[test]
fn an_answer_with_more_messages_than_were_asked_for_is_none() {
    let fixture = Fixture::new([
        vec![message("k", 5, "v"), message("k", 6, "w"), end(6)],
        vec![message("k", 7, "x"), end(7)],
    ]);
    assert_eq!(value(fixture.get("k")), (7, "x".into()), "asked again");
}

#[test]
fn what_is_not_as_usual_is_read_all_the_same() {
    let deleted = message_with("KV-Operation: DEL\r\n", "k", 7, "");
    let ttl = message_with("Nats-TTL: 60s\r\n", "k", 8, "with headers");
    let fixture = Fixture::new([
        vec![deleted.clone(), end(7)],
        vec![deleted, end(7)],
        vec![ttl, end(8)],
        vec![message("k", 9, ""), end(9)],
    ]);
    assert_eq!(fixture.get("k"), Ok(None));
    let get_raw = |kv: &Kv, found: Rc<RefCell<Vec<Found>>>| {
        kv.get_raw("k", move |(), _, entry| found.borrow_mut().push(entry));
    };
    let raw = fixture.ask(get_raw, 1).pop().expect("one").expect("an answer").expect("an entry");
    assert_eq!((raw.operation(), raw.revision()), (Operation::Delete, 7));
    assert_eq!(value(fixture.get("k")), (8, "with headers".into()));
    assert_eq!(value(fixture.get("k")), (9, String::new()), "an empty value");
}

#[test]
fn who_has_seen_nothing_takes_the_absence_of_a_key_as_it_is_told() {
    let fixture = Fixture::new([vec![status("404 No Results")], vec![end(5)]]);
    assert_eq!(fixture.get("k"), Ok(None));
    assert_eq!(fixture.get("k"), Ok(None));
}

#[test]
fn a_read_that_is_not_answered_when_the_client_drains_is_told_of_its_end() {
    let fixture = Fixture::new([vec![message("k", 5, "v"), end(5)]]);
    assert_eq!(value(fixture.get("k")), (5, "v".into()));
    let get_and_drain = |kv: &Kv, found: Rc<RefCell<Vec<Found>>>| {
        kv.get("k", move |(), _, entry| found.borrow_mut().push(entry));
        kv.client().drain();
    };
    let found = fixture.ask(get_and_drain, 1);
    let is_closed = matches!(&found[..], [Err(Error::JetStream(error))] if error.is_closed());
    assert!(is_closed, "{found:?}");
}
