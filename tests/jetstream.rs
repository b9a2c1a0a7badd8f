//! The part of JetStream that Key-Value stands on, on a real server.

#[path = "jetstream/advisories.rs"]
mod advisories;
#[path = "jetstream/backup.rs"]
mod backup;
#[path = "jetstream/dead_letters.rs"]
mod dead_letters;
#[path = "jetstream/handles.rs"]
mod handles;
#[path = "jetstream/levels.rs"]
mod levels;
#[path = "jetstream/listings.rs"]
mod listings;
#[path = "jetstream/made.rs"]
mod made;
#[path = "jetstream/messages.rs"]
mod messages;
#[path = "jetstream/promoted.rs"]
mod promoted;
#[path = "jetstream/recorded.rs"]
mod recorded;
#[path = "jetstream/recreated.rs"]
mod recreated;
mod support;
#[cfg(feature = "nkeys")]
#[path = "jetstream/tiers.rs"]
mod tiers;

use evnats::HeaderMap;
use evnats::jetstream::{
    ConsumerConfig, Error, ErrorCode, JetStream, MessageQuery, PriorityPolicy, PublishOptions,
    PurgeOptions, ReadFrom, Storage, StoredMessage, StreamConfig, StreamDetails,
};
use evnats_harness::requires;
use std::time::{Duration, SystemTime};
use support::{Log, code, level, run, server, unique};

type Js = JetStream<Log>;

/// Creates a stream for subjects under its own name, and goes on with it.
fn with_stream(go_on: impl FnOnce(&mut Log, &Js, &'static str) + 'static) -> Log {
    support::with_stream(|config| config, go_on)
}

fn end(js: &Js, stream: &str) {
    js.delete_stream(stream, |_, js, deleted| {
        deleted.expect("deleted");
        js.client().close();
    });
}

fn note<T: std::fmt::Debug>(
    go_on: impl FnOnce(&mut Log, &Js) + 'static,
) -> impl FnOnce(&mut Log, &Js, Result<T, Error>) + 'static {
    move |log, js, result| {
        log.push(match result {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        });
        go_on(log, js);
    }
}

#[test]
fn streams_are_created_asked_about_updated_and_deleted() {
    with_stream(|_, js, stream| {
        js.stream_info(stream, move |_, js, info| {
            let mut config = info.expect("the stream").config;
            config.description = Some("changed".into());
            js.update_stream(&config, move |_, js, updated| {
                let updated = updated.expect("updated").config;
                assert_eq!(updated.description.as_deref(), Some("changed"));
                js.delete_stream(stream, move |_, js, deleted| {
                    deleted.expect("deleted");
                    js.stream_info(stream, |_, js, info| {
                        let error = info.expect_err("it is gone");
                        assert!(error.is_not_found());
                        let api = error.api().expect("the server's words").clone();
                        assert_eq!(
                            (api.code(), api.err_code()),
                            (404, ErrorCode::STREAM_NOT_FOUND)
                        );
                        assert_eq!(error.to_string(), "stream not found (code 404, error 10059)");
                        js.client().close();
                    });
                });
            });
        });
    });
}

#[test]
fn a_stream_name_in_use_is_told_apart() {
    with_stream(|_, js, stream| {
        let other = StreamConfig::new(stream).subjects([format!("{stream}.other")]);
        js.create_stream(&other, move |_, js, created| {
            assert!(created.expect_err("in use").is_stream_name_in_use());
            end(js, stream);
        });
    });
}

#[test]
fn names_are_checked_before_they_become_subjects() {
    let log: Log = run(|nats| {
        let js = nats.jetstream();
        js.stream_info("a b", note(|_, _| {}));
        js.delete_stream("a.b", note(|_, _| {}));
        js.stored_message("", MessageQuery::Sequence(1), ReadFrom::Leader, note(|_, _| {}));
        js.create_stream(&StreamConfig::default(), note(|_, js| js.client().close()));
    });
    let expected = [
        "invalid name \"a b\": it has a space, a dot, a wildcard or a slash",
        "invalid name \"a.b\": it has a space, a dot, a wildcard or a slash",
        "invalid name \"\": it is empty",
        "invalid name \"\": it is empty",
    ];
    assert_eq!(log, expected);
}

#[test]
fn publish_is_acknowledged_and_duplicates_are_recognised() {
    with_stream(|_, js, stream| {
        let subject = format!("{stream}.a");
        let once = PublishOptions::new().message_id("id-1");
        let (again, to) = (once.clone(), subject.clone());
        js.publish_with(&subject, "x", &once, move |_, js, ack| {
            let ack = ack.expect("stored");
            assert_eq!((&*ack.stream, ack.sequence, ack.duplicate), (stream, 1, false));
            js.publish_with(&to, "x", &again, move |_, js, ack| {
                let ack = ack.expect("known");
                assert_eq!((ack.sequence, ack.duplicate), (1, true));
                end(js, stream);
            });
        });
    });
}

#[test]
fn expectations_hold_or_are_errors_with_codes() {
    let log = with_stream(|_, js, stream| {
        let subject = format!("{stream}.a");
        let new = PublishOptions::new;
        let codes = |name: &'static str| {
            move |log: &mut Log, _: &Js, ack: Result<evnats::jetstream::PubAck, Error>| {
                log.push(match ack {
                    Ok(ack) => format!("{name}: {}", ack.sequence),
                    Err(error) => format!("{name}: {}", error.api().expect("a code").err_code().0),
                });
            }
        };
        js.publish_with(&subject, "", &new().expect_last_sequence(0), codes("first"));
        js.publish_with(&subject, "", &new().expect_last_sequence(9), codes("last sequence"));
        js.publish_with(&subject, "", &new().expect_last_subject_sequence(0), codes("exists"));
        js.publish_with(&subject, "", &new().expect_last_subject_sequence(1), codes("second"));
        js.publish_with(&subject, "", &new().expect_stream("OTHER"), codes("stream"));
        js.publish_with(&subject, "", &new().expect_last_message_id("no"), codes("message id"));
        js.client().drain();
    });
    let mut log = log;
    log.sort();
    let expected = [
        "exists: 10071",
        "first: 1",
        "last sequence: 10071",
        "message id: 10070",
        "second: 2",
        "stream: 10060",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_publish_that_nobody_stores_says_no_more_than_that() {
    let log: Log = run(|nats| {
        nats.jetstream().publish("no.stream.here", "x", note(|_, js| js.client().close()));
    });
    // 2.15 names the subject
    let subject = if level() >= 5 { " \"no.stream.here\"" } else { "" };
    let expected = format!(
        "nobody has stored it, because nobody is listening on the subject{subject}: no stream has \
         it, or its stream has no leader now"
    );
    assert_eq!(log, [expected]);
}

/// Every way to read the same message gives the same.
#[test]
fn messages_are_read_by_sequence_and_by_subject_from_leader_and_replica() {
    with_stream(|_, js, stream| {
        let headers = HeaderMap::new().with("Trace", "7");
        let options = PublishOptions::new().headers(&headers);
        let (a, any): (&'static str, &'static str) =
            (format!("{stream}.a").leak(), format!("{stream}.*").leak());
        let check = move |subject_tail: &'static str, sequence: u64, payload: &'static str| {
            move |_: &mut Log, _: &Js, found: Result<StoredMessage, Error>| {
                let found = found.expect("a message");
                assert_eq!(found.subject(), format!("{stream}.{subject_tail}"));
                assert_eq!((found.sequence(), found.payload()), (sequence, payload.as_bytes()));
                assert_eq!(found.headers().get("Trace").as_deref(), Some("7"));
                assert!(found.time().is_some());
            }
        };
        let not_found = |_: &mut Log, _: &Js, found: Result<StoredMessage, Error>| {
            assert!(found.expect_err("nothing").is_not_found());
        };
        let read_all = move |_: &mut Log, js: &Js, _| {
            use MessageQuery::{LastBySubject, NextBySubject, Sequence};
            js.stored_message(stream, Sequence(2), ReadFrom::Leader, check("b", 2, "2"));
            js.stored_message(stream, Sequence(2), ReadFrom::Direct, check("b", 2, "2"));
            js.stored_message(stream, LastBySubject(a), ReadFrom::Leader, check("a", 3, "3"));
            js.stored_message(stream, LastBySubject(a), ReadFrom::Direct, check("a", 3, "3"));
            js.stored_message(
                stream,
                NextBySubject { subject: a, from: 2 },
                ReadFrom::Leader,
                check("a", 3, "3"),
            );
            js.stored_message(
                stream,
                NextBySubject { subject: any, from: 2 },
                ReadFrom::Direct,
                check("b", 2, "2"),
            );
            js.stored_message(stream, Sequence(99), ReadFrom::Leader, not_found);
            js.stored_message(stream, Sequence(99), ReadFrom::Direct, not_found);
            js.stored_message(stream, LastBySubject("other"), ReadFrom::Direct, not_found);
            // the answers come in any order, and all of them before the connection closes
            js.client().drain();
        };
        for (tail, payload) in [("a", "1"), ("b", "2")] {
            js.publish_with(&format!("{stream}.{tail}"), payload, &options, |_, _, ack| {
                ack.expect("stored");
            });
        }
        // a stream acknowledges in order
        js.publish_with(a, "3", &options, read_all);
    });
}

#[test]
fn direct_get_no_stream() {
    // 2.9 does not answer at all
    requires!(support::server(), 2, 10);
    let log: Log = run(|nats| {
        let js = nats.jetstream();
        js.stored_message(
            "NONE",
            MessageQuery::Sequence(1),
            ReadFrom::Direct,
            note(|_, js| js.client().close()),
        );
    });
    assert_eq!(log, ["JetStream is not available: nobody answers on its API"]);
}

#[test]
fn consumers_are_created_asked_about_and_deleted() {
    with_stream(|_, js, stream| {
        let config = ConsumerConfig::new("reader")
            .durable_name("reader")
            .filter_subject(format!("{stream}.a"));
        js.create_consumer(stream, &config, move |_, js, created| {
            assert_eq!(created.expect("a consumer").name, "reader");
            js.consumer_info(stream, "reader", move |_, js, info| {
                let config = info.expect("the consumer").config.expect("its configuration");
                assert_eq!(config.filter_subject, Some(format!("{stream}.a")));
                js.delete_consumer(stream, "reader", move |_, js, deleted| {
                    deleted.expect("deleted");
                    js.consumer_info(stream, "reader", move |_, js, info| {
                        assert!(info.expect_err("it is gone").is_not_found());
                        end(js, stream);
                    });
                });
            });
        });
    });
}

#[test]
fn an_unknown_domain_is_not_available_and_a_timeout_is_a_timeout() {
    let log: Log = run(|nats| {
        let js = nats.jetstream();
        js.with_domain("nowhere").stream_info("S", note(|_, _| {}));
        // the API listens on everything below its prefix, and stays silent on what it does not know
        let silent = js.with_timeout(Duration::from_millis(50));
        silent.with_prefix("$JS.API.NOT.THERE").stream_info("S", move |log: &mut Log, js, info| {
            log.push(info.expect_err("silence").is_timeout().to_string());
            js.client().close();
        });
    });
    assert_eq!(log, ["JetStream is not available: nobody answers on its API", "true"]);
}

#[test]
fn a_consumer_is_reset() {
    requires!(server(), 2, 14);
    with_stream(|_, js, stream| {
        let config = ConsumerConfig::new("worker").durable_name("worker");
        js.create_consumer(stream, &config, move |_, js, created| {
            created?;
            js.reset_consumer(stream, "worker", Some(2), move |_, js, reset| {
                let reset = reset?;
                assert_eq!((reset.sequence, reset.info.name.as_str()), (2, "worker"));
                js.reset_consumer(stream, "worker", None, move |_, js, reset| {
                    assert_eq!(reset?.sequence, 2, "the first that is not acknowledged");
                    js.client().close();
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn account_info_counts_what_is_there() {
    with_stream(|_, js, stream| {
        js.account_info(move |_, js, info| {
            let info = info?;
            assert!(info.usage.streams >= 1, "{info:?}");
            assert!(info.api.total >= 1, "{info:?}");
            assert_eq!(info.usage.limits.max_streams, None, "{info:?}");
            assert!(info.tiers.is_empty(), "{info:?}");
            assert!(info.api.level >= level(), "{info:?}");
            end(js, stream);
            Ok(())
        });
    });
}

#[test]
fn streams_are_named_by_subject_and_over_several_pages() {
    with_stream(|_, js, stream| {
        let filter = format!("{stream}.a.>");
        js.stream_names(Some(&filter), move |_, js, names| {
            assert_eq!(names?, [stream]);
            js.stream_names(Some("nobody.has.this"), move |_, js, names| {
                assert_eq!(names?, Vec::<String>::new());
                js.stream_names(None, move |_, js, names| {
                    assert!(names?.iter().any(|name| name == stream));
                    end(js, stream);
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

/// A page has 1024 names. On a server of its own, which nobody else fills.
#[test]
fn more_stream_names_than_a_page_has_come_all() {
    const STREAMS: usize = 1030;
    let server = evnats_harness::Server::start();
    let names: Log = support::run_with(server.url().as_str(), |nats| {
        let js = nats.jetstream();
        for number in 0..STREAMS {
            let name = format!("S{number:04}");
            let config = StreamConfig::new(name).storage(Storage::Memory);
            js.create_stream(&config, |created: &mut Log, js: &Js, info| {
                created.push(info.expect("a stream").config.name);
                if created.len() == STREAMS {
                    js.stream_names(None, |log, js, names| {
                        *log = names.expect("names");
                        js.client().close();
                    });
                }
            });
        }
    });
    let expected: Vec<_> = (0..STREAMS).map(|number| format!("S{number:04}")).collect();
    support::assert_same(&names, &expected);
}

#[test]
fn purges_remove_what_their_options_let_go() {
    with_stream(|_, js, stream| {
        let (a, b): (&str, &str) = (format!("{stream}.a").leak(), format!("{stream}.b").leak());
        for subject in [a, a, a, b, b] {
            js.publish(subject, "x", |_, _, stored| assert!(stored.is_ok()));
        }
        js.publish(b, "x", move |_, js, stored| {
            assert_eq!(stored?.sequence, 6);
            let new = PurgeOptions::new;
            // 1, 2 and 3 are of a, the others of b
            let purges = vec![
                (new().before(2), Ok(1)),
                (new().subject(a).keep(1), Ok(1)),
                (new().subject(b).before(6), Ok(2)),
                (new().before(1).keep(1), Err(ErrorCode::BAD_REQUEST)),
                (new(), Ok(2)),
            ];
            purge_one_by_one(js, stream, purges.into_iter());
            Ok(())
        });
    });
}

/// The server works on several requests at once, so each one waits for the one before it.
fn purge_one_by_one(
    js: &Js,
    stream: &'static str,
    mut purges: std::vec::IntoIter<(PurgeOptions, Result<u64, ErrorCode>)>,
) {
    let Some((options, expected)) = purges.next() else {
        return js.stream_info(stream, move |_, js, info| {
            let state = info?.state;
            assert_eq!((state.messages, state.first_sequence), (0, 7));
            end(js, stream);
            Ok(())
        });
    };
    js.purge_stream(stream, &options.clone(), move |_, js, purged| {
        let outcome = purged.map_err(|error| error.api().expect("a code").err_code());
        assert_eq!(outcome, expected, "{options:?}");
        purge_one_by_one(js, stream, purges);
    });
}

#[test]
fn a_sealed_stream_can_only_be_read() {
    with_stream(|_, js, stream| {
        let subject = format!("{stream}.a");
        js.publish(&subject.clone(), "x", move |_, js, stored| {
            stored?;
            js.seal_stream(stream, move |_, js, sealed| {
                assert!(sealed?.config.sealed);
                js.publish(&subject, "y", move |_, js, stored| {
                    assert_eq!(code(stored), ErrorCode::STREAM_SEALED);
                    let all = PurgeOptions::new();
                    js.purge_stream(stream, &all, move |_, js, purged| {
                        assert_eq!(code(purged), ErrorCode::STREAM_SEALED);
                        end(js, stream);
                    });
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn what_is_to_exist_is_created_or_updated() {
    let name: &'static str = unique("S").leak();
    let _: Log = run(|nats| {
        let js = nats.jetstream();
        let config = StreamConfig::new(name).subjects([format!("{name}.>")]);
        js.create_or_update_stream(&config.clone(), move |_, js: &Js, created| {
            assert_eq!(created?.config.description, None);
            let config = config.description("changed");
            js.create_or_update_stream(&config, move |_, js, updated| {
                assert_eq!(updated?.config.description.as_deref(), Some("changed"));
                let config = ConsumerConfig::new("C").durable_name("C");
                js.create_or_update_consumer(name, &config.clone(), move |_, js, created| {
                    created?;
                    let config = config.description("changed");
                    js.create_or_update_consumer(name, &config, move |_, js, updated| {
                        let config = updated?.config.expect("its configuration");
                        assert_eq!(config.description.as_deref(), Some("changed"));
                        end(js, name);
                        Ok(())
                    });
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_consumer_is_paused_and_resumed() {
    requires!(server(), 2, 11);
    with_stream(|_, js, stream| {
        let until = SystemTime::now() + Duration::from_secs(600);
        let config = ConsumerConfig::new("worker").durable_name("worker");
        js.create_consumer(stream, &config, move |_, js, created| {
            created?;
            js.pause_consumer(stream, "worker", until, move |_, js, paused| {
                let paused = paused?;
                assert!(paused.paused && paused.until == Some(until), "{paused:?}");
                assert!(paused.remaining > Some(Duration::from_secs(500)), "{paused:?}");
                js.consumer_info(stream, "worker", move |_, js, info| {
                    assert!(info?.paused);
                    js.resume_consumer(stream, "worker", move |_, js, resumed| {
                        let resumed = resumed?;
                        assert!(!resumed.paused && resumed.remaining.is_none(), "{resumed:?}");
                        js.pause_consumer(stream, "nobody", until, move |_, js, paused| {
                            assert_eq!(code(paused), ErrorCode::CONSUMER_NOT_FOUND);
                            end(js, stream);
                        });
                        Ok(())
                    });
                    Ok(())
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_priority_group_is_unpinned() {
    requires!(server(), 2, 11);
    with_stream(|_, js, stream| {
        let config = ConsumerConfig::new("worker")
            .durable_name("worker")
            .priority_groups(["jobs"])
            .priority_policy(PriorityPolicy::PinnedClient);
        js.create_consumer(stream, &config, move |_, js, created| {
            let groups = created?.priority_groups;
            assert_eq!(groups.len(), 1, "{groups:?}");
            js.unpin_consumer(stream, "worker", "jobs", move |_, js, unpinned| {
                unpinned?;
                js.unpin_consumer(stream, "worker", "other", move |_, js, unpinned| {
                    assert_eq!(code(unpinned), ErrorCode::CONSUMER_INVALID_PRIORITY_GROUP);
                    js.unpin_consumer(stream, "nobody", "jobs", move |_, js, unpinned| {
                        assert_eq!(code(unpinned), ErrorCode::CONSUMER_NOT_FOUND);
                        end(js, stream);
                    });
                });
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn a_pedantic_handle_has_refused_what_would_be_corrected() {
    with_stream(|_, js, stream| {
        let pedantic = js.pedantic();
        // markers need rollups, which would be switched on
        let config = StreamConfig::new(unique("S"))
            .max_age(Duration::from_secs(10))
            .subject_delete_marker_ttl(Duration::from_secs(60));
        let is_known = level() >= 1;
        let check = move |feature: &'static str, error: Error| {
            if is_known {
                assert_eq!(error.api().map(|api| api.err_code()), Some(ErrorCode::PEDANTIC));
            } else {
                assert_eq!(error, Error::Unsupported { feature, needs: 1, has: 0 });
            }
        };
        pedantic.create_stream(&config, move |_, js, created| {
            check("subject_delete_marker_ttl", created.expect_err("it is not what it would be"));
            let config = ConsumerConfig::new("C").max_deliver(1);
            js.create_consumer(stream, &config, move |_, js, created| {
                match created {
                    Ok(created) => assert!(is_known, "{created:?}"),
                    Err(error) => check("pedantic", error),
                }
                end(js, stream);
            });
        });
    });
}

#[test]
fn a_stream_tells_its_subjects_and_what_is_missing_in_it() {
    with_stream(|_, js, stream| {
        let (a, b): (&str, &str) = (format!("{stream}.a").leak(), format!("{stream}.b").leak());
        for subject in [a, b, a] {
            js.publish(subject, "x", |_, _, stored| assert!(stored.is_ok()));
        }
        js.publish(a, "x", move |_, js, stored| {
            assert_eq!(stored?.sequence, 4);
            // the first one stays, and the second is missing between it and the others
            let of_b = PurgeOptions::new().subject(b);
            js.purge_stream(stream, &of_b, move |_, js, purged| {
                assert_eq!(purged, Ok(1));
                let details = StreamDetails::new().subjects_filter(">").deleted_details(true);
                js.stream_info_with(stream, &details, move |_, js, info| {
                    let state = info?.state;
                    assert_eq!(state.subjects.into_iter().collect::<Vec<_>>(), [(a.into(), 3)]);
                    assert_eq!((state.num_deleted, state.deleted), (1, vec![2]));
                    js.stream_info_with("NONE", &StreamDetails::new(), move |_, js, info| {
                        assert!(info.expect_err("no such stream").is_not_found());
                        end(js, stream);
                    });
                    Ok(())
                });
            });
            Ok(())
        });
    });
}

/// A page has 100,000 subjects.
#[test]
fn more_subjects_than_a_page_has_come_all() {
    const SUBJECTS: usize = 100_020;
    with_stream(|_, js, stream| {
        let publish = move |js: &Js, number: usize| {
            js.client().publish(&format!("{stream}.{number}"), "").expect("room");
        };
        // acknowledgements nobody waits for; the last one is in order behind them
        for number in 1..SUBJECTS {
            publish(js, number);
        }
        js.publish(&format!("{stream}.0"), "", move |_, js, stored| {
            assert_eq!(stored?.sequence, SUBJECTS as u64);
            let details = StreamDetails::new().subjects_filter(">");
            js.stream_info_with(stream, &details, move |_, js, info| {
                let info = info?;
                assert_eq!(info.subjects_total, SUBJECTS as u64);
                assert_eq!(info.state.subjects.len(), SUBJECTS);
                assert!(info.state.subjects.values().all(|count| *count == 1));
                end(js, stream);
                Ok(())
            });
            Ok(())
        });
    });
}
