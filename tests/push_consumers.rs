//! Push consumers on a real server.

mod support;

use evnats::jetstream::{
    AckPolicy, ConsumeEnd, ConsumeEvent, ConsumerConfig, ConsumerError, Error, PushOptions,
};
use evnats::{Client, EventLoop};
use evnats_harness::Server;
use std::time::Duration;
use support::filled::{fill, note_state, numbers, with_filled};
use support::{Log, fail, run_with, server, turn_until, unique, with_stream_on};

const SECOND: Duration = Duration::from_secs(1);

/// A consumer that sends to a subject of its own.
fn config() -> ConsumerConfig {
    ConsumerConfig::new("pushed").durable_name("pushed").deliver_subject(unique("to"))
}

#[test]
fn messages_come_in_order_and_are_acknowledged() {
    let log = with_filled(1_000, config(), |_, consumer| {
        let options = PushOptions::new().stop_after(1_000);
        let consumption = consumer.subscribe(options, |log: &mut Log, _, message| {
            log.push(message.text().into_owned());
            Ok(message.ack()?)
        });
        consumption.on_end(move |_, _, end| {
            assert_eq!(end, ConsumeEnd::Complete);
            note_state(&consumer);
        });
    });
    let mut expected = numbers(0..1_000);
    expected.push("0 unanswered, 0 pending".into());
    assert_eq!(log, expected);
}

/// What comes meanwhile is kept, and with flow control the server waits.
#[test]
fn a_pause_slows_the_server_down_and_nothing_is_lost() {
    let flowing =
        config().ack_policy(AckPolicy::None).idle_heartbeat(SECOND / 2).flow_control(true);
    let log = with_filled(20_000, flowing, |_, consumer| {
        let options = PushOptions::new().stop_after(20_000);
        let consumption = consumer.subscribe(options, |log: &mut Log, messages, message| {
            log.push(message.text().into_owned());
            if log.len() == 100 {
                messages.pause();
                messages.set_timer(SECOND * 2, |log: &mut Log, messages| {
                    assert_eq!(log.len(), 100, "nothing has come");
                    messages.resume();
                });
            }
        });
        consumption.on_event(|_, _, event| fail(event));
        consumption.on_end(|_, messages, _| {
            messages.client().close();
        });
    });
    support::assert_same(&log, &numbers(0..20_000));
}

#[test]
fn the_members_of_a_group_share_the_messages() {
    let event_loop = EventLoop::<Log>::new().expect("a loop");
    let clients: Vec<Client<Log>> =
        (0..2).map(|_| event_loop.connect(server().url().as_str()).expect("a client")).collect();
    let other = clients[1].clone();
    with_stream_on(
        &clients[0],
        |config| config,
        move |_, js, name| {
            let grouped = config().deliver_group("workers").idle_heartbeat(SECOND);
            fill(js, name, 0, grouped, move |_, first| {
                let second = other.jetstream().stream(first.stream().name()).consumer("pushed");
                for (member, consumer) in [(1, &first), (2, &second)] {
                    let consumption =
                        consumer.subscribe(PushOptions::new(), move |log: &mut Log, _, message| {
                            log.push(format!("{member} {}", message.text()));
                            Ok(message.ack()?)
                        });
                    consumption.on_event(|_, _, event| fail(event));
                }
                first.clone().set_timer(SECOND / 2, move |_, first| {
                    let subject = format!("{}.n", first.stream().name());
                    for number in 0..200 {
                        first.client().publish(&subject, number.to_string()).expect("room");
                    }
                });
            });
        },
    );
    let mut log = Log::new();
    turn_until(&event_loop, &mut log, "all messages", |log| log.len() == 200);
    let member = |line: &String| line.split_once(' ').expect("a member").0.to_owned();
    let first = log.iter().filter(|line| member(line) == "1").count();
    assert!((20..=180).contains(&first), "{first} of 200");
    let mut numbers: Vec<usize> =
        log.iter().map(|line| line.split_once(' ').expect("one").1.parse().expect("one")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_drain_delivers_what_is_on_its_way() {
    let log = with_filled(50, config().ack_policy(AckPolicy::None), |_, consumer| {
        let consumption =
            consumer.subscribe(PushOptions::new(), |log: &mut Log, messages, message| {
                log.push(message.text().into_owned());
                if log.len() == 1 {
                    messages.drain();
                }
            });
        consumption.on_end(|log, messages, end| {
            log.push(format!("{end:?}"));
            messages.client().close();
        });
    });
    let (end, came) = log.split_last().expect("an end");
    assert_eq!(end, "Drained");
    assert_eq!(came, numbers(0..came.len()));
}

#[test]
fn what_cannot_be_subscribed_to_is_told() {
    let log = with_filled(0, ConsumerConfig::new("pulled"), |_, consumer| {
        let consumption =
            consumer.subscribe(PushOptions::new(), |_: &mut Log, _, _| fail("a message"));
        let nobody = consumer.stream().consumer("nobody");
        consumption.on_end(move |log, _, end| {
            assert_eq!(end, ConsumeEnd::Failed(ConsumerError::PullBased.into()));
            log.push("a pull consumer".into());
            let consumption =
                nobody.subscribe(PushOptions::new(), |_: &mut Log, _, _| fail("a message"));
            consumption.on_end(|log, messages, end| {
                let error = end.failure().expect("an error").clone();
                assert!(matches!(error, Error::Consumer(ConsumerError::NotFound(_))), "{error}");
                log.push("nobody".into());
                messages.client().close();
            });
        });
    });
    assert_eq!(log, ["a pull consumer", "nobody"]);
}

#[test]
fn a_deleted_push_consumer_ends_its_consumption() {
    let heartbeat = SECOND / 4;
    let log = with_filled(0, config().idle_heartbeat(heartbeat), |_, consumer| {
        let consumption =
            consumer.subscribe(PushOptions::new(), |_: &mut Log, _, _| fail("a message"));
        consumption.on_end(|log, messages, end| {
            let error = end.failure().expect("an error").clone();
            assert!(matches!(error, Error::Consumer(_)), "{error}");
            log.push("deleted".into());
            messages.client().drain();
        });
        consumer.clone().set_timer(SECOND / 2, move |_, consumer| {
            consumer.delete(|_, _, deleted| deleted.expect("it is there"));
        });
    });
    assert_eq!(log, ["deleted"]);
}

#[test]
fn it_goes_on_when_the_server_has_been_restarted() {
    let mut server = Server::start();
    let event_loop = EventLoop::<Log>::new().expect("a loop");
    let nats = event_loop.connect(server.url().as_str()).expect("a client");
    nats.on_error(|_, _, _| ());
    with_stream_on(
        &nats,
        |config| config,
        |_, js, name| {
            fill(js, name, 10, config().idle_heartbeat(SECOND), |_, consumer| {
                let consumption =
                    consumer.subscribe(PushOptions::new(), |log: &mut Log, _, message| {
                        log.push(message.text().into_owned());
                        Ok(message.ack()?)
                    });
                consumption.on_end(|_, _, end| fail(format!("{end:?}")));
                consumer.client().clone().on_reconnect(move |_, nats, _| {
                    let subject = format!("{}.n", consumer.stream().name());
                    for number in 10..20 {
                        nats.publish(&subject, number.to_string()).expect("room");
                    }
                });
            });
        },
    );
    let mut log = Log::new();
    turn_until(&event_loop, &mut log, "ten messages", |log| log.len() == 10);
    // so that the server knows of the acknowledgements before it ends
    support::flush(&event_loop, &mut log, &nats);
    server.restart();
    turn_until(&event_loop, &mut log, "ten more", |log| log.iter().any(|text| text == "19"));
    log.sort_by_key(|text| text.parse::<usize>().expect("a number"));
    log.dedup();
    assert_eq!(log, numbers(0..20));
}

#[test]
fn a_frozen_server_is_reported() {
    let server = Server::start();
    let options = evnats::Options::new(server.url()).request_timeout(SECOND / 4);
    let pid = std::rc::Rc::new(server);
    let frozen = pid.clone();
    let log: Log = run_with(options, move |nats: &Client<Log>| {
        with_stream_on(
            nats,
            |config| config,
            move |_, js, name| {
                fill(js, name, 0, config().idle_heartbeat(SECOND / 4), move |_, consumer| {
                    let consumption = consumer
                        .subscribe(PushOptions::new(), |_: &mut Log, _, _| fail("a message"));
                    let running = frozen.clone();
                    consumption.on_event(move |log, messages, event| {
                        assert!(matches!(event, ConsumeEvent::Silent(_)), "{event:?}");
                        running.resume();
                        log.push("silent".into());
                        messages.client().close();
                    });
                    consumer.set_timer(SECOND / 2, move |_, _| frozen.pause());
                });
            },
        );
    });
    assert_eq!(log, ["silent"]);
}
