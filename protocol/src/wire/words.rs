//! Bytes looked at eight at a time, as the words that they make up.
//!
//! A mask has the highest bit of each byte set that was looked for. Its lowest bit is exact. Those
//! above it may be set for other bytes, too, so a mask that is 0 proves that there is no such byte.

pub(crate) type Chunk = [u8; 8];

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST_BITS: u64 = ONES << 7;

/// The bytes that are less than `limit`, which is at most 128.
#[inline(always)]
pub(crate) fn less_than(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHEST_BITS
}

/// The bytes that are equal to `byte`.
#[inline(always)]
pub(crate) fn equal_to(word: u64, byte: u8) -> u64 {
    less_than(word ^ (ONES * u64::from(byte)), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_lowest_bit_of_a_mask_is_the_first_lesser_byte(chunk: Chunk, limit in 0..=128u8) {
            let found = less_than(u64::from_le_bytes(chunk), limit);
            let expected = chunk.iter().position(|byte| *byte < limit);
            prop_assert_eq!((found != 0).then(|| found.trailing_zeros() as usize / 8), expected);
        }

        #[test]
        fn an_empty_mask_proves_that_there_is_no_such_byte(chunk in any::<Chunk>(), byte: u8) {
            let word = u64::from_le_bytes(chunk);
            prop_assert_eq!(equal_to(word, byte) != 0, chunk.contains(&byte));
        }
    }
}
