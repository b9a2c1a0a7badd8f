//! Counters, on a real server.

mod support;

use evnats::jetstream::{
    Counter, Error, ErrorCode, Integer, JetStream, ReadFrom, Source, StreamConfig, SubjectTransform,
};
use evnats_harness::requires;
use support::{Log, code, level, run, server, unique};

type Js = JetStream<Log>;

/// A stream of counters on subjects below its own name.
fn counters(name: &str) -> StreamConfig {
    StreamConfig::new(name)
        .subjects([format!("{name}.>")])
        .allow_msg_counter(true)
        .allow_direct(true)
}

/// Creates a stream of counters, and goes on with its name and the subject of one of them.
fn with_counters(go_on: impl FnOnce(&mut Log, &Js, &'static str, &'static str) + 'static) -> Log {
    let is_counter = |config: StreamConfig| config.allow_msg_counter(true);
    support::with_stream(is_counter, |log, js, stream| {
        go_on(log, js, stream, format!("{stream}.hits").leak());
    })
}

#[test]
fn what_is_added_is_in_the_value_and_both_readers_see_it() {
    requires!(server(), 2, 12);
    with_counters(|_, js, stream, hits| {
        // the server works on several requests at once, so each one waits for the one before it
        js.counter_get(stream, hits, ReadFrom::Leader, move |_, js, read| {
            assert_eq!(read, Ok(None), "nothing was added");
            js.counter_get(stream, hits, ReadFrom::Direct, move |_, js, read| {
                assert_eq!(read, Ok(None), "nothing was added");
                js.counter_add(hits, 5, |_, _, value| assert_eq!(value, Ok(5.into())));
                js.counter_add(hits, -12_i64, |_, _, value| assert_eq!(value, Ok((-7).into())));
                js.counter_add(hits, 0, move |_, js, value| {
                    assert_eq!(value.expect("added").to_i128(), Some(-7));
                    read_both(js, stream, hits);
                });
            });
        });
    });
}

fn read_both(js: &Js, stream: &str, hits: &str) {
    let check = |read: Result<Option<Counter>, Error>| {
        let counter = read.expect("read").expect("a counter");
        assert_eq!((counter.value, counter.increment), ((-7).into(), 0.into()));
        assert_eq!(counter.sequence, 3);
        assert!(counter.sources.is_empty() && counter.time.is_some());
    };
    js.counter_get(stream, hits, ReadFrom::Leader, move |_, _, read| check(read));
    js.counter_get(stream, hits, ReadFrom::Direct, move |_, js, read| {
        check(read);
        js.client().drain();
    });
}

#[test]
fn numbers_may_be_of_any_size() {
    requires!(server(), 2, 12);
    with_counters(|_, js, stream, hits| {
        let nines: Integer = "9".repeat(60).parse().expect("a number");
        js.counter_add(hits, nines, |_, _, value| assert!(value.is_ok(), "{value:?}"));
        js.counter_add(hits, 1, move |_, js, value| {
            let value = value.expect("added");
            assert_eq!(value.as_str(), format!("1{}", "0".repeat(60)));
            assert_eq!(value.to_i128(), None, "it is no smaller number instead");
            let back: Integer = format!("-1{}", "0".repeat(60)).parse().expect("a number");
            js.counter_add(hits, back, |_, _, value| assert_eq!(value, Ok(0.into())));
            js.counter_add(hits, i128::MIN, move |_, js, value| {
                assert_eq!(value.expect("added").to_i128(), Some(i128::MIN));
                js.counter_get(stream, hits, ReadFrom::Leader, |_, js, read| {
                    let value = read.expect("read").expect("a counter").value;
                    assert_eq!(value, i128::MIN.into());
                    js.client().close();
                });
            });
        });
    });
}

/// What was added and not acknowledged can be repeated.
#[test]
fn an_increment_with_an_id_is_added_once() {
    requires!(server(), 2, 12);
    with_counters(|_, js, _, hits| {
        js.counter_add_once(hits, 3, "id", |_, _, value| assert_eq!(value, Ok(Some(3.into()))));
        js.counter_add_once(hits, 3, "id", |_, _, value| assert_eq!(value, Ok(None)));
        js.counter_add_once(hits, 3, "another", |_, js, value| {
            assert_eq!(value, Ok(Some(6.into())));
            js.client().close();
        });
    });
}

/// A region counts by itself, and the whole is the sum of the regions.
#[test]
fn a_stream_that_sources_counters_tells_what_has_come_from_where() {
    requires!(server(), 2, 12);
    let names = ["EU", "US", "ALL"].map(|name| -> &'static str { unique(name).leak() });
    let [eu, us, all] = names;
    let _: Log = run(|nats| {
        let js = nats.jetstream();
        let source = |region: &str| {
            let transform = SubjectTransform::new(format!("{region}.>"), format!("{all}.>"));
            Source::new(region).subject_transforms([transform])
        };
        let config = counters(all).sources([source(eu), source(us)]);
        // the server makes several at once, so each one waits for the one before it
        js.create_stream(&counters(eu), move |_, js: &Js, created| {
            created.expect("a stream");
            js.create_stream(&counters(us), move |_, js, created| {
                created.expect("a stream");
                js.create_stream(&config, move |_, js, created| {
                    created.expect("a stream of sums");
                    add_everywhere(js, names);
                });
            });
        });
    });
}

fn add_everywhere(js: &Js, [eu, us, all]: [&'static str; 3]) {
    js.counter_add(&format!("{all}.hits"), 1000, |_, _, _| {});
    js.counter_add(&format!("{eu}.hits"), 10, |_, _, _| {});
    js.counter_add(&format!("{eu}.hits"), 7, move |_, js, value| {
        let eu_value = value.expect("added");
        js.counter_add(&format!("{us}.hits"), -3, move |_, js, value| {
            let us_value = value.expect("added");
            let expected = [(eu, eu_value), (us, us_value)].map(|(region, value)| {
                (region.to_owned(), [(format!("{region}.hits"), value)].into())
            });
            read_until_sourced(js, all, expected.into());
        });
    });
}

/// Sources arrive when they do: the sum is read until everything has.
fn read_until_sourced(
    js: &Js,
    all: &'static str,
    expected: std::collections::BTreeMap<String, std::collections::BTreeMap<String, Integer>>,
) {
    js.counter_get(all, &format!("{all}.hits"), ReadFrom::Direct, move |_, js, read| {
        let counter = read.expect("read");
        match counter.filter(|counter| counter.sources == expected) {
            None => read_until_sourced(js, all, expected),
            Some(counter) => {
                let parts = expected.values().flat_map(|totals| totals.values());
                let sum: i128 = parts.filter_map(Integer::to_i128).sum();
                assert_eq!(counter.value.to_i128(), Some(1000 + sum));
                js.client().close();
            }
        }
    });
}

#[test]
fn what_is_no_counter_is_an_error() {
    requires!(server(), 2, 12);
    with_counters(|_, js, stream, hits| {
        let plain: &'static str = unique("P").leak();
        let subject: &'static str = format!("{plain}.a").leak();
        let config = StreamConfig::new(plain).subjects([subject]).allow_direct(true);
        js.publish(hits, "5", |_, _, stored| {
            assert_eq!(code(stored), ErrorCode::MESSAGE_INCR_MISSING);
        });
        js.counter_add("no.stream.here", 1, |_, _, value| {
            assert!(matches!(value, Err(Error::NotStored { .. })), "{value:?}");
        });
        js.counter_add("a b", 1, |_, _, value| {
            assert!(value.expect_err("no subject").to_string().starts_with("invalid subject"));
        });
        js.counter_get(stream, "a.*", ReadFrom::Direct, |_, _, read| {
            assert!(read.expect_err("no subject").to_string().starts_with("invalid subject"));
        });
        js.counter_get("NONE", hits, ReadFrom::Leader, |_, _, read| {
            assert_eq!(code(read), ErrorCode::STREAM_NOT_FOUND);
        });
        js.create_stream(&config, move |_, js, created| {
            created.expect("a stream");
            js.counter_add(subject, 1, |_, _, value| {
                assert_eq!(code(value), ErrorCode::MESSAGE_INCR_DISABLED);
            });
            // it looks like one
            js.publish(subject, r#"{"val":"5"}"#, move |_, js, stored| {
                assert_eq!(stored.expect("stored").sequence, 1);
                let not = Error::NotACounter { subject: subject.to_owned(), sequence: 1 };
                let leader = not.clone();
                js.counter_get(plain, subject, ReadFrom::Leader, |_, _, read| {
                    assert_eq!(read, Err(leader));
                });
                js.counter_get(plain, subject, ReadFrom::Direct, |_, js, read| {
                    assert_eq!(read, Err(not));
                    js.client().drain();
                });
            });
        });
    });
}

/// An older server would store an empty message, and say that all is well.
#[test]
fn an_older_server_is_not_sent_an_increment() {
    if level() >= 2 {
        return;
    }
    let stream: &'static str = unique("C").leak();
    let _: Log = run(|nats| {
        let config = StreamConfig::new(stream).subjects([stream]);
        nats.jetstream().create_stream(&config, move |_, js: &Js, created| {
            created.expect("a stream");
            js.counter_add(stream, 1, move |_, js, value| {
                let (feature, has) = ("counter_add", level());
                assert_eq!(value, Err(Error::Unsupported { feature, needs: 2, has }));
                js.counter_get(stream, stream, ReadFrom::Leader, |_, js, read| {
                    assert_eq!(read, Ok(None), "it was not sent");
                    js.client().close();
                });
            });
        });
    });
}
