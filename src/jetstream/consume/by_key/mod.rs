//! Reading a consumer key by key: the messages of one key one after the other, and those of several keys
//! at once.
//!
//! A pure machine around the one that asks for messages. What may not be handed over yet is kept in it, so
//! that it counts as untaken, and the limits of the options hold for it.

mod consuming;
mod lanes;
mod losses;
mod machine;
mod options;
mod terms;
mod waits;

pub use options::ByKey;
