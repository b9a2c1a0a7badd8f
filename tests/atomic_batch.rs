//! Atomic batches, on a real server.

mod support;

use evnats::jetstream::{
    AtomicBatch, BatchError, Error, ErrorCode, JetStream, MessageQuery, PubAck, PublishOptions,
    ReadFrom, StreamConfig,
};
use evnats::{Client, EventLoop, Frame};
use evnats_harness::{Cluster, Server, requires};
use evnats_protocol::ClientOp;
use std::time::Duration;
use support::new_cluster::create_stream;
use support::{
    IMPORTED, Log, fail, finish, finish_with, level, run, run_with, server, server_with_guests,
    turn_until, unique, url_for, with_stream_on,
};

type Js = JetStream<Log>;

fn options() -> PublishOptions {
    PublishOptions::new()
}

/// Creates a stream for subjects under its own name, and goes on with it.
fn with_stream(go_on: impl FnOnce(&mut Log, &Js, &'static str) + 'static) -> Log {
    support::with_stream(|config| config.allow_atomic(true), go_on)
}

/// Ends the test with the number of messages in the stream.
fn count_and_end(js: &Js, stream: &str) {
    js.stream_info(stream, |log: &mut Log, js, info| {
        log.push(format!("{} stored", info.expect("the stream").state.messages));
        js.client().close();
    });
}

/// The error of a batch, which has to be one.
fn batch_error(result: Result<PubAck, Error>) -> BatchError {
    match result.expect_err("a failure") {
        Error::Batch(error) => error,
        error => panic!("{error:?}"),
    }
}

/// Servers whose limits are so low that a test reaches them.
fn low_limits() -> Server {
    let config = "jetstream { store_dir: store, limits { batch { max_msgs: 5, \
                  max_inflight_per_stream: 2, timeout: 300ms } } }";
    Server::builder().jetstream(false).config(config).start().expect("a server")
}

#[test]
fn a_batch_is_stored_as_a_whole_and_acknowledged_once() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        let batch = js.atomic_batch();
        let id = batch.id();
        for number in 1..250 {
            batch.add(&format!("{stream}.{number}"), number.to_string(), &options()).expect("room");
        }
        assert_eq!(batch.count(), 249);
        batch.commit(&format!("{stream}.last"), "250", &options(), move |_, js, stored| {
            let ack = stored.expect("stored");
            assert_eq!((&*ack.stream, ack.sequence), (stream, 250));
            assert_eq!((ack.batch_id, ack.batch_size), (Some(id.clone()), Some(250)));
            let last = MessageQuery::Sequence(250);
            js.stored_message(stream, last, ReadFrom::Leader, move |_, js, message| {
                let message = message.expect("the last one");
                let header = |name| message.headers().get(name).map(String::from);
                assert_eq!(message.payload(), b"250");
                assert_eq!(header("Nats-Batch-Id"), Some(id));
                assert_eq!(header("Nats-Batch-Sequence").as_deref(), Some("250"));
                assert_eq!(header("Nats-Batch-Commit").as_deref(), Some("1"));
                count_and_end(js, stream);
            });
        });
    });
    assert_eq!(log, ["250 stored"]);
}

#[test]
fn a_batch_of_one_message_is_that_message_with_the_commit() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        js.atomic_batch().commit(&format!("{stream}.a"), "x", &options(), move |_, js, stored| {
            let ack = stored.expect("stored");
            assert_eq!((ack.sequence, ack.batch_size), (1, Some(1)));
            count_and_end(js, stream);
        });
    });
    assert_eq!(log, ["1 stored"]);
}

#[test]
fn a_batch_is_committed_without_another_message() {
    requires!(server(), 2, 14);
    let log = with_stream(|_, js, stream| {
        let batch = js.atomic_batch();
        for payload in ["1", "2"] {
            batch.add(&format!("{stream}.a"), payload, &options()).expect("room");
        }
        batch.commit_with_end(move |_, js, stored| {
            let ack = stored.expect("stored");
            assert_eq!((ack.sequence, ack.batch_size), (2, Some(2)));
            js.atomic_batch().commit_with_end(move |_, js, stored| {
                assert_eq!(batch_error(stored), BatchError::Empty);
                count_and_end(js, stream);
            });
        });
    });
    assert_eq!(log, ["2 stored"]);
}

/// Two batches whose messages take turns on the wire are stored one behind the other.
#[test]
fn batches_that_are_open_at_once_do_not_mix() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        let batches = [js.atomic_batch(), js.atomic_batch()];
        for number in 0..50 {
            for (place, batch) in batches.iter().enumerate() {
                let payload = format!("{place} {number}");
                batch.add(&format!("{stream}.{place}"), payload, &options()).expect("room");
            }
        }
        // an ordinary message does not wait for them
        js.publish(&format!("{stream}.between"), "x", |_, _, stored| {
            assert_eq!(stored.expect("stored").sequence, 1);
        });
        let [first, second] = batches;
        first.commit(&format!("{stream}.0"), "end", &options(), |_, _, stored| {
            assert_eq!(stored.expect("stored").batch_size, Some(51));
        });
        second.commit(&format!("{stream}.1"), "end", &options(), move |_, js, stored| {
            let ack = stored.expect("stored");
            assert_eq!((ack.sequence, ack.batch_size), (103, Some(51)));
            for sequence in 2..=103 {
                let query = MessageQuery::Sequence(sequence);
                js.stored_message(
                    stream,
                    query,
                    ReadFrom::Direct,
                    move |log: &mut Log, js, read| {
                        let read = read.expect("a message");
                        log.push(read.subject().into_owned());
                        if log.len() == 102 {
                            js.client().close();
                        }
                    },
                );
            }
        });
    });
    let changes = log.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 1, "{log:?}");
}

/// What a reader sees before the commit, and what is there after a commit that fails.
#[test]
fn expectations_are_looked_at_when_the_batch_is_committed() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        let (a, b): (&str, &str) = (format!("{stream}.a").leak(), format!("{stream}.b").leak());
        js.publish(a, "old", move |_, js, stored| {
            assert_eq!(stored.expect("stored").sequence, 1);
            let batch = js.atomic_batch();
            let is_new = options().expect_last_subject_sequence(0);
            batch.add(b, "1", &is_new).expect("room");
            batch.on_failed(|_, _, error| fail(format!("the commit tells: {error}")));
            batch.commit(a, "2", &is_new, move |_, js, stored| {
                let error = stored.expect_err("a is not new");
                assert!(error.is_wrong_last_sequence(), "{error}");
                let Error::Batch(BatchError::Refused(refusal)) = error else { panic!("{error}") };
                assert_eq!(refusal.current_sequence(), Some(1));
                let batch = js.atomic_batch();
                let sequence = options().expect_last_sequence(1);
                batch.add(b, "1", &sequence).expect("room");
                let unchanged = options().expect_last_subject_sequence(1);
                batch.commit(a, "2", &unchanged, move |_, js, stored| {
                    assert_eq!(stored.expect("both hold").sequence, 3);
                    count_and_end(js, stream);
                });
            });
        });
    });
    assert_eq!(log, ["3 stored"]);
}

#[test]
fn every_refusal_of_a_batch_says_what_is_wrong_with_it() {
    requires!(server(), 2, 14);
    let refusal = |change: fn(&AtomicBatch<Log>, &str), last: PublishOptions| {
        let log: Log = run(|nats| {
            with_stream_on(
                nats,
                |config| config.allow_atomic(true),
                move |_, js, stream| {
                    let batch = js.atomic_batch();
                    change(&batch, stream);
                    batch.commit(&format!("{stream}.z"), "z", &last, move |log, js, stored| {
                        log.push(format!("{:?}", batch_error(stored)));
                        count_and_end(js, stream);
                    });
                },
            );
        });
        assert_eq!(log[1], "0 stored");
        log[0].clone()
    };
    let header = refusal(
        |batch, stream| {
            let last = options().expect_last_message_id("q");
            batch.add(&format!("{stream}.a"), "x", &last).expect("room");
        },
        options(),
    );
    assert!(
        header.starts_with("HeaderNotAllowed { header: Some(\"Nats-Expected-Last-Msg-Id\")"),
        "{header}"
    );
    let twice = refusal(
        |batch, stream| {
            batch.add(&format!("{stream}.a"), "x", &options().message_id("m")).expect("room");
        },
        options().message_id("m"),
    );
    assert!(twice.starts_with("DuplicateMessageId("), "{twice}");
    let written = refusal(
        |batch, stream| {
            let new = options().expect_last_subject_sequence(0);
            batch.add(&format!("{stream}.z"), "x", &new).expect("room");
        },
        options().expect_last_subject_sequence(0),
    );
    assert!(written.starts_with("Refused(") && written.contains("10164"), "{written}");
}

#[test]
fn a_stream_that_takes_no_batches_and_a_subject_without_a_stream_are_told() {
    requires!(server(), 2, 12);
    let log: Log = run(|nats| {
        with_stream_on(
            nats,
            |config| config,
            |_, js, stream| {
                let batch = js.atomic_batch();
                batch.add(&format!("{stream}.a"), "x", &options()).expect("room");
                batch.commit(&format!("{stream}.b"), "x", &options(), move |_, js, stored| {
                    let error = batch_error(stored);
                    let code = error.api().expect("a refusal").err_code();
                    assert_eq!(code, ErrorCode::ATOMIC_PUBLISH_DISABLED);
                    assert!(matches!(error, BatchError::Disabled(_)), "{error:?}");
                    let batch = js.atomic_batch();
                    batch.add("no.stream.here", "x", &options()).expect("room");
                    batch.commit("no.stream.here", "x", &options(), move |_, js, stored| {
                        assert!(stored.expect_err("nobody").is_no_responders());
                        count_and_end(js, stream);
                    });
                });
            },
        );
    });
    assert_eq!(log, ["0 stored"]);
}

/// The limits are the server's: here they are not the usual ones.
#[test]
fn a_limit_is_told_as_the_server_has_it() {
    requires!(server(), 2, 15);
    let server = low_limits();
    let log: Log = run_with(server.url().as_str(), |nats| {
        with_stream_on(
            nats,
            |config| config.allow_atomic(true),
            |_, js, stream| {
                let subject: &str = format!("{stream}.a").leak();
                let batch = js.atomic_batch();
                for _ in 0..20 {
                    batch.add(subject, "x", &options()).expect("room");
                }
                batch.commit(subject, "x", &options(), move |_, js, stored| {
                    let error = batch_error(stored);
                    assert!(
                        matches!(error, BatchError::TooLarge { limit: Some(5), .. }),
                        "{error:?}"
                    );
                    open_too_many(js, stream, subject);
                });
            },
        );
    });
    assert_eq!(log, ["3 stored"]);
}

/// Of three batches, the server takes two; the third one is told as soon as it has a message.
fn open_too_many(js: &Js, stream: &'static str, subject: &'static str) {
    let batches = [js.atomic_batch(), js.atomic_batch(), js.atomic_batch()];
    for batch in &batches {
        batch.add(subject, "x", &options()).expect("room");
    }
    let [first, second, third] = batches;
    let hooked = std::rc::Rc::new(third);
    let third = hooked.clone();
    hooked.on_failed(move |_, _, error| {
        assert!(error.is_temporary(), "{error}");
        let is_expected = |error: &Error| matches!(error, Error::Batch(BatchError::TooManyOpen(_)));
        assert!(is_expected(&error), "{error:?}");
        // it is over, and says so to whoever goes on with it
        let again = third.add(subject, "y", &options()).expect_err("it is over");
        assert!(is_expected(&again), "{again:?}");
        first.abandon();
        second.commit(subject, "x", &options(), move |_, js, stored| {
            assert_eq!(stored.expect("stored").batch_size, Some(2));
            // the room of the first one is the next one's once the server has given it up
            try_again(js, stream, subject);
        });
    });
}

fn try_again(js: &Js, stream: &'static str, subject: &'static str) {
    js.atomic_batch().commit(subject, "x", &options(), move |_, js, stored| match stored {
        Ok(_) => count_and_end(js, stream),
        Err(error) => {
            assert!(error.is_temporary(), "{error}");
            try_again(js, stream, subject);
        }
    });
}

/// The server gives a batch up that gets no message, and says nothing.
#[test]
fn a_batch_that_the_server_has_given_up_says_so_with_its_next_message() {
    requires!(server(), 2, 15);
    let server = low_limits();
    let log: Log = run_with(server.url().as_str(), |nats| {
        let advisory = "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.>";
        with_stream_on(
            nats,
            |config| config.allow_atomic(true),
            move |_, js, stream| {
                let subject: &str = format!("{stream}.a").leak();
                let batch = js.atomic_batch();
                batch.add(subject, "x", &options()).expect("room");
                let mut batch = Some(batch);
                let given_up = js.clone();
                js.client()
                    .subscribe(advisory, move |_: &mut Log, _, _| {
                        let Some(batch) = batch.take() else { return };
                        let js = given_up.clone();
                        batch.commit(subject, "y", &options(), move |_, _, stored| {
                            let error = batch_error(stored);
                            assert!(matches!(error, BatchError::Incomplete(_)), "{error:?}");
                            assert!(error.is_nothing_stored());
                            count_and_end(&js, stream);
                        });
                    })
                    .expect("subscribed");
            },
        );
    });
    assert_eq!(log, ["0 stored"]);
}

/// Nor is anything of it sent that waits.
#[test]
fn a_batch_that_is_dropped_stores_nothing() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        let subject = format!("{stream}.given_up");
        let is_of_it = subject.clone();
        js.client().on_frame(move |log: &mut Log, _, frame| {
            if let Frame::Out(ClientOp::Publish(message)) = frame
                && message.subject() == is_of_it
            {
                log.push("sent".into());
            }
        });
        let batch = js.atomic_batch();
        batch.on_failed(|_, _, error| fail(format!("the program has given it up: {error}")));
        for _ in 0..10 {
            batch.add(&subject, "x", &options()).expect("room");
        }
        batch.abandon();
        let next = js.atomic_batch();
        next.commit(&format!("{stream}.a"), "x", &options(), move |_, js, stored| {
            assert_eq!(stored.expect("stored").sequence, 1);
            count_and_end(js, stream);
        });
    });
    assert_eq!(log, ["sent", "1 stored"], "the first message had gone already");
}

#[test]
fn a_subject_that_is_none_costs_the_batch_nothing() {
    requires!(server(), 2, 12);
    let log = with_stream(|_, js, stream| {
        let batch = js.atomic_batch();
        let error = batch.add("a..b", "x", &options()).expect_err("no subject");
        assert!(error.to_string().starts_with("invalid subject"), "{error}");
        batch.commit(&format!("{stream}.a"), "x", &options(), move |_, js, stored| {
            assert_eq!(stored.expect("stored").batch_size, Some(1));
            js.atomic_batch().commit("a..b", "x", &options(), move |_, js, stored| {
                let error = stored.expect_err("no subject");
                assert!(error.to_string().starts_with("invalid subject"), "{error}");
                count_and_end(js, stream);
            });
        });
    });
    assert_eq!(log, ["1 stored"]);
}

/// While a batch is being stored, a reader sees nothing of it, or everything.
#[test]
fn readers_see_a_batch_as_a_whole() {
    requires!(server(), 2, 12);
    const MESSAGES: u64 = 500;
    fn read_until_stored(js: &Js, stream: &'static str) {
        let all = format!("{stream}.>");
        let last = MessageQuery::LastBySubject(&all);
        js.stored_message(stream, last, ReadFrom::Leader, move |log: &mut Log, js, read| {
            let seen = read.map(|message| message.sequence());
            let is_stored = match seen {
                Err(error) => {
                    assert!(error.is_not_found(), "{error}");
                    log.push("nothing".into());
                    false
                }
                Ok(sequence) => {
                    log.push(sequence.to_string());
                    true
                }
            };
            match is_stored {
                true => js.client().close(),
                false => read_until_stored(js, stream),
            }
        });
    }
    let stream: &'static str = unique("S").leak();
    let event_loop = EventLoop::new().expect("an event loop");
    let [writer, reader] = [(); 2].map(|()| event_loop.connect(server().url()).expect("a client"));
    let config = StreamConfig::new(stream).subjects([format!("{stream}.>")]).allow_atomic(true);
    writer.jetstream().create_stream(&config, move |_: &mut Log, js, created| {
        created.expect("a stream");
        read_until_stored(&reader.jetstream(), stream);
        let batch = js.atomic_batch();
        for number in 1..MESSAGES {
            batch.add(&format!("{stream}.{number}"), "x", &options()).expect("room");
        }
        batch.commit(&format!("{stream}.last"), "x", &options(), |_, js, stored| {
            assert_eq!(stored.expect("stored").sequence, MESSAGES);
            js.client().close();
        });
    });
    let mut log = finish(&event_loop);
    assert_eq!(log.pop(), Some(MESSAGES.to_string()), "the first that is seen is everything");
    assert!(!log.is_empty() && log.iter().all(|line| line == "nothing"), "{log:?}");
}

/// What a stream's leader has of a batch is its own; the next one knows nothing of it.
#[test]
fn a_batch_whose_stream_gets_another_leader_has_stored_nothing() {
    requires!(server(), 2, 12);
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(cluster.server(0).url()).expect("a client");
    let js = nats.jetstream();
    let mut log = Log::new();
    let config = StreamConfig::new("S").subjects(["a"]).allow_atomic(true).num_replicas(3);
    create_stream(&js, config, |_, js, _| publish_until_stored(js, "led"));
    let until = |log: &mut Log, what: &'static str| {
        turn_until(&event_loop, log, what, |log| log.iter().any(|line| line == what));
    };
    until(&mut log, "led");
    // replicated, it is stored as a whole as on one server
    let batch = js.atomic_batch();
    batch.add("a", "x", &options()).expect("room");
    batch.commit("a", "x", &options(), |log: &mut Log, _, stored| {
        assert_eq!(stored.expect("stored").batch_size, Some(2));
        log.push("stored".into());
    });
    until(&mut log, "stored");
    let batch = js.atomic_batch();
    batch.add("a", "x", &options()).expect("room");
    js.publish("a", "x", |log: &mut Log, _, stored| {
        assert_eq!(stored.expect("behind the first one").sequence, 4);
        log.push("taken".into());
    });
    until(&mut log, "taken");
    nats.request("$JS.API.STREAM.LEADER.STEPDOWN.S", "", |log: &mut Log, _, reply| {
        assert!(reply.expect("an answer").text().contains("true"));
        log.push("stepped down".into());
    });
    until(&mut log, "stepped down");
    publish_until_stored(&js, "led again");
    until(&mut log, "led again");
    batch.commit("a", "x", &options(), |log: &mut Log, js, stored| {
        let error = batch_error(stored);
        assert!(matches!(error, BatchError::Incomplete(_)), "{error:?}");
        log.clear();
        count_and_end(js, "S");
    });
    turn_until(&event_loop, &mut log, "the count", |log| log.len() == 1);
    assert_eq!(log, ["5 stored"], "four before, and one by the next leader");
    finish_with(&event_loop, &mut log);
}

/// Publishes one message, as often as it takes for a leader to store it, and says so.
fn publish_until_stored(js: &Js, line: &'static str) {
    let once = options().message_id(line);
    js.publish_with("a", "x", &once, move |log: &mut Log, js, stored| match stored {
        Ok(_) => log.push(line.into()),
        Err(error) => {
            assert!(error.is_temporary(), "{error}");
            js.set_timer(Duration::from_millis(20), move |_, js| publish_until_stored(js, line));
        }
    });
}

/// A test whose server goes away in the middle of a batch.
struct Interrupted {
    event_loop: EventLoop<Log>,
    nats: Client<Log>,
    server: Server,
    log: Log,
}

impl Interrupted {
    fn new() -> Self {
        let server = Server::start();
        let event_loop = EventLoop::new().expect("an event loop");
        let nats = event_loop.connect(server.url()).expect("a client");
        let config = StreamConfig::new("S").subjects(["a"]).allow_atomic(true);
        nats.jetstream().create_stream(&config, |log: &mut Log, _, created| {
            created.expect("a stream");
            log.push("ready".into());
        });
        let mut test = Self { event_loop, nats, server, log: Log::new() };
        test.until("a stream", "ready");
        test
    }

    fn until(&mut self, what: &str, line: &str) {
        let is_there = |log: &mut Log| log.iter().any(|one| one.starts_with(line));
        turn_until(&self.event_loop, &mut self.log, what, is_there);
    }

    /// How many messages are stored in the end.
    fn stored(mut self) -> u64 {
        self.nats.jetstream().stream_info("S", |log: &mut Log, js, info| {
            log.push(format!("stored {}", info.expect("the stream").state.messages));
            js.client().close();
        });
        self.until("the count", "stored ");
        finish_with(&self.event_loop, &mut self.log);
        self.log.last().and_then(|line| line.split(' ').next_back()?.parse().ok()).expect("a count")
    }
}

#[test]
fn a_batch_whose_server_was_restarted_in_the_middle_has_stored_nothing() {
    requires!(server(), 2, 12);
    let mut test = Interrupted::new();
    let batch = test.nats.jetstream().atomic_batch();
    for _ in 0..3 {
        batch.add("a", "x", &options()).expect("room");
    }
    test.nats.jetstream().publish("a", "x", |log: &mut Log, _, _| log.push("taken".into()));
    test.until("the messages to be there", "taken");
    support::flush(&test.event_loop, &mut test.log, &test.nats);
    test.nats.on_reconnect(|log, _, _| log.push("reconnected".into()));
    test.server.restart();
    test.until("another connection", "reconnected");
    batch.commit("a", "x", &options(), |log, _, stored| {
        let error = batch_error(stored);
        assert!(matches!(error, BatchError::Incomplete(_)), "{error:?}");
        log.push("failed".into());
    });
    test.until("the outcome", "failed");
    assert_eq!(test.stored(), 1, "only what is no part of the batch");
}

/// While the server is frozen, nobody knows what becomes of what was sent.
#[test]
fn what_is_known_when_the_connection_is_lost_is_told() {
    requires!(server(), 2, 12);
    for (commits, expected) in [(false, "failed Lost"), (true, "failed OutcomeUnknown")] {
        let mut test = Interrupted::new();
        let batch = test.nats.jetstream().atomic_batch();
        batch.on_failed(|log, _, error| match error {
            Error::Batch(error) => log.push(format!("failed {error:?}")),
            error => panic!("{error}"),
        });
        batch.add("a", "x", &options()).expect("room");
        test.nats.jetstream().publish("a", "x", |log: &mut Log, _, _| log.push("taken".into()));
        test.until("the first message to be taken", "taken");
        support::flush(&test.event_loop, &mut test.log, &test.nats);
        test.server.pause();
        let mut batch = Some(batch);
        if let Some(batch) = batch.take_if(|_| commits) {
            batch.commit("a", "x", &options(), |log, _, stored| {
                log.push(format!("failed {:?}", batch_error(stored)));
            });
        }
        if let Some(batch) = &batch {
            batch.add("a", "x", &options()).expect("room");
        }
        test.event_loop.dispatch(&mut test.log, Some(Duration::ZERO)).expect("a turn");
        test.server.kill9();
        test.until("the outcome", expected);
        test.server.start_again();
        let stored = test.stored();
        assert!(stored == 1 || (commits && stored == 3), "{stored} stored");
    }
}

#[test]
fn an_older_server_is_not_sent_a_batch() {
    if level() >= 2 {
        return;
    }
    let log: Log = run(|nats| {
        with_stream_on(
            nats,
            |config| config,
            |_, js, stream| {
                let batch = js.atomic_batch();
                batch.add(&format!("{stream}.a"), "x", &options()).expect("room");
                batch.commit(&format!("{stream}.a"), "x", &options(), move |_, js, stored| {
                    let unsupported =
                        Error::Unsupported { feature: "atomic_batch", needs: 2, has: level() };
                    assert_eq!(stored, Err(unsupported));
                    count_and_end(js, stream);
                });
            },
        );
    });
    assert_eq!(log, ["0 stored"]);
}

/// Whoever can know nothing of the server learns it by the first message, and sends no second one.
#[test]
fn an_older_server_that_does_not_tell_stores_the_first_message_alone_and_that_is_told() {
    let server = server_with_guests();
    let is_known = level() >= 2;
    let _: Log = run_with(url_for(&server, "admin"), |nats| {
        let config = StreamConfig::new("S").subjects(["batched.>"]).allow_atomic(is_known);
        nats.jetstream().create_stream(&config, |_, js, created| {
            created.expect("a stream");
            js.client().close();
        });
    });
    let log: Log = run_with(url_for(&server, "guest"), |nats| {
        let batch = nats.jetstream().with_prefix(IMPORTED).atomic_batch();
        for _ in 0..5 {
            batch.add("batched.a", "x", &options()).expect("room");
        }
        batch.commit("batched.a", "x", &options(), move |_, js, stored| {
            if !is_known {
                let (feature, stream) = ("atomic_batch", "S".to_owned());
                let error = Error::StoredAsOrdinary { feature, stream, sequence: 1 };
                assert_eq!(stored, Err(error));
            } else {
                assert_eq!(stored.expect("stored").batch_size, Some(6));
            }
            count_and_end(js, "S");
        });
    });
    assert_eq!(log, [if is_known { "6 stored" } else { "1 stored" }]);
}

/// A program that closes its client has its answer all the same.
#[test]
fn a_client_that_is_closed_leaves_no_batch_without_an_outcome() {
    requires!(server(), 2, 12);
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let batch = nats.jetstream().atomic_batch();
    batch.add("a", "x", &options()).expect("room");
    batch.commit("a", "x", &options(), |log: &mut Log, _, stored| {
        let error = stored.expect_err("it is closed");
        log.push(format!("{} {error}", error.is_closed()));
    });
    nats.close();
    let log = finish(&event_loop);
    assert_eq!(log.len(), 1, "{log:?}");
}
