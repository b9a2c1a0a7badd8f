//! Streams: created, described, updated and deleted.

use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use crate::callback::Callback;
use crate::jetstream::api::{ApiRequest, json_replies};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use serde_json::json;

json_replies!(StreamInfo);

impl ApiRequest {
    pub(crate) fn create_stream(config: &StreamConfig) -> Result<Self, Error> {
        Self::stream("CREATE", &config.name)?.with(config)
    }

    pub(crate) fn update_stream(config: &StreamConfig) -> Result<Self, Error> {
        Self::stream("UPDATE", &config.name)?.with(config)
    }

    pub(crate) fn stream_info(stream: &str) -> Result<Self, Error> {
        Self::stream("INFO", stream)
    }

    /// Asks for the subjects that messages are stored of, one page of them.
    pub(crate) fn stream_subjects(stream: &str, filter: &str, offset: u64) -> Result<Self, Error> {
        Self::stream("INFO", stream)?.with(&json!({ "subjects_filter": filter, "offset": offset }))
    }

    pub(crate) fn delete_stream(stream: &str) -> Result<Self, Error> {
        Self::stream("DELETE", stream)
    }
}

impl<S: 'static> JetStream<S> {
    /// Creates a stream. One that exists with the same configuration counts as created.
    ///
    /// # Errors
    /// [`Error::Api`] with 10058 if it exists with another configuration
    /// ([`Error::is_stream_name_in_use`]), 10065 if its subjects overlap another stream's, 10052
    /// if the configuration is not possible.
    #[doc(alias = "CreateStream")]
    #[doc(alias = "AddStream")]
    pub fn create_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.call(ApiRequest::create_stream(config), callback);
    }

    /// Changes a stream's configuration. All of it is replaced: start from the one that
    /// [`stream_info`](Self::stream_info) returns; what a newer server has set in it is kept.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10052 for a change
    /// that is not possible.
    #[doc(alias = "UpdateStream")]
    pub fn update_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.call(ApiRequest::update_stream(config), callback);
    }

    /// Asks for a stream's configuration and state. Without an answer, as in an election, it is asked
    /// again within the timeout.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    #[doc(alias = "StreamInfo")]
    pub fn stream_info(
        &self,
        stream: &str,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.read(ApiRequest::stream_info(stream), callback);
    }

    /// Deletes a stream with all that it stores.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    #[doc(alias = "DeleteStream")]
    pub fn delete_stream(
        &self,
        stream: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.call(ApiRequest::delete_stream(stream), callback);
    }
}
