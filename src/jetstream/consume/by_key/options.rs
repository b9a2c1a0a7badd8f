//! What the key of a message is, and how many keys are worked on at once.

use crate::jetstream::consume::machine::KeyOf;
use crate::jetstream::consume::pull::PullOptionError;
use evnats_protocol::Message;
use std::fmt;
use std::rc::Rc;

const DEFAULT_MAX_KEYS: usize = 16;

/// What the key of a message is, and how many keys are worked on at once: for
/// [`consume_by_key`](crate::jetstream::Consumer::consume_by_key).
///
/// ```
/// use evnats::jetstream::ByKey;
///
/// // the third token of the subject, of four keys at once
/// let by_customer = ByKey::new(|order| {
///     order.subject().split('.').nth(2).unwrap_or_default().to_owned()
/// });
/// let by_customer = by_customer.max_keys(4);
/// ```
#[derive(Clone)]
pub struct ByKey {
    key_of: KeyOf,
    max_keys: usize,
}

impl ByKey {
    /// What the function says is the key: text or bytes. It has to say the same of a message whenever it
    /// is asked, as it is asked again when the message is delivered again.
    #[must_use]
    pub fn new<K: Into<Vec<u8>>>(key_of: impl Fn(&Message) -> K + 'static) -> Self {
        let key_of = Rc::new(move |message: &Message| key_of(message).into());
        Self { key_of, max_keys: DEFAULT_MAX_KEYS }
    }

    /// The subject is the key.
    #[must_use]
    pub fn subject() -> Self {
        Self::new(|message| message.subject_bytes().to_vec())
    }

    /// How many keys are worked on at once at most: so many messages are with the program and not
    /// answered. At least 1. Default: 16.
    #[must_use]
    pub fn max_keys(self, max_keys: usize) -> Self {
        Self { max_keys, ..self }
    }

    pub(super) fn check(&self) -> Result<(), PullOptionError> {
        match self.max_keys {
            0 => Err(PullOptionError::Zero("max_keys")),
            _ => Ok(()),
        }
    }

    pub(super) fn into_parts(self) -> (KeyOf, usize) {
        (self.key_of, self.max_keys)
    }
}

impl fmt::Debug for ByKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").field("max_keys", &self.max_keys).finish_non_exhaustive()
    }
}
