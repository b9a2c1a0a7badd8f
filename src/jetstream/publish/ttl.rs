//! How long a message lives, as a header says it.

use super::option_error::OptionError;
use crate::jetstream::time::parse_go_duration;
use std::time::Duration;

/// How long a message lives ([`PublishOptions::ttl`](super::PublishOptions::ttl)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ttl {
    /// For this long, in whole seconds: a fraction is rounded up. At least one second.
    For(Duration),
    /// For ever, whatever the stream's `max_age`.
    Never,
}

impl Ttl {
    /// The text for a header.
    pub(crate) fn header(self) -> Result<String, OptionError> {
        match self {
            Self::Never => Ok("never".into()),
            Self::For(ttl) if ttl < Duration::from_secs(1) => Err(OptionError::TtlTooShort(ttl)),
            Self::For(ttl) => {
                let rounded_up = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
                Ok(rounded_up.to_string())
            }
        }
    }

    /// Reads a header as servers do: a number of seconds, a duration of Go, or "never". Anything else,
    /// which a stream does not take, is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("never") {
            return Some(Self::Never);
        }
        let seconds = text.parse().ok().map(Duration::from_secs);
        seconds.or_else(|| parse_go_duration(text)).map(Self::For)
    }
}

impl From<Duration> for Ttl {
    fn from(ttl: Duration) -> Self {
        Self::For(ttl)
    }
}
