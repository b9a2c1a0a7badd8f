//! The servers: how they are named, and which one is tried next.
//!
//! Names are not looked up here. A driver can use the pool without a session, and the other way
//! round.

pub(crate) mod server_pool;
pub(crate) mod server_url;
