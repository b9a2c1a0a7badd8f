//! What is known of objects, as other programs may write it, and who stands between a bucket and its
//! server.

use super::asking::Told;
use super::objects::Objects;
use super::unique;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use evnats::OutgoingMessage;
use evnats::jetstream::{JetStream, PubAck, StreamInfo};
use evnats::object_store::{ObjectInfo, ObjectStore, Unreadable};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

impl Objects {
    /// The subject of an object's metadata.
    pub fn meta_subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.store.bucket(), URL_SAFE.encode(name))
    }

    /// Stores this on a subject, as it is, and returns its sequence.
    #[track_caller]
    pub fn store_raw(&self, subject: &str, payload: impl AsRef<[u8]>) -> u64 {
        let ack: Result<PubAck, _> = self.ask(|done: Told<JetStream<()>, _>| {
            self.nats.jetstream().publish(subject, payload.as_ref(), done);
        });
        ack.expect("stored").sequence
    }

    /// Publishes the metadata of as many objects, `0`, `1`, and so on, and waits until they are stored.
    #[track_caller]
    pub fn fill(&self, count: usize) {
        for number in 0..count {
            let (subject, meta) = (self.meta_subject(&number.to_string()), meta(number));
            while self.nats.publish(&subject, &meta).is_err() {
                self.event_loop.dispatch(&mut (), Some(Duration::from_secs(1))).expect("a turn");
            }
        }
        self.until("what was published", || self.info_of_stream().state.messages >= count as u64);
    }

    #[track_caller]
    pub fn info_of_stream(&self) -> StreamInfo {
        let info = self.ask(|done: Told<JetStream<()>, _>| {
            self.nats.jetstream().stream_info(&self.stream(), done);
        });
        info.expect("the stream")
    }

    /// Turns the loop until so many consumers are left, which takes far less time than a server takes to
    /// give up those that nobody listens to.
    #[track_caller]
    pub fn expect_consumers(&self, expected: u64) {
        let limit = Instant::now() + Duration::from_secs(25);
        loop {
            let count = self.info_of_stream().state.consumer_count;
            if count == expected {
                return;
            }
            assert!(Instant::now() < limit, "{count} consumers, and {expected} expected");
        }
    }

    /// The bucket, as it is seen by way of somebody who may change what the API answers: the reply to
    /// what was sent to this operation.
    pub fn seen_through(&self, change: impl FnMut(&str, &mut Value) + 'static) -> ObjectStore<()> {
        let change = Rc::new(RefCell::new(change));
        let prefix = unique("between");
        let start = prefix.len() + 1;
        let all = format!("{prefix}.>");
        let between = self.nats.subscribe(&all, move |(): &mut (), between, request| {
            let operation = request.subject()[start..].to_owned();
            let subject = format!("$JS.API.{operation}");
            let (asked, change) = (request.clone(), change.clone());
            // names of consumers come with what they filter
            let forwarded = OutgoingMessage::new(&subject, request.payload()).allow_wildcards();
            let limit = Duration::from_secs(30);
            between.client().send_request(forwarded, limit, move |(): &mut (), nats, reply| {
                let Ok(reply) = reply else { return Ok(()) };
                let mut reply: Value = serde_json::from_slice(reply.payload()).expect("JSON");
                (change.borrow_mut())(&operation, &mut reply);
                nats.respond(&asked, reply.to_string())
            });
        });
        between.expect("a subscription");
        self.nats.jetstream().with_prefix(&prefix).object_store(self.store.bucket())
    }
}

/// What is known of an object whose name is a number, as nats.go writes it.
pub fn meta(number: usize) -> String {
    format!(
        r#"{{"name":"{number}","description":"the object of number {number}","bucket":"b","nuid":"CxLWrLFQmSOnCQyBjB{number:04}","size":{number},"mtime":"0001-01-01T00:00:00Z","chunks":1,"digest":"SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="}}"#
    )
}

/// What is no object's metadata.
pub const JUNK: [&[u8]; 7] =
    [b"", b"{", b"[]", b"{}", b"{\"name\":\"\"}", b"\xff\x00", b"{\"name\":\"n\",\"size\":-1}"];

/// What is metadata although it does not look so: it is the object `odd`.
pub const ODD: [&str; 4] = [
    // nats-py deletes so, with "deleted"
    r#"{"name":"odd","bucket":"b","nuid":"x","size":0,"mtime":"","chunks":0}"#,
    r#"{"name":"odd"}"#,
    // nats.js links so
    r#"{"name":"odd","bucket":"b","options":{"link":{"bucket":"c","name":"o"}}}"#,
    r#"{"name":"odd","mtime":7,"headers":null,"options":null,"unknown":[{}]}"#,
];

/// The name and the revision of an object.
pub fn shown(info: &ObjectInfo) -> String {
    let deleted = if info.deleted { " deleted" } else { "" };
    format!("{}@{}{deleted}", info.name, info.revision)
}

pub fn unreadable(bad: &Unreadable) -> String {
    format!("unreadable {}@{}", bad.name.as_deref().unwrap_or(&bad.subject), bad.revision)
}
