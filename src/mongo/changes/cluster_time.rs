//! The cluster's clock: each change has a time of it, and those of a transaction have the same.

use crate::mongo::error::Error;
use bson::{Timestamp, doc};
use mongodb::{Client, ClientSession};

/// Asks for the time. What is read in the session from then on is as it is at that time, or later.
pub(in crate::mongo) async fn cluster_time(
    client: &Client,
    session: &mut ClientSession,
) -> Result<Timestamp, Error> {
    client.database("admin").run_command(doc! { "ping": 1 }).session(&mut *session).await?;
    session.operation_time().ok_or(Error::NoClusterTime)
}

/// The first time behind this one. A stream that begins there has every change that was not there yet when
/// the server told this time, and none that was.
pub(in crate::mongo) fn behind(time: Timestamp) -> Timestamp {
    match time.increment.checked_add(1) {
        Some(increment) => Timestamp { increment, ..time },
        None => Timestamp { time: time.time.saturating_add(1), increment: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_the_next_increment_or_the_next_second() {
        let at = |time, increment| Timestamp { time, increment };
        assert_eq!(behind(at(5, 7)), at(5, 8));
        assert_eq!(behind(at(5, u32::MAX)), at(6, 0));
    }
}
