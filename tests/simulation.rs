//! Clients in a simulation: time that passes in no time, faults of the network, and runs that can be
//! repeated exactly. No test here sleeps or opens a socket.

mod support;

use evnats::kv::{self, Update, WatchOptions};
use evnats::simulation::Simulation;
use evnats::{Client, EventLoop, NextDeadline, Options, RequestError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::simulated::{SimulatedServer, Trouble};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn world(seed: u64) -> (Simulation, SimulatedServer) {
    let simulation = Simulation::new(seed);
    let server = SimulatedServer::start(&simulation, "nats.test:4222");
    (simulation, server)
}

#[test]
fn a_day_of_keep_alive_passes_in_no_time() {
    let began = Instant::now();
    let (simulation, server) = world(1);
    let event_loop: EventLoop<u64> = simulation.event_loop().expect("a loop");
    let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
    nats.on_disconnect(|lost, nats, _| {
        *lost += u64::from(nats.state() == evnats::ConnectionState::Reconnecting);
    });
    nats.set_timer(DAY, |_, nats| nats.close());
    let mut lost = 0;
    event_loop.run(&mut lost).expect("a day");
    assert_eq!(lost, 0);
    assert!(simulation.elapsed() >= DAY && simulation.elapsed() < DAY + SECOND);
    // one for each two minutes, and one to connect
    assert!((719..=721).contains(&server.pings()), "{}", server.pings());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn requests_are_answered_by_one_of_a_group_or_nobody() {
    let (simulation, _server) = world(2);
    let event_loop: EventLoop<Vec<String>> = simulation.event_loop().expect("a loop");
    let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
    for member in 0..3 {
        let answer = move |_: &mut _, service: &evnats::Subscription<_>, request: &_| {
            service.client().respond(request, format!("member {member}"))
        };
        nats.queue_subscribe("service", "members", answer).expect("a subscription");
    }
    nats.request("service", "", |log: &mut Vec<String>, nats, reply| {
        log.push(reply.expect("a reply").text().into_owned());
        nats.request("nobody", "", |log: &mut Vec<String>, nats, reply| {
            assert_eq!(reply, Err(RequestError::NoResponders { subject: None }));
            log.push("nobody".into());
            nats.drain();
        });
    });
    let mut log = Vec::new();
    event_loop.run(&mut log).expect("the loop");
    assert_eq!(log.len(), 2, "one of the group has answered: {log:?}");
    assert!(log[0].starts_with("member "));
}

/// Asks one after the other, and then somebody who never answers.
fn ask(app: &mut Asking, nats: &Client<Asking>) {
    if app.answered == 20 {
        app.last_asked = Some(app.simulation.now());
        return nats.request("silence", "", |app: &mut Asking, _, reply| {
            assert_eq!(reply, Err(RequestError::Timeout));
            app.timed_out = Some(app.simulation.now());
        });
    }
    nats.request("service", "", |app: &mut Asking, nats, reply| {
        reply.expect("a reply");
        app.answered += 1;
        ask(app, nats);
    });
}

struct Asking {
    simulation: Simulation,
    answered: u32,
    last_asked: Option<Instant>,
    timed_out: Option<Instant>,
}

#[test]
fn a_loop_waits_for_the_time_of_the_request_that_is_out_and_of_none_that_has_ended() {
    let (simulation, _server) = world(12);
    let event_loop: EventLoop<Asking> = simulation.event_loop().expect("a loop");
    let options = Options::new("nats://nats.test:4222").request_timeout(5 * SECOND);
    let nats = event_loop.connect(options).expect("a client");
    let answer = |_: &mut _, service: &evnats::Subscription<_>, request: &_| {
        service.client().respond(request, "here")
    };
    nats.subscribe("service", answer).expect("a subscription");
    nats.subscribe("silence", |_, _, _| {}).expect("a subscription");
    nats.on_connect(|app: &mut Asking, nats, _| ask(app, nats));
    let mut app = Asking { simulation, answered: 0, last_asked: None, timed_out: None };
    while app.last_asked.is_none() {
        event_loop.dispatch(&mut app, None).expect("a turn");
    }
    let due = app.last_asked.expect("asked") + 5 * SECOND;
    while app.timed_out.is_none() {
        assert_eq!(event_loop.next_deadline(), NextDeadline::At(due));
        while event_loop.dispatch(&mut app, None).expect("a turn") {}
    }
    assert_eq!(app.timed_out, Some(due));
    let NextDeadline::At(next) = event_loop.next_deadline() else { panic!("the keep-alive") };
    assert!(next > due + 60 * SECOND, "nothing but the keep-alive is waited for");
}

#[test]
fn a_server_that_is_cut_off_is_noticed_and_found_again() {
    let (simulation, _server) = world(3);
    let event_loop: EventLoop<Vec<String>> = simulation.event_loop().expect("a loop");
    let options = Options::new("nats://nats.test:4222").ping_interval(10 * SECOND);
    let nats = event_loop.connect(options).expect("a client");
    nats.on_disconnect(|log, _, reason| log.push(reason.to_string()));
    nats.on_reconnect(|log, nats, _| {
        log.push("reconnected".into());
        nats.close();
    });
    let cut = simulation.clone();
    simulation.after(60 * SECOND, move || cut.cut("nats.test:4222").expect("an address"));
    let healed = simulation.clone();
    simulation.after(600 * SECOND, move || healed.heal("nats.test:4222").expect("an address"));
    let mut log = Vec::new();
    event_loop.run(&mut log).expect("the loop");
    let stale = "stale connection: the server stopped answering pings";
    assert_eq!(log[..2], [stale, "reconnected"]);
    assert!(simulation.elapsed() > 600 * SECOND);
}

#[test]
fn a_name_that_does_not_exist_and_a_port_where_nobody_listens() {
    let (simulation, _server) = world(4);
    for (url, expected) in [
        ("nats://no.such.host:4222", "no such host in the simulation"),
        ("nats://nats.test:4223", "connection refused"),
    ] {
        let event_loop: EventLoop<String> = simulation.event_loop().expect("a loop");
        let nats = event_loop.connect(Options::new(url).reconnect(false)).expect("a client");
        nats.on_close(|log, _, reason| *log = reason.to_string());
        let mut log = String::new();
        event_loop.run(&mut log).expect("the loop");
        assert!(log.contains(expected), "{log}");
    }
}

/// What a hundred clients live through when their server dies and comes back.
fn storm(seed: u64, adjust: impl Fn(&Client<Vec<String>>)) -> Vec<String> {
    const CLIENTS: usize = 100;
    type Log = Vec<String>;
    let (simulation, server) = world(seed);
    let event_loop: EventLoop<Log> = simulation.event_loop().expect("a loop");
    let clients: Vec<Client<Log>> = (0..CLIENTS)
        .map(|number| {
            let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
            let clock = simulation.clone();
            let note = move |log: &mut Log, what: &str| {
                log.push(format!("{:?} {number} {what}", clock.elapsed()));
            };
            let (connected, lost, back, failed) = (note.clone(), note.clone(), note.clone(), note);
            nats.on_connect(move |log, _, _| connected(log, "connected"));
            nats.on_disconnect(move |log, _, reason| lost(log, &reason.to_string()));
            nats.on_reconnect(move |log, _, _| back(log, "reconnected"));
            nats.on_error(move |log, _, error| failed(log, &error.to_string()));
            adjust(&nats);
            nats
        })
        .collect();
    let (killed, restarted) = (server.clone(), server.clone());
    simulation.after(10 * SECOND, move || killed.kill());
    simulation.after(15 * SECOND, move || restarted.restart());
    event_loop.handle().set_timer(60 * SECOND, move |_, _| clients.iter().for_each(Client::close));
    let mut log = Log::new();
    event_loop.run(&mut log).expect("the loop");
    let count = |what: &str| log.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!((count(" connected"), count(" reconnected")), (CLIENTS, CLIENTS));
    assert_eq!(server.connects(), 2 * CLIENTS as u64);
    log
}

#[test]
fn a_reconnect_storm_can_be_repeated_exactly_from_its_seed() {
    let first = storm(7, |_| ());
    assert!(first.len() > 400, "attempts have failed meanwhile: {}", first.len());
    assert!(first == storm(7, |_| ()), "the same seed gives the same log");
    assert!(first != storm(8, |_| ()), "another seed gives another one");
}

/// A client that shows its frames looks everywhere in every turn; others only read most of the time.
#[test]
fn who_looks_at_the_frames_lives_through_the_same() {
    let watched = storm(7, |nats| nats.on_frame(|_, _, _| ()));
    assert!(watched == storm(7, |_| ()), "the same times of the same events");
    let watched = numbers_through_a_lame_duck(3, |nats| nats.on_frame(|_, _, _| ()));
    assert!(watched == numbers_through_a_lame_duck(3, |_| ()));
}

#[derive(Default)]
struct Numbers {
    sent: u32,
    numbers: Vec<u32>,
    connection: Vec<&'static str>,
}

/// What a subscriber gets whose server shuts down while messages come, and how it was connected.
fn numbers_through_a_lame_duck(
    seed: u64,
    adjust: impl Fn(&Client<Numbers>),
) -> (Vec<u32>, Vec<&'static str>) {
    const NUMBERS: u32 = 3000;
    let (simulation, server) = world(seed);
    let other = server.join("other.test:4222");
    simulation.set_latency(Duration::from_micros(100)..Duration::from_millis(20));
    let event_loop: EventLoop<Numbers> = simulation.event_loop().expect("a loop");
    let both = Options::for_servers(["nats://nats.test:4222", "nats://other.test:4222"]);
    let subscriber = event_loop.connect(both.randomize_servers(false)).expect("a client");
    let publisher = event_loop.connect("nats://other.test:4222").expect("a client");
    subscriber.on_disconnect(|app, _, _| app.connection.push("disconnected"));
    subscriber.on_reconnect(|app, _, _| app.connection.push("reconnected"));
    adjust(&subscriber);
    subscriber.on_lame_duck(|app, _| app.connection.push("lame duck"));
    let numbers = subscriber.subscribe("numbers", |app: &mut Numbers, _, message| {
        app.numbers.push(message.text().parse().expect("a number"));
    });
    numbers.expect("a subscription");
    subscriber.flush(move |_, _, _| {
        publisher.set_interval(Duration::from_millis(1), |app: &mut Numbers, publisher| {
            publisher.publish("numbers", app.sent.to_string()).expect("a publish");
            app.sent += 1;
            if app.sent == NUMBERS {
                publisher.cancel_current_timer();
                publisher.drain();
            }
        });
    });
    let (lame, killed) = (server.clone(), server.clone());
    simulation.after(SECOND, move || lame.lame_duck());
    simulation.after(5 * SECOND / 2, move || killed.kill());
    subscriber.set_timer(10 * SECOND, |_, subscriber| subscriber.close());
    let mut app = Numbers::default();
    event_loop.run(&mut app).expect("the loop");
    drop(other);
    (app.numbers, app.connection)
}

#[test]
fn a_move_away_from_a_lame_duck_loses_nothing_and_repeats_nothing() {
    for seed in 0..20 {
        let (numbers, connection) = numbers_through_a_lame_duck(seed, |_| ());
        assert_eq!(connection, ["lame duck", "reconnected", "disconnected"], "seed {seed}");
        assert!(numbers.iter().copied().eq(0..3000), "seed {seed}: {} numbers", numbers.len());
    }
}

#[test]
fn a_watch_survives_reconnects_and_sees_every_last_value_once_it_is_back() {
    #[derive(Default)]
    struct App {
        seen: BTreeMap<String, String>,
        done_signals: usize,
        puts: u64,
    }
    const PUTS: u64 = 300;
    /// Puts again and again, whatever becomes of it.
    fn put(app: &mut App, bucket: &kv::KeyValue<App>) {
        app.puts += 1;
        let (key, value) = (format!("key.{}", app.puts % 10), app.puts.to_string());
        bucket.put(&key, value, |app: &mut App, bucket, _| {
            if app.puts < PUTS {
                bucket.client().set_timer(SECOND, {
                    let bucket = bucket.clone();
                    move |app, _| put(app, &bucket)
                });
            }
        });
    }
    let (simulation, server) = world(5);
    let event_loop: EventLoop<App> = simulation.event_loop().expect("a loop");
    let url = "nats://nats.test:4222";
    let (writer, reader) =
        (event_loop.connect(url).expect("a client"), event_loop.connect(url).expect("a client"));
    let bucket = writer.jetstream().key_value("config");
    bucket.create_bucket(kv::Config::default(), move |app: &mut App, bucket, created| {
        created.expect("a bucket");
        let bucket = bucket.clone();
        bucket.create("key.0", "first", |app: &mut App, bucket, created| {
            created.expect("a new key");
            put(app, bucket);
        });
        app.done_signals = 0;
        let watched = reader.jetstream().key_value("config");
        watched.watch(">", WatchOptions::default(), |app: &mut App, _, update| match update {
            Update::Entry(entry) => {
                let value = entry.text().into_owned();
                app.seen.insert(entry.key().to_string(), value);
            }
            Update::Ended(error) => panic!("the watch has ended: {error}"),
            Update::Initialized => app.done_signals += 1,
            _ => {}
        });
    });
    for (from, to) in [(20, 25), (60, 61), (100, 190), (250, 252)] {
        let (killed, restarted) = (server.clone(), server.clone());
        simulation.after(from * SECOND, move || killed.kill());
        simulation.after(to * SECOND, move || restarted.restart());
    }
    let expected = Rc::new(RefCell::new(BTreeMap::new()));
    let given = expected.clone();
    event_loop.handle().set_timer(1000 * SECOND, {
        let bucket = bucket.clone();
        move |_, handle| {
            for number in 0..10 {
                let given = given.clone();
                bucket.get(&format!("key.{number}"), move |_: &mut App, _, found| {
                    let entry = found.expect("an answer").expect("a value");
                    let value = entry.text().into_owned();
                    given.borrow_mut().insert(format!("key.{number}"), value);
                });
            }
            handle.set_timer(SECOND, |_, handle| handle.stop());
        }
    });
    let mut app = App::default();
    event_loop.run(&mut app).expect("the loop");
    assert_eq!(app.puts, PUTS);
    assert_eq!(expected.borrow().len(), 10);
    assert_eq!(app.seen, *expected.borrow());
    assert_eq!(app.done_signals, 1, "the signal comes once");
}

#[test]
fn a_loop_that_would_wait_for_ever_is_an_error() {
    let simulation = Simulation::new(6);
    let event_loop: EventLoop<()> = simulation.event_loop().expect("a loop");
    let _guard = event_loop.handle().keep_running();
    let error = event_loop.run(&mut ()).expect_err("nothing will ever happen");
    assert!(error.to_string().contains("stands still"), "{error}");
    assert!(event_loop.dispatch(&mut (), Some(DAY)).is_ok_and(|more| !more));
    assert_eq!(simulation.elapsed(), DAY);
}

/// Notes what a watch says.
fn note_update(log: &mut Vec<String>, _: &kv::Watcher<Vec<String>>, update: Update) {
    log.push(match update {
        Update::Recreating { .. } | Update::Live => return,
        Update::Entry(entry) => format!("{}={}", entry.key(), entry.text()),
        Update::Initialized => "initialized".into(),
        Update::Stalled(stall) => format!("stalled: {stall}"),
        Update::Resumed => "resumed".into(),
        Update::Ended(error) => format!("ended: {error}"),
        other => format!("{other:?}"),
    });
}

#[test]
fn a_watch_that_is_fed_nothing_says_why_and_that_it_is_over() {
    let no_leader = "the server makes no consumer at the moment: JetStream system temporarily \
                     unavailable (code 503, error 10008)";
    for (trouble, reason) in [
        (Trouble::NoDeliveries, "nothing that the consumer sends arrives, not even heartbeats"),
        (
            Trouble::Stalled,
            "the server waits for answers to its flow control, which do not reach it",
        ),
        (
            Trouble::NoAnswer,
            "no answer to the request for a consumer: there may be no quorum, or no leader",
        ),
        (Trouble::NoLeader, no_leader),
    ] {
        let (simulation, server) = world(7);
        let event_loop: EventLoop<Vec<String>> = simulation.event_loop().expect("a loop");
        let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
        let bucket = nats.jetstream().key_value("fed");
        bucket.create_bucket(kv::Config::default(), |_, bucket, created| {
            created.expect("a bucket");
            bucket.put("k", "1", |_, bucket, _| {
                bucket.watch(">", WatchOptions::new(), note_update);
            });
        });
        let (troubled, sound) = (server.clone(), server.clone());
        simulation.after(10 * SECOND, move || {
            // with it, the consumer is lost
            troubled.set_trouble(trouble);
            troubled.restart();
        });
        simulation.after(300 * SECOND, move || sound.set_trouble(Trouble::None));
        let mut log = Vec::new();
        let handle = event_loop.handle();
        handle.set_timer(120 * SECOND, move |log: &mut Vec<String>, _| log.push("waited".into()));
        handle.set_timer(400 * SECOND, move |_, _| {
            bucket.put("k", "2", |_, bucket, _| bucket.client().drain());
        });
        event_loop.run(&mut log).expect("the loop");
        let told = format!("stalled: {reason}");
        let expected = [
            "k=1",
            "initialized",
            &told,
            "waited",
            "resumed",
            "k=2",
            "ended: the connection is closed",
        ];
        assert_eq!(log, expected, "{trouble:?}");
    }
}

#[test]
fn a_listing_ends_when_nothing_was_heard_for_the_time_of_a_request() {
    for trouble in [Trouble::NoDeliveries, Trouble::OneDelivery, Trouble::SilentReads] {
        let (simulation, server) = world(8);
        let event_loop: EventLoop<Vec<Duration>> = simulation.event_loop().expect("a loop");
        let options = Options::new("nats://nats.test:4222").request_timeout(5 * SECOND);
        let nats = event_loop.connect(options).expect("a client");
        let bucket = nats.jetstream().key_value("listed");
        let clock = simulation.clone();
        bucket.create_bucket(kv::Config::default(), move |_, bucket, created| {
            created.expect("a bucket");
            bucket.put("a", "1", |_, _, _| {});
            bucket.put("b", "2", move |_, bucket, _| {
                server.set_trouble(trouble);
                if trouble == Trouble::OneDelivery {
                    // the consumer that takes its place delivers nothing either
                    clock.after(SECOND, move || server.set_trouble(Trouble::NoDeliveries));
                }
                let began = clock.elapsed();
                bucket.keys(move |times: &mut Vec<Duration>, bucket, keys| {
                    assert!(keys.is_err_and(|error| error.is_timeout()), "{trouble:?}");
                    times.push(clock.elapsed() - began);
                    bucket.client().close();
                });
            });
        });
        let mut times = Vec::new();
        event_loop.run(&mut times).expect("the loop");
        assert_eq!(times.len(), 1);
        assert!(times[0] < 6 * SECOND, "{trouble:?}: {:?}", times[0]);
    }
}

#[test]
fn the_deletion_of_a_consumer_is_repeated_until_it_is_acknowledged() {
    for restarts in [false, true] {
        let (simulation, server) = world(9);
        let event_loop: EventLoop<()> = simulation.event_loop().expect("a loop");
        let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
        let bucket = nats.jetstream().key_value("deleted");
        let lost = server.clone();
        bucket.create_bucket(kv::Config::default(), move |_, bucket, created| {
            created.expect("a bucket");
            // without heartbeats, the server does not notice that nobody listens
            let options = WatchOptions::new().heartbeat(DAY);
            bucket.watch(">", options, move |_, watcher, update| {
                if matches!(update, Update::Initialized) {
                    lost.set_trouble(Trouble::LostDeletions);
                    watcher.stop();
                }
            });
        });
        let (sound, watched) = (server.clone(), server.clone());
        simulation.after(3 * SECOND, move || {
            assert_eq!(watched.consumers("KV_deleted"), 1);
            sound.set_trouble(Trouble::None);
            if restarts {
                sound.restart();
            }
        });
        event_loop.handle().set_timer(60 * SECOND, move |(), _| nats.drain());
        event_loop.run(&mut ()).expect("the loop");
        assert_eq!(server.consumers("KV_deleted"), 0, "restarts: {restarts}");
    }
}
