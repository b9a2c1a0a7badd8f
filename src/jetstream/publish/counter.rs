//! Counters (server 2.12): streams whose subjects are numbers that the server adds to.
//!
//! A message is an increment, and the server stores the new total in its place. Whatever is not
//! certain to be a counter's total is an error, and never a number.

use super::integer::Integer;
use super::one::publish_error;
use super::pub_ack::PubAck;
use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::error_code::ErrorCode;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;
use crate::jetstream::manage::{MessageQuery, ReadFrom, StoredMessage};
use evnats_protocol::{CommandError, HeaderMap, OutgoingMessage, Payload, subject};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::SystemTime;

const COUNTERS: Requirement = Requirement::new(2, "counter_add");

const INCREMENT: &str = "Nats-Incr";
const SOURCES: &str = "Nats-Counter-Sources";

/// A counter, as its stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counter {
    /// Its subject.
    pub subject: String,
    /// The total.
    pub value: Integer,
    /// What was added last.
    pub increment: Integer,
    /// What of the total has come from other streams, if its stream has sources: the name of the
    /// stream, the counter's subject there, and the total that it had.
    pub sources: BTreeMap<String, BTreeMap<String, Integer>>,
    /// The sequence of its last message.
    pub sequence: u64,
    /// When that was stored, by the server's clock.
    pub time: Option<SystemTime>,
}

impl<S: 'static> JetStream<S> {
    /// Adds a number, which may be negative, to the counter on a subject, which begins at zero, and
    /// calls back with its new value (server 2.12). The subject is of a stream with
    /// [`allow_msg_counter`](crate::jetstream::StreamConfig::allow_msg_counter).
    ///
    /// After a timeout and after a disconnect, nobody knows whether it was added:
    /// [`counter_add_once`](Self::counter_add_once) can be repeated then.
    ///
    /// # Errors
    /// [`Error::Api`] with [`MESSAGE_INCR_DISABLED`](ErrorCode::MESSAGE_INCR_DISABLED) if the stream
    /// has no counters, and with [`MESSAGE_COUNTER_BROKEN`](ErrorCode::MESSAGE_COUNTER_BROKEN) if what
    /// is stored there is no number. [`Error::NotStored`] if no stream has the subject.
    /// [`Error::Unsupported`] if the server has no counters, and [`Error::StoredAsOrdinary`] if it
    /// would not tell that.
    pub fn counter_add(
        &self,
        subject: &str,
        by: impl Into<Integer>,
        callback: impl Callback<S, JetStream<S>, Result<Integer, Error>>,
    ) {
        let (headers, answer) = (increment(&by.into()), answer(self, callback));
        let only_value = move |state: &mut State, added: Result<Option<Integer>, Error>| {
            let missing = || Error::Malformed("a counter's acknowledgement without a value".into());
            answer(state, added.and_then(|value| value.ok_or_else(missing)))
        };
        self.api().counter_add(subject, headers, Box::new(only_value));
    }

    /// As [`counter_add`](Self::counter_add), once for each message id within the stream's
    /// `duplicate_window`, so that it can be repeated when its outcome is unknown. `Ok(None)`: it was
    /// added before.
    ///
    /// # Errors
    /// As [`counter_add`](Self::counter_add).
    pub fn counter_add_once(
        &self,
        subject: &str,
        by: impl Into<Integer>,
        message_id: &str,
        callback: impl Callback<S, JetStream<S>, Result<Option<Integer>, Error>>,
    ) {
        let headers = increment(&by.into()).with("Nats-Msg-Id", message_id);
        self.api().counter_add(subject, headers, answer(self, callback));
    }

    /// Reads the counter on a subject. `Ok(None)`: nothing was added to it yet.
    ///
    /// # Errors
    /// [`Error::NotACounter`] if what is stored on the subject is no counter's value.
    /// [`Error::is_not_found`] if there is no such stream; of a direct read, that is
    /// [`Error::NotAvailable`].
    pub fn counter_get(
        &self,
        stream: &str,
        subject: &str,
        from: ReadFrom,
        callback: impl Callback<S, JetStream<S>, Result<Option<Counter>, Error>>,
    ) {
        self.api().counter_get(stream, subject, from, answer(self, callback));
    }
}

impl Api {
    fn counter_add(
        &self,
        subject: &str,
        headers: HeaderMap,
        answer: Answer<Result<Option<Integer>, Error>>,
    ) {
        let (api, subject) = (self.clone(), subject.to_owned());
        self.with_level(move |told| {
            if let Err(error) = COUNTERS.check_told(told) {
                return api.refuse(error, answer);
            }
            let message = OutgoingMessage::new(&subject, Payload::default()).headers(&headers);
            let way = api.clone();
            api.request(message, move |state, outcome| {
                let reply = outcome.map_err(publish_error);
                let ack = reply.and_then(|reply| way.read_ack(reply.payload()));
                answer(state, ack.and_then(new_value))
            });
        });
    }

    fn counter_get(
        &self,
        stream: &str,
        subject: &str,
        from: ReadFrom,
        answer: Answer<Result<Option<Counter>, Error>>,
    ) {
        if let Err(error) = subject::check_literal(subject) {
            return self.refuse(CommandError::from(error).into(), answer);
        }
        let on_read = move |state: &mut State, read: Result<StoredMessage, Error>| {
            let is_nothing = |error: &Error| {
                error.api().is_some_and(|api| api.err_code() == ErrorCode::NO_MESSAGE_FOUND)
            };
            let counter = match read {
                Err(error) if is_nothing(&error) => Ok(None),
                read => read.and_then(|message| counter(&message)).map(Some),
            };
            answer(state, counter)
        };
        let query = MessageQuery::LastBySubject(subject);
        self.stored_message(stream, query, from, Box::new(on_read));
    }
}

fn increment(by: &Integer) -> HeaderMap {
    HeaderMap::new().with(INCREMENT, by.as_str())
}

/// The value that an acknowledgement tells. That of a duplicate tells none.
fn new_value(ack: PubAck) -> Result<Option<Integer>, Error> {
    match ack.value {
        Some(value) => Ok(Some(read_number(&value)?)),
        None if ack.duplicate => Ok(None),
        None => {
            let (stream, sequence) = (ack.stream.to_string(), ack.sequence);
            Err(Error::StoredAsOrdinary { feature: COUNTERS.feature, stream, sequence })
        }
    }
}

/// A stored message as the counter that it has to be: its body is the total, and its header the
/// increment, without which any message could look like one.
fn counter(message: &StoredMessage) -> Result<Counter, Error> {
    #[derive(Deserialize)]
    struct Body {
        val: String,
    }
    let (headers, subject) = (message.headers(), message.subject().into_owned());
    let body = serde_json::from_slice::<Body>(message.payload()).ok();
    let value = body.and_then(|body| body.val.parse().ok());
    let increment = headers.last(INCREMENT).and_then(|increment| increment.parse().ok());
    let (Some(value), Some(increment)) = (value, increment) else {
        return Err(Error::NotACounter { subject, sequence: message.sequence() });
    };
    let sources = headers.last(SOURCES).map_or(Ok(BTreeMap::new()), |text| read_sources(&text))?;
    let (sequence, time) = (message.sequence(), message.time());
    Ok(Counter { subject, value, increment, sources, sequence, time })
}

fn read_sources(text: &str) -> Result<BTreeMap<String, BTreeMap<String, Integer>>, Error> {
    let malformed = |error: serde_json::Error| Error::Malformed(format!("{SOURCES}: {error}"));
    let streams: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(text).map_err(malformed)?;
    let read = |(subject, value): (String, String)| Ok((subject, read_number(&value)?));
    let totals = |(stream, totals): (String, BTreeMap<String, String>)| {
        Ok((stream, totals.into_iter().map(read).collect::<Result<_, Error>>()?))
    };
    streams.into_iter().map(totals).collect()
}

fn read_number(text: &str) -> Result<Integer, Error> {
    text.parse().map_err(|error: Error| Error::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::manage::StoredParts;

    fn read(headers: &str, payload: &str) -> Result<Counter, Error> {
        let headers = format!("NATS/1.0\r\n{headers}\r\n");
        let (headers, payload) = (headers.as_bytes(), payload.as_bytes());
        let parts = StoredParts { sequence: 3, subject: b"c", headers, payload, time: b"" };
        counter(&StoredMessage::copy_of(parts))
    }

    #[test]
    fn what_is_no_counter_is_never_a_number() {
        let not = Error::NotACounter { subject: "c".into(), sequence: 3 };
        for (headers, payload) in [
            ("", r#"{"val":"5"}"#),
            ("Nats-Incr: 1\r\n", ""),
            ("Nats-Incr: 1\r\n", "5"),
            ("Nats-Incr: 1\r\n", r#"{"val":5}"#),
            ("Nats-Incr: 1\r\n", r#"{"val":""}"#),
            ("Nats-Incr: 1\r\n", r#"{"val":"5x"}"#),
            ("Nats-Incr: 1\r\n", r#"{"value":"5"}"#),
            ("Nats-Incr: one\r\n", r#"{"val":"5"}"#),
        ] {
            assert_eq!(read(headers, payload), Err(not.clone()), "{headers} {payload}");
        }
        let counter = read("Nats-Incr: -2\r\n", r#"{"val":"5","new":1}"#).expect("a counter");
        assert_eq!((counter.value, counter.increment), (5.into(), Integer::from(-2)));
    }

    #[test]
    fn the_server_s_sources_are_the_last_ones() {
        let headers = "Nats-Counter-Sources: {}\r\nNats-Incr: 1\r\n\
                       Nats-Counter-Sources: {\"EU\":{\"a\":\"7\"},\"US\":{}}\r\n";
        let sources = read(headers, r#"{"val":"7"}"#).expect("a counter").sources;
        assert_eq!(sources["EU"]["a"], 7.into());
        assert!(sources["US"].is_empty());
        for damaged in ["{", "[]", r#"{"EU":{"a":7}}"#, r#"{"EU":{"a":"x"}}"#] {
            let headers = format!("Nats-Incr: 1\r\nNats-Counter-Sources: {damaged}\r\n");
            let read = read(&headers, r#"{"val":"7"}"#);
            assert!(matches!(read, Err(Error::Malformed(_))), "{damaged}: {read:?}");
        }
    }
}
