//! Core NATS on a real server, and the peers that a real server cannot be.

mod support;

use evnats::{
    Client, CommandError, ConnectionError, ConnectionState, DisconnectReason, Error, EventLoop,
    HeaderMap, Options, OutgoingMessage, RequestError,
};
use evnats_harness::{Script, ScriptedServer, Server};
use evnats_protocol::{ClientOp, Message, ServerOp};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;
use support::memory::{InMemory, MemoryServer, Responder, Responding, Speaker};
use support::{Log, finish, flush, level, run, run_with, server, turn_until, unique};

#[test]
fn wildcards_deliver_in_order_with_subject_and_payload() {
    let base = unique("wild");
    let log: Log = run(|nats| {
        nats.subscribe(&format!("{base}.*"), |log: &mut Log, _, m| {
            log.push(format!("* {}", m.text()))
        })
        .expect("a subscription");
        nats.subscribe(&format!("{base}.>"), |log: &mut Log, _, m| {
            log.push(format!("> {}", m.text()))
        })
        .expect("a subscription");
        for (tail, payload) in [("a", "1"), ("a.b", "2"), ("c", "3")] {
            nats.publish(&format!("{base}.{tail}"), payload).expect("a publish");
        }
        nats.flush(|_, nats, _| nats.close());
    });
    let only = |kind: char| log.iter().filter(|l| l.starts_with(kind)).cloned().collect::<Log>();
    assert_eq!(only('*'), ["* 1", "* 3"]);
    assert_eq!(only('>'), ["> 1", "> 2", "> 3"]);
}

#[test]
fn a_queue_group_shares_its_messages() {
    #[derive(Default)]
    struct Counts([u32; 2]);
    let subject = unique("queue");
    let counts: Counts = run(|nats| {
        for member in 0..2 {
            nats.queue_subscribe(&subject, "workers", move |counts: &mut Counts, _, _| {
                counts.0[member] += 1;
            })
            .expect("a subscription");
        }
        for _ in 0..100 {
            nats.publish(&subject, b"").expect("a publish");
        }
        nats.flush(|_, nats, _| nats.close());
    });
    assert_eq!(counts.0.iter().sum::<u32>(), 100);
    assert!(counts.0.iter().all(|count| *count > 0), "{:?}", counts.0);
}

#[test]
fn auto_unsubscribe_is_exact_also_when_already_exceeded() {
    let subject = unique("auto");
    let log: Log = run(|nats| {
        let three = nats.subscribe(&subject, |log: &mut Log, _, _| log.push("three".into()));
        three.expect("a subscription").unsubscribe_after(3).expect("limited");
        let exceeded = nats.subscribe(&subject, move |log: &mut Log, nats, _| {
            log.push("two".into());
            if log.iter().filter(|line| *line == "two").count() == 2 {
                // a total of one is behind us: it ends now
                nats.unsubscribe_after(1).expect("limited");
            }
        });
        exceeded.expect("a subscription");
        for _ in 0..10 {
            nats.publish(&subject, b"").expect("a publish");
        }
        nats.flush(|log: &mut Log, nats, _| {
            log.push(nats.subscription_count().to_string());
            nats.close();
        });
    });
    assert_eq!(log.iter().filter(|line| *line == "three").count(), 3);
    assert_eq!(log.iter().filter(|line| *line == "two").count(), 2);
    assert_eq!(log.last().map(String::as_str), Some("0"), "both are gone");
}

#[test]
fn headers_travel_and_keep_their_case_and_order() {
    let subject = unique("headers");
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |log: &mut Log, nats, message| {
            log.extend(message.headers().iter().map(|(name, value)| format!("{name}={value}")));
            assert_eq!(message.text(), "body");
            nats.client().close();
        })
        .expect("a subscription");
        let headers = HeaderMap::new().with("Trace", "1").with("trace", "2").with("Trace", "ü");
        nats.send(OutgoingMessage::new(&subject, "body").headers(&headers)).expect("a publish");
    });
    assert_eq!(log, ["Trace=1", "trace=2", "Trace=ü"]);
}

#[test]
fn requests_are_answered_and_no_responders_is_an_error_of_its_own() {
    let subject = unique("service");
    let names_it = level() >= 5;
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |_, nats, message| {
            nats.client().respond(message, format!("hello {}", message.text())).expect("an answer");
        })
        .expect("a subscription");
        nats.request(&subject, "world", move |log: &mut Log, nats, reply| {
            log.push(reply.expect("a reply").text().into_owned());
            nats.request("nobody.listens", b"", move |log: &mut Log, nats, reply| {
                let subject = names_it.then(|| "nobody.listens".into());
                assert_eq!(reply, Err(RequestError::NoResponders { subject }));
                log.push("no responders".into());
                nats.close();
            });
        });
    });
    assert_eq!(log, ["hello world", "no responders"]);
}

#[test]
fn a_hundred_thousand_requests_in_flight_all_answer_exactly_once() {
    const COUNT: usize = 100_000;
    #[derive(Default)]
    struct App {
        answers: Vec<u8>,
        in_flight: usize,
    }
    let subject = unique("many");
    let app: App =
        run_with(Options::new(server().url()).request_timeout(Duration::from_secs(60)), |nats| {
            nats.subscribe(&subject, |_, nats, message| {
                nats.client().respond(message, message.payload()).expect("an answer");
            })
            .expect("a subscription");
            nats.flush(move |app: &mut App, nats, _| {
                app.answers = vec![0; COUNT];
                for n in 0..COUNT {
                    nats.request(&subject, n.to_string(), move |app: &mut App, nats, reply| {
                        assert_eq!(reply.expect("a reply").text(), n.to_string(), "mixed up");
                        app.answers[n] += 1;
                        app.in_flight -= 1;
                        if app.in_flight == 0 {
                            nats.drain();
                        }
                    });
                }
                app.in_flight = nats.request_count();
                assert_eq!(app.in_flight, COUNT);
            });
        });
    assert!(app.answers.iter().all(|count| *count == 1));
}

#[test]
fn draining_a_subscription_delivers_what_is_pending() {
    let subject = unique("drain_sub");
    let log: Log = run(|nats| {
        let id = nats
            .subscribe(&subject, |log: &mut Log, _, m| log.push(m.text().into_owned()))
            .expect("a subscription");
        for n in 0..3 {
            nats.publish(&subject, n.to_string()).expect("a publish");
        }
        id.drain(|log: &mut Log, drained, outcome| {
            log.push(format!("{outcome:?}"));
            drained.client().publish("after", b"").expect("the connection stays");
            drained.drain(|log: &mut Log, again, outcome| {
                log.push(format!("again: {}", outcome.expect_err("it is gone")));
                again.client().close();
            });
        });
    });
    assert_eq!(log, ["0", "1", "2", "Ok(())", "again: no such subscription"]);
}

#[test]
fn draining_a_connection_loses_nothing() {
    const COUNT: usize = 10_000;
    let subject = unique("drain");
    let event_loop = EventLoop::new().expect("an event loop");
    let receiver = event_loop.connect(server().url()).expect("a client");
    let sender = event_loop.connect(server().url()).expect("a client");
    receiver
        .subscribe(&subject, |log: &mut Log, _, _| log.push("message".into()))
        .expect("a subscription");
    let to = subject.clone();
    receiver.flush(move |_, receiver, _| {
        let receiver = receiver.clone();
        sender.flush(move |_, sender, _| {
            for n in 0..COUNT {
                sender.publish(&to, n.to_string()).expect("a publish");
            }
            sender.request("nobody.listens", b"", |log: &mut Log, sender, reply| {
                log.push(format!("{}", reply.expect_err("nobody")));
                assert!(sender.publish("still.allowed", b"").is_ok());
                assert!(sender.subscribe("too.late", |_, _, _| {}).is_err());
            });
            sender.drain();
            assert_eq!(sender.state(), ConnectionState::Draining);
            sender.on_close(move |log: &mut Log, _, _| {
                log.push("sender closed".into());
                receiver.flush(|_, receiver, _| receiver.drain());
            });
        });
    });
    let log = finish(&event_loop);
    assert_eq!(log.iter().filter(|line| *line == "message").count(), COUNT);
    assert!(log.iter().any(|line| line.starts_with("nobody is listening on the subject")));
    assert!(log.iter().any(|line| line == "sender closed"));
}

#[test]
fn a_drain_before_the_connection_stands_still_sends_everything() {
    let subject = unique("early");
    let event_loop = EventLoop::new().expect("an event loop");
    let receiver = event_loop.connect(server().url()).expect("a client");
    receiver
        .subscribe(&subject, |log: &mut Log, receiver, m| {
            log.push(m.text().into_owned());
            receiver.client().close();
        })
        .expect("a subscription");
    receiver.flush(move |_, receiver, _| {
        let sender = receiver.handle().connect(server().url()).expect("a client");
        sender.publish(&subject, "sent").expect("a publish");
        sender.drain();
    });
    assert_eq!(finish(&event_loop), ["sent"]);
}

#[test]
fn the_round_trip_is_measured_and_statistics_are_kept() {
    let subject = unique("stats");
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |_, _, _| {}).expect("a subscription");
        for _ in 0..10 {
            nats.publish(&subject, [0; 50].as_slice()).expect("a publish");
        }
        nats.rtt(|log: &mut Log, nats, rtt| {
            let rtt = rtt.expect("an answer");
            assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(30));
            let statistics = nats.statistics();
            log.push(format!("{} {}", statistics.messages_out, statistics.bytes_out));
            log.push(format!("{} {}", statistics.messages_in, statistics.bytes_in));
            let info = nats.server_info().expect("connected");
            assert_eq!(info.version.split('.').count(), 3);
            nats.close();
        });
    });
    assert_eq!(log, ["10 500", "10 500"]);
}

#[test]
fn payloads_of_all_sizes_arrive_unharmed() {
    let subject = unique("sizes");
    let sizes = [0, 1, 4095, 65_535, 65_536, 200_000, 1_048_576];
    let log: Log = run(|nats| {
        nats.subscribe(&subject, move |log: &mut Log, nats, message| {
            let expected = sizes[log.len()];
            let same = message.payload().iter().enumerate().all(|(i, byte)| *byte == i as u8);
            log.push(format!("{} {same}", message.payload().len()));
            assert_eq!(message.payload().len(), expected);
            if log.len() == sizes.len() {
                nats.client().close();
            }
        })
        .expect("a subscription");
        for size in sizes {
            let payload: Vec<u8> = (0..size).map(|i| i as u8).collect();
            nats.publish(&subject, payload).expect("a publish");
        }
    });
    assert!(log.iter().all(|line| line.ends_with("true")), "{log:?}");
}

#[test]
fn max_payload_boundary_is_exact_with_headers() {
    let subject = unique("boundary");
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |log: &mut Log, _, m| log.push(m.len().to_string()))
            .expect("a subscription");
        nats.on_connect(move |_, nats, info| {
            let limit = usize::try_from(info.max_payload).expect("a limit");
            let headers = HeaderMap::new().with("A", "1");
            let fits = vec![0; limit - headers.encoded_len()];
            let message = OutgoingMessage::new(&subject, fits.as_slice()).headers(&headers);
            nats.send(message).expect("at the limit");
            let too_large = vec![0; limit - headers.encoded_len() + 1];
            let message = OutgoingMessage::new(&subject, too_large).headers(&headers);
            let error = nats.send(message).expect_err("over the limit");
            assert!(matches!(
                error,
                Error::Command(CommandError::PayloadTooLarge { size, limit: l })
                    if size == limit + 1 && l == limit
            ));
            nats.flush(|_, nats, _| nats.close());
        });
    });
    assert_eq!(log, ["1048576"]);
}

#[test]
fn bad_input_is_refused_with_a_clear_error_and_the_connection_stays_usable() {
    let log: Log = run(|nats| {
        nats.on_connect(|log: &mut Log, nats, _| {
            let forged = HeaderMap::new().with("A", "1\r\nB: 2");
            let refused = [
                nats.publish("a b", b""),
                nats.publish("", b""),
                nats.publish("a.*", b""),
                nats.publish("a.>", b""),
                nats.publish("a", vec![0; 2 << 20]),
                nats.send(OutgoingMessage::new("a", b"").headers(&forged)),
                nats.send(OutgoingMessage::new("a", b"").reply("x y")),
                nats.publish(&"x".repeat(5000), b""),
                nats.subscribe("a..b", |_, _, _| {}).map(drop),
                nats.subscribe(">.a", |_, _, _| {}).map(drop),
            ];
            log.extend(refused.into_iter().map(|result| result.expect_err("refused").to_string()));
            nats.flush(|log: &mut Log, nats, flushed| {
                log.push(format!("{flushed:?}"));
                nats.close();
            });
        });
    });
    let expected = [
        "invalid subject: forbidden byte ' ' at byte 1 in \"a b\"",
        "invalid subject: nothing in \"\"",
        "invalid subject: wildcard at byte 2 in \"a.*\"",
        "invalid subject: wildcard at byte 2 in \"a.>\"",
        "message of 2097152 bytes is larger than the server's max_payload of 1048576 bytes",
        "invalid header: line break in the value of header \"A\"",
        "invalid reply subject: forbidden byte ' ' at byte 1 in \"x y\"",
        "control line of 5040 bytes is longer than the limit of 4096 bytes",
        "invalid subject: empty token at byte 2 in \"a..b\"",
        "invalid subject: '>' before the last token, at byte 0 in \">.a\"",
        "Ok(())",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_permission_violation_is_reported_and_the_connection_stays() {
    let server = Server::builder()
        .config(
            "authorization { users: [ { user: a, password: b } ]\n\
             default_permissions: { publish: { deny: \"secret\" } } }\nno_auth_user: a\n",
        )
        .start()
        .expect("a server");
    let log: Log = run_with(server.url().as_str(), |nats| {
        nats.on_error(|log: &mut Log, _, error| {
            let ConnectionError::Server(error) = error else { panic!("{error}") };
            log.push(format!("{:?} {:?}", error.kind(), error.subject()));
        });
        nats.publish("secret", b"").expect("a publish");
        nats.flush(|log: &mut Log, nats, flushed| {
            log.push(format!("{flushed:?}"));
            nats.close();
        });
    });
    assert_eq!(log, ["PermissionsViolation Some(\"secret\")", "Ok(())"]);
}

#[test]
fn a_server_that_cannot_be_reached_is_reported_to_everybody_who_waits() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    // a port that was free a moment ago
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let nats = event_loop.connect(address.to_string()).expect("a client");
    nats.on_error(|log, _, error| {
        let ConnectionError::ConnectFailed { reason, .. } = error else { panic!("{error}") };
        assert!(matches!(reason, DisconnectReason::Transport { .. }));
        log.push(error.to_string());
    });
    nats.request("a", b"", |log, _, reply| log.push(reply.expect_err("no server").to_string()));
    nats.flush(|log, _, flushed| log.push(flushed.expect_err("no server").to_string()));
    nats.on_close(|log, _, _| log.push("closed".into()));
    let log = finish(&event_loop);
    assert!(log[0].starts_with(&format!("cannot connect to nats://{address}: ")), "{}", log[0]);
    assert_eq!(
        log[1..],
        [
            "disconnected, the request was never sent",
            "disconnected before the server answered",
            "closed"
        ]
    );
}

#[test]
fn host_names_are_looked_up_off_the_loop() {
    let url = format!("nats://localhost:{}", server().port());
    let log: Log = run_with(url, |nats| {
        nats.flush(|log: &mut Log, nats, flushed| {
            log.push(format!("{flushed:?}"));
            nats.close();
        });
    });
    assert_eq!(log, ["Ok(())"]);
    let log: Log = run_with("nats://no.such.host.invalid", |nats| {
        nats.on_close(|log: &mut Log, _, reason| log.push(reason.to_string()));
    });
    assert!(log[0].starts_with("cannot connect to nats://no.such.host.invalid:4222: "), "{log:?}");
}

#[test]
fn unix_sockets_carry_everything() {
    use std::os::unix::net::UnixListener;
    let path = server().directory().join(unique("socket"));
    let listener = UnixListener::bind(&path).expect("a socket");
    let port = server().port();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a connection");
        let upstream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server");
        let (mut from, mut to) =
            (client.try_clone().expect("a socket"), upstream.try_clone().expect("a socket"));
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut from, mut to) = (upstream, client);
        std::io::copy(&mut from, &mut to)
    });
    let subject = unique("unix");
    let log: Log = run_with(Options::for_unix_socket(&path), |nats| {
        nats.subscribe(&subject, |log: &mut Log, nats, message| {
            log.push(message.payload().len().to_string());
            nats.client().close();
        })
        .expect("a subscription");
        nats.publish(&subject, vec![1; 500_000]).expect("a publish");
    });
    assert_eq!(log, ["500000"]);
}

/// What a client reports when it meets a scripted server, its pending request included.
fn meet(script: impl FnMut(Script) + Send + 'static) -> Log {
    meet_within(Duration::from_secs(30), script)
}

fn meet_within(timeout: Duration, script: impl FnMut(Script) + Send + 'static) -> Log {
    let server = ScriptedServer::start(script);
    let options = Options::new(server.url()).connect_timeout(timeout).reconnect(false);
    run_with(options, |nats: &Client<Log>| {
        nats.on_connect(|log, _, _| log.push("connected".into()));
        nats.on_error(|log, _, error| {
            if let ConnectionError::ConnectFailed { reason, .. } = error {
                log.push(reason.to_string());
            }
        });
        nats.on_disconnect(|log, _, reason| log.push(reason.to_string()));
        nats.request("a", b"", |log, _, reply| log.push(reply.expect_err("no reply").to_string()));
        nats.on_close(|log, _, _| log.push("closed".into()));
    })
}

#[test]
fn a_server_that_closes_in_the_middle_of_a_message() {
    let log = meet(|mut script| {
        script.handshake();
        script.expect("PUB a");
        script.send(b"MSG a 2 100\r\nonly this");
    });
    let expected = [
        "connected",
        "the server closed the connection",
        "disconnected, outcome unknown",
        "closed",
    ];
    assert_eq!(log, expected);
}

#[test]
fn a_server_that_sends_garbage() {
    let log = meet(|mut script| {
        script.handshake();
        script.send(b"\x00\xff\xfe garbage\r\n");
        script.hold();
    });
    assert!(log[1].starts_with("protocol violation by the server: unknown operation"), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("closed"));
}

#[test]
fn an_error_instead_of_a_pong_ends_the_attempt_with_the_servers_words() {
    let log = meet(|mut script| {
        script.send_info();
        script.expect("CONNECT");
        script.send(b"-ERR 'Authorization Violation'\r\n");
    });
    let expected = [
        "server error: Authorization Violation",
        "disconnected, the request was never sent",
        "closed",
    ];
    assert_eq!(log, expected);
}

#[test]
fn garbage_instead_of_info() {
    let log = meet(|mut script| {
        script.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        script.hold();
    });
    assert!(log[0].contains("unknown operation \"HTTP/1.1\""), "{log:?}");
}

#[test]
fn handshake_timeout_no_info_and_no_pong() {
    let timeout = Duration::from_millis(200);
    let no_info = meet_within(timeout, |mut script| script.hold());
    let no_pong = meet_within(timeout, |mut script| {
        script.send_info();
        script.hold();
    });
    for log in [no_info, no_pong] {
        assert_eq!(log[0], "connect timed out");
        assert_eq!(log.len(), 3);
    }
}

#[test]
fn a_connection_reset_while_much_is_written_is_one_disconnect() {
    let log = meet(|mut script| {
        script.handshake();
        script.expect("PUB a");
        script.reset();
    });
    assert_eq!(log[0], "connected");
    assert_eq!(log.len(), 4, "{log:?}");
    assert_eq!(log[2], "disconnected, outcome unknown");
}

#[test]
fn the_reason_in_an_error_line_beats_the_close_that_follows() {
    let log = meet(|mut script| {
        script.handshake();
        script.expect("PUB a");
        script.send(b"-ERR 'Stale Connection'\r\n");
    });
    assert_eq!(log[1], "server error: Stale Connection");
}

#[test]
fn keep_alive_notices_a_paused_server_although_we_publish_constantly() {
    let server = Server::start();
    server.pause();
    server.resume();
    let options =
        Options::new(server.url()).reconnect(false).ping_interval(Duration::from_millis(100));
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(options).expect("a client");
    fn publish(log: &mut Log, nats: &Client<Log>) {
        if nats.publish("busy", b"x").is_ok() {
            nats.set_timer(Duration::from_millis(5), publish);
        } else {
            log.push("publishing ended".into());
        }
    }
    let pid = std::rc::Rc::new(server);
    let paused = pid.clone();
    nats.on_connect(move |log, nats, _| {
        paused.pause();
        publish(log, nats);
    });
    nats.on_disconnect(|log, _, reason| log.push(reason.to_string()));
    nats.on_close(|_, _, _| {});
    let log = finish(&event_loop);
    pid.resume();
    let expected = ["stale connection: the server stopped answering pings", "publishing ended"];
    assert_eq!(log, expected);
}

#[test]
fn lame_duck_is_announced_once() {
    let server = Server::builder()
        .config("lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"\n")
        .start()
        .expect("a server");
    let server = Rc::new(server);
    let to_stop = server.clone();
    let log: Log = run_with(server.url().as_str(), |nats| {
        nats.on_connect(move |_, _, _| to_stop.lame_duck());
        nats.on_lame_duck(|log: &mut Log, nats| {
            log.push("lame duck".into());
            nats.flush(|_, nats, _| nats.drain());
        });
    });
    assert_eq!(log, ["lame duck"]);
}

/// A child has copies of the parent's sockets and of its selector.
#[cfg(unix)]
#[test]
fn a_child_that_drops_its_copy_of_the_loop_leaves_the_parents_connection_alone() {
    use std::os::unix::process::CommandExt;
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let subject = unique("forked");
    nats.subscribe(&subject, |log: &mut Log, _, message| log.push(message.text().into_owned()))
        .expect("a subscription");
    let mut log = Log::new();
    flush(&event_loop, &mut log, &nats);
    match fork::fork().expect("a child") {
        fork::Fork::Child => {
            drop((nats, event_loop));
            // it ends without running what this program has planned for its end
            let error = std::process::Command::new("true").exec();
            panic!("{error}");
        }
        fork::Fork::Parent(child) => fork::waitpid(child).map(drop).expect("its end"),
    }
    nats.publish(&subject, "still here").expect("a publish");
    turn_until(&event_loop, &mut log, "a message", |log| !log.is_empty());
    assert_eq!((log, nats.statistics().reconnects), (vec!["still here".to_owned()], 0));
    nats.close();
}

/// Gives what it is read from in small pieces, and says nothing of the rest.
#[test]
fn a_transport_that_gives_seven_bytes_a_read_gives_every_message() {
    struct Pieces(MemoryServer);
    impl Read for Pieces {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let len = room.len().min(7);
            self.0.read(&mut room[..len])
        }
    }
    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Speaker for Pieces {
        fn has_more(&self) -> bool {
            self.0.has_more()
        }
    }
    let event_loop = EventLoop::new().expect("an event loop");
    let transport = InMemory::new(Pieces(MemoryServer::new()));
    let nats = event_loop.connect_over(transport, Options::new("memory")).expect("a client");
    for _ in 0..1000 {
        nats.request("echo", "payload", |count: &mut u32, nats, reply| {
            assert_eq!(reply.expect("a reply").payload(), b"payload");
            *count += 1;
            if *count == 1000 {
                nats.close();
            }
        });
    }
    assert_eq!(finish(&event_loop), 1000);
}

/// Answers three requests at once, with other messages between the replies and behind them.
#[derive(Default)]
struct Mixing {
    asked: Vec<Message>,
    /// Of the messages, and of the inbox.
    sids: [u64; 2],
}

impl Responder for Mixing {
    fn hear(&mut self, op: ClientOp, say: &mut dyn FnMut(ServerOp)) {
        match op {
            ClientOp::Subscribe { subject, sid, .. } => {
                self.sids[usize::from(&subject[..] != b"news")] = sid;
            }
            ClientOp::Publish(message) => self.asked.push(message),
            _ => {}
        }
        if self.asked.len() < 3 {
            return;
        }
        let ([news, inbox], asked) = (self.sids, std::mem::take(&mut self.asked));
        let mut send = |subject: &str, sid| {
            say(ServerOp::Message(Message::new(subject, sid, None, None, b"")));
        };
        for (reply, news_behind_it) in asked.iter().zip([1, 0, 2]) {
            send(&reply.reply().expect("a request"), inbox);
            (0..news_behind_it).for_each(|_| send("news", news));
        }
    }
}

#[test]
fn what_has_come_with_a_reply_is_told_in_the_same_turn() {
    let event_loop = EventLoop::new().expect("an event loop");
    let transport = InMemory::new(Responding::new(Mixing::default()));
    let nats = event_loop.connect_over(transport, Options::new("memory")).expect("a client");
    nats.subscribe("news", |log: &mut Log, _, _| log.push("news".into())).expect("a subscription");
    let mut log = Log::new();
    nats.on_connect(|log: &mut Log, _, _| log.push("connected".into()));
    turn_until(&event_loop, &mut log, "a connection", |log| !log.is_empty());
    while event_loop.dispatch(&mut log, Some(Duration::ZERO)).expect("a turn") {}
    for round in 0..3 {
        log.clear();
        for number in 0..3 {
            nats.request("ask", "", move |log: &mut Log, _, reply| {
                reply.expect("a reply");
                log.push(format!("{number}"));
            });
        }
        // it writes, and reads what has come of that
        event_loop.dispatch(&mut log, Some(Duration::from_secs(5))).expect("a turn");
        assert_eq!(log, ["0", "news", "1", "2", "news", "news"], "round {round}");
    }
}
