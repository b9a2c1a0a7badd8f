//! What the two sides tell each other in `INFO` and `CONNECT`.
//!
//! Absent booleans are false, unknown fields are passed over: servers add some with every
//! release. A session keeps the last `INFO`; more may come at any time.

use super::secret::Secret;
use serde::{Deserialize, Serialize};

/// A server's description of itself and of the connection (the `INFO` line).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Unique id of the server.
    pub server_id: String,
    /// Its name, as configured.
    pub server_name: String,
    /// Its version, such as `2.15.1`.
    pub version: String,
    /// Version of Go it was built with.
    pub go: String,
    /// Address it listens on.
    pub host: String,
    /// Port it listens on.
    pub port: u16,
    /// Protocol level; 1 means that more `INFO` lines may follow.
    pub proto: i32,
    /// Whether messages may carry headers.
    pub headers: bool,
    /// Largest message in bytes, headers and payload together. It may change while connected.
    pub max_payload: i64,
    /// Whether the server has JetStream.
    pub jetstream: bool,
    /// JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Level of the JetStream API: absent is 0, 1 is server 2.11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_lvl: Option<u32>,
    /// The server's number for this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<u64>,
    /// The client's address as the server sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// Name of the cluster the server belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Addresses (`host:port`) of the cluster's servers.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Addresses (`host:port`) of the cluster's servers for WebSocket.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Whether credentials are needed.
    pub auth_required: bool,
    /// Whether the connection must be upgraded to TLS.
    pub tls_required: bool,
    /// Whether the connection may be upgraded to TLS.
    pub tls_available: bool,
    /// Whether the server asks for a client certificate.
    pub tls_verify: bool,
    /// What to sign for nkey and JWT authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Lame duck mode: the server is about to shut down.
    pub ldm: bool,
}

fn null_is_default<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(source)?.unwrap_or_default())
}

/// What a client says in its `CONNECT` line.
///
/// `verbose`, `pedantic` and `echo` are always sent: a server takes them for true when absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// Whether the server shall answer every command with `+OK`.
    pub verbose: bool,
    /// Whether the server shall check subjects more strictly.
    pub pedantic: bool,
    /// Whether the connection wants what it published itself.
    pub echo: bool,
    /// Whether the client wants TLS.
    #[serde(default)]
    pub tls_required: bool,
    /// Name of the connection, for the server's monitoring.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Language of the client.
    pub lang: String,
    /// Version of the client.
    pub version: String,
    /// 1: the client understands more than one `INFO`.
    pub protocol: u8,
    /// Whether the client understands headers.
    pub headers: bool,
    /// Whether the client wants a status 503 for requests that nobody listens to.
    pub no_responders: bool,
    /// Who the client is.
    #[serde(flatten)]
    pub authentication: Authentication,
}

/// Who a client is: the fields of `CONNECT` that say so. What is `None` is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Authentication {
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<Secret>,
    /// Token, instead of user and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Secret>,
    /// The user's JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Secret>,
    /// The user's public nkey; not needed beside a JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The server's nonce, signed: base64 for URLs, without padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<Secret>,
}

impl ConnectInfo {
    /// What a client of this crate says by default to a server that has headers.
    pub fn new() -> Self {
        Self {
            verbose: false,
            pedantic: false,
            echo: true,
            tls_required: false,
            name: String::new(),
            lang: "rust-evnats".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: 1,
            headers: true,
            no_responders: true,
            authentication: Authentication::default(),
        }
    }
}

impl Default for ConnectInfo {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_fields_have_defaults_and_unknown_ones_pass() {
        let info: ServerInfo =
            serde_json::from_str(r#"{"server_id":"x","connect_urls":null,"new_in_3":[1]}"#)
                .unwrap();
        assert_eq!((info.server_id.as_str(), info.headers, info.max_payload), ("x", false, 0));
        assert!(info.connect_urls.is_empty());
    }
}
