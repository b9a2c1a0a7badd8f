//! Which servers of a cluster keep a stream or a consumer, and which of them leads, changed by hand.

use super::stream_info::StreamInfo;
use super::streams::OnStream;
use crate::callback::{Answer, Callback, answer};
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;
use serde_json::json;

type OnDone = Answer<Result<(), Error>>;

const PREFERRED: Requirement = Requirement::new(1, "preferred");
const EVACUATE_STREAM: Requirement = Requirement::new(5, "evacuate_stream_peer");
const REMOVE_CONSUMER: Requirement = Requirement::new(5, "remove_consumer_peer");
const EVACUATE_CONSUMER: Requirement = Requirement::new(5, "evacuate_consumer_peer");
const CANCEL_MOVE: Requirement = Requirement::new(5, "cancel_stream_move");

impl ApiRequest {
    fn about_peer(self, peer: &str) -> Result<Self, Error> {
        self.with(&json!({ "peer": peer }))
    }
}

impl Api {
    pub(crate) fn step_down_stream(&self, stream: &str, preferred: Option<&str>, answer: OnDone) {
        self.step_down(ApiRequest::stream("LEADER.STEPDOWN", stream), preferred, answer);
    }

    pub(crate) fn step_down_consumer(
        &self,
        stream: &str,
        consumer: &str,
        preferred: Option<&str>,
        answer: OnDone,
    ) {
        let request = ApiRequest::consumer("LEADER.STEPDOWN", stream, consumer);
        self.step_down(request, preferred, answer);
    }

    fn step_down(
        &self,
        request: Result<ApiRequest, Error>,
        preferred: Option<&str>,
        answer: OnDone,
    ) {
        let Some(preferred) = preferred else { return self.call(request, answer) };
        let placement = json!({ "placement": { "preferred": preferred } });
        let request = request.and_then(|request| request.with(&placement));
        self.call_with(PREFERRED, request, answer);
    }

    pub(crate) fn remove_stream_peer(&self, stream: &str, peer: &str, answer: OnDone) {
        let request = ApiRequest::stream("PEER.REMOVE", stream);
        self.call(request.and_then(|request| request.about_peer(peer)), answer);
    }

    pub(crate) fn evacuate_stream_peer(&self, stream: &str, peer: &str, answer: OnDone) {
        let request = ApiRequest::stream("PEER.EVACUATE", stream);
        let request = request.and_then(|request| request.about_peer(peer));
        self.call_with(EVACUATE_STREAM, request, answer);
    }

    pub(crate) fn remove_consumer_peer(
        &self,
        stream: &str,
        consumer: &str,
        peer: &str,
        answer: OnDone,
    ) {
        let request = ApiRequest::consumer("PEER.REMOVE", stream, consumer);
        let request = request.and_then(|request| request.about_peer(peer));
        self.call_with(REMOVE_CONSUMER, request, answer);
    }

    pub(crate) fn evacuate_consumer_peer(
        &self,
        stream: &str,
        consumer: &str,
        peer: &str,
        answer: OnDone,
    ) {
        let request = ApiRequest::consumer("PEER.EVACUATE", stream, consumer);
        let request = request.and_then(|request| request.about_peer(peer));
        self.call_with(EVACUATE_CONSUMER, request, answer);
    }

    pub(crate) fn cancel_stream_move(&self, stream: &str, answer: OnStream) {
        self.call_with(CANCEL_MOVE, ApiRequest::stream("CANCEL_MOVE", stream), answer);
    }
}

impl<S: 'static> JetStream<S> {
    /// Has a stream's leader give up its place, to the server of this name (server 2.11), or to
    /// whichever is elected. It is over before another one leads: see
    /// [`ClusterInfo::leader`](super::ClusterInfo::leader).
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10005 if the preferred
    /// server leads already or does not keep the stream, with 10010 without a cluster;
    /// [`Error::Unsupported`] if a server is preferred and the servers are older.
    #[doc(alias = "LeaderStepdown")]
    pub fn step_down_stream(
        &self,
        stream: &str,
        preferred: Option<&str>,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().step_down_stream(stream, preferred, answer(self, callback));
    }

    /// Has a consumer's leader give up its place, as [`step_down_stream`](Self::step_down_stream).
    ///
    /// # Errors
    /// As of that call.
    pub fn step_down_consumer(
        &self,
        stream: &str,
        consumer: &str,
        preferred: Option<&str>,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().step_down_consumer(stream, consumer, preferred, answer(self, callback));
    }

    /// Has a server, by its name, not keep a stream any more, and another one in its place, at once:
    /// what only this server has is lost. For one that is gone for good.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10040 if the server does
    /// not keep it, with 10075 if no other server can, with 10010 without a cluster.
    #[doc(alias = "RemoveRaftPeer")]
    pub fn remove_stream_peer(
        &self,
        stream: &str,
        peer: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().remove_stream_peer(stream, peer, answer(self, callback));
    }

    /// Has a stream move from a server, by its name, to another one, which first gets everything
    /// (server 2.15). [`ClusterInfo::desired`](super::ClusterInfo::desired) tells how far that is.
    ///
    /// # Errors
    /// Those of [`remove_stream_peer`](Self::remove_stream_peer); [`Error::Api`] with 10226 while
    /// another change is under way; [`Error::Unsupported`] if the server is older.
    pub fn evacuate_stream_peer(
        &self,
        stream: &str,
        peer: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().evacuate_stream_peer(stream, peer, answer(self, callback));
    }

    /// Has a server, by its name, not keep a consumer any more, and another one that keeps the stream
    /// in its place (server 2.15).
    ///
    /// # Errors
    /// Those of [`remove_stream_peer`](Self::remove_stream_peer), and [`Error::Unsupported`] if the
    /// server is older. All servers that keep the stream may keep the consumer: then no other one can.
    pub fn remove_consumer_peer(
        &self,
        stream: &str,
        consumer: &str,
        peer: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().remove_consumer_peer(stream, consumer, peer, answer(self, callback));
    }

    /// Has a consumer move from a server, by its name, to another one that keeps the stream, which
    /// first gets everything (server 2.15).
    ///
    /// # Errors
    /// Those of [`remove_consumer_peer`](Self::remove_consumer_peer).
    pub fn evacuate_consumer_peer(
        &self,
        stream: &str,
        consumer: &str,
        peer: &str,
        callback: impl Callback<S, JetStream<S>, Result<(), Error>>,
    ) {
        self.api().evacuate_consumer_peer(stream, consumer, peer, answer(self, callback));
    }

    /// Has a stream go back to what it was before a change of its servers, of its number of copies or
    /// of its retention that is under way (server 2.15): see
    /// [`Desired::origin`](super::Desired::origin).
    ///
    /// # Errors
    /// [`Error::Api`] with 10129 if no change is under way; [`Error::is_not_found`] if there is no such
    /// stream; [`Error::Unsupported`] if the server is older.
    pub fn cancel_stream_move(
        &self,
        stream: &str,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().cancel_stream_move(stream, answer(self, callback));
    }
}
