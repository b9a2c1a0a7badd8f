//! Removing messages from a stream.

use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::api::{Api, ApiRequest, json_replies};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::wire::setters;
use serde::{Deserialize, Serialize};

json_replies!(Purged);

/// Which messages a purge removes: `PurgeOptions::new().subject("orders.old.>").keep(10)`.
///
/// Without options, all. A message goes if every option lets it go; [`before`](Self::before) and
/// [`keep`](Self::keep) exclude each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurgeOptions {
    /// Only what matches this subject, which may have wildcards.
    #[serde(rename = "filter", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Only what has a lower sequence than this one.
    #[serde(rename = "seq", skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// All but this many of the newest messages: of those that match the subject, or of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u64>,
}

impl PurgeOptions {
    /// Everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(PurgeOptions {
    some_text subject: String,
    some before: u64,
    some keep: u64,
});

/// The reply to a purge.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Purged {
    purged: u64,
}

impl ApiRequest {
    fn purge_stream(stream: &str, options: &PurgeOptions) -> Result<Self, Error> {
        Self::stream("PURGE", stream)?.with(options)
    }
}

impl Api {
    pub(crate) fn purge_stream(
        &self,
        stream: &str,
        options: &PurgeOptions,
        answer: Answer<Result<u64, Error>>,
    ) {
        let on_purged = move |state: &mut State, reply: Result<Purged, Error>| {
            answer(state, reply.map(|reply| reply.purged))
        };
        self.call(ApiRequest::purge_stream(stream, options), Box::new(on_purged));
    }
}

impl<S: 'static> JetStream<S> {
    /// Removes messages from a stream, and calls back with how many they were. Sequences go on as if
    /// nothing had happened.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10110 if it does not
    /// permit purging or is sealed, with 10003 for both [`before`](PurgeOptions::before) and
    /// [`keep`](PurgeOptions::keep).
    #[doc(alias = "PurgeStream")]
    pub fn purge_stream(
        &self,
        stream: &str,
        options: &PurgeOptions,
        callback: impl Callback<S, JetStream<S>, Result<u64, Error>>,
    ) {
        self.api().purge_stream(stream, options, answer(self, callback));
    }
}
