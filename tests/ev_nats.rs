//! What the tests of another callback-driven client, EV::Nats for Perl, prove, and its known
//! defects, as tests here. Where a test elsewhere proves the same, or more, this is the table:
//!
//! | its test | ours |
//! |---|---|
//! | t/00_load, t/14_module_load | every test binary; the examples in the documentation |
//! | t/01_connect | `reconnect::the_state_is_what_the_callbacks_say` |
//! | t/02_pubsub | `client::wildcards_deliver_in_order_with_subject_and_payload` |
//! | t/03_request | `client::requests_are_answered_and_no_responders_is_an_error_of_its_own` |
//! | t/04_queue_group | `client::a_queue_group_shares_its_messages` |
//! | t/05_autounsub | `client::auto_unsubscribe_is_exact_also_when_already_exceeded` |
//! | t/06_request_timeout | [`t_06_a_request_without_an_answer_times_out_when_it_said`] |
//! | t/07_drain | `client::draining_a_connection_loses_nothing` |
//! | t/08_large_payload | `client::payloads_of_all_sizes_arrive_unharmed` |
//! | t/09_stress, t/10_batch | [`t_09_ten_thousand_publishes_at_once_all_come_back_and_are_counted`] |
//! | t/11_multi_conn | [`t_11_three_connections_on_one_loop_fan_out_and_ask_each_other`] |
//! | t/12_multi_process | [`t_12_three_processes_fan_out_and_share_a_queue`] |
//! | t/13_misc | [`t_13_inboxes_are_unique_and_prefixed_and_subscriptions_are_counted`], `client::the_round_trip_is_measured_and_statistics_are_kept` |
//! | t/15_creds_file | `security::a_creds_file_that_is_cut_anywhere_is_an_error_that_says_what_is_missing`, `security::a_jwt_comes_from_a_file_from_memory_or_with_a_signer` |
//! | t/16_max_payload, xt/09_max_payload | `client::max_payload_boundary_is_exact_with_headers` |
//! | xt/01_cluster_failover | `reconnect::servers_are_discovered_and_taken_with_the_user_of_the_url_when_the_connected_one_dies` |
//! | xt/02_unix_socket | `client::unix_sockets_carry_everything` |
//! | xt/03_auth_failure | `security::a_token_comes_from_the_options_or_the_url_which_counts_more` |
//! | xt/04_server_restart | `reconnect::a_server_restart_is_one_reconnect_and_everything_is_alive_after_it` |
//! | xt/05_concurrent_requests | `client::a_hundred_thousand_requests_in_flight_all_answer_exactly_once` |
//! | xt/06_large_fanout | [`xt_06_a_hundred_subscriptions_have_a_hundred_messages_each`] |
//! | xt/07_slow_consumer | `reconnect::a_paused_subscription_is_a_slow_consumer_once_an_episode_and_nobody_else_suffers` |
//! | xt/08_drain_under_load | [`xt_08_a_drain_in_mid_stream_delivers_what_it_must_and_ends`] |
//! | xt/10_tls | `security::a_certificate_must_be_of_a_trusted_issuer_and_valid_and_for_the_host` |
//! | xt/11_jetstream | `jetstream::streams_are_created_asked_about_updated_and_deleted`, `jetstream::publish_is_acknowledged_and_duplicates_are_recognised`; there are no pull consumers here |
//! | xt/12_kv | `key_value::put_get_update_delete_purge`, `key_value::keys_leave_out_tombstones_and_take_filters` |
//! | xt/13_object_store, xt/18_js_ack_flow | there is no object store here, and there are no pull consumers |
//! | xt/14_lame_duck | `client::lame_duck_is_announced_once`, `lame_duck::lame_duck_move_loses_no_message_and_delivers_none_twice` |
//! | xt/15_nkey_auth | `security::an_nkey_signs_and_another_one_is_refused` |
//! | xt/16_kv_watch | `key_value::watch_shows_last_values_the_signal_and_live_updates` |
//! | xt/17_flush_disconnect | `reconnect::flush_waiters_fail_with_the_connection_and_those_set_while_down_are_passed_after` |
//! | xt/release_pod | `missing_docs` |
//!
//! | its defect | ours |
//! |---|---|
//! | 1 messages that were split | [`defect_01_a_message_split_anywhere_keeps_its_subject_and_reply`] |
//! | 2 long seeds | [`defect_02_a_seed_of_any_length_is_refused`] |
//! | 3 long subjects | [`defect_03_a_subject_of_any_length_is_refused_or_sent_whole`] |
//! | 4, 9 lengths and lines that lie | [`defect_04_a_header_longer_than_its_message_breaks_the_protocol`], [`defect_09_a_line_without_an_end_and_a_malformed_line_end_the_connection`] |
//! | 5 garbage in the INFO | [`defect_05_an_info_that_is_cut_anywhere_is_an_error`] |
//! | 6 the last handle goes | `promises::promise_1_a_callback_may_drop_the_last_handle` |
//! | 7 injection | `client::bad_input_is_refused_with_a_clear_error_and_the_connection_stays_usable` |
//! | 8 TLS | `security::tls_that_a_server_does_not_have_is_an_error_and_nothing_is_said`; in the protocol `bytes_in_the_clear_do_not_count_as_bytes_through_tls` |
//! | 10 SIGPIPE | [`defect_10_writing_to_a_peer_that_has_gone_is_no_end_of_the_process`] |
//! | 11 long names and secrets | [`defect_11_long_names_and_passwords_are_sent_whole`], `security::a_long_jwt_needs_a_longer_control_line_on_both_sides` |
//! | 12 exceptions in a message callback | `promises::promise_7_a_panic_in_a_callback_leaves_the_client_consistent` |
//! | 13 commands in a disconnect | [`defect_13_whatever_is_asked_during_a_disconnect_is_answered_after_it`] |
//! | 14 exceptions in a batch | [`defect_14_a_panic_in_the_middle_of_publishing_stops_no_later_write`] |
//! | 15 errors nobody listens to | [`defect_15_errors_that_nobody_listens_to_go_nowhere`] |
//! | 16 inline callbacks | `promises::promise_2_commands_never_call_back_inline` |
//! | 17 a flush that the write failed for | `reconnect::flush_waiters_fail_with_the_connection_and_those_set_while_down_are_passed_after` |
//! | 18, 19 order around the first connection | [`defect_18_flushes_before_and_in_on_connect_are_passed_in_order`], [`defect_19_what_waited_is_sent_before_what_on_connect_sends`] |
//! | 20 ghosts of requests | `reconnect::a_request_made_while_down_that_nobody_waits_for_any_more_is_not_sent` |
//! | 21 what was not sent | `reconnect::closing_while_reconnecting_ends_the_loop_and_tells_everybody`, `reconnect::the_reconnect_buffer_refuses_what_is_beyond_it_and_says_when_there_is_room` |
//! | 22 permissions and authentication | `security::what_is_not_permitted_is_told_to_whom_it_concerns_and_the_connection_stays`, `security::the_same_authentication_error_twice_stops_a_client_unless_it_is_to_go_on` |
//! | 23 failover | `reconnect::servers_are_discovered_and_taken_with_the_user_of_the_url_when_the_connected_one_dies`, `client::host_names_are_looked_up_off_the_loop` |
//! | 24 a disconnect without a connection | `reconnect::without_retries_the_first_connection_tries_every_server_once` |
//! | 25 a maximum that is reached | `client::auto_unsubscribe_is_exact_also_when_already_exceeded` |
//! | 26 drains | [`defect_26_a_drained_subscription_does_not_come_back_with_the_connection`], `reconnect::a_drain_while_down_waits_for_the_connection_and_delivers` |
//! | 27 messages that are too large | [`defect_27_a_message_larger_than_the_limit_ends_the_connection`] |
//! | 28 slow consumers | `reconnect::a_paused_subscription_is_a_slow_consumer_once_an_episode_and_nobody_else_suffers` |
//! | 29, 31, 33 fetching, lists of streams, objects | not here |
//! | 30 options of a publish | `jetstream::expectations_hold_or_are_errors_with_codes` |
//! | 32 Key-Value | `key_value::create_over_delete_and_purge_and_conflicts_with_both_revisions` and the others there |
//! | 34 errors as text | `promises::promise_10_errors_are_values_and_name_what_is_wrong` |
//! | 35, 36, 37 options, setters, raw headers | types; `client::headers_travel_and_keep_their_case_and_order` |
//! | 38, 39, 40 speed | `allocations`, the benches |

mod support;

use evnats::{
    Client, CommandError, ConnectionState, Credentials, DisconnectReason, EventLoop, HeaderMap,
    Limits, Options, OutgoingMessage, ProtocolError, RequestError,
};
use evnats_harness::{Direction, Fault, FaultProxy, ReservedPort, Script, ScriptedServer, Server};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{
    Log, assert_same, fail, finish, finish_with, flush, run, run_with, server, turn_until, unique,
};

// ---- its tests ------------------------------------------------------------------------------------

#[test]
fn t_06_a_request_without_an_answer_times_out_when_it_said() {
    const TIMEOUT: Duration = Duration::from_millis(150);
    let subject = unique("silent");
    let began = Rc::new(Cell::new(Instant::now()));
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |log: &mut Log, _, _| log.push("asked".into()))
            .expect("a subscription");
        nats.flush(move |_: &mut Log, nats, _| {
            let message = OutgoingMessage::new(&subject, b"?");
            began.set(Instant::now());
            nats.send_request(message, TIMEOUT, move |log: &mut Log, nats, outcome| {
                assert_eq!(outcome, Err(RequestError::Timeout));
                let took = began.get().elapsed();
                assert!(took >= TIMEOUT, "{took:?}");
                assert!(took < Duration::from_secs(30), "{took:?}");
                log.push("no reply".into());
                nats.close();
            });
        });
    });
    assert_eq!(log, ["asked", "no reply"]);
}

#[test]
fn t_09_ten_thousand_publishes_at_once_all_come_back_and_are_counted() {
    const COUNT: u64 = 10_000;
    let subject = unique("stress");
    let event_loop: EventLoop<Vec<u64>> = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |numbers, _, message| {
        numbers.push(message.text().parse().expect("a number"));
    })
    .expect("a subscription");
    for number in 0..COUNT {
        nats.publish(&subject, number.to_string()).expect("a publish");
    }
    nats.flush(|_, nats, _| nats.close());
    let numbers = finish(&event_loop);
    assert_same(&numbers, &(0..COUNT).collect::<Vec<_>>());
    let statistics = nats.statistics();
    let bytes: usize = (0..COUNT).map(|number| number.to_string().len()).sum();
    assert_eq!((statistics.messages_out, statistics.messages_in), (COUNT, COUNT));
    assert_eq!((statistics.bytes_out, statistics.bytes_in), (bytes as u64, bytes as u64));
}

#[test]
fn t_11_three_connections_on_one_loop_fan_out_and_ask_each_other() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let clients: Vec<_> =
        (0..3).map(|_| event_loop.connect(server().url()).expect("a client")).collect();
    let (subject, service) = (unique("fan"), unique("service"));
    let mut log = Log::new();
    for (place, nats) in clients.iter().enumerate() {
        nats.subscribe(&subject, move |log, _, message| {
            log.push(format!("{place} {}", message.text()));
        })
        .expect("a subscription");
        flush(&event_loop, &mut log, nats);
    }
    for text in ["first", "second", "last"] {
        clients[0].publish(&subject, text).expect("a publish");
    }
    turn_until(&event_loop, &mut log, "nine messages", |log| log.len() == 9);
    for place in 0..3 {
        let own: Vec<_> =
            log.iter().filter_map(|line| line.strip_prefix(&format!("{place} "))).collect();
        assert_eq!(own, ["first", "second", "last"]);
    }
    log.clear();
    clients[1]
        .subscribe(&service, |_, nats, message| {
            nats.client().respond(message, format!("{}!", message.text())).expect("an answer");
        })
        .expect("a subscription");
    flush(&event_loop, &mut log, &clients[1]);
    clients[2].request(&service, "across", |log: &mut Log, _, reply| {
        log.push(reply.expect("a reply").text().into_owned());
    });
    turn_until(&event_loop, &mut log, "a reply", |log| !log.is_empty());
    assert_eq!(log, ["across!"]);
    clients.iter().for_each(Client::close);
    finish_with(&event_loop, &mut log);
}

/// Tells a process of [`t_12_three_processes_fan_out_and_share_a_queue`] what it is to do.
const WORKER: &str = "EVNATS_TEST_WORKER";
const FANNED: u64 = 50;
const QUEUED: u64 = 60;

#[test]
#[ignore = "run in child processes by t_12_three_processes_fan_out_and_share_a_queue"]
fn child_that_works() {
    // with all tests that are ignored, it is run by itself, too
    let Ok(work) = std::env::var(WORKER) else { return };
    let (url, base) = work.split_once(' ').expect("a URL and a subject");
    let fanned = Rc::new(Cell::new(0));
    let queued = Rc::new(Cell::new(0));
    let (all, some) = (fanned.clone(), queued.clone());
    let base = base.to_owned();
    let _: Log = run_with(url, move |nats| {
        nats.subscribe(&format!("{base}.fan"), move |_: &mut Log, _, _| all.set(all.get() + 1))
            .expect("a subscription");
        nats.queue_subscribe(&format!("{base}.queue"), "workers", move |_, nats, message| {
            some.set(some.get() + 1);
            nats.client().respond(message, "done").expect("an answer");
        })
        .expect("a subscription");
        let ready = format!("{base}.ready");
        nats.subscribe(&format!("{base}.report"), move |_, nats, _| {
            let report = format!("{} {}", fanned.get(), queued.get());
            nats.client().publish(&format!("{base}.reported"), report).expect("a publish");
            nats.client().drain();
        })
        .expect("a subscription");
        // the server knows of the subscriptions before anybody hears that this one is ready
        nats.flush(move |_, nats, _| nats.publish(&ready, "").expect("a publish"));
    });
}

#[test]
fn t_12_three_processes_fan_out_and_share_a_queue() {
    struct Worker(Child);
    impl Drop for Worker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let base = unique("processes");
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let nats = event_loop.connect(server().url()).expect("a client");
    for what in ["ready", "reported"] {
        nats.subscribe(&format!("{base}.{what}"), move |log, _, message| {
            log.push(format!("{what} {}", message.text()));
        })
        .expect("a subscription");
    }
    flush(&event_loop, &mut log, &nats);
    let program = std::env::current_exe().expect("the path of the test");
    let mut workers: Vec<_> = (0..3)
        .map(|_| {
            let mut command = Command::new(&program);
            command.args(["--exact", "child_that_works", "--ignored"]);
            command.env(WORKER, format!("{} {base}", server().url()));
            command.stdout(std::process::Stdio::null());
            Worker(command.spawn().expect("a process"))
        })
        .collect();
    turn_until(&event_loop, &mut log, "three workers", |log| log.len() == 3);
    for _ in 0..FANNED {
        nats.publish(&format!("{base}.fan"), "").expect("a publish");
    }
    for _ in 0..QUEUED {
        nats.request(&format!("{base}.queue"), "", |log: &mut Log, _, reply| {
            log.push(reply.expect("a reply").text().into_owned());
        });
    }
    turn_until(&event_loop, &mut log, "work", |log| log.len() as u64 == 3 + QUEUED);
    nats.publish(&format!("{base}.report"), "").expect("a publish");
    turn_until(&event_loop, &mut log, "reports", |log| log.len() as u64 == 6 + QUEUED);
    let reports = log.iter().filter_map(|line| line.strip_prefix("reported "));
    let reports: Vec<(u64, u64)> = reports
        .map(|line| {
            let (fanned, queued) = line.split_once(' ').expect("two numbers");
            (fanned.parse().expect("a number"), queued.parse().expect("a number"))
        })
        .collect();
    assert!(reports.iter().all(|(fanned, _)| *fanned == FANNED), "{reports:?}");
    assert_eq!(reports.iter().map(|(_, queued)| queued).sum::<u64>(), QUEUED, "{reports:?}");
    assert!(reports.iter().all(|(_, queued)| *queued < QUEUED), "one took all: {reports:?}");
    for worker in &mut workers {
        assert!(worker.0.wait().expect("an end").success());
    }
}

#[test]
fn t_13_inboxes_are_unique_and_prefixed_and_subscriptions_are_counted() {
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let options = Options::new(server().url()).inbox_prefix("_MINE.own");
    let nats = event_loop.connect(options).expect("a client");
    let mut inboxes: Vec<_> = (0..1000).map(|_| nats.new_inbox()).collect();
    assert!(inboxes.iter().all(|inbox| inbox.starts_with("_MINE.own.")), "{}", inboxes[0]);
    inboxes.sort_unstable();
    inboxes.dedup();
    assert_eq!(inboxes.len(), 1000);
    let base = unique("misc");
    for pattern in ["*", ">"] {
        nats.subscribe(&format!("{base}.{pattern}"), move |log, _, _| log.push(pattern.into()))
            .expect("a subscription");
    }
    for subject in ["a", "b", "a.b"] {
        nats.publish(&format!("{base}.{subject}"), "").expect("a publish");
    }
    flush(&event_loop, &mut log, &nats);
    assert_eq!(log.iter().filter(|pattern| *pattern == "*").count(), 2);
    assert_eq!(log.iter().filter(|pattern| *pattern == ">").count(), 3);
    nats.request("nobody.is.there", "", |log: &mut Log, _, _| log.push("asked".into()));
    turn_until(&event_loop, &mut log, "an outcome", |log| log.len() == 6);
    assert_eq!(nats.subscription_count(), 2, "the inbox of requests does not count");
    assert_eq!(nats.state(), ConnectionState::Connected);
}

#[test]
fn xt_06_a_hundred_subscriptions_have_a_hundred_messages_each() {
    let subject = unique("fan");
    let event_loop: EventLoop<Vec<Vec<u8>>> = EventLoop::new().expect("an event loop");
    let mut received = vec![Vec::new(); 100];
    let nats = event_loop.connect(server().url()).expect("a client");
    for place in 0..100 {
        nats.subscribe(&subject, move |received: &mut Vec<Vec<u8>>, _, message| {
            received[place].push(message.payload()[0]);
        })
        .expect("a subscription");
    }
    for number in 0..100_u8 {
        nats.publish(&subject, vec![number]).expect("a publish");
    }
    flush(&event_loop, &mut received, &nats);
    for numbers in &received {
        assert_same(numbers, &(0..100).collect::<Vec<_>>());
    }
}

#[test]
fn xt_08_a_drain_in_mid_stream_delivers_what_it_must_and_ends() {
    #[derive(Default)]
    struct App {
        received: Vec<u64>,
        sent: u64,
        drained: bool,
        closed: Option<DisconnectReason>,
    }
    let subject = unique("stream");
    let event_loop: EventLoop<App> = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let publisher = event_loop.connect(server().url()).expect("a client");
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |app: &mut App, nats, message| {
        app.received.push(message.text().parse().expect("a number"));
        if app.received.len() == 1000 {
            nats.client().drain();
            app.drained = true;
        }
    })
    .expect("a subscription");
    nats.on_close(|app: &mut App, _, reason| app.closed = Some(reason.clone()));
    flush(&event_loop, &mut app, &nats);
    fn send(app: &mut App, publisher: &Client<App>, subject: String) {
        for _ in 0..100 {
            publisher.publish(&subject, app.sent.to_string()).expect("a publish");
            app.sent += 1;
        }
        if app.closed.is_none() {
            publisher.flush(move |app: &mut App, publisher, _| send(app, publisher, subject));
        }
    }
    send(&mut app, &publisher, subject);
    turn_until(&event_loop, &mut app, "the end", |app| app.closed.is_some());
    assert!(app.drained);
    assert_eq!(app.closed, Some(DisconnectReason::Drained));
    assert!(app.received.len() >= 1000);
    assert_same(&app.received, &(0..app.received.len() as u64).collect::<Vec<_>>());
}

// ---- its defects ----------------------------------------------------------------------------------

#[test]
fn defect_01_a_message_split_anywhere_keeps_its_subject_and_reply() {
    // every byte of every frame comes alone
    let direction = Direction::ToClient;
    let proxy = FaultProxy::start(server().port(), move |_| {
        vec![Fault::Trickle { direction, from: 0, until: u64::MAX }]
    });
    let base = unique("split");
    let event_loop: EventLoop<Vec<u64>> = EventLoop::new().expect("an event loop");
    let mut numbers = Vec::new();
    let nats = event_loop.connect(proxy.url()).expect("a client");
    let expected = base.clone();
    nats.subscribe(&format!("{base}.>"), move |numbers: &mut Vec<u64>, _, message| {
        let number = numbers.len() as u64;
        assert_eq!(message.subject(), format!("{expected}.number.{number}"));
        assert_eq!(message.reply().as_deref(), Some(&*format!("reply.to.{number}")));
        assert_eq!(message.headers().get("Number").as_deref(), Some(&*number.to_string()));
        assert_eq!(message.payload(), "x".repeat(number as usize).as_bytes());
        numbers.push(number);
    })
    .expect("a subscription");
    let publisher = event_loop.connect(server().url()).expect("a client");
    flush(&event_loop, &mut numbers, &nats);
    for number in 0..40 {
        let (subject, reply) = (format!("{base}.number.{number}"), format!("reply.to.{number}"));
        let headers = HeaderMap::new().with("Number", number.to_string());
        let message =
            OutgoingMessage::new(&subject, "x".repeat(number)).reply(&reply).headers(&headers);
        publisher.send(message).expect("a publish");
    }
    turn_until(&event_loop, &mut numbers, "messages", |numbers| numbers.len() == 40);
    assert_eq!(nats.state(), ConnectionState::Connected);
}

#[cfg(feature = "nkeys")]
#[test]
fn defect_02_a_seed_of_any_length_is_refused() {
    for len in [1, 57, 59, 64, 65, 128, 4_000, 100_000] {
        let seed = format!("SU{}", "A".repeat(len - 1));
        assert!(Credentials::nkey(&seed).is_err(), "{len} characters");
    }
}

#[test]
fn defect_03_a_subject_of_any_length_is_refused_or_sent_whole() {
    let log: Log = run(|nats| {
        nats.subscribe("long.>", |log: &mut Log, _, message| {
            log.push(message.subject().len().to_string());
        })
        .expect("a subscription");
        for len in [3_900, 4_000, 4_050, 4_090, 4_096, 5_000, 70_000] {
            let subject = format!("long.{}", "x".repeat(len - 5));
            match nats.publish(&subject, "") {
                Ok(()) => assert!(len < 4_096, "{len} is too long for servers"),
                Err(evnats::Error::Command(CommandError::ControlLineTooLong { size, limit })) => {
                    assert!(size >= len && limit == 4_096 && len > 4_000, "{len}: {size}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        nats.flush(|log: &mut Log, nats, flushed| {
            log.push(format!("{flushed:?}"));
            nats.close();
        });
    });
    assert!(log.starts_with(&["3900".into(), "4000".into()]), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("Ok(())"), "the connection stays: {log:?}");
}

/// Why a client leaves a scripted server.
fn leaves(
    change: impl FnOnce(Options) -> Options,
    script: impl FnMut(Script) + Send + 'static,
) -> DisconnectReason {
    let server = ScriptedServer::start(script);
    let options = change(Options::new(server.url()).reconnect(false));
    let mut reasons: Vec<DisconnectReason> = run_with(options, |nats| {
        nats.subscribe("a", |_, _, message| fail(format!("{:?} is none", message.text())))
            .expect("a subscription");
        nats.on_close(|reasons: &mut Vec<_>, _, reason| reasons.push(reason.clone()));
    });
    assert_eq!(reasons.len(), 1);
    reasons.remove(0)
}

#[test]
fn defect_04_a_header_longer_than_its_message_breaks_the_protocol() {
    for line in ["HMSG a 2 200 10", "HMSG a 2 5 4", "HMSG a 2 18446744073709551615 1"] {
        let reason = leaves(
            |options| options,
            move |mut script| {
                script.handshake();
                script.send(format!("{line}\r\nNATS/1.0\r\n\r\nMSG a 2 1\r\nx\r\n").as_bytes());
                script.hold();
            },
        );
        let expected = matches!(
            reason,
            DisconnectReason::Protocol(ProtocolError::MalformedArguments { verb: "HMSG", .. })
        );
        assert!(expected, "{line}: {reason:?}");
    }
}

#[test]
fn defect_05_an_info_that_is_cut_anywhere_is_an_error() {
    const INFO: &str =
        r#"INFO {"server_id":"A","version":"2.15.0","max_payload":1048576,"headers":true}"#;
    for len in 5..INFO.len() {
        let reason = leaves(
            |options| options,
            move |mut script| {
                script.send(&INFO.as_bytes()[..len]);
                script.send(b"\r\n");
                script.hold();
            },
        );
        let expected = matches!(reason, DisconnectReason::Protocol(_));
        assert!(expected, "{:?}: {reason:?}", &INFO[..len]);
    }
}

#[test]
fn defect_09_a_line_without_an_end_and_a_malformed_line_end_the_connection() {
    let endless = leaves(
        |options| options,
        |mut script| {
            script.handshake();
            script.send(b"MSG a ");
            for _ in 0..100 {
                script.send(&[b'x'; 100_000]);
            }
            script.hold();
        },
    );
    let expected = matches!(endless, DisconnectReason::Protocol(ProtocolError::LineTooLong { .. }));
    assert!(expected, "{endless:?}");
    // the payload of the malformed line is not taken for the protocol
    let malformed = leaves(
        |options| options,
        |mut script| {
            script.handshake();
            script.send(b"MSG a two 12\r\nMSG a 2 1\r\nx\r\n\r\n");
            script.hold();
        },
    );
    let expected =
        matches!(malformed, DisconnectReason::Protocol(ProtocolError::MalformedArguments { .. }));
    assert!(expected, "{malformed:?}");
}

#[test]
fn defect_10_writing_to_a_peer_that_has_gone_is_no_end_of_the_process() {
    let server = ScriptedServer::start(|mut script| {
        script.handshake();
        script.reset();
    });
    let options = Options::new(server.url()).reconnect(false);
    let log: Log = run_with(options, |nats| {
        fn write(nats: &Client<Log>) {
            // until the end of the connection is known
            if nats.publish("a", vec![0; 100_000]).is_ok() {
                let again = nats.clone();
                nats.handle().set_timer(Duration::ZERO, move |_, _| write(&again));
            }
        }
        nats.on_connect(|_, nats, _| write(nats));
        nats.on_close(|log: &mut Log, _, _| log.push("closed".into()));
    });
    assert_eq!(log, ["closed"]);
}

#[test]
fn defect_11_long_names_and_passwords_are_sent_whole() {
    let (user, password) = ("u".repeat(1_200), "p".repeat(1_300));
    let config = format!("authorization {{ user: \"{user}\", password: \"{password}\" }}\n");
    let server = Server::builder().jetstream(false).config(config).start().expect("a server");
    let connects = |user: &str, password: &str| {
        let credentials = Credentials::user_password(user, password);
        let options = Options::new(server.url()).name("n".repeat(1_000)).credentials(credentials);
        let log: Log = run_with(options, |nats| {
            nats.on_connect(|log: &mut Log, nats, _| {
                log.push("connected".into());
                nats.close();
            });
            nats.on_close(|_, _, _| {});
        });
        !log.is_empty()
    };
    assert!(connects(&user, &password));
    assert!(!connects(&user[..1_199], &password));
    assert!(!connects(&user, &password[..1_299]));
}

#[test]
fn defect_13_whatever_is_asked_during_a_disconnect_is_answered_after_it() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let (silent, service) = (unique("silent"), unique("service"));
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let nats = event_loop.connect(proxy.url()).expect("a client");
    nats.subscribe(&silent, |log: &mut Log, _, _| log.push("asked".into()))
        .expect("a subscription");
    let subject = service.clone();
    nats.subscribe(&service, |log: &mut Log, nats, message| match message.reply() {
        Some(_) => nats.client().respond(message, message.payload()).expect("an answer"),
        None => log.push(format!("published {}", message.text())),
    })
    .expect("a subscription");
    let to = service.clone();
    nats.on_disconnect(move |log, nats, _| {
        log.push("disconnected".into());
        nats.publish(&to, "in on_disconnect").expect("a publish");
        nats.request(&to, "in on_disconnect", |log: &mut Log, _, reply| {
            log.push(format!("answered {}", reply.expect("a reply").text()));
        });
        nats.flush(|log: &mut Log, _, flushed| log.push(format!("flushed {flushed:?}")));
    });
    nats.request(&silent, "", move |log: &mut Log, nats, outcome| {
        log.push(format!("{outcome:?}"));
        nats.request(&subject, "again", |log: &mut Log, _, reply| {
            log.push(format!("answered {}", reply.expect("a reply").text()));
        });
    });
    turn_until(&event_loop, &mut log, "the request", |log| log.len() == 1);
    proxy.cut_all();
    turn_until(&event_loop, &mut log, "everything", |log| log.len() == 7);
    assert_eq!(log[..3], ["asked", "disconnected", "Err(OutcomeUnknown)"]);
    let mut rest = log.split_off(3);
    rest.sort_unstable();
    let expected = [
        "answered again",
        "answered in on_disconnect",
        "flushed Ok(())",
        "published in on_disconnect",
    ];
    assert_eq!(rest, expected);
}

#[test]
fn defect_14_a_panic_in_the_middle_of_publishing_stops_no_later_write() {
    let subject = unique("numbers");
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let nats = event_loop.connect(server().url()).expect("a client");
    nats.subscribe(&subject, |log: &mut Log, _, message| log.push(message.text().into_owned()))
        .expect("a subscription");
    let to = subject.clone();
    nats.on_connect(move |_, nats, _| {
        for number in 0..3 {
            nats.publish(&to, number.to_string()).expect("a publish");
        }
        fail("a bug in the application");
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        turn_until(&event_loop, &mut log, "a panic", |log| log.len() == 3);
    }));
    assert!(panicked.is_err());
    nats.publish(&subject, "3").expect("a publish");
    flush(&event_loop, &mut log, &nats);
    assert_eq!(log, ["0", "1", "2", "3"]);
}

#[test]
fn defect_15_errors_that_nobody_listens_to_go_nowhere() {
    let port = ReservedPort::any().expect("a free port");
    let event_loop: EventLoop<()> = EventLoop::new().expect("an event loop");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let options = Options::new(format!("127.0.0.1:{}", port.port()))
        .retry_first_connect(true)
        .reconnect_delay_with(move |passes| {
            count.store(passes, Relaxed);
            Duration::from_millis(1)
        });
    let nats = event_loop.connect(options).expect("a client");
    turn_until(&event_loop, &mut (), "twenty failures", |()| asked.load(Relaxed) == 20);
    nats.close();
    finish_with(&event_loop, &mut ());
}

#[test]
fn defect_18_flushes_before_and_in_on_connect_are_passed_in_order() {
    let log: Log = run(|nats| {
        nats.flush(|log: &mut Log, _, flushed| log.push(format!("before {flushed:?}")));
        nats.on_connect(|_, nats, _| {
            nats.flush(|log: &mut Log, nats, flushed| {
                log.push(format!("in on_connect {flushed:?}"));
                nats.close();
            });
        });
    });
    assert_eq!(log, ["before Ok(())", "in on_connect Ok(())"]);
}

#[test]
fn defect_19_what_waited_is_sent_before_what_on_connect_sends() {
    let subject = unique("order");
    let log: Log = run(|nats| {
        nats.subscribe(&subject, |log: &mut Log, _, message| log.push(message.text().into_owned()))
            .expect("a subscription");
        let to = subject.clone();
        nats.on_connect(move |_, nats, _| {
            nats.publish(&to, "2").expect("a publish");
            nats.flush(|_, nats, _| nats.close());
        });
        nats.publish(&subject, "0").expect("a publish");
        nats.publish(&subject, "1").expect("a publish");
    });
    assert_eq!(log, ["0", "1", "2"]);
}

#[test]
fn defect_26_a_drained_subscription_does_not_come_back_with_the_connection() {
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let (drained, draining, kept) = (unique("drained"), unique("draining"), unique("kept"));
    let event_loop: EventLoop<Log> = EventLoop::new().expect("an event loop");
    let mut log = Log::new();
    let nats = event_loop.connect(proxy.url()).expect("a client");
    let subscribe = |subject: &str| {
        let text = subject.to_owned();
        nats.subscribe(subject, move |log: &mut Log, _, _| log.push(text.clone())).expect("one")
    };
    let [first, second, _] = [&drained, &draining, &kept].map(|subject| subscribe(subject));
    first.drain(|log, _, outcome| log.push(format!("drained {outcome:?}")));
    turn_until(&event_loop, &mut log, "a drain", |log| !log.is_empty());
    proxy.stall_all();
    second.drain(|log, _, outcome| log.push(format!("draining {outcome:?}")));
    turn_until(&event_loop, &mut log, "a write", |_| nats.buffered() == 0);
    proxy.cut_all();
    turn_until(&event_loop, &mut log, "a reconnect", |_| nats.statistics().reconnects == 1);
    for subject in [&drained, &draining, &kept] {
        nats.publish(subject, "").expect("a publish");
    }
    flush(&event_loop, &mut log, &nats);
    assert_eq!(log, ["drained Ok(())", "draining Err(Disconnected)", &kept]);
    assert_eq!(nats.subscription_count(), 1);
}

#[test]
fn defect_27_a_message_larger_than_the_limit_ends_the_connection() {
    let limits = Limits::new().max_message(1_000);
    let reason = leaves(
        |options| options.incoming_limits(limits),
        |mut script| {
            script.handshake();
            script.send(b"MSG a 2 1001\r\n");
            script.hold();
        },
    );
    let expected = ProtocolError::MessageTooLarge { size: 1_001, limit: 1_000 };
    assert_eq!(reason, DisconnectReason::Protocol(expected));
}
