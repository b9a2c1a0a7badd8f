//! The options of a connection, and the forms in which a server's address can be written.

use crate::error::{Error, Result};
use evnats_protocol::{Limits, SessionConfig};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The options of a connection. `"nats://127.0.0.1:4222"` is enough where the defaults will do.
///
/// ```
/// use evnats::Options;
/// use std::time::Duration;
/// let options = Options::new("nats://127.0.0.1:4222")
///     .name("billing")
///     .request_timeout(Duration::from_secs(2));
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) server: String,
    pub(crate) session: SessionConfig,
    pub(crate) request_timeout: Duration,
}

impl Options {
    /// Options for a server: `nats://host[:port]` or `host[:port]`, port 4222 if none is given, an
    /// IPv6 address in brackets; or `unix:path` for a Unix socket.
    pub fn new(server: impl Into<String>) -> Self {
        let session = SessionConfig::default();
        Self { server: server.into(), session, request_timeout: Duration::from_secs(5) }
    }

    /// Options for a server, or something in front of one, that listens on a Unix socket.
    pub fn unix(path: impl AsRef<Path>) -> Self {
        Self::new(format!("unix:{}", path.as_ref().display()))
    }

    /// The connection's name in the server's monitoring. Default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.session.connect.name = name.into();
        self
    }

    /// Whether the connection receives what it published itself. Default: true.
    pub fn echo(mut self, echo: bool) -> Self {
        self.session.connect.echo = echo;
        self
    }

    /// Has the server answer every command with `+OK`; for debugging servers. Default: false.
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.session.connect.verbose = verbose;
        self
    }

    /// Has the server check subjects more strictly. Default: false.
    pub fn pedantic(mut self, pedantic: bool) -> Self {
        self.session.connect.pedantic = pedantic;
        self
    }

    /// The first token or tokens of inboxes, a literal subject. Default: `_INBOX`.
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.session.inbox_prefix = prefix.into();
        self
    }

    /// Time for address look-up, connecting and handshake together. Default: 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.session.connect_timeout = timeout;
        self
    }

    /// Time for requests that do not say their own, JetStream's and Key-Value's included, and for
    /// flushes. Default: 5 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Time between keep-alive pings, and how many may be unanswered before the connection counts
    /// as stale. Default: 2 min, 2 pings. A zero interval turns them off.
    pub fn keep_alive(mut self, interval: Duration, max_outstanding: u32) -> Self {
        self.session.ping_interval = interval;
        self.session.max_pings_outstanding = max_outstanding;
        self
    }

    /// Time for a drain of the connection. Default: 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.session.drain_timeout = timeout;
        self
    }

    /// Most bytes that wait to be written, and the number at which `on_writable` is called after
    /// a command was refused for it. Default: 64 MiB and 16 MiB.
    pub fn outgoing_limit(mut self, max: usize, low_water: usize) -> Self {
        self.session.max_buffered = max;
        self.session.low_water = low_water.min(max);
        self
    }

    /// Longest control line to send; raise it with the server's `max_control_line`. Default: 4096
    /// bytes.
    pub fn max_control_line(mut self, max: usize) -> Self {
        self.session.max_control_line = max;
        self
    }

    /// What the server may have the client hold. Default: see [`Limits`].
    pub fn incoming_limits(mut self, limits: Limits) -> Self {
        self.session.limits = limits;
        self
    }
}

impl From<&str> for Options {
    fn from(server: &str) -> Self {
        Self::new(server)
    }
}

impl From<String> for Options {
    fn from(server: String) -> Self {
        Self::new(server)
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        const DEFAULT_PORT: u16 = 4222;
        let invalid = |reason| {
            // what stands before the last @ may be a password
            let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
            Error::InvalidUrl { url: shown.to_owned(), reason }
        };
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.is_empty() {
                true => Err(invalid("the path is missing")),
                false => Ok(Self::Unix(path.into())),
            };
        }
        let authority = match url.split_once("://") {
            Some(("nats", authority)) => authority,
            Some(("tls" | "ws" | "wss", _)) => {
                return Err(invalid("this version speaks nats:// and unix: only"));
            }
            Some(_) => return Err(invalid("unknown scheme, use nats://")),
            None => url,
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return Err(invalid("this version does not authenticate"));
        }
        if authority.contains(',') {
            return Err(invalid("this version takes one server"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| invalid("']' is missing"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| invalid("the port is not a number"))?,
            None if port.is_empty() => DEFAULT_PORT,
            None => return Err(invalid("only a port may follow the host")),
        };
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(invalid("the host is missing or malformed"));
        }
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_addresses() {
        let tcp = |host: &str, port| Address::Tcp(host.to_owned(), port);
        let table = [
            ("nats://demo:4223", tcp("demo", 4223)),
            ("nats://demo", tcp("demo", 4222)),
            ("demo", tcp("demo", 4222)),
            ("127.0.0.1:1/", tcp("127.0.0.1", 1)),
            ("nats://[::1]:4223", tcp("::1", 4223)),
            ("[::1]", tcp("::1", 4222)),
            ("unix:/run/nats.sock", Address::Unix("/run/nats.sock".into())),
            ("unix:///run/nats.sock", Address::Unix("/run/nats.sock".into())),
        ];
        for (url, address) in table {
            assert_eq!(Address::parse(url).unwrap(), address, "{url}");
        }
    }

    #[test]
    fn malformed_addresses_and_no_secrets_in_their_errors() {
        for url in [
            "",
            "nats://",
            ":4222",
            "http://a",
            "tls://a",
            "a:b",
            "a:70000",
            "[::1",
            "a b",
            "[::1]x",
            "nats://a/b",
            "a,b",
            "unix:",
        ] {
            assert!(matches!(Address::parse(url), Err(Error::InvalidUrl { .. })), "{url}");
        }
        let error = Address::parse("nats://joe:s3cret@a:4222").unwrap_err().to_string();
        assert!(!error.contains("s3cret") && error.contains("authenticate"), "{error}");
    }
}
