//! Many replies to one request (ADR-47): when they are all, and how they come.

mod gathering;
mod many;
mod options;

pub use gathering::RepliesEnd;
pub use many::{Replied, Replies};
pub use options::RequestManyOptions;
