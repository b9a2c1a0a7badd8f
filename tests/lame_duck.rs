//! A server of a cluster shuts down, and its clients move: nothing is lost, nothing comes twice.

mod support;

use evnats::{Client, ConnectionState, EventLoop, Options};
use evnats_harness::Cluster;
use std::time::Duration;
use support::{turn_until, unique};

#[derive(Default)]
struct App {
    plain: Vec<u64>,
    queue: Vec<u64>,
    published: u64,
    answered: u64,
    moved: usize,
    disconnected: usize,
    errors: Vec<String>,
    stops: bool,
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).expect("text").parse().expect("a number")
}

/// Publishes numbers, a request between them, until it is told to stop.
fn publish(app: &mut App, publisher: &Client<App>, subjects: [String; 2]) {
    if app.stops {
        return;
    }
    for _ in 0..5 {
        for subject in &subjects {
            publisher.publish(subject, app.published.to_string()).expect("a publish");
        }
        app.published += 1;
    }
    let again = publisher.clone();
    publisher.handle().set_timer(Duration::from_millis(1), move |app, _| {
        publish(app, &again, subjects);
    });
}

fn ask(app: &mut App, nats: &Client<App>, service: &str) {
    if app.stops {
        return;
    }
    let service = service.to_owned();
    nats.clone().request(&service.clone(), b"?", move |app: &mut App, nats, reply| match reply {
        Ok(_) => {
            app.answered += 1;
            ask(app, nats, &service);
        }
        Err(error) => app.errors.push(error.to_string()),
    });
}

#[test]
fn lame_duck_move_loses_no_message_and_delivers_none_twice() {
    let config = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"2s\"\n";
    let cluster = Cluster::builder().config(config).jetstream(false).start().expect("a cluster");
    let event_loop: EventLoop<App> = EventLoop::new().expect("an event loop");
    let (first, second) = (cluster.server(0), cluster.server(1));
    let options = Options::new(first.url()).name("moves");
    let nats = event_loop.connect(options).expect("a client");
    let publisher = event_loop.connect(second.url()).expect("a client");
    nats.on_reconnect(|app: &mut App, _, _| app.moved += 1);
    nats.on_disconnect(|app, _, _| app.disconnected += 1);
    nats.on_error(|app, _, error| app.errors.push(error.to_string()));
    let (plain, queue, service) = (unique("plain"), unique("queue"), unique("service"));
    nats.subscribe(&plain, |app, _, message| app.plain.push(number(message.payload())))
        .expect("a subscription");
    // on a subject of its own: a server that a member of a group has just left passes the group's
    // messages on, and a plain subscription to the same subject gets those twice
    nats.queue_subscribe(&queue, "q", |app, _, message| {
        app.queue.push(number(message.payload()));
    })
    .expect("a subscription");
    publisher
        .subscribe(&service, |_, nats, message| {
            nats.client().respond(message, b"!").expect("an answer")
        })
        .expect("a subscription");

    let mut app = App::default();
    publish(&mut app, &publisher, [plain, queue]);
    turn_until(&event_loop, &mut app, "messages", |app| {
        app.plain.len() > 50 && app.queue.len() > 50
    });
    ask(&mut app, &nats, &service);
    turn_until(&event_loop, &mut app, "answers", |app| app.answered > 5);
    app.plain.clear();
    app.queue.clear();
    let first_counted = app.published;

    first.lame_duck();
    turn_until(&event_loop, &mut app, "the move", |app| app.moved > 0);
    let at_the_move = app.plain.len();
    turn_until(&event_loop, &mut app, "messages after the move", |app| {
        app.plain.len() > at_the_move + 500
    });
    app.stops = true;
    let last = app.published;
    turn_until(&event_loop, &mut app, "the last message", |app| {
        app.plain.last() == Some(&(last - 1)) && app.queue.contains(&(last - 1))
    });

    assert_ne!(nats.server_info().expect("connected").port, first.port());
    assert_eq!((app.moved, app.disconnected), (1, 0));
    assert_eq!(app.errors, [""; 0]);
    let inversion = app.plain.windows(2).position(|pair| pair[0] >= pair[1]);
    let around =
        inversion.map(|at| &app.plain[at.saturating_sub(5)..(at + 6).min(app.plain.len())]);
    assert_eq!(around, None, "in order");
    // what a queue group's members get has no order among them, and for a moment there are two
    app.queue.sort_unstable();
    for (kind, received) in [("plain", &app.plain), ("queue", &app.queue)] {
        let from = received[0];
        assert!(from <= first_counted, "the first ones came before the count began");
        let missing: Vec<_> = (from..last).filter(|n| !received.contains(n)).take(9).collect();
        assert_eq!(missing, [0; 0], "{kind}: all");
        let twice: Vec<_> = received.windows(2).filter(|pair| pair[0] == pair[1]).take(9).collect();
        assert!(twice.is_empty(), "{kind}: each once, {twice:?}");
    }
    assert!(nats.statistics().duplicates > 0, "there was an overlap");
    assert_eq!(nats.state(), ConnectionState::Connected);
}

fn tick(app: &mut App, publisher: &Client<App>, subject: String) {
    if app.stops {
        return;
    }
    for _ in 0..5 {
        publisher.publish(&subject, "tick").expect("a publish");
        app.published += 1;
    }
    let again = publisher.clone();
    publisher.handle().set_timer(Duration::from_millis(1), move |app, _| {
        tick(app, &again, subject);
    });
}

/// Which of them is a copy of which cannot be said, so there may be some too many.
#[test]
fn equal_messages_are_not_lost_in_a_move() {
    let config = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"2s\"\n";
    let cluster = Cluster::builder().config(config).jetstream(false).start().expect("a cluster");
    let event_loop: EventLoop<App> = EventLoop::new().expect("an event loop");
    let (first, second) = (cluster.server(0), cluster.server(1));
    let nats = event_loop.connect(first.url()).expect("a client");
    let publisher = event_loop.connect(second.url()).expect("a client");
    nats.on_reconnect(|app: &mut App, _, _| app.moved += 1);
    let subject = unique("ticks");
    nats.subscribe(&subject, |app, _, _| app.answered += 1).expect("a subscription");
    let probe = format!("{subject}.probe");
    nats.subscribe(&probe, |app, _, _| app.plain.push(0)).expect("a subscription");
    let mut app = App::default();
    turn_until(&event_loop, &mut app, "the route", |app| {
        publisher.publish(&probe, "").expect("a publish");
        !app.plain.is_empty()
    });
    tick(&mut app, &publisher, subject.clone());
    turn_until(&event_loop, &mut app, "ticks", |app| app.answered > 500);
    first.lame_duck();
    turn_until(&event_loop, &mut app, "the move", |app| app.moved > 0);
    let at_the_move = app.answered;
    turn_until(&event_loop, &mut app, "ticks after the move", |app| {
        app.answered > at_the_move + 500
    });
    app.stops = true;
    app.plain.clear();
    // behind the last tick
    nats.subscribe(&format!("{subject}.end"), |app: &mut App, _, _| app.plain.push(0))
        .expect("a subscription");
    turn_until(&event_loop, &mut app, "the end", |app| {
        publisher.publish(&format!("{subject}.end"), "").expect("a publish");
        !app.plain.is_empty()
    });
    assert!(app.answered >= app.published, "{} of {}", app.answered, app.published);
    assert!(app.answered < app.published + 500, "{} of {}", app.answered, app.published);
    assert!(nats.statistics().duplicates > 0, "there was an overlap");
}
