//! The end of a reply's subject: which request the reply is for, and the proof that it is for it.
//!
//! `<slot><proof>`: 8 letters for the slot, so that a request is found by index, and 16 for 64 random
//! bits that nobody knows but who was asked. Each letter, from `a` to `p`, is 4 bits, so that words
//! are made of numbers and numbers of words all at once. It does not know the requests.

/// Characters of a token.
pub(crate) const TOKEN: usize = SLOT + PROOF;
pub(super) const SLOT: usize = 8;
const PROOF: usize = 16;

pub(crate) type Token = [u8; TOKEN];
/// What a reply has to end with.
pub(super) type Proof = [u8; PROOF];

const FIRST_LETTER: u64 = u64::from_ne_bytes([b'a'; 8]);

#[inline]
pub(super) fn proof(bits: u64) -> Proof {
    let mut proof = [0; PROOF];
    let (high, low) = proof.split_at_mut(PROOF / 2);
    high.copy_from_slice(&letters((bits >> 32) as u32));
    low.copy_from_slice(&letters(bits as u32));
    proof
}

#[inline]
pub(super) fn encode(slot: u32, proof: &Proof) -> Token {
    let mut token = [0; TOKEN];
    let (first, last) = token.split_at_mut(SLOT);
    first.copy_from_slice(&letters(slot));
    last.copy_from_slice(proof);
    token
}

#[inline]
pub(super) fn decode(token: &[u8]) -> Option<(u32, &Proof)> {
    let (slot, proof) = token.split_first_chunk::<SLOT>()?;
    Some((number(*slot)?, proof.try_into().ok()?))
}

#[inline(always)]
fn letters(bits: u32) -> [u8; 8] {
    let bits = u64::from(bits);
    let bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    let bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    let bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (bits + FIRST_LETTER).to_be_bytes()
}

#[inline(always)]
fn number(letters: [u8; 8]) -> Option<u32> {
    let bits = u64::from_be_bytes(letters).wrapping_sub(FIRST_LETTER);
    // the last letter that is none is too small or too large by itself, whatever it borrows
    if bits & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let bits = (bits | bits >> 4) & 0x00ff_00ff_00ff_00ff;
    let bits = (bits | bits >> 8) & 0x0000_ffff_0000_ffff;
    Some((bits | bits >> 16) as u32)
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

        #[test]
        fn only_letters_make_a_slot(letters: [u8; 8]) {
            let is_slot = letters.iter().all(|letter| (b'a'..=b'p').contains(letter));
            prop_assert_eq!(number(letters).is_some(), is_slot);
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
