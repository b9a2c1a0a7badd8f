//! Codecs: keys and values in another form in the bucket than in the program (ADR-54).

mod base64;
mod chain;
mod codecs;
pub(in crate::kv) mod coding;
mod decoded;
mod handle;
mod key_listing;
mod listing;
mod path;
mod plain;
mod reading;
mod snapshot;
mod update;
mod watching;
mod writing;

pub use base64::{Base64Keys, Base64Values};
pub use chain::{KeyChain, ValueChain};
pub use codecs::Codecs;
pub use coding::{CodecError, CodecStep, KeyCodec, ValueCodec};
pub use decoded::{Decoded, Undecodable};
pub use handle::CodedKeyValue;
pub use key_listing::{CodedKey, CodedKeyListing};
pub use path::PathKeys;
pub use plain::{PlainKeys, PlainValues};
pub use update::CodedUpdate;
pub use watching::CodedWatcher;
