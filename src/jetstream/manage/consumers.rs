//! Consumers: created, asked about and deleted. What they deliver is read elsewhere.

use super::consumer_config::{ConsumerConfig, ConsumerInfo, CreateAction, CreateConsumer};
use crate::callback::{Answer, Callback, answer};
use crate::jetstream::api::{Api, ApiReply, ApiRequest, json_replies};
use crate::jetstream::envelope::parse_response;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::{Requirement, level_in};
use crate::jetstream::name::check_name;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

json_replies!(ConsumerReset);

impl ApiReply for ConsumerInfo {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        Ok(parse_response(body)?)
    }

    fn api_level(&self) -> Option<u32> {
        self.config.as_ref().and_then(|config| level_in(&config.metadata))
    }
}

/// A consumer after a reset (server 2.14).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerReset {
    /// The stream sequence that it delivers from now on.
    #[serde(rename = "reset_seq")]
    pub sequence: u64,
    /// The consumer at the moment of the reply.
    #[serde(flatten)]
    pub info: ConsumerInfo,
}

/// The callback of a request whose reply is a consumer's information.
pub(crate) type OnConsumer = Answer<Result<ConsumerInfo, Error>>;

impl ApiRequest {
    pub(crate) fn create_consumer(stream: &str, config: &ConsumerConfig) -> Result<Self, Error> {
        Self::put_consumer(stream, config, CreateAction::Create)
    }

    pub(crate) fn delete_consumer(stream: &str, consumer: &str) -> Result<Self, Error> {
        Self::consumer("DELETE", stream, consumer)
    }

    fn put_consumer(
        stream: &str,
        config: &ConsumerConfig,
        action: CreateAction,
    ) -> Result<Self, Error> {
        check_name(stream)?;
        check_name(config.name.as_deref().unwrap_or_default())?;
        let request = CreateConsumer { stream_name: stream, config, action };
        Self::new(request.operation()).with(&request)
    }
}

impl Api {
    /// Creates a consumer, under a name that is made up if the configuration has none.
    pub(crate) fn create_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        answer: OnConsumer,
    ) {
        let config = self.named(config);
        self.put_consumer(stream, &config, CreateAction::Create, answer);
    }

    pub(crate) fn update_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        answer: OnConsumer,
    ) {
        let config = named_as_durable(config);
        self.put_consumer(stream, &config, CreateAction::Update, answer);
    }

    pub(crate) fn create_or_update_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        answer: OnConsumer,
    ) {
        let config = self.named(config);
        self.put_consumer(stream, &config, CreateAction::CreateOrUpdate, answer);
    }

    fn put_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        action: CreateAction,
        answer: OnConsumer,
    ) {
        let request = match action {
            CreateAction::Create => ApiRequest::put_consumer(stream, &config.only_known(), action),
            _ => ApiRequest::put_consumer(stream, config, action),
        };
        self.put(config, request, answer);
    }

    pub(crate) fn consumer_info(&self, stream: &str, consumer: &str, answer: OnConsumer) {
        self.read(ApiRequest::consumer("INFO", stream, consumer), answer);
    }

    pub(crate) fn delete_consumer(
        &self,
        stream: &str,
        consumer: &str,
        answer: Answer<Result<(), Error>>,
    ) {
        self.call(ApiRequest::delete_consumer(stream, consumer), answer);
    }

    pub(crate) fn unpin_consumer(
        &self,
        stream: &str,
        consumer: &str,
        group: &str,
        answer: Answer<Result<(), Error>>,
    ) {
        let request = ApiRequest::consumer("UNPIN", stream, consumer);
        let request = request.and_then(|request| request.with(&json!({ "group": group })));
        self.call_with(Requirement::new(1, "unpin_consumer"), request, answer);
    }

    pub(crate) fn reset_consumer(
        &self,
        stream: &str,
        consumer: &str,
        sequence: Option<u64>,
        answer: Answer<Result<ConsumerReset, Error>>,
    ) {
        let request = ApiRequest::consumer("RESET", stream, consumer);
        let request = request.and_then(|request| match sequence {
            Some(sequence) => request.with(&json!({ "seq": sequence })),
            None => Ok(request),
        });
        self.call_with(Requirement::new(4, "reset_consumer"), request, answer);
    }

    /// The configuration with a name: its own, that of a durable consumer, or one that nobody else
    /// has.
    fn named<'a>(&self, config: &'a ConsumerConfig) -> Cow<'a, ConsumerConfig> {
        let mut config = named_as_durable(config);
        if config.name.is_none() {
            let port = self.port();
            config.to_mut().name = Some(format!("{:016x}{:016x}", port.random(), port.random()));
        }
        config
    }
}

fn named_as_durable(config: &ConsumerConfig) -> Cow<'_, ConsumerConfig> {
    match &config.durable_name {
        Some(name) if config.name.is_none() => Cow::Owned(config.clone().name(name.clone())),
        _ => Cow::Borrowed(config),
    }
}

impl<S: 'static> JetStream<S> {
    /// Creates a consumer. One that exists with the same configuration counts as created. A
    /// configuration with neither `name` nor `durable_name` gets a name that nobody else has:
    /// [`ConsumerInfo::name`]. Without a durable name, and without an `inactive_threshold`, none counts
    /// as the same.
    ///
    /// # Errors
    /// [`Error::Api`] with 10148 if it exists with another configuration (server 2.10; before, it
    /// is updated), [`Error::is_not_found`] if there is no such stream; [`Error::Unsupported`] if
    /// the server's API level is lower than the [one that it needs](ConsumerConfig::required_level);
    /// [`Error::MadeDifferently`] if the server has created it otherwise than asked for: then it exists.
    /// That is also said of members that this version does not know, which are left out.
    #[doc(alias = "CreateConsumer")]
    #[doc(alias = "AddConsumer")]
    pub fn create_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerInfo, Error>>,
    ) {
        self.api().create_consumer(stream, config, answer(self, callback));
    }

    /// Changes a consumer's configuration. All of it is replaced.
    ///
    /// # Errors
    /// [`Error::Api`] with 10149 if there is no such consumer (server 2.10; before, it is
    /// created), 10012 for a change that is not possible; [`Error::Unsupported`] and
    /// [`Error::MadeDifferently`] as of [`create_consumer`](Self::create_consumer), though what this
    /// version does not know is sent back.
    #[doc(alias = "UpdateConsumer")]
    pub fn update_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerInfo, Error>>,
    ) {
        self.api().update_consumer(stream, config, answer(self, callback));
    }

    /// Creates a consumer, or changes the configuration of the one that has its name.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream, [`Error::Api`] with 10012 for a change
    /// that is not possible; the others as of [`update_consumer`](Self::update_consumer).
    #[doc(alias = "CreateOrUpdateConsumer")]
    pub fn create_or_update_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerInfo, Error>>,
    ) {
        self.api().create_or_update_consumer(stream, config, answer(self, callback));
    }

    /// Asks for a consumer's configuration and state. Without an answer, as in an election, it is
    /// asked again within the timeout.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream.
    #[doc(alias = "ConsumerInfo")]
    pub fn consumer_info(
        &self,
        stream: &str,
        consumer: &str,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerInfo, Error>>,
    ) {
        self.api().consumer_info(stream, consumer, answer(self, callback));
    }

    /// Deletes a consumer.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream.
    #[doc(alias = "DeleteConsumer")]
    pub fn delete_consumer(
        &self,
        stream: &str,
        consumer: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().delete_consumer(stream, consumer, answer(self, callback));
    }

    /// Takes the pin of a priority group from the client that has it, so that another one gets its
    /// turn (server 2.11). Without a pinned client nothing happens.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream; [`Error::Api`] with 10160 if
    /// it has no such group; [`Error::Unsupported`] if the server is older.
    #[doc(alias = "UnpinConsumer")]
    pub fn unpin_consumer(
        &self,
        stream: &str,
        consumer: &str,
        group: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().unpin_consumer(stream, consumer, group, answer(self, callback));
    }

    /// Sets a consumer back, so that it delivers again from a stream sequence, or, with `None`, from
    /// the first message that is not acknowledged (server 2.14).
    ///
    /// # Errors
    /// [`Error::Api`] with 10204 for a sequence that the deliver policy does not allow;
    /// [`Error::Unsupported`] if the server is older. A timeout if there is no such consumer: then
    /// nobody answers.
    #[doc(alias = "ResetConsumer")]
    pub fn reset_consumer(
        &self,
        stream: &str,
        consumer: &str,
        sequence: Option<u64>,
        callback: impl Callback<S, JetStream<S>, Result<ConsumerReset, Error>>,
    ) {
        self.api().reset_consumer(stream, consumer, sequence, answer(self, callback));
    }
}
