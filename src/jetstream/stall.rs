//! Why an ordered consumer is fed nothing.

use super::api_error::ApiError;
use thiserror::Error;

/// Why an ordered consumer is fed nothing at the moment. It goes on trying.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Stall {
    /// The server makes consumers, and nothing of what they send arrives: an account may import the
    /// API and not the inbox, or the consumer's server may be cut off.
    #[error("nothing that the consumer sends arrives, not even heartbeats")]
    NoDeliveries,
    /// The server holds messages back until its flow control is answered, and the answers do not
    /// reach it: publishing to `$JS.FC.>` may not be permitted, or not be exported.
    #[error("the server waits for answers to its flow control, which do not reach it")]
    FlowControl,
    /// Messages are missing before anything has come, again and again.
    #[error("messages are lost on their way again and again")]
    MessagesLost,
    /// The server takes every consumer away as soon as it has made it.
    #[error("the server takes the consumer away again and again")]
    ConsumerLost,
    /// The request for a consumer is not answered: there is no quorum, or no leader.
    #[error("no answer to the request for a consumer: there may be no quorum, or no leader")]
    NoAnswer,
    /// The server refuses to make a consumer, for the moment.
    #[error("the server makes no consumer at the moment: {0}")]
    Refused(#[source] ApiError),
    /// Nobody answers on JetStream's API any more.
    #[error("JetStream is not available at the moment: nobody answers on its API")]
    NotAvailable,
    /// The server does not permit the request for a consumer any more.
    #[error("the server does not permit the request for a consumer")]
    Denied,
    /// Whichever replica serves the watch does not have what the leader has.
    #[error("the replica that serves the watch lags behind the leader")]
    LagsBehind,
}
