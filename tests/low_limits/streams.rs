//! The rows about streams, their messages, and consumers.

use super::Outcome::{ControlLineTooLong, Done, NameTooLong, PayloadTooLarge, Refused};
use super::{App, Js, Row, large, long, note, note_end, row, support, text};
use evnats::jetstream::{
    ByKey, ConsumeEnd, ConsumeOptions, Consumer, ConsumerConfig, DeadLetterOptions, Error,
    ErrorCode, FetchOptions, MessageQuery, MessagesQuery, OrderedOptions, PurgeOptions, ReadFrom,
    Restoring, SnapshotOptions, Stream, StreamBackup, StreamConfig, StreamDetails,
};
use std::time::SystemTime;

/// Within all limits.
fn small() -> StreamConfig {
    StreamConfig::new("ONE_TOO_MANY").subjects(["small"])
}

/// One that has more than the account may store.
fn greedy() -> StreamConfig {
    StreamConfig::new("SPARE").subjects(["spare"]).max_bytes(1 << 20)
}

fn described(name: &str) -> StreamConfig {
    StreamConfig::new(name).subjects(["spare"]).description(large())
}

/// The consumer that the stream has room for.
fn consumer() -> ConsumerConfig {
    ConsumerConfig::new("C").durable_name("C")
}

fn another() -> ConsumerConfig {
    ConsumerConfig::new("D").durable_name("D")
}

/// A name as long as a name may be. Two of them are too long for a control line.
fn longest() -> String {
    text(255)
}

fn filters() -> Vec<String> {
    (0..100).map(|number| format!("s.filter.{number}")).collect()
}

fn s(js: &Js) -> Stream<App> {
    js.stream("S")
}

fn c(js: &Js) -> Consumer<App> {
    s(js).consumer("C")
}

fn fetch_by_long_names(js: &Js) {
    let consumer = js.stream(&longest()).consumer(&longest());
    consumer.fetch(FetchOptions::new(), |_, _, _| support::fail("a message"), note);
}

fn consume_by_long_name(js: &Js) {
    let consumption = s(js).consumer(&long()).consume(ConsumeOptions::new(), |_, _, _| {});
    consumption.on_end(|app, consumption, end| note(app, consumption, outcome(end)));
}

fn consume_by_key_by_long_name(js: &Js) {
    let consumer = s(js).consumer(&long());
    let consumption =
        consumer.consume_by_key(ConsumeOptions::new(), ByKey::subject(), |_, _, _| {});
    consumption.on_end(|app, consumption, end| note(app, consumption, outcome(end)));
}

fn read_by_long_name(js: &Js) {
    let messages = s(js).consumer(&long()).messages(ConsumeOptions::new());
    messages.on_end(|app, messages, end| note(app, messages, outcome(end)));
}

fn outcome(end: ConsumeEnd) -> Result<(), Error> {
    end.failure().map_or(Ok(()), |error| Err(error.clone()))
}

/// Stores a message, and has its acknowledgement confirmed.
fn confirm(js: &Js) {
    let consumer = c(js);
    js.publish("s.confirmed", "x", move |_, _, stored| {
        stored.expect("room");
        consumer.next(FetchOptions::new(), |_, _, message| {
            let acker = message?.expect("a message").to_acker()?;
            acker.ack_confirmed(note);
            Ok::<_, evnats::Error>(())
        });
    });
}

/// Restores a stream whose configuration is larger than a payload.
fn restore(js: &Js) {
    let document = serde_json::json!({ "config": described("RESTORED"), "state": {} });
    let backup = StreamBackup::from_json(document.to_string().as_bytes()).expect("a backup");
    js.restore_stream(&backup, |app, restore, restoring| match restoring {
        Restoring::Ended(end) => note(app, restore, end),
        wanted => panic!("{wanted:?}"),
    });
}

pub(super) fn rows() -> Vec<Row> {
    [account_and_streams(), consumers(), messages(), members()].into_iter().flatten().collect()
}

fn account_and_streams() -> Vec<Row> {
    use ErrorCode as Code;
    vec![
        row("JetStream::account_info", |js| js.account_info(note), Done),
        row(
            "JetStream::create_stream",
            |js| js.create_stream(&small(), note),
            Refused(Code::MAXIMUM_STREAMS),
        ),
        row(
            "JetStream::create_stream",
            |js| js.create_stream(&small().metadata("k", large()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::create_stream",
            |js| js.create_stream(&StreamConfig::new(long()), note),
            NameTooLong,
        ),
        row(
            "JetStream::update_stream",
            |js| js.update_stream(&greedy(), note),
            Refused(Code::STORAGE_RESOURCES_EXCEEDED),
        ),
        row(
            "JetStream::create_or_update_stream",
            |js| js.create_or_update_stream(&small(), note),
            Refused(Code::MAXIMUM_STREAMS),
        ),
        row("JetStream::stream_info", |js| js.stream_info(&long(), note), NameTooLong),
        row(
            "JetStream::stream_info_with",
            |js| js.stream_info_with("S", &StreamDetails::new().subjects_filter(large()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::promote_mirror",
            |js| js.promote_mirror("MIRROR", &[&large()], note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::purge_stream",
            |js| js.purge_stream("S", &PurgeOptions::new().subject(large()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::list_streams",
            |js| drop(js.list_streams(Some(&large()), note_end)),
            PayloadTooLarge,
        ),
        row(
            "JetStream::list_stream_names",
            |js| drop(js.list_stream_names(Some(&large()), note_end)),
            PayloadTooLarge,
        ),
        row("JetStream::stream_names", |js| js.stream_names(Some(&large()), note), PayloadTooLarge),
        row(
            "JetStream::stream_by_subject",
            |js| js.stream_by_subject(&large(), note),
            PayloadTooLarge,
        ),
        row(
            "Stream::create",
            |js| js.stream("ONE_TOO_MANY").create(&small(), note),
            Refused(Code::MAXIMUM_STREAMS),
        ),
        row(
            "Stream::update",
            |js| js.stream("SPARE").update(&greedy(), note),
            Refused(Code::STORAGE_RESOURCES_EXCEEDED),
        ),
        row(
            "Stream::create_or_update",
            |js| js.stream("SPARE").create_or_update(&described("SPARE"), note),
            PayloadTooLarge,
        ),
        row("Stream::info", |js| js.stream(&long()).info(note), NameTooLong),
        row(
            "Stream::info_with",
            |js| s(js).info_with(&StreamDetails::new().subjects_filter(large()), note),
            PayloadTooLarge,
        ),
        row(
            "Stream::promote_mirror",
            |js| js.stream("MIRROR").promote_mirror(&[&large()], note),
            PayloadTooLarge,
        ),
        row(
            "Stream::purge",
            |js| s(js).purge(&PurgeOptions::new().subject(large()), note),
            PayloadTooLarge,
        ),
    ]
}

fn consumers() -> Vec<Row> {
    use ErrorCode as Code;
    vec![
        row("JetStream::create_consumer", |js| js.create_consumer("S", &consumer(), note), Done),
        row(
            "JetStream::create_consumer",
            |js| js.create_consumer("S", &another(), note),
            Refused(Code::MAXIMUM_CONSUMERS),
        ),
        row(
            "JetStream::create_consumer",
            |js| js.create_consumer("S", &another().filter_subject(long()), note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::create_consumer",
            |js| js.create_consumer("S", &another().filter_subjects(filters()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::update_consumer",
            |js| js.update_consumer("S", &consumer().max_ack_pending(15), note),
            Refused(Code::CONSUMER_MAX_PENDING_ACK_EXCESS),
        ),
        row(
            "JetStream::create_or_update_consumer",
            |js| js.create_or_update_consumer("S", &another(), note),
            Refused(Code::MAXIMUM_CONSUMERS),
        ),
        row(
            "JetStream::consumer_info",
            |js| js.consumer_info(&longest(), &longest(), note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::delete_consumer",
            |js| js.delete_consumer(&longest(), &longest(), note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::unpin_consumer",
            |js| js.unpin_consumer("S", "C", &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::reset_consumer",
            |js| js.reset_consumer(&longest(), &longest(), None, note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::pause_consumer",
            |js| js.pause_consumer(&longest(), &longest(), SystemTime::now(), note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::resume_consumer",
            |js| js.resume_consumer(&longest(), &longest(), note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::list_consumers",
            |js| drop(js.list_consumers(&long(), note_end)),
            NameTooLong,
        ),
        row(
            "JetStream::list_consumer_names",
            |js| drop(js.list_consumer_names(&long(), note_end)),
            NameTooLong,
        ),
        row("JetStream::consumer_names", |js| js.consumer_names(&long(), note), NameTooLong),
        row(
            "OrderedConsumer::fetch",
            |js| {
                let ordered = js.stream(&long()).ordered_consumer(OrderedOptions::new());
                ordered.fetch(FetchOptions::new(), |_, _, _| {}, note);
            },
            NameTooLong,
        ),
        row(
            "Stream::create_consumer",
            |js| s(js).create_consumer(&another(), note),
            Refused(Code::MAXIMUM_CONSUMERS),
        ),
        row(
            "Stream::update_consumer",
            |js| s(js).update_consumer(&consumer().filter_subjects(filters()), note),
            PayloadTooLarge,
        ),
        row(
            "Stream::create_or_update_consumer",
            |js| s(js).create_or_update_consumer(&consumer().max_ack_pending(15), note),
            Refused(Code::CONSUMER_MAX_PENDING_ACK_EXCESS),
        ),
        row("Stream::list_consumers", |js| drop(s(js).list_consumers(note_end)), Done),
        row("Stream::list_consumer_names", |js| drop(s(js).list_consumer_names(note_end)), Done),
        row("Stream::consumer_names", |js| s(js).consumer_names(note), Done),
        row("Consumer::info", |js| c(js).info(note), Done),
        row(
            "Consumer::update",
            |js| c(js).update(&consumer().description(large()), note),
            PayloadTooLarge,
        ),
        row("Consumer::pause", |js| c(js).pause(SystemTime::now(), note), Done),
        row("Consumer::resume", |js| c(js).resume(note), Done),
        row("Consumer::unpin", |js| c(js).unpin(&large(), note), PayloadTooLarge),
        row("Consumer::reset", |js| c(js).reset(None, note), Done),
        row("Consumer::fetch", fetch_by_long_names, ControlLineTooLong),
        row("Consumption::on_end", consume_by_long_name, NameTooLong),
        row("Consumption::on_end", consume_by_key_by_long_name, NameTooLong),
        row("Messages::on_end", read_by_long_name, NameTooLong),
        row("Acker::ack_confirmed", confirm, Done),
    ]
}

fn messages() -> Vec<Row> {
    vec![
        row(
            "JetStream::stored_message",
            |js| {
                let query = MessageQuery::LastBySubject(&large());
                js.stored_message("S", query, ReadFrom::Leader, note);
            },
            PayloadTooLarge,
        ),
        row(
            "JetStream::stored_message",
            |js| {
                let query = MessageQuery::LastBySubject(&long());
                js.stored_message("S", query, ReadFrom::Direct, note);
            },
            ControlLineTooLong,
        ),
        row(
            "JetStream::stored_message_without_headers",
            |js| {
                let query = MessageQuery::LastBySubject(&large());
                js.stored_message_without_headers("S", query, note);
            },
            PayloadTooLarge,
        ),
        row(
            "JetStream::stored_messages",
            |js| drop(js.stored_messages("S", &MessagesQuery::subject(large()), note_end)),
            PayloadTooLarge,
        ),
        row(
            "JetStream::stored_messages",
            |js| drop(js.stored_messages(&long(), &MessagesQuery::subject(">"), note_end)),
            NameTooLong,
        ),
        row(
            "JetStream::advisories",
            |js| drop(js.advisories(Some(&large()), note_end)),
            ControlLineTooLong,
        ),
        row(
            "Stream::dead_letters",
            |js| {
                let options = DeadLetterOptions::new().queue_group(large());
                drop(js.stream("S").dead_letters(&options, note_end));
            },
            ControlLineTooLong,
        ),
        row(
            "Consumer::dead_letters",
            |js| {
                let consumer = js.stream("S").consumer(&long());
                drop(consumer.dead_letters(&DeadLetterOptions::new(), note_end));
            },
            NameTooLong,
        ),
        row(
            "JetStream::snapshot_stream",
            |js| drop(js.snapshot_stream("S", &SnapshotOptions::new(), note_end)),
            Done,
        ),
        row(
            "Stream::snapshot",
            |js| drop(js.stream(&long()).snapshot(&SnapshotOptions::new(), note_end)),
            NameTooLong,
        ),
        row("JetStream::restore_stream", restore, PayloadTooLarge),
        row("JetStream::delete_message", |js| js.delete_message(&long(), 1, note), NameTooLong),
        row(
            "JetStream::secure_delete_message",
            |js| js.secure_delete_message(&long(), 1, note),
            NameTooLong,
        ),
        row(
            "Stream::stored_message",
            |js| {
                let query = MessageQuery::NextBySubject { subject: &large(), from: 1 };
                s(js).stored_message(query, ReadFrom::Leader, note);
            },
            PayloadTooLarge,
        ),
        row(
            "Stream::stored_message_without_headers",
            |js| {
                let query = MessageQuery::LastBySubject(&large());
                s(js).stored_message_without_headers(query, note);
            },
            PayloadTooLarge,
        ),
        row(
            "Stream::stored_messages",
            |js| drop(s(js).stored_messages(&MessagesQuery::last_of(filters()), note_end)),
            PayloadTooLarge,
        ),
        row("Stream::delete_message", |js| js.stream(&long()).delete_message(1, note), NameTooLong),
        row(
            "Stream::secure_delete_message",
            |js| js.stream(&long()).secure_delete_message(1, note),
            NameTooLong,
        ),
    ]
}

/// There is no cluster, which the server says when it has read the request.
fn members() -> Vec<Row> {
    let alone = || Refused(ErrorCode::CLUSTER_REQUIRED);
    vec![
        row(
            "JetStream::step_down_stream",
            |js| js.step_down_stream("S", Some(&large()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::step_down_consumer",
            |js| js.step_down_consumer("S", "C", Some(&large()), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::remove_stream_peer",
            |js| js.remove_stream_peer("S", &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::evacuate_stream_peer",
            |js| js.evacuate_stream_peer("S", &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::remove_consumer_peer",
            |js| js.remove_consumer_peer("S", "C", &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::evacuate_consumer_peer",
            |js| js.evacuate_consumer_peer("S", "C", &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::cancel_stream_move",
            |js| js.cancel_stream_move(&long(), note),
            NameTooLong,
        ),
        row("Stream::step_down", |js| s(js).step_down(None, note), alone()),
        row("Stream::remove_peer", |js| s(js).remove_peer("x", note), alone()),
        row("Stream::evacuate_peer", |js| s(js).evacuate_peer("x", note), alone()),
        row("Stream::cancel_move", |js| s(js).cancel_move(note), alone()),
        row("Consumer::step_down", |js| c(js).step_down(None, note), alone()),
        row("Consumer::remove_peer", |js| c(js).remove_peer("x", note), alone()),
        row("Consumer::evacuate_peer", |js| c(js).evacuate_peer("x", note), alone()),
    ]
}

/// What takes away what the others need.
pub(super) fn last_rows() -> Vec<Row> {
    vec![
        row("JetStream::seal_stream", |js| js.seal_stream(&long(), note), NameTooLong),
        row("Stream::seal", |js| js.stream("SPARE").seal(note), Done),
        row("Consumer::delete", |js| c(js).delete(note), Done),
        row("JetStream::delete_stream", |js| js.delete_stream(&long(), note), NameTooLong),
        row("Stream::delete", |js| js.stream("SPARE").delete(note), Done),
    ]
}
