//! Where to look in a header block for a header with a known name.
//!
//! Two kinds of places matter: where the last letter of a name stands before a colon, and where a
//! line ends before one that may be the blank one. Both are two neighboring bytes. A loop that asks
//! only whether there is such a pair among the next 32, and does not stop at it, becomes vector
//! instructions, which pass most of a block sooner than a walk from line to line.
//!
//! It takes any bytes and may point at a place that turns out to be nothing, but never passes one.

use super::words::{equal_to, less_than};

/// How many pairs are looked at in one go.
const WIDTH: usize = 32;

/// From here on, a byte is neither LF nor CR.
pub(super) const AFTER_LINE_BREAKS: u8 = b'\r' + 1;

/// The next place in a block, not before `from`, that may be the last letter of a name or the end of
/// the line before the blank one.
#[inline(always)]
pub(super) fn next_place(block: &[u8], from: usize, last_of_name: u8) -> Option<usize> {
    let seconds = block.get(from + 1..)?;
    let firsts = &block[from..block.len() - 1];
    let (chunks, rest) = firsts.as_chunks();
    let (next_chunks, next_rest) = seconds.as_chunks();
    for (i, (chunk, next)) in chunks.iter().zip(next_chunks).enumerate() {
        if has_pair(chunk, next, last_of_name)
            && let Some(position) = position_of_pair(chunk, next, last_of_name)
        {
            return Some(from + i * WIDTH + position);
        }
    }
    let position = position_of_pair(rest, next_rest, last_of_name)?;
    Some(from + chunks.len() * WIDTH + position)
}

/// Whether there is a pair among these. What is no ASCII counts as a line break here, because to
/// compare signed bytes takes fewer instructions.
#[inline(always)]
fn has_pair(firsts: &[u8; WIDTH], seconds: &[u8; WIDTH], last_of_name: u8) -> bool {
    firsts.iter().zip(seconds).fold(false, |found, (first, second)| {
        let ends_name = (*first == last_of_name) & (*second == b':');
        let ends_line = (*first == b'\n') & ((*second as i8) < AFTER_LINE_BREAKS as i8);
        found | ends_name | ends_line
    })
}

/// The position of the first pair, or of what may be one.
#[inline(always)]
fn position_of_pair(firsts: &[u8], seconds: &[u8], last_of_name: u8) -> Option<usize> {
    let (words, rest) = firsts.as_chunks();
    let (next_words, next_rest) = seconds.as_chunks();
    for (i, (word, next)) in words.iter().zip(next_words).enumerate() {
        let (firsts, seconds) = (u64::from_le_bytes(*word), u64::from_le_bytes(*next));
        let ends_name = equal_to(firsts, last_of_name) & equal_to(seconds, b':');
        let ends_line = equal_to(firsts, b'\n') & less_than(seconds, AFTER_LINE_BREAKS);
        let found = ends_name | ends_line;
        if found != 0 {
            return Some(i * word.len() + found.trailing_zeros() as usize / 8);
        }
    }
    let position = rest.iter().zip(next_rest).position(|(first, second)| {
        (*first == last_of_name && *second == b':')
            || (*first == b'\n' && *second < AFTER_LINE_BREAKS)
    })?;
    Some(firsts.len() - rest.len() + position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_pair_is_passed(block in "[ab:\r\n\té]{0,120}", from in 0..8_usize) {
            let block = block.as_bytes();
            let mut found = Vec::new();
            let mut next = from;
            while let Some(place) = next_place(block, next, b'a') {
                prop_assert!(place >= next);
                found.push(place);
                next = place + 1;
            }
            let pairs = block.windows(2).enumerate().skip(from);
            for (place, _) in pairs.filter(|(_, pair)| matches!(*pair, b"a:" | b"\n\n" | b"\n\r")) {
                prop_assert!(found.contains(&place), "{place}");
            }
        }

        #[test]
        fn a_block_without_a_pair_has_no_place(block in "[a-z]{0,120}") {
            prop_assert_eq!(next_place(block.as_bytes(), 0, b'a'), None);
        }
    }
}
