//! Publishing to streams: windows, and what a publish may ask of its stream, on a real server.

mod support;

use evnats::jetstream::{
    ConsumeOptions, Delivery, Error, JetStream, OptionError, OrderedOptions, PubAck,
    PublishOptions, PublishWindow, Republish, Schedule, ScheduleError, Stalled, Storage,
    StreamConfig, Ttl, Unanswered, WindowOptions, WindowReport,
};
use evnats::{Client, EventLoop, Options};
use evnats_harness::{Cluster, FaultProxy, Server, requires};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use support::new_cluster::create_stream;
use support::{Log, finish_with, level, run, run_with, server, turn_until, unique};

const MS: Duration = Duration::from_millis(1);

/// Creates a stream in memory for the subjects under its own name, and goes on with it.
fn with_stream(
    adjust: impl FnOnce(StreamConfig) -> StreamConfig,
    go_on: impl FnOnce(&mut Log, &JetStream<Log>, &'static str) + 'static,
) -> Log {
    support::with_stream(|config| adjust(config.storage(Storage::Memory)), go_on)
}

/// Writes an outcome down: the sequence, or the code, or the error in words.
fn note(
    name: &'static str,
) -> impl FnOnce(&mut Log, &JetStream<Log>, Result<PubAck, Error>) + 'static {
    move |log, _, outcome| log.push(format!("{name}: {}", outcome_of(&outcome)))
}

fn outcome_of(outcome: &Result<PubAck, Error>) -> String {
    match outcome {
        Ok(ack) => ack.sequence.to_string(),
        Err(error) => match error.api() {
            Some(api) => api.err_code().0.to_string(),
            None => error.to_string(),
        },
    }
}

// ---- options ------------------------------------------------------------------------------------

#[test]
fn what_a_publish_asks_of_the_stream_is_granted_or_refused() {
    requires!(server(), 2, 11);
    let adjust = |config: StreamConfig| config.allow_rollup_hdrs(true).allow_msg_ttl(true);
    let log = with_stream(adjust, |_, js, stream| {
        let new = PublishOptions::new;
        let (a, b) = (format!("{stream}.a"), format!("{stream}.b"));
        let short = Duration::from_secs(1);
        js.publish_with(&a, "1", &new().ttl(Duration::from_secs(60)), note("ttl"));
        js.publish_with(&a, "2", &new().ttl(Ttl::Never), note("never"));
        js.publish_with(&a, "3", &new().ttl(short / 2), note("too short"));
        js.publish_with(&b, "4", &new().expect_last_sequence_on(&a, 1), note("on a, old"));
        js.publish_with(&b, "5", &new().expect_last_sequence_on(&a, 2), note("on a"));
        js.publish_with(&a, "6", &new().rollup_subject(), note("rollup"));
        js.publish_with(&b, "7", &new().expect_last_message_id("x"), note("last id"));
        js.publish_with(&b, "8", &new().expect_stream("OTHER"), note("stream"));
        js.publish_with(&b, "9", &new().rollup_stream().header("a", "b"), move |log, js, ack| {
            log.push(format!("all: {}", outcome_of(&ack)));
            js.stream_info(stream, |log: &mut Log, js, info| {
                let state = info.expect("the stream").state;
                log.push(format!("{} left, the last is {}", state.messages, state.last_sequence));
                js.client().close();
            });
        });
    });
    let mut log = log;
    // what is not sent is reported in a turn of its own
    log.sort_by_key(|line| line.starts_with("too short"));
    assert_eq!(
        log,
        [
            "ttl: 1",
            "never: 2",
            "on a, old: 10071",
            "on a: 3",
            "rollup: 4",
            "last id: 10070",
            "stream: 10060",
            "all: 5",
            "1 left, the last is 5",
            "too short: a TTL of 500ms is shorter than a second",
        ]
    );
}

#[test]
fn what_an_old_server_would_pass_over_is_not_sent_to_it() {
    let new = PublishOptions::new;
    let at = Schedule::at(SystemTime::now(), "x");
    let level = match server().version() {
        version if (version.major, version.minor) < (2, 11) => 0,
        version if (version.major, version.minor) < (2, 12) => 1,
        _ => return,
    };
    let log = with_stream(
        |config| config,
        move |_, js, stream| {
            let subject = format!("{stream}.a");
            js.publish_with(&subject, "", &new().schedule(&at), note("schedule"));
            js.publish_with(&subject, "", &new().ttl(Ttl::Never), note("ttl"));
            js.publish_with(&subject, "", &new().expect_last_sequence_on("a", 1), note("other"));
            js.publish_with(&subject, "", &new(), move |_, js, ack| {
                assert_eq!(ack.expect("stored").sequence, 1, "nothing else was stored");
                js.stream_info(stream, |_, js, info| {
                    assert_eq!(info.expect("the stream").state.messages, 1);
                    js.client().close();
                });
            });
        },
    );
    let lacks = |line: &&String| line.contains(&format!("the server has level {level}"));
    assert_eq!(log.iter().filter(lacks).count(), 3 - level as usize * 2, "{log:?}");
}

#[test]
fn a_schedule_is_read_back_replaced_and_cancelled() {
    requires!(server(), 2, 14);
    let log = with_stream(
        |config| config.allow_msg_schedules(true).allow_msg_ttl(true),
        |_, js, stream| {
            let (on, to) = (format!("{stream}.schedules.a"), format!("{stream}.due"));
            let far = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
            let first = Schedule::at(far, &to);
            let nightly = Schedule::cron("0 30 3 * * *", &to).time_zone("Europe/Vienna");
            let nightly = nightly.ttl(Duration::from_secs(3600)).source(format!("{stream}.latest"));
            let put = PublishOptions::new().schedule(&first);
            js.publish_with(&on.clone(), "one", &put, move |_, js, ack| {
                ack.expect("a schedule");
                let put = PublishOptions::new().schedule(&nightly);
                js.publish_with(&on.clone(), "two", &put, move |_, js, ack| {
                    ack.expect("another one");
                    js.schedule(stream, &on.clone(), move |log: &mut Log, js, scheduled| {
                        let scheduled = scheduled.expect("the schedule");
                        assert_eq!(scheduled.schedule, nightly);
                        assert_eq!(scheduled.message.payload(), b"two");
                        log.push("read".into());
                        js.cancel_schedule(
                            stream,
                            &on.clone(),
                            move |log: &mut Log, js, was_there| {
                                log.push(format!("cancelled: {was_there:?}"));
                                js.cancel_schedule(
                                    stream,
                                    &on.clone(),
                                    move |log: &mut Log, js, was_there| {
                                        log.push(format!("again: {was_there:?}"));
                                        js.schedule(stream, &on, |log: &mut Log, js, scheduled| {
                                            let error = scheduled.expect_err("none");
                                            log.push(format!(
                                                "not found: {}",
                                                error.is_not_found()
                                            ));
                                            js.client().close();
                                        });
                                    },
                                );
                            },
                        );
                    });
                });
            });
        },
    );
    assert_eq!(log, ["read", "cancelled: Ok(true)", "again: Ok(false)", "not found: true"]);
}

#[test]
fn a_schedule_publishes_at_its_time_and_again_and_again() {
    requires!(server(), 2, 14);
    with_stream(
        // what the stream stores by itself is seen where it publishes again what it stores
        |config| {
            let to = format!("again.{}.>", config.name);
            let from = format!("{}.>", config.name);
            config.allow_msg_schedules(true).republish(Republish::new(to).src(from))
        },
        |_, js, stream| {
            let (due, tick) = (format!("{stream}.due"), format!("{stream}.tick"));
            let soon = Schedule::at(SystemTime::now() + 300 * MS, &due);
            let every = Schedule::every(Duration::from_secs(1), &tick);
            let seen = Rc::new(RefCell::new((0, 0)));
            let nats = js.client().clone();
            let counted =
                nats.subscribe(&format!("again.{stream}.*"), move |_, subscription, message| {
                    let mut seen = seen.borrow_mut();
                    match message.subject().ends_with("due") {
                        true => seen.0 += 1,
                        false => seen.1 += 1,
                    }
                    assert_eq!(message.payload(), b"now");
                    if *seen == (1, 2) {
                        subscription.client().close();
                    }
                });
            counted.expect("a subscription");
            let (on_due, on_tick) = (format!("{stream}.s.due"), format!("{stream}.s.tick"));
            let stored = |_: &mut Log, _: &JetStream<Log>, ack: Result<PubAck, Error>| {
                ack.expect("a schedule");
            };
            js.publish_with(&on_due, "now", &PublishOptions::new().schedule(&soon), stored);
            js.publish_with(&on_tick, "now", &PublishOptions::new().schedule(&every), stored);
        },
    );
}

/// The check of an expression is the server's: each is tried on it as well, past our check.
#[test]
fn cron_expressions_are_judged_as_the_server_does() {
    requires!(server(), 2, 14);
    let expressions = [
        ("* * * * * *", true),
        ("0 0 0 1 1 0", true),
        ("59 59 23 31 12 6", true),
        ("0 */5 1-5/2 ? JAN-mar Mon,WED,fri", true),
        ("5/10 0 0 * * sun-sat", true),
        ("@hourly", true),
        ("@daily", true),
        ("@midnight", true),
        ("@weekly", true),
        ("@monthly", true),
        ("@yearly", true),
        ("@annually", true),
        ("60 * * * * *", false),
        ("* 60 * * * *", false),
        ("* * 24 * * *", false),
        ("* * * 0 * *", false),
        ("* * * 32 * *", false),
        ("* * * * 13 *", false),
        ("* * * * * 7", false),
        ("* * * * 0 *", false),
        ("0 0 0 5-3 * *", false),
        ("*/0 * * * * *", false),
        ("1-2-3 * * * * *", false),
        ("1/2/3 * * * * *", false),
        ("x * * * * *", false),
        ("* * * * MONDAY *", false),
        ("* * * * *", false),
        ("* * * * * * *", false),
        ("@never", false),
        ("-1 * * * * *", false),
    ];
    let log = with_stream(
        |config| config.allow_msg_schedules(true),
        move |_, js, stream| {
            for (place, (expression, _)) in expressions.into_iter().enumerate() {
                let (on, to) = (format!("{stream}.{place}"), format!("{stream}.to"));
                let ours = PublishOptions::new().schedule(&Schedule::cron(expression, &to));
                js.publish_with(&on, "", &ours, move |log: &mut Log, _, outcome| {
                    let refused = matches!(
                        outcome,
                        Err(Error::InvalidOption(OptionError::Schedule(
                            ScheduleError::Cron(_) | ScheduleError::CronField { .. }
                        )))
                    );
                    assert!(refused || outcome.is_ok(), "{expression}: {outcome:?}");
                    log.push(format!("{place:02} ours {}", outcome.is_ok()));
                });
                let past = PublishOptions::new()
                    .header("Nats-Schedule", expression)
                    .header("Nats-Schedule-Target", &to);
                js.publish_with(&on, "", &past, move |log: &mut Log, _, outcome| {
                    log.push(format!("{place:02} server {}", outcome.is_ok()));
                });
            }
            js.publish("no.such.subject.at.all", "", move |_, js, _| {
                js.publish(&format!("{stream}.end"), "", |_, js, _| js.client().drain());
            });
        },
    );
    let mut log = log;
    log.sort();
    let expected: Vec<_> = (0..expressions.len())
        .flat_map(|place| {
            let is_right = expressions[place].1;
            [format!("{place:02} ours {is_right}"), format!("{place:02} server {is_right}")]
        })
        .collect();
    support::assert_same(&log, &expected);
}

// ---- windows ------------------------------------------------------------------------------------

#[derive(Default)]
struct App {
    next: u64,
    wanted: u64,
    readies: u64,
    log: Log,
    report: Option<WindowReport>,
    /// How many messages the stream has, once its leader has told.
    stored: Option<u64>,
}

type Window = PublishWindow<App>;

#[test]
fn a_full_window_gives_the_message_back_and_says_when_there_is_room() {
    let name: &'static str = unique("P").leak();
    let subject = format!("{name}.a");
    let app: App = run(|nats: &Client<App>| {
        let config = StreamConfig::new(name).subjects([format!("{name}.>")]);
        nats.jetstream().create_stream(&config, move |app: &mut App, js, created| {
            created.expect("a stream");
            let window = js.publish_window(WindowOptions::new().max_outstanding(4));
            for number in 1..=4 {
                let given = window.publish(&subject, "x", move |app: &mut App, window, ack| {
                    assert_eq!(ack.expect("stored").sequence, number);
                    app.log.push(format!("{number}, {} outstanding", window.outstanding()));
                });
                assert_eq!(given, Ok(number));
            }
            assert_eq!(window.outstanding(), 4);
            let never =
                |_: &mut App, _: &Window, _: Result<PubAck, Error>| support::fail("not sent");
            match window.publish(&subject, b"give me back".to_vec(), never) {
                Err(Error::WindowFull { payload, outstanding: 4 }) => {
                    assert_eq!(&*payload, b"give me back");
                }
                other => panic!("{other:?}"),
            }
            app.log.push("full".into());
            window.on_ready(move |app, window| {
                assert!(window.outstanding() <= 2);
                app.log.push("ready".into());
                window.enqueue(&subject, "x").expect("room");
                window.finish(|app, window, report| {
                    app.report = Some(report);
                    window.client().close();
                });
            });
        });
    });
    let ready = app.log.iter().filter(|line| *line == "ready").count();
    assert_eq!((app.log[0].as_str(), ready), ("full", 1), "{:?}", app.log);
    let report = app.report.expect("a report");
    assert_eq!((report.published, report.stored, report.last_sequence), (5, 5, 5));
    assert!(report.is_complete() && report.first_error.is_none());
}

#[test]
fn a_window_waits_for_the_connections_buffer_too() {
    let name: &'static str = unique("P").leak();
    let options = Options::new(server().url()).outgoing_limit(16 << 10).outgoing_low_water(4 << 10);
    let app: App = run_with(options, |nats: &Client<App>| {
        let config = StreamConfig::new(name).subjects([name]);
        nats.jetstream().create_stream(&config, move |app: &mut App, js, created| {
            created.expect("a stream");
            app.wanted = 500;
            let window = js.publish_window(WindowOptions::new());
            window.on_ready(move |app, window| fill(app, window, name));
            fill(app, &window, name);
            assert!(window.outstanding() < 20, "the buffer has room for so many only");
        });
    });
    let report = app.report.expect("a report");
    assert_eq!((report.published, report.stored), (500, 500));
    assert!(app.readies > 1);
}

/// Publishes what is left of a kilobyte each, as long as there is room.
fn fill(app: &mut App, window: &Window, subject: &str) {
    app.readies += 1;
    while app.next < app.wanted {
        match window.enqueue(subject, vec![0; 1024]) {
            Ok(number) => app.next = number,
            Err(Error::WindowFull { payload, .. }) => {
                assert_eq!(payload.len(), 1024, "it was given back");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    window.finish(|app, window, report| {
        app.report = Some(report);
        window.client().close();
    });
}

#[test]
fn quiet_messages_that_fail_are_told_by_their_numbers() {
    let name: &'static str = unique("P").leak();
    let app: App = run(|nats: &Client<App>| {
        let config = StreamConfig::new(name).subjects([name]).max_msg_size(100);
        nats.jetstream().create_stream(&config, move |_, js, created| {
            created.expect("a stream");
            let window = js.publish_window(WindowOptions::new());
            window.on_failed(|app: &mut App, _, failure| {
                app.log.push(format!("{}: {}", failure.number, failure.error));
            });
            let nobody = format!("nobody.{name}");
            let once = PublishOptions::new().message_id("once");
            assert_eq!(window.enqueue(name, "short"), Ok(1));
            assert_eq!(window.enqueue(name, "x".repeat(200)), Ok(2));
            assert_eq!(window.enqueue(&nobody, "x"), Ok(3));
            assert_eq!(window.enqueue("not a subject", "x"), Ok(4));
            assert_eq!(window.enqueue_with(name, "once", &once), Ok(5));
            assert_eq!(window.enqueue_with(name, "once", &once), Ok(6));
            window.finish(|app, window, report| {
                assert_eq!(report, window.report());
                app.report = Some(report);
                window.client().close();
            });
        });
    });
    let mut log = app.log;
    log.sort();
    let nobody = format!("3: no stream has the subject \"nobody.{name}\": nobody has stored it");
    assert!(log[0].starts_with("2: message size exceeds maximum allowed"), "{log:?}");
    assert_eq!(log[1], nobody);
    assert!(log[2].starts_with("4: invalid subject"), "{log:?}");
    assert_eq!(log.len(), 3, "{log:?}");
    let report = app.report.expect("a report");
    assert_eq!(
        (report.published, report.stored, report.duplicates, report.not_stored, report.unknown),
        (6, 3, 1, 3, 0)
    );
    assert!(!report.is_complete() && report.first_error.is_some());
}

#[test]
fn what_nobody_has_stored_is_sent_again_where_that_is_safe() {
    let name: &'static str = unique("P").leak();
    let app: App = run(|nats: &Client<App>| {
        let options = WindowOptions::new().retry_for(Duration::from_secs(20));
        let window = nats.jetstream().publish_window(options);
        nats.on_connect(move |_, _, _| {
            let safe = PublishOptions::new().message_id("a");
            let guarded = PublishOptions::new().expect_last_sequence(1);
            let unsafe_one =
                move |app: &mut App, window: &Window, outcome: Result<PubAck, Error>| {
                    let is_no_stream = matches!(outcome, Err(Error::NoStream { .. }));
                    assert!(is_no_stream, "{outcome:?}");
                    app.log.push("not sent again".into());
                    // now there is a stream, and the others come to it
                    let config = StreamConfig::new(name).subjects([name]);
                    let js = window.client().jetstream();
                    js.create_stream(&config, |_, _, created| drop(created.expect("a stream")));
                };
            window.publish(name, "x", unsafe_one).expect("room");
            window.enqueue_with(name, "first", &safe).expect("room");
            window.enqueue_with(name, "second", &guarded).expect("room");
            window.finish(|app, window, report| {
                app.report = Some(report);
                window.client().close();
            });
        });
    });
    assert_eq!(app.log, ["not sent again"]);
    let report = app.report.expect("a report");
    assert_eq!((report.stored, report.not_stored, report.unknown), (2, 1, 0), "{report:?}");
    assert!(report.resent >= 2, "{report:?}");
}

#[test]
fn a_subscriber_that_hides_the_want_of_a_stream_is_found_out() {
    let name: &'static str = unique("P").leak();
    let app: App = run(|nats: &Client<App>| {
        nats.subscribe(name, |_, _, _| {}).expect("a subscription");
        let window = nats.jetstream().publish_window(WindowOptions::new().timeout(300 * MS));
        let published = window.publish(name, "x", |app, window, outcome| {
            app.log.push(outcome.expect_err("nobody stores it").to_string());
            window.client().close();
        });
        published.expect("room");
    });
    let expected = format!(
        "no acknowledgement for {name:?} in time: no stream has the subject, and whoever \
         subscribes to it does not answer"
    );
    assert_eq!(app.log, [expected]);
}

#[test]
fn without_jetstream_that_is_the_reason() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let app: App = run_with(server.url().as_str(), |nats: &Client<App>| {
        let window = nats.jetstream().publish_window(WindowOptions::new());
        let published = window.publish("a", "x", |app, window, outcome| {
            assert_eq!(outcome, Err(Error::NotAvailable));
            app.log.push("not available".into());
            window.client().close();
        });
        published.expect("room");
    });
    assert_eq!(app.log, ["not available"]);
}

#[test]
fn a_stalled_window_says_so_and_goes_on_later() {
    let server = Rc::new(Server::start());
    let resumed = server.clone();
    let app: App = run_with(server.url().as_str(), |nats: &Client<App>| {
        let config = StreamConfig::new("S").subjects(["s"]);
        nats.jetstream().create_stream(&config, move |app: &mut App, js, created| {
            created.expect("a stream");
            let options = WindowOptions::new().max_outstanding(3).timeout(Duration::from_secs(50));
            let window = js.publish_window(options);
            window.on_stalled(move |app, _, stalled: &Stalled| {
                assert_eq!((stalled.outstanding, &stalled.reason), (3, &Unanswered::Unknown));
                app.log.push("stalled".into());
                resumed.resume();
            });
            window.on_ready(|app, window| {
                app.log.push("ready".into());
                window.finish(|app, window, report| {
                    app.report = Some(report);
                    window.client().close();
                });
            });
            server.pause();
            while window.enqueue("s", "x").is_ok() {}
            app.log.push("full".into());
        });
    });
    assert_eq!(app.log, ["full", "stalled", "ready"]);
    assert!(app.report.expect("a report").is_complete());
}

#[test]
fn too_many_requests_are_an_error_of_their_own_and_tried_again() {
    requires!(server(), 2, 11);
    let limited = "jetstream { store_dir: \"store\", max_buffered_msgs: 100 }";
    let server = Server::builder().jetstream(false).config(limited).start().expect("a server");
    let app: App = run_with(server.url().as_str(), |nats: &Client<App>| {
        // synchronous writes make it slow
        let config = StreamConfig::new("S").subjects(["s"]);
        nats.jetstream().create_stream(&config, |_, js, created| {
            created.expect("a stream");
            let options = WindowOptions::new().retry_for(Duration::from_secs(60));
            let window = js.publish_window(options);
            window.on_failed(|app: &mut App, _, failure| {
                let is_temporary = failure.error.is_temporary();
                let is_overload = matches!(failure.error, Error::TooManyRequests(_));
                assert!(is_overload && is_temporary, "{:?}", failure.error);
                app.next += 1;
            });
            for number in 0..2000 {
                window.enqueue("s", "x").expect("room");
                let once = PublishOptions::new().message_id(&number.to_string());
                window.enqueue_with("s", "y", &once).expect("room");
            }
            window.finish(|app, window, report| {
                app.report = Some(report);
                window.client().close();
            });
        });
    });
    let report = app.report.expect("a report");
    assert!(app.next > 0, "nothing was refused: {report:?}");
    assert_eq!((report.not_stored, report.unknown), (app.next, 0), "{report:?}");
    assert!(report.resent > 0, "{report:?}");
    assert_eq!(report.stored, 4000 - app.next);
}

#[test]
fn a_window_outlives_its_client_and_tells_every_outcome() {
    let name: &'static str = unique("P").leak();
    let app: App = run(|nats: &Client<App>| {
        let options = WindowOptions::new().retry_for(Duration::from_secs(30)).resend_unknown(true);
        let window = nats.jetstream().publish_window(options);
        nats.on_connect(move |_, nats, _| {
            for number in 0..10 {
                // nobody stores them, so they wait to be sent again when the client ends
                let once = PublishOptions::new().message_id(&number.to_string());
                let tell = move |app: &mut App, _: &Window, outcome: Result<PubAck, Error>| {
                    let error = outcome.expect_err("not stored");
                    assert!(error.is_closed() || error.is_outcome_unknown(), "{error:?}");
                    app.next += 1;
                };
                window.publish_with(name, "x", &once, tell).expect("room");
            }
            let on_finish = |app: &mut App, window: &Window, report: WindowReport| {
                app.report = Some(report);
                let late = window.publish("late", "", |app: &mut App, _, outcome| {
                    assert!(outcome.expect_err("it is over").is_closed());
                    app.log.push("late".into());
                });
                assert_eq!(late, Ok(11));
            };
            window.finish(on_finish);
            nats.flush(|_, nats, _| nats.close());
        });
    });
    let report = app.report.expect("a report");
    assert_eq!((app.next, app.log), (10, vec!["late".to_owned()]));
    assert_eq!(report.not_stored + report.unknown, 10, "{report:?}");
}

#[test]
fn callbacks_of_a_window_that_panic_cost_the_others_nothing() {
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let name: &'static str = unique("P").leak();
    let config = StreamConfig::new(name).subjects([name]);
    nats.jetstream().create_stream(&config, move |_, js, created| {
        created.expect("a stream");
        let window = js.publish_window(WindowOptions::new().max_outstanding(2));
        for _ in 0..2 {
            let bug = |_: &mut App, _: &Window, _: Result<PubAck, Error>| support::fail("a bug");
            window.publish(name, "x", bug).expect("room");
        }
        assert!(window.enqueue(name, "x").is_err());
        window.on_ready(|app, _| app.readies += 1);
        window.finish(|app, _, report| app.report = Some(report));
    });
    let mut app = App::default();
    let mut panics = 0;
    while app.report.is_none() || app.readies == 0 {
        let turn = std::panic::AssertUnwindSafe(|| {
            event_loop.dispatch(&mut app, Some(Duration::from_secs(10))).expect("a turn");
        });
        panics += usize::from(std::panic::catch_unwind(turn).is_err());
    }
    let stored = app.report.take().expect("a report").stored;
    assert_eq!((panics, stored), (2, 2));
    nats.close();
    finish_with(&event_loop, &mut app);
}

#[test]
fn a_window_of_a_client_that_is_over_says_so_also_without_a_buffer() {
    let options = Options::new(server().url()).reconnect_buffer(0);
    let app: App = run_with(options, |nats: &Client<App>| {
        nats.on_connect(|_, nats, _| {
            let window = nats.jetstream().publish_window(WindowOptions::new());
            nats.on_close(move |_, _, _| {
                let published = window.publish("a", "x", |app: &mut App, _, outcome| {
                    assert!(outcome.expect_err("it is over").is_closed());
                    app.log.push("closed".into());
                });
                assert_eq!(published, Ok(1));
            });
            nats.close();
        });
    });
    assert_eq!(app.log, ["closed"]);
}

#[test]
fn dropping_the_loop_drops_messages_whose_failure_is_being_explained() {
    let name: &'static str = unique("P").leak();
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    nats.on_frame(|app: &mut App, _, frame| {
        if format!("{frame:?}").contains("STREAM.NAMES") {
            app.readies = 1;
        }
    });
    let window = nats.jetstream().publish_window(WindowOptions::new());
    let held = Rc::new(());
    let (one, own) = (held.clone(), window.clone());
    window.publish(name, "x", move |_, _, _| drop((one, own))).expect("room");
    let mut app = App::default();
    turn_until(&event_loop, &mut app, "the question", |app| app.readies == 1);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn dropping_the_loop_drops_what_a_window_was_given() {
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let window = nats.jetstream().publish_window(WindowOptions::new());
    let held = Rc::new(());
    let (one, other, own) = (held.clone(), held.clone(), window.clone());
    window.publish("a", "x", move |_, _, _| drop(one)).expect("room");
    window.finish(move |_, _, _| drop(other));
    let third = held.clone();
    window.on_ready(move |_, _| drop((third.clone(), own.clone())));
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
}

// ---- what is lost and what is not -----------------------------------------------------------------

/// Messages with numbers, published to one stream and read back from it.
struct Proof {
    event_loop: EventLoop<App>,
    nats: Client<App>,
    app: App,
    stream: &'static str,
}

impl Proof {
    fn start(servers: &[String], replicas: u32) -> Self {
        let event_loop = EventLoop::<App>::new().expect("a loop");
        let options = Options::new(servers.join(",")).max_reconnects(1000);
        let options = options.reconnect_delay(50 * MS).max_reconnect_delay(200 * MS);
        let nats = event_loop.connect(options).expect("a client");
        nats.on_error(|_, _, _| {});
        let stream: &'static str = unique("P").leak();
        let proof = Self { event_loop, nats, app: App::default(), stream };
        let config = StreamConfig::new(stream).subjects([stream]).num_replicas(replicas);
        create_stream(&proof.nats.jetstream(), config, |app: &mut App, _, _| app.readies = 1);
        let mut proof = proof;
        turn_until(&proof.event_loop, &mut proof.app, "a stream", |app| app.readies == 1);
        proof
    }

    /// The name of the server that leads the stream.
    fn leader(&mut self) -> Option<String> {
        ask_for_leader(&self.nats.jetstream(), self.stream);
        turn_until(&self.event_loop, &mut self.app, "the leader", |app| app.readies == 2);
        self.app.log.pop()
    }

    /// Publishes numbers of 128 bytes each. `cut` is told of each.
    fn publish(
        &mut self,
        messages: u64,
        options: WindowOptions,
        has_ids: bool,
        cut: impl FnMut(u64) + 'static,
    ) -> WindowReport {
        self.app.wanted = messages;
        let (window, stream) = (self.nats.jetstream().publish_window(options), self.stream);
        let cut = Rc::new(RefCell::new(cut));
        let publish = move |app: &mut App, window: &Window| {
            while app.next < app.wanted {
                let payload = format!("{:0128}", app.next + 1);
                let published = match has_ids {
                    true => {
                        let once = PublishOptions::new().message_id(&(app.next + 1).to_string());
                        window.enqueue_with(stream, payload, &once)
                    }
                    false => window.enqueue(stream, payload),
                };
                match published {
                    Ok(number) => app.next = number,
                    Err(_full) => return,
                }
                cut.borrow_mut()(app.next);
            }
            window.finish(|app, _, report| app.report = Some(report));
        };
        window.on_ready(publish.clone());
        publish(&mut self.app, &window);
        let limit = Duration::from_secs(300);
        turn_until_within(&self.event_loop, &mut self.app, limit, |app| app.report.is_some());
        self.app.report.take().expect("a report")
    }

    /// The numbers that the stream has, in its order, when its leader has told how many there are. A
    /// server that was killed may come back without what it knew of a consumer, so they are read with one
    /// that is made anew then.
    fn read(mut self) -> Vec<u64> {
        count_stored(&self.nats.jetstream(), self.stream);
        let limit = Duration::from_secs(300);
        turn_until_within(&self.event_loop, &mut self.app, limit, |app| app.stored.is_some());
        let stored = self.app.stored.expect("a number of messages");
        let numbers = Rc::new(RefCell::new(Vec::new()));
        let read = numbers.clone();
        let ordered =
            self.nats.jetstream().stream(self.stream).ordered_consumer(OrderedOptions::new());
        ordered.consume(ConsumeOptions::new(), move |_, _, delivery: &Delivery<'_, App>| {
            let number: u64 = delivery.text().parse().expect("a number");
            read.borrow_mut().push(number);
        });
        turn_until_within(&self.event_loop, &mut self.app, limit, |app| {
            app.next = numbers.borrow().len() as u64;
            app.next >= stored
        });
        self.nats.close();
        finish_with(&self.event_loop, &mut self.app);
        numbers.take()
    }
}

/// Asks until the servers all know that the stream exists.
fn ask_for_leader(js: &JetStream<App>, stream: &'static str) {
    js.stream_info(stream, move |app: &mut App, js, info| match info {
        Err(error) if error.is_not_found() => ask_for_leader(js, stream),
        info => {
            let cluster = info.expect("the stream").cluster;
            app.log.extend(cluster.and_then(|cluster| cluster.leader));
            app.readies = 2;
        }
    });
}

/// Asks until there is a leader who knows how many messages the stream has.
fn count_stored(js: &JetStream<App>, stream: &'static str) {
    js.stream_info(stream, move |app: &mut App, js, info| match info {
        Err(error) if error.is_temporary() || error.is_timeout() => count_stored(js, stream),
        info => app.stored = Some(info.expect("the stream").state.messages),
    });
}

fn turn_until_within(
    event_loop: &EventLoop<App>,
    app: &mut App,
    limit: Duration,
    mut is_so: impl FnMut(&mut App) -> bool,
) {
    let limit = Instant::now() + limit;
    while !is_so(app) {
        event_loop.dispatch(app, Some(50 * MS)).expect("a turn");
        assert!(Instant::now() < limit, "not in time: {:?}", app.next);
    }
}

/// Every message is stored once, in the order in which they were published.
fn published_in_a_window(messages: u64) {
    let mut proof = Proof::start(&[server().url()], 1);
    let report = proof.publish(messages, WindowOptions::new(), false, |_| {});
    assert_eq!((report.stored, report.resent), (messages, 0), "{report:?}");
    assert_eq!(report.last_sequence, messages);
    let numbers = proof.read();
    support::assert_same(&numbers, &(1..=messages).collect::<Vec<_>>());
}

/// What is published with ids while something happens to the servers is stored once if it was
/// acknowledged, and reported if it was not; the order is that of publishing but for what was sent again.
fn published_in_spite_of<C: FnMut(u64) + 'static>(
    servers: &[String],
    replicas: u32,
    messages: u64,
    cut: impl FnOnce(Option<String>) -> C,
) {
    let mut proof = Proof::start(servers, replicas);
    let cut = cut(proof.leader());
    let options = WindowOptions::new()
        .retry_for(Duration::from_secs(90))
        .timeout(Duration::from_secs(5))
        .resend_unknown(true);
    let report = proof.publish(messages, options, true, cut);
    assert!(report.resent > 0, "nothing was under way: {report:?}");
    let mut numbers = proof.read();
    let out_of_order = numbers.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
    println!(
        "{messages} messages, {replicas} replicas: {} stored, {} not stored, {} unknown, {} sent \
         again, {out_of_order} times out of order",
        report.stored, report.not_stored, report.unknown, report.resent
    );
    assert!(out_of_order <= report.resent, "{out_of_order} > {}", report.resent);
    numbers.sort_unstable();
    let stored = numbers.len() as u64;
    numbers.dedup();
    assert_eq!(numbers.len() as u64, stored, "some were stored twice");
    assert!(stored <= report.stored + report.unknown, "{stored} are stored: {report:?}");
    // servers before 2.11 that are killed may have lost what they have acknowledged
    if level() >= 1 {
        assert!(stored >= report.stored, "{stored} are stored: {report:?}");
    }
    assert_eq!(report.stored + report.not_stored + report.unknown, messages);
}

fn through_cut_connections(messages: u64) {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let (url, proxy) = (proxy.url(), Rc::new(proxy));
    let cutting = proxy.clone();
    let cut = move |number| {
        if number == messages / 10 || number == messages / 10 * 7 {
            cutting.reset_all();
        }
    };
    published_in_spite_of(&[url], 1, messages, |_| cut);
}

fn through_two_restarts(messages: u64) {
    let server = Rc::new(RefCell::new(Server::start()));
    let (url, struck) = (server.borrow().url(), server.clone());
    let cut = move |number| {
        if number == messages / 4 || number == messages / 2 {
            struck.borrow_mut().kill9();
            struck.borrow_mut().start_again();
        }
    };
    published_in_spite_of(&[url], 1, messages, |_| cut);
}

fn through_the_death_of_a_leader(messages: u64) {
    let cluster = Rc::new(RefCell::new(Cluster::start()));
    let (urls, struck) = (cluster.borrow().urls(), cluster.clone());
    published_in_spite_of(&urls, 3, messages, |leader| {
        let leader = leader.and_then(|name| struck.borrow().index_by_name(&name));
        let leader = leader.expect("a leader");
        // the one that leads, and then the one that the client is connected to
        let mut victims = [leader, 0].into_iter();
        move |number| {
            if number == messages / 4 || number == messages / 2 {
                let victim = victims.next().expect("a victim");
                struck.borrow_mut().server_mut(victim).kill9();
                struck.borrow_mut().server_mut(victim).start_again();
            }
        }
    });
}

fn publish_until_named(window: &Window, stream: &'static str) {
    let published = window.publish(stream, "x", move |_, window, outcome| match outcome {
        // the cluster elects a leader of its own before it can tell
        Err(Error::NotStored { .. }) => publish_until_named(window, stream),
        outcome => {
            assert_eq!(outcome, Err(Error::NoLeader { stream: stream.into() }));
            window.client().subscribe(stream, |_, _, _| {}).expect("a subscription");
            publish_beside_a_subscriber(window, stream);
        }
    });
    published.expect("room");
}

fn publish_beside_a_subscriber(window: &Window, stream: &'static str) {
    let published = window.publish(stream, "x", move |app, window, outcome| {
        let (subject, stream) = (stream.into(), Some(stream.into()));
        assert_eq!(outcome, Err(Error::Unacknowledged { subject, stream }));
        app.log.push("named".into());
        window.client().close();
    });
    published.expect("room");
}

/// A stream whose only server is gone: nobody listens in its place, and whoever subscribes to its
/// subject hides even that.
#[test]
fn a_stream_without_a_leader_is_named() {
    let cluster = Rc::new(RefCell::new(Cluster::start()));
    let mut proof = Proof::start(&cluster.borrow().urls(), 1);
    let leader = proof.leader().expect("a leader");
    let leader = cluster.borrow().index_by_name(&leader).expect("a server");
    let other = cluster.borrow().urls()[(leader + 1) % 3].clone();
    cluster.borrow_mut().server_mut(leader).kill9();
    let stream = proof.stream;
    let app: App = run_with(other.as_str(), move |nats: &Client<App>| {
        let options = WindowOptions::new().timeout(Duration::from_secs(1));
        let window = nats.jetstream().publish_window(options);
        publish_until_named(&window, stream);
    });
    assert_eq!(app.log, ["named"]);
}

#[test]
fn messages_in_a_window_are_all_stored_in_order() {
    published_in_a_window(20_000);
}

#[test]
fn what_was_acknowledged_is_stored_once_though_the_connection_is_cut() {
    through_cut_connections(10_000);
}

#[test]
fn what_was_acknowledged_is_stored_once_though_the_server_is_killed() {
    through_two_restarts(10_000);
}

#[test]
fn what_was_acknowledged_is_stored_once_though_servers_of_a_cluster_are_killed() {
    through_the_death_of_a_leader(10_000);
}

#[test]
#[ignore = "takes a minute; the short form is above"]
fn a_million_messages_in_a_window_are_all_stored_in_order() {
    published_in_a_window(1_000_000);
}

#[test]
#[ignore = "takes minutes; the short form is above"]
fn of_a_million_messages_what_was_acknowledged_is_stored_once_though_the_server_is_killed() {
    through_two_restarts(1_000_000);
}

#[test]
#[ignore = "takes minutes; the short form is above"]
fn of_a_million_messages_what_was_acknowledged_is_stored_once_though_a_cluster_is_hit() {
    through_the_death_of_a_leader(1_000_000);
}
