//! Subjects: what may be published and subscribed to, and which pattern matches which subject.
//!
//! A subject is a run of tokens divided by dots. The invariant this file keeps for the rest of the
//! crate: whatever passed a check here can be part of a control line without being read as anything
//! but one argument. Servers close the connection without an error on a subject with a space in it,
//! so the check comes before the first byte is written.

use super::words::{Chunk, equal_to, less_than};
use std::fmt;
use thiserror::Error;

/// Why a subject, a reply subject or a queue group was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} in {subject:?}")]
pub struct SubjectError {
    subject: String,
    kind: SubjectErrorKind,
}

/// The rule that a subject broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectErrorKind {
    /// The subject is the empty string.
    Empty,
    /// Two dots in a row, or a dot at the start or the end.
    EmptyToken {
        /// Offset of the empty token in bytes.
        position: usize,
    },
    /// A byte that would end the argument or the line: space, tab, CR, LF, form feed or NUL.
    ForbiddenByte {
        /// The byte.
        byte: u8,
        /// Its offset in bytes.
        position: usize,
    },
    /// A wildcard token where a literal subject is needed.
    Wildcard {
        /// Offset of the wildcard in bytes.
        position: usize,
    },
    /// A `>` token that is not the last one.
    MisplacedTail {
        /// Offset of the `>` in bytes.
        position: usize,
    },
    /// Bytes that are not UTF-8, in a subject that a peer has named.
    NotText {
        /// Offset of the first of them.
        position: usize,
    },
}

impl SubjectError {
    fn new(subject: &str, kind: SubjectErrorKind) -> Self {
        const SHOWN: usize = 256;
        Self { subject: subject.chars().take(SHOWN).collect(), kind }
    }

    /// The rule that was broken, and where.
    #[must_use]
    pub fn kind(&self) -> SubjectErrorKind {
        self.kind
    }

    /// The offending text, cut to 256 characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for SubjectErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "nothing"),
            Self::EmptyToken { position } => write!(f, "empty token at byte {position}"),
            Self::ForbiddenByte { byte, position } => {
                write!(f, "forbidden byte {:?} at byte {position}", char::from(*byte))
            }
            Self::Wildcard { position } => write!(f, "wildcard at byte {position}"),
            Self::MisplacedTail { position } => {
                write!(f, "'>' before the last token, at byte {position}")
            }
            Self::NotText { position } => write!(f, "no UTF-8 at byte {position}"),
        }
    }
}

/// Checks a subject to publish to: literal, no empty token.
///
/// Servers route a published `*` or `>` literally, where it then matches subscriptions that the
/// publisher hardly meant, and silently drop a message whose subject has an empty token; both are
/// errors here.
///
/// # Errors
/// The first rule that it breaks, and where.
#[inline]
pub fn check_literal(subject: &str) -> Result<(), SubjectError> {
    check(subject, Wildcards::Refused)
}

/// Checks a subject to subscribe to: `*` matches one token, `>` all that remain.
///
/// # Errors
/// The first rule that it breaks, and where.
pub fn check_pattern(subject: &str) -> Result<(), SubjectError> {
    check(subject, Wildcards::Allowed)
}

/// Checks a queue group's name: not empty, no white space. Dots have no meaning in it.
///
/// # Errors
/// The first rule that it breaks, and where.
pub fn check_queue_group(name: &str) -> Result<(), SubjectError> {
    if name.is_empty() {
        return Err(SubjectError::new(name, SubjectErrorKind::Empty));
    }
    match name.bytes().position(|byte| CLASS[byte as usize] == Class::Forbidden) {
        Some(position) => Err(forbidden(name, position)),
        None => Ok(()),
    }
}

/// The text of a subject that a peer has named.
///
/// # Errors
/// It is not UTF-8, and so cannot be written here.
pub fn text(subject: &[u8]) -> Result<&str, SubjectError> {
    std::str::from_utf8(subject).map_err(|error| {
        let kind = SubjectErrorKind::NotText { position: error.valid_up_to() };
        SubjectError::new(&String::from_utf8_lossy(subject), kind)
    })
}

/// Whether a subscription to `pattern` receives what is published to `subject`.
///
/// Both are assumed to be valid. `>` needs at least one more token: `a.>` does not match `a`.
#[must_use]
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        let token = tokens.next();
        match wanted {
            ">" => return token.is_some(),
            "*" if token.is_some() => {}
            _ if token == Some(wanted) => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[derive(Clone, Copy, PartialEq)]
enum Wildcards {
    Allowed,
    Refused,
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Ordinary,
    Dot,
    Forbidden,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Ordinary; 256];
    table[b'.' as usize] = Class::Dot;
    let forbidden = [0, b' ', b'\t', b'\r', b'\n', 0x0c];
    let mut i = 0;
    while i < forbidden.len() {
        table[forbidden[i] as usize] = Class::Forbidden;
        i += 1;
    }
    table
};

#[inline(always)]
fn check(subject: &str, wildcards: Wildcards) -> Result<(), SubjectError> {
    let bytes = subject.as_bytes();
    if is_plain(bytes) {
        return Ok(());
    }
    let mut start = 0;
    while let Some(len) = bytes[start..].iter().position(|b| CLASS[*b as usize] != Class::Ordinary)
    {
        let end = start + len;
        if bytes[end] != b'.' {
            return Err(forbidden(subject, end));
        }
        if len < 2 {
            check_short_token(subject, start, end, wildcards)?;
        }
        start = end + 1;
    }
    if bytes.len() - start < 2 {
        check_short_token(subject, start, bytes.len(), wildcards)?;
    }
    Ok(())
}

/// As [`check_literal`] of a text, at a glance, for a subject that a peer has named. `false` says
/// nothing about it.
#[inline(always)]
pub(crate) fn is_plain_text(subject: &[u8]) -> bool {
    subject.is_ascii() && is_plain(subject)
}

/// Whether a subject is valid and literal at a glance, which every publish takes: it has no blank,
/// control character or wildcard, also none that would be in order, and no empty token. A subject
/// of less than eight bytes is not worth a glance.
#[inline(always)]
fn is_plain(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks();
    let Some(last) = bytes.last_chunk() else { return false };
    // as if there were a dot before the first token, and another behind the last one
    let mut doubts = equal_to(u64::from(bytes[bytes.len() - 1]), b'.');
    let mut after_dot = 0x80;
    let mut look = |chunk: &Chunk| {
        let word = u64::from_le_bytes(*chunk);
        let dots = equal_to(word, b'.');
        doubts |= less_than(word, b' ' + 1) | equal_to(word, b'*') | equal_to(word, b'>');
        doubts |= dots & (dots << 8 | after_dot);
        after_dot = dots >> 56;
    };
    chunks.iter().for_each(&mut look);
    if !rest.is_empty() {
        look(last); // overlaps the one before, and so sees the pair that they share
    }
    doubts == 0
}

/// A token of one byte may be a wildcard, and one of none is an error.
#[cold]
fn check_short_token(
    subject: &str,
    start: usize,
    end: usize,
    wildcards: Wildcards,
) -> Result<(), SubjectError> {
    let kind = match subject.as_bytes()[start..end] {
        [] if subject.is_empty() => SubjectErrorKind::Empty,
        [] => SubjectErrorKind::EmptyToken { position: start },
        [b'*' | b'>'] if wildcards == Wildcards::Refused => {
            SubjectErrorKind::Wildcard { position: start }
        }
        [b'>'] if end < subject.len() => SubjectErrorKind::MisplacedTail { position: start },
        _ => return Ok(()),
    };
    Err(SubjectError::new(subject, kind))
}

#[cold]
fn forbidden(subject: &str, position: usize) -> SubjectError {
    let byte = subject.as_bytes()[position];
    SubjectError::new(subject, SubjectErrorKind::ForbiddenByte { byte, position })
}

#[cfg(test)]
mod tests {
    use super::*;
    use SubjectErrorKind::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_glance_and_the_rules_agree(subject in "[ab/.*> \t\u{1}ü]{0,28}|[a/.]{8,28}") {
            let is_literal = |token: &str| !["", "*", ">"].contains(&token);
            let expected = subject.split('.').all(is_literal) && !subject.contains([' ', '\t']);
            prop_assert_eq!(check_literal(&subject).is_ok(), expected);
        }
    }

    #[test]
    fn literal_subjects() {
        for good in ["a", "a.b", "a*b.c>", "$KV.b.k", "ü.日本", "a.**"] {
            assert_eq!(check_literal(good), Ok(()), "{good}");
        }
        let table = [
            ("", Empty),
            ("a..b", EmptyToken { position: 2 }),
            (".a", EmptyToken { position: 0 }),
            ("a.", EmptyToken { position: 2 }),
            ("a b", ForbiddenByte { byte: b' ', position: 1 }),
            ("a\r\nPUB b 0", ForbiddenByte { byte: b'\r', position: 1 }),
            ("a\0", ForbiddenByte { byte: 0, position: 1 }),
            ("orders..eu", EmptyToken { position: 7 }),
            ("12345678.", EmptyToken { position: 9 }),
            ("orders.*.eu", Wildcard { position: 7 }),
            ("orders eu x", ForbiddenByte { byte: b' ', position: 6 }),
            ("a.*", Wildcard { position: 2 }),
            (">", Wildcard { position: 0 }),
        ];
        for (bad, kind) in table {
            assert_eq!(check_literal(bad).unwrap_err().kind(), kind, "{bad:?}");
        }
    }

    #[test]
    fn patterns() {
        for good in ["*", ">", "a.*.b", "a.>", "*.>"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        assert_eq!(check_pattern(">.a").unwrap_err().kind(), MisplacedTail { position: 0 });
        assert_eq!(check_pattern("a.>.b").unwrap_err().kind(), MisplacedTail { position: 2 });
    }

    #[test]
    fn queue_groups() {
        assert_eq!(check_queue_group("workers.eu"), Ok(()));
        assert_eq!(check_queue_group("").unwrap_err().kind(), Empty);
        assert!(check_queue_group("a b").is_err());
    }

    #[test]
    fn matching() {
        let yes = [("a", "a"), ("*", "a"), (">", "a.b"), ("a.*.c", "a.b.c"), ("a.>", "a.b.c")];
        let no = [("a", "b"), ("*", "a.b"), ("a.>", "a"), ("a.*", "a"), ("a.b", "a"), ("a", "a.b")];
        for (pattern, subject) in yes {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in no {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }

    #[test]
    fn errors_name_the_byte() {
        let text = check_literal("a b").unwrap_err().to_string();
        assert_eq!(text, r#"forbidden byte ' ' at byte 1 in "a b""#);
    }
}
