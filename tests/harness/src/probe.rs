//! Readiness by protocol: a server is ready when it has answered, not when some time has passed.
//!
//! One attempt connects, reads `INFO`, sends `CONNECT` and `PING` and waits for `PONG`; with
//! JetStream it also waits for an answer of the JetStream API. Who answers must give the expected
//! server name, for the port may belong to somebody else's server by now. A server that demands TLS
//! or credentials, which the probe has not got, has proven by demanding them that it serves
//! clients; its JetStream is up by then, as it is enabled before clients are accepted.

use crate::Version;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long one step of an attempt may take. Generous, as a server may be starved on a busy
/// machine; a refused connection, which is the common case, fails at once.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);

const CONNECT_AND_PING: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
    \"protocol\":1,\"lang\":\"rust\",\"version\":\"0\",\"name\":\"harness probe\"}\r\nPING\r\n";

/// Asks for the state of the account's JetStream.
pub(crate) const JETSTREAM_INFO: &str = "$JS.API.INFO";

/// What a ready server is known by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) port: u16,
    pub(crate) server_name: &'a str,
    pub(crate) jetstream: Jetstream,
}

/// What is expected of JetStream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jetstream {
    /// Nothing.
    Off,
    /// That it is on. A node of a cluster may find itself without a majority that could answer.
    On,
    /// That its API answers.
    Answers,
}

/// Makes one attempt. An error says what was wrong with it, for a person to read.
pub(crate) fn probe(expected: Expected<'_>) -> Result<Version, String> {
    let mut connection = Connection::open(expected.port)?;
    let info = connection.info(expected.server_name)?;
    let version = info["version"].as_str().unwrap_or_default().parse::<Version>();
    let version = version.map_err(|error| error.to_string())?;
    if expected.jetstream != Jetstream::Off && info["jetstream"] != true {
        return Err("INFO says that JetStream is off".to_owned());
    }
    if connection.handshake(&info)? == Access::Granted && expected.jetstream == Jetstream::Answers {
        connection.request(JETSTREAM_INFO, "")?;
    }
    Ok(version)
}

/// Whether somebody accepts connections on the port, for servers that do not speak before a TLS
/// handshake.
pub(crate) fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), STEP_TIMEOUT).is_ok()
}

/// A connection of one attempt.
pub(crate) struct Connection(BufReader<TcpStream>);

/// How a server took the handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It has answered a `PING`.
    Granted,
    /// It wants TLS or credentials.
    Demanded,
}

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Connection, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)
            .map_err(|error| format!("connect: {error}"))?;
        stream
            .set_read_timeout(Some(STEP_TIMEOUT))
            .and_then(|()| stream.set_write_timeout(Some(STEP_TIMEOUT)))
            .map_err(|error| format!("set timeouts: {error}"))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// How long each further answer is waited for.
    pub(crate) fn set_patience(&self, patience: Duration) -> Result<(), String> {
        let set = self.0.get_ref().set_read_timeout(Some(patience));
        set.map_err(|error| format!("set timeouts: {error}"))
    }

    /// Reads the `INFO` that the server of this name begins with.
    pub(crate) fn info(&mut self, server_name: &str) -> Result<Value, String> {
        let line = self.line("INFO")?;
        let info =
            line.strip_prefix("INFO ").ok_or_else(|| format!("expected INFO, got {line:?}"))?;
        let info: Value =
            serde_json::from_str(info).map_err(|error| format!("INFO is not JSON: {error}"))?;
        let name = info["server_name"].as_str().unwrap_or_default();
        if name == server_name {
            Ok(info)
        } else {
            Err(format!("the port belongs to another server, {name:?}"))
        }
    }

    /// Does the rest of the handshake, as far as it goes without TLS and credentials.
    pub(crate) fn handshake(&mut self, info: &Value) -> Result<Access, String> {
        if info["tls_required"] == true {
            return Ok(Access::Demanded);
        }
        self.send(CONNECT_AND_PING)?;
        loop {
            let line = self.line("PONG")?;
            match line.as_str() {
                "PONG" => return Ok(Access::Granted),
                "PING" => self.send(b"PONG\r\n")?,
                _ if line.starts_with("-ERR 'Authorization") => return Ok(Access::Demanded),
                _ if line.starts_with("-ERR") => return Err(format!("the server refuses: {line}")),
                _ => {} // +OK, or another INFO
            }
        }
    }

    /// The answer to a request. One for each connection.
    pub(crate) fn request(&mut self, subject: &str, payload: &str) -> Result<String, String> {
        let length = payload.len();
        self.send(
            format!("SUB _INBOX.probe 1\r\nPUB {subject} _INBOX.probe {length}\r\n{payload}\r\n")
                .as_bytes(),
        )?;
        self.message(&format!("an answer to {subject}"))
    }

    /// Subscribes, and returns when the server knows of it.
    pub(crate) fn subscribe(&mut self, subject: &str) -> Result<(), String> {
        self.send(format!("SUB {subject} 1\r\nPING\r\n").as_bytes())?;
        while self.line("PONG")? != "PONG" {}
        Ok(())
    }

    /// Publishes a message without a payload.
    pub(crate) fn publish(&mut self, subject: &str) -> Result<(), String> {
        self.send(format!("PUB {subject} 0\r\n\r\n").as_bytes())
    }

    /// The payload of the next message, which has one line.
    pub(crate) fn message(&mut self, awaited: &str) -> Result<String, String> {
        loop {
            let line = self.line(awaited)?;
            if line.starts_with("MSG ") {
                return self.line("the message's payload");
            }
            if line.starts_with("HMSG ") {
                return Err(format!("nobody answers: {awaited}"));
            }
            match line.as_str() {
                "PING" => self.send(b"PONG\r\n")?,
                _ if line.starts_with("-ERR") => return Err(format!("the server refuses: {line}")),
                _ => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.get_mut().write_all(bytes).map_err(|error| format!("send: {error}"))
    }

    fn line(&mut self, awaited: &str) -> Result<String, String> {
        // no control line is nearly as long; a peer that never ends one shall not fill the memory
        const LIMIT: u64 = 1 << 20;
        let mut line = Vec::new();
        match self.0.by_ref().take(LIMIT).read_until(b'\n', &mut line) {
            Ok(0) => Err(format!("closed while waiting for {awaited}")),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(error) => Err(format!("waiting for {awaited}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScriptedServer;

    #[test]
    fn readiness_needs_the_right_answers() {
        type Case = (&'static str, bool, fn(&mut crate::Script), Result<(), &'static str>);
        let table: [Case; 9] = [
            ("plain", false, |s| drop(s.handshake()), Ok(())),
            (
                "other name",
                false,
                |s| s.send_info_with(r#""server_name":"other""#),
                Err("another server"),
            ),
            ("garbage", false, |s| s.send(b"HTTP/1.1 400\r\n"), Err("expected INFO")),
            ("closed", false, |_| (), Err("closed while waiting for INFO")),
            ("tls", true, |s| s.send_info_with(r#""tls_required":true"#), Ok(())),
            (
                "no jetstream",
                true,
                |s| s.send_info_with(r#""jetstream":false"#),
                Err("JetStream is off"),
            ),
            (
                "credentials",
                true,
                |s| {
                    s.send_info_with(r#""auth_required":true"#);
                    s.expect("CONNECT");
                    s.send(b"-ERR 'Authorization Violation'\r\n");
                    s.hold();
                },
                Ok(()),
            ),
            (
                "jetstream",
                true,
                |s| {
                    s.handshake();
                    s.expect("PUB $JS.API.INFO");
                    s.send(b"PING\r\nMSG _INBOX.probe 1 2\r\n{}\r\n");
                    s.hold();
                },
                Ok(()),
            ),
            (
                "no responders",
                true,
                |s| {
                    s.handshake();
                    s.expect("PUB $JS.API.INFO");
                    s.send(b"HMSG _INBOX.probe 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
                    s.hold();
                },
                Err("nobody answers"),
            ),
        ];
        for (name, jetstream, script, wanted) in table {
            let server = ScriptedServer::start(move |mut s| script(&mut s));
            let got = probe(Expected {
                port: server.port(),
                server_name: "scripted",
                jetstream: if jetstream { Jetstream::Answers } else { Jetstream::Off },
            });
            match (got, wanted) {
                (Ok(_), Ok(())) => {}
                (Err(error), Err(part)) if error.contains(part) => {}
                (got, _) => panic!("{name}: got {got:?}, wanted {wanted:?}"),
            }
        }
    }
}
