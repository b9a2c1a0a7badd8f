//! Reading many of a stream's messages from a replica: carries out what [`Pages`] says, with an inbox
//! of its own for each page, so that nothing of an earlier one is taken for a part of it.
//!
//! The state of the pages is never borrowed while a callback runs.

use super::listing::{Feed, Listed, Listing, OnListed, Source, on_listed};
use super::messages_query::{MessagesEnd, MessagesQuery, NEEDS, Pages, Step};
use super::stored_message::StoredMessage;
use crate::callback::{Handler, Ran, State};
use crate::client::{Inbox, Observed, Port};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::name::check_name;
use evnats_protocol::{Message, OutgoingMessage, RequestError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// After so long without a word, it is asked why.
const MAX_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) type OnMessages = OnListed<StoredMessage, MessagesEnd>;

impl<S: 'static> JetStream<S> {
    /// Reads many messages of a stream that has `allow_direct`, from whichever replica answers first
    /// (server 2.11). The callback runs for each of them and once for the end, unless the listing is
    /// [stopped](Listing::stop). Pages are asked for one after the other; after a reconnect it goes on
    /// behind the last message. No message is an end, and no error.
    ///
    /// With more than one replica, what was just stored may be missing, even what the caller has
    /// stored. The [`up_to_sequence`](MessagesEnd::up_to_sequence) at the end tells, for the last
    /// messages of subjects, how fresh they are.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the server is older; [`Error::NotAvailable`]: no such stream, or it
    /// does not allow direct reads; [`Error::Api`] with a code of 413 if too many subjects match, and
    /// 408 for what does not go together; a timeout when nothing has come for the time of a request.
    #[doc(alias = "GetBatch")]
    #[doc(alias = "GetLastMsgsFor")]
    pub fn stored_messages(
        &self,
        stream: &str,
        query: &MessagesQuery,
        callback: impl Handler<S, Listing<S>, Listed<StoredMessage, MessagesEnd>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().stored_messages(stream, query, callback))
    }
}

impl Api {
    pub(crate) fn stored_messages(
        &self,
        stream: &str,
        query: &MessagesQuery,
        callback: OnMessages,
    ) -> Rc<dyn Source> {
        let checked = check_name(stream).and_then(|()| Pages::new(query.clone()));
        let (pages, end) = match checked {
            Ok(pages) if pages.is_over() => (Some(pages), Some(Ok(MessagesEnd::default()))),
            Ok(pages) => (Some(pages), None),
            Err(error) => (None, Some(Err(error))),
        };
        let reading = Reading(Rc::new(Shared {
            api: self.clone(),
            subject: format!("{}.DIRECT.GET.{stream}", self.prefix()),
            pages: RefCell::new(pages),
            feed: Feed::new(callback),
            inbox: Inbox::new(self.port()),
            was_asked_why: Cell::new(false),
        }));
        match end {
            Some(end) => reading.end_later(end),
            None => reading.begin(),
        }
        reading.0
    }
}

/// A reading under way. Clones are the same.
#[derive(Clone)]
struct Reading(Rc<Shared>);

struct Shared {
    api: Api,
    /// Of the requests.
    subject: String,
    /// `None` if the query was refused.
    pages: RefCell<Option<Pages>>,
    feed: Feed<StoredMessage, MessagesEnd>,
    inbox: Inbox,
    was_asked_why: Cell<bool>,
}

impl Source for Shared {
    fn stop(&self) {
        self.feed.close();
        self.inbox.close();
    }

    fn is_active(&self) -> bool {
        self.feed.is_active()
    }
}

impl Reading {
    fn begin(&self) {
        let reading = self.clone();
        self.0.api.with_level(move |told| match told.and_then(|told| NEEDS.check_known(told)) {
            Ok(()) if reading.0.is_active() => reading.start(),
            Ok(()) => {}
            Err(error) => reading.end_later(Err(error)),
        });
    }

    fn start(&self) {
        self.observe();
        self.0.inbox.note_progress();
        match self.ask() {
            Ok(()) => self.watch_over(self.patience()),
            Err(error) => self.end_later(Err(error)),
        }
    }

    /// Asks for the next page, whatever came of the last one.
    fn ask(&self) -> Result<(), Error> {
        let body = match &mut *self.0.pages.borrow_mut() {
            Some(pages) => pages.request()?,
            None => return Ok(()),
        };
        let (inbox, reading) = (self.port().new_inbox(), self.clone());
        self.0.inbox.listen(&inbox, move |state, heard| match heard {
            Ok(message) => reading.receive(state, message),
            Err(reason) => reading.end(state, Err(Error::from_inbox_end(reason))),
        })?;
        let message = OutgoingMessage::new(&self.0.subject, body).reply(&inbox);
        Ok(self.port().publish(message)?)
    }

    fn receive(&self, state: &mut State, message: &Message) -> Ran {
        self.0.inbox.note_progress();
        let step = match &mut *self.0.pages.borrow_mut() {
            Some(pages) => pages.handle_reply(message),
            None => return Ok(()),
        };
        match step {
            Step::Message(message) => self.0.feed.item(state, self.0.clone(), message),
            Step::NextPage => match self.ask() {
                Ok(()) => Ok(()),
                Err(error) => self.end(state, Err(error)),
            },
            Step::Ended(end) => self.end(state, end),
        }
    }

    fn end(&self, state: &mut State, end: Result<MessagesEnd, Error>) -> Ran {
        self.0.inbox.close();
        self.0.feed.end(state, self.0.clone(), end)
    }

    fn end_later(&self, end: Result<MessagesEnd, Error>) {
        let reading = self.clone();
        self.port().defer(move |state| reading.end(state, end));
    }

    fn observe(&self) {
        let reading = self.clone();
        self.0.inbox.observe(move |state, observed| match observed {
            Observed::Connected
            | Observed::Disconnected
            | Observed::Writable
            | Observed::Denied(_) => Ok(()),
            // what was on its way is lost
            Observed::Reconnected => match reading.ask() {
                Ok(()) => Ok(()),
                Err(error) => reading.end(state, Err(error)),
            },
            Observed::Ended => reading.end(state, Err(Error::Closed)),
        });
    }

    /// Ends the reading when nothing has come for the time of a request. Before, it is asked why:
    /// what the server does not permit is told to requests, and this is none.
    fn watch_over(&self, delay: Duration) {
        let reading = self.clone();
        self.0.inbox.look_after(delay, move |state| {
            let silence = reading.0.inbox.silence();
            let (patience, timeout) = (reading.patience(), reading.0.api.timeout());
            if silence >= timeout {
                return reading.end(state, Err(Error::Request(RequestError::Timeout)));
            }
            if silence < patience {
                reading.watch_over(patience - silence);
                return Ok(());
            }
            reading.ask_why();
            reading.watch_over(timeout - silence);
            Ok(())
        });
    }

    fn ask_why(&self) {
        if self.0.was_asked_why.replace(true) {
            return;
        }
        let reading = self.clone();
        let on_reply = move |state: &mut State, reply: Result<&Message, RequestError>| match reply {
            Err(error @ RequestError::Denied(_)) => reading.end(state, Err(Error::Request(error))),
            _ => Ok(()),
        };
        self.0.api.request(OutgoingMessage::new(&self.0.subject, b""), on_reply);
    }

    fn patience(&self) -> Duration {
        MAX_PATIENCE.min(self.0.api.timeout() / 2)
    }

    fn port(&self) -> &Port {
        self.0.api.port()
    }
}
