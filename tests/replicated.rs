//! Streams and buckets with replicas, on a cluster whose leaders step down and whose nodes are
//! killed: what is said then is true, and what is read is as fresh as the leader was.

#[path = "replicated/members.rs"]
mod members;
mod support;
#[path = "replicated/told.rs"]
mod told;

use evnats::jetstream::{self, ReadFrom, StreamConfig};
use evnats::kv::{self, Config, KeyValue};
use evnats::{Client, EventLoop, Options};
use evnats_harness::{Cluster, requires};
use std::time::Duration;
use support::new_cluster::{create_bucket, create_stream};
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
    create_bucket(&kv, config.replicas(3), |app: &mut App, _| app.done = true);
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
                    assert!(matches!(error, jetstream::Error::NotStored { .. }), "{error}");
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
    create_stream(&nats.jetstream(), config, |app: &mut App, _, _| app.done = true);
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

/// A key as its writer knows it.
#[derive(Clone, Copy, Default)]
struct Known {
    /// How many writes have begun.
    begun: u64,
    /// The last write is acknowledged, and this says whether there is a value since.
    has_value: Option<bool>,
}

#[derive(Default)]
struct Lists {
    keys: Vec<Known>,
    random: u64,
    writes: u64,
    stop: bool,
    writing: usize,
    wanted: usize,
    running: usize,
    done: usize,
    timeouts: usize,
    stale: Vec<String>,
}

impl Lists {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }
}

fn key(place: usize) -> String {
    format!("key.{place}")
}

/// Puts, deletes and purges keys at random, one write after the other, and purges tombstones from
/// the stream, so that the last revision is one that vanishes.
fn churn(lists: &mut Lists, kv: &KeyValue<Lists>) {
    let place = lists.random(lists.keys.len() as u64) as usize;
    let is_put = lists.random(3) > 0;
    lists.keys[place].begun += 1;
    lists.keys[place].has_value = None;
    lists.writing += 1;
    let begun = lists.keys[place].begun;
    let written = move |lists: &mut Lists, kv: &KeyValue<Lists>, stored: Result<u64, kv::Error>| {
        lists.writing -= 1;
        lists.writes += 1;
        if stored.is_ok() && lists.keys[place].begun == begun {
            lists.keys[place].has_value = Some(is_put);
        }
        if stored.is_ok() && !is_put && lists.random(2) == 0 {
            let subject = format!("$JS.API.STREAM.PURGE.KV_{}", kv.bucket());
            let tombstone = format!(r#"{{"filter":"$KV.{}.{}"}}"#, kv.bucket(), key(place));
            // no other write of this key is under way before it has been answered
            lists.writing += 1;
            let again = kv.clone();
            kv.client().request(&subject, tombstone, move |lists: &mut Lists, _, _| {
                lists.writing -= 1;
                go_on(lists, &again);
            });
        } else {
            go_on(lists, kv);
        }
    };
    fn go_on(lists: &mut Lists, kv: &KeyValue<Lists>) {
        if !lists.stop {
            churn(lists, kv);
        }
    }
    match lists.random(2) {
        _ if is_put => kv.put(&key(place), vec![b'x'; 2000], written),
        0 => kv.delete(&key(place), written),
        _ => kv.purge(&key(place), written),
    }
}

/// Lists, and holds what comes against what was certain when it began and is so at its end.
fn list(lists: &mut Lists, kv: &KeyValue<Lists>) {
    let before = lists.keys.clone();
    lists.running += 1;
    kv.keys(move |lists: &mut Lists, kv, keys| {
        lists.running -= 1;
        lists.done += 1;
        match keys {
            Ok(keys) => {
                for (place, (before, now)) in before.iter().zip(&lists.keys).enumerate() {
                    let Some(has_value) = before.has_value else { continue };
                    let is_listed = keys.binary_search(&key(place)).is_ok();
                    if before.begun == now.begun && is_listed != has_value {
                        let number = keys.len();
                        lists.stale.push(format!("{place} of {number}: value {has_value}"));
                    }
                }
            }
            Err(error) => {
                assert!(error.is_timeout(), "{error}");
                lists.timeouts += 1;
            }
        }
        if lists.done + lists.running < lists.wanted {
            list(lists, kv);
        }
    });
}

/// Lists so often on a bucket with replicas, beside writers, while one node is killed, started
/// again and catching up.
fn listings_are_fresh(wanted: usize) {
    const KEYS: usize = 300;
    let mut cluster = Cluster::start();
    // before, a purge makes the server skip what it has not delivered yet
    requires!(cluster.server(0), 2, 10);
    let event_loop = EventLoop::new().expect("an event loop");
    let mut lists = Lists { keys: vec![Known::default(); KEYS], random: 7, ..Lists::default() };
    let clients: Vec<_> = (0..2)
        .map(|node| {
            let options = Options::new(cluster.server(node).url());
            event_loop.connect(options.request_timeout(Duration::from_secs(10))).expect("a client")
        })
        .collect();
    let bucket = unique("lists");
    let buckets: Vec<_> = clients.iter().map(|nats| nats.jetstream().key_value(&bucket)).collect();
    create_bucket(&buckets[0], Config::new().replicas(3), churn);
    // a node that is killed in the middle of that could take the request with it
    turn_until(&event_loop, &mut lists, "a bucket", |lists| lists.writing > 0);
    let mut rounds = 0;
    while lists.done < wanted {
        rounds += 1;
        cluster.server_mut(2).kill9();
        let writes = lists.writes + 2000;
        turn_until(&event_loop, &mut lists, "writes", |lists| lists.writes > writes);
        lists.wanted = lists.done + (wanted - lists.done).min(250);
        std::thread::scope(|scope| {
            let starting = scope.spawn(|| cluster.server_mut(2).start_again());
            while lists.running < 8 {
                let kv = &buckets[lists.running % 2];
                list(&mut lists, kv);
            }
            turn_until(&event_loop, &mut lists, "listings", |lists| lists.done == lists.wanted);
            starting.join().expect("a node");
        });
        cluster.wait_ready();
    }
    lists.stop = true;
    turn_until(&event_loop, &mut lists, "the last write", |lists| lists.writing == 0);
    let Lists { done, timeouts, writes, .. } = lists;
    eprintln!("{done} listings in {rounds} rounds beside {writes} writes, {timeouts} timeouts");
    assert!(lists.stale.is_empty(), "{} stale: {:?}", lists.stale.len(), lists.stale);
    for nats in clients {
        nats.close();
    }
}

#[test]
fn listings_are_as_fresh_as_the_leader_was() {
    listings_are_fresh(200);
}

#[test]
#[ignore = "long"]
fn two_thousand_listings_are_as_fresh_as_the_leader_was() {
    listings_are_fresh(2000);
}
