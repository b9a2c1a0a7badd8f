//! Publishing to streams, acknowledged: stored is what has a [`PubAck`].

mod one;
mod pub_ack;

pub use one::PublishOptions;
pub(crate) use one::acknowledged_sequence;
pub use pub_ack::PubAck;
