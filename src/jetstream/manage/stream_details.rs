//! What the server tells about a stream only if it is asked: its subjects, and what is missing in it.
//!
//! Subjects come in pages, of 100,000 with today's servers; one page is asked for after the other,
//! until there are as many as the server counts or a page has none. The rest of the reply is that of
//! the last page.

use super::paging::Paging;
use super::stream_info::StreamInfo;
use super::streams::OnStream;
use crate::callback::{Callback, State, answer};
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::wire::{is_default, setters};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a request for a stream's information asks for beside the usual:
/// `StreamDetails::new().subjects_filter("orders.>")`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamDetails {
    /// The subjects that match this one and have messages, with their number of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects_filter: Option<String>,
    /// The sequences between the first and the last that have no message.
    #[serde(skip_serializing_if = "is_default")]
    pub deleted_details: bool,
}

impl StreamDetails {
    /// Nothing beside the usual.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

setters!(StreamDetails {
    some_text subjects_filter: String,
    value deleted_details: bool,
});

/// The body of a request for a page.
#[derive(Serialize)]
struct PageRequest<'a> {
    #[serde(flatten)]
    details: &'a StreamDetails,
    #[serde(skip_serializing_if = "is_default")]
    offset: u64,
}

/// Pages on their way.
struct Pages {
    api: Api,
    stream: String,
    details: StreamDetails,
    subjects: BTreeMap<String, u64>,
    paging: Paging,
    answer: OnStream,
}

impl Pages {
    fn next(mut self) {
        let page = PageRequest { details: &self.details, offset: self.paging.offset() };
        let request = ApiRequest::stream_info(&self.stream).and_then(|request| request.with(&page));
        let api = self.api.clone();
        let on_page = move |state: &mut State, page: Result<StreamInfo, Error>| {
            let mut info = match page {
                Ok(info) => info,
                Err(error) => return (self.answer)(state, Err(error)),
            };
            let subjects = std::mem::take(&mut info.state.subjects);
            let first = subjects.keys().next().map(String::as_str);
            let is_last = self.paging.handle_page(subjects.len(), first, info.subjects_total);
            self.subjects.extend(subjects);
            let is_last = match is_last {
                Ok(is_last) => is_last,
                Err(error) => return (self.answer)(state, Err(error)),
            };
            if is_last {
                info.state.subjects = self.subjects;
                return (self.answer)(state, Ok(info));
            }
            self.next();
            Ok(())
        };
        api.read(request, Box::new(on_page));
    }
}

impl Api {
    pub(crate) fn stream_info_with(&self, stream: &str, details: &StreamDetails, answer: OnStream) {
        let pages = Pages {
            api: self.clone(),
            stream: stream.to_owned(),
            details: details.clone(),
            subjects: BTreeMap::new(),
            paging: Paging::default(),
            answer,
        };
        pages.next();
    }
}

impl<S: 'static> JetStream<S> {
    /// Asks for a stream's configuration and state with details that are not told otherwise: see
    /// [`StreamState::subjects`](super::StreamState::subjects) and
    /// [`StreamState::deleted`](super::StreamState::deleted). All of them come, and are kept in
    /// memory. A page that gets no answer, as in an election, is asked for again within the timeout.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    #[doc(alias = "StreamInfo")]
    pub fn stream_info_with(
        &self,
        stream: &str,
        details: &StreamDetails,
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().stream_info_with(stream, details, answer(self, callback));
    }
}
