//! Listing the consumers of a stream.

use super::consumer_config::ConsumerInfo;
use super::lister::{ListEnd, collect};
use super::listing::{Listed, Listing, on_listed};
use crate::callback::{Answer, Callback, Handler, answer};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::name::check_name;

impl<S: 'static> JetStream<S> {
    /// Lists a stream's consumers with what [`consumer_info`](Self::consumer_info) tells of each, as
    /// [`list_streams`](Self::list_streams) lists streams.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    #[doc(alias = "ListConsumers")]
    #[doc(alias = "ConsumersInfo")]
    pub fn list_consumers(
        &self,
        stream: &str,
        callback: impl Handler<S, Listing<S>, Listed<ConsumerInfo, ListEnd>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().list(operation("LIST", stream), None, callback))
    }

    /// As [`list_consumers`](Self::list_consumers), by their names only, which is cheaper. A page that
    /// gets no answer, as in an election, is asked for again within the timeout.
    ///
    /// # Errors
    /// As [`list_consumers`](Self::list_consumers).
    pub fn list_consumer_names(
        &self,
        stream: &str,
        callback: impl Handler<S, Listing<S>, Listed<String, ListEnd>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().list(operation("NAMES", stream), None, callback))
    }

    /// Lists the names of a stream's consumers. A page that gets no answer, as in an election, is asked
    /// for again within the timeout.
    ///
    /// # Errors
    /// As [`list_consumers`](Self::list_consumers).
    #[doc(alias = "ConsumerNames")]
    pub fn consumer_names(
        &self,
        stream: &str,
        callback: impl Callback<S, JetStream<S>, Result<Vec<String>, Error>>,
    ) {
        self.api().consumer_names(stream, answer(self, callback));
    }
}

impl Api {
    pub(crate) fn consumer_names(&self, stream: &str, answer: Answer<Result<Vec<String>, Error>>) {
        self.list(operation("NAMES", stream), None, collect(answer));
    }
}

fn operation(verb: &str, stream: &str) -> Result<String, Error> {
    check_name(stream).map(|()| format!("CONSUMER.{verb}.{stream}"))
}
