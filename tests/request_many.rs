//! Requests with many replies (ADR-47): what ends them, and what is wrong with them. Where time matters,
//! it is virtual.

mod support;

use evnats::simulation::Simulation;
use evnats::{
    Client, EventLoop, Options, OutgoingMessage, Replied, Replies, RepliesEnd, RequestError,
    RequestManyOptions, Result,
};
use evnats_harness::Server;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use support::simulated::SimulatedServer;
use support::{server, turn_until, url_for};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct App {
    replies: Vec<String>,
    end: Option<Result<RepliesEnd, RequestError>>,
}

/// Notes what comes, and closes the client at the end.
fn note(app: &mut App, replies: &Replies<App>, replied: Replied) {
    note_only(app, replies, replied);
    if app.end.is_some() {
        replies.client().close();
    }
}

fn note_only(app: &mut App, replies: &Replies<App>, replied: Replied) {
    assert!(app.end.is_none(), "nothing comes behind the end");
    match replied {
        Replied::Message(message) => app.replies.push(message.text().into_owned()),
        Replied::Ended(end) => {
            assert!(!replies.is_active());
            app.end = Some(end);
        }
        other => panic!("{other:?}"),
    }
}

/// Has a subject answered with these texts, each a while after the one before.
fn answer(nats: &Client<App>, subject: &str, answers: &'static [(u64, &'static str)]) {
    let respond = move |_: &mut App, service: &evnats::Subscription<App>, request: &_| {
        let mut delay = Duration::ZERO;
        for (pause, text) in answers {
            delay += *pause as u32 * MS;
            let request = evnats::Message::clone(request);
            service.client().set_timer(delay, move |_, nats| nats.respond(&request, *text));
        }
    };
    nats.subscribe(subject, respond).expect("a subscription");
}

/// Asks in a simulation, and returns what came, and how long it took.
fn ask(options: RequestManyOptions, answers: &'static [(u64, &'static str)]) -> (App, Duration) {
    let simulation = Simulation::new(1);
    let _server = SimulatedServer::start(&simulation, "nats.test:4222");
    let event_loop: EventLoop<App> = simulation.event_loop().expect("a loop");
    let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
    answer(&nats, "all", answers);
    let begun = simulation.clone();
    let began = std::rc::Rc::new(std::cell::Cell::new(Duration::ZERO));
    let noted = began.clone();
    nats.on_connect(move |_: &mut App, nats, _| {
        noted.set(begun.elapsed());
        nats.request_many("all", "?", options.clone(), note);
    });
    let mut app = App::default();
    event_loop.run(&mut app).expect("the loop");
    (app, simulation.elapsed() - began.get())
}

#[test]
fn without_options_the_time_of_a_request_ends_it() {
    let (app, took) = ask(RequestManyOptions::new(), &[(0, "a"), (10, "b"), (3000, "c")]);
    assert_eq!(app.replies, ["a", "b", "c"]);
    assert_eq!(app.end, Some(Ok(RepliesEnd::Timeout)));
    assert!(took >= 5 * SECOND && took < 6 * SECOND, "{took:?}");
}

#[test]
fn a_pause_ends_it_and_the_first_reply_may_take_longer() {
    let options = RequestManyOptions::new().stall(100 * MS);
    let (app, took) = ask(options, &[(2000, "a"), (90, "b"), (90, "c"), (200, "late")]);
    assert_eq!(app.replies, ["a", "b", "c"]);
    assert_eq!(app.end, Some(Ok(RepliesEnd::Stall)));
    assert!(took >= 2280 * MS && took < 2400 * MS, "{took:?}");
    // nor does a pause that is longer than the whole time make it longer
    let options = RequestManyOptions::new().timeout(SECOND).stall(5 * SECOND);
    let (app, took) = ask(options, &[(500, "a")]);
    assert_eq!((app.replies.len(), app.end), (1, Some(Ok(RepliesEnd::Timeout))));
    assert!(took < 1100 * MS, "{took:?}");
}

#[test]
fn a_count_and_a_sentinel_end_it() {
    const FOUR: &[(u64, &str)] = &[(0, "a"), (0, "b"), (0, ""), (0, "c")];
    let (app, took) = ask(RequestManyOptions::new().max_messages(2), FOUR);
    assert_eq!(
        (app.replies, app.end),
        (vec!["a".into(), "b".into()], Some(Ok(RepliesEnd::MaxMessages)))
    );
    assert!(took < SECOND, "{took:?}");
    let (app, _) = ask(RequestManyOptions::new().until_empty(), FOUR);
    assert_eq!(
        (app.replies, app.end),
        (vec!["a".into(), "b".into()], Some(Ok(RepliesEnd::Sentinel)))
    );
    let options = RequestManyOptions::new().sentinel(|message| message.payload() == b"a");
    let (app, _) = ask(options, FOUR);
    assert_eq!((app.replies.len(), app.end), (0, Some(Ok(RepliesEnd::Sentinel))));
    let (app, _) = ask(RequestManyOptions::new().max_messages(0), FOUR);
    assert_eq!((app.replies.len(), app.end), (0, Some(Ok(RepliesEnd::MaxMessages))));
}

/// The time in which other callbacks run is none in which nothing comes.
#[test]
fn a_loop_that_is_held_up_reads_what_has_come_before_it_gives_up() {
    let subject = support::unique("held");
    let (served, (ready, is_ready)) = (subject.clone(), std::sync::mpsc::channel());
    let service = std::thread::spawn(move || {
        let event_loop: EventLoop<()> = EventLoop::new().expect("a loop");
        let nats = event_loop.connect(server().url().as_str()).expect("a client");
        let respond = |(): &mut (), service: &evnats::Subscription, request: &_| {
            service.client().respond(request, "a")?;
            service.client().respond(request, "b")?;
            service.client().drain();
            Ok(())
        };
        nats.subscribe(&served, respond).expect("a subscription");
        nats.flush(move |(), _, _| ready.send(()).expect("somebody waits"));
        event_loop.run(&mut ()).expect("the loop");
    });
    is_ready.recv().expect("a service");
    let socket = TcpStream::connect(("127.0.0.1", server().port())).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    let peeking = socket.try_clone().expect("the same socket");
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let transport = mio::net::TcpStream::from_std(socket);
    let nats = event_loop.connect_over(transport, Options::new("")).expect("a client");
    nats.on_connect(move |_: &mut App, nats, _| {
        let (asked, timeout) = (Instant::now(), 500 * MS);
        let options = RequestManyOptions::new().max_messages(2).timeout(timeout);
        nats.request_many(&subject, "", options, note);
        let peeking = peeking.try_clone().expect("the same socket");
        // it is sent by then; the replies come while nobody looks, and the time is over afterwards
        nats.set_timer(MS, move |app, _| {
            let mut waiting = [0; 1024];
            let mut have_come = || {
                let peeked = peeking.peek(&mut waiting);
                peeked.is_ok_and(|len| waiting[..len].ends_with(b"b\r\n"))
            };
            while app.replies.len() < 2 && (asked.elapsed() <= timeout || !have_come()) {
                std::thread::yield_now();
            }
        });
    });
    let mut app = App::default();
    event_loop.run(&mut app).expect("the loop");
    assert_eq!(app.replies, ["a", "b"]);
    assert_eq!(app.end, Some(Ok(RepliesEnd::MaxMessages)));
    service.join().expect("a service");
}

#[test]
fn nobody_who_listens_is_told_at_once() {
    let mut app = App::default();
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let subject = support::unique("nobody");
    nats.request_many(&subject, "", RequestManyOptions::new(), note);
    event_loop.run(&mut app).expect("the loop");
    let end = app.end.expect("an end").expect_err("nobody listens");
    assert!(end.is_no_responders(), "{end}");
}

#[test]
fn what_cannot_be_sent_is_told_in_the_next_turn() {
    let mut app = App::default();
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    nats.on_connect(|_: &mut App, nats, _| {
        let replies = nats.request_many("a b", "", RequestManyOptions::new(), note);
        assert!(replies.is_active());
    });
    event_loop.run(&mut app).expect("the loop");
    assert!(matches!(app.end, Some(Err(RequestError::Command(_)))), "{:?}", app.end);
}

#[test]
fn what_is_not_permitted_is_named() {
    let config = "authorization { users: [ \
        { user: all, password: p }, \
        { user: mute, password: p, permissions: { publish: { deny: \"secret\" } } }, \
        { user: deaf, password: p, permissions: { subscribe: { deny: \"_INBOX.>\" } } } ] }";
    let server = Server::builder().config(config).start().expect("a server");
    for (user, named) in [("mute", "Publish to \"secret\""), ("deaf", "Subscription to \"_INBOX.")]
    {
        let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
        let nats = event_loop.connect(url_for(&server, user)).expect("a client");
        nats.request_many("secret", "", RequestManyOptions::new(), note);
        let mut app = App::default();
        event_loop.run(&mut app).expect("the loop");
        let end = app.end.expect("an end").expect_err("it is not permitted");
        assert!(end.is_denied() && end.to_string().contains(named), "{user}: {end}");
    }
}

#[test]
fn a_connection_that_is_lost_ends_what_was_sent_and_one_that_comes_sends_the_rest() {
    let simulation = Simulation::new(1);
    let server = SimulatedServer::start(&simulation, "nats.test:4222");
    let event_loop: EventLoop<App> = simulation.event_loop().expect("a loop");
    let nats = event_loop.connect("nats://nats.test:4222").expect("a client");
    answer(&nats, "all", &[(100, "a"), (1000, "b")]);
    // sent as soon as there is a connection
    nats.request_many("all", "", RequestManyOptions::new(), note_only);
    simulation.after(500 * MS, move || server.kill());
    let mut app = App::default();
    turn_until(&event_loop, &mut app, "an end", |app| app.end.is_some());
    assert_eq!((app.replies.len(), app.end.take()), (1, Some(Err(RequestError::OutcomeUnknown))));
    // without a connection nothing is sent in all the time
    nats.request_many("all", "", RequestManyOptions::new().timeout(300 * MS), note_only);
    turn_until(&event_loop, &mut app, "an end", |app| app.end.is_some());
    assert_eq!(app.end.take(), Some(Err(RequestError::NeverSent)));
    // and what waits for one hears of the client's end
    nats.request_many("all", "", RequestManyOptions::new(), note_only);
    nats.close();
    event_loop.run(&mut app).expect("the loop");
    let end = app.end.expect("an end").expect_err("it is closed");
    assert!(end.is_closed(), "{end}");
}

#[test]
fn it_can_be_stopped_by_its_callback_and_leaves_nothing() {
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let service = support::unique("stopped");
    answer(&nats, &service, &[(0, "a"), (0, "b"), (0, "c")]);
    let on_replied = |app: &mut App, replies: &Replies<App>, replied| {
        note_only(app, replies, replied);
        if app.replies.len() == 2 {
            replies.stop();
            assert!(!replies.is_active());
            replies.client().flush(|_, nats, _| nats.drain());
        }
    };
    nats.request_many(&service, "", RequestManyOptions::new(), on_replied);
    let mut app = App::default();
    turn_until(&event_loop, &mut app, "two replies", |app| app.replies.len() == 2);
    assert_eq!(nats.subscription_count(), 1, "that of the service is left");
    event_loop.run(&mut app).expect("the loop");
    assert_eq!((app.replies.len(), app.end), (2, None));
}

#[test]
fn a_callback_that_panics_hears_of_the_rest_and_of_the_end() {
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let service = support::unique("panics");
    answer(&nats, &service, &[(0, "a"), (0, "b")]);
    let options = RequestManyOptions::new().max_messages(2);
    nats.request_many(&service, "", options, |app: &mut App, replies, replied| {
        note(app, replies, replied);
        assert!(app.end.is_some(), "a bug in the application");
    });
    let mut app = App::default();
    for _ in 0..2 {
        let ran = catch_unwind(AssertUnwindSafe(|| event_loop.run(&mut app)));
        assert!(ran.is_err(), "each of the two panics");
    }
    event_loop.run(&mut app).expect("the loop");
    assert_eq!((app.replies.len(), app.end), (2, Some(Ok(RepliesEnd::MaxMessages))));
}

#[test]
fn headers_go_with_the_request() {
    let event_loop: EventLoop<App> = EventLoop::new().expect("a loop");
    let options = Options::new(server().url().as_str()).request_timeout(200 * MS);
    let nats = event_loop.connect(options).expect("a client");
    let service = support::unique("headers");
    nats.subscribe(&service, |_: &mut App, service, request| {
        let kind = request.headers().last("Kind").unwrap_or_default().into_owned();
        service.client().respond(request, kind)
    })
    .expect("a subscription");
    let headers = evnats::HeaderMap::new().with("Kind", "many");
    let message = OutgoingMessage::new(&service, "").headers(&headers);
    nats.send_request_many(message, RequestManyOptions::new(), note);
    let mut app = App::default();
    event_loop.run(&mut app).expect("the loop");
    assert_eq!((app.replies, app.end), (vec!["many".into()], Some(Ok(RepliesEnd::Timeout))));
}
