//! Comparing short texts whose length is not known before, in words of up to sixteen letters: for so
//! few, that is faster than to call for it.

/// Whether two texts are the same.
#[inline(always)]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
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
        fn a_text_that_differs_in_one_letter_is_another(text in "[ab]{1,70}", at in 0_usize..70) {
            let mut other = text.clone().into_bytes();
            let at = at % other.len();
            other[at] ^= 1;
            prop_assert!(!is_same(text.as_bytes(), &other));
        }
    }
}
