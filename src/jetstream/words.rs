//! Searching short texts in words of eight letters.

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
        fn every_place_is_told(text in proptest::collection::vec(any::<u8>(), 0..40), byte: u8) {
            for byte in text.iter().copied().chain([byte]) {
                let mut places = Vec::new();
                each_place(&text, byte, |at| places.push(at));
                let all = text.iter().enumerate().filter(|(_, other)| **other == byte);
                prop_assert_eq!(places, all.map(|(at, _)| at).collect::<Vec<_>>());
            }
        }
    }
}
