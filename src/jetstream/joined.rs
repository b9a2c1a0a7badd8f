//! Texts with a fixed start and an end that changes, such as subjects, put together without an
//! allocation.

use evnats_protocol::{OutgoingMessage, Payload, subject};
use std::cell::{RefCell, RefMut};

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

    /// The subject that ends so, which is to be dropped before there is another one. The end has to be a
    /// valid end of a subject: it is not checked again.
    #[inline(always)]
    pub(crate) fn ending(&self, end: &str) -> WholeSubject<'_> {
        WholeSubject { text: self.text.ending(&[end]), is_valid: self.is_valid }
    }
}

/// A subject that has been put together.
pub(crate) struct WholeSubject<'a> {
    text: RefMut<'a, String>,
    is_valid: bool,
}

impl WholeSubject<'_> {
    /// A message on it.
    #[inline(always)]
    pub(crate) fn message<'m>(&'m self, payload: Payload<'m>) -> OutgoingMessage<'m> {
        let message = OutgoingMessage::new(&self.text, payload);
        if self.is_valid { message.with_known_subject() } else { message }
    }

    pub(crate) fn into_owned(self) -> String {
        self.text.clone()
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
        lend(&self.ending(end))
    }

    /// The text that ends so, which is to be dropped before there is another one.
    #[inline(always)]
    fn ending(&self, end: &[&str]) -> RefMut<'_, String> {
        let mut buffer = self.buffer.borrow_mut();
        buffer.truncate(self.start_len);
        end.iter().for_each(|part| buffer.push_str(part));
        buffer
    }
}
