//! A bucket, as another client has it.

use super::peer::Peer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An entry, as a client has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) revision: u64,
    /// `PUT`, `DEL` or `PURGE`. An expired value is purged, in other clients.
    pub(crate) operation: String,
}

impl Peer {
    #[track_caller]
    pub(crate) fn bind(&mut self, bucket: &str) {
        self.run("bind", json!({ "bucket": bucket }));
    }

    /// Writes a value, and returns its revision.
    #[track_caller]
    pub(crate) fn put(&mut self, key: &str, value: &[u8]) -> u64 {
        let revision = self.run("put", json!({ "key": key, "value": STANDARD.encode(value) }));
        revision.as_u64().expect("a revision")
    }

    #[track_caller]
    pub(crate) fn create(&mut self, key: &str, value: &[u8]) -> Result<u64, String> {
        let options = json!({ "key": key, "value": STANDARD.encode(value) });
        let revision = self.try_do("create", options)?;
        Ok(revision.as_u64().expect("a revision"))
    }

    #[track_caller]
    pub(crate) fn update(&mut self, key: &str, value: &[u8], at: u64) -> Result<u64, String> {
        let options = json!({ "key": key, "value": STANDARD.encode(value), "revision": at });
        let revision = self.try_do("update", options)?;
        Ok(revision.as_u64().expect("a revision"))
    }

    #[track_caller]
    pub(crate) fn get(&mut self, key: &str) -> Option<Shown> {
        let found = self.run("get", json!({ "key": key }));
        (!found.is_null()).then(|| Shown::read(&found))
    }

    #[track_caller]
    pub(crate) fn keys(&mut self) -> Vec<String> {
        serde_json::from_value(self.run("keys", json!({}))).expect("keys")
    }

    #[track_caller]
    pub(crate) fn history(&mut self, key: &str) -> Vec<Shown> {
        let history = self.run("history", json!({ "key": key }));
        history.as_array().expect("a list").iter().map(Shown::read).collect()
    }

    /// The next entry of its watch.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Shown {
        Shown::read(&self.run("next", json!({})))
    }
}

impl Shown {
    #[track_caller]
    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        Self {
            key: text("key"),
            value: STANDARD.decode(text("value")).expect("base64"),
            revision: entry["revision"].as_u64().expect("a revision"),
            operation: text("operation"),
        }
    }
}
