//! Whom to ask, and for how long.

use crate::client::RequestManyOptions;
use crate::jetstream::wire::setters;
use crate::service::check::check_name;
use crate::service::control::PREFIX;
use crate::service::error::Error;
use std::time::Duration;

/// Pause after which nobody else is expected to reply.
const STALL: Duration = Duration::from_millis(500);

/// So many replies are kept at most.
const MAX_SERVICES: u64 = 10_000;

/// Which services are asked, and how long replies are waited for. Nobody knows how many services there are:
/// whatever comes first ends it.
///
/// ```
/// use evnats::service::DiscoveryOptions;
/// use std::time::Duration;
/// let all = DiscoveryOptions::new();
/// let calculators = DiscoveryOptions::new().name("calculator").stall(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryOptions {
    /// The services with this name. Default: all.
    pub name: Option<String>,
    /// The instance with this id, of the services with the name. Its reply is the last.
    pub id: Option<String>,
    /// What the subjects begin with, for services of another account that are mapped to here. Default:
    /// `$SRV`.
    pub prefix: String,
    /// The whole time. Default: the client's request timeout.
    pub timeout: Option<Duration>,
    /// The time after a reply in which no other comes. Default: half a second.
    pub stall: Duration,
    /// The number of replies. Default: 10000.
    pub max_services: u64,
}

setters!(DiscoveryOptions {
    some_text name: String,
    some_text id: String,
    text prefix: String,
    some timeout: Duration,
    value stall: Duration,
    value max_services: u64,
});

impl Default for DiscoveryOptions {
    fn default() -> Self {
        Self {
            name: None,
            id: None,
            prefix: PREFIX.to_owned(),
            timeout: None,
            stall: STALL,
            max_services: MAX_SERVICES,
        }
    }
}

impl DiscoveryOptions {
    /// All services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The subject on which they are asked.
    pub(super) fn subject(&self, verb: &str) -> Result<String, Error> {
        let Self { name, id, prefix, .. } = self;
        for token in name.iter().chain(id) {
            check_name(token)?;
        }
        match (name, id) {
            (Some(name), Some(id)) => Ok(format!("{prefix}.{verb}.{name}.{id}")),
            (Some(name), None) => Ok(format!("{prefix}.{verb}.{name}")),
            (None, None) => Ok(format!("{prefix}.{verb}")),
            (None, Some(_)) => Err(Error::IdWithoutName),
        }
    }

    pub(super) fn replies(&self) -> RequestManyOptions {
        let most = if self.id.is_some() { 1 } else { self.max_services };
        let options = RequestManyOptions::new().stall(self.stall).max_messages(most);
        match self.timeout {
            Some(timeout) => options.timeout(timeout),
            None => options,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        let all = DiscoveryOptions::new();
        assert_eq!(all.subject("PING").as_deref(), Ok("$SRV.PING"));
        let named = all.clone().name("a");
        assert_eq!(named.subject("INFO").as_deref(), Ok("$SRV.INFO.a"));
        let one = named.id("B").prefix("other.SRV");
        assert_eq!(one.subject("STATS").as_deref(), Ok("other.SRV.STATS.a.B"));
        assert_eq!(all.clone().id("B").subject("PING"), Err(Error::IdWithoutName));
        for options in [all.clone().name("a.>"), all.clone().name(""), all.name("a").id("*")] {
            assert!(matches!(options.subject("PING"), Err(Error::InvalidName { .. })));
        }
    }
}
