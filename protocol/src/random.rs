//! Randomness, which this crate has none of: it is passed in.

use std::fmt;

/// Where a session has what nobody may guess: its inbox, a part of every reply's subject, and the
/// key by which it tells copies of messages apart.
pub(crate) struct Random(Box<dyn FnMut() -> u64>);

impl Random {
    pub(crate) fn new(source: impl FnMut() -> u64 + 'static) -> Self {
        Self(Box::new(source))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> u64 {
        (self.0)()
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
