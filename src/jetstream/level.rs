//! API levels: what a feature needs, and what the servers at hand are known to have.
//!
//! A level is a number that grows with the server's releases, so two levels are compared and never
//! looked up: a server with a higher one can do what a lower one could. Nothing is sent from here.
//!
//! The server tells its level with the account's information. Whoever may not ask for that still
//! has two things to go by: the level that servers from 2.11 on write into the metadata of each
//! stream and consumer they tell about, and the `INFO` of the server that the client is connected
//! to, if the prefix leads to that server.

use super::error::Error;
use super::name::DEFAULT_PREFIX;
use crate::callback::Answer;
use evnats_protocol::{RequestError, ServerInfo};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// The first server that has a level.
const FIRST_WITH_LEVEL: (u32, u32, u32) = (2, 11, 0);

/// The API level that something needs, and what it is that needs it.
///
/// Level 1 is server 2.11, 2 is 2.12, 3 is 2.12.5, 4 is 2.14, 5 is 2.15; older servers have level 0.
/// What they lack among themselves has no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The level.
    pub level: u32,
    /// What needs it, by its name in JSON or that of the call.
    pub feature: &'static str,
}

impl Requirement {
    pub(crate) const fn new(level: u32, feature: &'static str) -> Self {
        Self { level, feature }
    }

    /// Returns the highest of those that apply, and of several the first.
    pub(crate) fn highest(
        candidates: impl IntoIterator<Item = (bool, u32, &'static str)>,
    ) -> Option<Self> {
        let applies = candidates.into_iter().filter(|(applies, ..)| *applies);
        let all = applies.map(|(_, level, feature)| Self { level, feature });
        all.reduce(|one, other| if other.level > one.level { other } else { one })
    }

    /// The error of a server that has shown that it has no level at all.
    pub(super) fn unmet(self) -> Error {
        Error::Unsupported { feature: self.feature, needs: self.level, has: 0 }
    }

    /// Checks it against the level of the server that a request is for.
    pub(super) fn check(self, has: u32) -> Result<(), Error> {
        let Self { level: needs, feature } = self;
        if has < needs { Err(Error::Unsupported { feature, needs, has }) } else { Ok(()) }
    }

    /// As [`check`](Self::check), if the level is known.
    pub(super) fn check_known(self, has: Option<u32>) -> Result<(), Error> {
        has.map_or(Ok(()), |has| self.check(has))
    }

    /// As [`check_known`](Self::check_known). If the server could not be asked, what needs the level
    /// was not sent, whatever has become of the question.
    pub(super) fn check_told(self, told: Result<Option<u32>, Error>) -> Result<(), Error> {
        let told = told.map_err(|error| match error {
            error if error.is_outcome_unknown() => Error::Request(RequestError::NeverSent),
            error => error,
        });
        self.check_known(told?)
    }

    /// Checks it against the level of the server that has done what was requested, if it has told.
    pub(super) fn check_made(self, has: Option<u32>) -> Result<(), Error> {
        let Self { level: needs, feature } = self;
        match has {
            Some(has) if has < needs => Err(Error::MadeWithout { feature, needs, has }),
            _ => Ok(()),
        }
    }
}

/// Waits for the level. `None`: the server does not tell.
pub(super) type Waiter = Answer<Result<Option<u32>, Error>>;

/// What a client has been told, by prefix. It holds for one connection: the next one may be to
/// another server, and a prefix may lead to another domain then.
#[derive(Default)]
pub(super) struct Levels {
    by_account: RefCell<HashMap<Rc<str>, Knowledge>>,
    by_assets: RefCell<HashMap<Rc<str>, Seen>>,
}

/// The level in the metadata of the asset that was told about last, and the number of the connection.
struct Seen {
    level: u32,
    connection: u64,
}

enum Knowledge {
    /// The server is being asked.
    Asked(Vec<Waiter>),
    /// It has answered, on the connection with this number.
    Told { level: Option<u32>, connection: u64 },
}

impl Levels {
    /// The level, if it was told on this connection: `None` inside if the server does not tell.
    pub(super) fn told(&self, prefix: &str, on: u64) -> Option<Option<u32>> {
        match self.by_account.borrow().get(prefix) {
            Some(Knowledge::Told { level, connection }) if *connection == on => Some(*level),
            _ => None,
        }
    }

    /// Adds somebody who waits for the level. Returns whether the server is to be asked, which is so
    /// for the first one.
    pub(super) fn wait(&self, prefix: &Rc<str>, waiter: Waiter) -> bool {
        let mut known = self.by_account.borrow_mut();
        if let Some(Knowledge::Asked(waiters)) = known.get_mut(prefix) {
            waiters.push(waiter);
            return false;
        }
        known.insert(prefix.clone(), Knowledge::Asked(vec![waiter]));
        true
    }

    /// Takes what the server has told, and returns those who wait for it. What was not told is asked
    /// again by the next one.
    pub(super) fn learn(&self, prefix: &Rc<str>, told: Option<(Option<u32>, u64)>) -> Vec<Waiter> {
        let mut known = self.by_account.borrow_mut();
        let before = match told {
            Some((level, connection)) => {
                known.insert(prefix.clone(), Knowledge::Told { level, connection })
            }
            None => known.remove(prefix),
        };
        match before {
            Some(Knowledge::Asked(waiters)) => waiters,
            _ => Vec::new(),
        }
    }

    /// Takes the level that is in the metadata of an asset.
    pub(super) fn see(&self, prefix: &Rc<str>, level: u32, connection: u64) {
        self.by_assets.borrow_mut().insert(prefix.clone(), Seen { level, connection });
    }

    /// The level that was in the metadata of the last asset on this connection.
    pub(super) fn seen(&self, prefix: &str, on: u64) -> Option<u32> {
        let seen = self.by_assets.borrow();
        seen.get(prefix).filter(|seen| seen.connection == on).map(|seen| seen.level)
    }
}

/// The level in the metadata that servers add to what they tell of an asset; those before 2.11 add
/// none.
pub(super) fn level_in(metadata: &BTreeMap<String, String>) -> Option<u32> {
    metadata.get("_nats.level").map_or(Some(0), |level| level.parse().ok())
}

/// The level of the server that the client is connected to, if requests under the prefix go to that
/// server or its cluster.
pub(super) fn level_of_connected(server: &ServerInfo, prefix: &str) -> Option<u32> {
    let leads_there = prefix == DEFAULT_PREFIX
        || server.domain.as_ref().is_some_and(|domain| {
            let inner = prefix.strip_prefix("$JS.").and_then(|rest| rest.strip_suffix(".API"));
            inner == Some(domain)
        });
    if !server.jetstream || !leads_there {
        return None;
    }
    // what tells no level is older than levels, or has another version than servers have
    let is_old = || server.server_version().is_some_and(|version| version < FIRST_WITH_LEVEL);
    server.api_lvl.or_else(|| is_old().then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_compared() {
        let requirement = Requirement::new(2, "allow_atomic");
        assert_eq!(requirement.check(2), Ok(()));
        assert_eq!(requirement.check(99), Ok(()));
        assert_eq!(requirement.check_made(Some(2)), Ok(()));
        assert_eq!(requirement.check_made(None), Ok(()));
        let error = requirement.check_made(Some(0)).unwrap_err();
        assert_eq!(error, Error::MadeWithout { feature: "allow_atomic", needs: 2, has: 0 });
        let error = requirement.check(1).unwrap_err();
        assert_eq!(error, Error::Unsupported { feature: "allow_atomic", needs: 2, has: 1 });
        assert_eq!(
            error.to_string(),
            "allow_atomic needs API level 2 (server 2.12), and the server has level 1"
        );
    }

    #[test]
    fn what_waits_for_a_level_that_is_not_told_was_never_sent() {
        let requirement = Requirement::new(2, "allow_atomic");
        let unknown = Err(Error::Request(RequestError::Timeout));
        let error = requirement.check_told(unknown).expect_err("it is not known");
        assert_eq!(error, Error::Request(RequestError::NeverSent));
        assert!(!error.is_outcome_unknown());
        assert_eq!(requirement.check_told(Err(Error::NotAvailable)), Err(Error::NotAvailable));
        assert_eq!(requirement.check_told(Ok(None)), Ok(()));
    }

    #[test]
    fn the_highest_counts_and_of_several_the_first() {
        let of = |candidates: &[(bool, u32, &'static str)]| {
            Requirement::highest(candidates.iter().copied()).map(|highest| highest.feature)
        };
        assert_eq!(
            of(&[(true, 1, "a"), (true, 4, "b"), (true, 4, "c"), (false, 5, "d")]),
            Some("b")
        );
        assert_eq!(of(&[(false, 1, "a")]), None);
    }

    #[test]
    fn a_level_is_asked_for_once_and_holds_for_one_connection() {
        let levels = Levels::default();
        let prefix: Rc<str> = "$JS.API".into();
        let waiter = || -> Waiter { Box::new(|_, _| Ok(())) };
        assert_eq!(levels.told(&prefix, 0), None);
        assert!(levels.wait(&prefix, waiter()));
        assert!(!levels.wait(&prefix, waiter()));
        assert_eq!(levels.learn(&prefix, None).len(), 2);
        assert!(levels.wait(&prefix, waiter()), "the first question had no answer");
        assert_eq!(levels.learn(&prefix, Some((Some(3), 0))).len(), 1);
        assert_eq!(levels.told(&prefix, 0), Some(Some(3)));
        assert_eq!(levels.told(&prefix, 1), None);
        assert_eq!(levels.told("$JS.D.API", 0), None);
        assert!(levels.wait(&prefix, waiter()), "another connection");
    }

    #[test]
    fn what_an_asset_tells_holds_for_its_prefix_and_one_connection() {
        let levels = Levels::default();
        levels.see(&"$JS.API".into(), 2, 0);
        levels.see(&"$JS.API".into(), 4, 0);
        assert_eq!(levels.seen("$JS.API", 0), Some(4), "the last one");
        assert_eq!(levels.seen("$JS.API", 1), None);
        assert_eq!(levels.seen("$JS.D.API", 0), None);
    }

    #[test]
    fn the_connected_server_is_gone_by_only_where_the_prefix_leads_to_it() {
        let server = |json: &str| serde_json::from_str::<ServerInfo>(json).expect("an INFO");
        let new = server(r#"{"version":"2.15.1","jetstream":true,"domain":"D","api_lvl":5}"#);
        assert_eq!(level_of_connected(&new, "$JS.API"), Some(5));
        assert_eq!(level_of_connected(&new, "$JS.D.API"), Some(5));
        assert_eq!(level_of_connected(&new, "$JS.E.API"), None, "another domain");
        assert_eq!(level_of_connected(&new, "from.elsewhere"), None, "an import");
        let leaf = server(r#"{"version":"2.15.1","api_lvl":5}"#);
        assert_eq!(level_of_connected(&leaf, "$JS.API"), None, "it has no JetStream");
        let old = server(r#"{"version":"2.10.29","jetstream":true}"#);
        assert_eq!(level_of_connected(&old, "$JS.API"), Some(0));
        let silent = server(r#"{"version":"2.11.0","jetstream":true}"#);
        assert_eq!(level_of_connected(&silent, "$JS.API"), None, "it has one");
        let own = server(r#"{"version":"ours","jetstream":true}"#);
        assert_eq!(level_of_connected(&own, "$JS.API"), None);
    }
}
