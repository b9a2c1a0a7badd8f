//! A message to send, put together before it is checked and encoded.
//!
//! It checks nothing itself: the command that sends it does.

use crate::wire::headers::HeaderMap;
use crate::wire::payload::Payload;

/// A message to send: `OutgoingMessage::new("greet", "hello").headers(&headers)`.
#[derive(Debug, Clone)]
pub struct OutgoingMessage<'a> {
    pub(super) subject: &'a str,
    /// In two parts, the second of which is empty if the reply subject was given as one.
    pub(super) reply: Option<(&'a str, &'a [u8])>,
    /// The reply subject is known to be a literal one.
    pub(super) is_reply_known: bool,
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) payload: Payload<'a>,
    pub(super) subject_rule: SubjectRule,
}

/// What a message's subject has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubjectRule {
    /// A literal one.
    Literal,
    /// A literal one or a pattern.
    Pattern,
    /// It is known to be a literal one.
    Known,
}

impl<'a> OutgoingMessage<'a> {
    /// A message without a reply subject and without headers. The subject must be literal.
    #[inline]
    #[must_use]
    pub fn new(subject: &'a str, payload: impl Into<Payload<'a>>) -> Self {
        let payload = payload.into();
        Self {
            subject,
            reply: None,
            is_reply_known: false,
            headers: None,
            payload,
            subject_rule: SubjectRule::Literal,
        }
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.subject
    }

    /// The headers, if there are any.
    #[must_use]
    pub fn header_map(&self) -> Option<&'a HeaderMap> {
        self.headers
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether there are no headers, and the subject is a literal one once it has been checked.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.headers.is_none() && self.subject_rule == SubjectRule::Literal
    }

    /// Whether there are no headers, and nothing about the subject is to be checked but its length.
    #[inline]
    pub(super) fn is_known_and_plain(&self) -> bool {
        self.headers.is_none() && self.subject_rule == SubjectRule::Known
    }

    /// Sets the subject to which receivers send their answers. Requests ignore it: they have an
    /// inbox.
    #[must_use]
    pub fn reply(mut self, reply: &'a str) -> Self {
        self.reply = Some((reply, b""));
        self
    }

    /// Sets the reply subject, in two parts, so that an inbox and a token need not be joined. It is left
    /// unchecked, as [`with_known_subject`] does with the subject.
    ///
    /// [`with_known_subject`]: Self::with_known_subject
    #[must_use]
    #[inline]
    pub fn with_known_reply(mut self, start: &'a str, end: &'a [u8]) -> Self {
        self.reply = Some((start, end));
        self.is_reply_known = true;
        self
    }

    /// Sets the headers.
    #[must_use]
    #[inline]
    pub fn headers(mut self, headers: &'a HeaderMap) -> Self {
        self.headers = Some(headers);
        self
    }

    /// Allows wildcards in the subject, which servers route literally. Only the subjects of
    /// JetStream's API have a use for it, some of which end with a filter.
    #[must_use]
    pub fn allow_wildcards(mut self) -> Self {
        self.subject_rule = SubjectRule::Pattern;
        self
    }

    /// Leaves the subject unchecked, because it is known to be a literal one: it was put together of
    /// parts that have been checked. With one that is not, whoever has chosen it gives the server
    /// commands of his own.
    #[must_use]
    #[inline]
    pub fn with_known_subject(mut self) -> Self {
        self.subject_rule = SubjectRule::Known;
        self
    }
}
