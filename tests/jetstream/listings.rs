//! Listings of streams and consumers.

use super::Js;
use super::handles::{end, with_handle};
use crate::support::{Log, finish_with, run, run_with, unique};
use evnats::jetstream::{
    ConsumerConfig, ConsumerInfo, Error, ListEnd, Listed, Listing, Storage, StreamConfig,
    StreamInfo,
};
use evnats::{Client, EventLoop, Message, Subscription};
use std::cell::Cell;
use std::rc::Rc;

/// Creates so many small streams, and goes on when all are there.
fn with_streams(count: usize, js: &Js, go_on: impl FnOnce(&mut Log, &Js) + 'static) {
    let (missing, go_on) = (Rc::new(Cell::new(count)), Rc::new(Cell::new(Some(go_on))));
    for name in expected(count) {
        let (missing, go_on) = (missing.clone(), go_on.clone());
        let config = StreamConfig::new(name).storage(Storage::Memory);
        js.create_stream(&config, move |log, js, created| {
            created.expect("a stream");
            missing.set(missing.get() - 1);
            if missing.get() == 0 {
                go_on.take().expect("the last one")(log, js);
            }
        });
    }
}

fn expected(count: usize) -> Log {
    (0..count).map(|number| format!("S{number:04}")).collect()
}

/// Notes the names, and the end.
fn note_name(log: &mut Log, listing: &Listing<Log>, listed: Listed<String, ListEnd>) {
    match listed {
        Listed::Item(name) => log.push(name),
        Listed::Ended(end) => {
            log.push(end.map_or_else(|error| error.to_string(), |_| "end".into()));
            listing.jetstream().client().close();
        }
    }
}

/// A page has 256 streams, or 1024 names.
#[test]
fn streams_are_listed_over_several_pages() {
    const STREAMS: usize = 1030;
    let server = evnats_harness::Server::start();
    let log: Log = run_with(server.url().as_str(), |nats| {
        with_streams(STREAMS, &nats.jetstream(), |_, js| {
            js.list_streams(None, |log: &mut Log, listing, listed: Listed<StreamInfo, ListEnd>| {
                match listed {
                    Listed::Item(info) => log.push(info.config.name),
                    Listed::Ended(end) => {
                        assert_eq!(end, Ok(ListEnd::default()));
                        assert!(!listing.is_active());
                        crate::support::assert_same(log, &expected(STREAMS));
                        log.clear();
                        listing.jetstream().list_stream_names(None, note_name);
                    }
                }
            });
        });
    });
    crate::support::assert_same(&log[..STREAMS], &expected(STREAMS));
    assert_eq!(log[STREAMS..], ["end"]);
}

#[test]
fn a_listing_is_stopped_from_inside_and_from_outside() {
    let server = evnats_harness::Server::start();
    let log: Log = run_with(server.url().as_str(), |nats| {
        with_streams(5, &nats.jetstream(), |_, js| {
            js.list_stream_names(None, note_name).stop();
            js.list_stream_names(None, |log: &mut Log, listing, listed| {
                let Listed::Item(name) = listed else { panic!("{listed:?}") };
                log.push(name);
                if log.len() == 2 {
                    listing.stop();
                    assert!(!listing.is_active());
                    listing.jetstream().client().drain();
                }
            });
        });
    });
    assert_eq!(log, ["S0000", "S0001"]);
}

#[test]
fn what_is_behind_a_callback_that_fails_comes_all_the_same() {
    let server = evnats_harness::Server::start();
    let event_loop = EventLoop::<Log>::new().expect("an event loop");
    let nats = event_loop.connect(server.url().as_str()).expect("a client");
    with_streams(5, &nats.jetstream(), |_, js| {
        js.list_stream_names(None, |log: &mut Log, listing, listed| {
            note_name(log, listing, listed);
            match log.len() {
                2 => Err(evnats::Error::from(Error::Malformed("a failure of the user's".into()))),
                _ => Ok(()),
            }
        });
    });
    let mut log = Log::new();
    let error = event_loop.run(&mut log).expect_err("the callback's error");
    assert!(error.to_string().contains("a failure of the user's"), "{error}");
    assert_eq!(log, ["S0000", "S0001"]);
    finish_with(&event_loop, &mut log);
    assert_eq!(log, ["S0000", "S0001", "S0002", "S0003", "S0004", "end"]);
}

#[test]
fn streams_are_listed_and_found_by_subject() {
    with_handle(|_, stream| {
        let (subject, name) = (format!("{}.a", stream.name()), stream.name().to_owned());
        let js = stream.jetstream();
        js.stream_by_subject("nobody.has.this", |_, _, found| assert!(found.unwrap().is_none()));
        js.list_streams(
            Some(&subject.clone()),
            move |log: &mut Log, listing, listed| match listed {
                Listed::Item(info) => log.push(info.config.name),
                Listed::Ended(ended) => {
                    assert!(ended.is_ok());
                    assert_eq!(*log, [&*name]);
                    listing.jetstream().stream_by_subject(&subject, |log: &mut Log, _, found| {
                        let found = found.expect("an answer").expect("a stream");
                        assert_eq!(*log, [found.name()]);
                        end(&found);
                    });
                }
            },
        );
    });
}

#[test]
fn the_consumers_of_a_stream_are_listed() {
    let log = with_handle(|_, stream| {
        stream.create_consumer(&ConsumerConfig::new("a"), |_, stream, made| {
            made?;
            stream.create_consumer(&ConsumerConfig::new("b"), |_, stream, made| {
                made?;
                stream.list_consumers(|log: &mut Log, listing, listed| match listed {
                    Listed::Item(info) => {
                        let info: ConsumerInfo = info;
                        assert!(info.config.is_some());
                        log.push(info.name);
                    }
                    Listed::Ended(end) => {
                        assert_eq!(end, Ok(ListEnd::default()));
                        let other = listing.jetstream().stream("NONE");
                        other.consumer_names(|_, other, names| {
                            assert!(names.expect_err("no stream").is_not_found());
                            let refused = other.jetstream().list_consumer_names("a b", note_name);
                            assert!(refused.is_active(), "nothing is said inline");
                        });
                    }
                });
                stream.consumer_names(|log, _, names| {
                    let mut names = names.expect("names");
                    names.sort();
                    log.push(names.join(" "));
                });
                Ok(())
            });
            Ok(())
        });
    });
    let refused = "invalid name \"a b\": it has a space, a dot, a wildcard or a slash";
    let mut log = log;
    log.sort();
    assert_eq!(log, ["a", "a b", "b", refused]);
}

/// Plays a server's listing: what it answers to the request with this number.
fn play_listing(nats: &Client<Log>, subject: &str, answer: impl Fn(usize) -> String + 'static) {
    let count = Cell::new(0);
    let on_request = move |_: &mut Log, asked: &Subscription<Log>, message: &Message| {
        count.set(count.get() + 1);
        asked.client().respond(message, answer(count.get()))
    };
    nats.subscribe(subject, on_request).expect("a subscription");
}

#[test]
fn a_listing_ends_whatever_the_server_counts() {
    let answers: [fn(usize) -> String; 4] = [
        // the same page again
        |_| r#"{"total":99999,"streams":["A","B"]}"#.into(),
        // one more each time
        |n| {
            let names: Vec<_> = (0..1000).map(|i| format!("\"S{n}x{i}\"")).collect();
            format!(r#"{{"total":{},"streams":[{}]}}"#, (n + 1) * 1000, names.join(","))
        },
        // more than come
        |n| match n {
            1 => r#"{"total":9,"streams":["A"]}"#.into(),
            _ => r#"{"total":9,"streams":null}"#.into(),
        },
        // nothing at all
        |_| "{}".into(),
    ];
    let ends: Vec<_> = answers
        .into_iter()
        .map(|answer| {
            let log: Log = run(|nats| {
                let prefix = unique("fake");
                play_listing(nats, &format!("{prefix}.STREAM.NAMES"), answer);
                nats.jetstream().with_prefix(&prefix).list_stream_names(None, note_name);
            });
            (log.len(), log.last().cloned().expect("an end"))
        })
        .collect();
    let endless = || "malformed reply: a listing that does not end".to_owned();
    let expected = [(5, endless()), (15_001, endless()), (2, "end".into()), (1, "end".into())];
    assert_eq!(ends, expected);
}

/// Seen on server 2.9.
#[test]
fn a_consumer_that_is_deleted_while_it_is_listed_leaves_a_null_that_is_no_consumer() {
    let log: Log = run(|nats| {
        let prefix = unique("fake");
        play_listing(nats, &format!("{prefix}.CONSUMER.LIST.S"), |n| match n {
            1 => r#"{"total":3,"consumers":[null,{"name":"A"}]}"#.into(),
            _ => r#"{"total":3,"consumers":[{"name":"B"}]}"#.into(),
        });
        nats.jetstream().with_prefix(&prefix).list_consumers("S", |log: &mut Log, list, listed| {
            match listed {
                Listed::Item(info) => log.push(info.name),
                Listed::Ended(end) => {
                    end.expect("a list");
                    list.jetstream().client().close();
                }
            }
        });
    });
    assert_eq!(log, ["A", "B"]);
}

#[test]
fn what_could_not_be_told_is_in_the_end() {
    let prefix = unique("fake");
    let _: Log = run(|nats| {
        play_listing(nats, &format!("{prefix}.STREAM.LIST"), |n| match n {
            1 => r#"{"total":3,"streams":[{"config":{"name":"A"}}],"missing":["A","B"]}"#.into(),
            _ => r#"{"total":3,"streams":[{"config":{"name":"C"}}],
                "offline":{"D":"unsupported - required API level: 9"}}"#
                .into(),
        });
        let js = nats.jetstream().with_prefix(&prefix);
        js.list_streams(None, |log: &mut Log, listing, listed| match listed {
            Listed::Item(info) => log.push(info.config.name),
            Listed::Ended(end) => {
                let end = end.expect("an end");
                assert_eq!(
                    (&**log, &*end.missing),
                    (&["A".into(), "C".into()][..], &["A".into(), "B".into()][..])
                );
                assert_eq!(end.offline["D"], "unsupported - required API level: 9");
                listing.jetstream().client().close();
            }
        });
    });
}
