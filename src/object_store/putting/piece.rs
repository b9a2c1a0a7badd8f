//! What a program hands in of an object.

use bytes::Bytes;
use std::io;

/// A piece of an object, as a program hands it in ([`put_pieces`]).
///
/// [`put_pieces`]: crate::object_store::ObjectStore::put_pieces
#[derive(Debug)]
pub enum Piece {
    /// The next bytes, as many as there are. None at all is no end.
    Data(Bytes),
    /// There is nothing at the moment: [`Put::resume`](crate::object_store::Put::resume) asks again.
    Later,
    /// That was all.
    End,
    /// There is no more, for this reason: the put fails with [`Error::Io`](crate::object_store::Error::Io).
    Failed(io::Error),
}
