//! The replica set that examples use: the user's own, or one that is started for them.

use super::{MongoError, ReplicaSet, uri};

/// The connection string in `MONGODB_URI`, or else that of a replica set of one server started for the
/// caller, which stops when the second value is dropped.
///
/// # Errors
/// No server could be found, provisioned or started; the text says what to do.
pub fn mongo_url_or_replica_set() -> Result<(String, Option<ReplicaSet>), MongoError> {
    match uri::from_env() {
        Some(uri) => Ok((uri, None)),
        None => {
            let set = ReplicaSet::builder().start()?;
            Ok((set.uri(), Some(set)))
        }
    }
}
