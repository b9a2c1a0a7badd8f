//! Why a lock is not held any more.

use crate::kv::error::Error;
use thiserror::Error as ThisError;

/// Why a lock was lost, or an election.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Lost {
    /// The key has another value, or none: it was deleted by hand, or has expired.
    #[error("the lock was taken away{}", held_by(.by))]
    Taken {
        /// Who holds the lock now, if anybody does.
        by: Option<String>,
    },
    /// It could not be renewed in time. Nobody else may hold it yet; it has to be assumed all the same.
    #[error("the lock could not be renewed in time{}", because(.last))]
    NotRenewed {
        /// What the last attempt has failed with, if that is known.
        #[source]
        last: Option<Error>,
    },
}

fn held_by(owner: &Option<String>) -> String {
    owner.as_ref().map(|owner| format!(", {owner:?} holds it now")).unwrap_or_default()
}

fn because(last: &Option<Error>) -> String {
    last.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
}
