//! WebSocket's handshake (RFC 6455, section 4), as a client does it. No I/O.
//!
//! No extensions and no subprotocols are offered, and none are accepted.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evnats_protocol::printable;
use sha1_smol::Sha1;
use std::io;

/// The most that an answer may have before its end.
pub(super) const MAX_ANSWER: usize = 16 * 1024;

/// A request that was made, to check the answer with.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What the answer has to have in `Sec-WebSocket-Accept`.
    accept: String,
}

impl Handshake {
    /// A request for a host, with its port, and a path.
    ///
    /// # Errors
    /// There is something in them that cannot be in a request.
    pub(super) fn begin(host: &str, path: &str, random: u128) -> io::Result<(Self, Vec<u8>)> {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !is_visible(host) || !is_visible(path) {
            let text = "WebSocket takes visible ASCII characters alone in the host and the path";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let key = BASE64_STANDARD.encode(random.to_be_bytes());
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        Ok((Self { accept: accept(&key) }, request.into_bytes()))
    }

    /// Looks at what has come of the answer. Returns its length once it is complete and agrees.
    ///
    /// # Errors
    /// The server does not agree.
    pub(super) fn check(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        const END: &[u8] = b"\r\n\r\n";
        let end = bytes.windows(END.len()).position(|part| part == END);
        let Some(end) = end else {
            // what is not HTTP may never have such an end
            let begin = &bytes[..bytes.len().min(VERSION.len())];
            return match VERSION.starts_with(begin) && bytes.len() < MAX_ANSWER {
                true => Ok(None),
                false => Err(no_websocket("it is not HTTP")),
            };
        };
        let answer = String::from_utf8_lossy(&bytes[..end]);
        self.check_answer(&answer)?;
        Ok(Some(end + END.len()))
    }

    fn check_answer(&self, answer: &str) -> io::Result<()> {
        let mut lines = answer.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.ok_or_else(|| no_websocket("it is not HTTP/1.1"))?;
        let (code, _) = status.split_once(' ').unwrap_or((status, ""));
        if code != "101" {
            let text = format!("the server refuses WebSocket here: HTTP {}", printable(status));
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
        let values = |name: &str| {
            let name = name.to_owned();
            headers
                .iter()
                .filter(move |(other, _)| other.trim().eq_ignore_ascii_case(&name))
                .map(|(_, value)| value.trim())
        };
        let has = |name: &str, word: &str| {
            values(name)
                .flat_map(|value| value.split(','))
                .any(|v| v.trim().eq_ignore_ascii_case(word))
        };
        if !has("Upgrade", "websocket") || !has("Connection", "upgrade") {
            return Err(no_websocket("it does not upgrade"));
        }
        let mut accepts = values("Sec-WebSocket-Accept");
        if accepts.next() != Some(&self.accept) || accepts.next().is_some() {
            return Err(no_websocket("its answer is to another request"));
        }
        for unasked in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
            if values(unasked).any(|value| !value.is_empty()) {
                return Err(no_websocket("it wants what was not offered"));
            }
        }
        Ok(())
    }
}

const VERSION: &[u8] = b"HTTP/1.1 ";

fn accept(key: &str) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID.as_bytes());
    BASE64_STANDARD.encode(sha1.digest().bytes())
}

fn no_websocket(reason: &str) -> io::Error {
    let text = format!("the server did not answer with WebSocket: {reason}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn answer(lines: &[&str]) -> String {
        format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n\r\n", lines.join("\r\n"))
    }

    #[test]
    fn what_a_server_may_answer_and_what_not() {
        let (handshake, _) = Handshake::begin("h:80", "/", 7).unwrap();
        let accept = format!("Sec-WebSocket-Accept: {}", handshake.accept);
        let upgrade = "Upgrade: websocket";
        let right = answer(&[upgrade, "Connection: Upgrade", &accept]);
        assert_eq!(handshake.check(format!("{right}after").as_bytes()).unwrap(), Some(right.len()));
        let odd =
            answer(&["uPGRADE:WebSocket", &accept, "X: y", "connection: keep-alive, upgrade"]);
        assert!(handshake.check(odd.as_bytes()).unwrap().is_some());
        for end in 0..right.len() {
            assert_eq!(handshake.check(&right.as_bytes()[..end]).unwrap(), None);
        }
        let other = accept.replace(": ", ": x");
        for wrong in [
            answer(&[upgrade, "Connection: Upgrade"]),
            answer(&[upgrade, "Connection: Upgrade", &other]),
            answer(&[upgrade, "Connection: Upgrade", &accept, &other]),
            answer(&[upgrade, "Connection: close", &accept]),
            answer(&["Upgrade: h2c", "Connection: Upgrade", &accept]),
            answer(&[upgrade, "Connection: Upgrade", &accept, "Sec-WebSocket-Extensions: x"]),
            answer(&[upgrade, "Connection: Upgrade", &accept, "Sec-WebSocket-Protocol: x"]),
            right.replace("HTTP/1.1", "HTTP/1.0"),
            right.replace("101", "200"),
            "SSH-2.0-x".into(),
            format!("HTTP/1.1 101 {}", "x".repeat(MAX_ANSWER)),
        ] {
            assert!(handshake.check(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_cannot_be_smuggled_in() {
        for (host, path) in
            [("h", "/a b"), ("h", "/a\r\nX: y"), ("h\r\n", "/"), ("ü", "/"), ("", "/")]
        {
            let error = Handshake::begin(host, path, 7).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_refusal_forges_no_line_of_a_log() {
        let (handshake, _) = Handshake::begin("h:80", "/", 7).unwrap();
        let error = handshake.check(b"HTTP/1.1 403 \x1b[2J\r\n\r\n").unwrap_err().to_string();
        assert!(error.contains("HTTP 403 \\u{1b}[2J"), "{error}");
    }
}
