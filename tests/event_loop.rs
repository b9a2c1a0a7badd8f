//! The loop itself: timers, posts, sources of the user's own, guards, and what is left when something
//! panics, fails or is dropped. Clients are on transports in memory. Budgets are in `budgets.rs`.

mod support;

use evnats::kv::{CacheOptions, ElectionOptions, LockOptions, PurgeDeletes, Reads, WatchOptions};
use evnats::{
    Client, Error, EventLoop, Handle, LoopOptions, NextDeadline, Options, PostError, Readiness,
    TimerId,
};
use mio::Interest;
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};
use support::memory::{InMemory, MemoryServer};
use support::{Log, fail, finish, finish_with};

const MS: Duration = Duration::from_millis(1);

fn event_loop<S: 'static>() -> EventLoop<S> {
    EventLoop::new().expect("an event loop")
}

fn in_memory<S: 'static>(event_loop: &EventLoop<S>) -> Client<S> {
    let options = Options::new("memory");
    event_loop.connect_over(InMemory::new(MemoryServer::new()), options).expect("a client")
}

// ---- timers -----------------------------------------------------------------------------------

#[test]
fn a_repeating_timer_runs_until_it_is_canceled_from_outside() {
    let event_loop = event_loop::<u32>();
    let ticks = event_loop.handle().set_interval(MS, |count: &mut u32, _| *count += 1);
    event_loop.handle().set_timer(20 * MS, move |_, handle| assert!(handle.cancel_timer(ticks)));
    let count = finish(&event_loop);
    assert!((1..=20).contains(&count), "{count}");
}

#[test]
fn a_repeating_timer_is_canceled_from_inside() {
    let event_loop = event_loop::<Vec<Option<TimerId>>>();
    let id = event_loop.handle().set_interval(MS, |seen: &mut Vec<_>, handle| {
        seen.push(handle.current_timer());
        if seen.len() == 3 {
            assert!(handle.cancel_current_timer());
            assert!(!handle.cancel_current_timer(), "it is canceled already");
        }
    });
    assert_eq!(finish(&event_loop), [Some(id); 3]);
    assert_eq!(event_loop.handle().current_timer(), None);
}

// ---- posts ------------------------------------------------------------------------------------

#[test]
fn posts_beyond_the_limit_come_back() {
    let event_loop = EventLoop::<Log>::with_options(LoopOptions::new().max_posted(2));
    let event_loop = event_loop.expect("an event loop");
    let remote = event_loop.handle().remote();
    let note = |text: &'static str| move |log: &mut Log, _: &Handle<Log>| log.push(text.into());
    assert!(remote.post(note("first")).is_ok());
    assert!(remote.post(note("second")).is_ok());
    let Err(PostError::Full(third)) = remote.post(note("third")) else { panic!("there is room") };
    let mut log = finish(&event_loop);
    assert_eq!(log, ["first", "second"]);
    assert!(remote.post(third).is_ok());
    finish_with(&event_loop, &mut log);
    assert_eq!(log, ["first", "second", "third"]);
    drop(event_loop);
    let error = remote.post(note("late")).expect_err("it is gone");
    assert_eq!(error.to_string(), "the event loop is gone");
    assert!(matches!(error, PostError::Ended(_)));
}

#[test]
fn a_guard_keeps_the_loop_running_until_another_thread_drops_it() {
    let event_loop = event_loop::<Log>();
    let remote = event_loop.handle().remote();
    let guard = remote.keep_running();
    let thread = thread::spawn(move || {
        thread::sleep(20 * MS);
        let posted = remote.post(|log: &mut Log, _: &Handle<Log>| log.push("posted".into()));
        drop(guard);
        posted.is_ok()
    });
    let mut log = Log::new();
    event_loop.run(&mut log).expect("the loop");
    assert_eq!(log, ["posted"]);
    assert!(thread.join().expect("the thread"));
    let _guard = event_loop.handle().keep_running();
    assert!(!event_loop.is_empty());
}

// ---- errors, panics, the end ------------------------------------------------------------------

#[test]
fn an_error_of_a_callback_ends_run_and_nothing_is_lost() {
    let event_loop = event_loop::<Log>();
    let nats = in_memory(&event_loop);
    nats.subscribe("echo", |log: &mut Log, echo, message| {
        log.push(message.text().into_owned());
        match log.len() {
            2 => return Err(Error::other("enough")),
            3 => echo.client().close(),
            _ => {}
        }
        Ok(())
    })
    .expect("a subscription");
    for n in ["1", "2", "3"] {
        nats.send(evnats::OutgoingMessage::new("any", n).reply("echo")).expect("a publish");
    }
    let mut log = Log::new();
    let error = event_loop.run(&mut log).expect_err("the callback's error");
    assert_eq!((error.to_string().as_str(), log.len()), ("enough", 2));
    assert_eq!(event_loop.next_deadline(), NextDeadline::Now);
    event_loop.run(&mut log).expect("the rest");
    assert_eq!(log, ["1", "2", "3"]);
}

#[test]
fn commands_to_a_client_that_is_over_have_their_callbacks_and_the_loop_ends() {
    type Command = fn(&Client<Log>);
    let commands: [Command; 6] = [
        |nats| nats.close(),
        |nats| nats.drain(),
        |nats| nats.reconnect(),
        |nats| drop(nats.publish("a", "b")),
        |nats| drop(nats.set_servers(["nats://127.0.0.1:1"])),
        |nats| nats.flush(|log: &mut Log, _, flushed| log.push(format!("{}", flushed.is_err()))),
    ];
    for command in commands {
        let event_loop = event_loop::<Log>();
        let nats = in_memory(&event_loop);
        nats.on_close(move |_, nats, _| {
            command(nats);
            nats.flush(|log: &mut Log, nats, flushed| {
                log.push(format!("{}", flushed.is_err()));
                nats.close();
            });
        });
        nats.flush(move |_, nats, _| {
            nats.close();
            command(nats);
        });
        let mut log = Log::new();
        event_loop.run(&mut log).expect("the loop ends");
        for round in 0..3 {
            command(&nats);
            nats.request("a", "b", move |log: &mut Log, _, reply| {
                log.push(format!("late {round} {}", reply.is_err()));
            });
            command(&nats);
            event_loop.run(&mut log).expect("the loop ends");
        }
        let late = log.iter().filter(|line| line.starts_with("late"));
        assert_eq!(late.collect::<Vec<_>>(), ["late 0 true", "late 1 true", "late 2 true"]);
    }
}

#[test]
fn a_panic_in_the_last_turn_of_a_client_leaves_a_loop_that_ends() {
    let event_loop = event_loop::<Log>();
    let nats = in_memory(&event_loop);
    nats.on_close(|_, _, _| fail("a bug in the application"));
    nats.flush(|_, nats, _| nats.close());
    nats.request("silence", "", |log: &mut Log, nats, _| {
        nats.flush(|log: &mut Log, _, _| log.push("flush".into()));
        log.push("request".into());
    });
    let mut log = Log::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| event_loop.run(&mut log)));
    assert!(panicked.is_err());
    event_loop.run(&mut log).expect("the loop ends");
    assert!(event_loop.is_empty());
    assert!(log.contains(&"flush".to_owned()), "{log:?}");
}

#[test]
fn a_panic_in_a_timer_loses_no_other_work() {
    let event_loop = event_loop::<Log>();
    let nats = in_memory(&event_loop);
    nats.flush(|log: &mut Log, nats, _| {
        log.push("flush".into());
        nats.close();
    });
    event_loop.handle().set_timer(Duration::ZERO, |_, _| fail("a bug in the application"));
    event_loop.handle().set_timer(Duration::ZERO, |log: &mut Log, _| log.push("timer".into()));
    let mut log = Log::new();
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(&mut log))).is_err());
    event_loop.run(&mut log).expect("the loop");
    log.sort();
    assert_eq!(log, ["flush", "timer"]);
}

#[test]
fn dropping_the_loop_drops_every_callback_and_what_is_commanded_later() {
    let event_loop = event_loop::<Log>();
    let handle = event_loop.handle().clone();
    let nats = in_memory(&event_loop);
    let held = Rc::new(());
    let hold = || held.clone();
    let (one, two, three) = (hold(), hold(), hold());
    handle.set_timer(MS, move |_, _| drop(one));
    handle.set_interval(MS, move |_, _| assert!(Rc::strong_count(&two) > 0));
    nats.subscribe("a", move |_, _, _| assert!(Rc::strong_count(&three) > 0)).expect("subscribed");
    let bucket = nats.jetstream().key_value("b");
    let (four, five, six) = (hold(), hold(), hold());
    bucket.keys(move |_, _, _| drop(four));
    let (ten, eleven, twelve) = (hold(), hold(), hold());
    bucket.watch(">", WatchOptions::new(), move |_, _, _| assert!(Rc::strong_count(&ten) > 0));
    bucket.list_keys(&[">"], move |_, _, _| assert!(Rc::strong_count(&eleven) > 0));
    bucket.cache(&[">"], CacheOptions::new(), move |_, _, _| {
        assert!(Rc::strong_count(&twelve) > 0);
    });
    let (thirteen, fourteen, fifteen) = (hold(), hold(), hold());
    bucket.purge_deletes(PurgeDeletes::new(), move |_, _, _| drop(thirteen));
    bucket.with_reads(Reads::Linearizable).get("k", move |_, _, _| drop(fourteen));
    bucket.get_many(&["k"], move |_, _, _| drop(fifteen));
    let (sixteen, seventeen, eighteen) = (hold(), hold(), hold());
    let lock = bucket.lock("k", LockOptions::new(), move |_, _, _| drop(sixteen));
    lock.on_lost(move |_, _, _| drop(seventeen));
    bucket.election("k", ElectionOptions::new("one"), move |_, _, _| {
        assert!(Rc::strong_count(&eighteen) > 0);
    });
    nats.request("a", "b", move |_, _, _| drop(five));
    nats.on_close(move |_, _, _| assert!(Rc::strong_count(&six) > 0));
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1, "every callback was dropped");
    let (seven, eight, nine) = (hold(), hold(), hold());
    let timer = handle.set_timer(MS, move |_, _| drop(seven));
    assert!(!handle.cancel_timer(timer));
    nats.request("a", "b", move |_, _, _| drop(eight));
    bucket.keys(move |_, _, _| drop(nine));
    assert_eq!(Rc::strong_count(&held), 1, "and so were the late ones");
    assert!(matches!(handle.connect("nats://127.0.0.1:1"), Err(Error::LoopEnded)));
    let over = handle.connect_over(InMemory::new(MemoryServer::new()), Options::new("memory"));
    assert!(matches!(over, Err(Error::LoopEnded)));
}

// ---- deadlines --------------------------------------------------------------------------------

#[test]
fn the_next_deadline_is_now_at_a_time_or_never() {
    let event_loop = event_loop::<u32>();
    assert_eq!(event_loop.next_deadline(), NextDeadline::Never);
    let timer = event_loop.handle().set_timer(Duration::from_secs(60), |_, _| {});
    let NextDeadline::At(deadline) = event_loop.next_deadline() else { panic!("a time") };
    assert!(deadline > Instant::now() + Duration::from_secs(50));
    event_loop.handle().cancel_timer(timer);
    assert_eq!(event_loop.next_deadline(), NextDeadline::Never);
    let nats = in_memory(&event_loop);
    assert_eq!(event_loop.next_deadline(), NextDeadline::Now);
    let mut count = 0;
    while event_loop.dispatch(&mut count, Some(Duration::ZERO)).expect("a turn") {}
    assert!(matches!(event_loop.next_deadline(), NextDeadline::At(_)), "the keep-alive");
    nats.flush(|count: &mut u32, _, _| *count += 1);
    assert_eq!(event_loop.next_deadline(), NextDeadline::Now);
    assert_eq!(NextDeadline::Now.timeout(Instant::now()), Some(Duration::ZERO));
    assert_eq!(NextDeadline::Never.timeout(Instant::now()), None);
}

// ---- sources of the user's own ----------------------------------------------------------------

#[cfg(unix)]
#[test]
fn a_descriptor_that_blocks_is_reported_for_as_long_as_there_is_something() {
    use evnats::Descriptor;
    use std::os::unix::net::UnixStream;
    let (input, mut output) = UnixStream::pair().expect("a pair");
    let event_loop = event_loop::<Vec<u8>>();
    let source = Descriptor::new(input);
    let added = event_loop.handle().add_source(
        source,
        Interest::READABLE,
        |read: &mut Vec<u8>, source, readiness: Readiness| {
            assert!(readiness.is_readable());
            let mut byte = [0];
            // one byte a turn, although more is waiting
            match source.with(|input| input.get_mut().read(&mut byte)) {
                Some(Ok(1)) => read.push(byte[0]),
                Some(Ok(_)) => assert!(source.remove().is_some()),
                other => panic!("{other:?}"),
            }
        },
    );
    let added = added.expect("a source");
    output.write_all(b"hello").expect("written");
    drop(output);
    assert_eq!(finish(&event_loop), b"hello");
    assert!(added.with(|_| ()).is_none(), "it is gone");
    assert!(added.remove().is_none());
}

#[test]
fn a_listener_and_its_connections_share_the_loop_with_timers() {
    let event_loop = event_loop::<Log>();
    let listener = mio::net::TcpListener::bind("127.0.0.1:0".parse().expect("an address"));
    let listener = listener.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let on_connection = |log: &mut Log, listener: &evnats::ForeignSource<_, Log>, _| {
        let accepted = listener.with(|listener: &mut mio::net::TcpListener| listener.accept());
        let (connection, _) = accepted.expect("the listener").expect("a connection");
        log.push("accepted".into());
        let removed = listener.clone();
        let added = listener.handle().add_source(
            connection,
            Interest::READABLE,
            move |log: &mut Log, connection, _| {
                let mut room = [0; 100];
                let read = connection.with(|connection| connection.read(&mut room));
                let count = read.expect("the connection").expect("bytes");
                log.push(String::from_utf8_lossy(&room[..count]).into_owned());
                connection.remove();
                removed.remove();
            },
        );
        added.map(drop)
    };
    event_loop.handle().add_source(listener, Interest::READABLE, on_connection).expect("a source");
    let thread = thread::spawn(move || {
        let mut connection = std::net::TcpStream::connect(address).expect("a connection");
        connection.write_all(b"GET /health").expect("written");
    });
    assert_eq!(finish(&event_loop), ["accepted", "GET /health"]);
    thread.join().expect("the thread");
}

#[cfg(unix)]
#[test]
fn a_source_is_given_back_with_the_loops_end_and_a_dead_loop_takes_none() {
    use evnats::Descriptor;
    use std::os::unix::net::UnixStream;
    let (one, other) = UnixStream::pair().expect("a pair");
    let event_loop = event_loop::<()>();
    let handle = event_loop.handle().clone();
    let held = Rc::new(());
    let captured = held.clone();
    let add = |source, captured: Rc<()>| {
        handle.add_source(Descriptor::new(source), Interest::READABLE, move |_, _, _| {
            assert!(Rc::strong_count(&captured) > 0);
        })
    };
    let source = add(one, captured).expect("a source");
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1, "the callback was dropped");
    assert!(source.remove().is_none());
    assert!(matches!(add(other, held.clone()), Err(Error::LoopEnded)));
    assert_eq!(Rc::strong_count(&held), 1);
}

// ---- signals ----------------------------------------------------------------------------------

/// Waits as an application does, for the test below.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn a_process_that_waits() {
    let event_loop = event_loop::<()>();
    event_loop.handle().set_timer(500 * MS, |(), _| {});
    println!("waiting");
    event_loop.run(&mut ()).expect("the loop");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_stopped_and_continued_goes_on_waiting() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let own = std::env::current_exe().expect("this program");
    let mut child = Command::new(own)
        .args(["--exact", "a_process_that_waits", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let mut lines = output.lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("waiting"))));
    let signal = |name: &str| {
        let kill = format!("kill -{name} {}", child.id());
        assert!(
            Command::new("sh").args(["-c", &kill]).status().is_ok_and(|status| status.success())
        );
        thread::sleep(20 * MS);
    };
    for _ in 0..5 {
        signal("STOP");
        signal("CONT");
    }
    assert!(lines.all(|line| line.is_ok()));
    assert!(child.wait().expect("its end").success());
}

// ---- drops ------------------------------------------------------------------------------------

#[test]
fn what_a_callback_drops_may_use_the_loop() {
    struct SetsATimer(Handle<Log>, Rc<Cell<u32>>);
    impl Drop for SetsATimer {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            self.0.set_timer(MS, |log: &mut Log, _| log.push("set by a drop".into()));
        }
    }
    let event_loop = event_loop::<Log>();
    let (handle, count) = (event_loop.handle().clone(), Rc::default());
    let sets = RefCell::new(Some(SetsATimer(handle.clone(), Rc::clone(&count))));
    let canceled = handle.set_timer(MS, move |_, _| drop(sets.take()));
    assert!(handle.cancel_timer(canceled));
    assert_eq!(finish(&event_loop), ["set by a drop"]);
    assert_eq!(count.get(), 1);
}
