//! Why an ordered consumer has left its server-side consumer for another one.

use crate::jetstream::stall::Stall;
use thiserror::Error;

/// Why an ordered consumer goes on with another server-side consumer. No message is lost by it, nor
/// delivered twice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResetCause {
    /// Messages were lost on their way.
    #[error("messages were lost on their way")]
    MessagesLost,
    /// The server has not reported for two heartbeats.
    #[error("the server has not reported for two heartbeats")]
    MissedHeartbeats,
    /// Somebody has deleted the consumer.
    #[error("the consumer was deleted")]
    ConsumerDeleted,
    /// Nobody answers for the consumer: it is gone, or its server is being restarted.
    #[error("nobody answers for the consumer")]
    NoResponders,
    /// The consumer has another leader, or its server is being stopped.
    #[error("the consumer has another leader, or its server is being stopped")]
    LeaderLost,
    /// Somebody has set the consumer back, or forth. (Server 2.14)
    #[error("somebody has reset the consumer")]
    ConsumerReset,
    /// The connection was lost, and is another one.
    #[error("the connection was lost")]
    Reconnected,
    /// There was no consumer to be had, which is told once for each reason.
    #[error("there was no consumer to be had: {0}")]
    NotMade(#[source] Stall),
}
