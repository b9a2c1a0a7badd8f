//! Publishing to streams, acknowledged: stored is what has a [`PubAck`].

mod one;
pub(super) mod pub_ack;

pub use one::PublishOptions;
pub(crate) use one::acknowledged_sequence;
pub(crate) use pub_ack::KnownAck;
pub use pub_ack::PubAck;
