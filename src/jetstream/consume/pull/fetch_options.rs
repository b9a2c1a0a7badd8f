//! How a consumer is asked once: for how much, and how long the request waits.

use super::option_error::PullOptionError;
use super::options::{check_group, check_heartbeat, check_not_zero};
use super::request::PullRequest;
use crate::jetstream::consume::status::Amount;
use crate::jetstream::level::Requirement;
use crate::jetstream::wire::setters;
use std::time::Duration;

const DEFAULT_EXPIRES: Duration = Duration::from_secs(30);
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(5);
/// Requests that wait for less have no heartbeat, unless they are told to.
const LONG: Duration = Duration::from_secs(10);

/// How a consumer is asked once for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchOptions {
    /// How many messages at most. At least 1. Default: 1, or with [`max_bytes`](Self::max_bytes) no
    /// such limit.
    pub max_messages: Option<u64>,
    /// How many bytes at most, as the server counts them: subject, acknowledgement subject, headers
    /// and payload. With [`max_messages`](Self::max_messages), whichever comes first. Default: no
    /// such limit.
    pub max_bytes: Option<u64>,
    /// Takes what there is, and does not wait for more. With [`expires`](Self::expires) it waits for
    /// the first message, and then takes what there is. Default: no.
    pub no_wait: bool,
    /// How long the request waits at the server. Default: 30 s, or with [`no_wait`](Self::no_wait)
    /// not at all.
    pub expires: Option<Duration>,
    /// How often the server reports while there is nothing: at least 500 ms, and at most half of the
    /// time that it waits; zero: never. After two missing reports the fetch fails. Default: 5 s if it
    /// waits for at least 10 s, and otherwise never.
    pub heartbeat: Option<Duration>,
    /// Whether missing reports end the fetch. If not, it waits for its time to be over. Default: yes.
    pub fail_when_silent: bool,
    /// One of the consumer's `priority_groups`, and needed if it has any. (Server 2.11)
    pub group: Option<String>,
    /// Where there are several clients, those with the lowest number are served first: 0 to 9.
    /// For a consumer whose policy is `prioritized`. (Server 2.12) Default: 0.
    pub priority: u8,
    /// Messages come only while at least so many are to be delivered. For a consumer whose policy is
    /// `overflow`. (Server 2.11) Default: no such condition.
    pub min_pending: Option<u64>,
    /// Messages come only while at least so many wait for an acknowledgement. For a consumer whose
    /// policy is `overflow`; with [`min_pending`](Self::min_pending), one of both is enough.
    /// (Server 2.11) Default: no such condition.
    pub min_ack_pending: Option<u64>,
}

impl FetchOptions {
    /// Takes one message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up to so many messages.
    #[must_use]
    pub fn messages(count: u64) -> Self {
        Self::new().max_messages(count)
    }

    /// Takes up to so many bytes.
    #[must_use]
    pub fn bytes(count: u64) -> Self {
        Self::new().max_bytes(count)
    }

    /// The limit of messages that holds, if there is one.
    pub(in crate::jetstream::consume) fn message_limit(&self) -> Option<u64> {
        match (self.max_messages, self.max_bytes) {
            (None, None) => Some(1),
            (max_messages, _) => max_messages,
        }
    }

    /// How long it waits. `None`: not at all.
    pub(in crate::jetstream::consume) fn wait(&self) -> Option<Duration> {
        match self.no_wait {
            true => self.expires,
            false => Some(self.expires.unwrap_or(DEFAULT_EXPIRES)),
        }
    }

    /// How often the server reports, if it does.
    pub(super) fn reports(&self) -> Option<Duration> {
        let by_default = self.wait().filter(|wait| *wait >= LONG).map(|_| DEFAULT_HEARTBEAT);
        self.heartbeat.or(by_default).filter(|heartbeat| !heartbeat.is_zero())
    }

    /// What is left to ask for when so much has come in so much time. `None`: its time is over.
    pub(in crate::jetstream::consume) fn rest(
        &self,
        received: Amount,
        elapsed: Duration,
    ) -> Option<Self> {
        let takes_what_there_is = self.no_wait && received.messages > 0;
        let expires = match self.wait().filter(|_| !takes_what_there_is) {
            Some(wait) => Some(wait.checked_sub(elapsed).filter(|left| !left.is_zero())?),
            None => None,
        };
        let fits = |heartbeat: Duration| expires.is_some_and(|expires| heartbeat <= expires / 2);
        Some(Self {
            max_messages: self.message_limit().map(|max| max.saturating_sub(received.messages)),
            max_bytes: self.max_bytes.map(|max| max.saturating_sub(received.bytes).max(1)),
            expires,
            heartbeat: self.heartbeat.map(|heartbeat| match fits(heartbeat) {
                true => heartbeat,
                false => Duration::ZERO,
            }),
            ..self.clone()
        })
    }

    /// The request, as the client with this pin.
    pub(super) fn request(&self, pin: Option<&str>) -> PullRequest {
        let asks = PullRequest::amount(self.message_limit(), self.max_bytes);
        PullRequest {
            batch: asks.messages,
            max_bytes: asks.bytes,
            expires: self.wait(),
            idle_heartbeat: self.reports(),
            no_wait: self.no_wait,
            group: self.group.clone(),
            id: pin.map(str::to_owned),
            priority: self.priority,
            min_pending: self.min_pending,
            min_ack_pending: self.min_ack_pending,
        }
    }

    /// Returns the level that the options need, or what is wrong with them.
    pub(in crate::jetstream::consume) fn check(
        &self,
    ) -> Result<Option<Requirement>, PullOptionError> {
        check_not_zero("max_messages", self.max_messages)?;
        check_not_zero("max_bytes", self.max_bytes)?;
        if self.expires.is_some_and(|expires| expires.is_zero()) {
            return Err(PullOptionError::NoTime);
        }
        if let Some(heartbeat) = self.heartbeat.filter(|heartbeat| !heartbeat.is_zero()) {
            let wait = self.wait().ok_or(PullOptionError::HeartbeatWithoutExpires)?;
            check_heartbeat(heartbeat, wait)?;
        }
        let conditions = [
            ("min_pending", self.min_pending.is_some()),
            ("min_ack_pending", self.min_ack_pending.is_some()),
        ];
        check_group(self.group.as_deref(), self.priority, &conditions)
    }
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            max_messages: None,
            max_bytes: None,
            no_wait: false,
            expires: None,
            heartbeat: None,
            fail_when_silent: true,
            group: None,
            priority: 0,
            min_pending: None,
            min_ack_pending: None,
        }
    }
}

setters!(FetchOptions {
    some max_messages: u64,
    some max_bytes: u64,
    value no_wait: bool,
    some expires: Duration,
    some heartbeat: Duration,
    value fail_when_silent: bool,
    some_text group: String,
    value priority: u8,
    some min_pending: u64,
    some min_ack_pending: u64,
});

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    fn body(options: &FetchOptions) -> serde_json::Value {
        serde_json::to_value(options.request(None)).unwrap()
    }

    #[test]
    fn a_fetch_waits_for_half_a_minute_with_a_heartbeat_unless_it_is_told_otherwise() {
        let nanos = |seconds: u64| seconds * 1_000_000_000;
        for (options, expected) in [
            (
                FetchOptions::new(),
                json!({"batch": 1, "expires": nanos(30), "idle_heartbeat": nanos(5)}),
            ),
            (
                FetchOptions::messages(10).expires(9 * SECOND),
                json!({"batch": 10, "expires": nanos(9)}),
            ),
            (
                FetchOptions::messages(10).expires(9 * SECOND).heartbeat(SECOND),
                json!({"batch": 10, "expires": nanos(9), "idle_heartbeat": nanos(1)}),
            ),
            (
                FetchOptions::bytes(99).heartbeat(Duration::ZERO),
                json!({"batch": 1_000_000, "max_bytes": 99, "expires": nanos(30)}),
            ),
            (
                FetchOptions::messages(5).max_bytes(99).no_wait(true),
                json!({"batch": 5, "max_bytes": 99, "no_wait": true}),
            ),
            (
                FetchOptions::messages(5).no_wait(true).expires(10 * SECOND),
                json!({"batch": 5, "no_wait": true, "expires": nanos(10),
                    "idle_heartbeat": nanos(5)}),
            ),
        ] {
            assert_eq!(options.check(), Ok(None), "{options:?}");
            assert_eq!(body(&options), expected, "{options:?}");
        }
        let pinned = FetchOptions::new().group("g").request(Some("pin"));
        assert_eq!((pinned.group, pinned.id), (Some("g".into()), Some("pin".into())));
    }

    #[test]
    fn what_is_not_possible_is_named() {
        use PullOptionError::*;
        let (heartbeat, expires) = (3 * SECOND, 5 * SECOND);
        for (options, expected) in [
            (FetchOptions::messages(0), Zero("max_messages")),
            (FetchOptions::bytes(0), Zero("max_bytes")),
            (FetchOptions::new().expires(Duration::ZERO), NoTime),
            (
                FetchOptions::new().expires(expires).heartbeat(heartbeat),
                HeartbeatTooLong { heartbeat, expires },
            ),
            (FetchOptions::new().heartbeat(SECOND / 3), HeartbeatTooShort(SECOND / 3)),
            (FetchOptions::new().no_wait(true).heartbeat(SECOND), HeartbeatWithoutExpires),
            (FetchOptions::new().min_pending(3), WithoutGroup("min_pending")),
            (FetchOptions::new().group("g").priority(10), Priority(10)),
        ] {
            assert_eq!(options.check(), Err(expected), "{options:?}");
        }
        let level = FetchOptions::new().group("g").check();
        assert_eq!(level, Ok(Some(Requirement::new(1, "group"))));
    }
}
