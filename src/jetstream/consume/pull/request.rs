//! What is sent to the server to be given messages.

use super::options::{ConsumeOptions, UNCOUNTED};
use crate::jetstream::consume::status::Amount;
use crate::jetstream::time::nanos;
use crate::jetstream::wire::is_default;
use serde::Serialize;
use std::time::Duration;

/// The body of a pull request. What is 0 or not set is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PullRequest {
    /// How many messages at most. Never 0, which servers take for 1.
    pub(crate) batch: u64,
    /// How many bytes at most.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) max_bytes: u64,
    /// How long the request waits at the server. `None`: for ever, or not at all.
    #[serde(with = "nanos", skip_serializing_if = "is_default")]
    pub(crate) expires: Option<Duration>,
    /// How often the server reports meanwhile. Needs `expires`, and to be half of it at most.
    #[serde(with = "nanos", skip_serializing_if = "is_default")]
    pub(crate) idle_heartbeat: Option<Duration>,
    /// Gives what there is, and does not wait for more.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) no_wait: bool,
    /// The priority group.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) group: Option<String>,
    /// The id of the client that is pinned, as the server has told it.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) id: Option<String>,
    /// 0 is served first.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) priority: u8,
    /// Gives messages only while so many are to be delivered …
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) min_pending: Option<u64>,
    /// … or so many wait for an acknowledgement.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) min_ack_pending: Option<u64>,
}

impl PullRequest {
    /// One of the requests of a consumption.
    pub(super) fn consuming(
        options: &ConsumeOptions,
        asks: Amount,
        expires: Duration,
        pin: Option<&str>,
    ) -> Self {
        let heartbeat = options.heartbeat_within(expires);
        Self {
            batch: asks.messages,
            max_bytes: asks.bytes,
            expires: Some(expires),
            idle_heartbeat: Some(heartbeat).filter(|heartbeat| !heartbeat.is_zero()),
            no_wait: false,
            group: options.group.clone(),
            id: pin.map(str::to_owned),
            priority: options.priority,
            min_pending: options.min_pending,
            min_ack_pending: options.min_ack_pending,
        }
    }

    /// A request that shows the server that somebody is there, and brings nothing.
    ///
    /// No message has one byte: there is a subject in it, at least. Measured on servers 2.9, 2.10 and
    /// 2.15: none is delivered, the request ends with a 409 about `MaxBytes` at once or with a 408, it
    /// pins nobody, and each one puts off the end by inactivity. On 2.9 a message that was to be
    /// delivered again loses one of the deliveries that it has counted, as it does there with every
    /// request that ends without it.
    pub(super) fn keep_alive(options: &ConsumeOptions, expires: Duration) -> Self {
        Self {
            batch: 1,
            max_bytes: 1,
            expires: Some(expires),
            group: options.group.clone(),
            ..Self::default()
        }
    }

    /// What it asks for, of which there may be a million messages if only bytes are limited.
    pub(super) fn amount(max_messages: Option<u64>, max_bytes: Option<u64>) -> Amount {
        Amount { messages: max_messages.unwrap_or(UNCOUNTED), bytes: max_bytes.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    fn body(request: &PullRequest) -> serde_json::Value {
        serde_json::to_value(request).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent() {
        let asks = PullRequest::amount(Some(500), None);
        let request = PullRequest::consuming(&ConsumeOptions::new(), asks, 30 * SECOND, None);
        let expected = json!({"batch": 500, "expires": 30_000_000_000_u64,
            "idle_heartbeat": 15_000_000_000_u64});
        assert_eq!(body(&request), expected);
        assert_eq!(body(&PullRequest { batch: 1, ..PullRequest::default() }), json!({"batch": 1}));
    }

    #[test]
    fn everything_that_is_asked_for_is_sent() {
        let options = ConsumeOptions::new()
            .heartbeat(SECOND)
            .group("g")
            .priority(3)
            .min_pending(4)
            .min_ack_pending(5);
        let asks = PullRequest::amount(None, Some(1024));
        let request = PullRequest::consuming(&options, asks, 2 * SECOND, Some("pin"));
        let expected = json!({"batch": 1_000_000, "max_bytes": 1024, "expires": 2_000_000_000_u64,
            "idle_heartbeat": 1_000_000_000, "group": "g", "id": "pin", "priority": 3,
            "min_pending": 4, "min_ack_pending": 5});
        assert_eq!(body(&request), expected);
        let no_wait = PullRequest { batch: 2, no_wait: true, ..PullRequest::default() };
        assert_eq!(body(&no_wait), json!({"batch": 2, "no_wait": true}));
    }

    #[test]
    fn a_keep_alive_has_the_group_and_neither_pin_nor_conditions() {
        let options = ConsumeOptions::new().group("g").priority(3).min_pending(4);
        let request = PullRequest::keep_alive(&options, SECOND);
        let expected = json!({"batch": 1, "max_bytes": 1, "expires": 1_000_000_000, "group": "g"});
        assert_eq!(body(&request), expected);
    }
}
