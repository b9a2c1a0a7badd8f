//! Leaving a test, so that it is seen, where there is no `mongod`, or where the only one is the user's
//! and must not be hurt.

use super::{MongoDatabase, MongoError, ReplicaSet, ReplicaSetBuilder, uri};

/// A [`ReplicaSet`] of the test's own, which may be killed and made to fail, started by a
/// [`ReplicaSetBuilder`] or, without one, as usual. Leaves the test as [`skip!`](crate::skip) does where
/// no `mongod` can be had, and where `MONGODB_URI` is set.
///
/// ```no_run
/// let mut set = evnats_harness::replica_set!();
/// set.kill(0);
/// ```
#[macro_export]
macro_rules! replica_set {
    () => {
        $crate::replica_set!($crate::ReplicaSet::builder())
    };
    ($builder:expr $(,)?) => {
        match $crate::own_replica_set($builder) {
            Ok(set) => set,
            Err(what) => $crate::skip!(what),
        }
    };
}

/// A fresh [`MongoDatabase`] for the test. Leaves the test as [`skip!`](crate::skip) does where no
/// `mongod` can be had and `MONGODB_URI` is not set.
///
/// ```no_run
/// let database = evnats_harness::mongo_database!();
/// println!("{} at {}", database.name(), database.uri());
/// ```
#[macro_export]
macro_rules! mongo_database {
    () => {
        match $crate::shared_mongo_database() {
            Ok(database) => database,
            Err(what) => $crate::skip!(what),
        }
    };
}

/// A set for [`replica_set!`]. An error is what the test lacks.
#[doc(hidden)]
#[track_caller]
pub fn own_replica_set(builder: ReplicaSetBuilder) -> Result<ReplicaSet, String> {
    if uri::from_env().is_some() {
        return Err("a replica set of its own, but MONGODB_URI names the user's".to_owned());
    }
    or_what_is_missing(builder.start())
}

/// A database for [`mongo_database!`]. An error is what the test lacks.
#[doc(hidden)]
#[track_caller]
pub fn shared_mongo_database() -> Result<MongoDatabase, String> {
    or_what_is_missing(MongoDatabase::fresh())
}

/// That there is no server for this machine is no failure of the test; all else is.
#[track_caller]
fn or_what_is_missing<T>(result: Result<T, MongoError>) -> Result<T, String> {
    match result {
        Ok(value) => Ok(value),
        // one line for one test
        Err(error) if error.is_unavailable() => {
            Err(format!("a mongod: {}", error.to_string().replace('\n', " ")))
        }
        Err(error) => panic!("{error}"),
    }
}
