//! Listing streams: all of an account, or those that store a subject.

use super::lister::{ListEnd, collect};
use super::listing::{Listed, Listing, OnListed, Source, on_listed};
use super::stream_info::StreamInfo;
use crate::callback::{Answer, Callback, Handler, answer};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use std::rc::Rc;

impl<S: 'static> JetStream<S> {
    /// Lists the account's streams with what [`stream_info`](Self::stream_info) tells of each, or,
    /// with a subject, those whose subjects have something in common with it; it may have wildcards.
    ///
    /// The callback runs for each stream and once for the end, unless the listing is
    /// [stopped](Listing::stop). Pages are asked for one after the other. A stream that is created or
    /// deleted meanwhile may have another one come twice or not at all.
    ///
    /// In a cluster, the server that answers waits up to 4 s for those that know the streams, and tells
    /// at the end of which it has [heard nothing](ListEnd::missing): the timeout has to be longer.
    ///
    /// # Errors
    /// What JetStream reports; a timeout in an election. No such stream is an empty list.
    #[doc(alias = "ListStreams")]
    #[doc(alias = "StreamsInfo")]
    pub fn list_streams(
        &self,
        subject: Option<&str>,
        callback: impl Handler<S, Listing<S>, Listed<StreamInfo, ListEnd>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().list_streams(subject, callback))
    }

    /// As [`list_streams`](Self::list_streams), by their names only, which is cheaper. A page that gets
    /// no answer, as in an election, is asked for again within the timeout.
    ///
    /// # Errors
    /// What JetStream reports. No such stream is an empty list.
    pub fn list_stream_names(
        &self,
        subject: Option<&str>,
        callback: impl Handler<S, Listing<S>, Listed<String, ListEnd>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().list(Ok(NAMES.into()), subject, callback))
    }

    /// Lists the names of the account's streams, or, with a subject, of those whose subjects have
    /// something in common with it; it may have wildcards. A page that gets no answer, as in an
    /// election, is asked for again within the timeout.
    ///
    /// # Errors
    /// What JetStream reports. No such stream is an empty list.
    #[doc(alias = "StreamNames")]
    pub fn stream_names(
        &self,
        subject: Option<&str>,
        callback: impl Callback<S, JetStream<S>, Result<Vec<String>, Error>>,
    ) {
        self.api().stream_names(subject, answer(self, callback));
    }
}

const NAMES: &str = "STREAM.NAMES";

impl Api {
    pub(crate) fn list_streams(
        &self,
        subject: Option<&str>,
        callback: OnListed<StreamInfo, ListEnd>,
    ) -> Rc<dyn Source> {
        self.list(Ok("STREAM.LIST".into()), subject, callback)
    }

    pub(crate) fn stream_names(
        &self,
        subject: Option<&str>,
        answer: Answer<Result<Vec<String>, Error>>,
    ) {
        self.list(Ok(NAMES.into()), subject, collect(answer));
    }
}
