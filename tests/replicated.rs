//! Streams and buckets with replicas, on a cluster whose leaders step down and whose nodes are
//! killed: what is said then is true, and what is read is as fresh as the leader was.

mod support;

use evnats::jetstream::{self, ReadFrom, StreamConfig};
use evnats::kv::{self, Config, KeyValue};
use evnats::{Client, EventLoop, Options};
use evnats_harness::Cluster;
use std::time::Duration;
use support::{turn_until, unique};

/// What one test has seen.
#[derive(Default)]
struct App {
    done: bool,
    leader: Option<String>,
    stored: u64,
    refused: Vec<kv::Error>,
    stop: bool,
    running: usize,
}

type Kv = KeyValue<App>;

fn options(cluster: &Cluster, node: usize) -> Options {
    Options::new(cluster.server(node).url()).request_timeout(Duration::from_secs(1))
}

/// A bucket on all three nodes.
fn bucket(event_loop: &EventLoop<App>, app: &mut App, nats: &Client<App>, config: Config) -> Kv {
    let kv = nats.jetstream().key_value(&unique("replicated"));
    app.done = false;
    kv.create_bucket(config.replicas(3), |app: &mut App, _, created| {
        created.expect("a bucket");
        app.done = true;
    });
    turn_until(event_loop, app, "a bucket", |app| app.done);
    kv
}

/// Asks who leads the bucket's stream, until somebody does.
fn leader(event_loop: &EventLoop<App>, app: &mut App, kv: &Kv) -> String {
    app.leader = None;
    loop {
        app.done = false;
        kv.status(|app: &mut App, _, status| {
            let leader = status.ok().and_then(|status| status.stream().cluster.clone()?.leader);
            app.leader = leader.filter(|leader| !leader.is_empty());
            app.done = true;
        });
        turn_until(event_loop, app, "a status", |app| app.done);
        if let Some(leader) = app.leader.take() {
            return leader;
        }
    }
}

/// Has the stream's leader give up its place.
fn step_down(event_loop: &EventLoop<App>, app: &mut App, kv: &Kv) {
    app.done = false;
    let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.KV_{}", kv.bucket());
    kv.client().request(&subject, b"", |app: &mut App, _, _| app.done = true);
    turn_until(event_loop, app, "a step-down", |app| app.done);
}

/// Writes without a pause, until it is told to stop.
fn write(app: &mut App, kv: &Kv, writer: usize) {
    app.running += 1;
    kv.put(&format!("k{writer}"), "v", move |app: &mut App, kv, stored| {
        app.running -= 1;
        match stored {
            Ok(_) => app.stored += 1,
            Err(error) => app.refused.push(error),
        }
        if !app.stop {
            write(app, kv, writer);
        }
    });
}

#[test]
fn a_write_in_an_election_is_told_that_nobody_leads_and_never_that_there_is_no_bucket() {
    let mut cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let nats = event_loop.connect(options(&cluster, 0)).expect("a client");
    let kv = bucket(&event_loop, &mut app, &nats, Config::new());
    for writer in 0..8 {
        write(&mut app, &kv, writer);
    }
    let mut elections = 0;
    while app.refused.is_empty() || elections < 5 {
        assert!(elections < 200, "no write met an election");
        step_down(&event_loop, &mut app, &kv);
        let stored = app.stored;
        turn_until(&event_loop, &mut app, "another leader", |app| app.stored > stored + 100);
        elections += 1;
    }
    // a leader that is killed, behind a client of another node
    let (before, mut dead) = (app.refused.len(), 0);
    while app.refused.len() == before {
        while dead == 0 {
            step_down(&event_loop, &mut app, &kv);
            dead = cluster.index_by_name(&leader(&event_loop, &mut app, &kv)).expect("a node");
        }
        cluster.server_mut(dead).kill9();
        let stored = app.stored;
        // it may have given up its place since it was asked
        turn_until(&event_loop, &mut app, "refusals", |app| {
            app.refused.len() > before || app.stored > stored + 1000
        });
        if app.refused.len() == before {
            cluster.server_mut(dead).start_again();
            dead = 0;
        }
    }
    let stored = app.stored;
    turn_until(&event_loop, &mut app, "another leader", |app| app.stored > stored + 100);
    app.stop = true;
    turn_until(&event_loop, &mut app, "the last answers", |app| app.running == 0);
    for error in &app.refused {
        assert!(error.is_temporary() && !error.is_not_found(), "{error}");
        assert!(matches!(error, kv::Error::NoLeader { .. }) || error.is_timeout(), "{error}");
    }
    assert!(app.refused.iter().any(|error| matches!(error, kv::Error::NoLeader { .. })));
    nats.close();
}

#[test]
fn what_is_read_in_an_election_is_asked_again_within_its_timeout() {
    let mut cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let options = options(&cluster, 0).request_timeout(Duration::from_secs(30));
    let nats = event_loop.connect(options).expect("a client");
    let kv = bucket(&event_loop, &mut app, &nats, Config::new());
    kv.put("k", "v", |app: &mut App, _, stored| app.stored = stored.expect("stored"));
    turn_until(&event_loop, &mut app, "a value", |app| app.stored > 0);
    let mut dead = cluster.index_by_name(&leader(&event_loop, &mut app, &kv)).expect("a node");
    while dead == 0 {
        step_down(&event_loop, &mut app, &kv);
        dead = cluster.index_by_name(&leader(&event_loop, &mut app, &kv)).expect("a node");
    }
    cluster.server_mut(dead).kill9();
    // all of them meet the election, which takes seconds
    kv.get("k", |app: &mut App, _, found| {
        assert_eq!(found.expect("an answer").expect("a value").text(), "v");
        app.running += 1;
    });
    kv.status(|app: &mut App, _, status| {
        status.expect("an answer");
        app.running += 1;
    });
    let js = nats.jetstream();
    let stream = format!("KV_{}", kv.bucket());
    js.stream_info(&stream, |app: &mut App, _, info| {
        info.expect("an answer");
        app.running += 1;
    });
    let first = jetstream::MessageQuery::Sequence(1);
    js.stored_message(&stream, first, ReadFrom::Leader, |app: &mut App, _, stored| {
        stored.expect("an answer");
        app.running += 1;
    });
    turn_until(&event_loop, &mut app, "four answers", |app| app.running == 4);
    nats.close();
}

#[test]
fn a_publish_in_an_election_says_that_nobody_has_stored_it() {
    fn publish(app: &mut App, nats: &Client<App>, subject: &str) {
        let again = subject.to_owned();
        app.running += 1;
        nats.jetstream().publish(subject, "x", move |app: &mut App, js, stored| {
            app.running -= 1;
            match stored {
                Ok(_) => app.stored += 1,
                // the old leader may have had it
                Err(error) if error.is_timeout() => {}
                Err(error) => {
                    assert_eq!(error, jetstream::Error::NotStored);
                    app.refused.push(kv::Error::JetStream(error));
                }
            }
            if !app.stop {
                publish(app, js.client(), &again);
            }
        });
    }
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let nats = event_loop.connect(options(&cluster, 0)).expect("a client");
    let name = unique("elections");
    let config = StreamConfig::new(&name).subjects([name.as_str()]).num_replicas(3);
    nats.jetstream().create_stream(&config, |app: &mut App, _, created| {
        created.expect("a stream");
        app.done = true;
    });
    turn_until(&event_loop, &mut app, "a stream", |app| app.done);
    for _ in 0..8 {
        publish(&mut app, &nats, &name);
    }
    let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}");
    for elections in 0.. {
        if !app.refused.is_empty() {
            break;
        }
        assert!(elections < 200, "no publish met an election");
        nats.request(&subject, b"", |_, _, _| {});
        let stored = app.stored;
        turn_until(&event_loop, &mut app, "another leader", |app| app.stored > stored + 100);
    }
    app.stop = true;
    turn_until(&event_loop, &mut app, "the last answers", |app| app.running == 0);
    nats.close();
}
