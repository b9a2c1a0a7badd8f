//! The encoder: operations in, bytes out, appended to one contiguous buffer.
//!
//! The functions for the hot path take parts and check nothing: the session has checked them.
//! [`ServerOp::encode`] and [`ClientOp::encode`] write any operation, for scripted peers and
//! round-trip tests.

use super::headers::HeaderMap;
use super::info::ConnectInfo;
use super::message::Message;
use super::op::{ClientOp, ServerOp};
use serde::Serialize;

pub(crate) const NO_HEADERS: &HeaderMap = &HeaderMap::new();

/// Writes the control line and the headers of a `PUB` or `HPUB`. The payload and its CRLF follow.
/// `reply` is given in two parts, so that a request need not join its inbox and its token.
#[inline(always)]
pub(crate) fn publish_head(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<(&[u8], &[u8])>,
    headers: &HeaderMap,
    payload_len: usize,
) {
    let header_len = headers.encoded_len();
    match header_len {
        0 => out.extend_from_slice(VERB),
        _ => out.extend_from_slice(b"HPUB "),
    }
    route(out, subject, reply);
    if header_len > 0 {
        number(out, header_len as u64);
        out.push(b' ');
    }
    number(out, (header_len + payload_len) as u64);
    out.extend_from_slice(b"\r\n");
    if header_len > 0 {
        out.extend_from_slice(headers.lines());
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the subjects of a message, each with the blank behind it.
#[inline(always)]
pub(crate) fn route(out: &mut Vec<u8>, subject: &[u8], reply: Option<(&[u8], &[u8])>) {
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some((prefix, token)) = reply {
        out.extend_from_slice(prefix);
        out.extend_from_slice(token);
        out.push(b' ');
    }
}

pub(crate) fn subscribe(out: &mut Vec<u8>, subject: &[u8], queue: Option<&[u8]>, sid: u64) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if let Some(queue) = queue {
        out.extend_from_slice(queue);
        out.push(b' ');
    }
    number(out, sid);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn unsubscribe(out: &mut Vec<u8>, sid: u64, max: Option<u64>) {
    out.extend_from_slice(b"UNSUB ");
    number(out, sid);
    if let Some(max) = max {
        out.push(b' ');
        number(out, max);
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn connect(out: &mut Vec<u8>, info: &ConnectInfo) {
    json_line(out, b"CONNECT ", info);
}

/// Answers a `PING`. A peer that keeps asking and reads no answers gets none beyond a limit.
pub(crate) fn answer_ping(out: &mut Vec<u8>, limit: usize) {
    if out.len() < limit {
        out.extend_from_slice(PONG);
    }
}

/// How the line of a message without headers begins.
pub(crate) const VERB: &[u8] = b"PUB ";
pub(crate) const LINE_END: &[u8] = b"\r\n";
pub(crate) const PING: &[u8] = b"PING\r\n";
pub(crate) const PONG: &[u8] = b"PONG\r\n";

impl ClientOp {
    /// Appends the operation as a client would send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ClientOp::Connect(info) => connect(out, info),
            ClientOp::Publish(message) => {
                let verb = if message.headers().is_empty() { "PUB " } else { "HPUB " };
                whole_message(out, verb, None, message);
            }
            ClientOp::Subscribe { subject, queue, sid } => {
                subscribe(out, subject, queue.as_deref(), *sid);
            }
            ClientOp::Unsubscribe { sid, max } => unsubscribe(out, *sid, *max),
            ClientOp::Ping => out.extend_from_slice(PING),
            ClientOp::Pong => out.extend_from_slice(PONG),
        }
    }
}

impl ServerOp {
    /// Appends the operation as a server would send it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ServerOp::Info(info) => json_line(out, b"INFO ", info),
            ServerOp::Message(message) => {
                let verb = if message.headers().is_empty() { "MSG " } else { "HMSG " };
                whole_message(out, verb, Some(message.sid()), message);
            }
            ServerOp::Ok => out.extend_from_slice(b"+OK\r\n"),
            ServerOp::Error(error) => {
                out.extend_from_slice(b"-ERR '");
                out.extend_from_slice(error.text().as_bytes());
                out.extend_from_slice(b"'\r\n");
            }
            ServerOp::Ping => out.extend_from_slice(PING),
            ServerOp::Pong => out.extend_from_slice(PONG),
        }
    }
}

fn whole_message(out: &mut Vec<u8>, verb: &str, sid: Option<u64>, message: &Message) {
    out.extend_from_slice(verb.as_bytes());
    out.extend_from_slice(message.subject_bytes());
    out.push(b' ');
    if let Some(sid) = sid {
        number(out, sid);
        out.push(b' ');
    }
    if let Some(reply) = message.reply_bytes() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    let headers = message.headers().as_bytes();
    if !headers.is_empty() {
        number(out, headers.len() as u64);
        out.push(b' ');
    }
    number(out, message.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(message.payload());
    out.extend_from_slice(b"\r\n");
}

fn json_line(out: &mut Vec<u8>, verb: &[u8], document: &impl Serialize) {
    out.extend_from_slice(verb);
    // these documents are made of JSON values and have no keys but strings: nothing can fail
    let _ = serde_json::to_writer(&mut *out, document);
    out.extend_from_slice(b"\r\n");
}

#[inline]
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(reply: Option<(&[u8], &[u8])>, headers: &HeaderMap) -> String {
        let mut out = Vec::new();
        publish_head(&mut out, b"a.b", reply, headers, 5);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn publish_lines() {
        let none = HeaderMap::new();
        let some = HeaderMap::new().with("A", "1");
        assert_eq!(head(None, &none), "PUB a.b 5\r\n");
        assert_eq!(head(Some((b"_INBOX.x.", b"1")), &none), "PUB a.b _INBOX.x.1 5\r\n");
        assert_eq!(head(None, &some), "HPUB a.b 18 23\r\nNATS/1.0\r\nA: 1\r\n\r\n");
        assert_eq!(head(Some((b"r", b"")), &some), "HPUB a.b r 18 23\r\nNATS/1.0\r\nA: 1\r\n\r\n");
    }

    #[test]
    fn subscription_lines() {
        let mut out = Vec::new();
        subscribe(&mut out, b"a.>", None, 1);
        subscribe(&mut out, b"a.>", Some(b"q"), 2);
        unsubscribe(&mut out, 1, None);
        unsubscribe(&mut out, 2, Some(9));
        assert_eq!(out, b"SUB a.> 1\r\nSUB a.> q 2\r\nUNSUB 1\r\nUNSUB 2 9\r\n");
    }

    #[test]
    fn connect_always_says_the_three_flags() {
        let mut out = Vec::new();
        connect(&mut out, &ConnectInfo::new());
        let line = String::from_utf8(out).unwrap();
        for flag in ["\"verbose\":false", "\"pedantic\":false", "\"echo\":true"] {
            assert!(line.contains(flag), "{line}");
        }
    }
}
