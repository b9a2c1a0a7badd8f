//! What callbacks may return, and what becomes of it: errors leave `run`, the loop stays usable, and
//! what others cause is no error of the one who answers.

mod support;

use evnats::{
    Client, CommandError, ConnectionError, DisconnectReason, Error, EventLoop, FlushError, Options,
    RequestError, jetstream, kv,
};
use evnats_harness::{FaultProxy, ReservedPort, ScriptedServer, Server};
use std::fmt;
use std::time::Duration;
use support::{Log, flush, server, turn_until, unique};

#[derive(Debug, PartialEq)]
struct OutOfPaper;

impl fmt::Display for OutOfPaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of paper")
    }
}

impl std::error::Error for OutOfPaper {}

impl From<OutOfPaper> for Error {
    fn from(error: OutOfPaper) -> Self {
        Self::other(error)
    }
}

fn print(text: &str) -> Result<usize, OutOfPaper> {
    match text {
        "long" => Err(OutOfPaper),
        text => Ok(text.len()),
    }
}

#[test]
fn an_error_of_the_users_own_leaves_run_and_the_loop_goes_on_where_it_was() {
    let subject = unique("print");
    let event_loop = EventLoop::<usize>::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |printed, jobs, job| {
        *printed += print(&job.text())?;
        if *printed == 6 {
            jobs.client().drain();
        }
        Ok(())
    })
    .expect("a subscription");
    for text in ["abc", "long", "def"] {
        nats.publish(&subject, text).expect("a publish");
    }
    let mut printed = 0;
    let error = event_loop.run(&mut printed).expect_err("the error of the callback");
    assert_eq!(error.downcast_ref(), Some(&OutOfPaper));
    assert_eq!((error.to_string().as_str(), printed), ("out of paper", 3));
    event_loop.run(&mut printed).expect("the rest");
    assert_eq!(printed, 6);
}

#[test]
fn errors_leave_from_every_kind_of_callback() {
    type Set = fn(&Client<()>);
    let cases: [(&str, Set); 8] = [
        ("hook", |nats| nats.on_connect(|_, _, _| Err(OutOfPaper.into()))),
        ("request", |nats| {
            nats.request("nobody", "", |_, _, reply| reply.map(drop).map_err(Error::from))
        }),
        ("flush", |nats| nats.flush(|_, _, _| Err(OutOfPaper.into()))),
        ("timer", |nats| {
            nats.set_timer(Duration::ZERO, |_, _| Err(OutOfPaper.into()));
        }),
        ("interval", |nats| {
            nats.set_interval(Duration::from_millis(1), |_, nats| {
                nats.cancel_current_timer();
                Err(OutOfPaper.into())
            });
        }),
        ("key-value", |nats| {
            nats.jetstream()
                .key_value("n.o")
                .get("k", |_, _, entry| entry.map(drop).map_err(Error::from));
        }),
        ("watch", |nats| {
            let bucket = nats.jetstream().key_value("no_such_bucket");
            bucket.watch(">", kv::WatchOptions::new(), |_, _, update| match update {
                kv::Update::Ended(error) => Err(error.into()),
                _ => Ok(()),
            });
        }),
        ("jetstream", |nats| {
            nats.jetstream()
                .stream_info("NO_SUCH_STREAM", |_, _, info| info.map(drop).map_err(Error::from));
        }),
    ];
    for (name, set) in cases {
        let event_loop = EventLoop::<()>::new().expect("an event loop");
        let nats = event_loop.connect(server().url()).expect("a client");
        set(&nats);
        assert!(event_loop.run(&mut ()).is_err(), "{name}");
        nats.close();
        event_loop.run(&mut ()).unwrap_or_else(|error| panic!("{name} leaves twice: {error}"));
    }
}

#[test]
fn posted_closures_may_fail_too() {
    let event_loop = EventLoop::<()>::new().expect("an event loop");
    let running = event_loop.keep_running();
    event_loop.remote().post(|_: &mut (), _: &_| Err(OutOfPaper.into())).expect("a post");
    assert!(event_loop.run(&mut ()).is_err());
    drop(running);
    event_loop.run(&mut ()).expect("nothing is left");
}

#[test]
fn a_service_lives_on_whatever_its_callers_and_the_network_do() {
    let subject = unique("ping");
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let mut log = Log::new();
    let service = event_loop.connect(proxy.url()).expect("a client");
    service
        .subscribe(&subject, |_, requests, request| requests.client().respond(request, "pong"))
        .expect("a subscription");
    service.on_error(|log, _, error| log.push(error.to_string()));
    let caller = event_loop.connect(server().url()).expect("a client");
    flush(&event_loop, &mut log, &service);

    // nobody wants an answer
    caller.publish(&subject, "ping").expect("a publish");
    flush(&event_loop, &mut log, &caller);
    // the connection is cut with a request on its way
    proxy.stall_all();
    caller.request(&subject, "ping", |_, _, _| {});
    flush(&event_loop, &mut log, &caller);
    proxy.cut_all();
    turn_until(&event_loop, &mut log, "a reconnect", |_| service.statistics().reconnects == 1);
    flush(&event_loop, &mut log, &service);
    caller.request(&subject, "ping", |log: &mut Log, _, reply| {
        log.push(reply?.text().into_owned());
        Ok(())
    });
    turn_until(&event_loop, &mut log, "an answer", |log| log.last().is_some_and(|l| l == "pong"));
}

#[test]
fn answers_that_cannot_leave_are_counted_and_reported_and_no_error() {
    let subject = unique("large");
    let event_loop = EventLoop::<Vec<ConnectionError>>::new().expect("an event loop");
    let mut errors = Vec::new();
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.on_error(|errors: &mut Vec<_>, _, error| errors.push(error.clone()));
    nats.subscribe(&subject, |_, requests, request| {
        // more than the server takes
        requests.client().respond(request, vec![0; 2 << 20])
    })
    .expect("a subscription");
    flush(&event_loop, &mut errors, &nats);
    nats.request(&subject, "", |_, _, _| {});
    turn_until(&event_loop, &mut errors, "a report", |errors| !errors.is_empty());
    assert_eq!((nats.answers_failed(), errors.len()), (1, 1));
    let ConnectionError::AnswerFailed { subject, error } = &errors[0] else {
        panic!("{errors:?}");
    };
    assert!(subject.starts_with("_INBOX."));
    assert!(matches!(error, CommandError::PayloadTooLarge { .. }), "{error}");
}

#[test]
fn an_answer_to_a_subject_that_is_no_text_goes_to_no_other_subject() {
    let server = ScriptedServer::start(|mut script| {
        script.handshake();
        script.expect("SUB a");
        script.send(b"MSG a 2 _INBOX.\xff\xfe.x 1\r\n1\r\n");
        assert_eq!(script.read_line().as_deref(), Some("PING"), "and no answer before it");
        script.send(b"PONG\r\n");
        script.hold();
    });
    let event_loop = EventLoop::<Vec<ConnectionError>>::new().expect("an event loop");
    let mut errors = Vec::new();
    let nats = event_loop.connect(server.url()).expect("a client");
    nats.on_error(|errors: &mut Vec<_>, _, error| errors.push(error.clone()));
    nats.subscribe("a", |_, requests, request| requests.client().respond(request, "x"))
        .expect("a subscription");
    turn_until(&event_loop, &mut errors, "a report", |errors| !errors.is_empty());
    assert_eq!(
        errors[0].to_string(),
        "answer to \"_INBOX.\u{fffd}\u{fffd}.x\" not sent: invalid reply subject: no UTF-8 at byte 7 \
         in \"_INBOX.\u{fffd}\u{fffd}.x\""
    );
    flush(&event_loop, &mut errors, &nats);
}

#[test]
fn a_client_that_ends_unheard_ends_run_with_the_reason() {
    let port = ReservedPort::any().expect("a free port");
    let url = format!("127.0.0.1:{}", port.port());
    let event_loop = EventLoop::<u32>::new().expect("an event loop");
    event_loop.connect(url.as_str()).expect("a client");
    let error = event_loop.run(&mut 0).expect_err("nobody listens there");
    assert!(matches!(&error, Error::Ended(_)) && error.is_closed(), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
    event_loop.run(&mut 0).expect("nothing is left");

    // one who listens is told, and `run` returns as usual
    let nats = event_loop.connect(url.as_str()).expect("a client");
    nats.on_close(|heard: &mut u32, _, _| *heard += 1);
    let mut heard = 0;
    event_loop.run(&mut heard).expect("somebody has heard");
    assert_eq!(heard, 1);

    // its own end is no error
    for end in [Client::close, Client::drain] {
        end(&event_loop.connect(server().url()).expect("a client"));
        event_loop.run(&mut 0).expect("as was commanded");
    }
}

#[test]
fn an_error_for_want_of_a_connection_gives_way_to_the_reason() {
    let config = "authorization { user: joe, password: right }";
    let server = Server::builder().config(config).start().expect("a server");
    let url = format!("nats://joe:wrong@127.0.0.1:{}", server.port());
    let event_loop = EventLoop::<u32>::new().expect("an event loop");
    let nats = event_loop.connect(url.as_str()).expect("a client");
    nats.request("a", "b", |outcomes: &mut u32, _, reply| {
        *outcomes += 1;
        reply?;
        Ok(())
    });
    nats.jetstream().key_value("B").get("k", |outcomes: &mut u32, _, entry| {
        *outcomes += 1;
        entry?;
        Ok(())
    });
    let mut outcomes = 0;
    let error = event_loop.run(&mut outcomes).expect_err("a wrong password");
    assert!(matches!(error, Error::Ended(_)), "{error}");
    assert!(error.to_string().contains("Authorization Violation"), "{error}");
    while !event_loop.is_empty() {
        // the errors that are left have their own turns, and the end is not told twice
        if let Err(error) = event_loop.run(&mut outcomes) {
            assert!(!matches!(error, Error::Ended(_)), "{error}");
        }
    }
    assert_eq!(outcomes, 2);

    // with an `on_close`, an error stays what it is
    let nats = event_loop.connect(url.as_str()).expect("a client");
    nats.on_close(|_, _, _| {});
    nats.request("a", "b", |_, _, reply| {
        reply?;
        Ok(())
    });
    let error = event_loop.run(&mut outcomes).expect_err("a request that was not sent");
    assert!(matches!(error, Error::Request(RequestError::NeverSent)), "{error}");
}

#[test]
fn a_drain_that_is_not_complete_in_time_is_heard_too() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let options = Options::new(proxy.url()).drain_timeout(Duration::from_millis(50));
    let event_loop = EventLoop::<()>::new().expect("an event loop");
    let nats = event_loop.connect(options).expect("a client");
    flush(&event_loop, &mut (), &nats);
    proxy.stall_all();
    nats.drain();
    let error = event_loop.run(&mut ()).expect_err("the server does not answer");
    assert!(matches!(error, Error::Ended(DisconnectReason::DrainTimeout)), "{error}");
}

#[test]
fn every_floor_answers_the_same_questions() {
    let no_responders = Error::from(RequestError::NoResponders { subject: None });
    assert!(no_responders.is_no_responders() && no_responders.is_temporary());
    let timeout = Error::from(kv::Error::JetStream(RequestError::Timeout.into()));
    assert!(timeout.is_timeout() && timeout.is_temporary() && !timeout.is_not_found());
    assert!(timeout.downcast_ref::<kv::Error>().is_some_and(kv::Error::is_timeout));
    let closed = Error::from(jetstream::Error::from(CommandError::Closed));
    assert!(closed.is_closed() && !closed.is_temporary());
    let flush = Error::from(FlushError::Timeout);
    assert!(flush.is_timeout() && flush.is_temporary());
    let gone = Error::from(kv::Error::BucketNotFound { bucket: "b".into() });
    assert!(gone.is_not_found() && !gone.is_temporary());
    assert_eq!(gone.to_string(), "bucket \"b\" not found");
    let not_stored = Error::from(jetstream::Error::NotStored { subject: None });
    assert!(not_stored.is_no_responders() && not_stored.is_temporary());
    assert!(!not_stored.is_not_found());
    let no_leader = Error::from(kv::Error::NoLeader { bucket: "b".into() });
    assert!(no_leader.is_no_responders() && no_leader.is_temporary());
    assert!(!no_leader.is_not_found());
}
