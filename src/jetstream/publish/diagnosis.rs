//! Why nobody has acknowledged a publish: asked of the API, because the message's own way does not tell.
//!
//! A stream without a leader does not listen, so that nobody answers, as if there were no stream. And
//! whoever else subscribes to the subject hides even that: then there is no word of nobody listening,
//! and no answer. The names of the streams with the subject tell the cases apart.

use crate::callback::{Ran, State};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use evnats_protocol::RequestError;
use std::time::Duration;

/// How long the answer may take. Whoever waits for it has waited long enough already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a stream does not acknowledge what is published to a subject, as far as can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// There is no connection at the moment.
    NotConnected,
    /// Nobody answers on JetStream's API either.
    NoJetStream,
    /// No stream has the subject.
    NoStream,
    /// This stream has it: it may have no leader at the moment, or be overloaded.
    Stream(String),
    /// The question was not answered, or is not permitted.
    Unknown,
}

impl Unanswered {
    /// Whether an error is worth the question.
    pub(super) fn may_explain(error: &Error) -> bool {
        matches!(error, Error::NotStored { .. } | Error::Request(RequestError::Timeout))
    }

    /// Returns the error, more precise where the answer says more.
    pub(super) fn explain(self, error: Error, subject: &str) -> Error {
        let was_refused = matches!(error, Error::NotStored { .. });
        let subject = subject.to_owned();
        match self {
            Self::NoJetStream if was_refused => Error::NotAvailable,
            Self::NoStream if was_refused => Error::NoStream { subject },
            Self::Stream(stream) if was_refused => Error::NoLeader { stream },
            Self::NoStream => Error::Unacknowledged { subject, stream: None },
            Self::Stream(stream) => Error::Unacknowledged { subject, stream: Some(stream) },
            _ => error,
        }
    }
}

impl Api {
    /// Asks why what is published to a subject is not acknowledged.
    pub(super) fn ask_why_unanswered(
        &self,
        subject: &str,
        go_on: impl FnOnce(&mut State, Unanswered) -> Ran + 'static,
    ) {
        if self.port().server_info().is_none() {
            return self.port().defer(move |state| go_on(state, Unanswered::NotConnected));
        }
        let on_names = move |state: &mut State, names: Result<Vec<String>, Error>| {
            let unanswered = match names {
                Ok(mut names) => names.pop().map_or(Unanswered::NoStream, Unanswered::Stream),
                Err(Error::NotAvailable | Error::NotEnabled(_)) => Unanswered::NoJetStream,
                Err(_) => Unanswered::Unknown,
            };
            go_on(state, unanswered)
        };
        self.with_timeout(PATIENCE).stream_names(Some(subject), Box::new(on_names));
    }
}
