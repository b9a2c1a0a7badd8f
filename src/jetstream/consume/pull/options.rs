//! How a consumer is read without end: how much is under way, when more is asked for, and as whom.

use super::option_error::PullOptionError;
use crate::jetstream::level::Requirement;
use crate::jetstream::wire::setters;
use std::time::Duration;

const DEFAULT_MAX_MESSAGES: u64 = 500;
/// What a request asks for that is limited by bytes alone: servers want a number.
pub(super) const UNCOUNTED: u64 = 1_000_000;
const MIN_EXPIRES: Duration = Duration::from_secs(1);
const MIN_HEARTBEAT: Duration = Duration::from_millis(500);
const MAX_DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
const LAST_PRIORITY: u8 = 9;

/// How a consumer is read without end.
///
/// The client asks for messages ahead, so that the next one is there when it is wanted. What it has
/// asked for and the program has not taken never is more than the limits say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumeOptions {
    /// How many messages are under way at most: asked for, or come and not taken yet. At least 1; 1
    /// is one after the other. Default: 500, or with [`max_bytes`](Self::max_bytes) no such limit.
    pub max_messages: Option<u64>,
    /// How many bytes are under way at most, as the server counts them: subject, acknowledgement
    /// subject, headers and payload. A larger message is not delivered, which is told. With
    /// [`max_messages`](Self::max_messages), both hold. Default: no such limit.
    pub max_bytes: Option<u64>,
    /// How long a request waits at the server. At least a second. Default: 30 s.
    pub expires: Duration,
    /// How often the server reports while there is nothing: at least 500 ms, and at most half of
    /// [`expires`](Self::expires). After two missing reports the server is asked anew. Default: half of
    /// `expires`, and no more than 30 s.
    pub heartbeat: Option<Duration>,
    /// More is asked for when fewer messages than this are under way. At most
    /// [`max_messages`](Self::max_messages). Default: half of them, rounded up.
    pub threshold_messages: Option<u64>,
    /// More is asked for when fewer bytes than this are under way. At most
    /// [`max_bytes`](Self::max_bytes). Default: half of them, rounded up.
    pub threshold_bytes: Option<u64>,
    /// Ends after this many messages, and asks for no more than that. Default: never.
    pub stop_after: Option<u64>,
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
    /// Whether missing reports of the server are told. Default: yes.
    pub report_silence: bool,
    /// Acknowledges each message when its callback returns without an error, unless the callback has
    /// answered it or taken the right to. After an error or a panic it is not acknowledged. Default: no.
    pub auto_ack: bool,
    /// With [`auto_ack`](Self::auto_ack): a message whose callback returns an error or panics is
    /// delivered again as soon as can be, and not when the consumer's `ack_wait` is over. Default: no.
    pub nak_on_error: bool,
    /// How often the server is told that a message is being worked on that the callback has taken an
    /// [`Acker`](crate::jetstream::Acker) of, until it is answered: half of the consumer's `ack_wait` is
    /// a good period. Default: never.
    pub in_progress_every: Option<Duration>,
}

impl ConsumeOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The limit of messages that holds, if there is one.
    pub(super) fn message_limit(&self) -> Option<u64> {
        match (self.max_messages, self.max_bytes) {
            (None, None) => Some(DEFAULT_MAX_MESSAGES),
            (max_messages, _) => max_messages,
        }
    }

    /// The heartbeat of a request that waits for so long.
    pub(super) fn heartbeat_within(&self, expires: Duration) -> Duration {
        let longest = expires / 2;
        self.heartbeat.unwrap_or(MAX_DEFAULT_HEARTBEAT).min(longest)
    }

    /// Returns the level that the options need, or what is wrong with them.
    pub(in crate::jetstream::consume) fn check(
        &self,
    ) -> Result<Option<Requirement>, PullOptionError> {
        check_not_zero("max_messages", self.max_messages)?;
        check_not_zero("max_bytes", self.max_bytes)?;
        check_not_zero("stop_after", self.stop_after)?;
        if self.expires < MIN_EXPIRES {
            return Err(PullOptionError::ExpiresTooShort(self.expires));
        }
        if let Some(heartbeat) = self.heartbeat {
            check_heartbeat(heartbeat, self.expires)?;
        }
        let thresholds = [
            ("threshold_messages", self.threshold_messages, "max_messages", self.message_limit()),
            ("threshold_bytes", self.threshold_bytes, "max_bytes", self.max_bytes),
        ];
        for (option, threshold, limit_option, limit) in thresholds {
            check_not_zero(option, threshold)?;
            match (threshold, limit) {
                (Some(threshold), Some(limit)) if threshold > limit => {
                    return Err(PullOptionError::ThresholdTooLarge { option, threshold, limit });
                }
                (Some(_), None) => {
                    let limit = limit_option;
                    return Err(PullOptionError::ThresholdWithoutLimit { option, limit });
                }
                _ => {}
            }
        }
        let conditions = [
            ("min_pending", self.min_pending.is_some()),
            ("min_ack_pending", self.min_ack_pending.is_some()),
        ];
        check_group(self.group.as_deref(), self.priority, &conditions)
    }
}

impl Default for ConsumeOptions {
    fn default() -> Self {
        Self {
            max_messages: None,
            max_bytes: None,
            expires: Duration::from_secs(30),
            heartbeat: None,
            threshold_messages: None,
            threshold_bytes: None,
            stop_after: None,
            group: None,
            priority: 0,
            min_pending: None,
            min_ack_pending: None,
            report_silence: true,
            auto_ack: false,
            nak_on_error: false,
            in_progress_every: None,
        }
    }
}

setters!(ConsumeOptions {
    some max_messages: u64,
    some max_bytes: u64,
    value expires: Duration,
    some heartbeat: Duration,
    some threshold_messages: u64,
    some threshold_bytes: u64,
    some stop_after: u64,
    some_text group: String,
    value priority: u8,
    some min_pending: u64,
    some min_ack_pending: u64,
    value report_silence: bool,
    value auto_ack: bool,
    value nak_on_error: bool,
    some in_progress_every: Duration,
});

pub(super) fn check_not_zero(
    option: &'static str,
    value: Option<u64>,
) -> Result<(), PullOptionError> {
    match value {
        Some(0) => Err(PullOptionError::Zero(option)),
        _ => Ok(()),
    }
}

/// Whether a request that waits for so long may have such a heartbeat.
pub(super) fn check_heartbeat(
    heartbeat: Duration,
    expires: Duration,
) -> Result<(), PullOptionError> {
    if heartbeat < MIN_HEARTBEAT {
        return Err(PullOptionError::HeartbeatTooShort(heartbeat));
    }
    if heartbeat > expires / 2 {
        return Err(PullOptionError::HeartbeatTooLong { heartbeat, expires });
    }
    Ok(())
}

/// Checks what is about priority groups, and returns the level that it needs.
pub(super) fn check_group(
    group: Option<&str>,
    priority: u8,
    conditions: &[(&'static str, bool)],
) -> Result<Option<Requirement>, PullOptionError> {
    if priority > LAST_PRIORITY {
        return Err(PullOptionError::Priority(priority));
    }
    let Some(group) = group else {
        let is_set = |(_, is_set): &&(&'static str, bool)| *is_set;
        let needs_one = conditions.iter().find(is_set).map(|(option, _)| *option);
        let needs_one = (priority > 0).then_some("priority").or(needs_one);
        return needs_one.map_or(Ok(None), |option| Err(PullOptionError::WithoutGroup(option)));
    };
    if group.is_empty() {
        return Err(PullOptionError::EmptyGroup);
    }
    Ok(Requirement::highest([(true, 1, "group"), (priority > 0, 2, "priority")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn new() -> ConsumeOptions {
        ConsumeOptions::new()
    }

    #[test]
    fn there_is_a_limit_of_messages_unless_there_is_one_of_bytes() {
        assert_eq!(new().message_limit(), Some(500));
        assert_eq!(new().max_bytes(1000).message_limit(), None);
        assert_eq!(new().max_bytes(1000).max_messages(3).message_limit(), Some(3));
    }

    /// An option of a peer's overwrote another one that was set before it.
    #[test]
    fn an_option_does_not_overwrite_the_batch_size() {
        let options = [
            new().max_messages(10).max_bytes(1024).expires(2_000 * MS).heartbeat(500 * MS),
            new().heartbeat(500 * MS).expires(2_000 * MS).max_bytes(1024).max_messages(10),
        ];
        assert_eq!(options[0], options[1]);
        assert_eq!(options[0].message_limit(), Some(10));
        let plain = new().max_messages(10);
        let more = plain.clone().threshold_messages(3).stop_after(100).group("g").min_pending(7);
        assert_eq!(more.message_limit(), plain.message_limit());
    }

    #[test]
    fn a_heartbeat_is_half_of_the_time_and_no_more_than_half_a_minute() {
        let second = Duration::from_secs(1);
        assert_eq!(new().heartbeat_within(30 * second), 15 * second);
        assert_eq!(new().heartbeat_within(300 * second), 30 * second);
        assert_eq!(new().heartbeat(2 * second).heartbeat_within(30 * second), 2 * second);
        let limited = new().heartbeat(2 * second).heartbeat_within(second);
        assert_eq!(limited, 500 * MS, "a limit that was learned later holds");
    }

    #[test]
    fn what_is_possible_is_taken() {
        let level = |level, feature| Ok(Some(Requirement::new(level, feature)));
        let one = new().max_messages(1).threshold_messages(1);
        for (options, expected) in [
            (new(), Ok(None)),
            (one, Ok(None)),
            (new().expires(1000 * MS).heartbeat(500 * MS), Ok(None)),
            (new().max_bytes(1).threshold_bytes(1), Ok(None)),
            (new().threshold_messages(500), Ok(None)),
            (new().group("g").min_pending(1).min_ack_pending(1), level(1, "group")),
            (new().group("g").priority(9), level(2, "priority")),
        ] {
            assert_eq!(options.check(), expected, "{options:?}");
        }
    }

    #[test]
    fn what_is_not_possible_is_named() {
        use PullOptionError::*;
        let too_large = |option, threshold, limit| ThresholdTooLarge { option, threshold, limit };
        let (heartbeat, expires) = (2000 * MS, 3000 * MS);
        let without_limit = ThresholdWithoutLimit { option: "threshold_bytes", limit: "max_bytes" };
        for (options, expected) in [
            (new().max_messages(0), Zero("max_messages")),
            (new().max_bytes(0), Zero("max_bytes")),
            (new().stop_after(0), Zero("stop_after")),
            (new().threshold_messages(0), Zero("threshold_messages")),
            (new().threshold_messages(501), too_large("threshold_messages", 501, 500)),
            (new().max_bytes(9).threshold_bytes(10), too_large("threshold_bytes", 10, 9)),
            (new().threshold_bytes(10), without_limit),
            (new().expires(999 * MS), ExpiresTooShort(999 * MS)),
            (new().heartbeat(499 * MS), HeartbeatTooShort(499 * MS)),
            (new().expires(expires).heartbeat(heartbeat), HeartbeatTooLong { heartbeat, expires }),
            (new().priority(1), WithoutGroup("priority")),
            (new().min_ack_pending(1), WithoutGroup("min_ack_pending")),
            (new().group("g").priority(10), Priority(10)),
            (new().group(""), EmptyGroup),
        ] {
            assert_eq!(options.check(), Err(expected), "{options:?}");
        }
        assert_eq!(
            Zero("max_bytes").to_string(),
            "max_bytes of 0 lets nothing through: set it to 1 or more, or leave it out"
        );
    }
}
