//! Reading many messages at once, without headers, and deleting single ones.

use super::handles::{end, with_handle};
use super::{code, level};
use crate::support::{Log, run, unique};
use evnats::jetstream::{
    Error, ErrorCode, Listed, Listing, MessageQuery, MessagesEnd, MessagesQuery, PublishOptions,
    StoredMessage, Stream, StreamConfig,
};
use evnats::{Client, HeaderMap};
use evnats_harness::requires;
use std::time::{Duration, SystemTime};

/// Notes the sequences, and the end.
fn note(log: &mut Log, _: &Listing<Log>, listed: Listed<StoredMessage, MessagesEnd>) {
    log.push(match listed {
        Listed::Item(message) => format!("{}", message.sequence()),
        Listed::Ended(Ok(MessagesEnd { last_sequence, up_to_sequence, pending, .. })) => {
            format!("end {last_sequence:?} {up_to_sequence:?} {pending}")
        }
        Listed::Ended(Err(error)) => error.to_string(),
    });
}

/// As [`note`], and goes on after the end.
fn note_and(
    go_on: impl Fn(&mut Log, &Listing<Log>) + 'static,
) -> impl FnMut(&mut Log, &Listing<Log>, Listed<StoredMessage, MessagesEnd>) + 'static {
    move |log, listing, listed| {
        let is_end = matches!(listed, Listed::Ended(_));
        note(log, listing, listed);
        if is_end {
            assert!(!listing.is_active());
            go_on(log, listing);
        }
    }
}

/// A stream with so many messages, on the subjects `a`, `b`, `c`, `a` … under its name.
fn with_messages(count: u64, go_on: impl Fn(&mut Log, &Stream<Log>) + 'static) -> Log {
    with_handle(move |_, stream| {
        let subject = |number: u64| {
            let end = ["a", "b", "c"][(number % 3) as usize];
            format!("{}.{end}", stream.name())
        };
        for number in 1..count {
            stream.client().publish(&subject(number - 1), number.to_string()).expect("room");
        }
        let stream = stream.clone();
        let js = stream.jetstream().clone();
        js.publish(&subject(count - 1), count.to_string(), move |log, _, stored| {
            assert_eq!(stored.expect("stored").sequence, count);
            go_on(log, &stream);
        });
    })
}

fn close(_: &mut Log, listing: &Listing<Log>) {
    listing.jetstream().client().close();
}

#[test]
fn many_messages_come_page_by_page_and_then_one_end() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(10, |_, stream| {
        let query = MessagesQuery::subject(format!("{}.>", stream.name())).page(3);
        stream.stored_messages(&query, note_and(close));
    });
    let expected = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "end Some(10) None 0"];
    assert_eq!(log, expected);
}

#[test]
fn a_page_has_no_more_bytes_than_asked_for_and_all_come() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(5, |_, stream| {
        let query = MessagesQuery::subject(">").page_bytes(1).from_sequence(2);
        stream.stored_messages(&query, note_and(close));
    });
    assert_eq!(log, ["2", "3", "4", "5", "end Some(5) None 0"]);
}

#[test]
fn what_is_read_is_what_was_stored() {
    requires!(crate::support::server(), 2, 11);
    with_handle(|_, stream| {
        // what a publisher stores under the server's own names deceives nobody
        let headers = HeaderMap::new()
            .with("Trace", "7")
            .with("Nats-Num-Pending", "0")
            .with("Nats-Sequence", "99");
        let options = PublishOptions::new().headers(&headers);
        let (subject, stream) = (format!("{}.a", stream.name()), stream.clone());
        let js = stream.jetstream().clone();
        js.publish_with(&subject, "x", &options, move |_, _, stored| {
            stored?;
            let query = MessagesQuery::subject(">");
            stream.stored_messages(&query, |log: &mut Log, listing, listed| match listed {
                Listed::Item(message) => {
                    assert_eq!((message.sequence(), message.payload()), (1, &b"x"[..]));
                    assert_eq!(message.headers().get("Trace").as_deref(), Some("7"));
                    assert!(message.time().is_some());
                    log.push("read".into());
                }
                Listed::Ended(ended) => {
                    assert_eq!(ended.expect("an end").last_sequence, Some(1));
                    assert_eq!(*log, ["read"]);
                    listing.jetstream().client().close();
                }
            });
            Ok(())
        });
    });
}

#[test]
fn a_reading_is_stopped_from_inside_and_from_outside() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(10, |_, stream| {
        let query = MessagesQuery::subject(">").page(4);
        // it is over before it has begun
        stream.stored_messages(&query, note).stop();
        stream.stored_messages(&query, |log: &mut Log, listing, listed| {
            note(log, listing, listed);
            if log.len() == 6 {
                listing.stop();
                assert!(!listing.is_active());
                // whatever was on its way has come by then
                listing.jetstream().client().drain();
            }
        });
    });
    assert_eq!(log, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_limit_says_how_many_more_there_are() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(10, |_, stream| {
        let query = MessagesQuery::subject(">").page(2).limit(3);
        stream.stored_messages(&query.clone().limit(0), note);
        stream.stored_messages(&query, note_and(close));
    });
    assert_eq!(log, ["end None None 0", "1", "2", "3", "end Some(3) None 7"]);
}

#[test]
fn messages_are_read_from_a_time_on() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(2, |_, stream| {
        let query = |time| MessagesQuery::subject(">").from_time(time).page(1);
        let again = stream.clone();
        let past = query(SystemTime::now() - Duration::from_secs(600));
        stream.stored_messages(
            &past,
            note_and(move |_, _| {
                let future = query(SystemTime::now() + Duration::from_secs(600));
                again.stored_messages(&future, note_and(close));
            }),
        );
    });
    assert_eq!(log, ["1", "2", "end Some(2) None 0", "end None None 0"]);
}

#[test]
fn the_last_messages_of_subjects_tell_how_fresh_they_are() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(9, |_, stream| {
        let name = stream.name().to_owned();
        let subjects = move || ["a", "b", "none"].map(|end| format!("{name}.{end}"));
        let query = MessagesQuery::last_of(subjects()).page(1);
        let stream = stream.clone();
        stream.clone().stored_messages(
            &query,
            note_and(move |_, _| {
                // as it was
                let query = MessagesQuery::last_of(subjects()).up_to_sequence(4);
                stream.stored_messages(&query, note_and(close));
            }),
        );
    });
    assert_eq!(log, ["7", "8", "end Some(8) Some(9) 0", "2", "4", "end Some(4) Some(4) 0"]);
}

#[test]
fn what_cannot_be_read_says_why() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(1, |log, stream| {
        let none = MessagesQuery::subject("none");
        stream.stored_messages(&none, note);
        stream.stored_messages(&none.clone().up_to_sequence(1), note);
        stream.jetstream().stored_messages("a b", &none, note);
        let stream = stream.clone();
        let js = stream.jetstream().clone();
        js.stored_messages("NONE", &none, note_and(move |_, _| stream.client().drain()));
        assert!(log.is_empty(), "nothing is said inline");
    });
    let mut log = log;
    log.sort();
    let expected = [
        "JetStream is not available: nobody answers on its API",
        "end None None 0",
        "invalid name \"a b\": it has a space, a dot, a wildcard or a slash",
        "request cannot be encoded: up_to_… is for the last messages of subjects, and from_time is not",
    ];
    assert_eq!(log, expected);
}

#[test]
fn more_subjects_than_the_server_reads_at_once_are_refused() {
    requires!(crate::support::server(), 2, 11);
    with_handle(|_, stream| {
        for number in 0..1025 {
            let subject = format!("{}.{number}", stream.name());
            stream.client().publish(&subject, "").expect("room");
        }
        let (stream, last) = (stream.clone(), format!("{}.last", stream.name()));
        let js = stream.jetstream().clone();
        js.publish(&last, "", move |_, _, stored| {
            stored?;
            let query = MessagesQuery::last_of([">"]);
            stream.stored_messages(&query, |_: &mut Log, listing, listed| {
                let Listed::Ended(Err(error)) = listed else { panic!("{listed:?}") };
                assert_eq!(error.api().map(|api| api.code()), Some(413));
                listing.jetstream().client().close();
            });
            Ok(())
        });
    });
}

#[test]
fn a_server_that_cannot_read_many_messages_says_so_before_it_is_asked() {
    let log = with_messages(1, |_, stream| {
        stream.stored_messages(&MessagesQuery::subject(">"), note_and(close));
    });
    let refused = format!(
        "stored_messages needs API level 1 (server 2.11), and the server has level {}",
        level()
    );
    match level() {
        0 => assert_eq!(log, [refused]),
        _ => assert_eq!(log, ["1", "end Some(1) None 0"]),
    }
}

/// Whoever may not ask for the level is told by what comes.
#[test]
fn a_server_that_tells_no_level_is_known_by_its_answer() {
    let config = "authorization { users: [ { user: reader, password: p, permissions: { publish: { \
                  deny: \"$JS.API.INFO\" } } } ] }";
    let server = evnats_harness::Server::builder().config(config).start().expect("a server");
    let url = server.url().replace("://", "://reader:p@");
    for query in [MessagesQuery::subject("S"), MessagesQuery::last_of(["S"])] {
        let log: Log = crate::support::run_with(url.as_str(), |nats| {
            let config = StreamConfig::default().allow_direct(true);
            nats.jetstream().stream("S").create(&config, move |_, stream, created| {
                created.expect("a stream");
                let (stream, js) = (stream.clone(), stream.jetstream().clone());
                js.publish("S", "x", move |_, _, stored| {
                    assert!(stored.is_ok());
                    stream.stored_messages(&query, note_and(close));
                });
            });
        });
        let last = log.last().expect("an end");
        match level() {
            0 => assert!(last.starts_with("stored_messages needs API level 1"), "{last}"),
            _ => assert!(last.starts_with("end Some("), "{last}"),
        }
    }
}

#[test]
fn a_reading_goes_on_where_it_was_after_a_reconnect() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(6, |_, stream| {
        let query = MessagesQuery::subject(">").page(4);
        stream.stored_messages(&query, |log: &mut Log, listing, listed| {
            let is_end = matches!(listed, Listed::Ended(_));
            note(log, listing, listed);
            match log.len() {
                2 => listing.jetstream().client().reconnect(),
                _ if is_end => listing.jetstream().client().close(),
                _ => {}
            }
        });
    });
    let end = log.last().cloned();
    let mut sequences = log[..log.len() - 1].to_vec();
    assert_eq!(end.as_deref(), Some("end Some(6) None 0"));
    sequences.dedup();
    assert_eq!(sequences, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(log.len(), 7, "none came twice: {log:?}");
}

#[test]
fn the_end_of_the_client_is_the_end_of_a_reading() {
    requires!(crate::support::server(), 2, 11);
    let log = with_messages(6, |_, stream| {
        let query = MessagesQuery::subject(">").page(1);
        stream.stored_messages(&query, |log: &mut Log, listing, listed| {
            note(log, listing, listed);
            if log.len() == 2 {
                listing.jetstream().client().close();
            }
        });
    });
    assert_eq!(log, ["1", "2", "the connection is closed"]);
}

/// Plays an API under a prefix, whose account information says that it is new.
pub(crate) fn play_api(nats: &Client<Log>, prefix: &str) {
    let info = |_: &mut Log, info: &evnats::Subscription<Log>, message: &_| {
        info.client().respond(message, r#"{"api":{"level":5}}"#)
    };
    nats.subscribe(&format!("{prefix}.INFO"), info).expect("a subscription");
}

#[test]
fn a_reading_that_hears_nothing_times_out_and_one_that_hears_does_not() {
    let prefix = unique("fake");
    let log: Log = run(|nats: &Client<Log>| {
        play_api(nats, &prefix);
        // one message in each half of the timeout, and then silence
        let direct = format!("{prefix}.DIRECT.GET.>");
        let on_request = move |_: &mut Log, direct: &evnats::Subscription<Log>, message: &_| {
            let message: &evnats::Message = message;
            let Some(reply) = message.reply().map(|reply| reply.into_owned()) else { return };
            if message.payload().is_empty() {
                return;
            }
            let nats = direct.client();
            let sent = std::cell::Cell::new(0);
            nats.set_interval(Duration::from_millis(200), move |_, nats| {
                sent.set(sent.get() + 1);
                let headers = HeaderMap::new()
                    .with("Nats-Subject", "a")
                    .with("Nats-Sequence", sent.get().to_string())
                    .with("Nats-Time-Stamp", "2024-01-02T03:04:05Z")
                    .with("Nats-Num-Pending", "9");
                let message = evnats::OutgoingMessage::new(&reply, "x").headers(&headers);
                nats.send(message).expect("room");
                if sent.get() == 4 {
                    nats.cancel_current_timer();
                }
            });
        };
        nats.subscribe(&direct, on_request).expect("a subscription");
        let js = nats.jetstream().with_prefix(&prefix).with_timeout(Duration::from_millis(400));
        js.stored_messages("S", &MessagesQuery::subject("a"), note_and(close));
    });
    assert_eq!(log[..4], ["1", "2", "3", "4"]);
    assert_eq!(log.len(), 5, "{log:?}");
    assert!(log[4].contains("no answer") || log[4].contains("time"), "{log:?}");
}

#[test]
fn a_message_is_read_without_its_headers() {
    with_handle(|_, stream| {
        let options = PublishOptions::new().headers(&HeaderMap::new().with("Trace", "7"));
        let (subject, stream) = (format!("{}.a", stream.name()), stream.clone());
        let js = stream.jetstream().clone();
        js.publish_with(&subject, "x", &options, move |_, _, stored| {
            stored?;
            let query = MessageQuery::Sequence(1);
            stream.stored_message_without_headers(query, |_, stream, found| {
                if level() < 2 {
                    let feature = "stored_message_without_headers";
                    let has = level();
                    assert_eq!(found, Err(Error::Unsupported { feature, needs: 2, has }));
                } else {
                    let found = found?;
                    assert_eq!((found.sequence(), found.payload()), (1, &b"x"[..]));
                    assert!(found.headers().is_empty());
                }
                end(stream);
                Ok(())
            });
            Ok(())
        });
    });
}

#[test]
fn single_messages_are_deleted() {
    let _ = with_messages(3, |_, stream| {
        stream.delete_message(2, |_, stream, deleted| {
            deleted?;
            stream.delete_message(2, |_, stream, deleted| {
                let error = deleted.expect_err("it is gone");
                assert!(error.is_not_found(), "{error}");
                stream.secure_delete_message(1, |_, stream, deleted| {
                    deleted?;
                    stream.delete_message(9, |_, stream, deleted| {
                        assert_eq!(code(deleted), ErrorCode::MESSAGE_DELETE_FAILED);
                        stream.info(|_, stream, info| {
                            assert_eq!(info?.state.messages, 1);
                            end(stream);
                            Ok(())
                        });
                    });
                    Ok(())
                });
            });
            Ok(())
        });
    });
}

#[test]
fn a_stream_may_refuse_deleting() {
    let name = unique("S");
    let _: Log = run(|nats| {
        let config = StreamConfig::default().deny_delete(true);
        nats.jetstream().stream(&name).create(&config, |_, stream, created| {
            created?;
            stream.jetstream().publish(stream.name(), "x", |_, js, stored| {
                let stream = js.stream(&stored?.stream);
                stream.secure_delete_message(1, |_, stream, deleted| {
                    assert_eq!(code(deleted), ErrorCode::MESSAGE_DELETE_FAILED);
                    end(stream);
                });
                Ok(())
            });
            Ok(())
        });
    });
}
