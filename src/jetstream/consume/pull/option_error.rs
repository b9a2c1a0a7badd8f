//! What can be wrong with the options of a consumption or a fetch. It is found before anything is
//! sent.

use std::time::Duration;

/// An option that cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullOptionError {
    /// A limit of 0 lets nothing through.
    #[error("{0} of 0 lets nothing through: set it to 1 or more, or leave it out")]
    Zero(&'static str),
    /// A request waits for a second at least.
    #[error("expires of {0:?} is too short: set it to a second or more")]
    ExpiresTooShort(Duration),
    /// A fetch that waits for no time at all.
    #[error("expires of 0 is no time to wait: set it to more, or set no_wait instead")]
    NoTime,
    /// The server is not to report more often than that.
    #[error("heartbeat of {0:?} is too short: set it to 500 ms or more")]
    HeartbeatTooShort(Duration),
    /// A request must outlive two heartbeats.
    #[error(
        "heartbeat of {heartbeat:?} is too long for expires of {expires:?}: set it to half of that \
         or less"
    )]
    HeartbeatTooLong {
        /// The heartbeat.
        heartbeat: Duration,
        /// How long a request waits.
        expires: Duration,
    },
    /// The server reports only while a request waits.
    #[error("heartbeat is for requests that wait: set expires, or leave it out")]
    HeartbeatWithoutExpires,
    /// More is asked for when less than the threshold is left, which would always be so.
    #[error("{option} of {threshold} is above the limit of {limit}: set it to that or less")]
    ThresholdTooLarge {
        /// Which one.
        option: &'static str,
        /// What it is.
        threshold: u64,
        /// What it is a threshold of.
        limit: u64,
    },
    /// A threshold of what is not limited.
    #[error("{option} needs a limit: set {limit}")]
    ThresholdWithoutLimit {
        /// Which one.
        option: &'static str,
        /// The limit that it belongs to.
        limit: &'static str,
    },
    /// The option is about a priority group.
    #[error("{0} is about a priority group: set group to one of the consumer's priority_groups")]
    WithoutGroup(&'static str),
    /// A group without a name.
    #[error("group is empty: set it to one of the consumer's priority_groups")]
    EmptyGroup,
    /// Priorities have one digit.
    #[error("priority of {0} is too low: set it to a number from 0, the first, to 9")]
    Priority(u8),
}
