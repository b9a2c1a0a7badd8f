//! The handle of a stream, and the door to it from JetStream.
//!
//! It adds two things to the calls of [`JetStream`] about a stream: the name need not be said, and
//! what the last reply told is kept. All else is theirs.

use super::api::Api;
use super::error::Error;
use super::handle::JetStream;
use super::manage::{
    ConsumerInfo, ListEnd, Listed, Listing, MessageQuery, MessagesEnd, MessagesQuery, OnStream,
    PurgeOptions, ReadFrom, StoredMessage, StreamConfig, StreamDetails, StreamInfo,
};
use super::seen::{Seen, Told};
use crate::callback::{Answer, Callback, Handler, Ran, State, answer};
use crate::client::Client;
use crate::event_loop::timers_on;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::time::SystemTime;

/// A stream. A cheap handle, which may exist before the stream does.
///
/// A handle that was told of its stream notices with the next information, or with the next consumer
/// that it creates or changes, that there is another stream of that name, whose sequences mean
/// something else: [`Error::StreamRecreated`], then and from then on. It begins anew with
/// [`create`](Self::create), [`create_or_update`](Self::create_or_update) and
/// [`delete`](Self::delete); a new handle knows nothing yet. What only names a message or a consumer is
/// not checked, as the server is told no more than these names.
///
/// ```no_run
/// use evnats::{EventLoop, jetstream::{ConsumerConfig, StreamConfig}};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let orders = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().stream("ORDERS");
/// orders.create(&StreamConfig::default().subjects(["orders.>"]), |_, orders, created| {
///     println!("created at {:?}", created?.created);
///     let config = ConsumerConfig::new("worker").durable_name("worker");
///     orders.create_consumer(&config, |_, orders, worker| {
///         println!("{} reads {}", worker?.name(), orders.name());
///         orders.client().drain();
///         Ok(())
///     });
///     Ok(())
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Stream<S: 'static = ()> {
    js: JetStream<S>,
    seen: Rc<Seen<StreamInfo>>,
}

/// A call that takes a stream's configuration.
type Put = fn(&Api, &StreamConfig, OnStream);

impl<S: 'static> JetStream<S> {
    /// A stream, by its name. Nothing is sent: whether it exists shows with the first call, and so
    /// does a name that cannot be one.
    #[must_use]
    #[doc(alias = "Stream")]
    pub fn stream(&self, name: &str) -> Stream<S> {
        Stream { js: self.clone(), seen: Seen::new(name, None) }
    }
}

impl<S: 'static> JetStream<S> {
    /// Finds the stream that stores a subject, which may have wildcards: then it may have more than it
    /// asks for, and of several streams it is the first one by name. `None`: there is none.
    ///
    /// # Errors
    /// What JetStream reports.
    #[doc(alias = "StreamNameBySubject")]
    #[doc(alias = "StreamBySubject")]
    pub fn stream_by_subject(
        &self,
        subject: &str,
        callback: impl Callback<S, JetStream<S>, Result<Option<Stream<S>>, Error>>,
    ) {
        let (js, answer) = (self.clone(), answer(self, callback));
        let on_names = move |state: &mut State, names: Result<Vec<String>, Error>| {
            answer(state, names.map(|names| names.first().map(|name| js.stream(name))))
        };
        self.api().stream_names(Some(subject), Box::new(on_names));
    }
}

impl<S: 'static> Stream<S> {
    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.seen.name()
    }

    /// JetStream, over which the stream is reached.
    #[must_use]
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.js
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.js.client()
    }

    /// What the last call told that was made on this handle or a clone of it, without the details
    /// that [`info_with`](Self::info_with) asks for. `None` before the first, and after
    /// [`delete`](Self::delete). Nothing is sent.
    #[must_use]
    #[doc(alias = "CachedInfo")]
    pub fn cached_info(&self) -> Option<Rc<StreamInfo>> {
        self.seen.told()
    }

    /// Creates the stream, as [`JetStream::create_stream`]. The configuration's name may be empty.
    ///
    /// # Errors
    /// Those of that call, and [`Error::InvalidName`] for another stream's configuration.
    pub fn create(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>,
    ) {
        self.put(Api::create_stream, config, self.seen.beginning(answer(self, callback)));
    }

    /// Changes the stream's configuration, as [`JetStream::update_stream`]: all of it is replaced.
    ///
    /// # Errors
    /// Those of that call, [`Error::InvalidName`] for another stream's configuration, and
    /// [`Error::StreamRecreated`]: another stream was changed.
    pub fn update(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>,
    ) {
        self.put(Api::update_stream, config, self.seen.noting(answer(self, callback)));
    }

    /// Creates the stream or changes its configuration, as [`JetStream::create_or_update_stream`].
    ///
    /// # Errors
    /// Those of that call, and [`Error::InvalidName`] for another stream's configuration.
    pub fn create_or_update(
        &self,
        config: &StreamConfig,
        callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>,
    ) {
        let answer = self.seen.beginning(answer(self, callback));
        self.put(Api::create_or_update_stream, config, answer);
    }

    /// Asks for the stream's configuration and state, as [`JetStream::stream_info`].
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`].
    pub fn info(&self, callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>) {
        self.api().stream_info(self.name(), self.seen.noting(answer(self, callback)));
    }

    /// Asks for the same with details, as [`JetStream::stream_info_with`].
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`].
    pub fn info_with(
        &self,
        details: &StreamDetails,
        callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().stream_info_with(self.name(), details, self.seen.noting(answer(self, callback)));
    }

    /// Seals the stream, as [`JetStream::seal_stream`].
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`].
    pub fn seal(&self, callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>) {
        self.api().seal_stream(self.name(), self.seen.noting(answer(self, callback)));
    }

    /// Has the stream, which is a mirror, become one of its own, as [`JetStream::promote_mirror`]
    /// (server 2.12).
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`].
    pub fn promote_mirror(
        &self,
        subjects: &[&str],
        callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>,
    ) {
        let answer = self.seen.noting(answer(self, callback));
        self.api().promote_mirror(self.name(), subjects, answer);
    }

    /// Deletes the stream with all that it stores.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    pub fn delete(&self, callback: impl Callback<S, Stream<S>, Result<(), Error>>) {
        let answer = self.seen.forgetting(answer(self, callback));
        self.api().delete_stream(self.name(), answer);
    }

    /// Removes messages, as [`JetStream::purge_stream`], and calls back with how many they were.
    ///
    /// # Errors
    /// Those of that call.
    pub fn purge(
        &self,
        options: &PurgeOptions,
        callback: impl Callback<S, Stream<S>, Result<u64, Error>>,
    ) {
        self.api().purge_stream(self.name(), options, answer(self, callback));
    }

    /// Reads a stored message, as [`JetStream::stored_message`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn stored_message(
        &self,
        query: MessageQuery<'_>,
        from: ReadFrom,
        callback: impl Callback<S, Stream<S>, Result<StoredMessage, Error>>,
    ) {
        self.api().stored_message(self.name(), query, from, answer(self, callback));
    }

    /// Reads a stored message without its headers, as
    /// [`JetStream::stored_message_without_headers`] (server 2.12).
    ///
    /// # Errors
    /// Those of that call.
    pub fn stored_message_without_headers(
        &self,
        query: MessageQuery<'_>,
        callback: impl Callback<S, Stream<S>, Result<StoredMessage, Error>>,
    ) {
        let answer = answer(self, callback);
        self.api().stored_message_without_headers(self.name(), query, answer);
    }

    /// Reads many messages from a replica, as [`JetStream::stored_messages`] (server 2.11).
    ///
    /// # Errors
    /// Those of that call.
    pub fn stored_messages(
        &self,
        query: &MessagesQuery,
        callback: impl Handler<S, Listing<S>, Listed<StoredMessage, MessagesEnd>>,
    ) -> Listing<S> {
        self.js.stored_messages(self.name(), query, callback)
    }

    /// Deletes a message by its sequence, as [`JetStream::delete_message`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn delete_message(
        &self,
        sequence: u64,
        callback: impl Callback<S, Stream<S>, Result<(), Error>>,
    ) {
        self.api().delete_message(self.name(), sequence, answer(self, callback));
    }

    /// Deletes a message and has what it held overwritten, as
    /// [`JetStream::secure_delete_message`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn secure_delete_message(
        &self,
        sequence: u64,
        callback: impl Callback<S, Stream<S>, Result<(), Error>>,
    ) {
        self.api().secure_delete_message(self.name(), sequence, answer(self, callback));
    }

    /// Lists the stream's consumers, as [`JetStream::list_consumers`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn list_consumers(
        &self,
        callback: impl Handler<S, Listing<S>, Listed<ConsumerInfo, ListEnd>>,
    ) -> Listing<S> {
        self.js.list_consumers(self.name(), callback)
    }

    /// Lists the names of the stream's consumers one by one, as [`JetStream::list_consumer_names`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn list_consumer_names(
        &self,
        callback: impl Handler<S, Listing<S>, Listed<String, ListEnd>>,
    ) -> Listing<S> {
        self.js.list_consumer_names(self.name(), callback)
    }

    /// Lists the names of the stream's consumers, as [`JetStream::consumer_names`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn consumer_names(
        &self,
        callback: impl Callback<S, Stream<S>, Result<Vec<String>, Error>>,
    ) {
        self.api().consumer_names(self.name(), answer(self, callback));
    }

    /// Has the stream's leader give up its place, as [`JetStream::step_down_stream`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn step_down(
        &self,
        preferred: Option<&str>,
        callback: impl Callback<S, Stream<S>, Result<(), Error>>,
    ) {
        self.api().step_down_stream(self.name(), preferred, answer(self, callback));
    }

    /// Has a server not keep the stream any more, as [`JetStream::remove_stream_peer`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn remove_peer(
        &self,
        peer: &str,
        callback: impl Callback<S, Stream<S>, Result<(), Error>>,
    ) {
        self.api().remove_stream_peer(self.name(), peer, answer(self, callback));
    }

    /// Has the stream move from a server to another one, as [`JetStream::evacuate_stream_peer`]
    /// (server 2.15).
    ///
    /// # Errors
    /// Those of that call.
    pub fn evacuate_peer(
        &self,
        peer: &str,
        callback: impl Callback<S, Stream<S>, Result<(), Error>>,
    ) {
        self.api().evacuate_stream_peer(self.name(), peer, answer(self, callback));
    }

    /// Has the stream go back to what it was before a change that is under way, as
    /// [`JetStream::cancel_stream_move`] (server 2.15).
    ///
    /// # Errors
    /// Those of that call, and [`Error::StreamRecreated`].
    pub fn cancel_move(&self, callback: impl Callback<S, Stream<S>, Result<StreamInfo, Error>>) {
        self.api().cancel_stream_move(self.name(), self.seen.noting(answer(self, callback)));
    }

    /// Answers with what was made of this stream, if it is still the one that the handle was told of.
    pub(super) fn confirm<T: 'static>(
        &self,
        state: &mut State,
        made: T,
        answer: Answer<Result<T, Error>>,
    ) -> Ran {
        if self.cached_info().is_none() {
            return answer(state, Ok(made));
        }
        let on_info = move |state: &mut State, info: Result<StreamInfo, Error>| match info {
            Err(error @ Error::StreamRecreated) => answer(state, Err(error)),
            Err(error) if error.is_not_found() => answer(state, Err(error)),
            // whoever may not ask, or has no answer, has what was made all the same
            _ => answer(state, Ok(made)),
        };
        self.api().stream_info(self.name(), self.seen.noting(Box::new(on_info)));
        Ok(())
    }

    pub(crate) fn api(&self) -> &Api {
        self.js.api()
    }

    /// Sends this stream's configuration.
    fn put(&self, put: Put, config: &StreamConfig, answer: OnStream) {
        match self.own(config) {
            Ok(config) => put(self.api(), &config, answer),
            Err(error) => self.api().refuse(error, answer),
        }
    }

    /// The configuration with the stream's name, if it is not another one's.
    fn own<'a>(&self, config: &'a StreamConfig) -> Result<Cow<'a, StreamConfig>, Error> {
        match config.name.is_empty() {
            true => Ok(Cow::Owned(config.clone().name(self.name()))),
            false => self.seen.check_own(&config.name).map(|()| Cow::Borrowed(config)),
        }
    }
}

impl Told for StreamInfo {
    /// Without what may be large.
    fn to_keep(&self) -> Self {
        let mut kept = self.clone();
        kept.state.subjects.clear();
        kept.state.deleted.clear();
        kept
    }

    fn stream_created(&self) -> Option<SystemTime> {
        self.created
    }
}

timers_on!(Stream, |stream| stream.client().port().event_loop());

impl<S> Clone for Stream<S> {
    fn clone(&self) -> Self {
        Self { js: self.js.clone(), seen: self.seen.clone() }
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("name", &self.seen.name()).finish_non_exhaustive()
    }
}
