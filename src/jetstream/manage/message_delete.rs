//! Deleting single messages.

use crate::callback::{Answer, Callback, answer};
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::wire::is_default;
use serde::Serialize;

/// The body of the request.
#[derive(Serialize)]
struct DeleteRequest {
    seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    no_erase: bool,
}

impl ApiRequest {
    fn delete_message(stream: &str, seq: u64, no_erase: bool) -> Result<Self, Error> {
        Self::stream("MSG.DELETE", stream)?.with(&DeleteRequest { seq, no_erase })
    }
}

impl Api {
    pub(crate) fn delete_message(
        &self,
        stream: &str,
        sequence: u64,
        answer: Answer<Result<(), Error>>,
    ) {
        self.call(ApiRequest::delete_message(stream, sequence, true), answer);
    }

    pub(crate) fn secure_delete_message(
        &self,
        stream: &str,
        sequence: u64,
        answer: Answer<Result<(), Error>>,
    ) {
        self.call(ApiRequest::delete_message(stream, sequence, false), answer);
    }
}

impl<S: 'static> JetStream<S> {
    /// Deletes a message by its sequence. What it held may stay on disk for a while.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such message or stream; [`Error::Api`] with 10057 if the
    /// stream does not permit deleting, and also for a sequence before the first or behind the last one.
    #[doc(alias = "DeleteMsg")]
    pub fn delete_message(
        &self,
        stream: &str,
        sequence: u64,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().delete_message(stream, sequence, answer(self, callback));
    }

    /// Deletes a message by its sequence, and has the server overwrite what it held. Slower than
    /// [`delete_message`](Self::delete_message).
    ///
    /// # Errors
    /// As [`delete_message`](Self::delete_message).
    #[doc(alias = "SecureDeleteMsg")]
    pub fn secure_delete_message(
        &self,
        stream: &str,
        sequence: u64,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().secure_delete_message(stream, sequence, answer(self, callback));
    }
}
