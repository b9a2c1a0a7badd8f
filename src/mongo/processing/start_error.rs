//! Why a processor has to start again, or does not.

use crate::error::Error as AnyError;
use crate::mongo::changes::StopReason;
use std::rc::Rc;
use std::time::Duration;

/// Why a processor does not go on, or has to start anew.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StartError {
    /// What is watched was dropped or renamed. The processor goes on behind that.
    Invalidated,
    /// The stream or a method of the watcher has failed, and it is tried again.
    Failed {
        /// What has failed.
        cause: Rc<AnyError>,
        /// How often in a row, without progress between the failures.
        failures: u32,
        /// The pause before the next attempt.
        pause: Duration,
    },
    /// It is over: trying again would not help, or was not wanted.
    Ended(StopReason),
}
