//! Changes of MongoDB in a stream of JetStream: a real replica set, and real servers of NATS.

#[path = "mongo_sink/closing.rs"]
mod closing;
#[path = "mongo_sink/content.rs"]
mod content;
#[path = "mongo_sink/copies.rs"]
mod copies;
#[path = "mongo_sink/faults.rs"]
mod faults;
#[path = "mongo_sink/leases.rs"]
mod leases;
#[path = "mongo_sink/refusals.rs"]
mod refusals;
#[path = "mongo_sink/restarts.rs"]
mod restarts;
mod support;
#[path = "mongo_sink/transactions.rs"]
mod transactions;
#[path = "mongo_sink/world.rs"]
mod world;
