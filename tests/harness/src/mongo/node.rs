//! One `mongod` of a replica set: its process, its port and its directory, which stay the same through
//! every kill and start.

use super::{
    MongoError, Mongod,
    connection::{Connection, SHORT},
    error::refused,
    primary,
};
use crate::{
    ReservedPort,
    process::{Process, Signal},
    server::{length_of, read_from},
};
use bson::Document;
use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The pause between two looks at a server that is not ready yet.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Node {
    // dropped in this order: the process before its port and its files
    process: Option<Process>,
    paused: bool,
    port: ReservedPort,
    mongod: Mongod,
    arguments: Vec<String>,
    /// Where the log of the latest start begins.
    logged_before: u64,
    directory: TempDir,
}

impl Node {
    /// A node that has all it needs, but has not been started.
    pub(super) fn prepare(mongod: &Mongod, arguments: &[String]) -> Result<Node, MongoError> {
        let directory = tempfile::Builder::new()
            .prefix("evnats-mongod-")
            .tempdir()
            .map_err(refused("make a temporary directory"))?;
        fs::create_dir(directory.path().join("data")).map_err(refused("make a directory"))?;
        let port = ReservedPort::any().map_err(refused("reserve a port"))?;
        Ok(Node {
            process: None,
            paused: false,
            port,
            mongod: mongod.clone(),
            arguments: arguments.to_owned(),
            logged_before: 0,
            directory,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.port()
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port())
    }

    pub(super) fn spawn(&mut self) -> Result<(), MongoError> {
        self.kill();
        let log = self.log_path();
        self.logged_before = length_of(&log);
        let mut command = self.mongod.command();
        command
            .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--port"])
            .arg(self.port().to_string())
            .arg("--dbpath")
            .arg(self.directory.path().join("data"))
            .args(&self.arguments)
            .current_dir(self.directory.path());
        let spawned = Process::spawn(&mut command, &log, Some(self.directory.path()));
        self.process = Some(spawned.map_err(refused("start mongod"))?);
        Ok(())
    }

    /// Waits until the node says of itself what is asked for.
    pub(super) fn await_hello(
        &mut self,
        deadline: Instant,
        is_ready: impl Fn(&Document) -> bool,
    ) -> Result<(), MongoError> {
        let started = Instant::now();
        loop {
            // first, so that the server's own last words win over a refused connection
            self.look_for_exit()?;
            let reason = match primary::hello(&self.address()) {
                Ok(hello) if is_ready(&hello) => return Ok(()),
                Ok(hello) => format!("its state is {hello}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let log = self.log_of_this_start();
                return Err(MongoError::NotReady { waited: started.elapsed(), reason, log });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn look_for_exit(&mut self) -> Result<(), MongoError> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.exited().map_err(refused("look at mongod"))? {
            Some(status) => Err(MongoError::Exited { status, log: self.log_of_this_start() }),
            None => Ok(()),
        }
    }

    /// Returns whether the node runs and is not paused.
    pub(super) fn can_answer(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    pub(super) fn connect(&self) -> Result<Connection, MongoError> {
        Connection::open(&self.address())
    }

    /// A connection for what is tried at the end of a test, and must not delay it.
    pub(super) fn connect_briefly(address: &str) -> Result<Connection, MongoError> {
        Connection::open_within(address, SHORT)
    }

    pub(super) fn kill(&mut self) {
        self.paused = false;
        self.process = None;
    }

    #[track_caller]
    pub(super) fn pause(&mut self) {
        self.process().pause().unwrap_or_else(|error| panic!("cannot pause mongod: {error}"));
        self.paused = true;
    }

    #[track_caller]
    pub(super) fn resume(&mut self) {
        let resumed = self.process().signal(Signal::CONT);
        resumed.unwrap_or_else(|error| panic!("cannot resume mongod: {error}"));
        self.paused = false;
    }

    #[track_caller]
    pub(super) fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// What it has logged, over all its starts.
    pub(super) fn log(&self) -> String {
        read_from(&self.log_path(), 0).unwrap_or_else(|error| error.to_string())
    }

    fn log_of_this_start(&self) -> String {
        let log = read_from(&self.log_path(), self.logged_before);
        log.unwrap_or_else(|error| error.to_string())
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("mongod.log")
    }

    #[track_caller]
    fn process(&self) -> &Process {
        self.process.as_ref().unwrap_or_else(|| panic!("mongod is stopped"))
    }
}
