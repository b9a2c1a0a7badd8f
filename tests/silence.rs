//! Silence is never the answer: every row of the tables "When nothing comes", in the docs of `Client`,
//! of `jetstream`, of `kv`, of `object_store`, of `groups` and of `service`, with the tests that show it;
//! and those of them that belong nowhere else.

mod support;

use evnats::jetstream::ConsumerInfo;
use evnats::kv::{self, Config, KeyValue, Update, WatchOptions};
use evnats::{Client, EventLoop, FlushError, Options, OutgoingMessage};
use evnats_harness::{Cluster, Server, requires};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::new_cluster::create_bucket;
use support::{Log, finish_with, turn_until, unique};

/// The first words of a row, and its tests.
const CLIENT: &[(&str, &[&str])] = &[
    (
        "no server can be reached",
        &[
            "a_server_that_cannot_be_reached_is_reported_to_everybody_who_waits",
            "handshake_timeout_no_info_and_no_pong",
            "garbage_instead_of_info",
        ],
    ),
    (
        "a name is not found",
        &[
            "a_name_that_does_not_exist_and_a_port_where_nobody_listens",
            "names_that_hang_take_no_more_threads_and_what_nobody_waits_for_is_not_begun",
        ],
    ),
    (
        "the server does not accept the credentials",
        &["the_same_authentication_error_twice_stops_a_client_unless_it_is_to_go_on"],
    ),
    (
        "the server falls silent",
        &[
            "a_server_that_is_frozen_is_left_as_stale_and_taken_back",
            "keep_alive_notices_a_paused_server_although_we_publish_constantly",
            "a_server_that_streams_and_never_answers_is_stale",
        ],
    ),
    (
        "the connection is lost",
        &["requests_in_flight_are_unknown_and_those_made_while_down_are_answered_after"],
    ),
    (
        "there is no connection",
        &[
            "the_reconnect_buffer_refuses_what_is_beyond_it_and_says_when_there_is_room",
            "a_request_made_while_down_that_nobody_waits_for_any_more_is_not_sent",
            "without_a_connection_drains_need_room_as_every_command_does",
        ],
    ),
    (
        "nobody listens on the subject of a request",
        &["requests_are_answered_and_no_responders_is_an_error_of_its_own"],
    ),
    ("whoever listens does not answer", &["promise_3_every_one_shot_callback_runs_exactly_once"]),
    (
        "a request, or the inbox",
        &[
            "what_is_not_permitted_is_told_to_whom_it_concerns_and_the_connection_stays",
            "requests_whose_inbox_is_not_permitted_fail_at_once_and_another_prefix_helps",
        ],
    ),
    (
        "a subscription is not permitted",
        &["permissions_that_are_taken_away_end_the_subscriptions_they_were_for"],
    ),
    (
        "publishing to a subject is not permitted",
        &["a_permission_violation_is_reported_and_the_connection_stays"],
    ),
    ("nobody has subscribed", &[]),
    (
        "an answer cannot be sent",
        &["answers_that_cannot_leave_are_counted_and_reported_and_no_error"],
    ),
    (
        "a subscription is paused",
        &["a_paused_subscription_is_a_slow_consumer_once_an_episode_and_nobody_else_suffers"],
    ),
    (
        "a flush, or the drain of a subscription",
        &["a_flush_and_a_drain_that_a_frozen_server_does_not_answer_time_out"],
    ),
    (
        "a server does not tell",
        &["a_trace_that_nobody_completes_ends_with_its_time_and_can_be_stopped"],
    ),
    (
        "a drain of the client",
        &[
            "a_drain_while_down_ends_when_its_time_is_up",
            "a_drain_that_is_not_complete_in_time_is_heard_too",
        ],
    ),
    (
        "the client is over",
        &["commands_to_a_client_that_is_over_have_their_callbacks_and_the_loop_ends"],
    ),
    ("the client's end has no", &["a_client_that_ends_unheard_ends_run_with_the_reason"]),
    ("more is posted to the loop", &["posts_beyond_the_limit_come_back"]),
];

const OBJECTS: &[(&str, &[&str])] = &[
    ("no rights", &["objects_need_the_rights_that_their_table_says_and_no_others"]),
    (
        "nobody leads the stream, it is overloaded",
        &[
            "a_put_and_a_get_go_on_though_the_connection_is_cut",
            "a_put_and_a_get_survive_the_death_of_the_server",
            "an_object_with_replicas_survives_the_death_of_nodes",
        ],
    ),
    ("the same for six requests' time", &["a_server_that_is_gone_ends_puts_and_gets"]),
    (
        "the bucket is deleted while an object is put",
        &["a_bucket_that_is_deleted_under_a_put_ends_it"],
    ),
    (
        "a chunk is missing",
        &["what_is_missing_is_damage_and_not_an_end", "bytes_that_are_others_are_damage"],
    ),
    (
        "an object is replaced or deleted while",
        &[
            "an_object_that_is_replaced_while_it_is_got_is_never_a_mixture",
            "an_object_that_is_replaced_in_the_middle_has_changed",
        ],
    ),
    ("a program has no piece", &["objects_come_in_pieces_of_any_size_and_at_any_time"]),
    (
        "a put fails, and its chunks",
        &["objects_need_the_rights_that_their_table_says_and_no_others"],
    ),
    (
        "a watch has lost its consumer",
        &[
            "a_watch_goes_on_when_its_connection_is_cut",
            "a_watch_goes_on_when_the_server_is_started_again",
        ],
    ),
    (
        "consumers are lost again and again",
        &["a_watch_whose_consumers_cannot_be_made_says_so_and_that_it_is_over"],
    ),
    (
        "the consumer is on a replica that lags behind",
        &["a_watch_of_objects_whose_replicas_lag_behind_says_so_and_that_it_is_over"],
    ),
    (
        "what is known of an object cannot be read",
        &[
            "what_cannot_be_read_is_told_apart_and_keeps_nothing_back",
            "what_cannot_be_read_is_listed_apart",
        ],
    ),
    ("the bucket is deleted while it is watched", &["a_bucket_that_is_deleted_ends_its_watches"]),
    ("the same, and it is created anew", &["a_bucket_that_is_created_anew_ends_its_watches"]),
    (
        "a listing hears nothing",
        &[
            "a_frozen_server_is_a_timeout_of_a_listing_of_objects",
            "a_replica_that_never_has_what_the_leader_has_is_a_timeout",
        ],
    ),
    (
        "the client is closed",
        &["a_client_that_is_closed_ends_puts_and_gets", "a_client_that_is_closed_ends_its_watches"],
    ),
];

const JETSTREAM: &[(&str, &[&str])] = &[
    (
        "nobody answers on the API",
        &[
            "an_unknown_domain_is_not_available_and_a_timeout_is_a_timeout",
            "without_jetstream_everything_says_so",
        ],
    ),
    ("the API does not answer", &["what_is_read_in_an_election_is_asked_again_within_its_timeout"]),
    (
        "no stream stores what is published",
        &[
            "a_publish_that_nobody_stores_says_no_more_than_that",
            "quiet_messages_that_fail_are_told_by_their_numbers",
            "a_stream_without_a_leader_is_named",
        ],
    ),
    (
        "a publish is not acknowledged",
        &["a_subscriber_that_hides_the_want_of_a_stream_is_found_out"],
    ),
    (
        "the connection is lost under a publish",
        &["what_was_acknowledged_is_stored_once_though_the_connection_is_cut"],
    ),
    (
        "a window is full",
        &[
            "a_full_window_gives_the_message_back_and_says_when_there_is_room",
            "a_window_waits_for_the_connections_buffer_too",
            "a_stalled_window_says_so_and_goes_on_later",
        ],
    ),
    (
        "a message without a callback of its own",
        &["quiet_messages_that_fail_are_told_by_their_numbers"],
    ),
    (
        "messages of an ingest are lost",
        &[
            "a_lost_message_ends_an_ingest_and_what_came_before_is_stored",
            "a_lost_message_is_counted_where_the_ingest_is_to_continue",
        ],
    ),
    (
        "the server of an ingest falls silent",
        &["an_ingest_whose_server_is_frozen_ends_with_what_is_known"],
    ),
    ("a program adds nothing to an ingest", &["an_idle_ingest_is_kept_alive"]),
    (
        "a program adds nothing to an atomic batch",
        &["a_batch_that_the_server_has_given_up_says_so_with_its_next_message"],
    ),
    (
        "a message of an atomic batch is refused",
        &["every_refusal_of_a_batch_says_what_is_wrong_with_it"],
    ),
    (
        "nobody answers a consumption",
        &["a_frozen_server_is_reported_and_everything_comes_when_it_goes_on"],
    ),
    (
        "a consumer is paused",
        &[
            "a_consumer_that_is_paused_on_the_server_is_waited_for",
            "what_is_answered_later_makes_room_for_more",
        ],
    ),
    (
        "as many requests wait as a consumer permits",
        &["whoever_waits_in_vain_is_told_that_too_many_wait"],
    ),
    ("a consumer is deleted", &["a_deleted_consumer_ends_what_reads_it"]),
    ("a fetch is not answered", &["a_fetch_does_not_hang_on_an_orphaned_pull"]),
    ("a delivery is not answered", &["what_is_stored_is_consumed_while_the_server_restarts_twice"]),
    (
        "what a key waits for does not come again",
        &[
            "a_key_goes_on_without_what_was_delivered_as_often_as_may_be",
            "a_key_goes_on_without_what_was_removed_from_the_stream",
            "what_does_not_come_in_time_is_skipped_when_the_consumer_is_not_paused",
        ],
    ),
    (
        "a page of a listing",
        &[
            "a_listing_ends_whatever_the_server_counts",
            "a_reading_that_hears_nothing_times_out_and_one_that_hears_does_not",
        ],
    ),
    (
        "no chunk of a snapshot comes",
        &["a_snapshot_of_which_nothing_comes_ends_after_the_time_of_a_request"],
    ),
    ("a program sends nothing to a restore", &["a_restore_that_the_server_knows_no_more_ends"]),
    ("nothing happens of which an advisory tells", &[]),
    (
        "a message that nobody could process",
        &[
            "a_message_that_is_gone_is_told_as_such",
            "what_cannot_be_read_in_time_is_told_with_the_error",
        ],
    ),
    (
        "an ordered consumer is not fed, whatever the reason",
        &[
            "each_message_comes_once_and_in_order_through_twenty_resets",
            "every_reason_to_leave_a_consumer_is_told",
            "failed_starts_are_told_once_for_each_reason_and_tried_again",
        ],
    ),
    (
        "the client is over",
        &[
            "a_window_outlives_its_client_and_tells_every_outcome",
            "a_client_that_is_closed_leaves_no_batch_without_an_outcome",
            "an_end_of_a_window_that_is_asked_for_at_its_last_moment_is_told",
        ],
    ),
];

const KEY_VALUE: &[(&str, &[&str])] = &[
    ("no rights", &["every_operation_needs_the_rights_that_the_table_says_and_no_others"]),
    ("the inbox is not permitted", &["a_denied_inbox_is_the_reason_that_every_operation_gives"]),
    (
        "nobody leads the stream",
        &[
            "a_write_in_an_election_is_told_that_nobody_leads_and_never_that_there_is_no_bucket",
            "what_is_read_in_an_election_is_asked_again_within_its_timeout",
            "a_watch_that_is_fed_nothing_says_why_and_that_it_is_over",
        ],
    ),
    ("no quorum", &["a_watch_without_a_quorum_says_so_and_that_it_is_over"]),
    (
        "flow control does not get through",
        &["a_watch_without_the_right_to_answer_flow_control_says_that_it_is_stalled"],
    ),
    ("deliveries do not arrive", &["a_watch_whose_deliveries_go_nowhere_says_so"]),
    (
        "a message is lost",
        &["watches_under_faults_show_every_revision_once_and_in_order_and_listings_are_whole"],
    ),
    ("the consumer is lost", &["a_watch_survives_the_loss_of_its_consumer"]),
    (
        "the consumer is on a replica that lags behind",
        &[
            "a_watch_whose_replicas_lag_behind_says_so_and_that_it_is_over",
            "listings_are_as_fresh_as_the_leader_was",
        ],
    ),
    ("the bucket is deleted |", &["a_watch_ends_when_its_bucket_is_deleted_or_does_not_exist"]),
    (
        "the bucket is deleted and created anew",
        &["a_watch_whose_bucket_was_created_anew_ends_and_says_so"],
    ),
    (
        "JetStream is off",
        &[
            "without_jetstream_everything_says_so",
            "an_account_without_jetstream_is_told_so_by_every_operation",
        ],
    ),
    (
        "the connection is lost",
        &[
            "a_watch_and_a_listing_survive_the_restart_of_the_server",
            "a_listing_that_loses_its_connection_ends_with_an_answer",
        ],
    ),
    ("the client is closed", &["a_watch_whose_own_callback_closes_the_connection_ends_with_it"]),
    (
        "a listing hears nothing",
        &["a_listing_ends_when_nothing_was_heard_for_the_time_of_a_request"],
    ),
    (
        "nobody answers a step of what takes several",
        &[
            "what_takes_several_steps_is_not_left_waiting_by_a_frozen_server",
            "a_purge_of_many_that_fails_on_the_way_says_how_far_it_came",
        ],
    ),
    ("another one holds a lock", &["whoever_waits_for_a_limited_time_or_no_longer_is_told_why"]),
    (
        "a lock cannot be acquired or renewed",
        &["a_holder_that_is_cut_off_knows_it_before_another_one_has_the_lock"],
    ),
    (
        "a program ends without a word",
        &[
            "many_losses_leave_one_consumer_behind_and_a_stopped_watch_none",
            "a_consumer_that_is_left_behind_is_gone_half_a_minute_later",
        ],
    ),
];

/// The first words of a row, and its tests.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "there is no such group",
        &[
            "what_cannot_be_consumed_says_why",
            "the_members_of_a_static_group_share_its_partitions_and_each_message_comes_once",
        ],
    ),
    (
        "the member is not in the elastic group",
        &["a_member_that_is_removed_waits_and_ends_with_the_group"],
    ),
    ("others have not let go", &["what_others_have_not_let_go_of_is_told_and_asked_for_again"]),
    (
        "another instance of the member",
        &[
            "another_instance_of_a_member_takes_over_when_the_first_one_is_gone",
            "the_instance_that_is_served_steps_down_for_another_one",
        ],
    ),
    ("the consumer is lost", &["a_member_goes_on_without_its_consumer_and_across_a_restart"]),
    (
        "the group is deleted",
        &[
            "a_member_that_is_removed_waits_and_ends_with_the_group",
            "what_a_group_may_not_become_is_its_end",
        ],
    ),
    ("the work queue or the stream", &["what_cannot_be_consumed_says_why"]),
    ("the server is too old", &["older_servers_have_no_groups"]),
    ("the configuration cannot be watched", &["a_watch_whose_deliveries_go_nowhere_says_so"]),
    ("the client is over", &["what_cannot_be_consumed_says_why"]),
];

/// The first words of a row, and its tests.
const SERVICES: &[(&str, &[&str])] = &[
    (
        "an endpoint is not permitted",
        &["an_endpoint_that_is_not_permitted_is_an_event_and_the_others_serve"],
    ),
    ("a subject of discovery", &["a_subject_of_discovery_that_is_not_permitted_is_an_event"]),
    ("an answer is not permitted", &["an_answer_that_is_not_permitted_is_an_error_of_the_client"]),
    (
        "an answer cannot be sent",
        &[
            "an_answer_that_is_too_large_is_an_error_for_the_caller",
            "an_answer_after_the_clients_end_is_an_event_and_no_error",
        ],
    ),
    (
        "a handler fails or panics",
        &["a_handler_that_fails_or_panics_is_answered_for_and_the_service_lives_on"],
    ),
    ("a handler does not answer", &[]),
    ("a request that was kept", &["a_stop_does_not_wait_for_ever"]),
    ("the connection is lost |", &["a_service_outlives_the_loss_of_its_server"]),
    ("the connection is lost while", &["a_stop_without_a_connection_comes_to_its_end"]),
    ("the client is over", &["a_client_that_ends_ends_its_services"]),
    ("there is no such service", &["that_there_is_no_such_service_is_an_empty_list"]),
    ("services do not reply", &["that_there_is_no_such_service_is_an_empty_list"]),
    ("something else replies", &["what_is_no_reply_is_told_apart"]),
    ("a question is not permitted", &["a_question_that_is_not_permitted_is_an_error"]),
    ("there is no connection in all the time", &["a_question_that_was_never_sent_is_an_error"]),
];

/// All sources below a directory, one after the other.
fn sources(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let text = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path),
            false if path.extension().is_some_and(|kind| kind == "rs") => {
                std::fs::read_to_string(&path).expect("a source")
            }
            false => String::new(),
        }
    });
    text.collect()
}

#[test]
fn every_way_to_be_left_waiting_has_its_row_and_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all: String = ["src", "tests", "protocol"].map(|part| sources(&root.join(part))).concat();
    let tables = [
        ("src/client/handle.rs", CLIENT),
        ("src/jetstream/mod.rs", JETSTREAM),
        ("src/object_store/mod.rs", OBJECTS),
        ("src/kv/mod.rs", KEY_VALUE),
        ("src/groups/mod.rs", GROUPS),
        ("src/service/mod.rs", SERVICES),
    ];
    for (file, table) in tables {
        let docs = std::fs::read_to_string(root.join(file)).expect("a source");
        let after = docs.split("# When nothing comes").nth(1).expect("the table");
        let lines = after.lines().map(|line| line.trim_start_matches(['/', '!', ' ']));
        let rows = lines.skip_while(|line| !line.starts_with("|---"));
        let rows: Vec<_> = rows.skip(1).take_while(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), table.len(), "{file}: {rows:#?}");
        for (row, (begin, tests)) in rows.iter().zip(table) {
            assert!(row.starts_with(&format!("| {begin}")), "{file}: {row:?} is not {begin:?}");
            for test in *tests {
                assert!(all.contains(&format!("fn {test}()")), "{file}: {begin}: no test {test}");
            }
        }
    }
}

// ---- what is stated nowhere else ------------------------------------------------------------------

#[test]
fn a_flush_and_a_drain_that_a_frozen_server_does_not_answer_time_out() {
    let server = Server::builder().jetstream(false).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let options = Options::new(server.url()).request_timeout(Duration::from_millis(200));
    let nats: Client<Log> = event_loop.connect(options).expect("a client");
    let subscription = nats.subscribe("a", |_, _, _| {}).expect("a subscription");
    let mut log = Log::new();
    support::flush(&event_loop, &mut log, &nats);
    server.pause();
    nats.flush(|log, _, flushed| {
        assert_eq!(flushed.expect_err("no answer"), FlushError::Timeout);
        log.push("flush".into());
    });
    subscription.drain(|log, _, drained| {
        assert_eq!(drained.expect_err("no answer"), FlushError::Timeout);
        log.push("drain".into());
    });
    turn_until(&event_loop, &mut log, "two timeouts", |log| log.len() == 2);
    server.resume();
    nats.close();
    finish_with(&event_loop, &mut log);
}

fn note_update(log: &mut Log, _: &evnats::kv::Watcher<Log>, update: Update) {
    log.push(match update {
        Update::Recreating { .. } | Update::Live => return,
        Update::Entry(entry) => format!("{}@{}", entry.key(), entry.revision()),
        Update::Initialized => "initialized".into(),
        Update::Stalled(stall) => format!("stalled: {stall}"),
        Update::Resumed => "resumed".into(),
        Update::Ended(error) => format!("ended: {error}"),
        other => panic!("{other:?}"),
    });
}

/// Stores a value, also if the servers do not know yet who leads the new bucket.
fn put_until_stored(kv: &KeyValue<Log>) {
    kv.put("k", "v", |log, kv, stored| match stored {
        Err(evnats::kv::Error::NoLeader { .. }) => put_until_stored(kv),
        stored => log.push(stored.expect("stored").to_string()),
    });
}

/// A bucket with one value.
fn bucket(
    event_loop: &EventLoop<Log>,
    log: &mut Log,
    nats: &Client<Log>,
    config: Config,
) -> KeyValue<Log> {
    let kv = nats.jetstream().key_value(&unique("silence"));
    create_bucket(&kv, config, |_, kv| put_until_stored(kv));
    turn_until(event_loop, log, "a value", |log| !log.is_empty());
    log.clear();
    kv
}

const BEAT: Duration = Duration::from_millis(100);

/// Stands between a watch and a real server's API, and has the leader know of a later revision than
/// the stream that the consumers are made on: so it looks from a replica that lags.
fn lagging(nats: &Client<Log>, is_lagging: Rc<Cell<bool>>) {
    let between = nats.subscribe("between.>", move |_: &mut Log, between, request| {
        let subject = request.subject().replacen("between.", "$JS.API.", 1);
        let (asked, is_lagging) = (request.clone(), is_lagging.clone());
        // names of consumers come with what they filter
        let forwarded = OutgoingMessage::new(&subject, request.payload()).allow_wildcards();
        between.client().send_request(forwarded, BEAT * 50, move |_: &mut Log, nats, reply| {
            let mut reply: Value =
                serde_json::from_slice(reply.expect("a reply").payload()).expect("JSON");
            if let Some(sequence) = reply.pointer_mut("/message/seq")
                && is_lagging.get()
            {
                *sequence = (sequence.as_u64().expect("a number") + 1).into();
            }
            nats.respond(&asked, reply.to_string())
        });
    });
    between.expect("a subscription");
}

#[test]
fn what_takes_several_steps_is_not_left_waiting_by_a_frozen_server() {
    let server = Server::start();
    requires!(server, 2, 12);
    let event_loop = EventLoop::new().expect("an event loop");
    let options = Options::new(server.url()).request_timeout(Duration::from_millis(300));
    let nats: Client<Log> = event_loop.connect(options).expect("a client");
    let mut log = Log::new();
    let config = Config::new().per_key_ttl(true).atomic_batches(true);
    let kv = bucket(&event_loop, &mut log, &nats, config);
    fn note<T>(log: &mut Log, _: &KeyValue<Log>, outcome: Result<T, kv::Error>) {
        let error = outcome.map(drop).expect_err("nobody answers");
        log.push(if error.is_timeout() { "timeout".into() } else { error.to_string() });
    }
    // what is known by then is not asked for
    let hour = Duration::from_secs(3600);
    kv.touch("k", hour, |log: &mut Log, _, touched| log.push(format!("{touched:?}")));
    turn_until(&event_loop, &mut log, "a touch", |log| !log.is_empty());
    log.clear();
    server.pause();
    kv.touch("k", hour, note);
    kv.sliding(hour).get("k", |log: &mut Log, sliding, read| note(log, sliding.bucket(), read));
    kv.batch().put("a", "1").update("k", "2", 1).commit(note);
    kv.get_many(["k", "none"], note);
    kv.with_reads(kv::Reads::Linearizable).get_many(["k"], note);
    kv.purge_keys(&[">"], note);
    kv.purge_deletes(kv::PurgeDeletes::new(), note);
    kv.clear(note);
    turn_until(&event_loop, &mut log, "eight outcomes", |log| log.len() == 8);
    assert_eq!(log, ["timeout"; 8]);
    server.resume();
    nats.close();
    finish_with(&event_loop, &mut log);
}

#[test]
fn a_watch_whose_replicas_lag_behind_says_so_and_that_it_is_over() {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats: Client<Log> = event_loop.connect(support::server().url()).expect("a client");
    let mut log = Log::new();
    let kv = bucket(&event_loop, &mut log, &nats, Config::new());
    let is_lagging = Rc::new(Cell::new(true));
    lagging(&nats, is_lagging.clone());
    let watched = nats.jetstream().with_prefix("between").key_value(kv.bucket());
    let watch = watched.watch(">", WatchOptions::new().heartbeat(BEAT), note_update);
    let stalled = "stalled: the replica that serves the watch lags behind the leader";
    turn_until(&event_loop, &mut log, "the reason", |log| log.iter().any(|line| line == stalled));
    assert_eq!(log, ["k@1", stalled], "the signal has to wait");
    is_lagging.set(false);
    turn_until(&event_loop, &mut log, "the signal", |log| log.len() == 4);
    assert_eq!(log[2..], ["resumed", "initialized"]);
    watch.stop();
    nats.drain();
    finish_with(&event_loop, &mut log);
}

#[test]
fn a_watch_without_a_quorum_says_so_and_that_it_is_over() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let options = Options::new(cluster.server(0).url())
        .discover_servers(false)
        .request_timeout(Duration::from_millis(300));
    let nats: Client<Log> = event_loop.connect(options).expect("a client");
    let mut log = Log::new();
    let admin = event_loop.connect(cluster.server(0).url()).expect("a client");
    let kv = bucket(&event_loop, &mut log, &admin, Config::new().replicas(3));
    admin.close();
    let kv = nats.jetstream().key_value(kv.bucket());
    let options = || WatchOptions::new().heartbeat(BEAT);
    kv.watch(">", options(), note_update);
    turn_until(&event_loop, &mut log, "the signal", |log| log.len() == 2);
    log.clear();
    let frozen = [cluster.server(1), cluster.server(2)];
    frozen.iter().for_each(|server| server.pause());
    // so that it needs another consumer
    nats.reconnect();
    turn_until(&event_loop, &mut log, "the reason", |log| !log.is_empty());
    let reason = "stalled: no answer to the request for a consumer: there may be no quorum, or no \
                  leader";
    assert_eq!(log, [reason]);
    // one that begins now has nothing to go on with
    kv.watch(">", options(), note_update);
    turn_until(&event_loop, &mut log, "its end", |log| log.last() != log.first());
    assert_eq!(log[1..], ["ended: no reply in time"]);
    frozen.iter().for_each(|server| server.resume());
    let is_over = |log: &mut Log| log.last().is_some_and(|last| last == "resumed");
    turn_until(&event_loop, &mut log, "the end of it", is_over);
    // while they find together, there may be another reason
    assert!(log[2..log.len() - 1].iter().all(|told| told.starts_with("stalled: ")), "{log:?}");
    nats.close();
    finish_with(&event_loop, &mut log);
}

#[test]
#[ignore = "the half minute itself; what the consumer is asked for is tested in key_value.rs"]
fn a_consumer_that_is_left_behind_is_gone_half_a_minute_later() {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats: Client<Log> = event_loop.connect(support::server().url()).expect("a client");
    let mut log = Log::new();
    let kv = bucket(&event_loop, &mut log, &nats, Config::new());
    {
        let other_loop = EventLoop::new().expect("an event loop");
        let other: Client<Log> = other_loop.connect(support::server().url()).expect("a client");
        let watched = other.jetstream().key_value(kv.bucket());
        watched.watch(">", WatchOptions::new(), note_update);
        turn_until(&other_loop, &mut log, "the signal", |log| log.len() == 2);
        // as a program that is killed: nothing more is said
    }
    let began = Instant::now();
    let left: Rc<RefCell<Option<usize>>> = Rc::default();
    let seen = left.clone();
    let subject = format!("$JS.API.CONSUMER.LIST.KV_{}", kv.bucket());
    nats.set_interval(Duration::from_secs(1), move |_: &mut Log, nats| {
        let seen = seen.clone();
        nats.request(&subject, "", move |_: &mut Log, _, reply| {
            let reply: Value =
                serde_json::from_slice(reply.expect("a reply").payload()).expect("JSON");
            let consumers: Vec<ConsumerInfo> =
                serde_json::from_value(reply["consumers"].clone()).expect("consumers");
            seen.replace(Some(consumers.len()));
        });
    });
    turn_until(&event_loop, &mut log, "the consumer", |_| *left.borrow() == Some(1));
    turn_until(&event_loop, &mut log, "its end", |_| *left.borrow() == Some(0));
    let lasted = began.elapsed();
    assert!(lasted > Duration::from_secs(20), "{lasted:?}");
    drop(event_loop);
}
