//! A message to be, and what is owed to somebody once it is stored.

use super::headers::EXPECTED_SEQUENCE;
use crate::mongo::changes::Ack;
use bytes::Bytes;
use evnats_protocol::HeaderMap;

pub(super) struct Draft {
    /// The message's id, by which it is found in the stream.
    pub(super) id: String,
    /// The text of the change's token.
    pub(super) token: Option<String>,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
    /// How large the change was when it came.
    pub(super) bytes: usize,
    pub(super) owed: Owed,
}

pub(super) enum Owed {
    /// Nothing any more.
    Nothing,
    /// The change is done.
    Change(Ack),
    /// Something else goes on.
    Then(Box<dyn FnOnce()>),
}

impl Draft {
    /// Its headers, for the place behind this sequence only.
    pub(super) fn headers_expecting(&self, sequence: u64) -> HeaderMap {
        self.headers.clone().with(EXPECTED_SEQUENCE, sequence.to_string())
    }

    /// About as much as it has in the connection's buffer.
    pub(super) fn len(&self) -> usize {
        self.subject.len() + self.headers.encoded_len() + self.payload.len()
    }

    /// It is stored.
    pub(super) fn settle(&mut self) {
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Nothing => {}
            Owed::Change(ack) => ack.ok(),
            Owed::Then(go_on) => go_on(),
        }
    }
}
