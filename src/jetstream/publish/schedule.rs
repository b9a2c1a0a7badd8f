//! Schedules: messages that the stream publishes by itself, at a time or again and again.
//!
//! A schedule is a stored message like others, and its headers say when, and to which subject, a
//! message with its content is to be published. Here are these headers, to be written and read back. The
//! form of an expression is checked before it is sent, by the server's rules; the names of time zones
//! are the server's own.

use super::option_error::{OptionError, ScheduleError};
use super::ttl::Ttl;
use crate::callback::{Callback, answer};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;
use crate::jetstream::manage::{MessageQuery, PurgeOptions, ReadFrom, StoredMessage};
use crate::jetstream::time::{format_rfc3339, parse_go_duration, parse_rfc3339};
use evnats_protocol::subject;
use evnats_protocol::{HeaderMap, Headers};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

const SCHEDULE: &str = "Nats-Schedule";
const TARGET: &str = "Nats-Schedule-Target";
const SOURCE: &str = "Nats-Schedule-Source";
const TTL: &str = "Nats-Schedule-TTL";
const TIME_ZONE: &str = "Nats-Schedule-Time-Zone";
const ROLLUP: &str = "Nats-Schedule-Rollup";

/// When a stream publishes a message by itself, and to which of its subjects.
///
/// The message that carries a schedule ([`PublishOptions::schedule`](super::PublishOptions::schedule))
/// lies on a subject of its own, one schedule to a subject: another one on that subject replaces it,
/// [`JetStream::schedule`] reads it back, and [`JetStream::cancel_schedule`] takes it away. Its payload
/// and headers are those of what is published. The stream has to have `allow_msg_schedules`.
/// (Server 2.12; all but [`at`](Self::at), and everything that is optional here but the TTL: server 2.14)
///
/// ```
/// use evnats::jetstream::{PublishOptions, Schedule};
/// use std::time::{Duration, SystemTime};
///
/// let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
/// let reminder = Schedule::at(in_an_hour, "orders.remind.42");
/// let nightly = Schedule::cron("0 30 3 * * *", "reports.due").time_zone("Europe/Vienna");
/// let options = PublishOptions::new().schedule(&nightly);
/// # let _ = (reminder, options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schedule {
    /// When it is due.
    pub timing: Timing,
    /// The subject that is published to, one of the same stream's.
    pub target: String,
    /// The zone that a cron expression is in, by a name that the server knows. Default: UTC.
    pub time_zone: Option<String>,
    /// The subject of the same stream whose last message is published, instead of this one.
    pub source: Option<String>,
    /// How long what is published lives. The stream has to have `allow_msg_ttl`.
    pub ttl: Option<Ttl>,
    /// Whether what is published replaces the earlier messages on its subject.
    pub rollup: bool,
}

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timing {
    /// Once, at a time by the server's clock. One that is over is due at once.
    At(SystemTime),
    /// Again and again, after this long. At least one second.
    Every(Duration),
    /// At the times that six fields name (second, minute, hour, day of the month, month, day of the
    /// week), or a word: `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`,
    /// `@annually`.
    Cron(String),
}

/// A schedule that a stream has, and the message that is published by it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduled {
    /// The schedule.
    pub schedule: Schedule,
    /// The message as it is stored, on the schedule's own subject.
    pub message: StoredMessage,
}

impl Schedule {
    /// Due once.
    #[must_use]
    pub fn at(time: SystemTime, target: impl Into<String>) -> Self {
        Self::new(Timing::At(time), target.into())
    }

    /// Due again and again, first after the interval.
    #[must_use]
    pub fn every(interval: Duration, target: impl Into<String>) -> Self {
        Self::new(Timing::Every(interval), target.into())
    }

    /// Due at the times that a cron expression names; see [`Timing::Cron`].
    #[must_use]
    pub fn cron(expression: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(Timing::Cron(expression.into()), target.into())
    }

    fn new(timing: Timing, target: String) -> Self {
        Self { timing, target, time_zone: None, source: None, ttl: None, rollup: false }
    }

    /// Sets [`time_zone`](Self#structfield.time_zone).
    #[must_use]
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into());
        self
    }

    /// Sets [`source`](Self#structfield.source).
    #[must_use]
    pub fn source(mut self, subject: impl Into<String>) -> Self {
        self.source = Some(subject.into());
        self
    }

    /// Sets [`ttl`](Self#structfield.ttl).
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }

    /// Sets [`rollup`](Self#structfield.rollup).
    #[must_use]
    pub fn rollup(mut self, rollup: bool) -> Self {
        self.rollup = rollup;
        self
    }

    /// The API level that it needs.
    pub(super) fn requirement(&self) -> Requirement {
        let is_simple = matches!(self.timing, Timing::At(_))
            && self.time_zone.is_none()
            && self.source.is_none()
            && !self.rollup;
        Requirement::new(if is_simple { 2 } else { 4 }, "schedule")
    }

    /// The headers that make a message a schedule.
    pub(super) fn headers(&self) -> Result<HeaderMap, OptionError> {
        self.timing.check()?;
        subject::check_literal(&self.target).map_err(ScheduleError::Target)?;
        let mut headers = HeaderMap::new();
        headers.append(SCHEDULE, self.timing.to_string());
        headers.append(TARGET, &self.target);
        if let Some(zone) = &self.time_zone {
            if !matches!(self.timing, Timing::Cron(_)) {
                return Err(ScheduleError::TimeZone.into());
            }
            headers.append(TIME_ZONE, zone);
        }
        if let Some(source) = &self.source {
            subject::check_literal(source).map_err(ScheduleError::Source)?;
            headers.append(SOURCE, source);
        }
        if let Some(ttl) = self.ttl {
            headers.append(TTL, ttl.header()?);
        }
        if self.rollup {
            headers.append(ROLLUP, "sub");
        }
        Ok(headers)
    }

    /// Reads the schedule out of a message's headers.
    ///
    /// # Errors
    /// [`ScheduleError::Unknown`] if they have none, or one that this version cannot read.
    pub fn from_headers(headers: Headers<'_>) -> Result<Self, ScheduleError> {
        let text = |name| headers.last(name).map(|value| value.into_owned());
        let timing = text(SCHEDULE).unwrap_or_default().parse()?;
        Ok(Self {
            timing,
            target: text(TARGET).unwrap_or_default(),
            time_zone: text(TIME_ZONE),
            source: text(SOURCE),
            ttl: text(TTL).as_deref().and_then(Ttl::read),
            rollup: text(ROLLUP).is_some(),
        })
    }
}

impl Timing {
    fn check(&self) -> Result<(), ScheduleError> {
        match self {
            Self::At(time) => format_rfc3339(*time).map(drop).map_err(|_| ScheduleError::Time),
            Self::Every(interval) if *interval < Duration::from_secs(1) => {
                Err(ScheduleError::Interval(*interval))
            }
            Self::Every(_) => Ok(()),
            Self::Cron(expression) => check_cron(expression),
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => {
                let text = format_rfc3339(*time).map_err(|_| fmt::Error)?;
                write!(f, "@at {text}")
            }
            Self::Every(interval) if interval.subsec_nanos() == 0 => {
                write!(f, "@every {}s", interval.as_secs())
            }
            Self::Every(interval) => {
                write!(f, "@every {}.{:09}s", interval.as_secs(), interval.subsec_nanos())
            }
            Self::Cron(expression) => f.write_str(expression),
        }
    }
}

impl FromStr for Timing {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let unknown = || ScheduleError::Unknown(text.into());
        let timing = if let Some(time) = text.strip_prefix("@at ") {
            Self::At(parse_rfc3339(time).ok().flatten().ok_or_else(unknown)?)
        } else if let Some(interval) = text.strip_prefix("@every ") {
            Self::Every(parse_go_duration(interval).ok_or_else(unknown)?)
        } else if text.is_empty() {
            return Err(unknown());
        } else {
            Self::Cron(text.into())
        };
        Ok(timing)
    }
}

/// A field of a cron expression: its name, its bounds, and the names that its numbers have, from the
/// lower bound on.
struct CronField {
    name: &'static str,
    min: u32,
    max: u32,
    words: &'static [&'static str],
}

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const CRON_FIELDS: [CronField; 6] = [
    CronField { name: "second", min: 0, max: 59, words: &[] },
    CronField { name: "minute", min: 0, max: 59, words: &[] },
    CronField { name: "hour", min: 0, max: 23, words: &[] },
    CronField { name: "day of the month", min: 1, max: 31, words: &[] },
    CronField { name: "month", min: 1, max: 12, words: MONTHS },
    CronField { name: "day of the week", min: 0, max: 6, words: DAYS },
];

const CRON_WORDS: [&str; 7] =
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

fn check_cron(expression: &str) -> Result<(), ScheduleError> {
    if CRON_WORDS.contains(&expression) {
        return Ok(());
    }
    let texts: Vec<_> = expression.split_ascii_whitespace().collect();
    if texts.len() != CRON_FIELDS.len() {
        return Err(ScheduleError::Cron(expression.into()));
    }
    for (field, text) in CRON_FIELDS.iter().zip(texts) {
        if !text.split(',').all(|range| field.is_range(range)) {
            return Err(ScheduleError::CronField { field: field.name, text: text.into() });
        }
    }
    Ok(())
}

impl CronField {
    /// Whether this is a number, a range of them or all, with or without a step.
    fn is_range(&self, text: &str) -> bool {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        let has_step = step.is_none_or(|step| number(step).is_some_and(|step| step > 0));
        has_step && (matches!(range, "*" | "?") || self.is_span(range))
    }

    fn is_span(&self, text: &str) -> bool {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        match (self.value(low), self.value(high)) {
            (Some(low), Some(high)) => self.min <= low && low <= high && high <= self.max,
            _ => false,
        }
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| self.min + at);
        named.or_else(|| number(text))
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Scheduled {
    fn read(message: StoredMessage) -> Result<Self, Error> {
        let schedule = Schedule::from_headers(message.headers()).map_err(OptionError::Schedule)?;
        Ok(Self { schedule, message })
    }
}

impl<S: 'static> JetStream<S> {
    /// Reads the schedule that lies on a subject, from the stream's leader.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none, or no such stream; [`Error::InvalidOption`] if the
    /// message there is no schedule.
    pub fn schedule(
        &self,
        stream: &str,
        subject: &str,
        callback: impl Callback<S, JetStream<S>, Result<Scheduled, Error>>,
    ) {
        let query = MessageQuery::LastBySubject(subject);
        self.stored_message(stream, query, ReadFrom::Leader, |state: &mut S, js, message| {
            callback(state, js, message.and_then(Scheduled::read))
        });
    }

    /// Takes the schedule away that lies on a subject. Calls back with whether there was one; what has
    /// been published by it stays.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the subject has wildcards, [`Error::is_not_found`] if there is no
    /// such stream, and what a purge reports.
    pub fn cancel_schedule(
        &self,
        stream: &str,
        subject: &str,
        callback: impl Callback<S, JetStream<S>, Result<bool, Error>>,
    ) {
        if let Err(error) = subject::check_literal(subject) {
            let error = OptionError::Schedule(ScheduleError::Subject(error)).into();
            return self.api().refuse(error, answer(self, callback));
        }
        let options = PurgeOptions::new().subject(subject);
        self.purge_stream(stream, &options, |state: &mut S, js, purged| {
            callback(state, js, purged.map(|purged| purged > 0))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        for schedule in [
            Schedule::at(time, "a.b"),
            Schedule::every(Duration::from_secs(90), "a.b").source("c").rollup(true),
            Schedule::every(Duration::from_millis(1500), "a.b").ttl(Ttl::Never),
            Schedule::cron("*/5 0-10,20 ? 1 JAN-mar sun", "a.b").time_zone("Europe/Vienna"),
            Schedule::cron("@hourly", "a.b").ttl(Duration::from_secs(60)),
        ] {
            let headers = schedule.headers().expect("possible");
            assert_eq!(Schedule::from_headers(headers.as_headers()), Ok(schedule));
        }
    }

    #[test]
    fn what_other_clients_write_is_read() {
        let headers = HeaderMap::new()
            .with(SCHEDULE, "@every 1h30m0s")
            .with(TARGET, "t")
            .with(TTL, "5m")
            .with(ROLLUP, "sub");
        let read = Schedule::from_headers(headers.as_headers()).expect("a schedule");
        assert_eq!(read.timing, Timing::Every(Duration::from_secs(5400)));
        assert_eq!(read.ttl, Some(Ttl::For(Duration::from_secs(300))));
        assert!(read.rollup);
        for text in ["", "@at noon", "@every now"] {
            let headers = HeaderMap::new().with(SCHEDULE, text);
            let read = Schedule::from_headers(headers.as_headers());
            assert_eq!(read, Err(ScheduleError::Unknown(text.into())));
        }
    }

    #[test]
    fn levels() {
        let at = Schedule::at(SystemTime::UNIX_EPOCH, "t");
        assert_eq!(at.clone().ttl(Ttl::Never).requirement().level, 2);
        assert_eq!(at.source("s").requirement().level, 4);
        assert_eq!(Schedule::cron("@daily", "t").requirement().level, 4);
    }

    #[test]
    fn what_is_not_possible_is_said() {
        let second = Duration::from_secs(1);
        let error = |schedule: Schedule| match schedule.headers() {
            Err(OptionError::Schedule(error)) => error,
            other => panic!("{schedule:?}: {other:?}"),
        };
        assert_eq!(error(Schedule::every(second / 2, "t")), ScheduleError::Interval(second / 2));
        assert_eq!(error(Schedule::every(second, "t").time_zone("UTC")), ScheduleError::TimeZone);
        assert!(matches!(error(Schedule::every(second, "a.*")), ScheduleError::Target(_)));
        assert!(matches!(
            error(Schedule::every(second, "t").source(">")),
            ScheduleError::Source(_)
        ));
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(error(Schedule::at(far, "t")), ScheduleError::Time);
        let text = ScheduleError::CronField { field: "hour", text: "24".into() };
        assert_eq!(error(Schedule::cron("0 0 24 * * *", "t")), text);
        assert_eq!(text.to_string(), "the hour of a cron expression cannot be \"24\"");
    }
}
