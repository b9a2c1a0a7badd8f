//! The names of streams, all of them or those that store a subject.
//!
//! The server gives them out in pages; one page is asked for after the other, each from where the
//! last one ended, until there are as many names as the server counts or a page is empty.

use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::api::{Api, ApiRequest, json_replies};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::wire::null_as_default;
use serde::{Deserialize, Serialize};

json_replies!(Page);

/// The body of a request for a page.
#[derive(Serialize)]
struct PageRequest<'a> {
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
}

/// A page of names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    total: u64,
    #[serde(deserialize_with = "null_as_default")]
    streams: Vec<String>,
}

/// A listing under way.
struct Names {
    api: Api,
    subject: Option<String>,
    names: Vec<String>,
    answer: Answer<Result<Vec<String>, Error>>,
}

impl Names {
    fn next_page(mut self) {
        let body =
            PageRequest { offset: self.names.len() as u64, subject: self.subject.as_deref() };
        let request = ApiRequest::new("STREAM.NAMES".into()).with(&body);
        let api = self.api.clone();
        api.read(
            request,
            Box::new(move |state: &mut State, page: Result<Page, Error>| {
                let page = match page {
                    Ok(page) => page,
                    Err(error) => return (self.answer)(state, Err(error)),
                };
                let is_last = page.streams.is_empty();
                self.names.extend(page.streams);
                if is_last || self.names.len() as u64 >= page.total {
                    return (self.answer)(state, Ok(self.names));
                }
                self.next_page();
                Ok(())
            }),
        );
    }
}

impl<S: 'static> JetStream<S> {
    /// Lists the names of the account's streams, or, with a subject, of those whose subjects have
    /// something in common with it; it may have wildcards. A page that gets no answer, as in an
    /// election, is asked for again within the timeout.
    ///
    /// # Errors
    /// What JetStream reports. No such stream is an empty list.
    #[doc(alias = "StreamNames")]
    #[doc(alias = "StreamNameBySubject")]
    pub fn stream_names(
        &self,
        subject: Option<&str>,
        callback: impl Callback<S, JetStream<S>, Result<Vec<String>, Error>>,
    ) {
        let names = Names {
            api: self.api().clone(),
            subject: subject.map(str::to_owned),
            names: Vec::new(),
            answer: answer(self, callback),
        };
        names.next_page();
    }
}
