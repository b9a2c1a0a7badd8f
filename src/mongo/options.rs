//! How MongoDB is connected to.

use std::fmt;
use std::time::Duration;

/// How to connect to MongoDB, for [`Handle::connect_mongo`](crate::Handle::connect_mongo). A connection
/// string converts into it.
#[derive(Clone)]
pub struct Options {
    pub(in crate::mongo) uri: String,
    pub(in crate::mongo) timeout: Duration,
    pub(in crate::mongo) server_selection_timeout: Duration,
    pub(in crate::mongo) stall_timeout: Duration,
    pub(in crate::mongo) max_calls: usize,
}

impl Options {
    /// Options with a connection string, `mongodb://…` or `mongodb+srv://…`. What it says of timeouts counts.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            timeout: Duration::from_secs(10),
            server_selection_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
            max_calls: 1_024,
        }
    }

    /// After how long a call without an outcome ends with [`Error::Timeout`](super::Error::Timeout). 10 s by
    /// default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// For how long the driver looks for a server before a call fails for want of one, unless the connection
    /// string has a `serverSelectionTimeoutMS`. 5 s by default.
    #[must_use]
    pub fn server_selection_timeout(mut self, timeout: Duration) -> Self {
        self.server_selection_timeout = timeout;
        self
    }

    /// For how long a server may be silent, beyond what it was asked to wait, before a change stream gives
    /// its connections up and goes on with new ones. 5 s by default.
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// How many calls may be under way at once, beyond which they end with
    /// [`Error::Busy`](super::Error::Busy). 1,024 by default.
    #[must_use]
    pub fn max_calls(mut self, limit: usize) -> Self {
        self.max_calls = limit;
        self
    }
}

impl From<&str> for Options {
    fn from(uri: &str) -> Self {
        Self::new(uri)
    }
}

impl From<String> for Options {
    fn from(uri: String) -> Self {
        Self::new(uri)
    }
}

impl From<&String> for Options {
    fn from(uri: &String) -> Self {
        Self::new(uri.as_str())
    }
}

/// Without the connection string, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .field("server_selection_timeout", &self.server_selection_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("max_calls", &self.max_calls)
            .finish_non_exhaustive()
    }
}
