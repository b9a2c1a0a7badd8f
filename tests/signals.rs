//! Programs that are stopped and continued (Ctrl-Z, `fg`), or get signals that they handle, in every
//! phase of a connection: they go on as if nothing had happened.
//!
//! Each test starts this binary again as the program, and talks to it line by line.

#![cfg(all(unix, feature = "tls"))]

mod process;
mod support;

use evnats::{Client, Descriptor, EventLoop, Options, Tls};
use evnats_harness::{
    Certificates, Direction, Fault, FaultProxy, Server, ServerCertificate, TlsOptions,
};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use process::Running;
use signal_hook::consts::SIGUSR1;
use signal_hook::flag;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use support::run_with;

const HOLD: Duration = Duration::from_millis(1500);

/// What is done to a program.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    /// Ctrl-Z, and then `fg`.
    StoppedAndContinued,
    /// A signal with a handler, again and again.
    Interrupted,
}

const DISTURBANCES: [Disturbance; 2] = [Disturbance::StoppedAndContinued, Disturbance::Interrupted];

impl Disturbance {
    fn strike(self, program: &Running) {
        let pid = program.id();
        let script = match self {
            Self::StoppedAndContinued => format!(
                "i=0; while [ $i -lt 20 ]; do i=$((i+1)); kill -STOP {pid}; \
                 until ps -o stat= -p {pid} | grep -q T; do :; done; kill -CONT {pid}; done"
            ),
            Self::Interrupted => {
                format!("i=0; while [ $i -lt 400 ]; do kill -USR1 {pid}; i=$((i+1)); done")
            }
        };
        let done = Command::new("sh").args(["-c", &script]).status();
        assert!(done.is_ok_and(|status| status.success()), "{self:?}: {program:?}");
    }
}

/// The program under test, in one of its phases.
fn program(phase: &str, url: &str, ca: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "the_program", "--ignored", "--nocapture"]);
    command.env("EVNATS_PHASE", phase).env("EVNATS_PHASE_URL", url).env("EVNATS_PHASE_CA", ca);
    Running::start_dialog(command)
}

#[track_caller]
fn expect_success(program: Running, disturbance: Disturbance) {
    let finished = program.finish();
    assert_eq!(finished.code, Some(0), "{disturbance:?}: {finished:?}");
    assert!(finished.text().contains("all is well"), "{disturbance:?}: {finished:?}");
}

fn publish(server: &Server, subject: &'static str) {
    let (): () = run_with(server.url(), move |nats: &Client<()>| {
        nats.publish(subject, "go").expect("a publish");
        nats.drain();
    });
}

/// A proxy that keeps its first connection waiting behind so many bytes from the server.
fn holding(server: &Server, at: u64) -> FaultProxy {
    let hold = Fault::Delay { direction: Direction::ToClient, at, hold: HOLD };
    FaultProxy::start(server.port(), move |_| vec![hold.clone()])
}

#[test]
fn while_it_connects() {
    let server = Server::start();
    for disturbance in DISTURBANCES {
        let proxy = holding(&server, 0);
        let mut program = program("connect", &proxy.url(), "");
        program.wait_for_line("ready");
        disturbance.strike(&program);
        expect_success(program, disturbance);
        assert_eq!(proxy.connections(), 1, "it needed no second attempt");
    }
}

#[test]
fn while_it_negotiates_tls() {
    let certificates = Certificates::new();
    let tls = certificates.server_config(ServerCertificate::Valid, &TlsOptions::default());
    let server = Server::builder().jetstream(false).config(tls).start().expect("a server");
    for disturbance in DISTURBANCES {
        // within the server's part of the handshake
        let proxy = holding(&server, 1_000);
        let ca = certificates.ca().to_str().expect("a path").to_owned();
        let mut program = program("connect", &proxy.url(), &ca);
        program.wait_for_line("ready");
        disturbance.strike(&program);
        expect_success(program, disturbance);
        assert_eq!(proxy.connections(), 1, "it needed no second attempt");
    }
}

#[test]
fn while_it_is_idle_or_embedded() {
    let server = Server::start();
    for (phase, disturbance) in
        ["idle", "embedded"].into_iter().flat_map(|phase| DISTURBANCES.map(|d| (phase, d)))
    {
        let mut program = program(phase, &server.url(), "");
        program.wait_for_line("ready");
        disturbance.strike(&program);
        publish(&server, "go");
        expect_success(program, disturbance);
    }
}

#[test]
fn while_it_waits_for_a_reply() {
    let server = Server::start();
    for disturbance in DISTURBANCES {
        let mut program = program("request", &server.url(), "");
        program.wait_for_line("ready");
        disturbance.strike(&program);
        publish(&server, "answer");
        expect_success(program, disturbance);
    }
}

#[test]
fn while_it_drains() {
    let server = Server::start();
    for disturbance in DISTURBANCES {
        let mut program = program("drain", &server.url(), "");
        program.wait_for_line("ready");
        server.pause();
        program.write_line("drain");
        program.wait_for_line("draining");
        disturbance.strike(&program);
        server.resume();
        expect_success(program, disturbance);
    }
}

// ---- the program ---------------------------------------------------------------------------------

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn the_program() {
    // with all tests that are ignored, it is run by itself, too
    if std::env::var_os("EVNATS_PHASE").is_none() {
        return;
    }
    flag::register(SIGUSR1, Arc::new(AtomicBool::new(false))).expect("a handler");
    let variable = |name| std::env::var(name).expect("it is run by the other tests");
    let (url, ca) = (variable("EVNATS_PHASE_URL"), variable("EVNATS_PHASE_CA"));
    let options = Options::new(url).reconnect(false);
    let options = if ca.is_empty() { options } else { options.tls(Tls::new().ca_file(ca)) };
    let event_loop = EventLoop::<()>::new().expect("a loop");
    let nats = event_loop.connect(options).expect("a client");
    match variable("EVNATS_PHASE").as_str() {
        "connect" => {
            nats.on_connect(|(), client, _| client.drain());
            println!("ready");
            event_loop.run(&mut ()).expect("the loop");
        }
        "idle" => {
            wait_for_go(&nats);
            event_loop.run(&mut ()).expect("the loop");
        }
        "embedded" => {
            wait_for_go(&nats);
            host(&event_loop);
        }
        "request" => {
            request(&nats);
            event_loop.run(&mut ()).expect("the loop");
        }
        "drain" => {
            drain_on_demand(&event_loop, &nats);
            event_loop.run(&mut ()).expect("the loop");
        }
        phase => panic!("there is no phase {phase}"),
    }
    println!("all is well");
}

fn ready(nats: &Client<()>) {
    nats.flush(|(), _, flushed| {
        flushed.expect("a flush");
        println!("ready");
    });
}

fn wait_for_go(nats: &Client<()>) {
    nats.subscribe("go", |(), go, _| go.client().drain()).expect("a subscription");
    ready(nats);
}

/// Asks itself, and is told when to answer.
fn request(nats: &Client<()>) {
    nats.subscribe("question", |(), questions, question| {
        let (client, question) = (questions.client(), question.clone());
        let answers = client.subscribe("answer", move |(), answers, _| {
            answers.client().respond(&question, "42").expect("an answer");
        });
        answers.expect("a subscription");
        ready(client);
    })
    .expect("a subscription");
    nats.request("question", "", |(), client, reply| {
        assert_eq!(reply.expect("a reply").payload(), b"42");
        client.drain();
    });
}

/// Drains when it is told to, on its standard input.
fn drain_on_demand(event_loop: &EventLoop<()>, nats: &Client<()>) {
    nats.subscribe("anything", |(), _, _| {}).expect("a subscription");
    ready(nats);
    let (client, stdin) = (nats.clone(), Descriptor::new(io::stdin()));
    let source = event_loop.add_source(stdin, Interest::READABLE, move |(), stdin, _| {
        client.drain();
        println!("draining");
        stdin.remove();
    });
    source.expect("a source");
}

/// A host of the loop that waits by itself, and takes an interrupted wait for the end of one.
fn host(event_loop: &EventLoop<()>) {
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(8));
    let descriptor = event_loop.as_fd().as_raw_fd();
    let registry = poll.registry();
    registry
        .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)
        .expect("registered");
    while !event_loop.is_empty() {
        let timeout = event_loop.next_deadline().timeout(Instant::now());
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => outcome.expect("a wait"),
        }
        event_loop.dispatch(&mut (), Some(Duration::ZERO)).expect("a turn");
    }
}
