//! Another stream of the same name is noticed by the handles that were told of the first one.

use super::Js;
use super::handles::with_handle;
use crate::support::Log;
use evnats::jetstream::{ConsumerConfig, Error, Stream, StreamConfig};

/// Puts another stream in the place of one, as somebody else would, and goes on with it.
fn recreate(js: &Js, stream: &str, go_on: impl FnOnce(&mut Log, &Stream<Log>) + 'static) {
    js.delete_stream(stream, {
        let config = StreamConfig::new(stream).subjects([format!("{stream}.>")]);
        move |_, js, deleted| {
            deleted.expect("deleted");
            js.stream(&config.name).create(&config.clone(), move |log, stream, created| {
                created.expect("another one");
                go_on(log, stream);
            });
        }
    });
}

#[test]
fn a_handle_notices_that_its_stream_is_another_one_and_goes_on_saying_so() {
    with_handle(|_, stream| {
        stream.info(|_, stream, info| {
            let (first, stream) = (info.expect("the first one"), stream.clone());
            recreate(stream.jetstream(), stream.name(), {
                let stream = stream.clone();
                move |_, other| {
                    let (old, fresh) = (stream.clone(), other.jetstream().stream(other.name()));
                    stream.info(move |_, stream, info| {
                        let error = info.expect_err("another one");
                        assert!(error == Error::StreamRecreated && error.is_stream_recreated());
                        // what is known is still of the first one
                        assert_eq!(stream.cached_info().as_deref(), Some(&first));
                        old.seal(move |_, _, sealed| {
                            assert_eq!(sealed.expect_err("another one"), Error::StreamRecreated);
                            fresh.info(|_, fresh, info| {
                                info.expect("to a new handle it is the stream");
                                super::handles::end(fresh);
                            });
                        });
                    });
                }
            });
        });
    });
}

#[test]
fn a_consumer_of_another_stream_is_told_apart() {
    with_handle(|_, stream| {
        let config = ConsumerConfig::default().durable_name("worker");
        stream.create_consumer(&config.clone(), move |_, stream, worker| {
            worker.expect("a consumer of a stream of which nothing is known");
            stream.info(move |_, stream, info| {
                info.expect("the first one");
                stream.create_consumer(&config.clone(), move |_, stream, worker| {
                    worker.expect("of the same stream");
                    let (stream, js) = (stream.clone(), stream.jetstream().clone());
                    let name = stream.name().to_owned();
                    recreate(&js, &name, move |_, _| {
                        stream.create_consumer(&config, |_, stream, worker| {
                            let error = worker.expect_err("of another stream");
                            assert_eq!(error, Error::StreamRecreated);
                            super::handles::end(stream);
                        });
                    });
                });
            });
        });
    });
}

#[test]
fn whoever_creates_a_stream_again_begins_anew() {
    with_handle(|_, stream| {
        let config = StreamConfig::default().subjects([format!("{}.>", stream.name())]);
        stream.info(move |_, stream, info| {
            info.expect("the first one");
            let (handle, other) = (stream.clone(), stream.clone());
            // by somebody else
            stream.jetstream().delete_stream(stream.name(), move |_, _, deleted| {
                deleted.expect("deleted");
                handle.create(&config.clone(), move |_, stream, created| {
                    let created = created.expect("created again").created;
                    assert_eq!(other.cached_info().expect("the new one").created, created);
                    // by its own handle
                    stream.delete(move |_, stream, deleted| {
                        deleted.expect("deleted");
                        let (js, name) = (stream.jetstream().clone(), stream.name().to_owned());
                        let stream = stream.clone();
                        js.create_stream(&config.name(name), move |_, _, created| {
                            created.expect("created by somebody else");
                            stream.info(|_, stream, info| {
                                info.expect("nothing was known any more");
                                super::handles::end(stream);
                            });
                        });
                    });
                });
            });
        });
    });
}

/// What was made is not lost because a question is not permitted.
#[test]
fn whoever_may_not_ask_for_the_stream_has_its_consumer_all_the_same() {
    let config = "authorization { users: [ { user: builder, password: p, permissions: { publish: { \
                  deny: \"$JS.API.STREAM.INFO.>\" } } } ] }";
    let server = evnats_harness::Server::builder().config(config).start().expect("a server");
    let url = server.url().replace("://", "://builder:p@");
    let _: Log = crate::support::run_with(url.as_str(), |nats| {
        let stream = nats.jetstream().stream("S");
        stream.create(&StreamConfig::default(), |_, stream, created| {
            created.expect("a stream");
            stream.create_consumer(&ConsumerConfig::new("worker"), |_, stream, worker| {
                assert_eq!(worker.expect("a consumer").name(), "worker");
                stream.client().close();
            });
        });
    });
}
