//! Numbers as letters that may stand in a subject, for tokens that say what a message belongs to.
//!
//! Each letter, from `a` to `p`, is 4 bits, so that words are made of numbers and numbers of words all at once.

const FIRST_LETTER: u64 = u64::from_ne_bytes([b'a'; 8]);

/// The eight letters of a number.
#[inline(always)]
#[must_use]
pub fn encode(number: u32) -> [u8; 8] {
    let bits = u64::from(number);
    let bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    let bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    let bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    (bits + FIRST_LETTER).to_be_bytes()
}

/// The number that these letters are. `None`: one of them is none of the sixteen.
#[inline(always)]
#[must_use]
pub fn decode(letters: [u8; 8]) -> Option<u32> {
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
        fn numbers_round_trip(number: u32) {
            prop_assert_eq!(decode(encode(number)), Some(number));
        }

        #[test]
        fn only_letters_make_a_number(letters: [u8; 8]) {
            let is_number = letters.iter().all(|letter| (b'a'..=b'p').contains(letter));
            prop_assert_eq!(decode(letters).is_some(), is_number);
        }
    }

    #[test]
    fn the_highest_bits_come_first() {
        assert_eq!(encode(0x0123_cdef), *b"abcdmnop");
    }
}
