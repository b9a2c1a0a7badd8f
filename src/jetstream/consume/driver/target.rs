//! Which consumer is read, and where requests to it go.

use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::name::check_name;

/// A consumer by name.
pub(in crate::jetstream::consume) struct Target {
    pub(super) stream: String,
    pub(super) consumer: String,
    /// Where it is asked for messages.
    pub(super) pulls: String,
    /// Where the first request goes instead, behind this text.
    pub(super) first: Option<(String, &'static str)>,
}

impl Target {
    pub(in crate::jetstream::consume) fn new(api: &Api, stream: &str, consumer: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            consumer: consumer.to_owned(),
            pulls: format!("{}.CONSUMER.MSG.NEXT.{stream}.{consumer}", api.prefix()),
            first: None,
        }
    }

    /// The same consumer, whose first request goes with the acknowledgement to this subject.
    pub(in crate::jetstream::consume) fn acknowledging(self, subject: &str) -> Self {
        Self { first: Some((subject.to_owned(), "+NXT ")), ..self }
    }

    /// Whether the names can be what they are to be.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_name(&self.stream).and_then(|()| check_name(&self.consumer))
    }
}
