//! Base64 into memory that is there already: the fast path of what a leader's reply has as text.
//!
//! It reads the standard alphabet with padding, which is what servers write, and assumes nothing of
//! the text. What the crate `base64` would refuse is refused (`None`), so that the caller lets the
//! crate say why.

/// The value of each letter; others have the highest bit.
const VALUES: [u8; 256] = {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NO_LETTER; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const NO_LETTER: u8 = 0x80;

/// The same, where they belong in the three bytes that a group of four letters stands for, the first
/// byte lowest. What is no letter sets the highest bit.
const PLACED: [[u32; 256]; 4] = {
    let mut placed = [[0; 256]; 4];
    let mut place = 0;
    while place < 4 {
        let mut byte = 0;
        while byte < 256 {
            placed[place][byte] = match VALUES[byte] {
                NO_LETTER => 1 << 31,
                value => ((value as u32) << (26 - 6 * place)).swap_bytes(),
            };
            byte += 1;
        }
        place += 1;
    }
    placed
};

/// How many bytes a text stands for, if it is valid.
#[inline]
pub(super) fn decoded_len(text: &[u8]) -> Option<usize> {
    let padding = match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    let is_whole = text.len().is_multiple_of(4);
    is_whole.then(|| text.len() / 4 * 3 - padding)
}

/// Decodes a text into room of exactly its [`decoded_len`].
pub(super) fn decode(text: &[u8], room: &mut [u8]) -> Option<()> {
    let Some((start, last)) = text.split_last_chunk() else {
        return text.is_empty().then_some(());
    };
    let (room, last_room) = room.split_at_mut_checked(start.len() / 4 * 3)?;
    let (chunks, groups) = start.as_chunks();
    let (chunk_rooms, group_rooms) = room.as_chunks_mut::<12>();
    let mut seen = 0;
    for (chunk, room) in chunks.iter().zip(chunk_rooms) {
        let [first, second, third, fourth] = four_groups(chunk);
        seen |= first | second | third | fourth;
        let start = u64::from(first) | u64::from(second) << 24 | u64::from(third) << 48;
        let end = third >> 16 | fourth << 8;
        // in two parts, which are two stores
        let (start_room, end_room) = room.split_at_mut(8);
        start_room.copy_from_slice(&start.to_le_bytes());
        end_room.copy_from_slice(&end.to_le_bytes());
    }
    for (letters, room) in groups.as_chunks().0.iter().zip(group_rooms.as_chunks_mut::<3>().0) {
        let bytes = group(*letters);
        seen |= bytes;
        room.copy_from_slice(&bytes.to_le_bytes()[..3]);
    }
    let last = match *last {
        [a, b, b'=', b'='] => group([a, b, b'A', b'A']),
        [a, b, c, b'='] => group([a, b, c, b'A']),
        letters => group(letters),
    };
    last_room.copy_from_slice(last.to_le_bytes()[..3].get(..last_room.len())?);
    // bits that stand for nothing have to be 0
    (seen >> 31 == 0 && last >> (8 * last_room.len()) == 0).then_some(())
}

#[inline(always)]
fn four_groups(letters: &[u8; 16]) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *letters;
    [group([a, b, c, d]), group([e, f, g, h]), group([i, j, k, l]), group([m, n, o, p])]
}

#[inline(always)]
fn group([a, b, c, d]: [u8; 4]) -> u32 {
    let [first, second, third, fourth] = &PLACED;
    first[a as usize] | second[b as usize] | third[c as usize] | fourth[d as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; decoded_len(text)?];
        decode(text, &mut room)?;
        Some(room)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_was_encoded_is_decoded(bytes in vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(STANDARD.encode(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn what_the_crate_refuses_is_refused(
            bytes in vec(any::<u8>(), 0..20),
            at: prop::sample::Index,
            byte in prop_oneof![any::<u8>(), prop::sample::select(&b"=AB/+-_"[..])],
            how in 0..3,
        ) {
            let mut text = STANDARD.encode(&bytes).into_bytes();
            let at = at.index(text.len() + 1);
            match how {
                0 => text.insert(at, byte),
                1 if at < text.len() => drop(text.remove(at)),
                _ if at < text.len() => text[at] = byte,
                _ => {}
            }
            prop_assert_eq!(decoded(&text), STANDARD.decode(&text).ok());
        }

        #[test]
        fn any_text_is_read_as_the_crate_reads_it(text in "[A-Da=]{0,13}") {
            prop_assert_eq!(decoded(text.as_bytes()), STANDARD.decode(&text).ok());
        }
    }
}
