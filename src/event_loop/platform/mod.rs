//! The platform: the one place from which the loop has its clock, its randomness, its events, its
//! connections and the addresses of names.
//!
//! There are three: the system's, by way of mio; the same with a selector that a host lends and
//! waits on; and the simulated one of [`simulation`](crate::simulation), in which time passes only
//! by waiting. Nothing above asks the system for any of these.

mod contract;
mod lent;
mod mio;
mod random;
mod resolver;
mod system;

pub(crate) use self::contract::{LookUp, Platform};
pub(super) use self::lent::Lent;
pub(super) use self::mio::Mio;
