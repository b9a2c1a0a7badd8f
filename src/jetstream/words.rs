//! Comparing short texts whose length is not known before, in words of eight letters: for so few, that
//! is faster than to call for it.

/// Whether two texts are the same.
#[inline(always)]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk::<8>(), other.last_chunk()) {
        // the last word overlaps the one before it
        (Some(last), Some(other_last)) => {
            let words = one.as_chunks::<8>().0.iter();
            last == other_last && words.zip(other.as_chunks().0).all(|(one, other)| one == other)
        }
        _ => one.iter().zip(other).all(|(one, other)| one == other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_compared_whole(one in "[ab]{0,20}", other in "[ab]{0,20}") {
            let (one, other) = (one.as_bytes(), other.as_bytes());
            prop_assert_eq!(is_same(one, other), one == other);
            prop_assert!(is_same(one, one));
        }

        #[test]
        fn a_text_that_differs_in_one_letter_is_another(text in "[ab]{1,30}", at in 0_usize..30) {
            let mut other = text.clone().into_bytes();
            let at = at % other.len();
            other[at] ^= 1;
            prop_assert!(!is_same(text.as_bytes(), &other));
        }
    }
}
