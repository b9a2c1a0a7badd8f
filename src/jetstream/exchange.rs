//! Seeing what is asked of the API and what it answers, for debugging.
//!
//! It costs nothing unless it is asked for: then requests are copied, and shown with their answers.

use super::api_error::ApiError;
use super::envelope::{ResponseError, check_response};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::Reply;
use bytes::Bytes;
use evnats_protocol::{HeaderMap, Message, OutgoingMessage, RequestError, printable};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How much of a body `Display` shows.
const SHOWN: usize = 256;

/// A request to JetStream's API and its answer; see
/// [`JetStream::on_api`](super::JetStream::on_api). `Display` shows it in a line, without the end of a
/// long body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiExchange {
    /// The request's subject, with the API's prefix.
    pub subject: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
    /// The answer, which may well be a refusal, or why there is none.
    pub answer: Result<Message, RequestError>,
    /// The time between the call and its answer.
    pub elapsed: Duration,
}

impl ApiExchange {
    /// A request that is about to be sent.
    pub(super) fn begin(message: &OutgoingMessage<'_>) -> Self {
        Self {
            subject: message.subject().to_owned(),
            headers: message.header_map().cloned().unwrap_or_default(),
            body: Bytes::copy_from_slice(message.payload()),
            answer: Err(RequestError::Timeout),
            elapsed: Duration::ZERO,
        }
    }

    /// The same with its answer.
    pub(super) fn answered(self, reply: &Reply<'_>, elapsed: Duration) -> Self {
        let answer = reply.as_ref().map(|message| (*message).clone()).map_err(Clone::clone);
        Self { answer, elapsed, ..self }
    }

    /// The server's refusal, if the answer is one in JSON. A direct read is refused by a status.
    #[must_use]
    pub fn refusal(&self) -> Option<ApiError> {
        match check_response(self.answer.as_ref().ok()?.payload()) {
            Err(ResponseError::Api(error)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ApiExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.subject))?;
        write_body(f, " ", &self.body)?;
        match &self.answer {
            Ok(message) => {
                f.write_str(" ->")?;
                if let Some(status) = message.headers().status() {
                    let text = String::from_utf8_lossy(status.description);
                    write!(f, " {} {}", status.code, printable(&text))?;
                }
                write_body(f, " ", message.payload())?;
            }
            Err(error) => write!(f, " -> {error}")?,
        }
        write!(f, " ({:?})", self.elapsed)
    }
}

fn write_body(f: &mut fmt::Formatter<'_>, before: &str, body: &[u8]) -> fmt::Result {
    if body.is_empty() {
        return Ok(());
    }
    let shown = &body[..body.len().min(SHOWN)];
    write!(f, "{before}{}", printable(&String::from_utf8_lossy(shown)))?;
    match body.len() - shown.len() {
        0 => Ok(()),
        more => write!(f, "... ({more} bytes more)"),
    }
}

type Hook<A> = Box<dyn FnMut(&mut State, &A, &ApiExchange) -> Ran>;

/// Where a client's hook is kept, and shown exchanges over an API of type `A`.
pub(super) struct Exchanges<A> {
    /// There is a hook.
    are_watched: Cell<bool>,
    hook: CallbackSlot<Hook<A>>,
}

impl<A> Default for Exchanges<A> {
    fn default() -> Self {
        Self { are_watched: Cell::new(false), hook: CallbackSlot::default() }
    }
}

/// What a client keeps of it. When the client is over, the hook is dropped, whoever still has a
/// handle.
pub(super) struct ExchangesOfClient<A>(pub(super) Rc<Exchanges<A>>);

impl<A> Default for ExchangesOfClient<A> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<A> Drop for ExchangesOfClient<A> {
    fn drop(&mut self) {
        self.0.are_watched.set(false);
        drop(self.0.hook.take());
    }
}

impl<A> Exchanges<A> {
    #[inline]
    pub(super) fn are_watched(&self) -> bool {
        self.are_watched.get()
    }

    /// Sets the hook. What it has replaced is the user's, and is dropped when nothing is borrowed.
    pub(super) fn watch(&self, hook: Hook<A>) {
        self.are_watched.set(true);
        drop(self.hook.replace(hook));
    }

    pub(super) fn show(&self, state: &mut State, api: &A, exchange: &ApiExchange) -> Ran {
        self.hook.run(|hook| hook(state, api, exchange))
    }
}
