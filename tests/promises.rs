//! The ten promises of the callback contract, each as a test.

mod support;

use evnats::{
    Client, CommandError, ConnectionState, Error, EventLoop, Handle, Options, Payload, RequestError,
};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::memory::{InMemory, MemoryServer};
use support::{Log, fail, finish, finish_with, run, server, unique};

/// A client over a transport in memory.
fn in_memory<S: 'static>(options: Options) -> (EventLoop<S>, Client<S>) {
    let event_loop = EventLoop::new().expect("an event loop");
    let client = event_loop
        .handle()
        .connect_over(InMemory::new(MemoryServer::new()), options)
        .expect("a client");
    (event_loop, client)
}

#[test]
fn promise_1_a_callback_may_do_anything_to_its_client() {
    let subject = unique("anything");
    let log: Log = run(|nats| {
        let inner = subject.clone();
        let subscribed = nats.subscribe(&subject, move |log: &mut Log, nats, message| {
            log.push(format!("first {}", message.text()));
            assert!(nats.unsubscribe(), "unsubscribes itself");
            nats.client()
                .subscribe(&inner, |log: &mut Log, nats, message| {
                    log.push(format!("second {}", message.text()));
                    nats.client().close();
                    assert_eq!(nats.client().state(), ConnectionState::Closed);
                })
                .expect("subscribes");
            nats.client().publish(&inner, "b").expect("publishes");
        });
        subscribed.expect("a subscription");
        nats.publish(&subject, "a").expect("a publish");
    });
    assert_eq!(log, ["first a", "second b"]);
}

#[test]
fn promise_1_a_callback_may_drop_the_last_handle() {
    struct App {
        nats: Option<Client<App>>,
        closed: bool,
    }
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.on_connect(|app: &mut App, nats, _| {
        app.nats = None;
        nats.close();
    });
    nats.on_close(|app, _, _| app.closed = true);
    let mut app = App { nats: Some(nats), closed: false };
    finish_with(&event_loop, &mut app);
    assert!(app.closed);
}

#[test]
fn promise_1_what_a_callback_captured_may_use_the_client_when_it_is_dropped() {
    struct PublishesOnDrop(Client<Log>);
    impl Drop for PublishesOnDrop {
        fn drop(&mut self) {
            let _ = self.0.publish("dropped", b"");
            self.0.flush(|_, _, _| {});
        }
    }
    run(|nats: &Client<Log>| {
        let captured = PublishesOnDrop(nats.clone());
        let id = nats.subscribe(&unique("captured"), move |_, _, _| {
            let _ = &captured;
        });
        let captured = PublishesOnDrop(nats.clone());
        nats.request("a b", b"", move |_, _, _| drop(captured));
        let captured = PublishesOnDrop(nats.clone());
        nats.on_error(move |_, _, _| {
            let _ = &captured;
        });
        nats.on_error(|_, _, _| {});
        assert!(id.expect("a subscription").unsubscribe());
        nats.flush(|_, nats, _| nats.close());
    });
}

#[test]
fn promise_2_commands_never_call_back_inline() {
    let log: Log = run(|nats| {
        nats.flush(|log: &mut Log, nats, _| {
            nats.request("bad subject", b"", |log: &mut Log, _, reply| {
                let error = reply.expect_err("an error");
                log.push(format!("refused: {}", matches!(error, RequestError::Command(_))));
            });
            nats.jetstream().key_value("b.ad").get("k", |log: &mut Log, _, got| {
                log.push(format!("bucket: {}", got.is_err()));
            });
            nats.close();
            nats.flush(|log: &mut Log, _, flushed| {
                log.push(format!("flush: {}", flushed.is_err()))
            });
            log.push("first".into());
        });
    });
    assert_eq!(log[0], "first");
    assert_eq!(log.len(), 4, "{log:?}");
}

#[test]
fn promise_2_a_chain_of_a_million_links_runs_in_constant_stack() {
    fn link(nats: &Client<u64>) {
        nats.request("next", b"x", |count, nats, reply| {
            assert_eq!(reply.expect("a reply").payload(), b"x");
            *count += 1;
            if *count < 1_000_000 { link(nats) } else { nats.close() }
        });
    }
    let (event_loop, nats) = in_memory(Options::new("memory"));
    nats.on_connect(|_, nats, _| link(nats));
    let mut count = 0;
    event_loop.run(&mut count).expect("the loop");
    assert_eq!(count, 1_000_000);
    assert_eq!(nats.request_count(), 0);
}

#[test]
fn promise_3_every_one_shot_callback_runs_exactly_once() {
    let silent = unique("silent");
    let log: Log = run(|nats| {
        nats.subscribe(&silent, |_, _, _| {}).expect("a subscription");
        // as soon as there is a connection
        nats.flush(move |_, nats, flushed| {
            flushed.expect("a connection");
            let patient = Duration::from_secs(30);
            for (name, subject, timeout) in [
                ("timeout", silent.as_str(), Duration::from_millis(20)),
                ("nobody", "nobody.listens", patient),
                ("refused", "not a subject", patient),
                ("closed", silent.as_str(), patient),
            ] {
                let request = evnats::OutgoingMessage::new(subject, b"");
                nats.send_request(request, timeout, move |log: &mut Log, nats, reply| {
                    // 2.15 names the subject
                    let error = reply.expect_err("no reply").to_string();
                    log.push(format!("{name}: {}", error.trim_end_matches(" \"nobody.listens\"")));
                    if name == "timeout" {
                        nats.close();
                        nats.request("late", b"", |log: &mut Log, _, reply| {
                            log.push(format!("late: {}", reply.expect_err("closed")));
                        });
                    }
                });
            }
        });
        nats.on_close(|log: &mut Log, nats, _| {
            log.push("close".into());
            nats.flush(|log: &mut Log, _, flushed| {
                log.push(format!("after: {}", flushed.is_err()))
            });
        });
    });
    let mut sorted = log.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "after: true",
            "close",
            "closed: disconnected, outcome unknown",
            "late: the connection is closed",
            "nobody: nobody is listening on the subject",
            "refused: invalid subject: forbidden byte ' ' at byte 3 in \"not a subject\"",
            "timeout: no reply in time",
        ]
    );
}

#[test]
fn promise_4_running_the_loop_in_a_callback_is_an_error() {
    let event_loop = Rc::new(EventLoop::new().expect("an event loop"));
    let inner = event_loop.clone();
    event_loop.handle().set_timer(Duration::ZERO, move |log: &mut Log, _| {
        let run = inner.run(&mut Log::new());
        let dispatch = inner.dispatch(&mut Log::new(), None);
        assert!(matches!(run, Err(Error::Reentrant)));
        assert!(matches!(dispatch, Err(Error::Reentrant)));
        log.push("refused".into());
    });
    let mut log = Log::new();
    finish_with(&event_loop, &mut log);
    assert_eq!(log, ["refused"]);
}

#[test]
fn promise_5_letting_go_of_a_subscription_does_not_unsubscribe() {
    let subject = unique("let_go");
    let log: Log = run(|nats| {
        let _ = nats.subscribe(&subject, |log: &mut Log, nats, message| {
            log.push(message.text().into_owned());
            nats.client().close();
        });
        nats.publish(&subject, "still here").expect("a publish");
    });
    assert_eq!(log, ["still here"]);
}

#[test]
fn promise_6_a_firehose_starves_neither_timers_nor_other_clients() {
    #[derive(Default)]
    struct App {
        received: u64,
        received_at_timer: Option<u64>,
        other_done: bool,
    }
    const COUNT: u64 = 200_000;
    let subject = unique("firehose");
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let other = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |app: &mut App, nats, _| {
        app.received += 1;
        if app.received == 1 {
            nats.client().handle().set_timer(Duration::ZERO, |app, _| {
                app.received_at_timer = Some(app.received);
            });
        }
        if app.received == COUNT {
            nats.client().close();
        }
    })
    .expect("a subscription");
    nats.flush(move |_, nats, _| {
        for _ in 0..COUNT {
            nats.publish(&subject, [b'x'; 64].as_slice()).expect("a publish");
        }
    });
    other.flush(|app, other, _| {
        app.other_done = true;
        other.close();
    });
    let app = finish(&event_loop);
    assert_eq!(app.received, COUNT);
    assert!(app.other_done);
    assert!(app.received_at_timer.expect("the timer ran") < 10_000, "within two turns");
}

#[test]
fn promise_7_a_panic_in_a_callback_leaves_the_client_consistent() {
    let subject = unique("panics");
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |log, nats, message| {
        log.push(message.text().into_owned());
        match &*message.text() {
            "2" => panic!("a bug in the application"),
            "4" => nats.client().close(),
            _ => {}
        }
    })
    .expect("a subscription");
    for n in ["1", "2", "3", "4"] {
        nats.publish(&subject, n).expect("a publish");
    }
    let mut log = Log::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| finish_with(&event_loop, &mut log)));
    assert!(panicked.is_err());
    assert_eq!(log, ["1", "2"]);
    finish_with(&event_loop, &mut log);
    assert_eq!(log, ["1", "2", "3", "4"], "nothing is lost and nothing comes twice");
}

#[test]
fn promise_8_a_late_message_for_a_dead_subscription_is_counted_and_not_delivered() {
    let subject = unique("late");
    let counted = Rc::new(Cell::new(0));
    let seen = counted.clone();
    let log: Log = run(|nats| {
        let other = unique("other");
        let subscription = nats.subscribe(&subject, move |log: &mut Log, nats, message| {
            log.push(message.text().into_owned());
            // the second message is under way already, and the slot gets another tenant
            assert!(nats.unsubscribe());
            nats.client()
                .subscribe(&other, |log: &mut Log, _, _| log.push("confused".into()))
                .expect("a subscription");
        });
        subscription.expect("a subscription");
        nats.publish(&subject, "one").expect("a publish");
        nats.publish(&subject, "two").expect("a publish");
        nats.flush(move |_, nats, _| {
            seen.set(nats.statistics().late_messages);
            nats.close();
        });
    });
    assert_eq!(log, ["one"]);
    assert_eq!(counted.get(), 1);
}

#[test]
fn promise_9_a_full_buffer_gives_the_message_back_and_says_when_there_is_room() {
    #[derive(Default)]
    struct App {
        sent: usize,
        refused: usize,
        writable: usize,
    }
    fn fill(app: &mut App, nats: &Client<App>) {
        while app.sent < 200 {
            let payload = vec![b'x'; 10_000];
            match nats.publish("full", payload) {
                Ok(()) => app.sent += 1,
                Err(Error::Command(CommandError::BufferFull { payload, limit })) => {
                    assert!(matches!(&payload, Payload::Owned(bytes) if bytes.len() == 10_000));
                    assert_eq!(limit, 65_536);
                    app.refused += 1;
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
        nats.drain();
    }
    let options = Options::new(server().url()).outgoing_limit(65_536).outgoing_low_water(20_000);
    let app: App = support::run_with(options, |nats| {
        // before the connection stands nothing can be written, so the buffer fills
        nats.handle().set_timer(Duration::ZERO, {
            let nats = nats.clone();
            move |app, _| fill(app, &nats)
        });
        nats.on_writable(|app, nats| {
            app.writable += 1;
            fill(app, nats);
        });
    });
    assert_eq!(app.sent, 200);
    assert!(app.refused > 0 && app.refused == app.writable);
}

#[test]
fn promise_10_errors_are_values_and_name_what_is_wrong() {
    run(|nats: &Client<Log>| {
        let error = nats.publish("a..b", b"").expect_err("an empty token");
        assert!(matches!(error, Error::Command(CommandError::Subject(_))));
        let prefix = Options::new(server().url()).inbox_prefix("in box");
        let error = nats.handle().connect(prefix).expect_err("a blank");
        assert!(matches!(error, Error::Command(CommandError::ReplySubject(_))));
        let error = nats.queue_subscribe("a", "q q", |_, _, _| {}).expect_err("a blank");
        assert!(matches!(error, Error::Command(CommandError::QueueGroup(_))));
        nats.close();
        let error = nats.publish("a", b"").expect_err("closed");
        assert!(matches!(error, Error::Command(CommandError::Closed)));
    });
}

#[test]
fn timers_run_in_order_and_can_be_cancelled() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let handle = event_loop.handle();
    let at = |ms, name: &'static str| {
        let note = move |log: &mut Log, _: &Handle<Log>| log.push(name.into());
        handle.set_timer(Duration::from_millis(ms), note)
    };
    at(20, "second");
    at(1, "first");
    let cancelled = at(10, "never");
    assert!(handle.cancel_timer(cancelled));
    assert!(!handle.cancel_timer(cancelled));
    assert_eq!(finish(&event_loop), ["first", "second"]);
}

#[test]
fn a_timer_that_sets_itself_again_does_not_keep_the_loop() {
    fn again(count: &mut u64, handle: &Handle<u64>) {
        *count += 1;
        handle.set_timer(Duration::ZERO, again);
    }
    let event_loop = EventLoop::new().expect("an event loop");
    event_loop.handle().set_timer(Duration::ZERO, again);
    let mut count = 0;
    for turns in 1..=10 {
        assert!(event_loop.dispatch(&mut count, Some(Duration::ZERO)).is_ok());
        assert!(count <= turns);
    }
}

#[test]
fn other_threads_post_to_the_loop() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let remote = event_loop.handle().remote();
    let guard = event_loop.handle().set_timer(Duration::from_secs(60), |_, _| fail("no post"));
    let thread = std::thread::spawn(move || {
        for n in 0..100 {
            remote.post(move |log: &mut Log, _| log.push(n.to_string())).expect("a post");
        }
        remote.post(move |_, handle| {
            handle.cancel_timer(guard);
        })
    });
    let log = finish(&event_loop);
    assert!(thread.join().expect("the thread").is_ok());
    assert_eq!(log.len(), 100);
    assert!(log.iter().enumerate().all(|(n, text)| n.to_string() == *text));
}

#[test]
fn a_loop_that_has_ended_refuses_posts_and_drops_what_was_pending() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let remote = event_loop.handle().remote();
    let nats = event_loop.connect(server().url()).expect("a client");
    let pending = Rc::new(RefCell::new(()));
    let captured = pending.clone();
    nats.request("nobody", b"", move |_, _, _| drop(captured));
    drop(event_loop);
    assert_eq!(Rc::strong_count(&pending), 1, "the callback was dropped");
    assert!(remote.post(|_, _| {}).is_err());
    nats.request("nobody", b"", |_, _, _| {});
    assert_eq!(nats.state(), ConnectionState::Closed);
}

#[test]
fn stop_ends_run_and_leaves_everything_as_it_is() {
    let event_loop: EventLoop<u32> = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.flush(|count, nats, _| {
        *count += 1;
        nats.handle().stop();
        nats.flush(|count, nats, _| {
            *count += 1;
            nats.close();
        });
    });
    let mut count = 0;
    event_loop.run(&mut count).expect("the loop");
    assert_eq!((count, nats.state()), (1, ConnectionState::Connected));
    event_loop.run(&mut count).expect("the loop");
    assert_eq!((count, nats.state()), (2, ConnectionState::Closed));
}

#[test]
fn the_loop_can_be_embedded_in_another_poll() {
    use mio::unix::SourceFd;
    use std::os::fd::{AsFd, AsRawFd};
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.request("nobody.listens", b"", |log, nats, reply| {
        log.push(reply.expect_err("nobody").to_string());
        nats.drain();
    });
    let mut host = mio::Poll::new().expect("a poll");
    let fd = event_loop.as_fd().as_raw_fd();
    let interest = mio::Interest::READABLE;
    host.registry().register(&mut SourceFd(&fd), mio::Token(7), interest).expect("registered");
    let (mut events, mut log) = (mio::Events::with_capacity(8), Log::new());
    let limit = Instant::now() + Duration::from_secs(30);
    while !event_loop.is_empty() {
        let more = event_loop.dispatch(&mut log, Some(Duration::ZERO)).expect("a turn");
        let wait = event_loop.next_deadline().timeout(Instant::now());
        let wait = if more || event_loop.is_empty() { Some(Duration::ZERO) } else { wait };
        host.poll(&mut events, wait).expect("a poll");
        assert!(Instant::now() < limit, "the loop has not come to an end");
    }
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("nobody is listening on the subject"), "{log:?}");
}
