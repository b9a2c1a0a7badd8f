//! The headers of what is published, by name.

pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub(super) const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// The change's position: its token's text, or the token as JSON if it is more than that.
pub(super) const TOKEN: &str = "Mongo-Resume-Token";
pub(super) const OPERATION: &str = "Mongo-Op";
/// Database and collection, each escaped as in a subject, with a dot between them.
pub(super) const NAMESPACE: &str = "Mongo-Ns";
/// Seconds and increment of the cluster's clock, with a colon between them.
pub(super) const TIME: &str = "Mongo-Cluster-Time";
/// The instance that has published the message.
pub(super) const WRITER: &str = "Mongo-Writer";
/// Session and number of the transaction that the change was part of.
pub(super) const TRANSACTION: &str = "Mongo-Txn";
/// Which of the transaction's changes it is: `3 of 7`, or `3` while nobody knows of how many.
pub(super) const PART: &str = "Mongo-Txn-Part";
