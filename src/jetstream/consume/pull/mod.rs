//! Pull consumers: what is asked of the server, and what follows from what it says. Machines without
//! socket and clock.
//!
//! [`Pull`](machine::Pull) consumes without end, [`Fetch`](fetch::Fetch) asks once. Both are told of
//! every message and status, and say when they want to be told the time. Their driver owns the
//! subscription, the timer, and the messages that the program has not taken yet.

mod backoff;
mod driven;
mod fetch;
pub(in crate::jetstream) mod fetch_error;
mod fetch_options;
mod keep_alive;
mod limits;
mod machine;
pub(in crate::jetstream) mod option_error;
mod options;
pub(super) mod request;
pub(super) mod silence;
mod window;

pub(super) use backoff::{Backoff, FIRST_PAUSE, LAST_PAUSE};
pub(super) use driven::status_of;
pub(crate) use fetch::Fetch;
pub(super) use fetch::PATIENCE;

pub use fetch::FetchEnd;
pub use fetch_error::FetchError;
pub use fetch_options::FetchOptions;
pub(crate) use machine::Pull;
pub(super) use machine::PullStart;
pub use option_error::PullOptionError;
pub use options::ConsumeOptions;
pub use silence::{Silence, SilenceCause};
pub(super) use window::GRACE;
