//! Advisories: those that can be provoked on a single server.

use crate::support::new_cluster::create_stream;
use crate::support::{Log, flush, run, run_with, server, turn_until, unique};
use evnats::jetstream::advisory::{Advisory, Event};
use evnats::jetstream::{
    ConsumerConfig, Error, JetStream, Listed, Listing, PriorityPolicy, StreamConfig,
};
use evnats::{Client, EventLoop, Options, OutgoingMessage};
use evnats_harness::{Server, requires};
use std::time::{Duration, SystemTime};

/// What a test was told.
#[derive(Default)]
struct Told {
    advisories: Vec<Advisory>,
    end: Option<Error>,
    answers: usize,
}

type Nats = Client<Told>;

fn note(told: &mut Told, _: &Listing<Told>, listed: Listed<Advisory>) {
    match listed {
        Listed::Item(advisory) => told.advisories.push(advisory),
        Listed::Ended(end) => assert!(told.end.replace(end.expect_err("no good end")).is_none()),
    }
}

fn answered<H, T>(told: &mut Told, _: &H, outcome: Result<T, Error>) {
    outcome.expect("done");
    told.answers += 1;
}

/// A loop whose client listens to the advisories that a filter lets through.
struct Room {
    event_loop: EventLoop<Told>,
    nats: Nats,
    told: Told,
}

impl Room {
    fn listening(to: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let nats: Nats = event_loop.connect(server().url().as_str()).expect("a client");
        nats.jetstream().advisories(Some(to), note);
        Self { event_loop, nats, told: Told::default() }
    }

    /// Makes so many calls, and waits until they are answered.
    #[track_caller]
    fn ask(&mut self, count: usize, ask: impl FnOnce(&JetStream<Told>)) {
        let all = self.told.answers + count;
        ask(&self.nats.jetstream());
        turn_until(&self.event_loop, &mut self.told, "answers", |told| told.answers == all);
    }

    /// Waits until there is an event of a kind, and returns it.
    #[track_caller]
    fn event<T>(&mut self, kind: impl Fn(&Event) -> Option<T>) -> T {
        let mut found = None;
        turn_until(&self.event_loop, &mut self.told, "an event", |told| {
            found = told.advisories.iter().find_map(|advisory| kind(&advisory.event));
            found.is_some()
        });
        found.expect("it was found")
    }

    fn create_stream(&mut self, config: &StreamConfig) {
        // now and then server 2.9 fails to make a store when many come and go
        let answered = |told: &mut Told, _: &JetStream<Told>, _| told.answers += 1;
        self.ask(1, |js| create_stream(js, config.clone(), answered));
    }

    fn create_consumer(&mut self, stream: &str, config: &ConsumerConfig) {
        self.ask(1, |js| js.create_consumer(stream, config, answered));
    }

    fn publish(&mut self, subject: &str) {
        self.ask(1, |js| js.publish(subject, "x", answered));
    }

    /// Has the next message of a consumer answered.
    fn deliver(&mut self, stream: &str, consumer: &str, reply: &'static str) {
        let inbox = unique("next");
        let subscribed = self.nats.subscribe(&inbox, move |told: &mut Told, sub, message| {
            if message.reply().is_some() {
                told.answers += 1;
                sub.client().respond(message, reply)?;
            }
            Ok(())
        });
        subscribed.expect("a subscription");
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let request = OutgoingMessage::new(&subject, r#"{"batch":1,"group":"g"}"#).reply(&inbox);
        self.ask(1, |js| js.client().send(request).expect("sent"));
    }

    fn end(self) {
        self.nats.close();
        crate::support::finish_with(&self.event_loop, &mut { self.told });
    }
}

#[test]
fn streams_that_are_created_changed_and_deleted_are_told_of() {
    let name = unique("TOLD");
    let mut room = Room::listening(&format!("ADVISORY.STREAM.*.{name}"));
    let config = StreamConfig::new(&name).subjects([&name]);
    room.create_stream(&config);
    // one after the other: servers need not take them in their order
    room.ask(1, |js| js.update_stream(&config.clone().description("changed"), answered));
    room.ask(1, |js| js.delete_stream(&name, answered));
    room.event(|event| matches!(event, Event::StreamDeleted(_)).then_some(()));
    // one that had to be created again is told of again
    let kind = |advisory: &Advisory| std::mem::discriminant(&advisory.event);
    room.told.advisories.dedup_by_key(|advisory| kind(advisory));
    assert_eq!(room.told.advisories.len(), 3, "{:?}", room.told.advisories);
    let mut ids = Vec::new();
    for (place, advisory) in room.told.advisories.iter().enumerate() {
        let (subject, told) = match (place, &advisory.event) {
            (0, Event::StreamCreated(told)) => ("CREATED", told),
            (1, Event::StreamUpdated(told)) => ("UPDATED", told),
            (2, Event::StreamDeleted(told)) => ("DELETED", told),
            (_, event) => panic!("{place}: {event:?}"),
        };
        assert_eq!(told.stream, name);
        assert_eq!(advisory.subject, format!("$JS.EVENT.ADVISORY.STREAM.{subject}.{name}"));
        let age = SystemTime::now().duration_since(advisory.time.expect("a time"));
        assert!(age.is_ok_and(|age| age < Duration::from_secs(60)), "{advisory:?}");
        ids.push(&advisory.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    room.end();
}

#[test]
fn what_becomes_of_deliveries_is_told() {
    let name = unique("TOLD");
    let mut room = Room::listening(&format!("*.CONSUMER.*.{name}.>"));
    room.create_stream(&StreamConfig::new(&name).subjects([&name]));
    let config = ConsumerConfig::new("C").durable_name("C").max_deliver(2).sample_freq("100%");
    room.create_consumer(&name, &config);
    let created = room.event(|event| match event {
        Event::ConsumerCreated(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((created.stream.as_str(), created.consumer.as_str()), (name.as_str(), "C"));

    room.publish(&name);
    room.deliver(&name, "C", "+ACK");
    let told = room.event(|event| match event {
        Event::Acknowledged(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((told.delivery.stream_sequence, told.delivery.deliveries), (1, 1));
    assert!(told.after.is_some_and(|after| after < Duration::from_secs(60)));

    room.publish(&name);
    // a reason, with which it is not understood before 2.10.4
    let has_reason = server().version().minor >= 10;
    room.deliver(&name, "C", if has_reason { "+TERM it is bad" } else { "+TERM" });
    let told = room.event(|event| match event {
        Event::Terminated(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((told.delivery.stream_sequence, told.delivery.consumer_sequence), (2, 2));
    assert_eq!(told.reason, if has_reason { "it is bad" } else { "" });

    room.publish(&name);
    room.deliver(&name, "C", "-NAK");
    room.deliver(&name, "C", "-NAK");
    let told = room.event(|event| match event {
        Event::Naked(told) if told.deliveries == 2 => Some(told.clone()),
        _ => None,
    });
    assert_eq!((told.stream_sequence, told.consumer_sequence), (3, 4));
    // the server notices when it would deliver it again
    room.publish(&name);
    room.deliver(&name, "C", "+ACK");
    let told = room.event(|event| match event {
        Event::MaxDeliveries(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((told.stream_sequence, told.deliveries, told.consumer_sequence), (3, 2, 0));

    room.ask(1, |js| js.delete_consumer(&name, "C", answered));
    let deleted = room.event(|event| match event {
        Event::ConsumerDeleted(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!(deleted, created);
    room.end();
}

#[test]
fn pauses_and_pins_are_told() {
    requires!(server(), 2, 11);
    let name = unique("TOLD");
    let mut room = Room::listening(&format!("ADVISORY.CONSUMER.*.{name}.C"));
    room.create_stream(&StreamConfig::new(&name).subjects([&name]));
    let config = ConsumerConfig::new("C")
        .durable_name("C")
        .priority_groups(["g"])
        .priority_policy(PriorityPolicy::PinnedClient);
    room.create_consumer(&name, &config);
    let until = SystemTime::now() + Duration::from_secs(600);
    room.ask(1, |js| js.pause_consumer(&name, "C", until, answered));
    room.ask(1, |js| js.resume_consumer(&name, "C", answered));
    let paused = room.event(|event| match event {
        Event::ConsumerPauseChanged(told) if told.paused => Some(told.clone()),
        _ => None,
    });
    assert_eq!(paused.until, Some(until));
    let resumed = room.event(|event| match event {
        Event::ConsumerPauseChanged(told) if !told.paused => Some(told.clone()),
        _ => None,
    });
    assert_eq!(resumed.consumer, "C");

    room.publish(&name);
    room.deliver(&name, "C", "+ACK");
    let pinned = room.event(|event| match event {
        Event::GroupPinned(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!(pinned.group, "g");
    assert!(!pinned.pin_id.is_empty());
    room.ask(1, |js| js.stream(&name).consumer("C").unpin("g", answered));
    let unpinned = room.event(|event| match event {
        Event::GroupUnpinned(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((unpinned.group.as_str(), unpinned.reason.as_str()), ("g", "admin"));
    let account = &room.told.advisories.last().expect("the last one").account;
    assert_eq!(account.as_deref(), Some("$G"));
    room.end();
}

#[test]
fn a_batch_that_is_abandoned_is_told() {
    requires!(server(), 2, 12);
    let name = unique("TOLD");
    let mut room = Room::listening(&format!("ADVISORY.STREAM.BATCH_ABANDONED.{name}"));
    room.create_stream(&StreamConfig::new(&name).subjects([&name]).allow_atomic(true));
    // the second of its messages is missing
    for sequence in ["1", "3"] {
        let headers = evnats::HeaderMap::new()
            .with("Nats-Batch-Id", "b7")
            .with("Nats-Batch-Sequence", sequence);
        let inbox = unique("batch");
        let message = OutgoingMessage::new(&name, "x").headers(&headers).reply(&inbox);
        room.nats.send(message).expect("sent");
    }
    let abandoned = room.event(|event| match event {
        Event::BatchAbandoned(told) => Some(told.clone()),
        _ => None,
    });
    assert_eq!((abandoned.batch.as_str(), abandoned.reason.as_str()), ("b7", "incomplete"));
    room.end();
}

#[test]
fn the_use_of_the_api_is_told_with_request_and_reply() {
    let name = unique("TOLD");
    let mut room = Room::listening("ADVISORY.API");
    room.create_stream(&StreamConfig::new(&name).subjects([&name]));
    let subject = format!("$JS.API.STREAM.CREATE.{name}");
    let audit = room.event(|event| match event {
        Event::ApiAudit(told) if told.subject == subject => Some(told.clone()),
        _ => None,
    });
    assert!(audit.request.contains(&name) && audit.response.contains("stream_create_response"));
    let client = audit.client.expect("who it was");
    assert_eq!(client.account.as_deref(), Some("$G"));
    assert!(client.server.is_some() && client.round_trip.is_some());
    room.end();
}

#[test]
fn what_others_publish_there_is_unknown_and_no_panic() {
    let place = unique("HERE");
    let mut room = Room::listening(&place);
    room.nats.publish(&format!("$JS.EVENT.{place}"), "\u{0}{").expect("sent");
    room.event(|event| match event {
        Event::Unknown { of_type } if of_type.is_empty() => Some(()),
        _ => None,
    });
    assert_eq!(room.told.advisories[0].body, "\0{");
    room.end();
}

#[test]
fn a_listener_that_is_stopped_from_inside_is_told_nothing_more() {
    let event_loop = EventLoop::<Told>::new().expect("an event loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let place = unique("HERE");
    let listening =
        nats.jetstream().advisories(Some(&place), |told: &mut Told, listing, listed| {
            assert!(matches!(listed, Listed::Item(_)), "{listed:?}");
            told.answers += 1;
            listing.stop();
            assert!(!listing.is_active());
        });
    for _ in 0..3 {
        nats.publish(&format!("$JS.EVENT.{place}"), "x").expect("sent");
    }
    let mut told = Told::default();
    flush(&event_loop, &mut told, &nats);
    assert_eq!(told.answers, 1);
    listening.stop();
    nats.close();
    crate::support::finish_with(&event_loop, &mut told);
    assert_eq!(told.answers, 1);
}

#[test]
fn the_end_of_the_client_is_the_end_of_listening() {
    let mut room = Room::listening("ADVISORY.>");
    flush(&room.event_loop, &mut room.told, &room.nats);
    room.nats.close();
    crate::support::finish_with(&room.event_loop, &mut room.told);
    assert_eq!(room.told.end, Some(Error::Closed));

    // and one that begins after it is told so in the next turn
    room.nats.jetstream().advisories(None, |told: &mut Told, _, listed| {
        let Listed::Ended(Err(error)) = listed else { panic!("{listed:?}") };
        told.end = Some(error);
    });
    room.told.end = None;
    crate::support::finish_with(&room.event_loop, &mut room.told);
    assert!(room.told.end.is_some_and(|error| error.is_closed()));
}

#[test]
fn a_filter_that_is_no_subject_is_an_error_of_the_callback() {
    let log: Log = run(|nats: &Client<Log>| {
        nats.jetstream().advisories(Some("a b"), |log: &mut Log, listing, listed| {
            let Listed::Ended(Err(error)) = listed else { panic!("{listed:?}") };
            log.push(error.to_string());
            listing.jetstream().client().close();
        });
    });
    assert_eq!(log.len(), 1);
    assert!(log[0].contains("subject"), "{log:?}");
}

#[test]
fn who_may_not_listen_is_told_so() {
    let config = "authorization { users: [ { user: u, password: p, permissions: { \
                  subscribe: { allow: \"_INBOX.>\" } } } ] }";
    let server = Server::builder().config(config).start().expect("a server");
    let url = server.url().replace("://", "://u:p@");
    let log: Log = run_with(Options::new(url), |nats: &Client<Log>| {
        nats.on_error(|_, _, _| {});
        nats.jetstream().advisories(Some("ADVISORY.>"), |log: &mut Log, listing, listed| {
            let Listed::Ended(Err(error)) = listed else { panic!("{listed:?}") };
            assert!(error.is_denied());
            log.push(error.to_string());
            listing.jetstream().client().close();
        });
    });
    let expected = "the server does not permit to subscribe to \"$JS.EVENT.ADVISORY.>\"; see the \
                    client's on_error";
    assert_eq!(log, [expected]);
}
