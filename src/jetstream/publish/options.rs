//! The conditions and headers of a publish: what a program may ask of the stream, checked before it is
//! sent, and what follows from it for whoever sends the message: which API level it needs, and
//! whether it may be sent twice.

use super::option_error::OptionError;
use super::schedule::Schedule;
use super::ttl::Ttl;
use crate::jetstream::level::Requirement;
use evnats_protocol::HeaderMap;
use evnats_protocol::subject;
use std::time::Duration;

/// Conditions and headers of an acknowledged publish.
///
/// What came with server 2.11 or later is not sent to an older server, which would store the message
/// and pass over the wish: the publish fails with
/// [`Error::Unsupported`](super::super::Error::Unsupported). The server is asked for its level once a
/// connection; the first publish that needs one waits for the answer, and others that do not may
/// overtake it.
///
/// ```
/// use evnats::jetstream::PublishOptions;
/// let only_after_seven = PublishOptions::new().expect_last_sequence(7).message_id("order-42");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishOptions {
    headers: HeaderMap,
    timeout: Option<Duration>,
    requirement: Option<Requirement>,
    repetition: Repetition,
    /// The first wish that cannot be granted.
    error: Option<OptionError>,
}

/// What happens if a stream is sent the same message twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Repetition {
    /// It stores both.
    #[default]
    Stored,
    /// It refuses the second one, as it would refuse the first one if somebody else had written.
    Refused,
    /// It recognizes the second one and says so.
    Recognized,
}

impl PublishOptions {
    /// No conditions, no headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds headers of your own.
    #[must_use]
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Adds a header of your own.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(name, value)
    }

    /// Names the message, so that the stream stores it once, however often it is published within
    /// the stream's `duplicate_window`. (`Nats-Msg-Id`)
    #[must_use]
    pub fn message_id(self, id: &str) -> Self {
        self.repeated(Repetition::Recognized).with("Nats-Msg-Id", id)
    }

    /// Stores the message only in the stream of this name. (`Nats-Expected-Stream`; error 10060)
    #[must_use]
    pub fn expect_stream(self, stream: &str) -> Self {
        self.with("Nats-Expected-Stream", stream)
    }

    /// Stores the message only if the stream's last one has this sequence.
    /// (`Nats-Expected-Last-Sequence`; [`Error::is_wrong_last_sequence`])
    ///
    /// [`Error::is_wrong_last_sequence`]: super::super::Error::is_wrong_last_sequence
    #[must_use]
    pub fn expect_last_sequence(self, sequence: u64) -> Self {
        self.repeated(Repetition::Refused)
            .with("Nats-Expected-Last-Sequence", &sequence.to_string())
    }

    /// Stores the message only if the last one on its subject has this sequence; 0: if there is
    /// none. (`Nats-Expected-Last-Subject-Sequence`; [`Error::is_wrong_last_sequence`])
    ///
    /// [`Error::is_wrong_last_sequence`]: super::super::Error::is_wrong_last_sequence
    #[must_use]
    pub fn expect_last_subject_sequence(self, sequence: u64) -> Self {
        self.repeated(Repetition::Refused)
            .with("Nats-Expected-Last-Subject-Sequence", &sequence.to_string())
    }

    /// Stores the message only if the last one on another subject of the stream, which may have
    /// wildcards, has this sequence; 0: if there is none. (Server 2.11;
    /// `Nats-Expected-Last-Subject-Sequence-Subject`; [`Error::is_wrong_last_sequence`])
    ///
    /// The message's own subject may lie outside, so that sending it twice stores it twice.
    ///
    /// [`Error::is_wrong_last_sequence`]: super::super::Error::is_wrong_last_sequence
    #[must_use]
    pub fn expect_last_sequence_on(mut self, subject: &str, sequence: u64) -> Self {
        if let Err(error) = subject::check_pattern(subject) {
            return self.refuse(OptionError::ExpectedSubject(error));
        }
        self.require(Requirement::new(1, "expect_last_sequence_on"));
        self.with("Nats-Expected-Last-Subject-Sequence", &sequence.to_string())
            .with("Nats-Expected-Last-Subject-Sequence-Subject", subject)
    }

    /// Stores the message only if the stream's last one was published with this id.
    /// (`Nats-Expected-Last-Msg-Id`; error 10070)
    #[must_use]
    pub fn expect_last_message_id(self, id: &str) -> Self {
        self.repeated(Repetition::Refused).with("Nats-Expected-Last-Msg-Id", id)
    }

    /// Removes the message after a time, or exempts it from the stream's `max_age`. (Server 2.11, for
    /// streams with `allow_msg_ttl`; `Nats-TTL`; error 10166)
    ///
    /// A stream with `subject_delete_marker_ttl` raises what is shorter than that.
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        match ttl.into().header() {
            Ok(text) => {
                self.require(Requirement::new(1, "ttl"));
                self.with("Nats-TTL", &text)
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Replaces all earlier messages on the subject by this one. (For streams with
    /// `allow_rollup_hdrs`; `Nats-Rollup`; error 10111)
    #[must_use]
    pub fn rollup_subject(self) -> Self {
        self.with("Nats-Rollup", "sub")
    }

    /// Replaces all earlier messages of the stream by this one. (For streams with
    /// `allow_rollup_hdrs`; `Nats-Rollup`; error 10111)
    #[must_use]
    pub fn rollup_stream(self) -> Self {
        self.with("Nats-Rollup", "all")
    }

    /// Has the stream publish this message later, or again and again: see [`Schedule`].
    #[must_use]
    pub fn schedule(mut self, schedule: &Schedule) -> Self {
        match schedule.headers() {
            Ok(headers) => {
                self.require(schedule.requirement());
                self.headers.extend(&headers);
                self
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Waits this long for the acknowledgement. Default: the timeout of the JetStream handle, or of
    /// the window.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What is sent with the message.
    pub(super) fn as_headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the level that the options need, or what is wrong with them.
    pub(super) fn check(&self) -> Result<Option<Requirement>, OptionError> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(self.requirement),
        }
    }

    pub(super) fn repetition(&self) -> Repetition {
        self.repetition
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name, value);
        self
    }

    fn repeated(mut self, repetition: Repetition) -> Self {
        self.repetition = self.repetition.max(repetition);
        self
    }

    fn require(&mut self, requirement: Requirement) {
        match self.requirement {
            Some(known) if known.level >= requirement.level => {}
            _ => self.requirement = Some(requirement),
        }
    }

    fn refuse(mut self, error: impl Into<OptionError>) -> Self {
        self.error.get_or_insert(error.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::option_error::ScheduleError;
    use super::*;
    use std::time::SystemTime;

    fn headers(options: &PublishOptions) -> Vec<(String, String)> {
        let headers = options.as_headers().as_headers();
        headers.iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn options_are_headers() {
        let options = PublishOptions::new()
            .message_id("id")
            .expect_stream("S")
            .expect_last_sequence(1)
            .expect_last_message_id("last")
            .ttl(Duration::from_millis(1500))
            .rollup_subject()
            .header("a", "b");
        let expected = [
            ("Nats-Msg-Id", "id"),
            ("Nats-Expected-Stream", "S"),
            ("Nats-Expected-Last-Sequence", "1"),
            ("Nats-Expected-Last-Msg-Id", "last"),
            ("Nats-TTL", "2"),
            ("Nats-Rollup", "sub"),
            ("a", "b"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers(&options), expected);
        assert_eq!(options.check(), Ok(Some(Requirement::new(1, "ttl"))));
    }

    #[test]
    fn what_may_be_sent_twice_is_known() {
        let new = PublishOptions::new;
        for (options, expected) in [
            (new().expect_stream("S").rollup_stream(), Repetition::Stored),
            (new().expect_last_sequence_on("a.*", 3), Repetition::Stored),
            (new().expect_last_subject_sequence(3), Repetition::Refused),
            (new().message_id("x").expect_last_sequence(3), Repetition::Recognized),
            (new().expect_last_sequence(3).message_id("x"), Repetition::Recognized),
        ] {
            assert_eq!(options.repetition(), expected, "{options:?}");
        }
    }

    #[test]
    fn the_highest_level_counts_and_the_first_mistake() {
        let schedule = Schedule::every(Duration::from_secs(1), "target");
        let options = PublishOptions::new().schedule(&schedule).ttl(Ttl::Never);
        assert_eq!(options.check().unwrap().unwrap().level, 4);

        let short = Duration::from_millis(999);
        let bad = Schedule::at(SystemTime::UNIX_EPOCH, "a.*");
        let options = PublishOptions::new().ttl(short).schedule(&bad);
        assert_eq!(options.check(), Err(OptionError::TtlTooShort(short)));
        let options = PublishOptions::new().expect_last_sequence_on("a b", 1);
        assert!(matches!(options.check(), Err(OptionError::ExpectedSubject(_))));
        let options = PublishOptions::new().schedule(&bad);
        assert!(matches!(options.check(), Err(OptionError::Schedule(ScheduleError::Target(_)))));
    }
}
