//! Seeing what happens: requests to the API with their answers, and traces of messages.

mod support;

use evnats::jetstream::{ApiExchange, JetStream, PublishOptions, StreamConfig};
use evnats::kv::{self, WatchOptions};
use evnats::trace::{
    self, Delivery, TraceEvent, TraceKind, TraceOptions, TraceUpdate, Tracing, headers,
};
use evnats::{EventLoop, HeaderMap, OutgoingMessage};
use evnats_harness::{Cluster, Server, requires};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::{Log, fail, level, run, run_with, server, turn_until, unique};

/// Writes down every request to the API, and what it has come to.
fn note_exchanges(js: &JetStream<Log>) {
    js.on_api(|log: &mut Log, _, exchange| log.push(line(exchange)));
}

fn line(exchange: &ApiExchange) -> String {
    let outcome = match (&exchange.answer, exchange.refusal()) {
        (Err(error), _) => error.to_string(),
        (Ok(_), Some(refusal)) => refusal.err_code().to_string(),
        (Ok(answer), None) => match answer.headers().status() {
            Some(status) => status.code.to_string(),
            None => "ok".into(),
        },
    };
    format!("{} {outcome}", exchange.subject)
}

#[test]
fn every_request_to_the_api_is_shown_with_its_answer() {
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        let js = nats.jetstream();
        js.on_api(|_: &mut Log, _, _| support::fail("it was replaced"));
        note_exchanges(&js);
        let config = StreamConfig::new(name).subjects([name]);
        // with another handle, which is the same client's
        nats.jetstream().create_stream(&config, move |log: &mut Log, js, created| {
            log.push(format!("created {}", created.is_ok()));
            js.publish(name, "x", move |_, js, stored| {
                assert!(stored.is_ok());
                let other = js.with_prefix("$JS.API.");
                other.stream_info("NONE", |_, js, info| {
                    assert!(info.expect_err("nothing").is_not_found());
                    let nowhere = js.with_domain("nowhere");
                    nowhere.stream_info("S", |_, js, _| js.client().close());
                });
            });
        });
    });
    let expected = [
        "created true".to_owned(),
        format!("$JS.API.STREAM.CREATE.{name} ok"),
        "$JS.API.STREAM.INFO.NONE 10059".into(),
    ];
    assert_eq!(log[..3], expected);
    assert!(log[3].starts_with("$JS.nowhere.API.STREAM.INFO.S nobody is listening"), "{log:?}");
}

#[test]
fn the_requests_of_key_value_are_shown_and_its_writes_are_none() {
    let bucket: &'static str = unique("b").leak();
    let log: Log = run(|nats| {
        let js = nats.jetstream();
        note_exchanges(&js);
        js.key_value(bucket).create_bucket(kv::Config::new(), |_, kv, created| {
            created.expect("a bucket");
            kv.put("k", "v", |_, kv, stored| {
                stored.expect("stored");
                kv.get("k", |_, kv, found| {
                    found.expect("read").expect("a value");
                    kv.watch("k", WatchOptions::new(), |_, watcher, update| {
                        if matches!(update, kv::Update::Initialized) {
                            watcher.stop();
                            watcher.bucket().client().drain();
                        }
                    });
                });
            });
        });
    });
    let shown = |start: &str| log.iter().any(|line| line.starts_with(&format!("$JS.API.{start}")));
    assert!(shown(&format!("STREAM.CREATE.KV_{bucket} ok")), "{log:?}");
    assert!(shown(&format!("STREAM.MSG.GET.KV_{bucket} ok")), "{log:?}");
    assert!(shown(&format!("CONSUMER.CREATE.KV_{bucket}.")), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("$KV")), "{log:?}");
}

#[test]
fn an_exchange_holds_what_was_sent_and_what_came_back() {
    let name: &'static str = unique("S").leak();
    let _: Log = run(|nats| {
        let js = nats.jetstream();
        js.on_api(move |_: &mut Log, js, exchange| {
            let body = String::from_utf8_lossy(&exchange.body);
            assert!(body.contains(&format!("\"name\":\"{name}\"")), "{body}");
            let answer = exchange.answer.as_ref().expect("an answer");
            assert!(answer.text().contains("stream_create_response"), "{answer:?}");
            assert!(exchange.elapsed > Duration::ZERO && exchange.headers.is_empty());
            let line = exchange.to_string();
            assert!(line.starts_with(&format!("$JS.API.STREAM.CREATE.{name} {{")), "{line}");
            assert!(line.contains("} -> {") || line.contains("bytes more) -> {"), "{line}");
            js.client().close();
        });
        js.create_stream(&StreamConfig::new(name), |_, _, _| {});
    });
}

/// What somebody waits for comes before the hook, so a hook takes it from nobody.
#[test]
fn a_hook_that_panics_or_fails_harms_nothing() {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let js = nats.jetstream();
    let mut calls = 0;
    js.on_api(move |_: &mut Log, _, _| {
        calls += 1;
        match calls {
            1 => panic!("a bug in the hook"),
            2 => Err(evnats::Error::other("a failure of the hook")),
            _ => Ok(()),
        }
    });
    for _ in 0..3 {
        js.account_info(|log: &mut Log, _, info| log.push(info.is_ok().to_string()));
    }
    let mut log = Log::new();
    let (mut panics, mut failures) = (0, 0);
    while log.len() < 3 {
        let turn = || event_loop.dispatch(&mut log, Some(Duration::from_secs(10)));
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(turn) => failures += u32::from(turn.is_err()),
            Err(_) => panics += 1,
        }
    }
    assert_eq!((panics, failures), (1, 1));
    assert_eq!(log, ["true"; 3]);
    nats.close();
    support::finish_with(&event_loop, &mut log);
}

/// Also if it holds what holds it.
#[test]
fn a_hook_goes_with_its_loop_and_none_is_kept_after_that() {
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let js = event_loop.connect(server().url()).expect("a client").jetstream();
    let kept = Rc::new(());
    let hook = || {
        let held = (kept.clone(), js.clone());
        move |_: &mut Log, _: &JetStream<Log>, _: &ApiExchange| {
            let _ = &held;
        }
    };
    js.on_api(hook());
    assert_eq!(Rc::strong_count(&kept), 2);
    js.on_api(hook());
    assert_eq!(Rc::strong_count(&kept), 2, "the first one was replaced");
    drop(event_loop);
    assert_eq!(Rc::strong_count(&kept), 1);
    js.on_api(hook());
    assert_eq!(Rc::strong_count(&kept), 1);
}

/// What a trace has told, a line for each step.
fn note_trace(log: &mut Log, tracing: &Tracing<Log>, update: TraceUpdate) {
    match update {
        TraceUpdate::Event(event) => {
            assert_eq!(event.server.name, server().name());
            assert!(event.request.headers.contains_key("Nats-Trace-Dest"), "{event:?}");
            log.extend(event.steps.iter().map(|step| match &step.kind {
                TraceKind::Ingress { from, subject, .. } => format!("in {:?} {subject}", from.kind),
                TraceKind::Egress { to, subscription, queue, error, .. } => {
                    format!("eg {:?} {subscription:?} {queue:?} {error:?}", to.kind)
                }
                TraceKind::JetStream { stream, subject, error, .. } => {
                    format!("js {stream} {subject:?} {error:?}")
                }
                kind => format!("{kind:?}"),
            }));
        }
        TraceUpdate::End(end) => {
            log.push(format!("{end:?}"));
            tracing.client().drain();
        }
        update => panic!("{update:?}"),
    }
}

#[test]
fn a_trace_tells_who_gets_a_message() {
    requires!(server(), 2, 11);
    let subject: &'static str = unique("traced").leak();
    let log: Log = run(|nats| {
        nats.subscribe(subject, |log: &mut Log, _, message| {
            assert_eq!(message.headers().get("Own").as_deref(), Some("1"));
            log.push(format!("delivered {}", message.text()));
        })
        .expect("subscribed");
        nats.queue_subscribe(subject, "workers", |_, _, _| {}).expect("subscribed");
        nats.flush(move |_, nats, flushed| {
            flushed.expect("flushed");
            let own = HeaderMap::new().with("Own", "1");
            let message = OutgoingMessage::new(subject, "hello").headers(&own);
            let tracing = nats.trace(message, &TraceOptions::new(), note_trace).expect("traced");
            assert!(tracing.is_active());
        });
    });
    let mut lines = log.clone();
    lines.sort();
    let subscription = Some(subject);
    let queue = Some("workers");
    let none: Option<&str> = None;
    let mut expected = [
        "Complete".to_owned(),
        "delivered hello".into(),
        format!("eg Client {subscription:?} {none:?} {none:?}"),
        format!("eg Client {subscription:?} {queue:?} {none:?}"),
        format!("in Client {subject}"),
    ];
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn a_message_that_is_traced_only_is_neither_delivered_nor_stored() {
    requires!(server(), 2, 11);
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        let config = StreamConfig::new(name).subjects([name]);
        nats.jetstream().create_stream(&config, move |_, js, created| {
            created.expect("a stream");
            js.client().subscribe(name, |_, _, _| fail("it is not delivered")).expect("subscribed");
            let options = TraceOptions::new().delivery(Delivery::TraceOnly);
            let message = OutgoingMessage::new(name, "hello");
            let js = js.clone();
            let nats = js.client().clone();
            nats.trace(message, &options, move |log: &mut Log, tracing, update| {
                if let TraceUpdate::Event(_) = &update {
                    return note_trace(log, tracing, update);
                }
                js.stream_info(name, move |log: &mut Log, js, info| {
                    log.push(format!("{} stored", info.expect("the stream").state.messages));
                    js.client().close();
                });
            })
            .expect("traced");
        });
    });
    assert!(log.iter().any(|line| line.starts_with(&format!("js {name} Some("))), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("0 stored"), "{log:?}");
}

/// An acknowledged publish is traced by its options, to wherever its sender listens.
#[test]
fn a_publish_is_traced_to_a_subject_of_one_s_own() {
    requires!(server(), 2, 11);
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        let traces = format!("traces.{name}");
        nats.subscribe(&traces, |log: &mut Log, traces, message| {
            let event = TraceEvent::parse(message).expect("an event");
            let is_refused = event.steps.iter().any(|step| {
                matches!(&step.kind, TraceKind::JetStream { error: Some(error), .. }
                    if error.contains("last sequence"))
            });
            log.push(format!("refused {is_refused}"));
            traces.client().drain();
        })
        .expect("subscribed");
        let config = StreamConfig::new(name).subjects([name]);
        nats.jetstream().create_stream(&config, move |_, js, created| {
            created.expect("a stream");
            let traced = headers(&traces, Delivery::Delivered);
            let options = PublishOptions::new().expect_last_sequence(7).headers(&traced);
            js.publish_with(name, "x", &options, |_, _, stored| {
                assert!(stored.expect_err("it is the first one").is_wrong_last_sequence());
            });
        });
    });
    assert_eq!(log, ["refused true"]);
}

#[test]
fn a_trace_passes_through_a_cluster_and_is_complete_with_the_last_server() {
    requires!(server(), 2, 11);
    let cluster = Cluster::start();
    let subject: &'static str = unique("traced").leak();
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let mut log = Log::new();
    let servers: Vec<_> = cluster.servers().iter().collect();
    let clients: Vec<_> =
        servers.iter().map(|server| event_loop.connect(server.url()).expect("a client")).collect();
    // whoever listens at each of the servers is known to the first one when its words arrive there
    let known = format!("{subject}.known");
    clients[0]
        .subscribe(&known, |log: &mut Log, _, _| log.push("known".into()))
        .expect("subscribed");
    for nats in &clients[1..] {
        nats.subscribe(subject, |_, _, _| {}).expect("subscribed");
    }
    while log.len() < 2 {
        log.clear();
        for nats in &clients {
            support::flush(&event_loop, &mut log, nats);
        }
        for nats in &clients[1..] {
            nats.publish(&known, "").expect("published");
            support::flush(&event_loop, &mut log, nats);
        }
        support::flush(&event_loop, &mut log, &clients[0]);
    }
    log.clear();
    let message = OutgoingMessage::new(subject, "hello");
    let on_update = |log: &mut Log, _: &Tracing<Log>, update| match update {
        TraceUpdate::Event(event) => log.push(format!("{} {:?}", event.server.name, event.hop())),
        update => log.push(format!("{update:?}")),
    };
    let _tracing = clients[0].trace(message, &TraceOptions::new(), on_update).expect("traced");
    turn_until(&event_loop, &mut log, "the end of the trace", |log| {
        log.iter().any(|line| line.starts_with("End"))
    });
    assert_eq!(log.pop().as_deref(), Some("End(Complete)"), "{log:?}");
    let mut hops: Vec<_> = log.iter().filter_map(|line| line.split_once(' ')).collect();
    hops.sort_by_key(|(_, hop)| hop.to_owned());
    let hops: Vec<_> = hops.into_iter().map(|(_, hop)| hop).collect();
    assert_eq!(hops, ["None", "Some(\"1\")", "Some(\"2\")"], "{log:?}");
    for nats in &clients {
        nats.close();
    }
    support::finish_with(&event_loop, &mut log);
}

#[test]
fn a_trace_that_nobody_completes_ends_with_its_time_and_can_be_stopped() {
    requires!(server(), 2, 11);
    // whoever may not publish to the inbox has no trace
    let config = "authorization { users: [ { user: u, password: p, permissions: { publish: { \
                  deny: \"_INBOX.>\" } } } ] }";
    let server = Server::builder().config(config).start().expect("a server");
    let url = server.url().replace("://", "://u:p@");
    let log: Log = run_with(url.as_str(), |nats| {
        nats.on_error(|_, _, _| {});
        nats.on_connect(|_, nats, _| {
            let options = TraceOptions::new().timeout(Duration::from_millis(100));
            let stopped = nats
                .trace(OutgoingMessage::new("a", ""), &options, |_, _, _| fail("it was stopped"))
                .expect("traced");
            stopped.stop();
            assert!(!stopped.is_active());
            nats.trace(OutgoingMessage::new("a", ""), &options, note_trace).expect("traced");
        });
    });
    assert_eq!(log, ["Timeout"]);
}

#[test]
fn a_trace_is_stopped_from_inside() {
    requires!(server(), 2, 11);
    let log: Log = run(|nats| {
        nats.on_connect(|_, nats, _| {
            let message = OutgoingMessage::new("a", "");
            nats.trace(message, &TraceOptions::new(), |log: &mut Log, tracing, update| {
                log.push(format!("{}", matches!(update, TraceUpdate::Event(_))));
                tracing.stop();
                // whatever would have come has come before this
                tracing.client().flush(|_, nats, _| nats.close());
            })
            .expect("traced");
        });
    });
    assert_eq!(log, ["true"]);
}

#[test]
fn an_older_server_is_not_sent_what_it_cannot_trace() {
    let log: Log = run(|nats| {
        let options = TraceOptions::new().delivery(Delivery::TraceOnly);
        let too_early = nats.trace(OutgoingMessage::new("a", ""), &options, |_, _, _| {});
        assert_eq!(
            too_early.expect_err("no connection").downcast_ref(),
            Some(&trace::Error::NotConnected)
        );
        nats.on_connect(move |log: &mut Log, nats, info| {
            let traced = nats.trace(OutgoingMessage::new("a", ""), &options, |_, _, _| {});
            match traced {
                Ok(_) => log.push("traced".into()),
                Err(error) => {
                    let version = info.version.clone();
                    let unsupported = trace::Error::Unsupported { version };
                    assert_eq!(error.downcast_ref(), Some(&unsupported));
                    log.push("unsupported".into());
                }
            }
            nats.close();
        });
    });
    assert_eq!(log, [if level() >= 1 { "traced" } else { "unsupported" }]);
}
