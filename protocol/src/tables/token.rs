//! The end of a reply's subject: which request the reply is for, and the proof that it is for it.
//!
//! `<slot><proof>`: 8 letters for the slot, so that a request is found by index, and 16 for 64 random
//! bits that nobody knows but who was asked. It does not know the requests.

use crate::wire::letters;

/// Characters of a token.
pub(crate) const TOKEN: usize = SLOT + PROOF;
pub(super) const SLOT: usize = 8;
const PROOF: usize = 16;

pub(crate) type Token = [u8; TOKEN];
/// What a reply has to end with.
pub(super) type Proof = [u8; PROOF];

#[inline]
pub(super) fn proof(bits: u64) -> Proof {
    let mut proof = [0; PROOF];
    let (high, low) = proof.split_at_mut(PROOF / 2);
    high.copy_from_slice(&letters::encode((bits >> 32) as u32));
    low.copy_from_slice(&letters::encode(bits as u32));
    proof
}

#[inline]
pub(super) fn encode(slot: u32, proof: &Proof) -> Token {
    let mut token = [0; TOKEN];
    let (first, last) = token.split_at_mut(SLOT);
    first.copy_from_slice(&letters::encode(slot));
    last.copy_from_slice(proof);
    token
}

#[inline]
pub(super) fn decode(token: &[u8]) -> Option<(u32, &Proof)> {
    let (slot, proof) = token.split_first_chunk::<SLOT>()?;
    Some((letters::decode(*slot)?, proof.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_round_trip(slot: u32, bits: u64) {
            let proof = proof(bits);
            let token = encode(slot, &proof);
            prop_assert!(token.iter().all(u8::is_ascii_lowercase));
            prop_assert_eq!(decode(&token), Some((slot, &proof)));
        }
    }

    #[test]
    fn a_token_has_its_length() {
        let token = encode(7, &proof(7));
        assert_eq!(decode(&token[1..]), None);
        assert_eq!(decode(&[&token[..], b"a"].concat()), None);
        assert_eq!(decode(b""), None);
    }

    #[test]
    fn every_random_bit_is_in_the_proof() {
        assert_eq!(proof(0), *b"aaaaaaaaaaaaaaaa");
        assert_eq!(proof(0x0123_4567_89ab_cdef), *b"abcdefghijklmnop");
        for bit in 0..64 {
            let changed = proof(1 << bit).iter().filter(|letter| **letter != b'a').count();
            assert_eq!(changed, 1, "bit {bit}");
        }
    }
}
