//! Another client, in a process of its own: a script that takes a command on each line of its input and
//! gives an answer on each line of its output.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    NatsPy,
    NatsJs,
}

/// A client that is running. It ends with this value.
pub(crate) struct Peer {
    library: Library,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

/// An entry, as a client has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) revision: u64,
    /// `PUT`, `DEL` or `PURGE`. An expired value is purged, in other clients.
    pub(crate) operation: String,
}

/// Where the other clients are installed.
fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(target).join("interop")
}

impl Library {
    /// What is missing of it on this machine, if anything is.
    pub(crate) fn missing(self) -> Option<String> {
        let needed = match self {
            Self::NatsPy => "python/bin/python",
            Self::NatsJs => "node_modules/@nats-io/kv",
        };
        let path = installed().join(needed);
        (!path.exists()).then(|| format!("{}, which .ci/interop installs", path.display()))
    }

    fn command(self) -> Command {
        let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        match self {
            Self::NatsPy => {
                let mut command = Command::new(installed().join("python/bin/python"));
                command.arg(scripts.join("nats_py.py"));
                command
            }
            Self::NatsJs => {
                let mut command = Command::new("node");
                command.arg(scripts.join("nats_js.cjs"));
                command.env("NODE_PATH", installed().join("node_modules"));
                command
            }
        }
    }
}

impl Peer {
    pub(crate) fn start(library: Library, url: &str) -> Self {
        let mut command = library.command();
        command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process of another client");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (told, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| told.send(line))
        });
        Self { library, child, input, lines }
    }

    /// Has it do something. `Err`: a conflict, as it sees it.
    #[track_caller]
    pub(crate) fn try_do(&mut self, what: &str, mut options: Value) -> Result<Value, String> {
        options["do"] = what.into();
        writeln!(self.input, "{options}").expect("it reads");
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{:?}, {options}: {error}", self.library));
        let mut answer: Value = serde_json::from_str(&line).expect("JSON");
        match answer["conflict"].take() {
            Value::String(conflict) => return Err(conflict),
            _ => assert_eq!(answer["error"], Value::Null, "{:?}, {options}", self.library),
        }
        Ok(answer["ok"].take())
    }

    #[track_caller]
    pub(crate) fn run(&mut self, what: &str, options: Value) -> Value {
        self.try_do(what, options).expect("no conflict")
    }

    #[track_caller]
    pub(crate) fn bind(&mut self, bucket: &str) {
        self.run("bind", json!({ "bucket": bucket }));
    }

    /// Writes a value, and returns its revision.
    #[track_caller]
    pub(crate) fn put(&mut self, key: &str, value: &[u8]) -> u64 {
        let revision = self.run("put", json!({ "key": key, "value": STANDARD.encode(value) }));
        revision.as_u64().expect("a revision")
    }

    #[track_caller]
    pub(crate) fn create(&mut self, key: &str, value: &[u8]) -> Result<u64, String> {
        let options = json!({ "key": key, "value": STANDARD.encode(value) });
        let revision = self.try_do("create", options)?;
        Ok(revision.as_u64().expect("a revision"))
    }

    #[track_caller]
    pub(crate) fn update(&mut self, key: &str, value: &[u8], at: u64) -> Result<u64, String> {
        let options = json!({ "key": key, "value": STANDARD.encode(value), "revision": at });
        let revision = self.try_do("update", options)?;
        Ok(revision.as_u64().expect("a revision"))
    }

    #[track_caller]
    pub(crate) fn get(&mut self, key: &str) -> Option<Shown> {
        let found = self.run("get", json!({ "key": key }));
        (!found.is_null()).then(|| Shown::read(&found))
    }

    #[track_caller]
    pub(crate) fn keys(&mut self) -> Vec<String> {
        serde_json::from_value(self.run("keys", json!({}))).expect("keys")
    }

    #[track_caller]
    pub(crate) fn history(&mut self, key: &str) -> Vec<Shown> {
        let history = self.run("history", json!({ "key": key }));
        history.as_array().expect("a list").iter().map(Shown::read).collect()
    }

    /// The next entry of its watch.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Shown {
        Shown::read(&self.run("next", json!({})))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // it may have come to its end already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    #[track_caller]
    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        Self {
            key: text("key"),
            value: STANDARD.decode(text("value")).expect("base64"),
            revision: entry["revision"].as_u64().expect("a revision"),
            operation: text("operation"),
        }
    }
}
