//! One server process: spawned with its output in a file, signalled and reaped by its own pid, and
//! never left behind.
//!
//! A panic runs destructors; an abort, a SIGKILL of the test run, or a server kept in a `static`
//! does not. So each server has a watchdog: a small shell that waits for the end of a pipe whose
//! other end only this process holds, then kills the server. (Asking the kernel for a signal at the
//! parent's death instead would need unsafe code, and would fire when the *thread* that started the
//! server ends, which in a test is too early.)

use std::{
    fs::OpenOptions,
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

/// How long a server may take to stop before it is killed.
const GRACEFUL_STOP: Duration = Duration::from_secs(10);

/// How often the end of a process is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What the watchdog runs: end of file on stdin means that whoever started the server is gone. The
/// signals are those of a terminal and of a test runner that gives up, which are sent to the whole
/// process group.
const WATCHDOG: &str = "trap '' HUP INT TERM; read -r _; kill -KILL \"$1\"; shift; \
    [ $# = 0 ] || rm -rf \"$1\" || { sleep 1; rm -rf \"$1\"; }";

/// A running server. Killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts the command, its output appended to the file `log`. If this process dies before the
    /// value is dropped, the directory `leftovers` is removed, too.
    pub(crate) fn spawn(
        command: &mut Command,
        log: &Path,
        leftovers: Option<&Path>,
    ) -> io::Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child =
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(child.id().to_string())
            .args(leftovers)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Process { child, watchdog }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the process has ended.
    pub(crate) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Freezes the process. Returns when it is frozen, or has ended.
    pub(crate) fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // the signal alone returns while threads of the process may still be running. Not consumed:
        // the exit status is for `exited`, and the stop for a second pause of a paused process.
        let events = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::io::retry_on_intr(|| waitid(WaitId::Pid(Pid::from_child(&self.child)), events))?;
        Ok(())
    }

    /// Lets the server end in its own way. One that is paused, or takes longer than ten seconds, is
    /// made to.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)?; // A stopped process does not see the other one.
        let deadline = Instant::now() + GRACEFUL_STOP;
        while Instant::now() < deadline && self.exited()?.is_none() {
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Ends the process at once, also if it is paused.
    pub(crate) fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        // the watchdog goes before the server is reaped: until then the server's pid cannot be
        // given to anyone else. Errors mean that a process is gone already.
        let _ = self.child.kill();
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.wait();
    }
}
