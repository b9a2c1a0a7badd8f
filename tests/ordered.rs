//! Ordered consumers on a real server: each message once and in order, whatever happens to the consumer,
//! the connection and the server, and one consumer at the server at a time.

mod support;

use evnats::jetstream::{
    ConsumeEnd, ConsumeEvent, ConsumeOptions, ConsumerConfig, DeliverPolicy, Error, FetchEnd,
    FetchOptions, JetStream, OrderedConsumer, OrderedError, OrderedOptionError, OrderedOptions,
    ResetCause, StreamConfig,
};
use evnats::{Client, EventLoop};
use evnats_harness::{FaultProxy, Server};
use std::time::Duration;
use support::{assert_same, fail, finish_with, flush, server, turn_until, unique, url_for};

const SECOND: Duration = Duration::from_secs(1);

/// What a test saw.
#[derive(Default)]
struct Seen {
    sequences: Vec<u64>,
    texts: Vec<String>,
    resets: Vec<ResetCause>,
    ends: Vec<ConsumeEnd>,
    fetched: Vec<Result<FetchEnd, Error>>,
    names: Option<Vec<String>>,
    done: usize,
}

/// A client, its loop and a stream of its own for the subjects under its name.
struct Bench {
    event_loop: EventLoop<Seen>,
    seen: Seen,
    nats: Client<Seen>,
    stream: String,
}

impl Bench {
    fn new() -> Self {
        Self::on(server(), |config| config)
    }

    fn on(server: &Server, adjust: impl FnOnce(StreamConfig) -> StreamConfig) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let nats = event_loop.connect(server.url().as_str()).expect("a client");
        let stream = unique("ORDERED");
        let config = StreamConfig::new(&stream).subjects([format!("{stream}.>")]);
        let mut bench = Self { event_loop, seen: Seen::default(), nats, stream };
        bench.do_it("a stream", |js, done| {
            js.create_stream(&adjust(config), move |seen, _, made| {
                made.expect("a stream");
                done(seen);
            });
        });
        bench
    }

    fn js(&self) -> JetStream<Seen> {
        self.nats.jetstream()
    }

    fn ordered(&self, options: OrderedOptions) -> OrderedConsumer<Seen> {
        self.js().stream(&self.stream).ordered_consumer(options)
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl FnMut(&mut Seen) -> bool) {
        turn_until(&self.event_loop, &mut self.seen, what, is_so);
    }

    /// Has something done, and waits for it.
    #[track_caller]
    fn do_it(&mut self, what: &str, it: impl FnOnce(&JetStream<Seen>, fn(&mut Seen))) {
        it(&self.js(), |seen| seen.done += 1);
        self.until(what, |seen| seen.done > 0);
        self.seen.done = 0;
    }

    /// Publishes so many messages, `0`, `1`, and so on, to subjects that end in `a` and `b` in turn.
    fn publish(&mut self, count: usize) {
        for number in 0..count {
            let token = if number % 2 == 0 { "a" } else { "b" };
            let subject = format!("{}.{token}", self.stream);
            while self.nats.publish(&subject, number.to_string()).is_err() {
                flush(&self.event_loop, &mut self.seen, &self.nats);
            }
        }
        flush(&self.event_loop, &mut self.seen, &self.nats);
    }

    /// The names of the consumers that the server has.
    #[track_caller]
    fn consumers(&mut self) -> Vec<String> {
        self.seen.names = None;
        self.js().consumer_names(&self.stream, |seen: &mut Seen, _, names| {
            seen.names = Some(names.expect("the names"));
        });
        self.until("the names", |seen| seen.names.is_some());
        self.seen.names.take().expect("the names")
    }

    /// Waits until the server has no consumer.
    #[track_caller]
    fn until_no_consumer(&mut self) {
        for _ in 0..1_000 {
            if self.consumers().is_empty() {
                return;
            }
        }
        panic!("there still is {:?}", self.consumers());
    }

    /// Reads without end, and notes it.
    fn consume(&self, ordered: &OrderedConsumer<Seen>, options: ConsumeOptions) {
        let reading = ordered.consume(options, |seen: &mut Seen, _, message| {
            seen.texts.push(message.text().into_owned());
            seen.sequences.push(message.info()?.stream_sequence);
            Ok(())
        });
        reading.on_event(|seen, _, event| {
            if let ConsumeEvent::Reset { cause } = event {
                seen.resets.push(cause.clone());
            }
        });
        reading.on_end(|seen, _, end| seen.ends.push(end));
    }

    #[track_caller]
    fn end_of_read(&mut self) -> ConsumeEnd {
        self.until("the end", |seen| !seen.ends.is_empty());
        self.seen.ends.remove(0)
    }

    fn close(mut self) {
        self.nats.close();
        finish_with(&self.event_loop, &mut self.seen);
    }
}

fn quick() -> ConsumeOptions {
    ConsumeOptions::new().max_messages(100).expires(SECOND).heartbeat(SECOND / 2)
}

/// What is done to the consumer that is being read.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Delete,
    CutTheConnection,
    SetBack,
    StopTheServer,
    RestartTheServer,
}

/// Reads so many messages through twenty resets.
fn read_through_twenty_resets(messages: usize) {
    let mut server = Server::start();
    let has_reset = server.version().minor >= 14;
    let proxy = FaultProxy::start(server.port(), |_| Vec::new());
    let mut bench = Bench::on(&server, |config| config);
    let reader = bench.event_loop.connect(proxy.url().as_str()).expect("a client");
    let ordered = reader.jetstream().stream(&bench.stream).ordered_consumer(OrderedOptions::new());
    bench.consume(&ordered, quick());

    use Trouble::*;
    let troubles = [Delete, CutTheConnection, SetBack, StopTheServer, RestartTheServer];
    let batch = messages / 20;
    for (number, trouble) in troubles.into_iter().cycle().take(20).enumerate() {
        bench.publish(batch);
        let half = number * batch + batch / 2;
        bench.until("half of it", |seen| seen.sequences.len() >= half);
        let names = bench.consumers();
        assert_eq!(names.len(), 1, "before {trouble:?}: {names:?}");
        let (stream, js) = (bench.stream.clone(), bench.js());
        let before = bench.seen.resets.len();
        match trouble {
            SetBack if has_reset => {
                let last = bench.seen.sequences.last().copied();
                js.reset_consumer(&stream, &names[0], last, |_, _, reset| {
                    reset.expect("a reset");
                });
            }
            Delete | SetBack => js.delete_consumer(&stream, &names[0], |_, _, deleted| {
                deleted.expect("deleted");
            }),
            CutTheConnection => proxy.reset_all(),
            StopTheServer => server.pause(),
            RestartTheServer => server.restart(),
        }
        bench.until(&format!("{number}: {trouble:?}"), |seen| seen.resets.len() > before);
        let cause = &bench.seen.resets[before];
        match trouble {
            SetBack if has_reset => assert_eq!(*cause, ResetCause::ConsumerReset),
            // the deletion may be heard of, or a request after it; one just before it has no answer
            Delete | SetBack => assert!(
                matches!(
                    cause,
                    ResetCause::ConsumerDeleted
                        | ResetCause::NoResponders
                        | ResetCause::MissedHeartbeats
                ),
                "{cause:?}"
            ),
            CutTheConnection => assert_eq!(*cause, ResetCause::Reconnected),
            StopTheServer => assert_eq!(*cause, ResetCause::MissedHeartbeats),
            // a server that is being stopped may say so
            RestartTheServer => {}
        }
        if let StopTheServer = trouble {
            server.resume();
        }
        assert!(bench.consumers().len() <= 1, "after {trouble:?}");
        let all = (number + 1) * batch;
        bench.until("all of it", |seen| seen.sequences.len() >= all);
        let names = bench.consumers();
        assert_eq!(names.len(), 1, "long after {trouble:?}: {names:?}");
    }
    let expected: Vec<u64> = (1..=20 * batch as u64).collect();
    assert_same(&bench.seen.sequences, &expected);
    assert!(bench.seen.resets.len() >= 20, "{:?}", bench.seen.resets);
    assert!(bench.seen.ends.is_empty());
    reader.close();
    bench.close();
}

#[test]
fn each_message_comes_once_and_in_order_through_twenty_resets() {
    read_through_twenty_resets(50_000);
}

#[test]
#[ignore = "takes half a minute"]
fn each_of_500_000_messages_comes_once_and_in_order_through_twenty_resets() {
    read_through_twenty_resets(500_000);
}

#[test]
fn one_read_goes_on_where_the_one_before_has_ended_and_they_share_a_consumer() {
    let mut bench = Bench::new();
    bench.publish(20);
    let ordered = bench.ordered(OrderedOptions::new().name_prefix("reader"));
    ordered.fetch(
        FetchOptions::messages(3),
        |seen: &mut Seen, _, message| seen.texts.push(message.text().into_owned()),
        |seen, _, end| seen.fetched.push(end),
    );
    bench.until("a fetch", |seen| !seen.fetched.is_empty());
    assert_eq!(bench.seen.fetched, [Ok(FetchEnd::Complete)]);
    assert_eq!(bench.consumers(), ["reader_1"]);
    // the next one is asked for before the end of the one before is told
    ordered.next(FetchOptions::new(), |seen: &mut Seen, ordered, message| {
        let message = message.expect("no error").expect("a message");
        seen.texts.push(message.text().into_owned());
        ordered.next(FetchOptions::new(), |seen: &mut Seen, _, message| {
            let message = message.expect("no error").expect("a message");
            seen.texts.push(message.text().into_owned());
            seen.done = 1;
        });
    });
    bench.until("two more", |seen| seen.done == 1);
    assert_eq!(bench.consumers(), ["reader_1"]);
    bench.consume(&ordered, quick().stop_after(15));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
    assert_eq!(bench.consumers(), [""; 0], "it was deleted before the end was told");
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(bench.seen.texts, expected);
    assert_eq!(bench.seen.resets, []);
    bench.close();
}

#[test]
fn the_consumer_of_fetches_is_deleted_with_the_last_handle() {
    let mut bench = Bench::new();
    let ordered = bench.ordered(OrderedOptions::new());
    ordered.fetch(
        FetchOptions::messages(3).no_wait(true),
        |_, _, _| {},
        |seen: &mut Seen, _, end| seen.fetched.push(end),
    );
    bench.until("a fetch", |seen| !seen.fetched.is_empty());
    assert_eq!(bench.seen.fetched, [Ok(FetchEnd::NoMoreMessages)]);
    let clone = ordered.clone();
    drop(ordered);
    assert_eq!(bench.consumers().len(), 1);
    drop(clone);
    bench.until_no_consumer();
    bench.close();
}

#[test]
fn a_handle_may_outlive_its_client_and_its_loop() {
    let mut bench = Bench::new();
    bench.publish(1);
    let ordered = bench.ordered(OrderedOptions::new());
    ordered.next(FetchOptions::new(), |seen: &mut Seen, _, message| {
        message.expect("no error").expect("a message");
        seen.done = 1;
    });
    bench.until("a message", |seen| seen.done == 1);
    let reading = ordered.clone();
    bench.nats.close();
    bench.consume(&reading, quick());
    let end = bench.end_of_read();
    assert!(end.failure().is_some_and(Error::is_closed), "{end:?}");
    bench.close();
    drop((ordered, reading));
}

#[test]
fn what_a_stop_leaves_untaken_comes_again() {
    let mut bench = Bench::new();
    bench.publish(50);
    let ordered = bench.ordered(OrderedOptions::new());
    for round in 0..2 {
        let messages = ordered.messages(ConsumeOptions::new().max_messages(20));
        for _ in 0..5 {
            messages.next(move |seen: &mut Seen, messages, message| {
                let message = message.expect("no error").expect("a message");
                seen.texts.push(message.text().into_owned());
                if seen.texts.len().is_multiple_of(5) {
                    messages.stop();
                }
            });
        }
        messages.on_end(|seen, _, end| seen.ends.push(end));
        bench.until("five", |seen| seen.texts.len() == 5 * (round + 1));
        assert_eq!(bench.end_of_read(), ConsumeEnd::Stopped);
    }
    bench.consume(&ordered, quick().stop_after(40));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(bench.seen.texts, expected);
    bench.close();
}

#[test]
fn a_second_read_at_the_same_time_is_refused_and_leaves_the_first_one_alone() {
    let mut bench = Bench::new();
    bench.publish(1);
    let ordered = bench.ordered(OrderedOptions::new());
    bench.consume(&ordered, quick());
    bench.consume(&ordered, quick());
    let busy = ConsumeEnd::Failed(OrderedError::Busy.into());
    assert_eq!(bench.end_of_read(), busy);
    bench.until("a message", |seen| seen.texts.len() == 1);
    ordered.next(FetchOptions::new(), |seen: &mut Seen, _, message| {
        assert_eq!(message.expect_err("busy"), OrderedError::Busy.into());
        seen.done = 1;
    });
    bench.until("a refusal", |seen| seen.done == 1);
    bench.publish(1);
    bench.until("another message", |seen| seen.texts.len() == 2);
    bench.close();
}

#[test]
fn what_is_wrong_with_the_options_is_told_before_anything_is_sent() {
    let mut bench = Bench::new();
    let ordered = bench.ordered(OrderedOptions::new().name_prefix("a b"));
    bench.consume(&ordered, quick());
    let end = bench.end_of_read();
    assert!(
        matches!(
            end,
            ConsumeEnd::Failed(Error::InvalidOrdered(OrderedOptionError::NamePrefix { .. }))
        ),
        "{end:?}"
    );
    let ordered = bench.ordered(OrderedOptions::new());
    bench.consume(&ordered, quick().group("g"));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Failed(OrderedOptionError::Group.into()));
    // and the consumer can be read all the same
    bench.publish(1);
    bench.consume(&ordered, quick().stop_after(1));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
    let ordered = bench.js().stream("a b").ordered_consumer(OrderedOptions::new());
    bench.consume(&ordered, quick());
    let end = bench.end_of_read();
    assert!(matches!(end, ConsumeEnd::Failed(Error::InvalidName { .. })), "{end:?}");
    bench.close();
}

#[test]
fn a_stream_that_is_gone_or_was_created_again_ends_it() {
    for is_created_again in [false, true] {
        let mut bench = Bench::new();
        bench.publish(3);
        let ordered = bench.ordered(OrderedOptions::new());
        bench.consume(&ordered, quick());
        bench.until("three", |seen| seen.texts.len() == 3);
        let config = StreamConfig::new(&bench.stream).subjects([format!("{}.>", bench.stream)]);
        bench.js().delete_stream(&bench.stream, move |seen: &mut Seen, js, deleted| {
            deleted.expect("deleted");
            if is_created_again {
                js.create_stream(&config, |seen: &mut Seen, _, made| {
                    made.expect("another one");
                    seen.done = 1;
                });
            } else {
                seen.done = 1;
            }
        });
        let end = bench.end_of_read();
        bench.until("the answers", |seen| seen.done == 1);
        let ConsumeEnd::Failed(Error::Ordered(error)) = end else { panic!("{end:?}") };
        // the question may be answered before the other one is there
        match error {
            OrderedError::StreamRecreated => assert!(is_created_again),
            OrderedError::StreamNotFound(_) => {}
            error => panic!("{error}"),
        }
        bench.close();
    }
}

#[test]
fn a_stream_that_was_created_again_during_an_outage_ends_it() {
    let mut bench = Bench::new();
    bench.publish(3);
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let reader = bench.event_loop.connect(proxy.url().as_str()).expect("a client");
    let ordered = reader.jetstream().stream(&bench.stream).ordered_consumer(OrderedOptions::new());
    bench.consume(&ordered, quick());
    bench.until("three", |seen| seen.texts.len() == 3);
    proxy.refuse(true);
    proxy.reset_all();
    let config = StreamConfig::new(&bench.stream).subjects([format!("{}.>", bench.stream)]);
    let stream = bench.stream.clone();
    bench.do_it("another stream", |js, done| {
        js.delete_stream(&stream, move |_, js, deleted| {
            deleted.expect("deleted");
            js.create_stream(&config, move |seen, _, made| {
                made.expect("another one");
                done(seen);
            });
        });
    });
    proxy.refuse(false);
    assert_eq!(bench.end_of_read(), ConsumeEnd::Failed(OrderedError::StreamRecreated.into()));
    bench.until_no_consumer();
    reader.close();
    bench.close();
}

#[test]
fn it_reads_what_it_is_to_read() {
    let mut bench = Bench::new();
    bench.publish(6);
    let subject = |token| format!("{}.{token}", bench.stream);
    let (a, b) = (subject("a"), subject("b"));
    for (options, expected) in [
        (OrderedOptions::new().filter_subjects([a.clone()]), vec!["0", "2", "4"]),
        (OrderedOptions::new().deliver_policy(DeliverPolicy::LastPerSubject), vec!["4", "5"]),
        (OrderedOptions::new().deliver_policy(DeliverPolicy::Last), vec!["5"]),
        (OrderedOptions::new().deliver_policy(DeliverPolicy::ByStartSequence(5)), vec!["4", "5"]),
        (OrderedOptions::new().headers_only(true).filter_subjects([b.clone()]), vec![""; 3]),
    ] {
        bench.seen.texts.clear();
        let ordered = bench.ordered(options);
        bench.consume(&ordered, quick().stop_after(expected.len() as u64));
        assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
        assert_eq!(bench.seen.texts, expected);
    }
    bench.close();
}

#[test]
fn several_filters_and_metadata_are_read_or_refused_as_the_server_is() {
    let mut bench = Bench::new();
    bench.publish(4);
    let filters = ["a", "b"].map(|token| format!("{}.{token}", bench.stream));
    let is_old = server().version().minor == 9;
    for policy in [DeliverPolicy::All, DeliverPolicy::LastPerSubject] {
        let options = OrderedOptions::new().filter_subjects(filters.clone());
        let ordered = bench.ordered(options.deliver_policy(policy));
        bench.consume(&ordered, quick().stop_after(2));
        let end = bench.end_of_read();
        match is_old {
            true => {
                let error = OrderedError::FiltersUnsupported;
                assert_eq!(end, ConsumeEnd::Failed(error.into()));
            }
            false => assert_eq!(end, ConsumeEnd::Complete),
        }
    }
    let ordered = bench.ordered(OrderedOptions::new().metadata("team", "orders"));
    bench.consume(&ordered, quick().stop_after(1));
    let end = bench.end_of_read();
    match is_old {
        true => {
            let members = vec!["metadata".to_owned()];
            assert_eq!(end, ConsumeEnd::Failed(Error::MadeDifferently { members }));
        }
        false => assert_eq!(end, ConsumeEnd::Complete),
    }
    bench.until_no_consumer();
    bench.close();
}

/// The server would have deleted it after a second, and would not after two requests a second.
#[test]
fn the_consumer_of_a_program_that_pauses_is_kept() {
    let mut bench = Bench::new();
    let ordered = bench.ordered(OrderedOptions::new().inactive_threshold(SECOND));
    bench.publish(1);
    let reading = ordered.consume(quick(), |seen: &mut Seen, reading, message| {
        seen.texts.push(message.text().into_owned());
        if seen.texts.len() == 1 {
            reading.pause();
            reading.set_timer(4 * SECOND, |_: &mut Seen, reading| reading.resume());
        }
    });
    reading.on_event(|seen, _, event| {
        if let ConsumeEvent::Reset { cause } = event {
            seen.resets.push(cause.clone());
        }
    });
    bench.until("a message", |seen| seen.texts.len() == 1);
    bench.publish(2);
    bench.until("two more", |seen| seen.texts.len() == 3);
    assert_eq!(bench.seen.resets, []);
    bench.close();
}

#[test]
fn it_waits_for_the_first_connection() {
    let mut bench = Bench::new();
    bench.publish(2);
    let nats = bench.event_loop.connect(server().url().as_str()).expect("a client");
    let ordered = nats.jetstream().stream(&bench.stream).ordered_consumer(OrderedOptions::new());
    bench.consume(&ordered, quick().stop_after(2));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
    assert_eq!(bench.seen.resets, []);
    nats.close();
    bench.close();
}

/// The rows of the table in the docs: to make consumers and to ask them for messages is needed.
#[test]
fn it_needs_the_rights_that_the_table_says_and_no_others() {
    let create = r#""$JS.API.CONSUMER.CREATE.EVENTS.>""#;
    let next = r#""$JS.API.CONSUMER.MSG.NEXT.EVENTS.*""#;
    let user = |name, publish: &[&str]| {
        let publish = publish.join(", ");
        format!(
            "{{ user: {name}, password: p, permissions: {{ publish: {{ allow: [{publish}] }}, \
             subscribe: {{ allow: [\"_INBOX.*.*\"] }} }} }}"
        )
    };
    let users = ["{ user: admin, password: p }".to_owned(), user("exact", &[create, next])];
    let users = [&users[..], &[user("less", &[next])]].concat().join(", ");
    let config = format!("authorization {{ users: [ {users} ] }}");
    let server = Server::builder().config(config).start().expect("a server");
    let event_loop = EventLoop::<Seen>::new().expect("an event loop");
    let client = |user| event_loop.connect(url_for(&server, user)).expect("a client");
    let mut seen = Seen::default();
    let admin = client("admin");
    let config = StreamConfig::new("EVENTS").subjects(["events"]);
    admin.jetstream().create_stream(&config, |_, js, made| {
        made.expect("a stream");
        js.publish("events", "1", |seen: &mut Seen, _, stored| {
            stored.expect("stored");
            seen.done = 1;
        });
    });
    turn_until(&event_loop, &mut seen, "a message", |seen| seen.done == 1);
    for (user, is_permitted) in [("exact", true), ("less", false)] {
        let nats = client(user);
        nats.on_error(|_, _, error| fail(error));
        let ordered = nats.jetstream().stream("EVENTS").ordered_consumer(OrderedOptions::new());
        let options = ConsumeOptions::new().stop_after(1);
        let reading = ordered.consume(options, |seen: &mut Seen, _, message| {
            seen.texts.push(message.text().into_owned());
        });
        reading.on_end(|seen, _, end| seen.ends.push(end));
        turn_until(&event_loop, &mut seen, "the end", |seen| !seen.ends.is_empty());
        let end = seen.ends.remove(0);
        match is_permitted {
            true => assert_eq!(end, ConsumeEnd::Complete),
            false => assert!(end.failure().is_some_and(Error::is_denied), "{end:?}"),
        }
        nats.close();
    }
    assert_eq!(seen.texts, ["1"]);
    admin.close();
    finish_with(&event_loop, &mut seen);
}

#[test]
fn other_consumers_of_the_stream_are_left_alone() {
    let mut bench = Bench::new();
    let stream = bench.stream.clone();
    bench.do_it("a consumer", |js, done| {
        let config = ConsumerConfig::new("other").durable_name("other");
        js.create_consumer(&stream, &config, move |seen, _, made| {
            made.expect("a consumer");
            done(seen);
        });
    });
    bench.publish(2);
    let ordered = bench.ordered(OrderedOptions::new());
    bench.consume(&ordered, quick().stop_after(2));
    assert_eq!(bench.end_of_read(), ConsumeEnd::Complete);
    assert_eq!(bench.consumers(), ["other"]);
    bench.close();
}
