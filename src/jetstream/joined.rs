//! Texts with a fixed start and an end that changes, such as subjects, put together without an
//! allocation.

use std::cell::RefCell;

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
