//! Where messages go that have all the same subject, and reply subjects that differ in their last letters:
//! checked once, with the control line put together.
//!
//! It belongs to who sends them, not to a session: what it was checked against is the grammar, which is the
//! same everywhere. Lengths and sizes are checked every time, by the session.

use super::known_line::KnownLine;
use crate::wire::encode::{self, VERB};
use crate::wire::subject::{self, SubjectError};

/// The subject of messages, and their reply subjects up to the last `N` letters.
#[derive(Debug)]
pub struct KnownRoute<const N: usize> {
    line: KnownLine,
    subjects_len: usize,
}

impl<const N: usize> KnownRoute<N> {
    /// A route to a subject, with replies to subjects that begin so.
    ///
    /// # Errors
    /// One of them is not a literal subject.
    pub fn new(subject: &str, reply_start: &str) -> Result<Self, SubjectError> {
        let reply = format!("{reply_start}{}", "a".repeat(N));
        subject::check_literal(subject)?;
        subject::check_literal(&reply)?;
        let mut line = KnownLine::default();
        line.renew(|out| {
            out.extend_from_slice(VERB);
            encode::route(out, subject.as_bytes(), Some((reply.as_bytes(), b"")));
        });
        Ok(Self { line, subjects_len: subject.len() + reply.len() })
    }

    /// The length of both subjects in bytes.
    #[inline(always)]
    pub(crate) fn subjects_len(&self) -> usize {
        self.subjects_len
    }

    /// The line of a message whose reply subject ends so.
    #[inline(always)]
    pub(crate) fn line(&mut self, reply_end: &[u8; N], payload_len: usize) -> &[u8] {
        self.line.filled(reply_end, payload_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_the_one_that_would_be_put_together(
            subject in "[a-z.*> ]{0,20}",
            reply_start in "[a-z.*> ]{0,20}",
            ends in proptest::collection::vec(any::<[u8; 4]>(), 1..5),
            size in 0..2000_usize,
        ) {
            let route = KnownRoute::new(&subject, &reply_start);
            let are_literal = subject::check_literal(&subject).is_ok()
                && subject::check_literal(&format!("{reply_start}aaaa")).is_ok();
            prop_assert_eq!(route.is_ok(), are_literal);
            let Ok(mut route) = route else { return Ok(()) };
            prop_assert_eq!(route.subjects_len(), subject.len() + reply_start.len() + 4);
            for (at, end) in ends.iter().enumerate() {
                let (mut expected, size) = (Vec::new(), size * at);
                let reply: Option<(&[u8], &[u8])> = Some((reply_start.as_bytes(), end));
                encode::publish_head(&mut expected, subject.as_bytes(), reply, encode::NO_HEADERS, size);
                prop_assert_eq!(route.line(end, size), expected);
            }
        }
    }
}
