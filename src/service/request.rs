//! A request to a service, and its answers.

use super::error_reply;
use super::event::ServiceEvent;
use super::open::OpenRequest;
use super::tally::Tally;
use super::telling::Telling;
use crate::client::Port;
use crate::error::Result;
use evnats_protocol::{
    CommandError, HeaderMap, Headers, Message, OutgoingMessage, Payload, subject,
};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// A request to a service. A cheap handle: it may be kept, and answered later, from anywhere on the loop.
///
/// What a peer, the server or an outage can cause is no error of an answer, so that `?` on it ends no
/// handler because of one of its callers: an answer that cannot be sent is counted as an error of the
/// endpoint, and reported as [`ServiceEvent::AnswerFailed`]. A request without a reply subject wants no
/// answer: nothing is sent then, and that is no error either.
#[derive(Clone)]
pub struct ServiceRequest {
    asked: Rc<Asked>,
}

struct Asked {
    message: Message,
    port: Port,
    tally: Rc<Tally>,
    telling: Rc<Telling>,
    is_answered: Cell<bool>,
    _open: OpenRequest,
}

impl ServiceRequest {
    pub(super) fn new(
        message: Message,
        port: &Port,
        tally: &Rc<Tally>,
        telling: &Rc<Telling>,
        open: OpenRequest,
    ) -> Self {
        let asked = Asked {
            message,
            port: port.clone(),
            tally: tally.clone(),
            telling: telling.clone(),
            is_answered: Cell::new(false),
            _open: open,
        };
        Self { asked: Rc::new(asked) }
    }

    /// The request as it has come.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.asked.message
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.message().payload()
    }

    /// The payload as text. What is not UTF-8 is shown with replacement characters.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.message().text()
    }

    /// The headers. Empty if there are none.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.message().headers()
    }

    /// The subject, which is of interest if that of the endpoint has wildcards.
    #[must_use]
    pub fn subject(&self) -> Cow<'_, str> {
        self.message().subject()
    }

    /// The subject to which answers go, if any is wanted.
    #[must_use]
    pub fn reply(&self) -> Option<Cow<'_, str>> {
        self.message().reply()
    }

    /// Answers. A request may have several answers, for callers that
    /// [expect so](crate::Client::request_many); all others take the first.
    ///
    /// # Errors
    /// None today; the result is for what only the caller can be blamed for.
    #[doc(alias = "Respond")]
    pub fn respond<'a>(&self, payload: impl Into<Payload<'a>>) -> Result<()> {
        self.respond_with_headers(&HeaderMap::new(), payload)
    }

    /// As [`respond`](Self::respond), with headers.
    ///
    /// # Errors
    /// A header that cannot be sent.
    pub fn respond_with_headers<'a>(
        &self,
        headers: &HeaderMap,
        payload: impl Into<Payload<'a>>,
    ) -> Result<()> {
        match self.send(headers, payload.into()) {
            Err(error @ CommandError::Header(_)) => Err(error.into()),
            sent => {
                self.note(sent);
                Ok(())
            }
        }
    }

    /// Answers that it went wrong: with a code, for which those of HTTP are customary, a description for
    /// people, and whatever else callers are to know. A description is sent in one line of at most 1024
    /// bytes. It counts as an error of the endpoint. Callers read it with
    /// [`check_reply`](super::check_reply).
    ///
    /// # Errors
    /// None today; the result is for what only the caller can be blamed for.
    #[doc(alias = "Error")]
    #[doc(alias = "respond_error")]
    pub fn error<'a>(
        &self,
        code: u32,
        description: &str,
        payload: impl Into<Payload<'a>>,
    ) -> Result<()> {
        self.asked.tally.note_error(format!("{code}:{description}"));
        self.note(self.send(&error_reply::headers(code, description), payload.into()));
        Ok(())
    }

    /// The handler has failed. Whoever has an answer already is not told.
    pub(super) fn fail(&self, description: &str) {
        let asked = &self.asked;
        asked.tally.note_error(format!("{INTERNAL_ERROR}:{description}"));
        if !asked.is_answered.get() {
            self.note(self.send(&error_reply::headers(INTERNAL_ERROR, description), "".into()));
        }
    }

    fn send(&self, headers: &HeaderMap, payload: Payload<'_>) -> Result<(), CommandError> {
        let Some(reply) = self.message().reply_bytes() else { return Ok(()) };
        let reply = subject::text(reply).map_err(CommandError::ReplySubject)?;
        self.asked.port.publish(OutgoingMessage::new(reply, payload).headers(headers))?;
        self.asked.is_answered.set(true);
        Ok(())
    }

    /// An answer was sent, or could not be.
    fn note(&self, sent: Result<(), CommandError>) {
        let Err(error) = sent else { return };
        let (asked, text) = (&self.asked, error.to_string());
        if matches!(error, CommandError::PayloadTooLarge { .. }) {
            // the caller would wait for nothing; that this fails too is told already
            let _ = self.send(&error_reply::headers(INTERNAL_ERROR, &text), "".into());
        }
        asked.tally.note_error(text);
        let subject = self.subject().into_owned();
        asked.telling.tell(ServiceEvent::AnswerFailed { subject, error });
    }
}

/// The code of an error that is the service's own.
const INTERNAL_ERROR: u32 = 500;

impl fmt::Debug for ServiceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRequest")
            .field("message", self.message())
            .field("is_answered", &self.asked.is_answered.get())
            .finish_non_exhaustive()
    }
}
