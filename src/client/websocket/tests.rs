//! Tests of WebSocket over a network in memory, with tungstenite as the server; and one over a
//! socket, with a real server.

use super::*;
use crate::client::pipe::{self, Driver, End, Far, run, run_server_to_the_end};
use crate::event_loop::Slot;
use evnats_harness::{ReservedPort, Server as NatsServer};
use std::collections::VecDeque;
use std::rc::Weak;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Error, Message, WebSocket};

struct Server {
    end: End,
    handshake: Option<MidHandshake<ServerHandshake<End, NoCallback>>>,
    socket: Option<WebSocket<End>>,
    to_send: VecDeque<Message>,
    received: Vec<u8>,
    /// Lengths of the messages received.
    lengths: Vec<usize>,
    pongs: usize,
    is_ended: bool,
}

impl Server {
    fn new(end: End) -> Self {
        let handshake = ServerHandshake::start(end.clone(), NoCallback, None);
        Self {
            end,
            handshake: Some(handshake),
            socket: None,
            to_send: VecDeque::new(),
            received: Vec::new(),
            lengths: Vec::new(),
            pongs: 0,
            is_ended: false,
        }
    }
}

impl Far for Server {
    fn turn(&mut self) {
        if let Some(handshake) = self.handshake.take() {
            match handshake.handshake() {
                Ok(socket) => self.socket = Some(socket),
                Err(HandshakeError::Interrupted(handshake)) => self.handshake = Some(handshake),
                Err(HandshakeError::Failure(error)) => panic!("{error}"),
            }
        }
        let Some(socket) = &mut self.socket else { return };
        while !self.to_send.is_empty() && socket.flush().is_ok() {
            // a message that does not get through at once is in the library's buffer
            let _ = socket.write(self.to_send.pop_front().unwrap());
        }
        let _ = socket.flush();
        loop {
            match socket.read() {
                Ok(Message::Binary(bytes)) => {
                    self.received.extend_from_slice(&bytes);
                    self.lengths.push(bytes.len());
                }
                Ok(Message::Pong(payload)) => {
                    assert_eq!(payload, "are you there?");
                    self.pongs += 1;
                }
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => self.is_ended = true,
                Ok(message) => panic!("{message:?}"),
                Err(_) => return,
            }
        }
    }

    fn end(&self) -> &End {
        &self.end
    }
}

/// As good as any for a test.
fn random() -> Random {
    Box::new(|| fastrand::u64(..))
}

fn open(capacity: usize) -> (Driver, Server) {
    let (here, there) = pipe::pair(capacity);
    let transport =
        connect(Box::new(here.clone()), "demo.test:8080", "/nats?a=b", random()).unwrap();
    (Driver::new(&here, transport), Server::new(there))
}

#[test]
fn bytes_get_through_however_the_network_cuts_them() {
    for (capacity, longest) in [(1 << 20, usize::MAX), (1000, 1), (5000, 7), (20_000, 3000)] {
        let size = if longest < 10 { 20_000 } else { 1_000_000 };
        let (mut client, mut server) = open(capacity);
        // the library takes a handshake in small pieces for an attack
        run(&mut client, &mut server, || 20, |client, _| client.is_idle()).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let ours: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let theirs: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let mut rest = &theirs[..];
        let mut pings = 0;
        while !rest.is_empty() {
            let (message, others) = rest.split_at(random.usize(..=rest.len().min(9000)));
            server.to_send.push_back(Message::binary(message.to_vec()));
            if random.u8(..4) == 0 {
                pings += 1;
                server.to_send.push_back(Message::Ping("are you there?".into()));
            }
            rest = others;
        }
        client.send(&ours).unwrap();
        let step = || if longest < 10 { longest } else { random.usize(..longest) };
        run(&mut client, &mut server, step, |client, server| {
            client.is_idle() && client.received.len() == size && server.received.len() == size
        })
        .unwrap();
        assert!(client.received == theirs && server.received == ours, "{capacity} {longest}");
        run_server_to_the_end(&mut server);
        // of pings that come faster than their answers go, the last one needs one
        assert!(server.pongs > 0 && server.pongs <= pings, "{} of {pings}", server.pongs);

        drop(client);
        run_server_to_the_end(&mut server);
        assert!(server.is_ended);
    }
}

#[test]
fn the_request_names_host_and_path() {
    for (path, line) in [("/nats?a=b", "GET /nats?a=b HTTP/1.1"), ("", "GET / HTTP/1.1")] {
        let (here, mut there) = pipe::pair(1000);
        let mut transport = connect(Box::new(here), "[::1]:8080", path, random()).unwrap();
        assert_eq!(transport.finish_connecting().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        there.pump(usize::MAX);
        let mut request = Vec::new();
        let _ = there.read_to_end(&mut request);
        let request = String::from_utf8(request).unwrap().to_lowercase();
        assert!(request.starts_with(&line.to_lowercase()), "{request}");
        assert!(request.contains("\r\nhost: [::1]:8080\r\n"), "{request}");
    }
    let error = connect(Box::new(pipe::pair(1).0), "a b", "/", random()).map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_came_along_with_the_handshake_is_readable_after_it() {
    let (mut client, mut server) = open(10_000);
    server.to_send.push_back(Message::binary("INFO "));
    server.to_send.push_back(Message::text("{}\r\n"));
    let transport = &mut client.transport;
    while transport.finish_connecting().is_err() {
        server.end.pump(usize::MAX);
        server.turn();
        server.end.pump(usize::MAX);
    }
    assert!(transport.has_buffered());
    let mut room = [0; 4];
    assert_eq!(transport.read(&mut room).unwrap(), 4);
    assert!(transport.has_buffered());
    let mut room = [0; 100];
    assert_eq!(transport.read(&mut room).unwrap(), 5);
    assert_eq!(&room[..5], b" {}\r\n");
    assert_eq!(transport.read(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!transport.has_buffered());
}

#[test]
fn an_upgrade_that_trickles_in_byte_by_byte_works() {
    let (mut client, mut server) = open(10_000);
    server.to_send.push_back(Message::binary("INFO {}\r\n"));
    assert!(client.transport.finish_connecting().is_err());
    server.end.pump(usize::MAX);
    server.turn();
    let mut bytes = 0;
    while client.received != b"INFO {}\r\n" {
        assert!(server.end.pump(1), "there is no more after {bytes} bytes");
        bytes += 1;
        client.turn().unwrap();
    }
    assert!(bytes > 100, "{bytes}");
}

#[test]
fn a_close_frame_says_why() {
    use tungstenite::protocol::CloseFrame;
    use tungstenite::protocol::frame::coding::CloseCode;
    for (code, reason, expected) in [
        (CloseCode::Policy, "Authentication Failure", "Authentication Failure (code 1008)"),
        (CloseCode::Away, "", "closed the WebSocket (code 1001)"),
        (CloseCode::Normal, "bye\n", "bye\\n (code 1000)"),
    ] {
        let (mut client, mut server) = open(1000);
        server.to_send.push_back(Message::binary("-ERR"));
        server.to_send.push_back(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        let error = run(&mut client, &mut server, || 10, |_, _| false).unwrap_err();
        assert_eq!(
            (error.kind(), &client.received[..]),
            (io::ErrorKind::ConnectionAborted, &b"-ERR"[..])
        );
        assert!(error.to_string().ends_with(expected), "{error}");
        // told once
        assert_eq!(client.transport.read(&mut [0; 10]).unwrap(), 0);
        run_server_to_the_end(&mut server);
        assert!(server.is_ended);
    }
}

#[test]
fn messages_in_fragments() {
    let (mut client, mut server) = open(10_000);
    for (bytes, code, is_last) in
        [("IN", Data::Binary, false), ("FO", Data::Continue, false), (" {}", Data::Continue, true)]
    {
        let frame = Frame::message(bytes, OpCode::Data(code), is_last);
        server.to_send.push_back(Message::Frame(frame));
    }
    run(&mut client, &mut server, || 3, |client, _| client.received == b"INFO {}").unwrap();
}

#[test]
fn a_full_network_stops_writes_and_little_is_held() {
    let (mut client, mut server) = open(1000);
    run(&mut client, &mut server, || 500, |client, _| client.is_idle()).unwrap();
    let transport = &mut client.transport;
    assert_eq!(transport.write(&[1; 200_000]).unwrap(), WRITE_LEN);
    assert!(transport.has_unflushed());
    assert_eq!(transport.write(&[1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(transport.flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    while transport.flush().is_err() {
        server.end.pump(1000);
        server.turn();
    }
    assert!(!transport.has_unflushed());
    assert_eq!(transport.write_vectored(&[IoSlice::new(b"PING\r\n"); 60]).unwrap(), 360);
    run_server_to_the_end(&mut server);
    assert_eq!(server.lengths, [WRITE_LEN, 360]);
    assert!(server.received.starts_with(&[1; WRITE_LEN]) && server.received.ends_with(b"PING\r\n"));
}

#[test]
fn the_server_closes_with_or_without_saying_so() {
    for says_so in [true, false] {
        let (mut client, mut server) = open(1000);
        server.to_send.push_back(Message::binary("-ERR"));
        if says_so {
            server.to_send.push_back(Message::Close(None));
        }
        run(&mut client, &mut server, || 10, |client, _| client.received == b"-ERR").unwrap();
        if !says_so {
            server.end.close();
        }
        run(&mut client, &mut server, || 10, |client, _| client.is_ended).unwrap();
        assert_eq!(client.transport.read(&mut [0; 10]).unwrap(), 0);
        let error = client.transport.write(b"PING\r\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        if says_so {
            run_server_to_the_end(&mut server);
            assert!(server.is_ended);
        }
    }
}

#[test]
fn a_violation_is_reported_behind_what_came_before() {
    let (mut client, mut server) = open(1000);
    run(&mut client, &mut server, || 500, |client, _| client.is_idle()).unwrap();
    // a message, and another one with a reserved bit
    server.end.write_all(&[0x82, 1, b'x', 0xc2, 1, b'y']).unwrap();
    server.end.pump(usize::MAX);
    let error = client.turn().unwrap_err();
    assert_eq!((error.kind(), &client.received[..]), (io::ErrorKind::InvalidData, &b"x"[..]));
}

#[test]
fn frames_without_payload_do_not_hold_a_read() {
    let (mut client, mut server) = open(1 << 20);
    run(&mut client, &mut server, || 500, |client, _| client.is_idle()).unwrap();
    server.end.write_all(&[0x8a, 0].repeat(10 * READ_FRAMES)).unwrap();
    server.end.pump(usize::MAX);
    for _ in 0..10 {
        let error = client.transport.read(&mut [0; 100]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(client.transport.has_buffered(), "there is more, and nobody will report it");
    }
    assert!(client.transport.read(&mut [0; 100]).is_err());
    assert!(!client.transport.has_buffered());
}

#[test]
fn peers_that_refuse() {
    let table = [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], "HTTP 404"),
        (b"INFO {\"server_id\":\"x\"}\r\n\r\n", "did not answer with WebSocket"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "did not answer with WebSocket"),
        (b"", "closed the connection during"),
    ];
    for (answer, expected) in table {
        let (here, mut there) = pipe::pair(1000);
        let transport = connect(Box::new(here.clone()), "demo.test", "/", random()).unwrap();
        let mut client = Driver::new(&here, transport);
        there.write_all(answer).unwrap();
        there.pump(usize::MAX);
        there.close();
        let error = client.turn().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        // the transport is gone
        assert!(client.transport.read(&mut [0]).is_err());
        assert!(client.transport.finish_connecting().is_err());
    }
}

/// Says hello to a real server, and has it send back what it got.
fn talk_to_a_real_server(tls: &str, wrap: impl FnOnce(Box<dyn Transport>) -> Box<dyn Transport>) {
    let port = ReservedPort::any().unwrap();
    let listen = format!("websocket {{ listen: \"127.0.0.1:{}\", {tls} }}", port.port());
    let _server = NatsServer::builder().config(listen).start().unwrap();
    let address = (std::net::Ipv4Addr::LOCALHOST, port.port()).into();
    let socket = mio::net::TcpStream::connect(address).unwrap();
    let mut transport =
        connect(wrap(Box::new(socket)), &format!("{address}"), "/", random()).unwrap();
    let event_loop = crate::EventLoop::<()>::new().unwrap();
    let slot =
        Slot::new(event_loop.handle().shared(), Weak::<crate::client::driver::Driver>::new());
    let registration = slot.register().unwrap();
    transport.register(&registration).unwrap();
    let wait = || drop(event_loop.dispatch(&mut (), Some(std::time::Duration::from_secs(10))));
    while let Err(error) = transport.finish_connecting() {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        wait();
    }
    let payload = "x".repeat(200_000);
    let line = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}\r\nSUB a 1\r\n";
    let mut to_send = format!("{line}PUB a 200000\r\n{payload}\r\nPING\r\n").into_bytes();
    let mut received = Vec::new();
    while !received.ends_with(b"PONG\r\n") {
        while let Ok(count @ 1..) = transport.write(&to_send) {
            to_send.drain(..count);
        }
        if transport.has_unflushed() {
            let _ = transport.flush();
        }
        let mut room = [0; 5000];
        match transport.read(&mut room) {
            Ok(0) => panic!("the server has closed"),
            Ok(count) => received.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(),
            Err(error) => panic!("{error}"),
        }
    }
    let received = String::from_utf8(received).unwrap();
    assert!(received.starts_with("INFO {"), "{:?}", &received[..40]);
    assert!(received.contains(&format!("MSG a 1 200000\r\n{payload}\r\n")));
}

#[test]
fn a_real_server() {
    talk_to_a_real_server("no_tls: true", |transport| transport);
}

#[cfg(feature = "tls")]
#[test]
fn a_real_server_over_tls() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let config =
        format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}", path("cert.pem"), path("key.pem"));
    let tls = crate::Tls::new().ca_file(path("cert.pem"));
    talk_to_a_real_server(&config, |transport| tls.connect(transport, "127.0.0.1").unwrap());
}
