//! How a lock is acquired.

use crate::jetstream::wire::setters;
use std::time::Duration;

/// How a lock is acquired: `LockOptions::new().ttl(Duration::from_secs(10)).owner("worker-1")`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockOptions {
    /// After how long the lock of a holder that is not heard of is free. It is renewed three times in
    /// that. At least one second, at most a year. Default: 10 s.
    pub ttl: Duration,
    /// What others are told of the holder: a host, a process. Default: empty.
    pub owner: String,
    /// For how long the lock is waited for. Default: as long as another one holds it.
    pub wait: Option<Duration>,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(10), owner: String::new(), wait: None }
    }
}

impl LockOptions {
    /// A lock of ten seconds, which is waited for as long as it takes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(LockOptions {
    value ttl: Duration,
    text owner: String,
    some wait: Duration,
});
