//! The keys that tokens are signed with.

use crate::mongo::cursor::error::CursorError;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::time::Duration;

/// As long as the hash, which is what RFC 2104 recommends.
const MIN_SECRET: usize = 32;
/// How long tokens are valid by default.
const TTL: Duration = Duration::from_secs(3600);

/// The keys of signed tokens, for lists that keep nothing anywhere: the newest signs, and all that are in the ring
/// are accepted. All processes that take each other's tokens need the same keys.
///
/// ```
/// use evnats::mongo::KeyRing;
/// use std::time::Duration;
///
/// let mut keys = KeyRing::new(1, b"32 random bytes or more, and this is none")?;
/// // later: new tokens are signed with key 2, and those that were signed with key 1 are still good
/// keys.rotate(2, b"another secret of 32 random bytes or more")?;
/// // when the last of these has expired
/// keys.retire(1);
/// # Ok::<(), evnats::mongo::CursorError>(())
/// ```
///
/// A token is signed and not encrypted: whoever has it can read the sort values of the row that it stands
/// beside.
#[derive(Clone)]
pub struct KeyRing {
    pub(super) newest: Key,
    older: Vec<Key>,
    pub(super) ttl: Duration,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: u32,
    mac: Hmac<Sha256>,
}

impl KeyRing {
    /// A ring with one key. Its number goes with each token. The secret is at least 32 bytes, and random.
    ///
    /// # Errors
    /// [`CursorError::WeakSecret`].
    pub fn new(id: u32, secret: impl AsRef<[u8]>) -> Result<Self, CursorError> {
        Ok(Self { newest: Key::new(id, secret.as_ref())?, older: Vec::new(), ttl: TTL })
    }

    /// Signs with a new key from now on, and goes on to accept the ones before.
    ///
    /// # Errors
    /// [`CursorError::WeakSecret`]; [`CursorError::KeyExists`], because tokens would be refused that are good.
    pub fn rotate(&mut self, id: u32, secret: impl AsRef<[u8]>) -> Result<(), CursorError> {
        if self.key(id).is_some() {
            return Err(CursorError::KeyExists { key: id });
        }
        let before = std::mem::replace(&mut self.newest, Key::new(id, secret.as_ref())?);
        self.older.push(before);
        Ok(())
    }

    /// Accepts a key no more. Returns whether it was there. The one that signs stays.
    pub fn retire(&mut self, id: u32) -> bool {
        let before = self.older.len();
        self.older.retain(|key| key.id != id);
        self.older.len() < before
    }

    /// How long a token is valid. Default: an hour.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    pub(super) fn key(&self, id: u32) -> Option<&Key> {
        std::iter::once(&self.newest).chain(&self.older).find(|key| key.id == id)
    }
}

impl Key {
    fn new(id: u32, secret: &[u8]) -> Result<Self, CursorError> {
        let weak = CursorError::WeakSecret { length: secret.len(), minimum: MIN_SECRET };
        if secret.len() < MIN_SECRET {
            return Err(weak);
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| weak)?;
        Ok(Self { id, mac })
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        self.mac.clone().chain_update(bytes).finalize().into_bytes().into()
    }

    /// Whether it has signed this. Takes equally long for every wrong signature.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.mac.clone().chain_update(bytes).verify_slice(signature).is_ok()
    }
}

/// Without the secrets.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<_> = self.older.iter().map(|key| key.id).collect();
        f.debug_struct("KeyRing")
            .field("newest", &self.newest.id)
            .field("older", &older)
            .field("ttl", &self.ttl)
            .finish()
    }
}
