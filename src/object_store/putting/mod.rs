//! Putting objects: what they are made of, in chunks, on their way to the stream, and what becomes of
//! them.

mod chunker;
mod finishing;
mod handle;
mod kept;
mod lane;
mod options;
mod piece;
mod recovery;
mod sending;
mod source;
mod starting;
mod upload;

pub use handle::Put;
pub use options::PutOptions;
pub use piece::Piece;
