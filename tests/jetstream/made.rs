//! What comes back is what was asked for, or it is said which members are not.

use super::handles::with_handle;
use super::{Js, level};
use crate::support::{IMPORTED, Log, run, run_with, server, server_with_guests, unique, url_for};
use evnats::jetstream::{
    AckPolicy, Compression, ConsumerConfig, ConsumerLimits, DeliverPolicy, Discard, Error,
    External, PersistMode, Placement, PriorityPolicy, ReplayPolicy, Republish, Retention, Source,
    SourceConsumer, Storage, StreamConfig, SubjectTransform,
};
use evnats::{Client, Message, Subscription};
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);

/// The minor version of the server, whose major one is 2.
fn minor() -> u64 {
    u64::from(server().version().minor)
}

/// Checks the outcome of asking for something that servers know since a minor version: older ones
/// leave out these members.
fn check<T>(what: &str, outcome: Result<T, Error>, since: u64, members: &[&str]) {
    match outcome {
        Ok(_) => assert!(minor() >= since, "{what}: nobody has said that {members:?} are missing"),
        Err(Error::MadeDifferently { members: missing }) => {
            assert!(minor() < since, "{what}: {missing:?} are no different");
            assert_eq!(missing, members, "{what}");
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Configurations of streams, since which server they are known, and what older ones leave out.
fn streams() -> Vec<(StreamConfig, u64, &'static [&'static str])> {
    let new = || StreamConfig::default().storage(Storage::Memory);
    let origin = || Source::new("ORIGIN");
    let transform = || SubjectTransform::new("origin.a", "changed.a");
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let mirror = |source: Source| StreamConfig::default().mirror(source);
    let plain = [
        new(),
        StreamConfig::default(),
        new().description("text"),
        new().description(""),
        new().subjects(["b.*", "c.>", "a"]),
        new().max_consumers(5).max_msgs(6).max_bytes(7000).max_msgs_per_subject(8).max_msg_size(9),
        new().max_msgs(0).max_age(Duration::ZERO),
        new().max_age(Duration::from_millis(100)),
        new().max_age(10 * SECOND).duplicate_window(5 * SECOND),
        new().duplicate_window(5 * SECOND),
        new().discard(Discard::New).discard_new_per_subject(true).max_msgs_per_subject(1),
        new().retention(Retention::Interest),
        new().retention(Retention::WorkQueue),
        new().num_replicas(0),
        new().no_ack(true),
        new().republish(Republish::new("again.>")),
        new().republish(Republish::new("again.>").src("").headers_only(true)),
        new().allow_direct(true),
        new().deny_delete(true).deny_purge(true),
        new().allow_rollup_hdrs(true),
        new().placement(Placement::new()),
        mirror(origin()),
        mirror(origin()).mirror_direct(true),
        mirror(origin().filter_subject("origin.a").opt_start_seq(3)),
        mirror(origin().opt_start_time(time)),
        mirror(Source::new("ELSEWHERE").external(External::new("$JS.D.API"))).mirror_direct(true),
        new().sources([origin(), Source::new("ELSEWHERE").external(External::new("$JS.D.API"))]),
        new().sources([origin().filter_subject("origin.>").opt_start_time(time)]),
    ];
    let mut rows: Vec<_> = plain.into_iter().map(|config| (config, 0, &[][..])).collect();
    let limits = ConsumerLimits::new().inactive_threshold(SECOND).max_ack_pending(7_u64);
    rows.extend([
        (StreamConfig::default().compression(Compression::S2), 10, &["compression"][..]),
        (new().first_seq(100), 10, &["first_seq"]),
        (new().metadata("k", "v"), 10, &["metadata.k"]),
        (new().metadata("_nats.level", "1").metadata("k", "v"), 10, &["metadata.k"]),
        (
            new().consumer_limits(limits),
            10,
            &["consumer_limits.inactive_threshold", "consumer_limits.max_ack_pending"],
        ),
        (
            new().subject_transform(SubjectTransform::new("a.>", "b.>")),
            10,
            &["subject_transform.dest", "subject_transform.src"],
        ),
        (mirror(origin().subject_transforms([transform()])), 10, &["mirror.subject_transforms"]),
        (
            new().sources([origin().subject_transforms([transform()])]),
            10,
            &["sources.subject_transforms"],
        ),
    ]);
    // what needs a level is not sent to a server that lacks it
    let leveled = [
        new().allow_msg_ttl(true),
        new().subject_delete_marker_ttl(SECOND),
        new().subject_delete_marker_ttl(60 * SECOND).max_age(10 * SECOND),
        new().allow_msg_counter(true),
        new().allow_atomic(true),
        new().allow_msg_schedules(true),
        new().storage(Storage::File).persist_mode(PersistMode::Async),
        new().allow_batched(true).allow_atomic(true),
        new().sources([origin().consumer(SourceConsumer::new("C").deliver_subject("inbox"))]),
    ];
    let is_known = |config: &StreamConfig| {
        config.required_level().is_none_or(|required| required.level <= level())
    };
    rows.extend(leveled.into_iter().filter(is_known).map(|config| (config, 0, &[][..])));
    rows
}

/// Creates each of the streams, asks for it again as an update, and deletes it.
fn make_streams(
    js: &Js,
    mut rows: std::vec::IntoIter<(StreamConfig, u64, &'static [&'static str])>,
) {
    let Some((config, since, members)) = rows.next() else {
        return js.delete_stream("ORIGIN", |_, js, _| js.client().close());
    };
    let name = unique("MADE");
    let has_subjects = config.mirror.is_some() || !config.subjects.is_empty();
    let config = if has_subjects { config } else { config.subjects([format!("{name}.>")]) };
    // a pattern has to fit
    let fits = |config: StreamConfig| match config.subject_transform {
        Some(_) => config.subjects(["a.>"]),
        None => config,
    };
    let what = format!("{config:?}");
    let config = fits(config);
    js.stream(&name).create(&config.clone(), move |_, stream, created| {
        check(&what, created, since, members);
        stream.update(&config, move |_, stream, updated| {
            check(&format!("update to {what}"), updated, since, members);
            stream.delete(move |_, stream, deleted| {
                deleted.expect("deleted");
                make_streams(stream.jetstream(), rows);
            });
        });
    });
}

#[test]
fn every_stream_is_as_asked_for_or_it_is_said_what_is_not() {
    let _: Log = run(|nats| {
        let origin = StreamConfig::new("ORIGIN").subjects(["origin.>"]);
        nats.jetstream().create_stream(&origin, |_, js, created| {
            created.expect("a stream");
            make_streams(js, streams().into_iter());
        });
    });
}

/// The same of consumers.
fn consumers() -> Vec<(ConsumerConfig, u64, &'static [&'static str])> {
    let new = ConsumerConfig::default;
    let push = || new().deliver_subject("deliveries");
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let plain = [
        new(),
        new().description("text"),
        new().ack_policy(AckPolicy::None),
        new().ack_policy(AckPolicy::All).ack_wait(5 * SECOND).max_deliver(3),
        new().ack_policy(AckPolicy::None).ack_wait(5 * SECOND),
        new().deliver_policy(DeliverPolicy::Last),
        new().deliver_policy(DeliverPolicy::New),
        new().deliver_policy(DeliverPolicy::ByStartSequence(7)),
        new().deliver_policy(DeliverPolicy::ByStartTime(time)),
        new().deliver_policy(DeliverPolicy::LastPerSubject).filter_subject(">"),
        new().ack_wait(7 * SECOND).max_deliver(3).backoff([SECOND, 2 * SECOND]),
        new().filter_subject("made.a"),
        new().filter_subject("made.>"),
        new().replay_policy(ReplayPolicy::Original).sample_freq("50%"),
        new().max_waiting(7).max_batch(8).max_expires(SECOND).max_bytes(9),
        new().max_ack_pending(7),
        new().max_ack_pending(-1),
        new().max_ack_pending(0),
        new().headers_only(true).mem_storage(true).num_replicas(1),
        new().inactive_threshold(SECOND),
        push(),
        push().deliver_group("g").idle_heartbeat(SECOND).flow_control(true),
        push().rate_limit_bps(1_000_000).ack_policy(AckPolicy::None),
    ];
    let mut rows: Vec<_> = plain.into_iter().map(|config| (config, 0, &[][..])).collect();
    rows.extend([
        (new().filter_subjects(["made.b", "made.a"]), 10, &["filter_subjects"][..]),
        (new().filter_subjects(["made.a"]), 10, &["filter_subjects"]),
        (new().metadata("k", "v"), 10, &["metadata.k"]),
    ]);
    let group = |policy| new().priority_groups(["g"]).priority_policy(policy);
    let leveled = [
        new().pause_until(SystemTime::now() + 600 * SECOND),
        new().pause_until(time),
        group(PriorityPolicy::Overflow),
        group(PriorityPolicy::PinnedClient),
        group(PriorityPolicy::PinnedClient).priority_timeout(7 * SECOND),
        group(PriorityPolicy::Prioritized),
    ];
    let is_known = |config: &ConsumerConfig| {
        config.required_level().is_none_or(|required| required.level <= level())
    };
    rows.extend(leveled.into_iter().filter(is_known).map(|config| (config, 0, &[][..])));
    rows
}

fn make_consumers(
    stream: &evnats::jetstream::Stream<Log>,
    mut rows: std::vec::IntoIter<(ConsumerConfig, u64, &'static [&'static str])>,
) {
    let Some((config, since, members)) = rows.next() else {
        return stream.delete(|_, stream, _| stream.client().close());
    };
    let name = unique("made");
    let (what, config) = (format!("{config:?}"), config.durable_name(&name));
    stream.create_consumer(&config.clone(), move |_, stream, created| {
        check(&what, created, since, members);
        stream.consumer(&name).update(&config, move |_, consumer, updated| {
            // 2.9 takes one that it has read back for another
            let is_old_time = minor() == 9 && what.contains("ByStartTime");
            if !is_old_time {
                check(&format!("update to {what}"), updated, since, members);
            }
            consumer.delete(move |_, consumer, deleted| {
                deleted.expect("deleted");
                make_consumers(consumer.stream(), rows);
            });
        });
    });
}

#[test]
fn every_consumer_is_as_asked_for_or_it_is_said_what_is_not() {
    let name = unique("S");
    let _: Log = run(|nats| {
        let config = StreamConfig::default().subjects(["made.>"]);
        nats.jetstream().stream(&name).create(&config, |_, stream, created| {
            created.expect("a stream");
            make_consumers(stream, consumers().into_iter());
        });
    });
}

#[test]
fn a_stream_is_sealed_also_if_that_changes_the_rest() {
    with_handle(|_, stream| {
        let subjects = [format!("{}.>", stream.name())];
        let config = StreamConfig::default().subjects(subjects).allow_direct(true);
        let config = config.allow_rollup_hdrs(true).max_age(60 * SECOND);
        stream.update(&config.clone(), move |_, stream, updated| {
            assert!(updated.is_ok(), "{updated:?}");
            stream.update(&config.sealed(true), |_, stream, sealed| {
                assert!(sealed.expect("sealed").config.sealed);
                super::handles::end(stream);
            });
        });
    });
}

/// A marker needs purging, which wins without a word.
#[test]
fn what_a_conflict_has_changed_is_said() {
    evnats_harness::requires!(server(), 2, 11);
    with_handle(|_, stream| {
        let config = StreamConfig::default().subject_delete_marker_ttl(SECOND).deny_purge(true);
        let subjects = [format!("{}.>", stream.name())];
        stream.update(&config.subjects(subjects).allow_direct(true), |_, stream, updated| {
            let members = vec!["deny_purge".to_owned()];
            assert_eq!(updated, Err(Error::MadeDifferently { members }));
            super::handles::end(stream);
        });
    });
}

/// What a server of the future has set is sent back to it, and to nobody else.
#[test]
fn what_this_version_does_not_know_is_sent_back_and_not_to_another_server() {
    const FUTURE: &str = r#"{"config":{"name":"S","retention":"limits","discard":"old",
        "storage":"file","num_replicas":1,"future":[1]}}"#;
    let prefix = unique("fake");
    let log: Log = run(|nats: &Client<Log>| {
        let on_request = |log: &mut Log, asked: &Subscription<Log>, message: &Message| {
            let verb = message.subject().split('.').nth(2).unwrap_or_default().to_owned();
            let body = String::from_utf8_lossy(message.payload()).into_owned();
            log.push(format!("{verb} {}", body.contains("future")));
            asked.client().respond(message, FUTURE)
        };
        nats.subscribe(&format!("{prefix}.STREAM.>"), on_request).expect("a subscription");
        nats.jetstream().with_prefix(&prefix).stream("S").info(|_, stream, info| {
            let config = info?.config;
            stream.update(&config.clone(), move |_, stream, updated| {
                updated?;
                let other = stream.jetstream().client().jetstream();
                let config = config.name(unique("S"));
                other.create_stream(&config, |_, js, created| {
                    let members = vec!["future".to_owned()];
                    assert_eq!(created, Err(Error::MadeDifferently { members }));
                    js.client().close();
                });
                Ok(())
            });
            Ok(())
        });
    });
    assert_eq!(log, ["INFO false", "UPDATE true"]);
}

/// The server's own list of what needs a level has neither, and whoever may not ask for the level is
/// told all the same.
#[test]
fn what_the_servers_list_of_levels_lacks_is_missed_as_well() {
    let server = server_with_guests();
    let check = |feature: &'static str, needs: u32, error: Option<Error>| {
        let without = Error::MadeWithout { feature, needs, has: level() };
        assert_eq!(error, (level() < needs).then_some(without));
    };
    let consumer = SourceConsumer::new("C").deliver_subject("inbox");
    let config = StreamConfig::default().sources([Source::new("O").consumer(consumer)]);
    let _: Log = run_with(url_for(&server, "guest"), |nats| {
        let js = nats.jetstream().with_prefix(IMPORTED);
        js.stream("S").create(&config, move |_, stream, created| {
            check("consumer", 4, created.err());
            stream.client().close();
        });
    });
    // to another client, for which the stream has not told the level
    let _: Log = run_with(url_for(&server, "guest"), |nats| {
        let js = nats.jetstream().with_prefix(IMPORTED);
        let config = ConsumerConfig::new("C")
            .priority_groups(["g"])
            .priority_policy(PriorityPolicy::Prioritized);
        js.create_consumer("S", &config, move |_, js, created| {
            check("priority_policy prioritized", 2, created.err());
            js.client().close();
        });
    });
}
