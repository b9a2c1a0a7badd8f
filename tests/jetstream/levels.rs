//! What a server lacks by its API level is refused before it is sent, however the level is known.

use super::{Js, end, with_stream};
use crate::support::{
    IMPORTED, Log, level, run, run_with, server, server_with_guests, unique, url_for,
};
use evnats::jetstream::{ConsumerConfig, Error, PriorityPolicy, PublishOptions, StreamConfig};
use evnats::{ClientOp, Frame};
use evnats_harness::{Server, requires};

use std::time::{Duration, SystemTime};

/// The error for something of server 2.11, if the server is older.
fn lacks(feature: &'static str) -> Option<Error> {
    (level() < 1).then_some(Error::Unsupported { feature, needs: 1, has: level() })
}

/// Has the requests to the API written down, without the prefix.
fn note_requests(nats: &evnats::Client<Log>) {
    nats.on_frame(|log: &mut Log, _, frame| {
        if let Frame::Out(ClientOp::Publish(message)) = frame
            && let subject = message.subject()
            && let Some(operation) =
                subject.strip_prefix("$JS.API.").or_else(|| subject.strip_prefix("owner."))
        {
            log.push(operation.to_owned());
        }
    });
}

#[test]
fn what_the_server_lacks_is_refused_before_it_is_sent() {
    let new = || StreamConfig::new(unique("S"));
    let configs = [
        (1, "allow_msg_ttl", new().allow_msg_ttl(true)),
        (2, "allow_atomic", new().allow_atomic(true)),
        (4, "allow_batched", new().allow_batched(true)),
    ];
    for (needs, feature, config) in configs {
        let has = level();
        let _: Log = run(|nats| {
            let js = nats.jetstream();
            js.create_stream(&config.clone(), move |_, js: &Js, created| {
                if has >= needs {
                    assert!(created.is_ok(), "{created:?}");
                    return js.client().close();
                }
                assert_eq!(created, Err(Error::Unsupported { feature, needs, has }));
                js.stream_info(&config.name, |_, js, info| {
                    assert!(info.expect_err("it was not sent").is_not_found());
                    js.client().close();
                });
            });
        });
    }
}

#[test]
fn consumers_and_calls_that_the_server_lacks_are_refused() {
    with_stream(|_, js, stream| {
        let expect = |needs: u32, feature: &'static str| {
            let has = level();
            move |error: Option<Error>| {
                let unsupported = Error::Unsupported { feature, needs, has };
                assert_eq!(error == Some(unsupported), has < needs, "{feature}: {error:?}");
            }
        };
        let config = ConsumerConfig::new("C")
            .priority_groups(["g"])
            .priority_policy(PriorityPolicy::Prioritized);
        let check = expect(2, "priority_policy prioritized");
        js.create_consumer(stream, &config, move |_, _, made| check(made.err()));
        let check = expect(1, "pause_consumer");
        js.resume_consumer(stream, "none", move |_, _, resumed| check(resumed.err()));
        let check = expect(1, "unpin_consumer");
        js.unpin_consumer(stream, "none", "g", move |_, _, unpinned| check(unpinned.err()));
        let check = expect(4, "reset_consumer");
        // nobody answers for a consumer that does not exist
        let hasty = js.with_timeout(Duration::from_millis(300));
        hasty.reset_consumer(stream, "none", None, move |_, js, reset| {
            check(reset.err());
            end(js, stream);
        });
    });
}

#[test]
fn the_level_is_asked_for_once_for_a_prefix_and_again_after_a_reconnect() {
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        note_requests(nats);
        let js = nats.jetstream();
        let config = StreamConfig::new(name).allow_msg_ttl(true);
        // at once, before an answer can have come
        js.create_stream(&config, |_, _, _| {});
        let again = config.clone();
        js.create_stream(&config, move |_, js: &Js, _| {
            // with a handle of its own
            js.client().jetstream().create_stream(&again.clone(), move |_, js, _| {
                js.client().on_reconnect(move |log: &mut Log, nats, _| {
                    log.push("reconnected".into());
                    nats.jetstream().create_stream(&again, |_, js, _| js.client().close());
                });
                js.client().reconnect();
            });
        });
    });
    let asked: Vec<_> = log.iter().filter(|line| *line == "INFO").collect();
    assert_eq!(asked.len(), 2, "{log:?}");
    let reconnected = log.iter().position(|line| line == "reconnected").expect("a reconnect");
    assert_eq!(log[reconnected + 1], "INFO", "{log:?}");
}

#[test]
fn what_needs_no_level_asks_for_none() {
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        note_requests(nats);
        let config = StreamConfig::new(name).description("plain");
        nats.jetstream().create_stream(&config, |_, js, created| {
            created.expect("a stream");
            js.client().close();
        });
    });
    assert_eq!(log, [format!("STREAM.CREATE.{name}")]);
}

/// Where the prefix leads to the server that the client is connected to, its `INFO` tells.
#[test]
fn whoever_may_not_ask_for_the_level_goes_by_the_connected_server() {
    let config = "authorization { users: [ { user: builder, password: p, permissions: { publish: { \
                  deny: \"$JS.API.INFO\" } } } ] }";
    let server = Server::builder().config(config).start().expect("a server");
    let log: Log = run_with(url_for(&server, "builder"), |nats| {
        note_requests(nats);
        let config = StreamConfig::new("S").allow_msg_ttl(true);
        nats.jetstream().create_stream(&config, move |_, js, created| {
            assert_eq!(created.err(), lacks("allow_msg_ttl"));
            let hour = PublishOptions::new().ttl(Duration::from_secs(3600));
            js.publish_with("S", "x", &hour, |_, js, stored| {
                assert_eq!(stored.err(), lacks("ttl"));
                js.client().close();
            });
        });
    });
    let expected: &[&str] = if level() >= 1 { &["INFO", "STREAM.CREATE.S"] } else { &["INFO"] };
    assert_eq!(log, expected, "the question is denied once");
}

/// What needs a level is sent while nothing is known, and an older server's reply shows what is
/// missing. From then on it is known.
#[test]
fn whoever_may_not_ask_elsewhere_is_told_by_the_reply_and_by_every_asset() {
    let server = server_with_guests();
    let has = level();
    let log: Log = run_with(url_for(&server, "guest"), |nats| {
        note_requests(nats);
        let js = nats.jetstream().with_prefix(IMPORTED);
        let config = StreamConfig::new("S").allow_msg_ttl(true);
        js.create_stream(&config.clone(), move |_, js, created| {
            let without = Error::MadeWithout { feature: "allow_msg_ttl", needs: 1, has };
            assert_eq!(created.err(), (has < 1).then_some(without));
            js.update_stream(&config.description("again"), move |_, js, updated| {
                assert_eq!(updated.err(), lacks("allow_msg_ttl"));
                let until = SystemTime::now() + Duration::from_secs(600);
                let config = ConsumerConfig::new("C").pause_until(until);
                js.create_consumer("S", &config, move |_, js, created| {
                    assert_eq!(created.err(), lacks("pause_until"));
                    js.client().close();
                });
            });
        });
    });
    let sent: &[&str] = match has {
        0 => &["STREAM.CREATE.S"],
        _ => &["STREAM.CREATE.S", "STREAM.UPDATE.S", "CONSUMER.CREATE.S.C"],
    };
    assert_eq!(log, [&["INFO"], sent].concat(), "the question is denied once");
}

/// A consumer tells as a stream does, and what is looked at as what is made.
#[test]
fn a_look_at_an_asset_is_enough_to_know_the_level() {
    let server = server_with_guests();
    let _: Log = run_with(url_for(&server, "admin"), |nats| {
        nats.jetstream().create_stream(&StreamConfig::new("S"), |_, js, created| {
            created.expect("a stream");
            js.create_consumer("S", &ConsumerConfig::new("C"), |_, js, created| {
                created.expect("a consumer");
                js.client().close();
            });
        });
    });
    let looks: [fn(&Js); 2] = [
        |js| {
            js.stream_info("S", |_, js, info| {
                info.expect("the stream");
                create_what_needs_a_level(js);
            });
        },
        |js| {
            js.consumer_info("S", "C", |_, js, info| {
                info.expect("the consumer");
                create_what_needs_a_level(js);
            });
        },
    ];
    for look in looks {
        let log: Log = run_with(url_for(&server, "guest"), |nats| {
            note_requests(nats);
            look(&nats.jetstream().with_prefix(IMPORTED));
        });
        let is_sent = log.iter().any(|operation| operation.starts_with("STREAM.CREATE"));
        assert_eq!(is_sent, level() >= 1, "{log:?}");
    }
}

fn create_what_needs_a_level(js: &Js) {
    let config = StreamConfig::new(unique("T")).allow_msg_ttl(true);
    js.create_stream(&config, |_, js, created| {
        assert_eq!(created.err(), lacks("allow_msg_ttl"));
        js.client().close();
    });
}

/// The level goes with a request that needs one, and with no other.
#[test]
fn the_level_that_a_request_needs_goes_with_it() {
    requires!(server(), 2, 12);
    let name: &'static str = unique("S").leak();
    let log: Log = run(|nats| {
        nats.on_frame(|log: &mut Log, _, frame| {
            if let Frame::Out(ClientOp::Publish(message)) = frame {
                let level = message.headers().get("Nats-Required-Api-Level");
                log.push(level.as_deref().unwrap_or("none").to_owned());
            }
        });
        let config = StreamConfig::new(name);
        let js = nats.jetstream();
        js.create_stream(&config.clone(), move |_, js: &Js, created| {
            created.expect("a stream");
            js.update_stream(&config.allow_atomic(true), |_, js, updated| {
                assert!(updated.expect("updated").config.allow_atomic);
                js.client().close();
            });
        });
    });
    // the creation, the question, and the change
    assert_eq!(log, ["none", "none", "2"]);
}
