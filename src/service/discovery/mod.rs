//! The other side: which services there are, what they are, and what they have done.

mod asking;
mod options;

pub use asking::{Discovered, PingedService, UnreadableReply};
pub use options::DiscoveryOptions;
