//! JetStream on a server and in an account whose limits are low: every call that takes a callback is
//! made at least once, and where there is a limit for it, so that it meets that. Each has one outcome in
//! time, which is the expected one; the connection survives all of them.

#[path = "low_limits/publishing.rs"]
mod publishing;
#[path = "low_limits/streams.rs"]
mod streams;
mod support;

use evnats::jetstream::{
    BatchError, Error, ErrorCode, JetStream, Listed, Listing, Source, StreamConfig,
};
use evnats::{Client, CommandError, EventLoop, Options, RequestError};
use evnats_harness::{Server, requires};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{finish_with, flush, server, turn_until};

/// A payload and a control line may be so long, in bytes.
const MAX_PAYLOAD: usize = 1024;
const MAX_CONTROL_LINE: usize = 512;

/// The account may have as many streams as [`setup`] creates. One of them may have one consumer.
const CONFIG: &str = "
    max_payload: 1024
    max_control_line: 512
    jetstream {
        store_dir: store
        limits { max_ack_pending: 20, batch { max_msgs: 5, max_inflight_per_stream: 2 } }
    }
    accounts {
        SMALL {
            jetstream { max_mem: 64KB, max_store: 64KB, max_streams: 5, max_consumers: 2,
                        max_ack_pending: 10 }
            users: [ { user: u, password: p } ]
        }
    }";

/// The timeout of every call. An outcome that takes so long was waited for in vain.
const TIMEOUT: Duration = Duration::from_secs(5);

type Js = JetStream<App>;

#[derive(Default)]
struct App {
    outcomes: Vec<Outcome>,
    /// Whatever the connection had to say.
    reported: Vec<String>,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Done,
    /// It was not sent, because it is larger than the server takes.
    PayloadTooLarge,
    /// It was not sent, because its subject is longer than the server reads.
    ControlLineTooLong,
    /// It was not sent, because no stream and no consumer may have such a name.
    NameTooLong,
    WindowFull,
    Refused(ErrorCode),
    /// The batch has more messages than this.
    BatchTooLarge(u64),
    TooManyBatches,
    Other(Error),
}

/// A call, and what becomes of it.
struct Row {
    /// As `Handle::method`.
    call: &'static str,
    run: fn(&Js),
    expected: Outcome,
}

const fn row(call: &'static str, run: fn(&Js), expected: Outcome) -> Row {
    Row { call, run, expected }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        use CommandError as Command;
        let request = match &error {
            Error::Request(request) | Error::Batch(BatchError::Lost(request)) => Some(request),
            _ => None,
        };
        match (&error, request) {
            (_, Some(RequestError::Command(Command::PayloadTooLarge { limit, .. }))) => {
                assert_eq!(*limit, MAX_PAYLOAD);
                Self::PayloadTooLarge
            }
            (_, Some(RequestError::Command(Command::ControlLineTooLong { limit, .. }))) => {
                assert_eq!(*limit, MAX_CONTROL_LINE);
                Self::ControlLineTooLong
            }
            (Error::InvalidName { .. }, _) => Self::NameTooLong,
            (Error::WindowFull { .. }, _) => Self::WindowFull,
            (Error::Batch(BatchError::TooLarge { limit: Some(limit), .. }), _) => {
                Self::BatchTooLarge(*limit)
            }
            (Error::Batch(BatchError::TooManyOpen(_)), _) => Self::TooManyBatches,
            (Error::Api(refusal), _) => Self::Refused(refusal.err_code()),
            _ => Self::Other(error),
        }
    }
}

fn note<H, T>(app: &mut App, _: &H, outcome: Result<T, Error>) {
    app.outcomes.push(outcome.map_or_else(Outcome::from, |_| Outcome::Done));
}

/// Notes the end of a listing.
fn note_end<T, E>(app: &mut App, listing: &Listing<App>, listed: Listed<T, E>) {
    if let Listed::Ended(end) = listed {
        note(app, listing, end);
    }
}

/// A text of so many bytes, which may be a subject or a name.
fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// A text that is larger than a payload may be.
fn large() -> String {
    text(2 * MAX_PAYLOAD)
}

/// A text that is longer than a control line may be, and no larger than a payload.
fn long() -> String {
    text(MAX_CONTROL_LINE + 100)
}

/// Creates the streams, one after the other.
fn setup(js: &Js) {
    let all = StreamConfig::new("S").subjects(["s.>"]).max_consumers(1).max_msgs(100);
    let all = all.allow_direct(true).allow_atomic(true).allow_batched(true);
    let full = StreamConfig::new("FULL").subjects(["full"]).max_msgs(1);
    create_all(
        js,
        vec![
            all.allow_msg_schedules(true),
            full.discard(evnats::jetstream::Discard::New).max_msg_size(100),
            StreamConfig::new("COUNTED").subjects(["counted.>"]).allow_msg_counter(true),
            StreamConfig::new("MIRROR").mirror(Source::new("S")),
            StreamConfig::new("SPARE").subjects(["spare"]),
        ],
    );
}

fn create_all(js: &Js, mut configs: Vec<StreamConfig>) {
    if configs.is_empty() {
        return js.publish("full", "x", note);
    }
    js.create_stream(&configs.remove(0), |_, js, created| {
        created.expect("a stream");
        create_all(js, configs);
    });
}

fn client(event_loop: &EventLoop<App>, server: &Server) -> Client<App> {
    let url = server.url().replace("://", "://u:p@");
    let options = Options::new(url).max_control_line(MAX_CONTROL_LINE).request_timeout(TIMEOUT);
    let nats = event_loop.connect(options).expect("a client");
    nats.on_error(|app: &mut App, _, error| app.reported.push(error.to_string()));
    nats.on_disconnect(|app: &mut App, _, reason| app.reported.push(reason.to_string()));
    nats
}

#[test]
fn every_call_that_meets_a_low_limit_has_one_typed_outcome_in_time() {
    requires!(server(), 2, 15);
    let server = Server::builder().jetstream(false).config(CONFIG).start().expect("a server");
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = client(&event_loop, &server);
    let mut app = App::default();
    setup(&nats.jetstream());
    turn_until(&event_loop, &mut app, "the streams", |app| !app.outcomes.is_empty());
    app.outcomes.clear();
    let mut wrong = Vec::new();
    for Row { call, run, expected } in rows() {
        let began = Instant::now();
        run(&nats.jetstream());
        assert!(app.outcomes.is_empty(), "{call} has called back before it returned");
        turn_until(&event_loop, &mut app, call, |app| !app.outcomes.is_empty());
        assert!(began.elapsed() < TIMEOUT, "{call} has taken {:?}", began.elapsed());
        // a second outcome would be behind the first one
        flush(&event_loop, &mut app, &nats);
        assert_eq!(app.reported, [""; 0], "{call}");
        let outcomes = std::mem::take(&mut app.outcomes);
        if outcomes != [expected.clone()] {
            wrong.push(format!("{call}: {outcomes:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    nats.close();
    finish_with(&event_loop, &mut app);
}

fn rows() -> impl Iterator<Item = Row> {
    streams::rows().into_iter().chain(publishing::rows()).chain(streams::last_rows())
}

/// The methods of a source's handles that take a callback, as `Handle::method`.
fn calls_in(source: &str) -> Vec<String> {
    let (mut handle, mut calls) = (String::new(), Vec::new());
    // what ends before a body is a signature
    for part in source.split(['{', ';']) {
        if let Some((_, of)) = part.rsplit_once("\nimpl<S: 'static> ") {
            handle = of.trim().trim_end_matches("<S>").to_owned();
        }
        if let Some((_, signature)) = part.rsplit_once("pub fn ")
            && [": impl Callback<", ": impl Handler<"].iter().any(|of| signature.contains(of))
        {
            let name = signature.split(['(', '<']).next().unwrap_or_default();
            calls.push(format!("{handle}::{name}"));
        }
    }
    calls
}

fn calls_below(directory: &Path, calls: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => calls_below(&path, calls),
            false => calls.extend(calls_in(&std::fs::read_to_string(&path).expect("a source"))),
        }
    }
}

#[test]
fn every_call_that_takes_a_callback_has_a_row() {
    let mut calls = BTreeSet::new();
    calls_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jetstream"), &mut calls);
    assert!(calls.contains("Stream::create_consumer") && calls.len() > 50, "{calls:#?}");
    let rows: BTreeSet<String> = rows().map(|row| row.call.to_owned()).collect();
    let without: Vec<_> = calls.difference(&rows).collect();
    assert!(without.is_empty(), "calls without a row: {without:#?}");
    let unknown: Vec<_> = rows.difference(&calls).collect();
    assert!(unknown.is_empty(), "rows without a call: {unknown:#?}");
}
