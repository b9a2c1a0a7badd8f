//! Another client, in a process of its own: a script that takes a command on each line of its input and
//! gives an answer on each line of its output.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde_json::Value;
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
            Self::NatsJs => "node_modules/@nats-io/obj",
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
}

impl Drop for Peer {
    fn drop(&mut self) {
        // it may have come to its end already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
