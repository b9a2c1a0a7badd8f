//! The loop inside a host that waits by itself: on the loop's descriptor, level-triggered or
//! edge-triggered, or on a selector that the host lends.

#![cfg(unix)]

mod support;

use evnats::{Client, Error, EventLoop, NextDeadline, Options};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use support::{Log, server, unique};

const NOW: Option<Duration> = Some(Duration::ZERO);
const LIMIT: Duration = Duration::from_secs(30);

/// A host that waits for the loop's descriptor, with mio's edges.
struct Host {
    poll: Poll,
    events: Events,
}

impl Host {
    fn of<S: 'static>(event_loop: &EventLoop<S>) -> Self {
        let poll = Poll::new().expect("a poll");
        let descriptor = event_loop.as_fd().as_raw_fd();
        let mut source = SourceFd(&descriptor);
        poll.registry().register(&mut source, Token(7), Interest::READABLE).expect("registered");
        Self { poll, events: Events::with_capacity(8) }
    }

    /// Returns whether the descriptor became readable.
    fn wait(&mut self, timeout: Option<Duration>) -> bool {
        self.poll.poll(&mut self.events, timeout).expect("a poll");
        !self.events.is_empty()
    }
}

/// The server's end of a client's transport.
struct Far(UnixStream);

impl Far {
    /// Two ends: a client on the one, which is connected, and the other.
    fn connect<S: 'static>(event_loop: &EventLoop<S>) -> (Client<S>, Self) {
        let (near, far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("an option");
        let near = mio::net::UnixStream::from_std(near);
        let mut far = Self(far);
        far.say("INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\nPONG\r\n");
        (event_loop.connect_over(near, Options::new("pair")).expect("a client"), far)
    }

    fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("written");
    }

    /// What the client has written since it was heard last.
    fn hear(&mut self) -> String {
        let mut room = [0; 4096];
        self.0.set_read_timeout(Some(LIMIT)).expect("an option");
        let count = self.0.read(&mut room).expect("bytes");
        String::from_utf8_lossy(&room[..count]).into_owned()
    }
}

#[test]
fn an_edge_triggered_host_gets_everything_from_more_clients_than_events() {
    const CLIENTS: usize = 300;
    let event_loop = EventLoop::<usize>::new().expect("a loop");
    let mut far: Vec<_> = (0..CLIENTS).map(|_| Far::connect(&event_loop)).collect();
    for (nats, _) in &far {
        nats.subscribe("a", |count: &mut usize, _, _| *count += 1).expect("a subscription");
    }
    let mut host = Host::of(&event_loop);
    let mut count = 0;
    let turn = |count: &mut usize| while event_loop.dispatch(count, NOW).expect("a turn") {};
    turn(&mut count);
    for round in 1..=3 {
        far.iter_mut().for_each(|(_, far)| far.say("MSG a 2 1\r\nx\r\n"));
        while count < round * CLIENTS {
            assert!(host.wait(Some(LIMIT)), "{count} of {CLIENTS}, and no edge");
            turn(&mut count);
        }
    }
}

#[test]
fn a_command_outside_a_turn_makes_the_descriptor_readable() {
    let event_loop = EventLoop::<u32>::new().expect("a loop");
    let (nats, mut far) = Far::connect(&event_loop);
    let mut host = Host::of(&event_loop);
    let mut state = 0;
    while event_loop.dispatch(&mut state, NOW).expect("a turn") {}
    far.hear();
    host.wait(NOW);
    for round in 0..3 {
        assert!(matches!(event_loop.next_deadline(), NextDeadline::At(_)));
        assert!(!host.wait(NOW), "nothing has happened");
        nats.publish("a", round.to_string()).expect("a publish");
        assert_eq!(event_loop.next_deadline(), NextDeadline::Now);
        assert!(host.wait(NOW), "a host that waits by its descriptor alone");
        event_loop.dispatch(&mut state, NOW).expect("a turn");
        assert_eq!(far.hear(), format!("PUB a 1\r\n{round}\r\n"));
        while event_loop.dispatch(&mut state, NOW).expect("a turn") {}
        host.wait(NOW);
    }
    event_loop.handle().set_timer(Duration::ZERO, |state: &mut u32, _| *state = 1);
    assert!(host.wait(NOW), "a timer");
    event_loop.dispatch(&mut state, NOW).expect("a turn");
    assert_eq!(state, 1);
}

#[test]
fn a_post_wakes_a_host_that_waits_for_the_descriptor() {
    let event_loop = EventLoop::<u32>::new().expect("a loop");
    let remote = event_loop.handle().remote();
    let mut host = Host::of(&event_loop);
    let thread = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        remote.post(|count: &mut u32, _: &evnats::Handle<u32>| *count += 1).is_ok()
    });
    assert!(host.wait(Some(LIMIT)));
    let mut count = 0;
    event_loop.dispatch(&mut count, NOW).expect("a turn");
    assert_eq!(count, 1);
    assert!(thread.join().expect("the thread"));
}

/// A host with a selector of its own, which the loop shares.
struct Lender {
    poll: Poll,
    events: Events,
}

const WAKE: Token = Token(0);

impl Lender {
    fn with_loop<S: 'static>(tokens: std::ops::Range<usize>) -> (Self, EventLoop<S>) {
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).expect("a waker"));
        let wake = move || waker.wake().expect("a wake-up");
        let event_loop = EventLoop::on_registry(poll.registry(), tokens, wake).expect("a loop");
        (Self { poll, events: Events::with_capacity(64) }, event_loop)
    }

    fn turn<S: 'static>(&mut self, event_loop: &EventLoop<S>, state: &mut S) {
        let timeout = event_loop.next_deadline().timeout(Instant::now()).unwrap_or(LIMIT);
        self.poll.poll(&mut self.events, Some(timeout.min(LIMIT))).expect("a poll");
        for event in &self.events {
            let is_own = event_loop.handle_event(event);
            assert_eq!(is_own, event.token() != WAKE);
        }
        event_loop.dispatch(state, None).expect("a turn");
    }
}

#[test]
fn a_loop_lives_on_a_lent_selector() {
    let (mut host, event_loop) = Lender::with_loop::<Log>(1000..1010);
    let nats = event_loop.connect(server().url()).expect("a client");
    let subject = unique("lent");
    nats.subscribe(&subject, |log: &mut Log, lent, message| {
        log.push(message.text().into_owned());
        lent.client().set_timer(Duration::from_millis(5), |log: &mut Log, nats| {
            log.push("timer".into());
            nats.drain();
        });
    })
    .expect("a subscription");
    nats.publish(&subject, "hello").expect("a publish");
    let mut log = Log::new();
    let limit = Instant::now() + LIMIT;
    while !event_loop.is_empty() {
        host.turn(&event_loop, &mut log);
        assert!(Instant::now() < limit, "the loop has not come to an end");
    }
    assert_eq!(log, ["hello", "timer"]);
    assert!(matches!(event_loop.run(&mut log), Err(Error::EventLoop(_))), "the host waits");
}

#[test]
fn names_are_looked_up_and_posts_arrive_on_a_lent_selector() {
    let (mut host, event_loop) = Lender::with_loop::<Log>(1000..1010);
    let url = format!("nats://localhost:{}", server().port());
    let nats = event_loop.connect(url).expect("a client");
    nats.on_connect(|log: &mut Log, nats, _| {
        log.push("connected".into());
        let (remote, guard) = (nats.handle().remote(), nats.handle().keep_running());
        nats.close();
        thread::spawn(move || {
            let posted = remote.post(|log: &mut Log, _: &evnats::Handle<Log>| {
                log.push("posted".into());
            });
            drop(guard);
            posted.is_ok()
        });
    });
    let mut log = Log::new();
    let limit = Instant::now() + LIMIT;
    while !event_loop.is_empty() {
        host.turn(&event_loop, &mut log);
        assert!(Instant::now() < limit, "the loop has not come to an end");
    }
    assert_eq!(log, ["connected", "posted"]);
}

#[test]
fn a_range_of_tokens_that_is_used_up_is_an_error_of_the_attempt() {
    let (mut host, event_loop) = Lender::with_loop::<Log>(1000..1001);
    let mut clients = Vec::new();
    for name in ["first", "second"] {
        let options = Options::new(server().url()).reconnect(false);
        let nats = event_loop.connect(options).expect("a client");
        nats.on_connect(move |log: &mut Log, nats, _| {
            log.push(format!("{name} connected"));
            nats.set_timer(Duration::from_millis(50), |_, nats| nats.close());
        });
        nats.on_close(move |log: &mut Log, _, reason| log.push(format!("{name}: {reason}")));
        clients.push(nats);
    }
    let mut log = Log::new();
    while !event_loop.is_empty() {
        host.turn(&event_loop, &mut log);
    }
    let refused = log.iter().find(|line| line.starts_with("second: ")).expect("its end");
    assert!(refused.contains("all tokens that were lent to the event loop are taken"), "{refused}");
    assert!(log.contains(&"first connected".to_owned()));
}
