//! The servers: how they are named, and which one is tried next.
//!
//! It does not look names up, and does not know sessions: a driver may use either without the other.

pub(crate) mod server_pool;
pub(crate) mod server_url;
