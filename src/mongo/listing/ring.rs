//! The keys that tokens are signed with.

use crate::mongo::cursor::error::CursorError;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// As long as the hash, which is what RFC 2104 recommends.
const MIN_SECRET: usize = 32;
/// The block of the hash, which is what a key is to HMAC.
const BLOCK: usize = 64;
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
/// beside. Secrets are overwritten in memory when the ring is dropped, and when a key is retired.
#[derive(Clone)]
pub struct KeyRing {
    pub(super) newest: Key,
    older: Vec<Key>,
    pub(super) ttl: Duration,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: u32,
    /// Where it stays until it is overwritten: what is moved would leave copies behind.
    secret: Box<Zeroizing<[u8; BLOCK]>>,
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
        let length = secret.len();
        if length < MIN_SECRET {
            return Err(CursorError::WeakSecret { length, minimum: MIN_SECRET });
        }
        let mut block = Box::new(Zeroizing::new([0; BLOCK]));
        match block.get_mut(..length) {
            Some(start) => start.copy_from_slice(secret),
            // as RFC 2104 has it for a longer one
            None => {
                Sha256::digest(secret).iter().zip(&mut **block).for_each(|(byte, to)| *to = *byte)
            }
        }
        Ok(Self { id, secret: block })
    }

    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new((&**self.secret).into())
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        self.mac().chain_update(bytes).finalize().into_bytes().into()
    }

    /// Whether it has signed this. Takes equally long for every wrong signature.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.mac().chain_update(bytes).verify_slice(signature).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever its length is, a secret is the key that HMAC makes of it.
    #[test]
    fn a_signature_is_the_hmac_by_the_secret() {
        for length in [32, 63, 64, 65, 200] {
            let secret: Vec<u8> = (0..length).collect();
            let key = Key::new(1, &secret).unwrap();
            let mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap().chain_update(b"text");
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(key.sign(b"text"), expected, "of {length} bytes");
            assert!(key.has_signed(b"text", &expected) && !key.has_signed(b"texts", &expected));
        }
    }
}
