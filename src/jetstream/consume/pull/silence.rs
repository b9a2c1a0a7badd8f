//! Why nothing comes, not even heartbeats, as far as the consumer's information tells.

use crate::jetstream::error::Error;
use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo};
use std::fmt;
use std::time::Duration;

/// Nothing has come of what was asked for, not even a report that there is nothing. The consumption
/// goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Silence {
    /// For how long.
    pub lasted: Duration,
    /// Why, as far as it can be known.
    pub cause: SilenceCause,
    /// Whether the messages have been asked for once more. If not, they are asked for as soon as
    /// there is room for them, or the pause is over that follows a refusal.
    pub asked_again: bool,
}

/// Why nothing comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SilenceCause {
    /// The consumer is paused, for so much longer if that is known. (Server 2.11)
    Paused(Option<Duration>),
    /// The consumer has no leader at the moment.
    NoLeader,
    /// As many messages wait for an acknowledgement as `max_ack_pending` permits.
    MaxAckPending(u64),
    /// Another client is pinned, the one with this id. (Server 2.11)
    PinnedElsewhere(String),
    /// As many requests wait as `max_waiting` permits, so that the server has taken no other.
    MaxWaiting(u64),
    /// The server knows no request: they were lost, or its answers were.
    RequestsLost,
    /// There is no message to deliver, and the server's reports are lost.
    NothingPending,
    /// The server says nothing that would explain it.
    Unknown,
    /// The consumer's information could not be had.
    InfoFailed(Error),
}

impl fmt::Display for SilenceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused(Some(remaining)) => write!(f, "the consumer is paused for {remaining:?}"),
            Self::Paused(None) => f.write_str("the consumer is paused"),
            Self::NoLeader => f.write_str("the consumer has no leader at the moment"),
            Self::MaxAckPending(max) => {
                write!(f, "max_ack_pending of {max} messages wait for an acknowledgement")
            }
            Self::PinnedElsewhere(id) => write!(f, "another client is pinned, as {id}"),
            Self::MaxWaiting(max) => write!(f, "max_waiting of {max} requests wait already"),
            Self::RequestsLost => f.write_str("the server knows no request"),
            Self::NothingPending => {
                f.write_str("there is no message, and the server's reports are lost")
            }
            Self::Unknown => f.write_str("the server says nothing that would explain it"),
            Self::InfoFailed(error) => write!(f, "the consumer's state is unknown: {error}"),
        }
    }
}

impl SilenceCause {
    /// The cause, for a client of this group that has been given this pin.
    pub(in crate::jetstream::consume) fn new(
        info: Result<&ConsumerInfo, &Error>,
        group: Option<&str>,
        pin: Option<&str>,
    ) -> Self {
        let info = match info {
            Ok(info) => info,
            Err(error) => return Self::InfoFailed(error.clone()),
        };
        let has_leader = |leader: &Option<String>| leader.as_deref().is_some_and(|l| !l.is_empty());
        let of_config = |limit: fn(&ConsumerConfig) -> Option<u64>| {
            info.config.as_ref().and_then(limit).filter(|limit| *limit > 0)
        };
        let max_ack_pending =
            of_config(|config| config.max_ack_pending.and_then(|max| u64::try_from(max).ok()));
        let max_waiting = of_config(|config| config.max_waiting);
        if info.paused {
            return Self::Paused(info.pause_remaining);
        }
        if info.cluster.as_ref().is_some_and(|cluster| !has_leader(&cluster.leader)) {
            return Self::NoLeader;
        }
        if let Some(max) = max_ack_pending.filter(|max| info.num_ack_pending >= *max) {
            return Self::MaxAckPending(max);
        }
        if let Some(other) = pinned_in(info, group).filter(|id| Some(*id) != pin) {
            return Self::PinnedElsewhere(other.to_owned());
        }
        if let Some(max) = max_waiting.filter(|max| info.num_waiting >= *max) {
            return Self::MaxWaiting(max);
        }
        match info {
            ConsumerInfo { num_waiting: 0, .. } => Self::RequestsLost,
            ConsumerInfo { num_pending: 0, .. } => Self::NothingPending,
            _ => Self::Unknown,
        }
    }
}

/// Who is pinned in a group.
fn pinned_in<'a>(info: &'a ConsumerInfo, group: Option<&str>) -> Option<&'a str> {
    let state = info.priority_groups.iter().find(|state| Some(state.group.as_str()) == group)?;
    state.pinned_client_id.as_deref().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(json: &str) -> SilenceCause {
        let info: ConsumerInfo = serde_json::from_str(json).expect("a consumer's information");
        SilenceCause::new(Ok(&info), Some("g"), Some("own"))
    }

    #[test]
    fn the_information_explains_it() {
        use SilenceCause::*;
        let second = Duration::from_secs(1);
        for (json, expected) in [
            (r#"{"paused":true,"pause_remaining":1000000000}"#, Paused(Some(second))),
            (r#"{"cluster":{"name":"c"},"num_waiting":1}"#, NoLeader),
            (r#"{"cluster":{"name":"c","leader":""},"num_waiting":1}"#, NoLeader),
            (
                r#"{"cluster":{"leader":"a"},"config":{"max_ack_pending":5},"num_ack_pending":5}"#,
                MaxAckPending(5),
            ),
            (
                r#"{"config":{"max_ack_pending":-1},"num_ack_pending":5,"num_waiting":1}"#,
                NothingPending,
            ),
            (
                r#"{"priority_groups":[{"group":"f","pinned_client_id":"f"},
                    {"group":"g","pinned_client_id":"other"}],"num_waiting":1}"#,
                PinnedElsewhere("other".into()),
            ),
            (
                r#"{"priority_groups":[{"group":"g","pinned_client_id":"own"}],"num_waiting":1,
                    "num_pending":1}"#,
                Unknown,
            ),
            (r#"{"config":{"max_waiting":5},"num_waiting":5,"num_pending":1}"#, MaxWaiting(5)),
            (r#"{"num_pending":5}"#, RequestsLost),
            (r#"{"num_waiting":1}"#, NothingPending),
            (r#"{"num_waiting":1,"num_pending":1}"#, Unknown),
        ] {
            assert_eq!(cause(json), expected, "{json}");
        }
        let failed = SilenceCause::new(Err(&Error::NotAvailable), None, None);
        assert_eq!(failed, InfoFailed(Error::NotAvailable));
    }
}
