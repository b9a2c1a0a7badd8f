//! What the servers of a cluster tell of their own accord, and the backup of what they keep together.

use super::members::{consumer, outcome, stream, stream_when};
use crate::support::turn_until;
use evnats::EventLoop;
use evnats::jetstream::advisory::Event;
use evnats::jetstream::{
    ConsumerConfig, DeadLetterOptions, Error, Listed, Restoring, SnapshotOptions, Stream,
    StreamBackup,
};
use evnats_harness::Cluster;
use std::cell::RefCell;
use std::rc::Rc;

type Events = Rc<RefCell<Vec<Event>>>;

/// Has what is told of streams and consumers noted.
fn listen(stream: &Stream) -> Events {
    let events = Events::default();
    let noted = events.clone();
    stream.jetstream().advisories(Some("ADVISORY.>"), move |(), _, listed| {
        if let Listed::Item(advisory) = listed {
            noted.borrow_mut().push(advisory.event);
        }
    });
    events
}

/// Waits until something was told.
fn told(event_loop: &EventLoop, events: &Events, what: &str, is_it: impl Fn(&Event) -> bool) {
    turn_until(event_loop, &mut (), what, |()| events.borrow().iter().any(&is_it));
}

#[test]
fn elections_are_told() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 3);
    let events = listen(&stream);
    consumer(&event_loop, &stream, ConsumerConfig::new("worker").durable_name("worker"));
    let name = stream.name();
    told(&event_loop, &events, "a leader of the consumer", |event| match event {
        Event::ConsumerLeaderElected(of) => {
            of.stream == name && of.consumer.as_deref() == Some("worker") && !of.leader.is_empty()
        }
        _ => false,
    });
    let before = stream_when(&event_loop, &stream, "a leader", |cluster| cluster.leader.is_some());
    outcome(&event_loop, "a step-down", |given| {
        stream.step_down(None, move |(), _, done| given.set(Some(done)));
    })
    .expect("it steps down");
    let leader = before.leader.expect("a leader");
    told(&event_loop, &events, "another leader of the stream", |event| match event {
        Event::StreamLeaderElected(of) => {
            of.stream == name && of.leader != leader && of.replicas.len() == 3
        }
        _ => false,
    });
    stream.client().close();
    crate::support::finish_with(&event_loop, &mut ());
}

#[test]
fn a_dead_letter_is_told_by_the_next_leader_if_the_one_that_was_asked_is_killed() {
    let cluster = Rc::new(RefCell::new(Cluster::start()));
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster.borrow(), 3);
    outcome(&event_loop, "a message", |given| {
        let js = stream.jetstream();
        js.publish(stream.name(), "the message", move |(), _, stored| given.set(Some(stored)));
    })
    .expect("stored");
    // the client is connected to the first node
    let place = |name: &str| cluster.borrow().index_by_name(name).expect("a node");
    let leader = loop {
        let info =
            stream_when(&event_loop, &stream, "a leader", |cluster| cluster.leader.is_some());
        let leader = place(info.leader.as_deref().expect("a leader"));
        if leader != 0 {
            break leader;
        }
        let _ = outcome(&event_loop, "a step-down", |given| {
            stream.step_down(None, move |(), _, done| given.set(Some(done)));
        });
    };
    let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{}.C", stream.name());
    let killing = cluster.clone();
    let kill = move |(): &mut (), _: &evnats::Subscription, _: &evnats::Message| {
        killing.borrow_mut().server_mut(leader).kill9();
    };
    stream.client().subscribe(&subject, kill).expect("a subscription");
    let letters = Rc::<RefCell<Vec<_>>>::default();
    let noted = letters.clone();
    stream.dead_letters(&DeadLetterOptions::new(), move |(), _, listed| {
        if let Listed::Item(letter) = listed {
            noted.borrow_mut().push(letter);
        }
    });
    let advisory = format!(
        r#"{{"type":"io.nats.jetstream.advisory.v1.terminated","stream":{:?},"consumer":"C",
        "stream_seq":1}}"#,
        stream.name()
    );
    stream.client().publish(&subject, advisory).expect("sent");
    turn_until(&event_loop, &mut (), "a dead letter", |()| !letters.borrow().is_empty());
    let message = letters.borrow()[0].message.clone().expect("the message");
    assert_eq!(message.payload(), b"the message");
    stream.client().close();
    crate::support::finish_with(&event_loop, &mut ());
}

/// The short form is a test of what such an advisory has, as a unit.
#[test]
#[ignore = "20 seconds: servers take their time to be sure"]
fn the_loss_of_a_quorum_is_told() {
    let mut cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 3);
    let events = listen(&stream);
    // the client is connected to the one that stays
    for node in [1, 2] {
        cluster.server_mut(node).kill9();
    }
    let name = stream.name();
    told(&event_loop, &events, "a lost quorum", |event| match event {
        Event::StreamQuorumLost(of) => of.stream == name && of.replicas.len() == 3,
        _ => false,
    });
    stream.client().close();
    crate::support::finish_with(&event_loop, &mut ());
}

#[test]
fn a_stream_with_replicas_is_backed_up_and_restored() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    // with the account's last stream, servers remove its directory, into which one is to be restored
    let kept = stream(&event_loop, &cluster, 3);
    let stream = stream(&event_loop, &cluster, 3);
    const MESSAGES: u64 = 300;
    for number in 1..MESSAGES {
        stream.client().publish(stream.name(), vec![number as u8; 1000]).expect("sent");
    }
    outcome(&event_loop, "the last message", |given| {
        let js = stream.jetstream();
        js.publish(stream.name(), "x", move |(), _, stored| given.set(Some(stored)));
    })
    .expect("stored");
    let bytes = Rc::<RefCell<Vec<u8>>>::default();
    let backup: StreamBackup = outcome(&event_loop, "a snapshot", |given| {
        let bytes = bytes.clone();
        stream.snapshot(&SnapshotOptions::new(), move |(), _, listed| match listed {
            Listed::Item(chunk) => bytes.borrow_mut().extend_from_slice(&chunk.data),
            Listed::Ended(end) => given.set(Some(end)),
        });
    })
    .expect("a snapshot");
    assert_eq!(backup.state().messages, MESSAGES);
    outcome(&event_loop, "a deletion", |given| {
        stream.delete(move |(), _, done| given.set(Some(done)));
    })
    .expect("deleted");

    let restored: Result<_, Error> = outcome(&event_loop, "a restore", |given| {
        stream.jetstream().restore_stream(&backup, move |(), restore, restoring| match restoring {
            Restoring::Wanted { sent } => {
                let bytes = bytes.borrow();
                let rest = &bytes[sent as usize..];
                restore.send(&rest[..rest.len().min(50_000)]).expect("it was asked for");
            }
            Restoring::Ended(end) => given.set(Some(end)),
            other => panic!("{other:?}"),
        });
    });
    assert_eq!(restored.expect("restored").state.messages, MESSAGES);
    stream_when(&event_loop, &stream, "followers", |cluster| {
        cluster.replicas.len() == 2 && cluster.replicas.iter().all(|peer| peer.current)
    });
    stream.client().close();
    kept.client().close();
    crate::support::finish_with(&event_loop, &mut ());
}
