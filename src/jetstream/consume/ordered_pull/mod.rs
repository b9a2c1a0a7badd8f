//! The public ordered consumer: reads a stream in order and without gaps, each message once, over
//! however many server-side pull consumers that takes. Machines without socket and clock.
//!
//! [`OrderedPull`] is the ordered consumer as the driver knows it, and reads one server-side consumer
//! after the other with what [`Reading`] is implemented for. What it has reached outlives it in
//! [`OrderedState`], for the next read to go on from there. Consumers that were left and are not known
//! to be deleted are [`Debts`](super::debts::Debts).

pub(in crate::jetstream) mod cause;
mod machine;
pub(in crate::jetstream) mod option_error;
mod options;
mod reading;
mod state;

pub use cause::ResetCause;
pub(crate) use machine::OrderedPull;
pub use option_error::OrderedOptionError;
pub use options::OrderedOptions;
pub(crate) use reading::{FetchWanted, Reading};
pub(crate) use state::{OrderedHome, OrderedState};
