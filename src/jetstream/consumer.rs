//! The handle of a consumer, and the door to it from its stream.
//!
//! As with the handle of a stream: the names need not be said, what the last reply told is kept, and
//! all else is done by the calls of [`JetStream`](super::JetStream).

use super::api::Api;
use super::consume::pins::Pins;
use super::error::Error;
use super::manage::{ConsumerConfig, ConsumerInfo, ConsumerPause, ConsumerReset, OnConsumer};
use super::seen::{Seen, Told};
use super::stream::Stream;
use crate::callback::{Callback, State, answer};
use crate::client::Client;
use crate::event_loop::timers_on;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::time::SystemTime;

/// A consumer of a stream. A cheap handle, which may exist before the consumer does.
pub struct Consumer<S: 'static = ()> {
    stream: Stream<S>,
    seen: Rc<Seen<ConsumerInfo>>,
    pins: Rc<Pins>,
}

/// A call that takes a consumer's configuration.
type Put = fn(&Api, &str, &ConsumerConfig, OnConsumer);

impl<S: 'static> Stream<S> {
    /// A consumer of the stream, by its name. Nothing is sent: whether it exists shows with the first
    /// call, and so does a name that cannot be one.
    #[must_use]
    #[doc(alias = "Consumer")]
    pub fn consumer(&self, name: &str) -> Consumer<S> {
        self.handle_of(name, None)
    }

    /// Creates a consumer, as [`JetStream::create_consumer`](super::JetStream::create_consumer), and
    /// calls back with its handle. If the configuration has no name, the handle knows the one that was
    /// made up. What the server told is its [`cached_info`](Consumer::cached_info).
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`]: it was created in another stream.
    pub fn create_consumer(
        &self,
        config: &ConsumerConfig,
        callback: impl Callback<S, Stream<S>, Result<Consumer<S>, Error>>,
    ) {
        self.put_consumer(Api::create_consumer, config, callback);
    }

    /// Changes a consumer's configuration, as
    /// [`JetStream::update_consumer`](super::JetStream::update_consumer), and calls back with its
    /// handle.
    ///
    /// # Errors
    /// As of [`create_consumer`](Self::create_consumer).
    pub fn update_consumer(
        &self,
        config: &ConsumerConfig,
        callback: impl Callback<S, Stream<S>, Result<Consumer<S>, Error>>,
    ) {
        self.put_consumer(Api::update_consumer, config, callback);
    }

    /// Creates a consumer or changes its configuration, as
    /// [`JetStream::create_or_update_consumer`](super::JetStream::create_or_update_consumer), and
    /// calls back with its handle.
    ///
    /// # Errors
    /// As of [`create_consumer`](Self::create_consumer).
    pub fn create_or_update_consumer(
        &self,
        config: &ConsumerConfig,
        callback: impl Callback<S, Stream<S>, Result<Consumer<S>, Error>>,
    ) {
        self.put_consumer(Api::create_or_update_consumer, config, callback);
    }

    fn put_consumer(
        &self,
        put: Put,
        config: &ConsumerConfig,
        callback: impl Callback<S, Stream<S>, Result<Consumer<S>, Error>>,
    ) {
        let (stream, answer) = (self.clone(), answer(self, callback));
        let on_put = move |state: &mut State, made: Result<ConsumerInfo, Error>| {
            let info = match made {
                Ok(info) => info,
                Err(error) => return answer(state, Err(error)),
            };
            let consumer = stream.handle_of(&info.name.clone(), Some(info));
            stream.confirm(state, consumer, answer)
        };
        put(self.api(), self.name(), config, Box::new(on_put));
    }

    fn handle_of(&self, name: &str, info: Option<ConsumerInfo>) -> Consumer<S> {
        Consumer { stream: self.clone(), seen: Seen::new(name, info), pins: Rc::default() }
    }
}

impl<S: 'static> Consumer<S> {
    /// The consumer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.seen.name()
    }

    /// The stream that it reads.
    #[must_use]
    pub fn stream(&self) -> &Stream<S> {
        &self.stream
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.stream.client()
    }

    /// What the last call told that was made on this handle or a clone of it. `None` before the first,
    /// and after [`delete`](Self::delete). Nothing is sent.
    #[must_use]
    pub fn cached_info(&self) -> Option<Rc<ConsumerInfo>> {
        self.seen.told()
    }

    /// Asks for the consumer's configuration and state, as
    /// [`JetStream::consumer_info`](super::JetStream::consumer_info).
    ///
    /// # Errors
    /// Those of that call.
    pub fn info(&self, callback: impl Callback<S, Consumer<S>, Result<ConsumerInfo, Error>>) {
        let answer = self.seen.noting(answer(self, callback));
        self.api().consumer_info(self.stream.name(), self.name(), answer);
    }

    /// Changes the consumer's configuration, as
    /// [`JetStream::update_consumer`](super::JetStream::update_consumer): all of it is replaced. The
    /// configuration need not have a name.
    ///
    /// # Errors
    /// Those of that call, and [`Error::InvalidName`] for another consumer's configuration.
    pub fn update(
        &self,
        config: &ConsumerConfig,
        callback: impl Callback<S, Consumer<S>, Result<ConsumerInfo, Error>>,
    ) {
        let answer = answer(self, callback);
        match self.own(config) {
            Ok(config) => {
                let answer = self.seen.noting(answer);
                self.api().update_consumer(self.stream.name(), &config, answer);
            }
            Err(error) => self.api().refuse(error, answer),
        }
    }

    /// Deletes the consumer.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such consumer or stream.
    pub fn delete(&self, callback: impl Callback<S, Consumer<S>, Result<(), Error>>) {
        let answer = self.seen.forgetting(answer(self, callback));
        self.api().delete_consumer(self.stream.name(), self.name(), answer);
    }

    /// Has the consumer deliver nothing until a time by the server's clock, as
    /// [`JetStream::pause_consumer`](super::JetStream::pause_consumer) (server 2.11).
    ///
    /// # Errors
    /// Those of that call.
    pub fn pause(
        &self,
        until: SystemTime,
        callback: impl Callback<S, Consumer<S>, Result<ConsumerPause, Error>>,
    ) {
        let answer = answer(self, callback);
        self.api().pause_consumer(self.stream.name(), self.name(), until, answer);
    }

    /// Has the consumer go on if it is paused, as
    /// [`JetStream::resume_consumer`](super::JetStream::resume_consumer) (server 2.11).
    ///
    /// # Errors
    /// Those of that call.
    pub fn resume(&self, callback: impl Callback<S, Consumer<S>, Result<ConsumerPause, Error>>) {
        self.api().resume_consumer(self.stream.name(), self.name(), answer(self, callback));
    }

    /// Takes the pin of a priority group from the client that has it, as
    /// [`JetStream::unpin_consumer`](super::JetStream::unpin_consumer) (server 2.11).
    ///
    /// # Errors
    /// Those of that call.
    pub fn unpin(&self, group: &str, callback: impl Callback<S, Consumer<S>, Result<(), Error>>) {
        self.api().unpin_consumer(self.stream.name(), self.name(), group, answer(self, callback));
    }

    /// Sets the consumer back, as [`JetStream::reset_consumer`](super::JetStream::reset_consumer)
    /// (server 2.14).
    ///
    /// # Errors
    /// Those of that call.
    pub fn reset(
        &self,
        sequence: Option<u64>,
        callback: impl Callback<S, Consumer<S>, Result<ConsumerReset, Error>>,
    ) {
        let (seen, answer) = (self.seen.clone(), answer(self, callback));
        let on_reset = move |state: &mut State, reset: Result<ConsumerReset, Error>| {
            let reset = reset.and_then(|reset| seen.note(&reset.info).map(|()| reset));
            answer(state, reset)
        };
        let on_reset = Box::new(on_reset);
        self.api().reset_consumer(self.stream.name(), self.name(), sequence, on_reset);
    }

    /// Has the consumer's leader give up its place, as
    /// [`JetStream::step_down_consumer`](super::JetStream::step_down_consumer).
    ///
    /// # Errors
    /// Those of that call.
    pub fn step_down(
        &self,
        preferred: Option<&str>,
        callback: impl Callback<S, Consumer<S>, Result<(), Error>>,
    ) {
        let answer = answer(self, callback);
        self.api().step_down_consumer(self.stream.name(), self.name(), preferred, answer);
    }

    /// Has a server not keep the consumer any more, as
    /// [`JetStream::remove_consumer_peer`](super::JetStream::remove_consumer_peer) (server 2.15).
    ///
    /// # Errors
    /// Those of that call.
    pub fn remove_peer(
        &self,
        peer: &str,
        callback: impl Callback<S, Consumer<S>, Result<(), Error>>,
    ) {
        let answer = answer(self, callback);
        self.api().remove_consumer_peer(self.stream.name(), self.name(), peer, answer);
    }

    /// Has the consumer move from a server to another one, as
    /// [`JetStream::evacuate_consumer_peer`](super::JetStream::evacuate_consumer_peer) (server 2.15).
    ///
    /// # Errors
    /// Those of that call.
    pub fn evacuate_peer(
        &self,
        peer: &str,
        callback: impl Callback<S, Consumer<S>, Result<(), Error>>,
    ) {
        let answer = answer(self, callback);
        self.api().evacuate_consumer_peer(self.stream.name(), self.name(), peer, answer);
    }

    pub(super) fn pins(&self) -> &Rc<Pins> {
        &self.pins
    }

    pub(super) fn api(&self) -> &Api {
        self.stream.api()
    }

    /// The configuration with the consumer's name, if it is not another one's.
    fn own<'a>(&self, config: &'a ConsumerConfig) -> Result<Cow<'a, ConsumerConfig>, Error> {
        match config.name.as_deref().or(config.durable_name.as_deref()) {
            None => Ok(Cow::Owned(config.clone().name(self.name()))),
            Some(name) => self.seen.check_own(name).map(|()| Cow::Borrowed(config)),
        }
    }
}

impl Told for ConsumerInfo {}

timers_on!(Consumer, |consumer| consumer.client().port().event_loop());

impl<S> Clone for Consumer<S> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), seen: self.seen.clone(), pins: self.pins.clone() }
    }
}

impl<S> fmt::Debug for Consumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.seen.name())
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
