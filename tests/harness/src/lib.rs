//! A real `nats-server` and a real `mongod` for tests, examples and benches, what makes their life
//! hard, and scripted peers for what real servers cannot be made to do.
//!
//! * [`Server`] is one running server on a free loopback port with a temporary store. It is ready
//!   when [`Server::start`] returns, and gone when the value is dropped, also if the test panics or
//!   its process dies.
//! * [`Cluster`] is several of them with routes between them; each node can be killed, paused and
//!   started by itself.
//! * [`FaultProxy`] stands in front of a server and makes connections fail at a chosen byte.
//! * [`Certificates`] and [`Operator`] make what a server's TLS and its authentication by tokens
//!   need.
//! * [`Release`] says which server line to test against; [`provision`] finds its binary or fetches
//!   one into the target directory, without root and without changing the system.
//! * [`ScriptedServer`] speaks whatever bytes the test wants: garbage, half a frame, a close in the
//!   wrong place.
//! * [`ReplicaSet`] is a replica set of MongoDB of one server or several, each of which can be killed,
//!   paused and started by itself and made to fail ([`ReplicaSet::fail_command`]); [`MongoDatabase`] is
//!   a fresh database on one that many tests share; [`provision_mongod`] finds or fetches the binary.
//! * [`MongoStandIn`] looks like a primary and answers what the test wants, or not at all.
//! * [`requires!`] leaves a test, visibly, when the server is too old for it; [`replica_set!`] and
//!   [`mongo_database!`] do where there is no `mongod`.
//!
//! ```no_run
//! let mut server = evnats_harness::Server::start();
//! println!("{} runs {}", server.url(), server.version());
//! server.restart(); // same port, same streams
//! ```
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `EVNATS_TEST_SERVER` | the release to test against: `2.15` (default), `2.10` or `2.9` |
//! | `EVNATS_TEST_FEATURE_FLAGS` | feature flags of servers from 2.14 on, such as `js_ack_fc_v2` |
//! | `NATS_SERVER_BIN` | the binary of the newest release, used as it is |
//! | `NATS_SERVER_BIN_2_10`, `NATS_SERVER_BIN_2_9` | the same for the older ones |
//! | `MONGODB_URI` | a replica set that runs, without authentication and TLS: tests use fresh databases there, and those that kill servers or make them fail are skipped |
//! | `MONGOD_BIN` | the binary of `mongod`, used as it is |
//! | `EVNATS_SKIP_LOG` | a file to which [`requires!`] and its like append one line for each skipped test |
//! | `CARGO_TARGET_DIR` | where provisioned servers are kept (`nats-server/` and `mongod/` below it) |
//!
//! The crate is for Unix: pausing, lame duck mode and a graceful stop are signals. It does no
//! async, keeps no state outside the target directory and the system's temporary directory, and
//! talks to servers with plain std sockets, so that no fault of the client under test can hide in
//! it.

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;

mod accounts;
mod apt;
mod certificates;
mod cluster;
mod example;
mod fault;
mod fault_proxy;
mod line_filter;
mod lock;
mod mongo;
mod port;
mod probe;
mod process;
mod provision;
mod release;
mod scripted;
mod server;
mod skip;
mod sources;
mod start_error;

pub use accounts::{Operator, Tier, User, UserClaims, nkey_user};
pub use certificates::{Certificates, ServerCertificate, TlsOptions};
pub use cluster::{Cluster, ClusterBuilder};
pub use example::url_or_server;
pub use fault::{Direction, Fault};
pub use fault_proxy::FaultProxy;
pub use mongo::{
    CursorBatch, FailPoint, FailTimes, MongoDatabase, MongoError, MongoStandIn, Mongod,
    MongodError, ReplicaSet, ReplicaSetBuilder, Reply, Request, mongo_url_or_replica_set,
    provision_mongod,
};
#[doc(hidden)]
pub use mongo::{own_replica_set, shared_mongo_database};
pub use port::ReservedPort;
pub use provision::{ProvisionError, provision};
pub use release::{ParseVersionError, Release, Version};
pub use scripted::{Script, ScriptedServer};
pub use server::{Builder, Server};
#[doc(hidden)]
pub use skip::{note_skipped, skips};
pub use start_error::StartError;
