//! The second look at commands that were taken before the server had introduced itself.
//!
//! Its limits were not known then. What breaks them would make it close the connection, so it is
//! taken out, and its sender is told. Requests that have timed out meanwhile are taken out too:
//! nobody waits for what they would set in motion.

use super::Session;
use super::command_error::CommandError;
use super::event::Event;
use crate::tables::requests::Request;
use crate::wire::message::Message;
use crate::wire::op::ClientOp;

impl<S, R, F> Session<S, R, F> {
    /// Goes through the commands that were taken before the server introduced itself, and takes
    /// out what it would close the connection for, and requests that have timed out.
    pub(super) fn recheck_outgoing(&mut self) {
        self.filter_outgoing(|session, op| match op {
            ClientOp::Publish(message) => session.recheck(message),
            _ => true,
        });
    }

    /// Whether a message may still be sent; reports its outcome if not.
    fn recheck(&mut self, message: &Message) -> bool {
        let token = self.token(message);
        let (size, limit) = (message.len(), self.max_payload());
        let error = if size > limit {
            CommandError::PayloadTooLarge { size, limit }
        } else if !message.headers().is_empty() && !self.peer.info.headers {
            CommandError::HeadersUnsupported
        } else {
            return !self.is_ghost(message);
        };
        match token.map(|token| self.requests.take(token)) {
            Some(Some(Request { context, .. })) => self.fail_request(context, error.into()),
            Some(None) => {}
            None => {
                let subject = message.subject().into_owned();
                self.events.push_back(Event::PublishFailed { subject, error });
            }
        }
        false
    }
}
