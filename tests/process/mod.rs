//! Examples as processes: found, started, followed line by line, and ended, never waited for
//! without a limit.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a process may take in all; a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// An example that cargo has built; it builds all of them for `cargo test`.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("the path of the test");
    let profile = test.ancestors().nth(2).expect("the directory of the profile");
    let program: PathBuf = profile.join("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    Command::new(program)
}

/// A process that runs. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Open if more is to be written.
    stdin: Option<ChildStdin>,
    stdout: Output,
    stderr: Output,
    deadline: Instant,
}

/// How a process ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; `None` after a signal.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Finished {
    /// The standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("the output is text")
    }
}

/// One of a process's outputs, read by a thread of its own.
#[derive(Debug)]
struct Output {
    lines: Receiver<Vec<u8>>,
    read: Vec<u8>,
}

impl Running {
    /// Starts a process whose standard input is these bytes.
    pub fn start(command: Command, stdin: &[u8]) -> Self {
        let mut running = Self::start_dialog(command);
        // a process that needs no input may have closed it
        let _ = running.stdin.take().expect("it is open").write_all(stdin);
        running
    }

    /// Starts a process whose standard input stays open.
    pub fn start_dialog(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the process starts");
        let stdout = Output::follow(child.stdout.take().expect("it is piped"));
        let stderr = Output::follow(child.stderr.take().expect("it is piped"));
        let stdin = child.stdin.take();
        Self { child, stdin, stdout, stderr, deadline: Instant::now() + PATIENCE }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the standard input.
    #[track_caller]
    pub fn write_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("a dialog"), "{line}").expect("it reads");
    }

    /// Waits for a line with this text on the standard output.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) {
        let found = self.stdout.find(self.deadline, |line| contains(line, text));
        assert!(found, "{text:?} never came: {self:?}");
    }

    /// Waits for a line with this text on the standard error.
    #[track_caller]
    pub fn wait_for_note(&mut self, text: &str) {
        let found = self.stderr.find(self.deadline, |line| contains(line, text));
        assert!(found, "{text:?} never came: {self:?}");
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let never = |_: &[u8]| false;
        self.stdout.find(self.deadline, never);
        self.stderr.find(self.deadline, never);
        assert!(Instant::now() < self.deadline, "not finished after {PATIENCE:?}: {self:?}");
        let status = self.child.wait().expect("the process has closed its outputs");
        Finished {
            code: status.code(),
            stdout: std::mem::take(&mut self.stdout.read),
            stderr: String::from_utf8_lossy(&self.stderr.read).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // it may be gone already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn follow(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { lines, read: Vec::new() }
    }

    /// Reads up to a line that is searched for, the end, or the deadline.
    fn find(&mut self, deadline: Instant, is_it: impl Fn(&[u8]) -> bool) -> bool {
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(rest) {
                Ok(line) => {
                    let found = is_it(&line);
                    self.read.extend(line);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

fn contains(line: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(line).contains(text)
}
