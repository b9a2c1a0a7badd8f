//! Locks: a key of a bucket that one at a time holds, with a time to live, and a fencing token.
//!
//! What is decided is in [`machine`], which has neither a clock nor a connection. [`keeper`] carries it
//! out; an election does so with the same one.

mod claim;
mod handle;
mod keeper;
mod lost;
mod machine;
mod options;
mod record;

pub use handle::Lock;
pub(in crate::kv) use keeper::{Claimant, Keeper};
pub use lost::Lost;
pub(in crate::kv) use machine::Event;
pub use options::LockOptions;
