//! Fast ingest, and what becomes of it on servers and streams without it, on a real server.

mod support;

use evnats::jetstream::{
    Error, FastIngest, IngestOptions, IngestReport, JetStream, PublishOptions, StreamConfig,
};
use evnats::{Client, EventLoop, Options};
use evnats_harness::{Cluster, Server, requires};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::new_cluster::create_stream;
use support::{finish_with, run, run_with, server, turn_until, unique};

#[derive(Default)]
struct App {
    next: u64,
    wanted: u64,
    log: Vec<String>,
    outcome: Option<Result<IngestReport, Error>>,
    stored: Option<u64>,
}

type Ingest = FastIngest<App>;

fn is_fast_server() -> bool {
    let version = server().version();
    (version.major, version.minor) >= (2, 14)
}

/// Creates a stream on its own name, which allows fast ingest where the server has it.
fn with_stream(
    nats: &Client<App>,
    name: &'static str,
    is_batched: bool,
    go_on: impl FnOnce(&mut App, &Client<App>) + 'static,
) {
    let config = StreamConfig::new(name).subjects([name]).allow_batched(is_batched);
    nats.jetstream().create_stream(&config, |app: &mut App, js, created| {
        created.expect("a stream");
        go_on(app, js.client());
    });
}

/// Adds numbers as long as there is room, and then finishes.
fn fill(app: &mut App, ingest: &Ingest, subject: &str) {
    while app.next < app.wanted {
        match ingest.add(subject, (app.next + 1).to_string()) {
            Ok(number) => app.next = number,
            Err(Error::WindowFull { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    ingest.finish(finished);
}

fn finished(app: &mut App, ingest: &Ingest, outcome: Result<IngestReport, Error>) {
    app.outcome = Some(outcome);
    ingest.client().close();
}

fn ingest_all(name: &'static str, is_batched: bool, wanted: u64) -> IngestReport {
    let app: App = run(|nats: &Client<App>| {
        with_stream(nats, name, is_batched, move |app, nats| {
            app.wanted = wanted;
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
            ingest.on_ready(move |app, ingest| fill(app, ingest, name));
            fill(app, &ingest, name);
        });
    });
    app.outcome.expect("an outcome").expect("all is stored")
}

/// What the stream has now.
fn stored_in(name: &'static str) -> u64 {
    let app: App = run(|nats: &Client<App>| {
        nats.jetstream().stream_info(name, |app: &mut App, js, info| {
            app.stored = Some(info.expect("the stream").state.messages);
            js.client().close();
        });
    });
    app.stored.expect("an answer")
}

#[test]
fn everything_is_stored_fast_where_the_server_can_and_otherwise_through_a_window() {
    let name: &'static str = unique("I").leak();
    let report = ingest_all(name, is_fast_server(), 20_000);
    assert_eq!((report.published, report.stored), (20_000, 20_000), "{report:?}");
    assert_eq!((report.lost, report.refused, report.last_sequence), (0, 0, 20_000));
    assert_eq!(report.is_fast, is_fast_server());
    assert_eq!(stored_in(name), 20_000);
}

#[test]
fn a_stream_that_does_not_allow_it_is_published_to_through_a_window() {
    let name: &'static str = unique("I").leak();
    let report = ingest_all(name, false, 3_000);
    assert_eq!((report.published, report.stored, report.is_fast), (3_000, 3_000, false));
    assert_eq!(stored_in(name), 3_000);
}

/// A server, and a user of it who may not ask what it can do.
fn silent_server() -> (Server, Options) {
    let config = "accounts { A { jetstream: enabled, users: [{ user: u, password: p, permissions: {
        publish: { deny: \"$JS.API.INFO\" } } }] } }";
    let server = Server::builder().config(config).start().expect("a server");
    let options = Options::new(server.url().replace("nats://", "nats://u:p@"));
    (server, options)
}

#[test]
fn what_a_server_cannot_be_asked_it_shows_by_its_first_answer() {
    let (_server, options) = silent_server();
    let app: App = run_with(options, |nats: &Client<App>| {
        nats.on_error(|_, _, _| {});
        with_stream(nats, "I", false, |app, nats| {
            app.wanted = 100;
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
            ingest.on_ready(|app, ingest| fill(app, ingest, "I"));
            fill(app, &ingest, "I");
        });
    });
    let report = app.outcome.expect("an outcome").expect("all is stored");
    assert_eq!((report.published, report.stored, report.is_fast), (100, 100, false));
    assert_eq!(report.last_sequence, 100, "none was stored twice");
}

/// Why an ingest has ended that is to be fast, on a stream that does not allow it.
fn cause_of_end(options: Options, name: &'static str) -> Error {
    let app: App = run_with(options, |nats: &Client<App>| {
        nats.on_error(|_, _, _| {});
        with_stream(nats, name, false, move |app, nats| {
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new().fast_only(true));
            let add = move |app: &mut App, ingest: &Ingest| {
                if app.next == 0 {
                    app.next = ingest.add(name, "x").unwrap_or_default();
                }
            };
            ingest.on_ready(add);
            add(app, &ingest);
            ingest.on_ended(|app, ingest, error| {
                app.outcome = Some(Err(error.clone()));
                ingest.client().close();
            });
        });
    });
    match app.outcome.expect("an outcome").expect_err("it is not fast") {
        Error::IngestEnded { stored: 0, cause: Some(cause), .. } => *cause,
        error => panic!("{error:?}"),
    }
}

#[test]
fn an_ingest_that_is_to_be_fast_ends_with_the_reason_where_it_cannot_be() {
    let (_silent, unasked) = silent_server();
    for options in [Options::new(server().url()), unasked] {
        let name: &'static str = unique("I").leak();
        match cause_of_end(options, name) {
            Error::Unsupported { needs: 4, .. } => assert!(!is_fast_server()),
            error => assert_eq!(error.api().map(|api| api.err_code().0), Some(10_205), "{error:?}"),
        }
    }
}

/// Before the server has told what it can do nothing is taken, so nothing is passed over.
#[test]
fn an_option_that_the_server_lacks_is_refused_and_the_ingest_goes_on() {
    let version = server().version();
    if (version.major, version.minor) >= (2, 11) {
        return;
    }
    let name: &'static str = unique("I").leak();
    let app: App = run(|nats: &Client<App>| {
        with_stream(nats, name, false, move |app, nats| {
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
            let add = move |app: &mut App, ingest: &Ingest| {
                let fleeting = PublishOptions::new().ttl(Duration::from_secs(60));
                match ingest.add_with(name, "x", &fleeting) {
                    Err(Error::WindowFull { .. }) => return,
                    refused => assert!(matches!(refused, Err(Error::Unsupported { .. }))),
                }
                app.next = ingest.add(name, "x").expect("room");
                ingest.finish(finished);
            };
            ingest.on_ready(add);
            add(app, &ingest);
        });
    });
    assert_eq!(app.outcome.expect("an outcome").expect("stored").stored, 1);
}

/// Adds five messages one after the other; the third is one that the stream does not take.
fn with_a_bad_third(
    continue_on_gap: bool,
    add_third: fn(&Ingest, &str) -> Result<u64, Error>,
) -> App {
    let name: &'static str = unique("I").leak();
    fn add(
        app: &mut App,
        ingest: &Ingest,
        name: &str,
        third: fn(&Ingest, &str) -> Result<u64, Error>,
    ) {
        while app.next < 5 {
            let added = match app.next {
                2 => third(ingest, name),
                _ => ingest.add(name, "x"),
            };
            match added {
                Ok(number) => app.next = number,
                Err(Error::WindowFull { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
        ingest.finish(finished);
    }
    run(|nats: &Client<App>| {
        with_stream(nats, name, true, move |app, nats| {
            let options = IngestOptions::new().continue_on_gap(continue_on_gap);
            let ingest = nats.jetstream().fast_ingest(options);
            ingest.on_gap(|app, _, gap| app.log.push(format!("gap {}-{}", gap.from, gap.to)));
            ingest.on_refused(|app, _, refusal| {
                app.log.push(format!("{} refused: {}", refusal.number, refusal.error));
            });
            ingest.on_ready(move |app, ingest| add(app, ingest, name, add_third));
            add(app, &ingest, name, add_third);
        });
    })
}

fn to_nowhere(ingest: &Ingest, name: &str) -> Result<u64, Error> {
    ingest.add(&format!("nowhere.{name}"), "x")
}

fn expecting_too_much(ingest: &Ingest, name: &str) -> Result<u64, Error> {
    ingest.add_with(name, "x", &PublishOptions::new().expect_last_sequence(99))
}

#[test]
fn a_lost_message_ends_an_ingest_and_what_came_before_is_stored() {
    requires!(server(), 2, 14);
    let app = with_a_bad_third(false, to_nowhere);
    let error = app.outcome.expect("an outcome").expect_err("it ended");
    assert!(matches!(error, Error::IngestEnded { published: 5, stored: 2, .. }), "{error:?}");
    assert_eq!(app.log.iter().filter(|line| *line == "gap 3-4").count(), 1, "{:?}", app.log);
}

#[test]
fn a_lost_message_is_counted_where_the_ingest_is_to_continue() {
    requires!(server(), 2, 14);
    let app = with_a_bad_third(true, to_nowhere);
    let report = app.outcome.expect("an outcome").expect("it went on");
    assert_eq!((report.published, report.stored, report.lost), (5, 4, 1), "{report:?}");
    assert_eq!(report.last_sequence, 4);
    assert!(app.log.contains(&"gap 3-4".to_owned()), "{:?}", app.log);
}

#[test]
fn a_refused_message_ends_an_ingest_with_the_reason() {
    requires!(server(), 2, 14);
    let app = with_a_bad_third(false, expecting_too_much);
    let error = app.outcome.expect("an outcome").expect_err("it ended");
    let Error::IngestEnded { published: 5, stored: 2, cause: Some(cause) } = &error else {
        panic!("{error:?}")
    };
    assert!(cause.is_wrong_last_sequence());
    assert!(error.to_string().starts_with("the ingest is over, and 2 of 5 messages are known"));
    assert!(app.log[0].starts_with("3 refused: wrong last sequence"), "{:?}", app.log);
}

#[test]
fn a_refused_message_is_counted_where_the_ingest_is_to_continue() {
    requires!(server(), 2, 14);
    let app = with_a_bad_third(true, expecting_too_much);
    let report = app.outcome.expect("an outcome").expect("it went on");
    assert_eq!((report.published, report.stored, report.refused), (5, 4, 1), "{report:?}");
}

#[test]
fn the_first_message_has_to_have_a_stream() {
    let name: &'static str = unique("nowhere").leak();
    let app: App = run(|nats: &Client<App>| {
        let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
        ingest.on_ready(move |app, ingest| {
            if app.next == 0 {
                app.next = ingest.add(name, "x").expect("room");
            }
        });
        ingest.on_ended(|app, ingest, error| {
            app.log.push(error.to_string());
            ingest.client().close();
        });
        assert!(matches!(ingest.add(name, "x"), Err(Error::WindowFull { .. })));
    });
    let said = format!("no stream has the subject {name:?}: nobody has stored it");
    assert_eq!(app.log.len(), 1);
    assert!(app.log[0].ends_with(&said), "{:?}", app.log);
}

#[test]
fn an_ingest_that_is_finished_after_its_first_message_is_told_at_once_that_there_is_no_stream() {
    requires!(server(), 2, 14);
    let name: &'static str = unique("nowhere").leak();
    let app: App = run(|nats: &Client<App>| {
        let options = IngestOptions::new().timeout(Duration::from_secs(600));
        let ingest = nats.jetstream().fast_ingest(options);
        ingest.on_ready(move |app, ingest| {
            app.next = ingest.add(name, "x").expect("room");
            ingest.finish(finished);
        });
        assert!(matches!(ingest.add(name, "x"), Err(Error::WindowFull { .. })));
    });
    let error = app.outcome.expect("an outcome").expect_err("nobody stores it");
    let Error::IngestEnded { published: 1, stored: 0, cause: Some(cause) } = error else {
        panic!("{error:?}")
    };
    assert_eq!(*cause, Error::NoStream { subject: name.to_owned() });
}

#[test]
fn an_ingest_begins_however_many_acknowledgements_may_be_outstanding() {
    let name: &'static str = unique("I").leak();
    let _: App = run(|nats: &Client<App>| {
        with_stream(nats, name, is_fast_server(), |_, nats| nats.close());
    });
    // another client, which does not know the server's level yet
    let app: App = run(|nats: &Client<App>| {
        let options = IngestOptions::new().max_outstanding_acks(u16::MAX).flow(u16::MAX);
        let ingest = nats.jetstream().fast_ingest(options.timeout(Duration::MAX));
        ingest.on_ready(move |app: &mut App, ingest| {
            app.wanted = 1_000;
            fill(app, ingest, name);
        });
        assert!(matches!(ingest.add(name, "x"), Err(Error::WindowFull { .. })));
    });
    assert_eq!(app.outcome.expect("an outcome").expect("all is stored").stored, 1_000);
}

#[test]
fn an_ingest_whose_last_message_is_lost_is_finished_with_what_came_before() {
    requires!(server(), 2, 14);
    let name: &'static str = unique("I").leak();
    let app: App = run(|nats: &Client<App>| {
        with_stream(nats, name, true, move |app, nats| {
            let options = IngestOptions::new().timeout(Duration::from_secs(600));
            let ingest = nats.jetstream().fast_ingest(options);
            let add = move |app: &mut App, ingest: &Ingest| {
                while app.next < 3 {
                    let added = match app.next {
                        2 => to_nowhere(ingest, name),
                        _ => ingest.add(name, "x"),
                    };
                    let Ok(number) = added else { return };
                    app.next = number;
                }
                ingest.finish(finished);
            };
            ingest.on_ready(add);
            add(app, &ingest);
        });
    });
    let error = app.outcome.expect("an outcome").expect_err("it ended");
    assert!(matches!(error, Error::IngestEnded { published: 3, stored: 2, .. }), "{error:?}");
}

#[test]
fn an_ingest_of_nothing_is_finished_at_once_and_once() {
    let app: App = run(|nats: &Client<App>| {
        let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
        ingest.finish(|app, ingest, outcome| {
            assert!(matches!(ingest.add("a", "x"), Err(Error::IngestEnded { .. })));
            app.outcome = Some(outcome);
            ingest.finish(|app, ingest, outcome| {
                let ended = Err(Error::IngestEnded { published: 0, stored: 0, cause: None });
                assert_eq!(outcome, ended);
                app.log.push("ended".into());
                ingest.client().close();
            });
        });
        assert!(matches!(ingest.add("a", "x"), Err(Error::IngestEnded { .. })));
    });
    assert_eq!(app.outcome.expect("an outcome").expect("nothing").published, 0);
    assert_eq!(app.log, ["ended"]);
}

#[test]
fn an_idle_ingest_is_kept_alive() {
    requires!(server(), 2, 14);
    let name: &'static str = unique("I").leak();
    let app: App = run(|nats: &Client<App>| {
        with_stream(nats, name, true, move |app, nats| {
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
            let add = move |app: &mut App, ingest: &Ingest| {
                if app.next == 0 && ingest.add(name, "x").is_ok() {
                    app.next = 1;
                    let ingest = ingest.clone();
                    // longer than servers wait
                    ingest.client().set_timer(Duration::from_secs(12), move |_: &mut App, _| {
                        ingest.add(name, "y").expect("room");
                        ingest.finish(finished);
                    });
                }
            };
            ingest.on_ready(add);
            add(app, &ingest);
        });
    });
    let report = app.outcome.expect("an outcome").expect("it lives");
    assert_eq!((report.stored, report.is_fast), (2, true));
}

#[test]
fn an_ingest_whose_server_is_frozen_ends_with_what_is_known() {
    requires!(server(), 2, 14);
    let server = Rc::new(Server::start());
    let frozen = server.clone();
    let app: App = run_with(server.url().as_str(), |nats: &Client<App>| {
        with_stream(nats, "I", true, move |app, nats| {
            let options = IngestOptions::new().timeout(Duration::from_secs(2));
            let ingest = nats.jetstream().fast_ingest(options);
            let thaw = frozen.clone();
            ingest.on_ended(move |app, ingest, error| {
                app.outcome = Some(Err(error.clone()));
                thaw.resume();
                ingest.client().close();
            });
            let add = move |app: &mut App, ingest: &Ingest| {
                while let Ok(number) = ingest.add("I", "x") {
                    app.next = number;
                    if number == 500 {
                        frozen.pause();
                    }
                }
            };
            ingest.on_ready(add.clone());
            add(app, &ingest);
        });
    });
    let error = app.outcome.expect("an outcome").expect_err("it ended");
    let Error::IngestEnded { published, stored, cause: Some(cause) } = error else {
        panic!("{error:?}")
    };
    assert!(cause.is_timeout(), "{cause:?}");
    assert!(stored < 500 && published >= 500, "{stored} of {published}");
}

#[test]
fn an_ingest_that_loses_its_server_says_how_much_is_known_to_be_stored() {
    requires!(server(), 2, 14);
    let server = Rc::new(RefCell::new(Server::start()));
    let url = server.borrow().url();
    let mut app = App { wanted: 5_000, ..App::default() };
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let options = Options::new(url).max_reconnects(100).reconnect_delay(Duration::from_millis(50));
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|_, _, _| {});
    let struck = server.clone();
    with_stream(&nats, "I", true, move |app, nats| {
        let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
        ingest.on_ended(|app, _, error| app.outcome = Some(Err(error.clone())));
        let add = move |app: &mut App, ingest: &Ingest| {
            while let Ok(number) = ingest.add("I", "x") {
                app.next = number;
                if number == 1_000 {
                    struck.borrow_mut().kill9();
                    struck.borrow_mut().start_again();
                }
            }
        };
        ingest.on_ready(add.clone());
        add(app, &ingest);
    });
    turn_until(&event_loop, &mut app, "the end", |app| app.outcome.is_some());
    let error = app.outcome.take().expect("an outcome").expect_err("it ended");
    let Error::IngestEnded { published, stored, cause } = error else { panic!("{error:?}") };
    assert!(cause.is_some() && stored < published, "{stored} of {published}: {cause:?}");
    nats.jetstream().stream_info("I", |app: &mut App, js, info| {
        app.stored = Some(info.expect("the stream").state.messages);
        js.client().close();
    });
    finish_with(&event_loop, &mut app);
    assert!(app.stored >= Some(stored), "{:?} < {stored}", app.stored);
}

#[test]
fn an_ingest_survives_or_reports_a_change_of_leader() {
    requires!(server(), 2, 14);
    let cluster = Rc::new(RefCell::new(Cluster::start()));
    let urls = cluster.borrow().urls().join(",");
    let mut app = App { wanted: 20_000, ..App::default() };
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let options = Options::new(urls).max_reconnects(100);
    let nats = event_loop.connect(options.reconnect_delay(Duration::from_millis(50)));
    let nats = nats.expect("a client");
    nats.on_error(|_, _, _| {});
    let config = StreamConfig::new("I").subjects(["I"]).num_replicas(3).allow_batched(true);
    let struck = cluster.clone();
    create_stream(&nats.jetstream(), config, move |app: &mut App, js, created| {
        let leader = created.cluster.and_then(|cluster| cluster.leader);
        let leader = leader.and_then(|name| struck.borrow().index_by_name(&name));
        let ingest = js.fast_ingest(IngestOptions::new());
        ingest.on_ended(|app, _, error| app.outcome = Some(Err(error.clone())));
        let add = move |app: &mut App, ingest: &Ingest| {
            while app.next < app.wanted {
                match ingest.add("I", "x") {
                    Ok(number) => app.next = number,
                    Err(_) => return,
                }
                if app.next == 5_000 {
                    let leader = leader.expect("a leader");
                    struck.borrow_mut().server_mut(leader).kill9();
                    struck.borrow_mut().server_mut(leader).start_again();
                }
            }
            ingest.finish(|app, _, outcome| app.outcome = Some(outcome));
        };
        ingest.on_ready(add.clone());
        add(app, &ingest);
    });
    turn_until(&event_loop, &mut app, "the end", |app| app.outcome.is_some());
    let known = match app.outcome.take().expect("an outcome") {
        Ok(report) => report.stored,
        Err(Error::IngestEnded { stored, .. }) => stored,
        Err(error) => panic!("{error}"),
    };
    fn ask(app: &mut App, js: &JetStream<App>) {
        js.stream_info("I", |app: &mut App, js, info| match info {
            Ok(info) => {
                app.stored = Some(info.state.messages);
                js.client().close();
            }
            Err(_) => ask(app, js),
        });
        let _ = app;
    }
    ask(&mut app, &nats.jetstream());
    finish_with(&event_loop, &mut app);
    assert!(app.stored >= Some(known), "{:?} < {known}", app.stored);
}

#[test]
fn an_ingest_is_told_of_its_clients_end() {
    let name: &'static str = unique("I").leak();
    let app: App = run(|nats: &Client<App>| {
        with_stream(nats, name, is_fast_server(), move |app, nats| {
            let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
            ingest.on_ended(|app, ingest, error| {
                app.log.push(error.to_string());
                assert!(matches!(ingest.add("late", ""), Err(Error::IngestEnded { .. })));
            });
            let add = move |app: &mut App, ingest: &Ingest| {
                if app.next == 0 && ingest.add(name, "x").is_ok() {
                    app.next = 1;
                    ingest.client().close();
                }
            };
            ingest.on_ready(add);
            add(app, &ingest);
        });
    });
    assert_eq!(app.log.len(), 1, "{:?}", app.log);
    assert!(app.log[0].starts_with("the ingest is over, and 0 of 1 messages"), "{:?}", app.log);
}

#[test]
fn dropping_the_loop_drops_what_an_ingest_was_given() {
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let ingest = nats.jetstream().fast_ingest(IngestOptions::new());
    let held = Rc::new(());
    let (one, other, own) = (held.clone(), held.clone(), ingest.clone());
    ingest.on_ready(move |_, _| drop((one.clone(), own.clone())));
    ingest.finish(move |_, _, _| drop(other));
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
}
