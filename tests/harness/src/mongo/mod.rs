//! Real `mongod`s as a replica set, what makes their life hard, and a stand-in for what they cannot be
//! made to do.

mod builder;
mod connection;
mod database;
mod error;
mod example;
mod fail_point;
mod library;
mod message;
mod node;
mod oplog;
mod primary;
mod provision;
mod replica_set;
mod skip;
mod stand_in;
mod uri;

pub use builder::ReplicaSetBuilder;
pub use database::MongoDatabase;
pub use error::MongoError;
pub use example::mongo_url_or_replica_set;
pub use fail_point::{FailPoint, FailTimes};
pub use provision::{Mongod, MongodError, provision_mongod};
pub use replica_set::ReplicaSet;
pub use skip::{own_replica_set, shared_mongo_database};
pub use stand_in::{CursorBatch, MongoStandIn, Reply, Request};
