//! Streams: created, described, updated and deleted.

use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::api::{Api, ApiReply, ApiRequest};
use crate::jetstream::envelope::parse_response;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::{Requirement, level_in};
use serde_json::json;

impl ApiReply for StreamInfo {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        Ok(parse_response(body)?)
    }

    fn api_level(&self) -> Option<u32> {
        level_in(&self.config.metadata)
    }
}

/// The callback of a request whose reply is a stream's information.
pub(crate) type OnStream = Answer<Result<StreamInfo, Error>>;

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

impl Api {
    pub(crate) fn create_stream(&self, config: &StreamConfig, answer: OnStream) {
        self.put(config, ApiRequest::create_stream(&config.only_known()), answer);
    }

    pub(crate) fn update_stream(&self, config: &StreamConfig, answer: OnStream) {
        self.put(config, ApiRequest::update_stream(config), answer);
    }

    pub(crate) fn create_or_update_stream(&self, config: &StreamConfig, answer: OnStream) {
        let (api, wanted) = (self.clone(), config.clone());
        let on_updated = move |state: &mut State, updated: Result<StreamInfo, Error>| match updated
        {
            Err(error) if error.is_not_found() => {
                api.create_stream(&wanted, answer);
                Ok(())
            }
            updated => answer(state, updated),
        };
        self.update_stream(config, Box::new(on_updated));
    }

    pub(crate) fn seal_stream(&self, stream: &str, answer: OnStream) {
        self.change_stream(stream, None, |config| Ok(config.sealed(true)), answer);
    }

    pub(crate) fn stream_info(&self, stream: &str, answer: OnStream) {
        self.read(ApiRequest::stream_info(stream), answer);
    }

    pub(crate) fn delete_stream(&self, stream: &str, answer: Answer<Result<(), Error>>) {
        self.call(ApiRequest::delete_stream(stream), answer);
    }

    /// Reads a stream's configuration and writes it back with a change, which may need an API level.
    pub(super) fn change_stream(
        &self,
        stream: &str,
        requirement: Option<Requirement>,
        change: impl FnOnce(StreamConfig) -> Result<StreamConfig, Error> + 'static,
        answer: OnStream,
    ) {
        let api = self.clone();
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| {
            let changed = info.and_then(|mut info| {
                info.config.remove_server_metadata();
                change(info.config)
            });
            match changed {
                Ok(config) => {
                    api.call_for(requirement, ApiRequest::update_stream(&config), answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(error)),
            }
        };
        self.stream_info(stream, Box::new(on_info));
    }
}

impl<S: 'static> JetStream<S> {
    /// Creates a stream. One that exists with the same configuration counts as created.
    ///
    /// # Errors
    /// [`Error::Api`] with 10058 if it exists with another configuration
    /// ([`Error::is_stream_name_in_use`]), 10065 if its subjects overlap another stream's, 10052
    /// if the configuration is not possible; [`Error::Unsupported`] if the server's API level is
    /// lower than the [one that it needs](StreamConfig::required_level); [`Error::MadeDifferently`] if
    /// the server has created it otherwise than asked for: then it exists. That is also said of members
    /// that this version does not know, which are left out.
    #[doc(alias = "CreateStream")]
    #[doc(alias = "AddStream")]
    pub fn create_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().create_stream(config, answer(self, callback));
    }

    /// Changes a stream's configuration. All of it is replaced: start from the one that
    /// [`stream_info`](Self::stream_info) returns; what a newer server has set in it is kept.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10052 for a change
    /// that is not possible; [`Error::Unsupported`] and [`Error::MadeDifferently`] as of
    /// [`create_stream`](Self::create_stream), though what this version does not know is sent back.
    #[doc(alias = "UpdateStream")]
    pub fn update_stream(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().update_stream(config, answer(self, callback));
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
        self.api().create_or_update_stream(config, answer(self, callback));
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
        self.api().seal_stream(stream, answer(self, callback));
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
        self.api().stream_info(stream, answer(self, callback));
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
        self.api().delete_stream(stream, answer(self, callback));
    }
}
