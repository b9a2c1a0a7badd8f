//! What a program answers to a delivery, and the way of it to the server.
//!
//! An answer is a publish to the delivery's reply subject, taken verbatim. Answers are written into
//! the connection's buffer, and what a turn has written leaves together. A delivery is answered once;
//! only [`Ack::InProgress`] leaves it open.

use crate::callback::{Ran, State};
use crate::client::{Port, Reply};
use crate::jetstream::error::Error;
use evnats_protocol::{Message, OutgoingMessage, Payload};
use std::time::Duration;

/// How the reply subject of a delivery begins.
const ACK_PREFIX: &[u8] = b"$JS.ACK.";

/// The first server that understands a reason. Older ones take no notice of a termination with one.
const FIRST_WITH_REASON: (u32, u32, u32) = (2, 10, 4);

/// An answer to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack<'a> {
    /// Done.
    Done,
    /// To be delivered again, at once or after a while.
    Again(Option<Duration>),
    /// Still being worked on: the time for the answer begins anew.
    InProgress,
    /// Never to be delivered again, perhaps with a reason.
    Terminate(Option<&'a str>),
}

impl Ack<'_> {
    /// What is published.
    fn payload(self, port: &Port) -> Payload<'static> {
        match self {
            // short for `+ACK`
            Self::Done => Payload::default(),
            Self::Again(None) => b"-NAK".into(),
            Self::Again(Some(delay)) => {
                // as long as the server's number of nanoseconds goes
                let nanos = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
                format!("-NAK {{\"delay\":{nanos}}}").into_bytes().into()
            }
            Self::InProgress => b"+WPI".into(),
            Self::Terminate(Some(reason)) if understands_reasons(port) => {
                format!("+TERM {reason}").into_bytes().into()
            }
            Self::Terminate(_) => b"+TERM".into(),
        }
    }
}

/// Whether the connected server does, which may not be the consumer's: a reason is left out rather
/// than that a termination comes to nothing.
fn understands_reasons(port: &Port) -> bool {
    let version = port.server_info().and_then(|info| info.server_version());
    version.is_some_and(|version| version >= FIRST_WITH_REASON)
}

/// Whether a consumer has delivered the message.
#[inline]
pub(super) fn is_delivery(message: &Message) -> bool {
    message.reply_bytes().is_some_and(|reply| reply.starts_with(ACK_PREFIX))
}

/// The subject to answer a delivery to, if it is one.
pub(super) fn subject(message: &Message) -> Option<&str> {
    let reply = message.reply_bytes().filter(|reply| reply.starts_with(ACK_PREFIX))?;
    std::str::from_utf8(reply).ok()
}

/// Acknowledges a delivery, if nothing speaks against it. Returns whether it did.
#[inline]
pub(super) fn acknowledge(port: &Port, delivery: &Message) -> bool {
    port.answer(delivery, b"")
}

/// Writes an answer.
pub(super) fn send(port: &Port, subject: &str, ack: Ack<'_>) -> Result<(), Error> {
    Ok(port.publish(OutgoingMessage::new(subject, ack.payload(port)))?)
}

/// Asks for a confirmation that the server has read all answers to a consumer's deliveries that were
/// written before, the one to this subject included. It says no more than that there is work on it.
pub(crate) fn fence(
    port: &Port,
    subject: &str,
    timeout: Duration,
    callback: impl FnOnce(&mut State, &Port, Reply<'_>) -> Ran + 'static,
) {
    let message = OutgoingMessage::new(subject, Ack::InProgress.payload(port));
    port.request(message, timeout, callback);
}

/// Writes an acknowledgement that the server confirms. It would confirm every other text, too.
pub(super) fn request(
    port: &Port,
    subject: &str,
    callback: impl FnOnce(&mut State, &Port, Reply<'_>) -> Ran + 'static,
) {
    let message = OutgoingMessage::new(subject, Ack::Done.payload(port));
    port.request(message, port.request_timeout(), callback);
}
