//! Leader election: of several candidates one leads, as long as it lives. Whoever leads holds a lock
//! ([`lock`](crate::kv::lock)), and a candidate claims it again and again.

mod campaign;
mod handle;
mod options;

pub use handle::Election;
pub use options::{ElectionEvent, ElectionOptions};
