//! What a service and its endpoints are made of.

use crate::jetstream::wire::setters;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a stop waits for requests that were kept to be answered, unless told otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The queue group of endpoints for which nothing else is said (ADR-32).
const DEFAULT_QUEUE_GROUP: &str = "q";

/// A service: `ServiceConfig::new("calculator", "1.0.0").description("adds and divides")`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceConfig {
    /// What kind of service it is, and the same for all of its instances: letters, digits, `-` and `_`.
    pub name: String,
    /// The version of the program, by the rules of [SemVer](https://semver.org) 2.0.
    pub version: String,
    /// What it does, for people. Default: empty.
    pub description: String,
    /// Whatever else is to be known of the instance. Default: nothing.
    pub metadata: BTreeMap<String, String>,
    /// The queue group of its endpoints, unless a group or an endpoint has another. Default: `q`.
    pub queue_group: QueueGroup,
    /// How long a [stop](super::Service::stop) waits for the requests that were kept. Default: 30 seconds.
    pub stop_timeout: Duration,
}

setters!(ServiceConfig {
    text description: String,
    pair metadata: String,
    text queue_group: QueueGroup,
    value stop_timeout: Duration,
});

impl ServiceConfig {
    /// A service with a name and a version. They are checked when it is started.
    #[must_use]
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            description: String::new(),
            metadata: BTreeMap::new(),
            queue_group: QueueGroup::Inherited,
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// An endpoint: `"add"`, or `EndpointConfig::new("add").subject("numbers.add")`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// Its name, for people: letters, digits, `-` and `_`. Several endpoints may have the same one.
    pub name: String,
    /// What it listens on, behind the prefix of its group. It may have wildcards. Default: its name.
    pub subject: Option<String>,
    /// Whatever else is to be known of it. Default: nothing.
    pub metadata: BTreeMap<String, String>,
    /// Its queue group. Default: that of its group, or of the service.
    pub queue_group: QueueGroup,
}

setters!(EndpointConfig {
    some_text subject: String,
    pair metadata: String,
    text queue_group: QueueGroup,
});

impl EndpointConfig {
    /// An endpoint with a name. It is checked when it is added to a service.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            subject: None,
            metadata: BTreeMap::new(),
            queue_group: QueueGroup::Inherited,
        }
    }
}

impl From<&str> for EndpointConfig {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// Whether the instances of a service share the requests to an endpoint, and with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueGroup {
    /// What the endpoint is in decides: its group, that one's group, the service; and `q` in the end.
    #[default]
    Inherited,
    /// Of the members of this group, one gets each request.
    Named(String),
    /// No group: every instance gets every request.
    Disabled,
}

impl QueueGroup {
    /// This one, or the one around it if this says nothing.
    pub(super) fn or(&self, outer: &Self) -> Self {
        match self {
            Self::Inherited => outer.clone(),
            said => said.clone(),
        }
    }

    /// The group's name, if there is to be one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Inherited => Some(DEFAULT_QUEUE_GROUP),
            Self::Named(name) => Some(name),
            Self::Disabled => None,
        }
    }
}

impl From<&str> for QueueGroup {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<String> for QueueGroup {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_queue_group_counts() {
        let (inherited, disabled) = (QueueGroup::Inherited, QueueGroup::Disabled);
        let (one, other) = (QueueGroup::from("one"), QueueGroup::from("other"));
        for (inner, outer, name) in [
            (&inherited, &inherited, Some("q")),
            (&inherited, &one, Some("one")),
            (&inherited, &disabled, None),
            (&other, &one, Some("other")),
            (&other, &disabled, Some("other")),
            (&disabled, &one, None),
        ] {
            assert_eq!(inner.or(outer).name(), name, "{inner:?} in {outer:?}");
        }
    }
}
