//! The wire format alone: bytes to operations and operations to bytes, in both directions.
//!
//! Invariant: nothing here knows a session. What is decoded, encoded or checked depends on its
//! arguments only.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod error;
mod header_block;
mod header_search;
pub(crate) mod headers;
pub(crate) mod info;
pub mod letters;
mod line;
pub(crate) mod message;
mod message_line;
pub(crate) mod op;
pub(crate) mod payload;
pub(crate) mod printable;
mod read_buffer;
pub(crate) mod secret;
pub mod subject;
pub mod texts;
pub(crate) mod version;
mod words;
