//! The control line of a message that was sent, to be used again.
//!
//! Programs often send to one subject again and again, and then checking the subject and putting the
//! line together is most of what sending costs. Only a line that was checked gets here, and what it
//! was checked against, the grammar and the longest line, stays the same for as long as a session
//! lives. What a server allows does not: sizes are checked every time, elsewhere.

use super::known_line::KnownLine;
use crate::wire::encode::{self, VERB};
use crate::wire::texts::is_same;

/// `PUB <subject> [reply] <#total>` with its line end.
#[derive(Debug, Default)]
pub(crate) struct LastHead {
    line: KnownLine,
    subject_len: usize,
    /// The fingerprint of the subject.
    fingerprint: u64,
    /// That of the last message that was offered to be kept.
    offered: u64,
}

impl LastHead {
    /// Whether the message that was kept had this subject.
    #[inline(always)]
    pub(crate) fn is_for(&self, subject: &str) -> bool {
        let known = self.line.bytes().get(VERB.len()..VERB.len() + self.subject_len);
        known.is_some_and(|known| is_same(known, subject.as_bytes()))
    }

    /// The line for another message that differs in its size and in the end of its reply subject at
    /// most.
    #[inline(always)]
    pub(crate) fn line<const N: usize>(&mut self, token: &[u8; N], payload_len: usize) -> &[u8] {
        self.line.filled(token, payload_len)
    }

    /// The fingerprint of the subject.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Keeps the line of a message that was sent, if the one before had the same subject: where each
    /// has another one, keeping them would be in vain.
    #[inline]
    pub(crate) fn keep_if_again(
        &mut self,
        subject: &str,
        reply: Option<(&[u8], &[u8])>,
        fingerprint: u64,
    ) {
        if std::mem::replace(&mut self.offered, fingerprint) == fingerprint {
            self.keep(subject, reply);
            self.fingerprint = fingerprint;
        }
    }

    #[inline(never)]
    fn keep(&mut self, subject: &str, reply: Option<(&[u8], &[u8])>) {
        self.line.renew(|out| {
            out.extend_from_slice(VERB);
            encode::route(out, subject.as_bytes(), reply);
        });
        self.subject_len = subject.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_is_the_one_that_would_be_put_together(
            subject in "[a-z.]{1,60}",
            other in "[a-z.]{1,60}",
            token in any::<[u8; 4]>(),
            has_reply: bool,
            sizes in proptest::collection::vec(0..200_000_usize, 1..5),
        ) {
            let mut head = LastHead::default();
            prop_assert!(!head.is_for(&subject));
            head.keep(&subject, has_reply.then_some((b"_INBOX.x.", b"0000")));
            prop_assert!(head.is_for(&subject));
            prop_assert_eq!(head.is_for(&other), other == subject);
            for size in sizes {
                let mut expected = Vec::new();
                let reply: Option<(&[u8], &[u8])> = has_reply.then_some((b"_INBOX.x.", &token));
                encode::publish_head(&mut expected, subject.as_bytes(), reply, encode::NO_HEADERS, size);
                let line = if has_reply { head.line(&token, size) } else { head.line(&[], size) };
                prop_assert_eq!(line, expected);
            }
        }
    }
}
