//! Texts with a fixed start and an end that changes, such as subjects, put together without an
//! allocation.

use evnats_protocol::{OutgoingMessage, Payload, subject};
use std::cell::RefCell;

/// The subject of messages, whose ends are checked by who gives them.
pub(crate) struct JoinedSubject {
    text: JoinedText,
    /// The start is that of a valid subject.
    is_valid: bool,
}

impl JoinedSubject {
    pub(crate) fn new(start: String) -> Self {
        let is_valid = subject::check_literal(&format!("{start}x")).is_ok();
        Self { text: JoinedText::new(start), is_valid }
    }

    /// Lends a message on the subject that ends so. The end has to be a valid end of a subject: it is
    /// not checked again.
    #[inline]
    pub(crate) fn with_message<T>(
        &self,
        end: &str,
        payload: Payload<'_>,
        lend: impl FnOnce(OutgoingMessage<'_>) -> T,
    ) -> T {
        self.text.with(&[end], |subject| {
            let message = OutgoingMessage::new(subject, payload);
            lend(if self.is_valid { message.with_known_subject() } else { message })
        })
    }
}

/// A text's start, and the place where its ends are joined to it.
pub(crate) struct JoinedText {
    /// The start, and behind it what is left of the last end. Only borrowed while a command is given.
    buffer: RefCell<String>,
    start_len: usize,
}

impl JoinedText {
    pub(crate) fn new(start: String) -> Self {
        Self { start_len: start.len(), buffer: RefCell::new(start) }
    }

    /// Lends the text that ends so.
    #[inline]
    pub(crate) fn with<T>(&self, end: &[&str], lend: impl FnOnce(&str) -> T) -> T {
        let mut buffer = self.buffer.borrow_mut();
        buffer.truncate(self.start_len);
        end.iter().for_each(|part| buffer.push_str(part));
        lend(&buffer)
    }
}
