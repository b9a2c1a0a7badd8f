//! What can be wrong with the options of a publish. It is found before anything is sent.

use evnats_protocol::subject::SubjectError;
use std::time::Duration;

/// An option that cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// A message lives for a second at least.
    #[error("a TTL of {0:?} is shorter than a second")]
    TtlTooShort(Duration),
    /// The subject of an expectation cannot be one.
    #[error("invalid subject of an expectation: {0}")]
    ExpectedSubject(#[source] SubjectError),
    /// The schedule is not possible.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// Why a schedule is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The format of times has the years 0 to 9999.
    #[error("the time of a schedule is outside the years 0 to 9999")]
    Time,
    /// It cannot be due more often than once in a second.
    #[error("an interval of {0:?} is shorter than a second")]
    Interval(Duration),
    /// A cron expression has six fields, or is one of the known words.
    #[error(
        "a cron expression has six fields (second, minute, hour, day of the month, month, day of \
         the week) or is a word such as @daily, and {0:?} is neither"
    )]
    Cron(String),
    /// A field of a cron expression that is not possible.
    #[error("the {field} of a cron expression cannot be {text:?}")]
    CronField {
        /// Which one.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// Only cron expressions have a time zone.
    #[error("a time zone is for cron expressions")]
    TimeZone,
    /// The target has to be a literal subject.
    #[error("invalid target of a schedule: {0}")]
    Target(#[source] SubjectError),
    /// The source has to be a literal subject.
    #[error("invalid source of a schedule: {0}")]
    Source(#[source] SubjectError),
    /// A schedule lies on a literal subject.
    #[error("invalid subject of a schedule: {0}")]
    Subject(#[source] SubjectError),
    /// A header that is no schedule.
    #[error("not a schedule: {0:?}")]
    Unknown(String),
}
