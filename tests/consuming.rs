//! Pull consumers on a real server: consuming, messages on demand, fetches, and answers.

mod support;

use evnats::EventLoop;
use evnats::jetstream::{
    AckPolicy, ConsumeEnd, ConsumeEvent, ConsumeOptions, Consumer, ConsumerConfig, ConsumerError,
    Consumption, Delivery, Error, FetchEnd, FetchError, FetchOptions, Messages, NextError,
};
use evnats_harness::{Server, requires};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};
use support::filled::{fill, note_state, numbers, with_filled};
use support::{Log, fail, run_with, server, unique, with_stream_on};

const SECOND: Duration = Duration::from_secs(1);

/// A stream with so many messages, and a consumer of it.
fn with_consumer(
    messages: usize,
    adjust: impl FnOnce(ConsumerConfig) -> ConsumerConfig,
    go_on: impl FnOnce(&mut Log, Consumer<Log>) + 'static,
) -> Log {
    with_filled(messages, adjust(ConsumerConfig::new("worker")), go_on)
}

fn text(delivery: &Delivery<'_, Log>) -> String {
    delivery.text().into_owned()
}

#[test]
fn every_message_is_consumed_in_order_and_acknowledged() {
    let log = with_consumer(
        2_500,
        |config| config,
        |_, consumer| {
            let consumption =
                consumer.consume(ConsumeOptions::new(), |log: &mut Log, orders, order| {
                    log.push(text(order));
                    order.ack()?;
                    if log.len() == 2_500 {
                        orders.stop();
                    }
                    Ok(())
                });
            consumption.on_end(move |log, _, end| {
                log.push(format!("{end:?}"));
                note_state(&consumer);
            });
        },
    );
    let mut expected = numbers(0..2_500);
    expected.extend(["Stopped".into(), "0 unanswered, 0 pending".into()]);
    assert_eq!(log, expected);
}

#[test]
fn it_stops_after_as_many_messages_as_it_was_to_and_asks_for_no_more() {
    let log = with_consumer(
        100,
        |config| config,
        |_, consumer| {
            let options = ConsumeOptions::new().stop_after(7);
            let consumption = consumer.consume(options, |log: &mut Log, _, order| {
                log.push(text(order));
                Ok(order.ack()?)
            });
            consumption.on_end(move |log, _, end| {
                assert_eq!(end, ConsumeEnd::Complete);
                log.push("complete".into());
                note_state(&consumer);
            });
        },
    );
    let mut expected = numbers(0..7);
    expected.extend(["complete".into(), "0 unanswered, 93 pending".into()]);
    assert_eq!(log, expected);
}

#[test]
fn a_drain_delivers_what_was_asked_for() {
    let log = with_consumer(
        20,
        |config| config,
        |_, consumer| {
            let options = ConsumeOptions::new().max_messages(10).expires(SECOND);
            let consumption = consumer.consume(options, |log: &mut Log, orders, order| {
                log.push(text(order));
                if log.len() == 1 {
                    orders.drain();
                }
                Ok(order.ack()?)
            });
            consumption.on_end(move |log, _, end| {
                log.push(format!("{end:?}"));
                note_state(&consumer);
            });
        },
    );
    let mut expected = numbers(0..10);
    expected.extend(["Drained".into(), "0 unanswered, 10 pending".into()]);
    assert_eq!(log, expected);
}

/// Stops when so many messages wait for an answer, and have come.
fn stop_when_delivered(orders: &Consumption<Log>, consumer: &Consumer<Log>, count: u64) {
    let orders = orders.clone();
    consumer.info(move |_: &mut Log, consumer, info| {
        let info = info.expect("the consumer");
        match (info.num_pending, info.num_ack_pending) == (0, count) {
            true => consumer.client().flush(move |_, _, _| orders.stop()),
            false => stop_when_delivered(&orders, consumer, count),
        }
    });
}

/// What the program has not taken is delivered again at once, and not when `ack_wait` is over.
#[test]
fn what_a_stop_leaves_untaken_is_handed_back() {
    // server 2.9 forgets the first of several that are handed back until `ack_wait` is over, and counts
    // the deliveries of the last one wrongly
    requires!(server(), 2, 10);
    let log = with_consumer(
        10,
        |config| config.ack_wait(600 * SECOND),
        |_, consumer| {
            let asked = consumer.clone();
            let consumption =
                consumer.consume(ConsumeOptions::new(), move |_: &mut Log, orders, order| {
                    orders.pause();
                    stop_when_delivered(orders, &asked, 9);
                    Ok(order.ack()?)
                });
            consumption.on_end(move |_, _, end| {
                assert_eq!(end, ConsumeEnd::Stopped);
                let options = FetchOptions::messages(9);
                consumer.fetch(
                    options,
                    |log: &mut Log, _, order| {
                        log.push(format!("{} {}", order.text(), order.info()?.delivered));
                        Ok(order.ack()?)
                    },
                    |log, consumer, end| {
                        log.push(format!("{end:?}"));
                        note_state(consumer);
                    },
                );
            });
        },
    );
    let mut log = log;
    log[..9].sort();
    let mut expected: Log = (1..10).map(|number| format!("{number} 2")).collect();
    expected.extend(["Ok(Complete)".into(), "0 unanswered, 0 pending".into()]);
    assert_eq!(log, expected);
}

#[test]
fn a_pause_from_the_callback_holds_everything_and_nothing_is_lost() {
    let log = with_consumer(
        1_000,
        |config| config,
        |_, consumer| {
            let options = ConsumeOptions::new().max_messages(100);
            let consumption = consumer.consume(options, |log: &mut Log, orders, order| {
                log.push(text(order));
                order.ack()?;
                if log.len() == 50 {
                    orders.pause();
                    assert!(orders.is_paused());
                    orders.set_timer(Duration::from_millis(300), |log: &mut Log, orders| {
                        assert_eq!(log.len(), 50, "nothing has come");
                        orders.resume();
                    });
                }
                if log.len() == 1_000 {
                    orders.client().close();
                }
                Ok(())
            });
            consumption.on_event(|_, _, event| fail(event));
        },
    );
    assert_eq!(log, numbers(0..1_000));
}

#[test]
fn messages_come_when_they_are_asked_for() {
    fn take(
        log: &mut Log,
        orders: &Messages<Log>,
        next: Result<Option<&Delivery<'_, Log>>, NextError>,
    ) -> evnats::Result {
        match next? {
            Some(order) => {
                log.push(text(order));
                order.ack()?;
                if log.len() == 60 {
                    orders.stop();
                }
                orders.next(take);
            }
            None => {
                log.push("none".into());
                orders.client().close();
            }
        }
        Ok(())
    }
    let log = with_consumer(
        100,
        |config| config,
        |_, consumer| {
            consumer.messages(ConsumeOptions::new().max_messages(10)).next(take);
        },
    );
    let mut expected = numbers(0..60);
    expected.push("none".into());
    assert_eq!(log, expected);
}

/// With a limit of 1 nothing is asked for that nobody has asked for.
#[test]
fn one_by_one_nothing_is_taken_from_others() {
    let log = with_consumer(
        3,
        |config| config,
        |_, consumer| {
            let messages = consumer.messages(ConsumeOptions::new().max_messages(1));
            let again = messages.clone();
            messages.next(move |log: &mut Log, messages, first| {
                let first = first?.expect("a message");
                log.push(text(first));
                first.ack()?;
                messages.set_timer(Duration::from_millis(200), move |_, _| {
                    consumer.info(move |log, _, info| {
                        let info = info.expect("the consumer");
                        log.push(format!(
                            "{} pending, {} waiting",
                            info.num_pending, info.num_waiting
                        ));
                        again.next(|log, messages, second| {
                            log.push(text(second?.expect("a message")));
                            messages.client().close();
                            Ok(())
                        });
                    });
                });
                Ok::<_, evnats::Error>(())
            });
        },
    );
    assert_eq!(log, ["0", "2 pending, 0 waiting", "1"]);
}

#[test]
fn whoever_waits_for_a_message_waits_no_longer_than_he_wants() {
    let log = with_consumer(
        0,
        |config| config,
        |_, consumer| {
            let messages = consumer.messages(ConsumeOptions::new());
            messages.next_within(Duration::from_millis(50), |log: &mut Log, messages, next| {
                assert_eq!(next.unwrap_err(), NextError::TimedOut(Duration::from_millis(50)));
                log.push("nothing".into());
                messages.client().close();
            });
        },
    );
    assert_eq!(log, ["nothing"]);
}

#[test]
fn a_fetch_takes_what_there_is() {
    let log = with_consumer(
        5,
        |config| config,
        |_, consumer| {
            consumer.fetch(
                FetchOptions::messages(10).no_wait(true),
                |log: &mut Log, _, order| {
                    log.push(text(order));
                    Ok(order.ack()?)
                },
                |log, consumer, end| {
                    log.push(format!("{:?}", end.expect("an end")));
                    note_state(consumer);
                },
            );
        },
    );
    let mut expected = numbers(0..5);
    expected.extend(["NoMoreMessages".into(), "0 unanswered, 0 pending".into()]);
    assert_eq!(log, expected);
}

#[test]
fn a_fetch_of_bytes_takes_as_many_as_fit() {
    let log = with_consumer(
        50,
        |config| config,
        |_, consumer| {
            consumer.fetch(
                FetchOptions::bytes(400).expires(SECOND),
                |log: &mut Log, _, order| {
                    log.push(text(order));
                    Ok(order.ack()?)
                },
                |log, consumer, end| {
                    assert_eq!(end, Ok(FetchEnd::Complete));
                    assert!((2..10).contains(&log.len()), "{log:?}");
                    consumer.client().close();
                },
            );
        },
    );
    assert_eq!(log, numbers(0..log.len()));
}

#[test]
fn the_next_message_or_none() {
    let log = with_consumer(
        1,
        |config| config,
        |_, consumer| {
            let options = FetchOptions::new().expires(Duration::from_millis(200));
            consumer.next(options.clone(), move |log: &mut Log, consumer, next| {
                let next = next?.expect("a message");
                log.push(text(next));
                next.ack()?;
                consumer.next(options, |log, consumer, next| {
                    log.push(format!("{:?}", next.map(|message| message.is_some())));
                    consumer.client().close();
                });
                Ok::<_, evnats::Error>(())
            });
        },
    );
    assert_eq!(log, ["0", "Ok(false)"]);
}

#[test]
fn an_acknowledgement_asks_for_the_next_message() {
    fn take(
        log: &mut Log,
        consumer: &Consumer<Log>,
        next: Result<Option<&Delivery<'_, Log>>, Error>,
    ) -> evnats::Result {
        let options = FetchOptions::new().no_wait(true);
        match next? {
            Some(order) => {
                log.push(text(order));
                order.ack_and_next(consumer, options.clone(), take);
                assert_eq!(order.ack(), Err(Error::AlreadyAnswered));
            }
            None => note_state(consumer),
        }
        Ok(())
    }
    let log = with_consumer(
        3,
        |config| config,
        |_, consumer| {
            consumer.next(FetchOptions::new(), take);
        },
    );
    assert_eq!(log, ["0", "1", "2", "0 unanswered, 0 pending"]);
}

#[test]
fn a_deleted_consumer_ends_what_reads_it() {
    let log = with_consumer(
        0,
        |config| config,
        |_, consumer| {
            let consumption =
                consumer.consume(ConsumeOptions::new(), |_: &mut Log, _, _| fail("a message"));
            consumption.on_end(|log, orders, end| {
                let deleted = Error::Consumer(ConsumerError::ConsumerDeleted);
                assert_eq!(end, ConsumeEnd::Failed(deleted));
                log.push("deleted".into());
                orders.client().drain();
            });
            consumer.client().clone().flush(move |_, _, _| {
                consumer.delete(|_, _, deleted| deleted.expect("it is there"));
            });
        },
    );
    assert_eq!(log, ["deleted"]);
}

#[test]
fn an_end_that_nobody_hears_leaves_the_loop() {
    let event_loop = evnats::EventLoop::<Log>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    let consumer = nats.jetstream().stream("KEPT").consumer("a b");
    consumer.consume(ConsumeOptions::new(), |_, _, _| fail("a message"));
    let error = event_loop.run(&mut Log::new()).expect_err("the end");
    assert!(error.to_string().contains("invalid name \"a b\""), "{error}");
}

#[test]
fn options_that_cannot_be_are_told_before_anything_is_sent() {
    let log = with_consumer(
        0,
        |config| config,
        |_, consumer| {
            let options = ConsumeOptions::new().expires(Duration::from_millis(1));
            let consumption = consumer.consume(options, |_: &mut Log, _, _| fail("a message"));
            consumption.on_end(move |log, _, end| {
                let error = end.failure().expect("an error").to_string();
                log.push(error);
                consumer.fetch(
                    FetchOptions::messages(0),
                    |_, _, _| fail("a message"),
                    |log, consumer, end| {
                        log.push(end.expect_err("an error").to_string());
                        consumer.client().close();
                    },
                );
            });
        },
    );
    assert_eq!(
        log,
        [
            "expires of 1ms is too short: set it to a second or more",
            "max_messages of 0 lets nothing through: set it to 1 or more, or leave it out",
        ]
    );
}

#[test]
fn messages_are_acknowledged_by_themselves_unless_their_callback_fails() {
    let event_loop = EventLoop::<Log>::new().expect("a loop");
    let nats = event_loop.connect(server().url().as_str()).expect("a client");
    with_stream_on(
        &nats,
        |config| config,
        |_, js, name| {
            let config = ConsumerConfig::new("worker").ack_wait(600 * SECOND);
            fill(js, name, 6, config, |_, consumer| {
                let options = ConsumeOptions::new().auto_ack(true).nak_on_error(true);
                let consumption = consumer.consume(options, |log: &mut Log, orders, order| {
                    let delivered = order.info()?.delivered;
                    log.push(format!("{} {delivered}", order.text()));
                    if log.len() == 8 {
                        orders.stop();
                    }
                    match (order.text().as_ref(), delivered) {
                        ("2", 1) => Err(evnats::Error::other("a bad one")),
                        ("3", 1) => panic!("a bug in the application"),
                        ("4", _) => Ok(order.terminate()?),
                        _ => Ok(()),
                    }
                });
                consumption.on_end(move |_, _, _| note_state(&consumer));
            });
        },
    );
    let (mut log, mut errors, mut panics) = (Log::new(), 0, 0);
    while !event_loop.is_empty() {
        let turn = || event_loop.dispatch(&mut log, Some(SECOND));
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                assert_eq!(error.to_string(), "a bad one");
                errors += 1;
            }
            Err(_) => panics += 1,
        }
    }
    assert_eq!((errors, panics), (1, 1));
    assert_eq!(log.pop().expect("the state"), "0 unanswered, 0 pending");
    log.sort();
    assert_eq!(log, ["0 1", "1 1", "2 1", "2 2", "3 1", "3 2", "4 1", "5 1"]);
}

#[test]
fn a_confirmed_acknowledgement_is_known_to_the_server() {
    let log = with_consumer(
        1,
        |config| config,
        |_, consumer| {
            consumer.clone().next(FetchOptions::new(), move |_: &mut Log, _, next| {
                let acker = next?.expect("a message").to_acker()?;
                let again = acker.clone();
                acker.ack_confirmed(move |log, _, confirmed| {
                    confirmed.expect("a confirmation");
                    assert!(again.is_answered());
                    assert_eq!(again.nak(), Err(Error::AlreadyAnswered));
                    log.push("confirmed".into());
                    note_state(&consumer);
                });
                Ok::<_, evnats::Error>(())
            });
        },
    );
    assert_eq!(log, ["confirmed", "0 unanswered, 0 pending"]);
}

#[test]
fn the_right_to_answer_can_be_taken_once() {
    let log = with_consumer(
        1,
        |config| config,
        |_, consumer| {
            consumer.next(FetchOptions::new(), |log: &mut Log, consumer, next| {
                let delivery = next?.expect("a message");
                delivery.in_progress()?;
                let acker = delivery.to_acker()?;
                assert_eq!(delivery.ack(), Err(Error::AlreadyAnswered));
                assert_eq!(delivery.to_acker().unwrap_err(), Error::AlreadyAnswered);
                acker.in_progress()?;
                acker.terminate_with("no use")?;
                assert_eq!(acker.ack(), Err(Error::AlreadyAnswered));
                log.push("once".into());
                note_state(consumer);
                Ok::<_, evnats::Error>(())
            });
        },
    );
    assert_eq!(log, ["once", "0 unanswered, 0 pending"]);
}

/// Without the option the server would deliver it again after 500 ms.
#[test]
fn slow_work_is_in_progress_until_it_is_done() {
    let ack_wait = Duration::from_millis(500);
    let log = with_consumer(
        1,
        move |config| config.ack_wait(ack_wait),
        |_, consumer| {
            let options = ConsumeOptions::new().in_progress_every(Duration::from_millis(100));
            let ending = consumer.clone();
            let consumption = consumer.consume(options, |log: &mut Log, orders, order| {
                log.push(format!("{} {}", order.text(), order.info()?.delivered));
                let acker = order.to_acker()?;
                let orders = orders.clone();
                orders.clone().set_timer(Duration::from_millis(1_500), move |_, _| {
                    acker.ack()?;
                    orders.stop();
                    Ok::<_, evnats::Error>(())
                });
                Ok(())
            });
            consumption.on_end(move |_, _, _| note_state(&ending));
        },
    );
    assert_eq!(log, ["0 1", "0 unanswered, 0 pending"]);
}

#[test]
fn an_acknowledgement_of_all_is_for_those_before_it_too() {
    let log = with_consumer(
        10,
        |config| config.ack_policy(AckPolicy::All),
        |_, consumer| {
            consumer.fetch(
                FetchOptions::messages(10),
                |_: &mut Log, _, order| match order.text().as_ref() {
                    "9" => Ok(order.ack()?),
                    _ => Ok(()),
                },
                |_, consumer, _| note_state(consumer),
            );
        },
    );
    assert_eq!(log, ["0 unanswered, 0 pending"]);
}

#[test]
fn a_consumer_that_wants_no_answers_waits_for_none() {
    let log = with_consumer(
        2,
        |config| config.ack_policy(AckPolicy::None),
        |_, consumer| {
            consumer.fetch(
                FetchOptions::messages(2),
                |log: &mut Log, _, order| {
                    log.push(text(order));
                    Ok(())
                },
                |_, consumer, _| note_state(consumer),
            );
        },
    );
    assert_eq!(log, ["0", "1", "0 unanswered, 0 pending"]);
}

/// The consumer is paused on the server: there are heartbeats, so nothing is silent, and it goes on.
#[test]
fn a_consumer_that_is_paused_on_the_server_is_waited_for() {
    requires!(server(), 2, 11);
    let log = with_consumer(
        3,
        |config| config,
        |_, consumer| {
            let until = SystemTime::now() + 2 * SECOND;
            consumer.pause(until, |_: &mut Log, consumer, paused| {
                paused.expect("a pause");
                let options = ConsumeOptions::new().expires(2 * SECOND).stop_after(3);
                let consumption = consumer.consume(options, |log: &mut Log, _, order| {
                    log.push(text(order));
                    Ok(order.ack()?)
                });
                consumption.on_event(|log, _, event| log.push(format!("{event:?}")));
                consumption.on_end(|_, orders, _| {
                    orders.client().close();
                });
            });
        },
    );
    assert_eq!(log, numbers(0..3));
}

#[test]
fn a_limit_of_the_consumer_is_learned() {
    let log = with_consumer(
        20,
        |config| config.max_batch(4),
        |_, consumer| {
            let options = ConsumeOptions::new().stop_after(20);
            let consumption = consumer.consume(options, |log: &mut Log, _, order| {
                log.push(text(order));
                Ok(order.ack()?)
            });
            consumption.on_event(|log, _, event| {
                assert!(matches!(event, ConsumeEvent::Limited(_)), "{event:?}");
                log.push(event.to_string());
            });
            consumption.on_end(|_, orders, _| {
                orders.client().close();
            });
        },
    );
    let mut expected = vec!["less is asked for from now on: max_batch is 4".to_owned()];
    expected.extend(numbers(0..20));
    assert_eq!(log, expected);
}

/// Servers from 2.14 on can be told to name domain and account in the subject for answers.
#[test]
fn what_jetstream_says_of_a_delivery_is_read_in_its_longer_form_too() {
    requires!(server(), 2, 14);
    let config = "feature_flags { js_ack_fc_v2: true }\njetstream { domain: hub }";
    let server = Server::builder().config(config).start().expect("a server");
    let log: Log = run_with(server.url().as_str(), |nats| {
        with_stream_on(
            nats,
            |config| config,
            |_, js, name| {
                fill(js, name, 2, ConsumerConfig::new("worker"), |_, consumer| {
                    consumer.fetch(
                        FetchOptions::messages(2),
                        |log: &mut Log, consumer, message| {
                            let reply =
                                message.reply().expect("a subject for answers").into_owned();
                            assert_eq!(reply.split('.').count(), 11, "{reply}");
                            let info = message.info()?;
                            assert_eq!(info.domain, Some("hub"));
                            assert_eq!(info.stream, consumer.stream().name());
                            assert_eq!((info.consumer, info.delivered), ("worker", 1));
                            log.push(format!("{} {}", info.stream_sequence, info.pending));
                            Ok(message.ack()?)
                        },
                        |_, consumer, _| note_state(consumer),
                    );
                });
            },
        );
    });
    assert_eq!(log, ["1 1", "2 0", "0 unanswered, 0 pending"]);
}

#[test]
fn what_callbacks_have_captured_is_let_go_of_with_the_loop() {
    let event_loop = EventLoop::<()>::new().expect("a loop");
    let nats = event_loop.connect("nats://127.0.0.1:1").expect("a client");
    let captured = std::rc::Rc::new(());
    let consumer = nats.jetstream().stream("S").consumer("C");
    let held = captured.clone();
    let consumption = consumer.consume(ConsumeOptions::new(), move |_, _, _| drop(held.clone()));
    let (held, itself) = (captured.clone(), consumption.clone());
    consumption.on_event(move |_, _, _| drop((held.clone(), itself.clone())));
    let (held, itself) = (captured.clone(), consumption.clone());
    consumption.on_end(move |_, _, _| drop((held, itself)));
    let messages = consumer.messages(ConsumeOptions::new());
    let (held, itself) = (captured.clone(), messages.clone());
    messages.next(move |_, _, _| drop((held, itself)));
    let held = captured.clone();
    consumer.fetch(FetchOptions::new(), move |_, _, _| drop(held.clone()), |_, _, _| ());
    assert_eq!(std::rc::Rc::strong_count(&captured), 6);
    drop(event_loop);
    assert_eq!(std::rc::Rc::strong_count(&captured), 1);
    drop((consumption, messages, nats));
}

/// Somebody takes the requests, and says nothing.
#[test]
fn requests_that_nobody_answers_end_a_fetch_and_are_sent_again_by_a_consumption() {
    let log: Log = run_with(server().url().as_str(), |nats| {
        let prefix = unique("mute");
        let pulls = format!("{prefix}.CONSUMER.MSG.NEXT.S.C");
        let on_request = |log: &mut Log, _: &_, _: &_| log.push("request".into());
        nats.subscribe(&pulls, on_request).expect("a subscription");
        let consumer = nats.jetstream().with_prefix(&prefix).stream("S").consumer("C");
        consumer.fetch(
            FetchOptions::messages(1).expires(SECOND / 5),
            |_, _, _| fail("a message"),
            |log: &mut Log, consumer, end| {
                assert_eq!(end, Err(Error::Fetch(FetchError::Unanswered)));
                log.push("unanswered".into());
                let options = ConsumeOptions::new().expires(SECOND).heartbeat(SECOND / 2);
                let consumption = consumer.consume(options, |_, _, _| fail("a message"));
                consumption.on_event(|log: &mut Log, consumption, event| {
                    assert!(matches!(event, ConsumeEvent::Silent(_)), "{event:?}");
                    log.push("silent".into());
                    // the request that was sent again is on its way
                    consumption.client().flush(|_, nats, _| nats.close());
                });
            },
        );
    });
    assert_eq!(log, ["request", "unanswered", "request", "silent", "request"]);
}
