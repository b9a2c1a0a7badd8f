//! Hashes of keys, which are other people's: nobody who does not know the seeds can choose keys that
//! fall together.

use crate::client::Port;
use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// Hashes of a set or table of its own, whose keys are one slice of bytes, or one number.
#[derive(Debug, Clone)]
pub(crate) struct KeyHashes(SeedableRandomState);

/// Hashes one slice, or one number.
pub(crate) struct KeyHasher(FoldHasher<'static>);

/// Makes them. One of the two seeds is the process's, as it is in what is hashed that the hash function
/// would be weak without it.
pub(crate) fn key_hashes(port: &Port) -> KeyHashes {
    static SHARED: OnceLock<SharedSeed> = OnceLock::new();
    let shared = SHARED.get_or_init(|| SharedSeed::from_u64(port.random()));
    KeyHashes(SeedableRandomState::with_seed(port.random(), shared))
}

#[cfg(test)]
impl KeyHashes {
    /// The same in every run.
    pub(crate) fn fixed() -> Self {
        Self(SeedableRandomState::with_seed(7, SharedSeed::global_fixed()))
    }
}

impl BuildHasher for KeyHashes {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0.build_hasher())
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0.write_u64(number);
    }

    /// Does nothing: it is the length of the slice that follows, which the hash of the slice depends
    /// on anyway.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_every_byte_and_on_the_length() {
        let hashes = KeyHashes::fixed();
        let long = [7; 300];
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..long.len() {
            assert!(seen.insert(hashes.hash_one(&long[..len])), "{len} bytes");
            let mut other = long;
            for at in 0..len {
                other[at] ^= 1;
                assert!(seen.insert(hashes.hash_one(&other[..len])), "byte {at} of {len}");
                other[at] ^= 1;
            }
        }
        assert_ne!(hashes.hash_one(1_u64), hashes.hash_one(2_u64));
    }
}
