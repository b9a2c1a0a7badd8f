//! A replica set of real servers, each of which can be killed, paused and started by itself.
//!
//! The invariant: when a [`ReplicaSet`] says that it is ready, one of the members that can answer is
//! the primary, and the others are secondaries.

use super::{
    MongoError, ReplicaSetBuilder,
    connection::Connection,
    node::Node,
    primary::{self, is_primary, is_secondary},
};
use crate::Version;
use bson::{Document, doc};
use std::time::{Duration, Instant};

/// How long a set may take to get ready. Far more than it needs, for machines that are busy with a
/// build.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// How long a primary is waited for, before a command is sent to it.
const PRIMARY_PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks at a set that is not ready yet.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running replica set, without authentication and TLS. Killed when dropped; its directories are
/// removed, also if this process dies before.
///
/// ```no_run
/// let mut set = evnats_harness::ReplicaSet::start();
/// println!("{}", set.uri());
/// set.kill(0);
/// set.restart(0); // same port, same data
/// ```
#[derive(Debug)]
pub struct ReplicaSet {
    nodes: Vec<Node>,
    version: Version,
}

impl ReplicaSet {
    /// The name of every set.
    pub(super) const NAME: &str = "rs0";

    /// Starts a set of one server.
    ///
    /// # Panics
    ///
    /// When there is no `mongod` or it does not get ready, with a text that says what to do.
    #[track_caller]
    #[must_use]
    pub fn start() -> ReplicaSet {
        Self::builder().start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A set that differs from the usual one.
    pub fn builder() -> ReplicaSetBuilder {
        ReplicaSetBuilder::new()
    }

    pub(super) fn of(nodes: Vec<Node>, version: Version) -> ReplicaSet {
        ReplicaSet { nodes, version }
    }

    /// `mongodb://127.0.0.1:PORT,…/?replicaSet=rs0`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("mongodb://{}/?replicaSet={}", self.addresses().join(","), Self::NAME)
    }

    /// The connection string of one member without the others:
    /// `mongodb://127.0.0.1:PORT/?directConnection=true`.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    #[must_use]
    pub fn direct_uri(&self, node: usize) -> String {
        format!("mongodb://{}/?directConnection=true", self.nodes[node].address())
    }

    /// How many members there are, also if they do not run.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// A member's port. The same for its whole life, also while it is stopped.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    #[must_use]
    pub fn port(&self, node: usize) -> u16 {
        self.nodes[node].port()
    }

    /// The process id of a member. Another one after each start.
    ///
    /// # Panics
    ///
    /// When there are not so many, or it is killed.
    #[track_caller]
    #[must_use]
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].pid()
    }

    /// The servers' version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// What a member has logged, over all its starts.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    #[must_use]
    pub fn log(&self, node: usize) -> String {
        self.nodes[node].log()
    }

    /// Kills a member (SIGKILL) and waits for its end. Does nothing if it is killed already.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Kills a member, if it runs, and starts it on the same port with the same data. Returns when it is
    /// a secondary or the primary; the only member of a set, when it is the primary.
    ///
    /// # Panics
    ///
    /// When there are not so many, or it does not get ready.
    #[track_caller]
    pub fn restart(&mut self, node: usize) {
        let alone = self.nodes.len() == 1;
        let is_ready = |hello: &Document| is_primary(hello) || !alone && is_secondary(hello);
        let node = &mut self.nodes[node];
        node.spawn()
            .and_then(|()| node.await_hello(Instant::now() + READY_DEADLINE, is_ready))
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Freezes a member (SIGSTOP): its connections stay open, and it says nothing. Returns when it is
    /// frozen.
    ///
    /// # Panics
    ///
    /// When there are not so many, or it is killed.
    #[track_caller]
    pub fn pause(&mut self, node: usize) {
        self.nodes[node].pause();
    }

    /// Lets a frozen member go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// When there are not so many, or it is killed.
    #[track_caller]
    pub fn resume(&mut self, node: usize) {
        self.nodes[node].resume();
    }

    /// Makes the primary step down, and not stand for election for so many seconds. The only member of
    /// a set is the primary again afterwards. Returns at once; [`ReplicaSet::wait_ready`] waits for the
    /// next primary.
    ///
    /// # Panics
    ///
    /// When there is no primary, or it does not step down.
    #[track_caller]
    pub fn step_down(&self, seconds: u32) {
        let command = doc! {
            "replSetStepDown": seconds,
            // it has to be over before the other period is
            "secondaryCatchUpPeriodSecs": seconds.saturating_sub(1).min(1),
            "force": true,
        };
        self.run_command("admin", command).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until one of the members that run is the primary and the others are secondaries. Paused
    /// members do not count.
    ///
    /// # Panics
    ///
    /// When that takes longer than two minutes.
    #[track_caller]
    pub fn wait_ready(&self) {
        self.await_ready().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Which member is the primary, as it says itself. Waits half a minute for one.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn primary(&self) -> usize {
        let address = primary::wait_for(&self.addresses_that_answer(), PRIMARY_PATIENCE);
        let address = address.unwrap_or_else(|error| panic!("{error}"));
        let index = self.nodes.iter().position(|node| node.address() == address);
        index.expect("the address of a node")
    }

    /// Runs a command on the primary, which is waited for, and returns the reply.
    ///
    /// # Errors
    ///
    /// When there is no primary for half a minute, it answers with an error, or not within half a
    /// minute, or its connection breaks.
    pub fn run_command(&self, database: &str, command: Document) -> Result<Document, MongoError> {
        self.connect_to_primary()?.run(database, command)
    }

    /// The same on one of the members.
    ///
    /// # Errors
    ///
    /// As those of [`ReplicaSet::run_command`].
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn run_command_on(
        &self,
        node: usize,
        database: &str,
        command: Document,
    ) -> Result<Document, MongoError> {
        self.nodes[node].connect()?.run(database, command)
    }

    pub(super) fn connect_to_primary(&self) -> Result<Connection, MongoError> {
        primary::connect(&self.addresses_that_answer(), PRIMARY_PATIENCE)
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Node::address).collect()
    }

    fn addresses_that_answer(&self) -> Vec<String> {
        self.nodes.iter().filter(|node| node.can_answer()).map(Node::address).collect()
    }

    /// Spawns the servers, all before any is waited for, and makes a set of them.
    pub(super) fn launch(&mut self, config: Document) -> Result<(), MongoError> {
        let deadline = Instant::now() + READY_DEADLINE;
        self.nodes.iter_mut().try_for_each(Node::spawn)?;
        self.nodes.iter_mut().try_for_each(|node| node.await_hello(deadline, |_| true))?;
        self.run_command_on(0, "admin", doc! { "replSetInitiate": config })?;
        self.await_ready()
    }

    fn await_ready(&self) -> Result<(), MongoError> {
        let deadline = Instant::now() + READY_DEADLINE;
        while let Err(reason) = self.look() {
            if Instant::now() >= deadline {
                let log = self.nodes.iter().map(Node::log).collect::<Vec<_>>().join("\n---\n");
                return Err(MongoError::NotReady { waited: READY_DEADLINE, reason, log });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Takes one look at every member that can answer. An error says what is missing.
    fn look(&self) -> Result<(), String> {
        let mut primaries = 0;
        for address in self.addresses_that_answer() {
            let hello = primary::hello(&address).map_err(|error| format!("{address}: {error}"))?;
            if is_primary(&hello) {
                primaries += 1;
            } else if !is_secondary(&hello) {
                return Err(format!("{address} is neither primary nor secondary"));
            }
        }
        match primaries {
            1 => Ok(()),
            count => Err(format!("{count} members say that they are the primary")),
        }
    }
}
