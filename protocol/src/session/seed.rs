//! What a session derives from its seed: values that differ by purpose, and do not lead to each
//! other.
//!
//! Everybody who answers a request sees the inbox. Without the detour, whoever sees it would know the
//! key that tells copies of messages apart. There is no randomness: the same seed, the same values.

use std::hash::{DefaultHasher, Hash, Hasher};

pub(super) fn derive(seed: u128, purpose: &str) -> u128 {
    let half = |half: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, purpose, half).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_the_seed_and_on_the_purpose_alone() {
        assert_eq!(derive(7, "inbox"), derive(7, "inbox"));
        assert_ne!(derive(7, "inbox"), derive(7, "copies"));
        assert_ne!(derive(7, "inbox"), derive(8, "inbox"));
        assert_ne!(derive(7, "inbox"), 7);
    }
}
