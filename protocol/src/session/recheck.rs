//! The second look at commands that were taken before the server had introduced itself.
//!
//! Its limits were not known then. What breaks them would make it close the connection, so it is
//! taken out, and its sender is told. Requests that have timed out meanwhile are taken out too:
//! nobody waits for what they would set in motion.

use super::Session;
use crate::decode::{Decoder, Limits};
use crate::error::CommandError;
use crate::events::{Event, RequestError};
use crate::op::{ClientOp, Message};
use crate::requests::Request;

impl<S, R, F> Session<S, R, F> {
    /// Goes through the commands that were taken before the server introduced itself, and takes
    /// out what it would close the connection for, and requests that have timed out.
    pub(super) fn recheck_outgoing(&mut self) {
        // the configured limits are for what the server sends
        let mut decoder: Decoder<ClientOp> =
            Decoder::new(Limits { max_message: usize::MAX, max_line: usize::MAX });
        self.outgoing.chunks().for_each(|chunk| decoder.feed(chunk));
        self.outgoing.clear();
        self.requests.forget_positions();
        // these are the session's own bytes, so they decode
        while let Ok(Some(op)) = decoder.next_op() {
            if let ClientOp::Publish(message) = &op
                && !self.recheck(message)
            {
                continue;
            }
            op.encode(self.outgoing.buffer());
        }
    }

    /// Whether a message may still be sent; reports its outcome if not.
    fn recheck(&mut self, message: &Message) -> bool {
        let reply = message.reply_bytes().unwrap_or_default();
        let token = reply.strip_prefix(self.inbox.as_bytes());
        let is_ghost = token.is_some_and(|token| !self.requests.contains(token));
        let (size, limit) = (message.len(), self.max_payload());
        let error = if size > limit {
            CommandError::PayloadTooLarge { size, limit }
        } else if !message.headers().is_empty() && !self.info.headers {
            CommandError::HeadersUnsupported
        } else {
            return !is_ghost;
        };
        match token.map(|token| self.requests.take(token)) {
            Some(Some(Request { context, .. })) => {
                let outcome = Err(RequestError::Command(error));
                self.events.push_back(Event::Reply { context, outcome });
            }
            Some(None) => {}
            None => {
                let subject = message.subject().into_owned();
                self.events.push_back(Event::PublishFailed { subject, error });
            }
        }
        false
    }
}
