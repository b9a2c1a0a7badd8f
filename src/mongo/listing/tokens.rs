//! Which tokens a list has.

use super::ring::KeyRing;
use crate::mongo::cursor::ErasedStorage;
use std::rc::Rc;

#[derive(Clone)]
pub(super) enum Tokens {
    /// It has none.
    None,
    /// Those of cursors in a storage.
    Stored(Rc<dyn ErasedStorage>),
    /// Those that are signed.
    Signed(Rc<KeyRing>),
}
