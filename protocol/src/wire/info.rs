//! How the two sides introduce themselves: `INFO` and `CONNECT`.
//!
//! Absent booleans are false, and unknown fields are kept: servers add some with every release. A
//! session keeps the last `INFO`; more may arrive at any time. Nothing here is checked for sense.

use super::secret::Secret;
use super::version::ServerVersion;
use crate::setters::setters;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A server's description of itself and of the connection (the `INFO` line).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Unique id of the server.
    #[serde(deserialize_with = "null_is_default")]
    pub server_id: String,
    /// Its configured name.
    #[serde(deserialize_with = "null_is_default")]
    pub server_name: String,
    /// Its version, such as `2.15.1`.
    #[serde(deserialize_with = "null_is_default")]
    pub version: String,
    /// Version of Go it was built with.
    #[serde(deserialize_with = "null_is_default")]
    pub go: String,
    /// Address it listens on.
    #[serde(deserialize_with = "null_is_default")]
    pub host: String,
    /// Port it listens on.
    #[serde(deserialize_with = "null_is_default")]
    pub port: u16,
    /// Protocol level; 1 means that more `INFO` lines may follow.
    #[serde(deserialize_with = "null_is_default")]
    pub proto: i32,
    /// Whether messages may carry headers.
    #[serde(deserialize_with = "null_is_default")]
    pub headers: bool,
    /// Maximum size of a message in bytes, headers and payload together. It may change while
    /// connected.
    #[serde(deserialize_with = "null_is_default")]
    pub max_payload: i64,
    /// Whether the server has JetStream.
    #[serde(deserialize_with = "null_is_default")]
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
    /// Addresses (`host:port`) of the cluster's servers; on a WebSocket, those for WebSocket.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Addresses (`host:port`) of the cluster's servers for WebSocket, on other connections.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Whether credentials are needed.
    #[serde(deserialize_with = "null_is_default")]
    pub auth_required: bool,
    /// Whether the connection must be upgraded to TLS.
    #[serde(deserialize_with = "null_is_default")]
    pub tls_required: bool,
    /// Whether the connection may be upgraded to TLS.
    #[serde(deserialize_with = "null_is_default")]
    pub tls_available: bool,
    /// Whether the server asks for a client certificate.
    #[serde(deserialize_with = "null_is_default")]
    pub tls_verify: bool,
    /// The nonce to sign for nkey and JWT authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Lame duck mode: the server is about to shut down.
    #[serde(deserialize_with = "null_is_default")]
    pub ldm: bool,
    /// Fields that this version does not know, by their names.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ServerInfo {
    /// The version as numbers that can be compared: `info.server_version() >= Some((2, 10,
    /// 0).into())`. `None` if [`version`](Self::version) has another form.
    #[must_use]
    pub fn server_version(&self) -> Option<ServerVersion> {
        ServerVersion::parse(&self.version)
    }
}

/// Servers and clients take a null for an absent field.
fn null_is_default<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(source)?.unwrap_or_default())
}

/// What servers assume when the field is absent.
fn null_is_true<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(source)?.unwrap_or(true))
}

fn yes() -> bool {
    true
}

/// A client's description of itself and of what it wants (the `CONNECT` line).
///
/// `verbose`, `pedantic` and `echo` are always sent: a server assumes true when they are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// Whether the server should answer every command with `+OK`. Default: false.
    #[serde(default = "yes", deserialize_with = "null_is_true")]
    pub verbose: bool,
    /// Whether the server should check subjects more strictly. Default: false.
    #[serde(default = "yes", deserialize_with = "null_is_true")]
    pub pedantic: bool,
    /// Whether the connection receives its own messages, if it subscribes to them. Default: true.
    #[serde(default = "yes", deserialize_with = "null_is_true")]
    pub echo: bool,
    /// Whether the client requires TLS. Default: false.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tls_required: bool,
    /// Name of the connection, for the server's monitoring. Default: empty.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub name: String,
    /// Language of the client.
    #[serde(default, deserialize_with = "null_is_default")]
    pub lang: String,
    /// Version of the client.
    #[serde(default, deserialize_with = "null_is_default")]
    pub version: String,
    /// 1: the client understands more than one `INFO`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub protocol: u8,
    /// Whether the client understands headers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub headers: bool,
    /// Whether the client wants a status 503 for requests on subjects without a subscriber.
    #[serde(default, deserialize_with = "null_is_default")]
    pub no_responders: bool,
    /// The client's credentials.
    #[serde(flatten)]
    pub authentication: Authentication,
    /// Fields that this version does not know, by their names. They are sent unchanged, and shown
    /// in `Debug`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A client's credentials, as `CONNECT` has them. A field that is `None` is not sent.
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
    /// The server's nonce, signed by a proxy that the server trusts, beside the client's own
    /// credentials: base64 for URLs, without padding (server 2.12, ADR-55).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_sig: Option<Secret>,
}

impl ConnectInfo {
    /// The defaults of this crate, for a server that supports headers.
    #[must_use]
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
            other: Map::new(),
        }
    }

    setters! {
        verbose: bool,
        pedantic: bool,
        echo: bool,
        tls_required: bool,
        name: impl Into<String>,
        lang: impl Into<String>,
        version: impl Into<String>,
        headers: bool,
        no_responders: bool,
        authentication: Authentication,
    }
}

impl Authentication {
    /// No credentials.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user name.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the password of the user.
    #[must_use]
    pub fn pass(mut self, pass: impl Into<Secret>) -> Self {
        self.pass = Some(pass.into());
        self
    }

    /// Sets the token, which takes the place of user and password.
    #[must_use]
    pub fn auth_token(mut self, token: impl Into<Secret>) -> Self {
        self.auth_token = Some(token.into());
        self
    }

    /// Sets the user's JWT.
    #[must_use]
    pub fn jwt(mut self, jwt: impl Into<Secret>) -> Self {
        self.jwt = Some(jwt.into());
        self
    }

    /// Sets the user's public nkey.
    #[must_use]
    pub fn nkey(mut self, nkey: impl Into<String>) -> Self {
        self.nkey = Some(nkey.into());
        self
    }

    /// Sets the signed nonce: base64 for URLs, without padding.
    #[must_use]
    pub fn sig(mut self, sig: impl Into<Secret>) -> Self {
        self.sig = Some(sig.into());
        self
    }

    /// Sets the nonce signed by a trusted proxy: base64 for URLs, without padding.
    #[must_use]
    pub fn proxy_sig(mut self, sig: impl Into<Secret>) -> Self {
        self.proxy_sig = Some(sig.into());
        self
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
    fn absent_and_null_fields_have_defaults_and_unknown_ones_are_kept() {
        let text = r#"{"server_id":"x","connect_urls":null,"version":"2.11.1","new_in_3":[1]}"#;
        let info: ServerInfo = serde_json::from_str(text).unwrap();
        assert_eq!((info.server_id.as_str(), info.headers, info.max_payload), ("x", false, 0));
        assert!(info.connect_urls.is_empty());
        assert!(info.server_version().unwrap() >= (2, 11, 0));
        assert_eq!(info.other.len(), 1);
        let again = serde_json::to_value(&info).unwrap();
        assert_eq!(again["new_in_3"], serde_json::json!([1]));
    }

    #[test]
    fn what_a_later_client_says_is_kept_beside_its_credentials() {
        let mut connect = ConnectInfo::new().authentication(Authentication::new().user("joe"));
        connect.other.insert("import_mode".into(), true.into());
        let text = serde_json::to_string(&connect).unwrap();
        assert!(
            text.contains(r#""user":"joe""#) && text.contains(r#""import_mode":true"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<ConnectInfo>(&text).unwrap(), connect);
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let text = r#"{"server_id":null,"port":null,"headers":null,"max_payload":null,"ldm":null}"#;
        assert_eq!(serde_json::from_str::<ServerInfo>(text).unwrap(), ServerInfo::default());
    }

    #[test]
    fn a_connect_without_fields_says_what_servers_assume() {
        for text in ["{}", r#"{"verbose":null,"echo":null,"lang":null,"protocol":null}"#] {
            let connect: ConnectInfo = serde_json::from_str(text).unwrap();
            assert!(connect.verbose && connect.pedantic && connect.echo);
            assert!(!connect.headers && !connect.no_responders && connect.lang.is_empty());
            assert_eq!(connect.protocol, 0);
        }
    }

    #[test]
    fn unknown_numbers_are_sent_back_as_they_came() {
        let text = r#"{"a":-3.597847523160892e-242,"b":18446744073709551615,"c":1.0}"#;
        let info: ServerInfo = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&info).unwrap();
        assert_eq!(serde_json::from_str::<ServerInfo>(&again).unwrap(), info);
        assert!(again.contains("3.597847523160892e-242"), "{again}");
    }
}
