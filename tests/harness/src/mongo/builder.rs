//! What kind of replica set to start.

use super::{MongoError, ReplicaSet, node::Node, provision_mongod};
use bson::{Bson, Document, doc};

/// The size of the oplog in MB, unless the test says another.
const OPLOG_MB: u32 = 16;

/// How often free ports are looked for, where a free port cannot be kept free (see `port.rs`).
const PORT_ATTEMPTS: u32 = 5;

/// Elections within seconds in place of a quarter of a minute.
const ELECTION_TIMEOUT_MS: i32 = 2000;
const HEARTBEAT_MS: i32 = 500;

/// What makes a server forget old entries of its oplog as soon as it may.
const TRIMMED: [&str; 3] =
    ["--syncdelay=1", "--setParameter", "minSnapshotHistoryWindowInSeconds=1"];

/// What to start; made by [`ReplicaSet::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder starts nothing until `start`"]
pub struct ReplicaSetBuilder {
    nodes: usize,
    oplog_mb: u32,
    arguments: Vec<String>,
}

impl ReplicaSetBuilder {
    pub(super) fn new() -> ReplicaSetBuilder {
        ReplicaSetBuilder { nodes: 1, oplog_mb: OPLOG_MB, arguments: Vec::new() }
    }

    /// How many members there are. Default: 1.
    pub fn nodes(mut self, nodes: usize) -> ReplicaSetBuilder {
        self.nodes = nodes;
        self
    }

    /// The size of the oplog in MB. Default: 16.
    pub fn oplog_mb(mut self, size: u32) -> ReplicaSetBuilder {
        self.oplog_mb = size;
        self
    }

    /// Keeps so little of the oplog that [`ReplicaSet::trim_oplog`] can be used.
    pub fn trimmable_oplog(self) -> ReplicaSetBuilder {
        TRIMMED.into_iter().fold(self.oplog_mb(1), ReplicaSetBuilder::argument)
    }

    /// A parameter of each server, such as `maxTransactionLockRequestTimeoutMillis=100`. Several add
    /// up.
    pub fn parameter(self, parameter: &str) -> ReplicaSetBuilder {
        self.argument("--setParameter").argument(parameter)
    }

    /// A further argument of the command line of each server. Several add up.
    pub fn argument(mut self, argument: &str) -> ReplicaSetBuilder {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts the members and returns when one is the primary and the others are secondaries, after two
    /// minutes at most, plus the time to provision a binary that this machine has not got yet.
    ///
    /// # Errors
    ///
    /// When there is no binary, a server refuses its arguments (its log is in the error), or the set
    /// does not get ready in time.
    pub fn start(self) -> Result<ReplicaSet, MongoError> {
        for _ in 1..PORT_ATTEMPTS {
            match self.start_once() {
                Err(MongoError::Exited { log, .. }) if log.contains("Address already in use") => {}
                result => return result,
            }
        }
        self.start_once()
    }

    fn start_once(&self) -> Result<ReplicaSet, MongoError> {
        let mongod = provision_mongod()?;
        let arguments = self.all_arguments();
        let nodes = (0..self.nodes).map(|_| Node::prepare(&mongod, &arguments));
        let mut set = ReplicaSet::of(nodes.collect::<Result<_, _>>()?, mongod.version());
        let config = config(&set);
        set.launch(config)?;
        Ok(set)
    }

    fn all_arguments(&self) -> Vec<String> {
        let fixed = [
            "--replSet",
            ReplicaSet::NAME,
            "--wiredTigerCacheSizeGB",
            "0.25",
            "--wiredTigerEngineConfigString",
            "log=(file_max=4MB)",
            "--setParameter",
            "enableTestCommands=1",
            "--setParameter",
            "diagnosticDataCollectionEnabled=false",
            "--oplogSize",
        ];
        let fixed = fixed.map(str::to_owned).into_iter();
        fixed.chain([self.oplog_mb.to_string()]).chain(self.arguments.clone()).collect()
    }
}

/// The configuration that makes a set of the nodes.
fn config(set: &ReplicaSet) -> Document {
    let member = |(id, host): (i32, String)| Bson::from(doc! { "_id": id, "host": host });
    doc! {
        "_id": ReplicaSet::NAME,
        "members": (0..).zip(set.addresses()).map(member).collect::<Vec<_>>(),
        "settings": {
            "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
            "heartbeatIntervalMillis": HEARTBEAT_MS,
        },
    }
}
