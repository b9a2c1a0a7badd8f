//! Which member of a replica set is the primary: asked of the members, and waited for.

use super::{
    MongoError,
    connection::{Connection, SHORT},
};
use bson::Document;
use std::time::{Duration, Instant};

/// The pause between two rounds of questions.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until one of the addresses answers that it is the primary, and connects to it.
pub(super) fn connect(addresses: &[String], patience: Duration) -> Result<Connection, MongoError> {
    let address = wait_for(addresses, patience)?;
    Connection::open(&address)
}

/// Waits until one of the addresses answers that it is the primary, and returns that address.
pub(super) fn wait_for(addresses: &[String], patience: Duration) -> Result<String, MongoError> {
    let deadline = Instant::now() + patience;
    loop {
        let mut reason = String::from("there are no members");
        for address in addresses {
            match hello(address) {
                Ok(hello) if is_primary(&hello) => return Ok(address.clone()),
                Ok(_) => reason = format!("{address} is not the primary"),
                Err(error) => reason = format!("{address}: {error}"),
            }
        }
        if Instant::now() >= deadline {
            return Err(MongoError::NoPrimary { waited: patience, reason });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// What a server says of itself.
pub(super) fn hello(address: &str) -> Result<Document, MongoError> {
    Connection::open_within(address, SHORT)?.hello()
}

pub(super) fn is_primary(hello: &Document) -> bool {
    hello.get_bool("isWritablePrimary").unwrap_or_default()
}

pub(super) fn is_secondary(hello: &Document) -> bool {
    hello.get_bool("secondary").unwrap_or_default()
}
