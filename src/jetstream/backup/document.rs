//! What a backup tells of its stream: the configuration and the state at its beginning.
//!
//! The invariant: what a server has told is written and sent back as it came, with whatever this
//! version does not know.

use crate::jetstream::api::ApiReply;
use crate::jetstream::envelope::parse_response;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{StreamConfig, StreamState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What belongs to the bytes of a backup: the configuration of the stream, and what was in it at the
/// beginning. Kept as JSON, it is the `backup.json` of the `nats` tool.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamBackup {
    document: Document,
    config: StreamConfig,
    state: StreamState,
}

/// The document, as a server has sent it and as it is sent back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Document {
    config: Value,
    state: Value,
}

impl StreamBackup {
    /// Reads the document.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is none.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::read(serde_json::from_slice(json).map_err(malformed)?)
    }

    /// Returns the document, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Document { config, state } = &self.document;
        format!(r#"{{"config":{config},"state":{state}}}"#)
    }

    /// The stream's configuration.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// What the stream contained when the snapshot began.
    #[must_use]
    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// The same with another configuration, to restore the stream with other replicas, elsewhere in a
    /// cluster, or under another name, which server 2.10 refuses (10062) and 2.15 does not. What is in
    /// a backup does not depend on it.
    ///
    /// # Errors
    /// [`Error::Unencodable`] if it cannot be written as JSON.
    pub fn with_config(self, config: StreamConfig) -> Result<Self, Error> {
        let written = serde_json::to_value(&config).map_err(Error::unencodable)?;
        Ok(Self { document: Document { config: written, ..self.document }, config, ..self })
    }

    /// What is sent to restore the stream.
    pub(super) fn document(&self) -> &impl Serialize {
        &self.document
    }

    fn read(document: Document) -> Result<Self, Error> {
        let config = StreamConfig::deserialize(&document.config).map_err(malformed)?;
        let state = StreamState::deserialize(&document.state).map_err(malformed)?;
        Ok(Self { document, config, state })
    }
}

impl ApiReply for StreamBackup {
    fn parse(body: &[u8]) -> Result<Self, Error> {
        Self::read(parse_response(body)?)
    }
}

fn malformed(error: serde_json::Error) -> Error {
    Error::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = r#"{"type":"io.nats.jetstream.api.v1.stream_snapshot_response",
        "config":{"name":"S","subjects":["s.>"],"max_msgs":-1,"of_tomorrow":{"x":1}},
        "state":{"messages":3,"bytes":99,"first_seq":1,"last_seq":3,"of_tomorrow":2}}"#;

    #[test]
    fn what_a_server_has_told_is_kept_as_it_came() {
        let backup = StreamBackup::parse(REPLY.as_bytes()).expect("a backup");
        assert_eq!((backup.config().name.as_str(), backup.state().messages), ("S", 3));
        let json = backup.to_json();
        assert_eq!(StreamBackup::from_json(json.as_bytes()), Ok(backup.clone()));
        assert_eq!(serde_json::to_string(backup.document()).expect("JSON"), json);
        let told: Value = serde_json::from_str(&json).expect("JSON");
        let came: Value = serde_json::from_str(REPLY).expect("JSON");
        assert_eq!((&told["config"], &told["state"]), (&came["config"], &came["state"]));
    }

    #[test]
    fn another_configuration_replaces_it() {
        let backup = StreamBackup::parse(REPLY.as_bytes()).expect("a backup");
        let state = backup.state().clone();
        let config = backup.config().clone().name("T");
        let changed = backup.with_config(config).expect("changed");
        assert_eq!((changed.config().name.as_str(), changed.state()), ("T", &state));
        assert!(changed.to_json().contains(r#""name":"T""#));
        assert!(changed.to_json().contains(r#""of_tomorrow":2"#));
    }

    #[test]
    fn what_is_no_backup_is_an_error() {
        for json in ["", "[]", "{}", r#"{"config":7,"state":{}}"#, r#"{"config":{},"state":8}"#] {
            let error = StreamBackup::from_json(json.as_bytes()).expect_err(json);
            assert!(matches!(error, Error::Malformed(_)), "{error}");
        }
        let refused = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert!(StreamBackup::parse(refused.as_bytes()).is_err_and(|error| error.is_not_found()));
    }
}
