//! Pausing a consumer (server 2.11).

use crate::callback::{Answer, Callback, answer};
use crate::jetstream::api::{Api, ApiRequest, json_replies};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;
use crate::jetstream::time::{nanos, rfc3339};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

json_replies!(ConsumerPause);

const NEEDS: Requirement = Requirement::new(1, "pause_consumer");

/// Whether a consumer is paused, and for how long (2.11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerPause {
    /// Whether it is.
    pub paused: bool,
    /// Until when. After it was resumed, a time that is over, or none.
    #[serde(rename = "pause_until", with = "rfc3339")]
    pub until: Option<SystemTime>,
    /// For how much longer, by the server's clock.
    #[serde(rename = "pause_remaining", with = "nanos")]
    pub remaining: Option<Duration>,
}

/// The body of the request. Without a time, it resumes.
#[derive(Serialize)]
struct PauseRequest {
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pause_until: Option<SystemTime>,
}

impl ApiRequest {
    fn pause_consumer(
        stream: &str,
        consumer: &str,
        pause_until: Option<SystemTime>,
    ) -> Result<Self, Error> {
        Self::consumer("PAUSE", stream, consumer)?.with(&PauseRequest { pause_until })
    }
}

impl Api {
    pub(crate) fn pause_consumer(
        &self,
        stream: &str,
        consumer: &str,
        until: SystemTime,
        answer: Answer<Result<ConsumerPause, Error>>,
    ) {
        let request = ApiRequest::pause_consumer(stream, consumer, Some(until));
        self.call_with(NEEDS, request, answer);
    }

    pub(crate) fn resume_consumer(
        &self,
        stream: &str,
        consumer: &str,
        answer: Answer<Result<ConsumerPause, Error>>,
    ) {
        self.call_with(NEEDS, ApiRequest::pause_consumer(stream, consumer, None), answer);
    }
}

impl<S: 'static> JetStream<S> {
    /// Has a consumer deliver nothing until a time by the server's clock (server 2.11). It goes on
    /// sending heartbeats. A time that is over resumes it.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream; [`Error::Unencodable`] for a
    /// time after the year 9999; [`Error::Unsupported`] if the server is older.
    #[doc(alias = "PauseConsumer")]
    pub fn pause_consumer(
        &self,
        stream: &str,
        consumer: &str,
        until: SystemTime,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerPause, Error>>,
    ) {
        self.api().pause_consumer(stream, consumer, until, answer(self, callback));
    }

    /// Has a paused consumer go on (server 2.11). One that is not paused is left as it is.
    ///
    /// # Errors
    /// As [`pause_consumer`](Self::pause_consumer).
    #[doc(alias = "ResumeConsumer")]
    pub fn resume_consumer(
        &self,
        stream: &str,
        consumer: &str,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerPause, Error>>,
    ) {
        self.api().resume_consumer(stream, consumer, answer(self, callback));
    }
}
