//! Server URLs: where a server is, how to reach it, and with which credentials.
//!
//! `nats://host:4222` is the full form; the scheme is optional, and so is the port. Host names are
//! not looked up.
//!
//! Invariant: no text that is shown contains a secret. Of a URL that is understood, the user
//! information and the query are left out; of one that is not, nothing is shown but its place and
//! the reason, because nobody knows what in it is secret. For the same reason, what could be two
//! servers as well as one with a comma in its password is refused.

use crate::wire::secret::Secret;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use thiserror::Error;

/// The address of a server, and how to connect to it.
///
/// ```
/// use evnats_protocol::{Scheme, ServerUrl};
/// let url: ServerUrl = "tls://joe:s3cret@demo".parse()?;
/// assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Tls, "demo", 4222));
/// assert_eq!(url.to_string(), "tls://demo:4222", "no secrets are shown");
/// # Ok::<(), evnats_protocol::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    user_info: Option<UserInfo>,
    path: String,
}

/// How to connect to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `nats`: TCP, and TLS if the server requires it. Port 4222.
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

/// The credentials before the `@` of a URL, percent-decoded.
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

/// A URL that cannot be used. It does not show it, because what cannot be understood may be secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", describe(*place, reason))]
pub struct UrlError {
    /// Its place in the list, from 1.
    pub place: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn describe(place: usize, reason: &str) -> String {
    match place {
        1 => format!("invalid server URL: {reason}"),
        _ => format!("invalid server URL (number {place} of the list): {reason}"),
    }
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

    const ALL: [Self; 5] =
        [Self::Nats, Self::Tls, Self::WebSocket, Self::SecureWebSocket, Self::Unix];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }

    fn default_port(self) -> u16 {
        match self {
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
            _ => 4222,
        }
    }

    /// Whether the scheme itself requires TLS.
    #[must_use]
    pub fn demands_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Whether the protocol is carried in WebSocket frames.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

impl ServerUrl {
    /// Parses one URL or several, separated by commas. What is empty between commas is passed over.
    ///
    /// # Errors
    /// The first one that is malformed, or that there is none.
    pub fn parse_list(urls: &str) -> Result<Vec<Self>, UrlError> {
        let mut parsed = Vec::new();
        for part in urls.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let place = parsed.len() + 1;
            let is_alone = place == 1 || has_scheme(part);
            let url = parse(part).and_then(|url| match url.user_info {
                Some(_) if !is_alone => Err(AMBIGUOUS),
                _ => Ok(url),
            });
            parsed.push(url.map_err(|reason| UrlError { place, reason })?);
        }
        match parsed.is_empty() {
            true => Err(UrlError { place: 1, reason: "no server is named" }),
            false => Ok(parsed),
        }
    }

    /// How to connect to the server.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address, without brackets. Empty for a Unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port. 4222 if none is given, 80 for `ws` and 443 for `wss`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of a Unix socket, or of a WebSocket request with its query, which may be secret.
    /// Empty for other schemes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The credentials for this server.
    #[must_use]
    pub fn user_info(&self) -> Option<&UserInfo> {
        self.user_info.as_ref()
    }

    /// Whether the host is an address and not a name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// `host:port`, as servers announce each other; an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// A server that this one has announced as `host:port`, to be connected to in the same way.
    pub(crate) fn announced(&self, authority: &str) -> Option<Self> {
        let (host, port) = parse_authority(authority).ok()?;
        let port = port.unwrap_or(self.scheme.default_port());
        Some(Self { host: host.to_owned(), port, ..self.clone() })
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        parse(url.trim()).map_err(|reason| UrlError { place: 1, reason })
    }
}

const AMBIGUOUS: &str = "a comma in user information has to be written as %2C; and if this is \
                         another server with user information, its scheme has to come first";
const ENCODE: &str = "in user information, the characters / ? # @ % have to be percent-encoded";

fn has_scheme(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| Scheme::named(scheme).is_some())
}

fn parse(url: &str) -> Result<ServerUrl, &'static str> {
    let (scheme, rest) = parse_scheme(url)?;
    if scheme == Scheme::Unix {
        let path = rest.to_owned();
        if path.is_empty() {
            return Err("the path is missing");
        }
        let (host, user_info) = (String::new(), None);
        return Ok(ServerUrl { scheme, host, port: 0, user_info, path });
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (route, _query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    if route.contains('@') || (!scheme.is_websocket() && path.contains('@')) {
        // more likely the end of a password than a path
        return Err(ENCODE);
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("in a path, all but visible ASCII characters have to be percent-encoded");
    }
    if !scheme.is_websocket() && !matches!(path, "" | "/") {
        return Err("only a port may follow the host");
    }
    // the last @ ends the user information, which may contain others
    let (user_info, authority) = match authority.rsplit_once('@') {
        Some((user_info, authority)) => (Some(parse_user_info(user_info)?), authority),
        None => (None, authority),
    };
    let (host, port) = parse_authority(authority)?;
    let path = path.split('#').next().unwrap_or_default();
    let path = match scheme.is_websocket() {
        false => String::new(),
        true if path.starts_with('/') => path.to_owned(),
        true => format!("/{path}"),
    };
    let port = port.unwrap_or(scheme.default_port());
    Ok(ServerUrl { scheme, host: host.to_owned(), port, user_info, path })
}

/// The scheme, and what follows it.
fn parse_scheme(url: &str) -> Result<(Scheme, &str), &'static str> {
    let (before, after) = url.split_once(':').unwrap_or((url, ""));
    match (Scheme::named(before), after.strip_prefix("//")) {
        (Some(Scheme::Unix), path) => Ok((Scheme::Unix, path.unwrap_or(after))),
        (Some(scheme), Some(rest)) => Ok((scheme, rest)),
        (None, Some(_)) => Err("unknown scheme, use nats, tls, ws, wss or unix"),
        // a host that is called as a scheme is, with its port
        (Some(_), None) if !after.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("two slashes have to follow the scheme")
        }
        (_, None) => Ok((Scheme::Nats, url)),
    }
}

/// The host, without brackets, and the port.
fn parse_authority(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("']' is missing")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_bracketed = authority.starts_with('[');
    if !is_bracketed && is_unbracketed_ipv6(authority) {
        return Err("an IPv6 address has to be in brackets");
    }
    if host.is_empty() {
        return Err("the host is missing");
    }
    if is_bracketed != host.contains(':') || !(is_ipv6(host) || host.chars().all(is_of_host)) {
        return Err("the host is malformed");
    }
    match port.strip_prefix(':') {
        Some(port) => Ok((host, Some(parse_port(port)?))),
        None if port.is_empty() => Ok((host, None)),
        None => Err("only a port may follow the host"),
    }
}

fn parse_port(port: &str) -> Result<u16, &'static str> {
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the port is not a number (and user information ends with an @)");
    }
    let port = port.parse().ok().filter(|port| *port > 0);
    port.ok_or("the port is not between 1 and 65535")
}

/// Whether an address was given without its brackets, perhaps with a port behind it.
fn is_unbracketed_ipv6(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or("", |(host, _)| host);
    authority.parse::<Ipv6Addr>().is_ok() || (host.contains(':') && is_ipv6(host))
}

/// Whether it is an address, perhaps with a zone: `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(is_of_host)
}

/// Letters of other scripts are left to the resolver.
fn is_of_host(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-' | '_')
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

/// Without the user information and without the query.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Unix => write!(f, "unix:{}", self.path.escape_debug()),
            scheme => {
                let path = self.path.split('?').next().filter(|path| *path != "/");
                let path = path.unwrap_or_default().escape_debug();
                write!(f, "{}://{}{path}", scheme.name(), self.authority())
            }
        }
    }
}

/// As [`Display`](fmt::Display), without what may be secret.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

#[cfg(test)]
mod tests;
