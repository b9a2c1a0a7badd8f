//! Consumers: created, asked about and deleted. What they deliver is read elsewhere.

use super::JetStream;
use super::consumer_config::{ConsumerConfig, ConsumerInfo, CreateAction, CreateConsumer};
use super::error::Error;
use super::streams::{Success, check_name};

impl<S: 'static> JetStream<S> {
    /// Creates a consumer. One that exists with the same configuration counts as created. The
    /// configuration must have a `name`, and for a durable consumer the same `durable_name`.
    ///
    /// # Errors
    /// [`Error::Api`] with 10148 if it exists with another configuration (server 2.10; before, it
    /// is updated), [`Error::is_not_found`] if there is no such stream.
    pub fn create_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<ConsumerInfo, Error>) + 'static,
    ) {
        self.put_consumer(stream, config, CreateAction::Create, callback);
    }

    /// Changes a consumer's configuration. All of it is replaced.
    ///
    /// # Errors
    /// [`Error::Api`] with 10149 if there is no such consumer (server 2.10; before, it is
    /// created), 10012 for a change that is not possible.
    pub fn update_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<ConsumerInfo, Error>) + 'static,
    ) {
        self.put_consumer(stream, config, CreateAction::Update, callback);
    }

    /// Asks for a consumer's configuration and state.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream.
    pub fn consumer_info(
        &self,
        stream: &str,
        consumer: &str,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<ConsumerInfo, Error>) + 'static,
    ) {
        if let Err(error) = check_name(stream).and_then(|()| check_name(consumer)) {
            return self.defer(move |state, js| callback(state, js, Err(error)));
        }
        self.api(&format!("CONSUMER.INFO.{stream}.{consumer}"), b"", callback);
    }

    /// Deletes a consumer.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream.
    pub fn delete_consumer(
        &self,
        stream: &str,
        consumer: &str,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<(), Error>) + 'static,
    ) {
        if let Err(error) = check_name(stream).and_then(|()| check_name(consumer)) {
            return self.defer(move |state, js| callback(state, js, Err(error)));
        }
        let operation = format!("CONSUMER.DELETE.{stream}.{consumer}");
        self.api(&operation, b"", |state, js, result| {
            callback(state, js, result.map(|Success {}| ()));
        });
    }

    fn put_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
        action: CreateAction,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<ConsumerInfo, Error>) + 'static,
    ) {
        let name = config.name.as_deref().unwrap_or_default();
        if let Err(error) = check_name(stream).and_then(|()| check_name(name)) {
            return self.defer(move |state, js| callback(state, js, Err(error)));
        }
        let request = CreateConsumer { stream_name: stream, config, action };
        self.api_with(&request.operation(), &request, callback);
    }
}
