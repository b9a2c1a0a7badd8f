//! Listing the buckets of an account: the streams whose names are buckets' names.

use crate::callback::{Callback, Handler, Ran, State, answer};
use crate::jetstream::{
    self, JetStream, ListEnd, Listed, Listing, ListingSource, StreamInfo, on_listed,
};
use crate::object_store::buckets::status::Status;
use crate::object_store::name::STREAM_PREFIX;
use std::rc::Rc;

impl<S: 'static> JetStream<S> {
    /// Lists the names of the account's buckets of objects.
    ///
    /// # Errors
    /// What JetStream reports. No bucket is an empty list.
    #[doc(alias = "ObjectStoreNames")]
    pub fn object_store_names(
        &self,
        callback: impl Callback<S, JetStream<S>, Result<Vec<String>, jetstream::Error>>,
    ) {
        let answer = answer(self, callback);
        let on_names = move |state: &mut State, names: Result<Vec<String>, jetstream::Error>| {
            let buckets = names.map(|names| names.iter().filter_map(|name| bucket(name)).collect());
            answer(state, buckets)
        };
        self.api().stream_names(None, Box::new(on_names));
    }

    /// Lists the account's buckets of objects with their configuration and contents in numbers, in the
    /// way of [`list_streams`](Self::list_streams). In [`ListEnd::missing`] are names of streams.
    ///
    /// # Errors
    /// As [`list_streams`](Self::list_streams).
    #[doc(alias = "ObjectStores")]
    pub fn list_object_stores(
        &self,
        callback: impl Handler<S, Listing<S>, Listed<Status, ListEnd>>,
    ) -> Listing<S> {
        let mut callback = on_listed(self, callback);
        let on_stream = move |state: &mut State,
                              source: Rc<dyn ListingSource>,
                              listed: Listed<StreamInfo, ListEnd>|
              -> Ran {
            let listed = match listed {
                Listed::Item(info) => match bucket(&info.config.name) {
                    Some(name) => Listed::Item(Status::new(&name.into(), info)),
                    None => return Ok(()),
                },
                Listed::Ended(end) => Listed::Ended(end),
            };
            callback(state, source, listed)
        };
        Listing::new(self, self.api().list_streams(None, Box::new(on_stream)))
    }
}

/// The bucket whose stream has this name.
fn bucket(stream: &str) -> Option<String> {
    stream.strip_prefix(STREAM_PREFIX).map(str::to_owned)
}
