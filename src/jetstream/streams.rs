//! Streams: created, asked about, updated, purged and deleted.

use super::JetStream;
use super::error::Error;
use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use serde::Deserialize;

impl<S: 'static> JetStream<S> {
    /// Creates a stream. One that exists with the same configuration counts as created.
    ///
    /// # Errors
    /// [`Error::Api`] with 10058 if it exists with another configuration
    /// ([`Error::is_stream_name_in_use`]), 10065 if its subjects overlap another stream's, 10052
    /// if the configuration is not possible.
    pub fn create_stream(
        &self,
        config: &StreamConfig,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<StreamInfo, Error>) + 'static,
    ) {
        self.stream_operation("CREATE", &config.name, Some(config), callback);
    }

    /// Changes a stream's configuration. All of it is replaced: start from the one that
    /// [`stream_info`](Self::stream_info) returns.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10052 for a change
    /// that is not possible.
    pub fn update_stream(
        &self,
        config: &StreamConfig,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<StreamInfo, Error>) + 'static,
    ) {
        self.stream_operation("UPDATE", &config.name, Some(config), callback);
    }

    /// Asks for a stream's configuration and state.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    pub fn stream_info(
        &self,
        stream: &str,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<StreamInfo, Error>) + 'static,
    ) {
        self.stream_operation("INFO", stream, None, callback);
    }

    /// Deletes a stream with all that it stores.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream.
    pub fn delete_stream(
        &self,
        stream: &str,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<(), Error>) + 'static,
    ) {
        self.stream_operation("DELETE", stream, None, |state, js, result| {
            callback(state, js, result.map(|Success {}| ()));
        });
    }

    fn stream_operation<T: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        stream: &str,
        config: Option<&StreamConfig>,
        callback: impl FnOnce(&mut S, &JetStream<S>, Result<T, Error>) + 'static,
    ) {
        if let Err(error) = check_name(stream) {
            return self.defer(move |state, js| callback(state, js, Err(error)));
        }
        let operation = format!("STREAM.{verb}.{stream}");
        match config {
            Some(config) => self.api_with(&operation, config, callback),
            None => self.api(&operation, b"", callback),
        }
    }
}

/// A reply that says no more than that it is not an error.
#[derive(Deserialize)]
pub(super) struct Success {}

/// Checks the name of a stream or a consumer, which becomes a token of a subject.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let forbidden = |c: char| {
        matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c' | '\0' | '.' | '*' | '>' | '/' | '\\')
    };
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 255 {
        "it is longer than 255 bytes"
    } else if name.contains(forbidden) {
        "it has a space, a dot, a wildcard or a slash"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: name.chars().take(255).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(check_name("KV_config-1"), Ok(()));
        for bad in ["", "a b", "a.b", "a*", ">", "a/b", "a\\b", &"x".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
