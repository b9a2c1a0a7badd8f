//! Hashes of keys, which are other people's: nobody who does not know the seeds can choose keys that
//! fall together.

use crate::client::Port;
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use std::sync::OnceLock;

/// Hashes of a set or table of its own.
pub(in crate::kv) type KeyHashes = SeedableRandomState;

/// Makes them. One of the two seeds is the process's, as it is in what is hashed that the hash function
/// would be weak without it.
pub(in crate::kv) fn key_hashes(port: &Port) -> KeyHashes {
    static SHARED: OnceLock<SharedSeed> = OnceLock::new();
    let shared = SHARED.get_or_init(|| SharedSeed::from_u64(port.random()));
    KeyHashes::with_seed(port.random(), shared)
}
