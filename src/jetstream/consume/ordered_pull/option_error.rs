//! What can be wrong with the options of an ordered consumer. It is found before anything is sent.

use std::time::Duration;
use thiserror::Error;

/// An option of an ordered consumer that cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OrderedOptionError {
    /// The prefix becomes a part of a name.
    #[error("name_prefix {prefix:?} cannot begin a consumer's name: {reason}")]
    NamePrefix {
        /// What it is.
        prefix: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A filter that no subject can match.
    #[error("filter subject {0:?} is no subject")]
    FilterSubject(String),
    /// A consumer that the server deletes at once.
    #[error("inactive_threshold of 0 leaves no consumer to read: set it to more")]
    NoInactiveThreshold,
    /// No reset at all is more than that.
    #[error("max_resets of 0 permits none: set it to 1 or more, or leave it out")]
    NoResets,
    /// Without a pause, a server that refuses is asked again and again.
    #[error("min_backoff of 0 is no pause: set it to more")]
    NoBackoff,
    /// The pauses grow from the one to the other.
    #[error("min_backoff of {min:?} is above max_backoff of {max:?}")]
    Backoff {
        /// The first pause.
        min: Duration,
        /// The longest one.
        max: Duration,
    },
    /// The consumers have no priority groups.
    #[error("an ordered consumer has no priority groups: leave group out")]
    Group,
}
