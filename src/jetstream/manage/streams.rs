//! Streams: created, described, updated and deleted.

use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use crate::callback::{Callback, State, answer};
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
    /// if the configuration is not possible; [`Error::Unsupported`] if the server's API level is
    /// lower than the [one that it needs](StreamConfig::required_level).
    #[doc(alias = "CreateStream")]
    #[doc(alias = "AddStream")]
    pub fn create_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        let request = ApiRequest::create_stream(config);
        self.put(config.required_level(), request, callback);
    }

    /// Changes a stream's configuration. All of it is replaced: start from the one that
    /// [`stream_info`](Self::stream_info) returns; what a newer server has set in it is kept.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10052 for a change
    /// that is not possible; [`Error::Unsupported`] as of [`create_stream`](Self::create_stream).
    #[doc(alias = "UpdateStream")]
    pub fn update_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        let request = ApiRequest::update_stream(config);
        self.put(config.required_level(), request, callback);
    }

    /// Creates a stream, or changes the configuration of the one that has its name: as
    /// [`update_stream`](Self::update_stream), and if there is none, as
    /// [`create_stream`](Self::create_stream).
    ///
    /// # Errors
    /// Those of the two. If somebody else creates it between them with another configuration, it is
    /// [`Error::is_stream_name_in_use`].
    #[doc(alias = "CreateOrUpdateStream")]
    pub fn create_or_update_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        let (api, answer) = (self.api().clone(), answer(self, callback));
        let requirement = config.required_level();
        let create = ApiRequest::create_stream(config);
        let on_updated = move |state: &mut State, updated: Result<StreamInfo, Error>| match updated
        {
            Err(error) if error.is_not_found() => {
                api.put(requirement, create, answer);
                Ok(())
            }
            updated => answer(state, updated),
        };
        let update = ApiRequest::update_stream(config);
        self.api().put(requirement, update, Box::new(on_updated));
    }

    /// Seals a stream: it can only be read from now on, for good, and its messages do not expire any
    /// more.
    ///
    /// It is done by reading the configuration and writing it back. A change by somebody else that
    /// comes between the two is undone.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; what JetStream reports.
    #[doc(alias = "SealStream")]
    pub fn seal_stream(
        &self,
        stream: &str,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        let (api, answer) = (self.api().clone(), answer(self, callback));
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| match info {
            Ok(mut info) => {
                info.config.remove_server_metadata();
                api.call(ApiRequest::update_stream(&info.config.sealed(true)), answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.api().read(ApiRequest::stream_info(stream), Box::new(on_info));
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
