//! Faults that a server is told to have, and has no longer when the test ends.

use super::{MongoError, ReplicaSet, connection::Connection, node::Node};
use bson::{Bson, Document, doc};
use std::time::Duration;

/// The fail point that makes commands fail.
const FAIL_COMMAND: &str = "failCommand";

/// How long a server is given to run into its fail point.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a fail point acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailTimes {
    /// Each time.
    Always,
    /// So many times, then no more.
    Times(i32),
    /// Each time after so many.
    After(i32),
}

/// A fail point that is on. Turned off when dropped, if the server can answer.
#[derive(Debug)]
#[must_use = "the fail point is off again when this is dropped"]
pub struct FailPoint {
    address: String,
    name: String,
    /// How often the server had run into it before it was turned on.
    entered_before: i64,
}

impl ReplicaSet {
    /// Makes commands fail on the member that is the primary now. `data` is that of the fail point
    /// `failCommand`: `failCommands` names them; `errorCode`, with `errorLabels` if wanted, or
    /// `closeConnection` says how; `blockConnection` with `blockTimeMS` delays them.
    ///
    /// ```no_run
    /// use evnats_harness::{FailTimes, ReplicaSet};
    /// use bson::doc;
    ///
    /// let set = ReplicaSet::start();
    /// let history_lost = doc! { "failCommands": ["getMore"], "errorCode": 286 };
    /// let _failing = set.fail_command(FailTimes::Times(1), history_lost);
    /// ```
    ///
    /// # Panics
    ///
    /// When there is no primary, or it refuses the data.
    #[track_caller]
    pub fn fail_command(&self, times: FailTimes, data: Document) -> FailPoint {
        self.fail_point(self.primary(), FAIL_COMMAND, times, data)
    }

    /// Turns on any fail point of one of the members.
    ///
    /// # Panics
    ///
    /// When there are not so many, or it refuses the fail point.
    #[track_caller]
    pub fn fail_point(
        &self,
        node: usize,
        name: &str,
        times: FailTimes,
        data: Document,
    ) -> FailPoint {
        let mode: Bson = match times {
            FailTimes::Always => "alwaysOn".into(),
            FailTimes::Times(times) => doc! { "times": times }.into(),
            FailTimes::After(times) => doc! { "skip": times }.into(),
        };
        let command = doc! { "configureFailPoint": name, "mode": mode, "data": data };
        let reply = self.run_command_on(node, "admin", command);
        let reply = reply.unwrap_or_else(|error| panic!("{error}"));
        FailPoint {
            address: self.addresses()[node].clone(),
            name: name.to_owned(),
            entered_before: count(&reply),
        }
    }
}

impl FailPoint {
    /// Waits until the server has run into the fail point so many times since it was turned on.
    ///
    /// # Panics
    ///
    /// When that takes longer than 20 seconds.
    #[track_caller]
    pub fn wait_entered(&self, times: u32) {
        let patience = i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX);
        let command = doc! {
            "waitForFailPoint": &self.name,
            "timesEntered": self.entered_before + i64::from(times),
            "maxTimeMS": patience,
        };
        let entered = Connection::open(&self.address)
            .and_then(|mut connection| connection.run("admin", command));
        entered.unwrap_or_else(|error| panic!("the fail point {}: {error}", self.name));
    }

    fn turn_off(&self) -> Result<Document, MongoError> {
        let command = doc! { "configureFailPoint": &self.name, "mode": "off" };
        Node::connect_briefly(&self.address)?.run("admin", command)
    }
}

impl Drop for FailPoint {
    fn drop(&mut self) {
        // fails if the server is gone, and the fail point with it, or is paused
        let _ = self.turn_off();
    }
}

fn count(reply: &Document) -> i64 {
    let count = reply.get("count");
    count.and_then(|count| count.as_i64().or_else(|| count.as_i32().map(i64::from))).unwrap_or(0)
}
