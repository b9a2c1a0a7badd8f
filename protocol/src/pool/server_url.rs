//! Server URLs: what people write to say where a server is, and who they are there.
//!
//! `nats://host:4222` is the full form; the scheme may be left out, and so may the port. It does
//! not look anything up.

use crate::wire::secret::Secret;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use thiserror::Error;

/// Where a server is, and how to speak to it.
///
/// ```
/// use evnats_protocol::{Scheme, ServerUrl};
/// let url: ServerUrl = "tls://joe:s3cret@demo".parse()?;
/// assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Tls, "demo", 4222));
/// assert_eq!(url.to_string(), "tls://demo:4222", "no secrets are shown");
/// # Ok::<(), evnats_protocol::UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    user_info: Option<UserInfo>,
    path: String,
}

/// How to speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `nats`: TCP, and TLS if the server demands it. Port 4222.
    Nats,
    /// `tls`: TCP, and TLS always. Port 4222.
    Tls,
    /// `ws`: WebSocket. Port 80.
    WebSocket,
    /// `wss`: WebSocket over TLS. Port 443.
    SecureWebSocket,
    /// `unix`: a Unix socket, named by the path.
    Unix,
}

/// Who somebody is, written before the `@` of a URL, percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserInfo {
    /// `token@`
    Token(Secret),
    /// `user:password@`
    User {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// A URL that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid server URL {url:?}: {reason}")]
pub struct UrlError {
    /// The URL, without what stands before the last `@`: it may be a password.
    pub url: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Unix => "unix",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
            _ => 4222,
        }
    }

    /// Whether the scheme itself demands TLS.
    pub fn demands_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Whether the protocol travels in WebSocket frames.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

impl ServerUrl {
    /// One URL or several, with commas between them.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub fn parse_list(urls: &str) -> Result<Vec<Self>, UrlError> {
        urls.split(',').map(|url| url.trim().parse()).collect()
    }

    /// How to speak to the server.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address, without brackets. Empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. 4222 if none is given, 80 for `ws` and 443 for `wss`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of a Unix socket, or the path that a WebSocket server is asked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Who to be there.
    pub fn user_info(&self) -> Option<&UserInfo> {
        self.user_info.as_ref()
    }

    /// Whether the host is an address and not a name.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// `host:port`, as servers announce each other; an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// A server that this one has announced as `host:port`: to be spoken to in the same way.
    pub(crate) fn announced(&self, authority: &str) -> Option<Self> {
        let (host, port) = split_port(authority).ok()?;
        let port = port.unwrap_or(self.scheme.default_port());
        let valid = !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']);
        valid.then(|| Self { host: host.to_owned(), port, ..self.clone() })
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
        parse(url).map_err(|reason| UrlError { url: shown.to_owned(), reason })
    }
}

fn parse(url: &str) -> Result<ServerUrl, &'static str> {
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path).to_owned();
        if path.is_empty() {
            return Err("the path is missing");
        }
        let (host, user_info) = (String::new(), None);
        return Ok(ServerUrl { scheme: Scheme::Unix, host, port: 0, user_info, path });
    }
    let (scheme, rest) = match url.split_once("://") {
        Some(("nats", rest)) => (Scheme::Nats, rest),
        Some(("tls", rest)) => (Scheme::Tls, rest),
        Some(("ws", rest)) => (Scheme::WebSocket, rest),
        Some(("wss", rest)) => (Scheme::SecureWebSocket, rest),
        Some(_) => return Err("unknown scheme, use nats, tls, ws, wss or unix"),
        None => (Scheme::Nats, url),
    };
    // the last @ ends the user information, whatever it holds itself
    let (user_info, rest) = match rest.rsplit_once('@') {
        Some((user_info, rest)) => (Some(parse_user_info(user_info)?), rest),
        None => (None, rest),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !scheme.is_websocket() && path.len() > 1 {
        return Err("only a port may follow the host");
    }
    let (host, port) = split_port(authority)?;
    if host.is_empty() || host.contains(['?', '#', ' ', ',']) {
        return Err("the host is missing or malformed");
    }
    let path = if scheme.is_websocket() && path.is_empty() { "/" } else { path };
    let port = port.unwrap_or(scheme.default_port());
    let path = if scheme.is_websocket() { path.to_owned() } else { String::new() };
    Ok(ServerUrl { scheme, host: host.to_owned(), port, user_info, path })
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("']' is missing")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    match port.strip_prefix(':') {
        Some(port) => Ok((host, Some(port.parse().map_err(|_| "the port is not a number")?))),
        None if port.is_empty() => Ok((host, None)),
        None => Err("only a port may follow the host"),
    }
}

fn parse_user_info(text: &str) -> Result<UserInfo, &'static str> {
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| "the user information is not UTF-8")
    };
    match text.split_once(':') {
        Some((user, password)) => {
            Ok(UserInfo::User { user: decode(user)?, password: decode(password)?.into() })
        }
        None if text.is_empty() => Err("the user information is empty"),
        None => Ok(UserInfo::Token(decode(text)?.into())),
    }
}

/// Without the user information.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Unix => write!(f, "unix:{}", self.path),
            scheme => {
                let path = Some(&self.path).filter(|path| *path != "/").map_or("", |path| path);
                write!(f, "{}://{}{path}", scheme.name(), self.authority())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_urls() {
        let table = [
            ("nats://demo:4223", "nats://demo:4223"),
            ("nats://demo", "nats://demo:4222"),
            ("demo", "nats://demo:4222"),
            ("127.0.0.1:1/", "nats://127.0.0.1:1"),
            ("nats://[::1]:4223", "nats://[::1]:4223"),
            ("[::1]", "nats://[::1]:4222"),
            ("tls://demo", "tls://demo:4222"),
            ("ws://demo", "ws://demo:80"),
            ("wss://demo/nats", "wss://demo:443/nats"),
            ("nats://joe:s3cret@demo", "nats://demo:4222"),
            ("unix:/run/nats.sock", "unix:/run/nats.sock"),
            ("unix:///run/nats.sock", "unix:/run/nats.sock"),
        ];
        for (url, shown) in table {
            assert_eq!(url.parse::<ServerUrl>().unwrap().to_string(), shown, "{url}");
        }
        assert_eq!(ServerUrl::parse_list("a, nats://b:1,[::1]").unwrap().len(), 3);
    }

    #[test]
    fn user_information_is_percent_decoded() {
        let user_info = |url: &str| url.parse::<ServerUrl>().unwrap().user_info;
        let user = |user: &str, password: &str| {
            Some(UserInfo::User { user: user.into(), password: password.into() })
        };
        assert_eq!(user_info("nats://joe:s3cret@a"), user("joe", "s3cret"));
        assert_eq!(user_info("nats://j%40e:p%3aw%2F@a"), user("j@e", "p:w/"));
        assert_eq!(user_info("nats://joe:p@ss@a"), user("joe", "p@ss"));
        assert_eq!(user_info("nats://joe:@a"), user("joe", ""));
        assert_eq!(user_info("nats://t0ken@a"), Some(UserInfo::Token("t0ken".into())));
        assert_eq!(user_info("nats://a"), None);
    }

    #[test]
    fn malformed_urls_and_no_secrets_in_their_errors() {
        for url in [
            "",
            "nats://",
            ":4222",
            "http://a",
            "a:b",
            "a:70000",
            "[::1",
            "a b",
            "[::1]x",
            "nats://a/b",
            "unix:",
            "nats://@a",
            "a,",
        ] {
            assert!(ServerUrl::parse_list(url).is_err(), "{url}");
        }
        let error = "nats://joe:s3cret@a:x".parse::<ServerUrl>().unwrap_err().to_string();
        assert!(!error.contains("s3cret") && error.contains("port"), "{error}");
        let url = "nats://joe:s3cret@a".parse::<ServerUrl>().unwrap();
        assert!(!format!("{url:?} {url}").contains("s3cret"));
    }
}
