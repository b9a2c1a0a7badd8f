//! Snapshots of streams, and streams that are restored from them.

use crate::support::{assert_same, finish_with, flush, server, turn_until, unique};
use evnats::jetstream::{
    ConsumerConfig, ConsumerInfo, Error, ErrorCode, JetStream, Listed, Listing, MessageQuery,
    ReadFrom, Restoring, SnapshotChunk, SnapshotOptions, Storage, StoredMessage, StreamBackup,
    StreamConfig, StreamInfo,
};
use evnats::{Client, EventLoop, HeaderMap, Options, OutgoingMessage};
use evnats_harness::{Server, requires};
use std::time::Duration;

type Js = JetStream<App>;

/// What a test has to do with, and what it was told.
#[derive(Default)]
struct App {
    /// The bytes of a snapshot.
    bytes: Vec<u8>,
    chunks: Vec<SnapshotChunk>,
    snapshot: Option<Result<StreamBackup, Error>>,
    restored: Option<Result<StreamInfo, Error>>,
    /// How many bytes of a restore the server had taken, each time it asked for more.
    sent: Vec<u64>,
    messages: Vec<StoredMessage>,
    consumer: Option<ConsumerInfo>,
    answers: usize,
}

struct Room {
    event_loop: EventLoop<App>,
    nats: Client<App>,
    app: App,
}

fn answered<H, T>(app: &mut App, _: &H, outcome: Result<T, Error>) {
    outcome.expect("done");
    app.answers += 1;
}

/// Keeps what comes.
fn keep(app: &mut App, _: &Listing<App>, listed: Listed<SnapshotChunk, StreamBackup>) {
    match listed {
        Listed::Item(chunk) => {
            app.bytes.extend_from_slice(&chunk.data);
            app.chunks.push(chunk);
        }
        Listed::Ended(end) => assert!(app.snapshot.replace(end).is_none(), "one end"),
    }
}

/// Bytes that cannot be compressed.
fn noise(seed: usize, size: usize) -> Vec<u8> {
    let mut word = seed as u64 + 1;
    let words = std::iter::repeat_with(move || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    });
    words.flatten().take(size).collect()
}

impl Room {
    fn new() -> Self {
        Self::at(server())
    }

    fn at(server: &Server) -> Self {
        Self::with_url(&server.url())
    }

    fn with_url(url: &str) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let nats = event_loop.connect(url).expect("a client");
        Self { event_loop, nats, app: App::default() }
    }

    fn js(&self) -> Js {
        self.nats.jetstream()
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl FnMut(&mut App) -> bool) {
        turn_until(&self.event_loop, &mut self.app, what, is_so);
    }

    /// Makes so many calls, and waits until they are answered.
    #[track_caller]
    fn ask(&mut self, count: usize, ask: impl FnOnce(&Js)) {
        let all = self.app.answers + count;
        ask(&self.js());
        self.until("answers", |app| app.answers == all);
    }

    /// Stores a message without waiting for its acknowledgement.
    fn store(&self, subject: &str, number: usize, size: usize) {
        let headers = HeaderMap::new().with("Number", number.to_string()).with("k", "a  b");
        let payload = noise(number, size);
        self.nats.send(OutgoingMessage::new(subject, payload).headers(&headers)).expect("sent");
    }

    /// A stream with so many messages.
    fn stream(&mut self, messages: usize, size: usize) -> String {
        let name = unique("BACKUP");
        let config = StreamConfig::new(&name).subjects([format!("{name}.>")]);
        self.ask(1, |js| js.create_stream(&config, answered));
        for number in 1..messages {
            self.store(&format!("{name}.{}", number % 7), number, size);
            // so that the outgoing buffer never fills
            if number % 500 == 0 {
                flush(&self.event_loop, &mut self.app, &self.nats);
            }
        }
        // what was sent before is stored when this is acknowledged
        self.ask(1, |js| js.publish(&format!("{name}.last"), "x", answered));
        name
    }

    /// Waits for the outcome of a snapshot that is under way.
    #[track_caller]
    fn snapshot_end(&mut self) -> Result<StreamBackup, Error> {
        self.until("the end of a snapshot", |app| app.snapshot.is_some());
        self.app.snapshot.take().expect("an end")
    }

    #[track_caller]
    fn snapshot(&mut self, stream: &str, options: &SnapshotOptions) -> StreamBackup {
        self.app.bytes.clear();
        self.app.chunks.clear();
        self.js().snapshot_stream(stream, options, keep);
        self.snapshot_end().expect("a snapshot")
    }

    /// Restores a stream from the bytes that are kept, in chunks of a size.
    fn restore(&mut self, backup: &StreamBackup, size: usize) -> Result<StreamInfo, Error> {
        self.js().restore_stream(
            backup,
            move |app: &mut App, restore, restoring| match restoring {
                Restoring::Wanted { sent } => {
                    app.sent.push(sent);
                    let rest = &app.bytes[sent as usize..];
                    restore.send(&rest[..rest.len().min(size)]).expect("it was asked for");
                }
                Restoring::Ended(end) => assert!(app.restored.replace(end).is_none(), "one end"),
                other => panic!("{other:?}"),
            },
        );
        self.restore_end()
    }

    #[track_caller]
    fn restore_end(&mut self) -> Result<StreamInfo, Error> {
        self.until("the end of a restore", |app| app.restored.is_some());
        self.app.restored.take().expect("an end")
    }

    /// Every message that there is up to a sequence, from the leader.
    fn messages(&mut self, stream: &str, last: u64) -> Vec<StoredMessage> {
        let mut all = Vec::new();
        for first in (1..=last).step_by(1000) {
            let those = first..=last.min(first + 999);
            let count = those.clone().count();
            self.ask(count, |js| {
                for sequence in those {
                    let query = MessageQuery::Sequence(sequence);
                    js.stored_message(stream, query, ReadFrom::Leader, |app: &mut App, _, read| {
                        match read {
                            Ok(message) => app.messages.push(message),
                            Err(error) => assert!(error.is_not_found(), "{error}"),
                        }
                        app.answers += 1;
                    });
                }
            });
            all.append(&mut self.app.messages);
        }
        all.sort_by_key(StoredMessage::sequence);
        all
    }

    fn consumer(&mut self, stream: &str, consumer: &str) -> ConsumerInfo {
        self.js().consumer_info(stream, consumer, |app: &mut App, _, info| {
            app.consumer = Some(info.expect("a consumer"));
        });
        self.until("a consumer", |app| app.consumer.is_some());
        self.app.consumer.take().expect("a consumer")
    }

    fn end(mut self, streams: &[&str]) {
        for stream in streams {
            self.ask(1, |js| js.delete_stream(stream, answered));
        }
        self.nats.close();
        finish_with(&self.event_loop, &mut self.app);
    }
}

#[test]
fn ten_thousand_messages_and_a_consumer_are_the_same_after_a_restore() {
    const MESSAGES: usize = 10_000;
    let mut room = Room::new();
    // more than the server sends ahead, so that nothing comes without acknowledgements
    let name = room.stream(MESSAGES, 1000);
    let gaps = [1, 17, 5000];
    room.ask(gaps.len(), |js| {
        for sequence in gaps {
            js.delete_message(&name, sequence, answered);
        }
    });
    let config = ConsumerConfig::new("C").durable_name("C").filter_subject(format!("{name}.3"));
    room.ask(1, |js| js.create_consumer(&name, &config, answered));
    // five deliveries, three of which are acknowledged
    let inbox = unique("next");
    let subscribed = room.nats.subscribe(&inbox, |app: &mut App, next, message| {
        app.answers += 1;
        if app.answers.is_multiple_of(2) {
            next.client().respond(message, "+ACK")?;
        }
        Ok(())
    });
    subscribed.expect("a subscription");
    room.app.answers = 1;
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{name}.C");
    room.ask(5, |js| {
        let request = OutgoingMessage::new(&next, r#"{"batch":5}"#).reply(&inbox);
        js.client().send(request).expect("sent");
    });
    flush(&room.event_loop, &mut room.app, &room.nats);
    let before = room.messages(&name, MESSAGES as u64);
    assert_eq!(before.len(), MESSAGES - gaps.len());
    let consumer = room.consumer(&name, "C");
    assert_eq!((consumer.num_ack_pending, consumer.delivered.consumer_sequence), (2, 5));

    let backup = room.snapshot(&name, &SnapshotOptions::new());
    assert_eq!((backup.config().name.as_str(), backup.state().messages), (&*name, 9_997));
    let chunks = &room.app.chunks;
    assert!(chunks.len() > 50, "{}", chunks.len());
    assert_eq!(chunks.last().expect("a chunk").received, room.app.bytes.len() as u64);
    assert!(chunks.iter().all(|chunk| chunk.stream_bytes == Some(backup.state().bytes)));
    // as a program keeps it
    let backup = StreamBackup::from_json(backup.to_json().as_bytes()).expect("a backup");

    room.ask(1, |js| js.delete_stream(&name, answered));
    let info = room.restore(&backup, 100_000).expect("restored");
    assert_eq!(info.state.messages, 9_997);
    assert_eq!(room.app.sent.first(), Some(&0));
    assert_eq!(room.app.sent.last(), Some(&(room.app.bytes.len() as u64)));
    assert_same(&room.messages(&name, MESSAGES as u64), &before);
    let restored = room.consumer(&name, "C");
    assert_eq!(restored.config, consumer.config);
    assert_eq!(restored.num_ack_pending, consumer.num_ack_pending);
    assert_eq!(restored.delivered.consumer_sequence, consumer.delivered.consumer_sequence);
    assert_eq!(restored.delivered.stream_sequence, consumer.delivered.stream_sequence);
    if server().version().minor >= 10 {
        assert_eq!(restored.ack_floor.stream_sequence, consumer.ack_floor.stream_sequence);
    }
    room.end(&[&name]);
}

#[test]
fn consumers_are_left_out_on_demand_and_chunks_have_the_size_that_was_asked_for() {
    let mut room = Room::new();
    let name = room.stream(50, 1000);
    let config = ConsumerConfig::new("C").durable_name("C");
    room.ask(1, |js| js.create_consumer(&name, &config, answered));
    let options = SnapshotOptions::new().consumers(false).chunk_size(4096).check(true);
    let backup = room.snapshot(&name, &options);
    assert!(room.app.chunks.len() > 5);
    assert!(room.app.chunks.iter().all(|chunk| chunk.data.len() <= 4096));
    room.ask(1, |js| js.delete_stream(&name, answered));
    let info = room.restore(&backup, 1000).expect("restored");
    assert_eq!((info.state.messages, info.state.consumer_count), (50, 0));
    room.end(&[&name]);
}

#[test]
fn a_snapshot_that_is_stopped_from_inside_leaves_nothing_behind() {
    let mut room = Room::new();
    let name = room.stream(1000, 10_000);
    room.js().stream(&name).snapshot(&SnapshotOptions::new(), |app: &mut App, snapshot, listed| {
        assert!(matches!(listed, Listed::Item(_)), "{listed:?}");
        app.answers += 1;
        snapshot.stop();
        assert!(!snapshot.is_active());
    });
    let before = room.app.answers;
    room.until("a chunk", |app| app.answers > before);
    // the server may need a moment to notice
    let backup = loop {
        room.js().snapshot_stream(&name, &SnapshotOptions::new(), keep);
        match room.snapshot_end() {
            Ok(backup) => break backup,
            Err(error) => {
                let code = error.api().map(|api| api.err_code());
                assert_eq!(code, Some(ErrorCode(10064)), "{error}");
            }
        }
    };
    assert_eq!(room.app.answers, before + 1, "the first one has come to rest");
    assert_eq!(backup.state().messages, 1000);
    room.end(&[&name]);
}

#[test]
fn a_restore_that_is_stopped_makes_no_stream_and_keeps_no_other_one_away() {
    let mut room = Room::new();
    let name = room.stream(200, 1000);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    room.ask(1, |js| js.delete_stream(&name, answered));
    room.js().restore_stream(&backup, |app: &mut App, restore, restoring| {
        assert!(matches!(restoring, Restoring::Wanted { .. }), "{restoring:?}");
        if app.sent.is_empty() {
            app.sent.push(0);
            return restore.send(&app.bytes[..1000]).expect("it was asked for");
        }
        restore.stop();
        assert_eq!(restore.send("x"), Err(Error::NothingWanted));
        app.answers += 1;
    });
    let before = room.app.answers;
    room.until("the second question", |app| app.answers > before);
    room.js().stream_info(&name, |app: &mut App, _, info| {
        assert!(info.expect_err("there is none").is_not_found());
        app.answers += 1;
    });
    room.until("an answer", |app| app.answers == before + 2);
    assert_eq!(room.restore(&backup, 100_000).expect("restored").state.messages, 200);
    room.end(&[&name]);
}

#[test]
fn a_chunk_is_sent_once_for_each_time_it_is_asked_for() {
    let mut room = Room::new();
    let name = room.stream(5, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    room.ask(1, |js| js.delete_stream(&name, answered));
    let restore =
        room.js().restore_stream(&backup, |app: &mut App, restore, restoring| match restoring {
            Restoring::Wanted { sent } => {
                restore.send(&app.bytes[sent as usize..]).expect("it was asked for");
                assert_eq!(restore.send("x"), Err(Error::NothingWanted));
            }
            Restoring::Ended(end) => app.restored = Some(end),
            other => panic!("{other:?}"),
        });
    assert_eq!(restore.send("x"), Err(Error::NothingWanted), "the server has not said where");
    assert_eq!(room.restore_end().expect("restored").state.messages, 5);
    assert_eq!(restore.send("x"), Err(Error::NothingWanted), "it is over");
    assert!(!restore.is_active());
    room.end(&[&name]);
}

#[test]
fn what_cannot_be_backed_up_or_restored_says_why() {
    let mut room = Room::new();
    let name = room.stream(5, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    let code = |error: &Error| error.api().map(|api| api.err_code().0);

    room.js().snapshot_stream("a b", &SnapshotOptions::new(), keep);
    assert!(matches!(room.snapshot_end(), Err(Error::InvalidName { .. })));
    room.js().snapshot_stream("NONE", &SnapshotOptions::new(), keep);
    assert!(room.snapshot_end().expect_err("there is none").is_not_found());
    let memory = unique("BACKUP");
    let config = StreamConfig::new(&memory).storage(Storage::Memory);
    room.ask(1, |js| js.create_stream(&config, answered));
    room.js().snapshot_stream(&memory, &SnapshotOptions::new(), keep);
    match room.snapshot_end() {
        Ok(backup) => assert_eq!(backup.config().name, memory),
        Err(error) => {
            assert_eq!(code(&error), Some(10064), "{error}");
            assert!(server().version().minor <= 10, "newer servers can");
        }
    }

    let error = room.restore(&backup, 1000).expect_err("it exists");
    assert_eq!(code(&error), Some(10130), "{error}");
    let nameless = backup.clone().with_config(StreamConfig::default()).expect("a backup");
    assert!(matches!(room.restore(&nameless, 1000), Err(Error::InvalidName { .. })));
    room.ask(1, |js| js.delete_stream(&name, answered));
    room.app.bytes = b"this is no snapshot".repeat(100);
    let error = room.restore(&backup, 1000).expect_err("nonsense");
    assert_eq!(code(&error), Some(10062), "{error}");
    room.app.bytes.clear();
    let error = room.restore(&backup, 1000).expect_err("nothing");
    assert_eq!(code(&error), Some(10062), "{error}");
    room.app.bytes = vec![0; 3_000_000];
    let error = room.restore(&backup, 3_000_000).expect_err("too large");
    assert!(error.to_string().contains("payload"), "{error}");
    room.end(&[&memory]);
}

#[test]
fn a_stream_is_restored_under_another_name() {
    requires!(server(), 2, 15);
    let mut room = Room::new();
    let name = room.stream(20, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    let copy = unique("BACKUP");
    let config = backup.config().clone().name(&copy).subjects([&copy]);
    let backup = backup.with_config(config).expect("a backup");
    let info = room.restore(&backup, 1000).expect("restored");
    assert_eq!((info.config.name.as_str(), info.state.messages), (&*copy, 20));
    room.end(&[&name, &copy]);
}

#[test]
fn a_stream_that_needs_a_newer_server_is_not_restored_on_an_older_one() {
    let mut room = Room::new();
    let name = room.stream(2, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    room.ask(1, |js| js.delete_stream(&name, answered));
    let config = backup.config().clone().allow_msg_ttl(true);
    let outcome = room.restore(&backup.with_config(config).expect("a backup"), 1000);
    match server().version().minor {
        ..=10 => {
            assert!(matches!(outcome, Err(Error::Unsupported { .. })), "{outcome:?}");
            room.end(&[]);
        }
        _ => {
            assert!(outcome.expect("restored").config.allow_msg_ttl);
            room.end(&[&name]);
        }
    }
}

#[test]
fn a_snapshot_whose_connection_is_lost_ends() {
    let mut room = Room::new();
    let name = room.stream(1000, 10_000);
    room.js().snapshot_stream(&name, &SnapshotOptions::new(), |app: &mut App, snapshot, listed| {
        if app.chunks.is_empty() {
            snapshot.jetstream().client().reconnect();
        }
        keep(app, snapshot, listed);
    });
    let error = room.snapshot_end().expect_err("it is broken off");
    assert!(error.is_outcome_unknown(), "{error}");
    room.end(&[&name]);
}

#[test]
fn a_restore_that_the_server_knows_no_more_ends() {
    let mut server = Server::start();
    let mut room = Room::at(&server);
    let name = room.stream(20, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    room.ask(1, |js| js.delete_stream(&name, answered));
    let waiting =
        room.js().restore_stream(&backup, |app: &mut App, _, restoring| match restoring {
            Restoring::Wanted { .. } => app.answers += 1,
            Restoring::Ended(end) => app.restored = Some(end),
            other => panic!("{other:?}"),
        });
    let before = room.app.answers;
    room.until("a question", |app| app.answers > before);
    room.nats.on_reconnect(|app: &mut App, _, _| app.answers += 1);
    server.kill9();
    server.start_again();
    room.until("another connection", |app| app.answers == before + 2);
    waiting.send("x").expect("it was asked for");
    assert_eq!(room.restore_end(), Err(Error::RestoreGivenUp));
    room.end(&[]);
}

#[test]
fn the_end_of_the_client_ends_a_restore_that_waits_for_its_user() {
    let mut room = Room::new();
    let name = room.stream(5, 10);
    let backup = room.snapshot(&name, &SnapshotOptions::new());
    room.ask(1, |js| js.delete_stream(&name, answered));
    room.js().restore_stream(&backup, |app: &mut App, restore, restoring| match restoring {
        Restoring::Wanted { .. } => restore.jetstream().client().close(),
        Restoring::Ended(end) => app.restored = Some(end),
        other => panic!("{other:?}"),
    });
    finish_with(&room.event_loop, &mut room.app);
    assert_eq!(room.app.restored, Some(Err(Error::Closed)));
}

#[test]
fn the_rights_that_the_table_names_are_enough() {
    let permitted = r#"publish: { allow: ["$JS.API.STREAM.SNAPSHOT.S", "$JS.SNAPSHOT.ACK.S.>",
        "$JS.API.STREAM.RESTORE.S", "$JS.SNAPSHOT.RESTORE.S.*"] }, subscribe: "_INBOX.*.*""#;
    let config = format!(
        "authorization {{ users: [ {{ user: admin, password: p }}, \
         {{ user: keeper, password: p, permissions: {{ {permitted} }} }} ] }}"
    );
    let server = Server::builder().config(config).start().expect("a server");
    let mut admin = Room::with_url(&server.url().replace("://", "://admin:p@"));
    let config = StreamConfig::new("S").subjects(["s.>"]);
    admin.ask(1, |js| js.create_stream(&config, answered));
    // more than one chunk
    for number in 1..400 {
        admin.store("s.1", number, 1000);
    }
    admin.ask(1, |js| js.publish("s.2", "x", answered));

    let mut keeper = Room::with_url(&server.url().replace("://", "://keeper:p@"));
    keeper.nats.on_error(|_, _, error| crate::support::fail(error));
    let backup = keeper.snapshot("S", &SnapshotOptions::new());
    assert!(keeper.app.chunks.len() > 2);
    admin.ask(1, |js| js.delete_stream("S", answered));
    assert_eq!(keeper.restore(&backup, 100_000).expect("restored").state.messages, 400);
    keeper.end(&[]);
    admin.end(&["S"]);
}

/// Who answers in the place of a server.
fn stand_in(
    room: &Room,
    mut answer: impl FnMut(&Client<App>, &str) + 'static,
) -> (Js, SnapshotOptions) {
    let prefix = unique("fake");
    let subject = format!("{prefix}.STREAM.SNAPSHOT.S");
    let subscribed = room.nats.subscribe(&subject, move |_: &mut App, fake, message| {
        let request: serde_json::Value = serde_json::from_slice(message.payload()).expect("JSON");
        fake.client().respond(message, r#"{"config":{"name":"S"},"state":{"bytes":4}}"#)?;
        answer(fake.client(), request["deliver_subject"].as_str().expect("a subject"));
        Ok(())
    });
    subscribed.expect("a subscription");
    (
        room.js().with_prefix(&prefix).with_timeout(Duration::from_millis(300)),
        SnapshotOptions::new(),
    )
}

#[test]
fn a_snapshot_of_which_nothing_comes_ends_after_the_time_of_a_request() {
    let mut room = Room::new();
    let (js, options) = stand_in(&room, |_, _| {});
    js.snapshot_stream("S", &options, keep);
    assert!(room.snapshot_end().expect_err("nothing comes").is_timeout());
    room.end(&[]);
}

#[test]
fn each_chunk_renews_the_time() {
    let mut room = Room::new();
    // four chunks that take longer than the time of a request together
    fn send(nats: &Client<App>, inbox: String, rest: u32) {
        nats.publish(&inbox, if rest > 0 { "x" } else { "" }).expect("sent");
        if rest > 0 {
            let later = Duration::from_millis(150);
            nats.set_timer(later, move |_: &mut App, nats| send(nats, inbox, rest - 1));
        }
    }
    let (js, options) = stand_in(&room, |nats, inbox| send(nats, inbox.to_owned(), 4));
    js.snapshot_stream("S", &options, keep);
    assert_eq!(room.snapshot_end().expect("a snapshot").state().bytes, 4);
    assert_eq!(room.app.bytes, b"xxxx");
    room.end(&[]);
}

#[test]
fn acknowledgements_wait_for_room_in_the_connections_buffer() {
    let mut room = Room::new();
    let name = room.stream(1500, 10_000);
    let options = Options::new(server().url()).outgoing_limit(1024 * 1024);
    let nats: Client<App> = room.event_loop.connect(options).expect("a client");
    nats.jetstream().snapshot_stream(
        &name,
        &SnapshotOptions::new(),
        |app: &mut App, it, listed| {
            if matches!(listed, Listed::Item(_)) {
                // what is acknowledged next finds no room
                let nats = it.jetstream().client();
                while nats.publish("nobody", vec![0; 1000]).is_ok() {}
                while nats.publish("nobody", "").is_ok() {}
                app.answers += 1;
            }
            keep(app, it, listed);
        },
    );
    let backup = room.snapshot_end().expect("a snapshot");
    assert_eq!(backup.state().messages, 1500);
    assert!(room.app.chunks.len() > 64, "more than the server sends ahead");
    nats.close();
    room.end(&[&name]);
}
