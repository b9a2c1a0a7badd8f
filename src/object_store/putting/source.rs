//! What an object is made of: bytes, what is read, or what the program hands in when it is asked.

use crate::object_store::error::Error;
use crate::object_store::putting::piece::Piece;
use crate::object_store::putting::upload::Source;
use bytes::Bytes;
use std::io::{self, Read};

pub(super) fn of_bytes(bytes: Bytes) -> Source {
    let mut bytes = Some(bytes);
    Box::new(move |_, _, _| bytes.take().map_or(Piece::End, Piece::Data))
}

/// Reads a chunk at a time.
pub(super) fn of_reader(mut reader: impl Read + 'static) -> Source {
    Box::new(move |_, _, wanted| {
        let mut chunk = vec![0; wanted];
        match fill(&mut reader, &mut chunk) {
            Ok(0) => Piece::End,
            Ok(len) => {
                chunk.truncate(len);
                Piece::Data(chunk.into())
            }
            Err(error) => Piece::Failed(error),
        }
    })
}

/// Reads until the room is full or the end is reached.
fn fill(reader: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match reader.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len.min(room.len() - filled),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a source that fails is reported as.
pub(super) fn error_of(error: &io::Error) -> Error {
    Error::io("read what the object is made of", error)
}
