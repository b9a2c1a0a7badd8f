//! What one server tells about a message: decoded, and nothing of it lost.

use super::error::Error;
use crate::jetstream::time::parse_rfc3339;
use crate::jetstream::wire::{Unknown, null_as_default};
use evnats_protocol::Message;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The header in which servers tell each other the way of a message.
pub(super) const HOP: &str = "Nats-Trace-Hop";

/// What a server has done with a message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TraceEvent {
    /// The server.
    #[serde(deserialize_with = "null_as_default")]
    pub server: TraceServer,
    /// The message.
    #[serde(deserialize_with = "null_as_default")]
    pub request: TraceRequest,
    /// To how many other servers it has passed the message on. Each that can trace sends an event of
    /// its own.
    #[serde(deserialize_with = "null_as_default")]
    pub hops: u64,
    /// What it has done with it, step by step.
    #[serde(rename = "events", deserialize_with = "null_as_default")]
    pub steps: Vec<TraceStep>,
}

/// A server that has traced a message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TraceServer {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Its version.
    #[serde(rename = "ver")]
    pub version: String,
    /// Its cluster, if it has one.
    pub cluster: Option<String>,
    /// Its JetStream domain, if it has one.
    pub domain: Option<String>,
    /// Its clock, as RFC 3339.
    pub time: String,
    #[serde(flatten)]
    unknown: Unknown,
}

/// The message, as it has come to the server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TraceRequest {
    /// Its headers, by their names.
    #[serde(rename = "header", deserialize_with = "null_as_default")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The bytes of its headers and its payload.
    #[serde(rename = "msgsize", deserialize_with = "null_as_default")]
    pub size: u64,
}

/// One thing that a server has done.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "BTreeMap<String, Value>")]
#[non_exhaustive]
pub struct TraceStep {
    /// When, by the server's clock. `None` if it did not say it readably.
    pub time: Option<SystemTime>,
    /// What.
    pub kind: TraceKind,
}

/// What a server does with a message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TraceKind {
    /// It has come from a connection (`in`).
    Ingress {
        /// The connection.
        from: TraceConnection,
        /// The account.
        account: String,
        /// The subject.
        subject: String,
        /// Why it goes no further, if it does not.
        error: Option<String>,
    },
    /// It has got another subject by a mapping (`sm`).
    SubjectMapping {
        /// The new subject.
        to: String,
    },
    /// It has passed to another account by the export of a stream (`se`).
    StreamExport {
        /// The other account.
        account: String,
        /// The subject there.
        to: String,
    },
    /// It has passed to another account by the import of a service (`si`).
    ServiceImport {
        /// The other account.
        account: String,
        /// The subject before.
        from: String,
        /// The subject there.
        to: String,
    },
    /// It has come to a stream (`js`).
    JetStream {
        /// The stream.
        stream: String,
        /// The subject that it is stored with.
        subject: Option<String>,
        /// Nobody is interested in it, so it is not stored.
        no_interest: bool,
        /// Why it is not stored, if it is not.
        error: Option<String>,
    },
    /// It was passed to a connection (`eg`).
    Egress {
        /// The connection.
        to: TraceConnection,
        /// The hop of the server at the other end, which its own event [has](TraceEvent::hop), too.
        hop: Option<String>,
        /// The account of the subscription, if it is another.
        account: Option<String>,
        /// The subject of the subscription.
        subscription: Option<String>,
        /// The queue group.
        queue: Option<String>,
        /// Why it is not delivered, if it is not.
        error: Option<String>,
    },
    /// What newer servers do, as they say it.
    Other(BTreeMap<String, Value>),
}

/// A connection that a message comes from or goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceConnection {
    /// What is at its other end.
    pub kind: ConnectionKind,
    /// Its id, on its server.
    pub id: u64,
    /// The name of the client or of the server at the other end.
    pub name: Option<String>,
}

/// What is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionKind {
    /// A client.
    Client,
    /// A server of the same cluster.
    Router,
    /// A server of another cluster.
    Gateway,
    /// The server itself.
    System,
    /// A leaf node.
    Leaf,
    /// JetStream.
    JetStream,
    /// An account of the server itself.
    Account,
    /// Another, by the number that servers give it.
    Other(u64),
}

impl TraceEvent {
    /// Decodes a message that has come to the destination of a trace.
    ///
    /// # Errors
    /// [`Error::Malformed`]: it is none.
    pub fn parse(message: &Message) -> Result<Self, Error> {
        let event = serde_json::from_slice::<Self>(message.payload());
        let event = event.map_err(|error| Error::Malformed(error.to_string()))?;
        match event.server.id.is_empty() && event.steps.is_empty() {
            true => Err(Error::Malformed("it names no server and no step".into())),
            false => Ok(event),
        }
    }

    /// The way that the message has come to this server: `1`, or `1.2` for the second hop from there.
    /// `None` for the server that the message was published to.
    #[must_use]
    pub fn hop(&self) -> Option<&str> {
        self.request.headers.get(HOP)?.first().map(String::as_str)
    }
}

impl From<BTreeMap<String, Value>> for TraceStep {
    fn from(step: BTreeMap<String, Value>) -> Self {
        let text = |name: &str| step.get(name).and_then(Value::as_str).map(String::from);
        let named = |name: &str| text(name).unwrap_or_default();
        let number = |name: &str| step.get(name).and_then(Value::as_u64).unwrap_or_default();
        let connection = || {
            let kind = ConnectionKind::from(number("kind"));
            TraceConnection { kind, id: number("cid"), name: text("name") }
        };
        let time = text("ts").and_then(|time| parse_rfc3339(&time).ok()?);
        let kind = match step.get("type").and_then(Value::as_str) {
            Some("in") => TraceKind::Ingress {
                from: connection(),
                account: named("acc"),
                subject: named("subj"),
                error: text("error"),
            },
            Some("sm") => TraceKind::SubjectMapping { to: named("to") },
            Some("se") => TraceKind::StreamExport { account: named("acc"), to: named("to") },
            Some("si") => TraceKind::ServiceImport {
                account: named("acc"),
                from: named("from"),
                to: named("to"),
            },
            Some("js") => TraceKind::JetStream {
                stream: named("stream"),
                subject: text("subject"),
                no_interest: step.get("nointerest").and_then(Value::as_bool).unwrap_or_default(),
                error: text("error"),
            },
            Some("eg") => TraceKind::Egress {
                to: connection(),
                hop: text("hop"),
                account: text("acc"),
                subscription: text("sub"),
                queue: text("queue"),
                error: text("error"),
            },
            _ => TraceKind::Other(step),
        };
        Self { time, kind }
    }
}

impl From<u64> for ConnectionKind {
    fn from(number: u64) -> Self {
        match number {
            0 => Self::Client,
            1 => Self::Router,
            2 => Self::Gateway,
            3 => Self::System,
            4 => Self::Leaf,
            5 => Self::JetStream,
            6 => Self::Account,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TraceEvent, Error> {
        TraceEvent::parse(&Message::new("t", 1, None, None, text.as_bytes()))
    }

    #[test]
    fn every_kind_of_a_step_is_decoded_and_an_unknown_one_is_kept() {
        let event = parse(
            r#"{"server":{"name":"a","host":"h","id":"N","ver":"2.15.1","cluster":"c","flags":7},
            "request":{"header":{"Nats-Trace-Hop":["1.2"],"X":["1","2"]},"msgsize":41},"hops":2,
            "events":[
            {"type":"in","ts":"2026-11-26T06:33:39.5Z","kind":1,"cid":5,"name":"b","acc":"A","subj":"s"},
            {"type":"sm","ts":"","to":"m"},
            {"type":"se","acc":"B","to":"e"},
            {"type":"si","acc":"C","from":"f","to":"t"},
            {"type":"js","stream":"S","nointerest":true,"error":"no"},
            {"type":"eg","kind":9,"cid":7,"hop":"1.2.1","sub":"s.>","queue":"q","error":"x","new":1},
            {"type":"new","a":[1]}]}"#,
        )
        .expect("an event");
        assert_eq!((event.hop(), event.hops, event.request.size), (Some("1.2"), 2, 41));
        assert_eq!(event.request.headers["X"], ["1", "2"]);
        assert_eq!((&*event.server.name, event.server.cluster.as_deref()), ("a", Some("c")));
        let first = &event.steps[0];
        let since = first.time.expect("a time").duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.expect("after it").subsec_millis(), 500);
        let kinds: Vec<_> = event.steps.iter().map(|step| format!("{:?}", step.kind)).collect();
        let expected = [
            r#"Ingress { from: TraceConnection { kind: Router, id: 5, name: Some("b") }, account: "A", subject: "s", error: None }"#,
            r#"SubjectMapping { to: "m" }"#,
            r#"StreamExport { account: "B", to: "e" }"#,
            r#"ServiceImport { account: "C", from: "f", to: "t" }"#,
            r#"JetStream { stream: "S", subject: None, no_interest: true, error: Some("no") }"#,
            r#"Egress { to: TraceConnection { kind: Other(9), id: 7, name: None }, hop: Some("1.2.1"), account: None, subscription: Some("s.>"), queue: Some("q"), error: Some("x") }"#,
            r#"Other({"a": Array [Number(1)], "type": String("new")})"#,
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn null_and_nonsense_are_no_trouble() {
        let event = parse(r#"{"server":{"id":"N"},"request":null,"hops":null,"events":null}"#);
        assert!(event.expect("an event").steps.is_empty());
        for text in ["", "hello", "[]", "{}", r#"{"events":[1]}"#, r#"{"hops":-1}"#] {
            assert!(matches!(parse(text), Err(Error::Malformed(_))), "{text}");
        }
    }
}
