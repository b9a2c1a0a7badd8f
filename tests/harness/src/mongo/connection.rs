//! A small client of a `mongod`: one command after the other over a plain socket, so that no fault of
//! the driver under test can hide in it. Without authentication, TLS, retries and pools.

use super::{MongoError, error::refused, message::Message};
use bson::{Document, doc};
use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

/// How long connecting to a server may take, and a reply to the commands that take no time.
pub(super) const SHORT: Duration = Duration::from_secs(2);

/// How long a reply may take.
const LONG: Duration = Duration::from_secs(30);

/// A connection to one server.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    sent: i32,
}

impl Connection {
    /// Connects to `host:port`. Replies are waited for half a minute.
    pub(super) fn open(address: &str) -> Result<Connection, MongoError> {
        Self::open_within(address, LONG)
    }

    /// The same with another patience for replies.
    pub(super) fn open_within(address: &str, patience: Duration) -> Result<Connection, MongoError> {
        let connect = || {
            let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
            let stream = TcpStream::connect_timeout(&address, SHORT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(patience))?;
            stream.set_write_timeout(Some(patience))?;
            Ok(stream)
        };
        let stream = connect().map_err(refused("connect to mongod"))?;
        Ok(Connection { stream, sent: 0 })
    }

    /// What the server says of itself.
    pub(super) fn hello(&mut self) -> Result<Document, MongoError> {
        self.run("admin", doc! { "hello": 1 })
    }

    /// Runs a command. A reply that is an error, or has errors of single writes, is an error.
    pub(super) fn run(
        &mut self,
        database: &str,
        mut command: Document,
    ) -> Result<Document, MongoError> {
        let name = command.keys().next().cloned().unwrap_or_default();
        command.insert("$db", database);
        self.sent += 1;
        let request = Message { id: self.sent, answers: 0, wants_reply: true, body: command };
        let reply = request
            .write(&mut self.stream)
            .and_then(|()| Message::read(&mut self.stream))
            .and_then(|reply| reply.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
            .map_err(refused("talk to mongod"))?;
        check(name, reply.body)
    }
}

/// Makes an error of a reply that is one.
fn check(command: String, reply: Document) -> Result<Document, MongoError> {
    let succeeded = reply.get("ok").and_then(number).is_some_and(|ok| ok == 1.0);
    let write_error = reply.get_array("writeErrors").ok().and_then(|errors| errors.first());
    let error = match write_error.and_then(|error| error.as_document()) {
        Some(error) => error,
        None if succeeded => return Ok(reply),
        None => &reply,
    };
    let text = |field| error.get_str(field).unwrap_or_default().to_owned();
    Err(MongoError::Command {
        command,
        code: error.get_i32("code").unwrap_or_default(),
        code_name: text("codeName"),
        reason: text("errmsg"),
        reply: Box::new(reply),
    })
}

fn number(value: &bson::Bson) -> Option<f64> {
    value.as_f64().or_else(|| value.as_i32().map(f64::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Fault, FaultProxy, mongo::primary};

    #[test]
    fn replies_that_are_errors_are_errors() {
        let reply = |reply| check("insert".to_owned(), reply);
        assert!(reply(doc! { "ok": 1.0, "n": 1 }).is_ok());
        assert!(reply(doc! { "ok": 1 }).is_ok());
        let refused = doc! { "ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": "no" };
        let error = reply(refused).unwrap_err();
        assert_eq!(error.code(), Some(13));
        assert_eq!(error.to_string(), "mongod: insert: no (Unauthorized, 13)");
        let duplicate = doc! { "ok": 1, "writeErrors": [{ "code": 11000, "errmsg": "twice" }] };
        assert_eq!(reply(duplicate).unwrap_err().code(), Some(11000));
    }

    /// A connection through a proxy, to which a paused server is soon known to be silent.
    fn through(proxy: &FaultProxy) -> Connection {
        let address = format!("127.0.0.1:{}", proxy.port());
        Connection::open_within(&address, Duration::from_millis(300)).unwrap()
    }

    #[test]
    fn the_fault_proxy_serves_in_front_of_a_mongod() {
        let set = crate::replica_set!();
        let at = 1000;
        let proxy = FaultProxy::start(set.port(0), move |index| match index {
            0 => vec![Fault::Cut { direction: Direction::ToClient, at }],
            _ => vec![],
        });
        let mut first = through(&proxy);
        let replies = std::iter::repeat_with(|| first.hello()).take_while(Result::is_ok).count();
        assert!(replies > 0 && replies < 10, "cut after {at} bytes, {replies} replies");

        let mut second = through(&proxy);
        assert!(primary::is_primary(&second.hello().unwrap()));
        proxy.stall_all();
        assert!(second.hello().unwrap_err().to_string().contains("talk to mongod"));
        proxy.resume_all();

        let mut third = through(&proxy);
        third.hello().unwrap();
        proxy.cut_all();
        third.hello().unwrap_err();
    }
}
