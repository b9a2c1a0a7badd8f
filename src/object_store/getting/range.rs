//! Which bytes of an object are wanted, and which chunk they begin in. Pure.

use crate::object_store::error::Error;
use crate::object_store::getting::options::GetOptions;
use crate::object_store::info::ObjectInfo;
use std::ops::Range;

/// The size of chunks that other clients make without noting it.
const USUAL_CHUNK_SIZE: u64 = 128 << 10;

/// The bytes that are wanted of an object.
pub(super) fn wanted(info: &ObjectInfo, options: &GetOptions) -> Result<Range<u64>, Error> {
    let (start, end) = (options.start, options.end.unwrap_or(info.size));
    match start <= end && start <= info.size {
        true => Ok(start..end.min(info.size)),
        false => Err(Error::InvalidRange { start, end, size: info.size }),
    }
}

/// Where a chunk is in its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number, counted from 0.
    pub(super) index: u64,
    /// Its first byte.
    pub(super) offset: u64,
}

impl Place {
    pub(super) const FIRST: Self = Self { index: 0, offset: 0 };
}

/// The chunk that a byte is in. `None` if that cannot be told before all chunks in front of it are
/// read: what was noted of their size does not go with their number.
pub(super) fn place_of(info: &ObjectInfo, byte: u64) -> Option<Place> {
    let size = info.chunk_size.map_or(USUAL_CHUNK_SIZE, |size| size as u64);
    let is_possible = size > 0 && info.size.div_ceil(size) == info.chunks;
    let index = is_possible.then(|| byte / size)?;
    Some(Place { index, offset: index * size })
}

/// What of a chunk is wanted.
pub(super) fn part(chunk_len: usize, offset: u64, wanted: &Range<u64>) -> Range<usize> {
    let clamp = |byte: u64| byte.saturating_sub(offset).min(chunk_len as u64) as usize;
    clamp(wanted.start)..clamp(wanted.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime;

    fn info(size: u64, chunk_size: u64) -> ObjectInfo {
        let chunks = size.div_ceil(chunk_size);
        let json = format!(
            r#"{{"name":"n","size":{size},"chunks":{chunks},"options":{{"max_chunk_size":{chunk_size}}}}}"#
        );
        ObjectInfo::of_delivery("b", json.as_bytes(), 1, SystemTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn ranges_are_within_the_object() {
        let object = info(10, 4);
        let of = |options: GetOptions| wanted(&object, &options);
        let new = GetOptions::new;
        assert_eq!(of(new()), Ok(0..10));
        assert_eq!(of(new().range(3..)), Ok(3..10));
        assert_eq!(of(new().range(3..=4)), Ok(3..5));
        assert_eq!(of(new().range(..99)), Ok(0..10));
        assert_eq!(of(new().range(10..)), Ok(10..10));
        assert_eq!(
            of(new().range(11..12)),
            Err(Error::InvalidRange { start: 11, end: 12, size: 10 })
        );
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let reversed = of(new().range(5..4));
        assert_eq!(reversed, Err(Error::InvalidRange { start: 5, end: 4, size: 10 }));
    }

    #[test]
    fn a_size_of_chunks_that_cannot_be_is_not_believed() {
        let mut object = info(10, 4);
        assert_eq!(place_of(&object, 9), Some(Place { index: 2, offset: 8 }));
        object.chunks = 7;
        assert_eq!(place_of(&object, 9), None);
        object.chunk_size = None;
        assert_eq!(place_of(&object, 9), None);
        object.chunks = 1;
        assert_eq!(place_of(&object, 9), Some(Place::FIRST));
    }

    proptest! {
        #[test]
        fn the_parts_of_chunks_are_what_is_wanted(
            size in 0_u64..200, chunk_size in 1_u64..50, start in 0_u64..200, len in 0_u64..200,
        ) {
            let object = info(size, chunk_size);
            let Ok(range) = wanted(&object, &GetOptions::new().range(start..start + len)) else {
                return Ok(());
            };
            let bytes: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
            let mut got = Vec::new();
            let mut place = place_of(&object, range.start).unwrap();
            for chunk in bytes.chunks(chunk_size as usize).skip(place.index as usize) {
                got.extend_from_slice(&chunk[part(chunk.len(), place.offset, &range)]);
                place.offset += chunk.len() as u64;
            }
            prop_assert_eq!(got, &bytes[range.start as usize..range.end as usize]);
        }
    }
}
