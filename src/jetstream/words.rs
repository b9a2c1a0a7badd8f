//! Comparing short texts whose length is not known before, in words of up to sixteen letters: for so
//! few, that is faster than to call for it.

/// Whether two texts are the same.
#[inline(always)]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0..4 => one.iter().zip(other).all(|(one, other)| one == other),
        4..=8 => has_same_ends::<4>(one, other),
        9..=16 => has_same_ends::<8>(one, other),
        17..=32 => has_same_ends::<16>(one, other),
        _ => {
            let words = one.as_chunks::<16>().0.iter();
            has_same_ends::<16>(one, other)
                && words.zip(other.as_chunks().0).all(|(one, other)| one == other)
        }
    }
}

/// Whether the first and the last letters of two texts are the same. In texts of at most twice as many,
/// these are all.
#[inline(always)]
fn has_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
}

/// Tells each place of a byte in a text, in order.
#[inline(always)]
pub(super) fn each_place(text: &[u8], byte: u8, mut tell: impl FnMut(usize)) {
    const LOW: u64 = u64::MAX / 255 * 0x7f;
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ (u64::MAX / 255 * u64::from(byte));
        // the highest bit of each byte that is the same
        let mut same = !(((other & LOW) + LOW) | other | LOW);
        while same != 0 {
            tell(8 * at + same.trailing_zeros() as usize / 8);
            same &= same - 1;
        }
    }
    let last = 8 * words.len();
    rest.iter()
        .enumerate()
        .filter(|(_, other)| **other == byte)
        .for_each(|(at, _)| tell(last + at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_compared_whole(one in "[ab]{0,70}", other in "[ab]{0,20}") {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            prop_assert_eq!(is_same(one, other), one == other);
            prop_assert!(is_same(one, one));
        }

        #[test]
        fn every_place_is_told(text in proptest::collection::vec(any::<u8>(), 0..40), byte: u8) {
            for byte in text.iter().copied().chain([byte]) {
                let mut places = Vec::new();
                each_place(&text, byte, |at| places.push(at));
                let all = text.iter().enumerate().filter(|(_, other)| **other == byte);
                prop_assert_eq!(places, all.map(|(at, _)| at).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_text_that_differs_in_one_letter_is_another(text in "[ab]{1,70}", at in 0_usize..70) {
            let mut other = text.clone().into_bytes();
            let at = at % other.len();
            other[at] ^= 1;
            prop_assert!(!is_same(text.as_bytes(), &other));
        }
    }
}
