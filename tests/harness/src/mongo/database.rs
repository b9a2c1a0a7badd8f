//! A database for one test, on a replica set that many tests share.

use super::{MongoError, ReplicaSet, connection::SHORT, primary, uri};
use bson::{Document, doc};
use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// How long a primary is waited for, before a command is sent to it.
const PRIMARY_PATIENCE: Duration = Duration::from_secs(30);

/// A database of a name that nobody else uses, on the replica set that `MONGODB_URI` names or else on
/// one that all tests of this process share. Dropped with its content when the value is dropped.
#[derive(Debug)]
pub struct MongoDatabase {
    uri: String,
    members: Vec<String>,
    name: String,
}

impl MongoDatabase {
    /// Makes up a name; the server makes the database at the first write. The shared replica set is
    /// started for the first one, and ends with the process.
    ///
    /// # Errors
    ///
    /// When `MONGODB_URI` cannot be used or has no servers that answer, or there is no `mongod`, or it
    /// does not get ready.
    pub fn fresh() -> Result<MongoDatabase, MongoError> {
        let name = format!("evnats-{:016x}", fastrand::u64(..));
        match uri::from_env() {
            Some(uri) => Ok(MongoDatabase { members: uri::members(&uri)?, uri, name }),
            None => {
                let set = shared()?;
                Ok(MongoDatabase { members: set.addresses(), uri: set.uri(), name })
            }
        }
    }

    /// The connection string of the replica set.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command with this database on the primary, and returns the reply.
    ///
    /// # Errors
    ///
    /// As those of [`ReplicaSet::run_command`].
    pub fn run_command(&self, command: Document) -> Result<Document, MongoError> {
        primary::connect(&self.members, PRIMARY_PATIENCE)?.run(&self.name, command)
    }
}

impl Drop for MongoDatabase {
    fn drop(&mut self) {
        // if there is no primary, it is no time to wait for one
        let _ = primary::connect(&self.members, SHORT)
            .and_then(|mut primary| primary.run(&self.name, doc! { "dropDatabase": 1 }));
    }
}

/// The set of this process. Nobody drops it: its watchdogs do away with it when the process ends.
fn shared() -> Result<&'static ReplicaSet, MongoError> {
    static SET: OnceLock<ReplicaSet> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());

    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    match SET.get() {
        Some(set) => Ok(set),
        None => {
            let set = ReplicaSet::builder().start()?;
            Ok(SET.get_or_init(|| set))
        }
    }
}
