//! Configurations that other clients have sent, recorded once on server 2.15: they are read, written
//! and stored without a loss. Each line of the record has who sent it, the subject, and the body.

use evnats::jetstream::{ConsumerConfig, Error, JetStream, StreamConfig};
use evnats::{Client, EventLoop};
use evnats_harness::Server;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::support::{Log, finish_with, level, turn_until};

/// What server 2.9 passes over.
const NOT_IN_2_9: [&str; 7] = [
    "metadata",
    "filter_subjects",
    "compression",
    "first_seq",
    "consumer_limits",
    "subject_transform",
    "subject_transforms",
];

/// The words that mean the same as none. Server 2.15 does not repeat that of `persist_mode`.
const USUAL: [(&str, &str); 8] = [
    ("retention", "limits"),
    ("discard", "old"),
    ("storage", "file"),
    ("compression", "none"),
    ("persist_mode", "default"),
    ("deliver_policy", "all"),
    ("ack_policy", "none"),
    ("replay_policy", "instant"),
];

const TIMES: [&str; 2] = ["opt_start_time", "pause_until"];

/// A line of the record.
struct Recorded {
    by: String,
    subject: String,
    body: Value,
}

impl Recorded {
    fn all() -> Vec<Self> {
        let lines = include_str!("../data/recorded_configs.jsonl").lines();
        let read = |line| {
            let mut line: Value = serde_json::from_str(line).expect("JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let (by, subject) = (text(&line["by"]), text(&line["subject"]));
            Self { by, subject, body: line["body"].take() }
        };
        lines.map(read).collect()
    }

    fn is_about_a_stream(&self) -> bool {
        self.subject.starts_with("$JS.API.STREAM.")
    }

    fn stream(&self) -> &str {
        let name =
            if self.is_about_a_stream() { &self.body["name"] } else { &self.body["stream_name"] };
        name.as_str().expect("a name")
    }

    fn config(&self) -> &Value {
        if self.is_about_a_stream() { &self.body } else { &self.body["config"] }
    }

    fn stream_config(&self) -> StreamConfig {
        serde_json::from_value(self.config().clone()).expect("a stream's configuration")
    }

    fn consumer_config(&self) -> ConsumerConfig {
        serde_json::from_value(self.config().clone()).expect("a consumer's configuration")
    }
}

/// What a configuration says beyond what a server takes for granted. Metadata of servers says nothing.
fn meaning(config: &Value) -> Value {
    let Value::Object(members) = config else { return config.clone() };
    let mut said = Map::new();
    for (name, value) in members {
        let value = match value {
            Value::Array(items) => items.iter().map(meaning).collect(),
            // as many digits of a second as it takes
            Value::String(text) if TIMES.contains(&&**name) && text.contains('.') => {
                text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.').into()
            }
            Value::String(text) if TIMES.contains(&&**name) => text.trim_end_matches('Z').into(),
            value => meaning(value),
        };
        let is_said = match &value {
            Value::Null | Value::Bool(false) => false,
            // no limit
            Value::Number(number) => number.as_i64().is_none_or(|number| number > 0),
            Value::String(text) => !text.is_empty() && !USUAL.contains(&(&**name, &**text)),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::Bool(true) => true,
        };
        if is_said && !name.starts_with("_nats") {
            said.insert(name.clone(), value);
        }
    }
    said.into()
}

fn meaning_of(config: &impl serde::Serialize) -> Value {
    meaning(&serde_json::to_value(config).expect("JSON"))
}

/// The names of all members.
fn members(config: &Value, names: &mut BTreeSet<String>) {
    match config {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            members(value, names);
        }),
        Value::Array(items) => items.iter().for_each(|item| members(item, names)),
        _ => {}
    }
}

#[test]
fn what_other_clients_write_is_written_as_it_was_read() {
    let recorded = Recorded::all();
    assert!(recorded.len() > 80 && recorded.iter().any(|one| one.by.starts_with("nats-py")));
    for one in &recorded {
        let written = match one.is_about_a_stream() {
            true => serde_json::to_value(one.stream_config()),
            false => serde_json::to_value(one.consumer_config()),
        };
        let mut written = meaning(&written.expect("JSON"));
        let mut read = meaning(one.config());
        for config in [&mut written, &mut read] {
            // one copy is what there is without a word
            if config.get("num_replicas").and_then(Value::as_u64) == Some(1) {
                config.as_object_mut().expect("an object").remove("num_replicas");
            }
        }
        assert_eq!(written, read, "{}: {}", one.by, one.subject);
    }
}

/// A client of a server, and what it is asked for one by one.
struct Asking {
    event_loop: EventLoop<Log>,
    nats: Client<Log>,
    log: Log,
    server: Server,
}

impl Asking {
    fn new() -> Self {
        let (server, event_loop) = (Server::start(), EventLoop::new().expect("an event loop"));
        let nats = event_loop.connect(server.url()).expect("a client");
        Self { event_loop, nats, log: Log::new(), server }
    }

    fn ask<T: 'static>(
        &mut self,
        what: &str,
        ask: impl FnOnce(&JetStream<Log>, Rc<RefCell<Option<T>>>),
    ) -> T {
        let answer = Rc::new(RefCell::new(None));
        ask(&self.nats.jetstream(), answer.clone());
        turn_until(&self.event_loop, &mut self.log, what, |_| answer.borrow().is_some());
        answer.take().expect("an answer")
    }

    /// Whether a configuration was refused or cut down as an older server has to.
    fn is_beyond(&self, needs: u32, config: &Value, error: Option<&Error>) -> bool {
        if needs > level() {
            assert!(matches!(error, Some(Error::Unsupported { .. })), "{config}: {error:?}");
            return true;
        }
        let mut names = BTreeSet::new();
        members(config, &mut names);
        let is_2_9 = self.server.version().minor == 9;
        if is_2_9 && NOT_IN_2_9.iter().any(|name| names.contains(*name)) {
            let Some(Error::MadeDifferently { members }) = error else {
                panic!("{config}: {error:?}")
            };
            let last = |member: &String| NOT_IN_2_9.iter().any(|name| member.ends_with(name));
            let first = |member: &String| NOT_IN_2_9.iter().any(|name| member.starts_with(name));
            assert!(members.iter().all(|member| first(member) || last(member)), "{members:?}");
            return true;
        }
        assert_eq!(error, None, "{config}");
        false
    }

    /// Stores the configuration, and then what was told of it once more. Returns whether the server
    /// has it as it was recorded.
    fn put_stream(&mut self, one: &Recorded) -> bool {
        let config = one.stream_config();
        let needs = config.required_level().map_or(0, |needs| needs.level);
        let is_update = one.subject.starts_with("$JS.API.STREAM.UPDATE.");
        let put = self.ask(&one.subject, |js, answer| {
            let done = move |_: &mut Log, _: &_, info| drop(answer.replace(Some(info)));
            match is_update {
                true => js.update_stream(&config, done),
                false => js.create_stream(&config, done),
            }
        });
        if self.is_beyond(needs, &meaning_of(&config), put.as_ref().err()) {
            return false;
        }
        let told = put.expect("checked").config;
        assert_kept(&meaning(one.config()), &meaning_of(&told), &one.subject);
        if told.sealed {
            return true;
        }
        let updated = self.ask(&one.subject, |js, answer| {
            js.update_stream(&told, move |_, _, info| drop(answer.replace(Some(info))));
        });
        assert_eq!(updated.expect("the same").config, told, "{}", one.subject);
        true
    }

    fn put_consumer(&mut self, one: &Recorded) {
        let config = one.consumer_config();
        let needs = config.required_level().map_or(0, |needs| needs.level);
        let stream = one.stream().to_owned();
        let put = self.ask(&one.subject, |js, answer| {
            let done = move |_: &mut Log, _: &_, info| drop(answer.replace(Some(info)));
            js.create_or_update_consumer(&stream, &config, done);
        });
        if self.is_beyond(needs, &meaning_of(&config), put.as_ref().err()) {
            return;
        }
        let info = put.expect("checked");
        let told = info.config.expect("a configuration").name(info.name);
        assert_kept(&meaning(one.config()), &meaning_of(&told), &one.subject);
        let updated = self.ask(&one.subject, |js, answer| {
            js.update_consumer(&stream, &told, move |_, _, info| drop(answer.replace(Some(info))));
        });
        let updated = updated.expect("the same");
        let again = updated.config.expect("a configuration").name(updated.name);
        assert_eq!(again, told, "{}", one.subject);
    }
}

/// Whatever was said is still there, but for what follows from the rest.
fn assert_kept(said: &Value, told: &Value, subject: &str) {
    let has = |name| said.get(name).is_some();
    for (name, said) in said.as_object().expect("an object") {
        let follows = match &**name {
            // what the origin permits
            "mirror_direct" => has("mirror"),
            "discard" | "allow_rollup_hdrs" | "max_age" => has("sealed"),
            "ack_wait" => has("backoff"),
            _ => false,
        };
        if follows {
            continue;
        }
        assert_eq!(told.get(name), Some(said), "{subject}: {name} in {told}");
    }
}

#[test]
fn what_other_clients_write_is_stored_and_written_back_unchanged() {
    let mut asking = Asking::new();
    let mut stored = BTreeSet::new();
    for one in &Recorded::all() {
        if one.is_about_a_stream() {
            if one.subject.contains(".CREATE.") || stored.contains(one.stream()) {
                match asking.put_stream(one) {
                    true => stored.insert(one.stream().to_owned()),
                    false => stored.remove(one.stream()),
                };
            }
        } else if stored.contains(one.stream()) {
            asking.put_consumer(one);
        }
    }
    assert!(stored.len() > 15, "{stored:?}");
    asking.nats.close();
    finish_with(&asking.event_loop, &mut asking.log);
}
