//! Whether a message whose publish has failed is sent again. A machine without I/O.
//!
//! Sent again is only what may be stored no more than once: the stream recognizes it by its id, or
//! refuses it by its expectation. Whoever has ever been without an answer stays so in the report,
//! unless the stream says that it has the message: a refusal of the second attempt may well be due to
//! the first one.

use super::options::WindowOptions;
use crate::event_loop::after;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::error::Error;
use crate::jetstream::publish::options::Repetition;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// What has become of a message so far.
#[derive(Debug)]
pub(super) struct Attempts {
    /// When it is given up.
    deadline: Instant,
    repetition: Repetition,
    pause: Duration,
    /// Why it is unknown whether it was stored, since the first time that it was.
    unknown: Option<Error>,
}

/// What to do with a message whose publish has failed.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is sent again at this time.
    Again(Instant),
    /// It has failed, for this reason.
    Failed(Error),
}

impl Attempts {
    pub(super) fn new(options: &WindowOptions, repetition: Repetition, now: Instant) -> Self {
        let deadline = after(now, options.retry_for);
        Self { deadline, repetition, pause: FIRST_PAUSE, unknown: None }
    }

    pub(super) fn judge(&mut self, error: Error, options: &WindowOptions, now: Instant) -> Verdict {
        let is_unknown = error.is_outcome_unknown();
        let may_change = match is_unknown {
            true => options.resend_unknown || is_in_process(&error),
            false => error.is_temporary(),
        };
        let again = now + self.pause;
        if is_unknown && self.unknown.is_none() {
            self.unknown = Some(error.clone());
        }
        if self.repetition == Repetition::Stored || !may_change || again > self.deadline {
            return Verdict::Failed(self.unknown.take().unwrap_or(error));
        }
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Verdict::Again(again)
    }

    /// What is to be reported if it is not sent again, for this reason.
    pub(super) fn give_up(self, error: Error) -> Error {
        self.unknown.unwrap_or(error)
    }
}

/// Whether an earlier attempt is on its way through the cluster: the next answer will tell.
fn is_in_process(error: &Error) -> bool {
    error.api().is_some_and(|refusal| refusal.err_code() == ErrorCode::DUPLICATE_IN_PROCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::api_error::ApiError;
    use evnats_protocol::RequestError;

    const MS: Duration = Duration::from_millis(1);

    fn overloaded() -> Error {
        Error::TooManyRequests(ApiError::new(429, ErrorCode::TOO_MANY_REQUESTS, "too many"))
    }

    fn not_stored() -> Error {
        Error::NotStored { subject: None }
    }

    fn unknown() -> Error {
        Error::Request(RequestError::OutcomeUnknown)
    }

    fn wrong_sequence() -> Error {
        Error::Api(ApiError::new(400, ErrorCode::WRONG_LAST_SEQUENCE, "wrong last sequence: 3"))
    }

    fn patient() -> WindowOptions {
        WindowOptions::new().retry_for(5_000 * MS).resend_unknown(true)
    }

    #[test]
    fn what_is_not_safe_is_not_sent_again() {
        let now = Instant::now();
        let mut attempts = Attempts::new(&patient(), Repetition::Stored, now);
        for error in [not_stored(), overloaded(), unknown()] {
            assert_eq!(attempts.judge(error.clone(), &patient(), now), Verdict::Failed(error));
        }
    }

    #[test]
    fn pauses_grow_until_the_time_is_over() {
        let (options, start) = (patient(), Instant::now());
        let mut attempts = Attempts::new(&options, Repetition::Recognized, start);
        let mut now = start;
        for pause in [250, 500, 1000, 2000] {
            let verdict = attempts.judge(not_stored(), &options, now);
            now += pause * MS;
            assert_eq!(verdict, Verdict::Again(now));
        }
        let verdict = attempts.judge(overloaded(), &options, now);
        assert_eq!(verdict, Verdict::Failed(overloaded()), "2 s more are too many");
    }

    #[test]
    fn a_message_may_be_sent_again_for_ever() {
        let (options, now) = (patient().retry_for(Duration::MAX), Instant::now());
        let mut attempts = Attempts::new(&options, Repetition::Recognized, now);
        let next_year = now + Duration::from_secs(365 * 86_400);
        assert!(matches!(attempts.judge(not_stored(), &options, next_year), Verdict::Again(_)));
    }

    #[test]
    fn what_is_unknown_is_sent_again_if_the_program_wants_it() {
        let now = Instant::now();
        let careful = patient().resend_unknown(false);
        let mut attempts = Attempts::new(&careful, Repetition::Recognized, now);
        assert_eq!(attempts.judge(unknown(), &careful, now), Verdict::Failed(unknown()));
        let mut attempts = Attempts::new(&patient(), Repetition::Recognized, now);
        assert_eq!(attempts.judge(unknown(), &patient(), now), Verdict::Again(now + 250 * MS));
    }

    #[test]
    fn a_refusal_after_an_unknown_outcome_leaves_it_unknown() {
        let (options, now) = (patient(), Instant::now());
        let mut attempts = Attempts::new(&options, Repetition::Refused, now);
        assert!(matches!(attempts.judge(unknown(), &options, now), Verdict::Again(_)));
        assert!(matches!(attempts.judge(not_stored(), &options, now), Verdict::Again(_)));
        let verdict = attempts.judge(wrong_sequence(), &options, now);
        assert_eq!(verdict, Verdict::Failed(unknown()), "the first attempt may have been stored");
    }

    #[test]
    fn a_refusal_is_final() {
        let (options, now) = (patient(), Instant::now());
        let mut attempts = Attempts::new(&options, Repetition::Refused, now);
        let verdict = attempts.judge(wrong_sequence(), &options, now);
        assert_eq!(verdict, Verdict::Failed(wrong_sequence()));
    }
}
