//! The digest of an object: SHA-256 over its bytes, as ADR-20 writes it.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE};
use sha2::{Digest, Sha256};

const PREFIX: &str = "SHA-256=";

/// Reads with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A digest that is being made.
#[derive(Clone, Default)]
pub(in crate::object_store) struct Hasher(Sha256);

impl Hasher {
    pub(in crate::object_store) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest as text.
    pub(in crate::object_store) fn finish(self) -> String {
        format!("{PREFIX}{}", URL_SAFE.encode(self.0.finalize()))
    }
}

/// Whether two digests are the same, however they are written.
pub(in crate::object_store) fn is_same(one: &str, other: &str) -> bool {
    one == other || bytes(one).is_some_and(|bytes_of_one| Some(bytes_of_one) == bytes(other))
}

fn bytes(digest: &str) -> Option<Vec<u8>> {
    let (algorithm, value) = digest.split_at_checked(PREFIX.len())?;
    let is_known = algorithm.eq_ignore_ascii_case(PREFIX);
    is_known.then(|| LENIENT.decode(value).ok()).flatten().filter(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn digests_are_compared_by_what_they_say() {
        assert_eq!(Hasher::default().finish(), EMPTY);
        assert!(is_same(EMPTY, EMPTY.trim_end_matches('=')));
        assert!(is_same(EMPTY, &EMPTY.replace("SHA", "sha")));
        for other in ["", "SHA-256=", "SHA-256=AAAA", "MD5=47DEQpj8HBSa-_TImW", "SHA-25ü"] {
            assert!(!is_same(EMPTY, other), "{other:?}");
        }
    }
}
