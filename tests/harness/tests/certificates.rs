//! Real servers with each certificate, spoken to with TLS and, for WebSocket, with plain sockets.

use evnats_harness::{Certificates, Release, Server, ServerCertificate, TlsOptions, requires};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS client that trusts one CA.
fn client(ca: &Path, identity: Option<(&Path, &Path)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A line, read byte by byte, for what comes after it may be TLS.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8(line).unwrap().trim_end().to_owned())
}

fn tls(
    socket: TcpStream,
    config: &Arc<ClientConfig>,
    name: &str,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket)
}

/// Reads `INFO`, does the TLS handshake, and a `PING`.
fn ping(server: &Server, config: &Arc<ClientConfig>, name: &str) -> io::Result<String> {
    let mut socket = tcp(server.port());
    let info = line(&mut socket)?;
    assert!(info.contains("\"tls_required\":true"), "{info}");
    answer(tls(socket, config, name))
}

fn answer(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")?;
    stream.flush()?;
    line(&mut stream)
}

#[test]
fn each_certificate_is_accepted_or_refused_as_its_name_says() {
    use ServerCertificate::{Expired, NameOnly, OtherHost, Valid};

    let certificates = Certificates::new();
    let (trusting, distrusting) =
        (client(&certificates.ca(), None), client(&certificates.other_ca(), None));
    for (certificate, accepted, refused) in [
        (Valid, &["localhost", "127.0.0.1", "::1"][..], &["elsewhere.example"][..]),
        (Expired, &[], &["localhost", "127.0.0.1"]),
        (OtherHost, &["elsewhere.example"], &["localhost", "127.0.0.1"]),
        (NameOnly, &["localhost"], &["127.0.0.1"]),
    ] {
        let options =
            TlsOptions { timeout: Some(Duration::from_secs(10)), ..TlsOptions::default() };
        let server = Server::builder()
            .jetstream(false)
            .config(certificates.server_config(certificate, &options))
            .start()
            .unwrap();
        for name in accepted {
            assert_eq!(ping(&server, &trusting, name).unwrap(), "PONG", "{certificate:?} {name}");
            ping(&server, &distrusting, name).unwrap_err();
        }
        for name in refused {
            let error = ping(&server, &trusting, name).unwrap_err().to_string();
            let reason = if certificate == Expired { "expired" } else { "not valid for name" };
            assert!(error.contains(reason), "{certificate:?} {name}: {error}");
        }
    }
}

#[test]
fn servers_of_every_release_verify_clients() {
    let certificates = Certificates::new();
    let anonymous = client(&certificates.ca(), None);
    let known =
        client(&certificates.ca(), Some((&certificates.client(), &certificates.client_key())));
    let stranger =
        client(&certificates.ca(), Some((&certificates.stranger(), &certificates.stranger_key())));
    let verify = TlsOptions { verify: true, ..TlsOptions::default() };
    let map = TlsOptions { verify_and_map: true, ..TlsOptions::default() };
    let users = |user: &str| format!("authorization {{ users [ {{ user: \"{user}\" }} ] }}");
    for release in Release::ALL {
        for (options, users, admitted) in [
            (&verify, String::new(), true),
            (&map, users(certificates.client_email()), true),
            (&map, users(&certificates.client_subject()), true),
            (&map, users("nobody"), false),
        ] {
            let server = Server::builder()
                .release(release)
                .config(certificates.server_config(ServerCertificate::Valid, options))
                .config(&users)
                .start()
                .unwrap();
            let expected = if admitted { "PONG" } else { "-ERR 'Authorization Violation'" };
            let answer = ping(&server, &known, "localhost").unwrap();
            assert_eq!(answer, expected, "{release} {users}");
            ping(&server, &anonymous, "localhost").unwrap_err();
            ping(&server, &stranger, "localhost").unwrap_err();
        }
    }
}

#[test]
fn the_handshake_can_come_first() {
    let certificates = Certificates::new();
    let options = TlsOptions { handshake_first: true, ..TlsOptions::default() };
    requires!(Server::builder().jetstream(false).start().unwrap(), 2, 10);
    let server = Server::builder()
        .config(certificates.server_config(ServerCertificate::Valid, &options))
        .tls_first()
        .start()
        .unwrap();
    let mut stream = tls(tcp(server.port()), &client(&certificates.ca(), None), "localhost");
    assert!(line(&mut stream).unwrap().starts_with("INFO "));
    assert_eq!(answer(stream).unwrap(), "PONG");
}

#[test]
fn web_sockets_are_listened_for_with_and_without_tls() {
    let certificates = Certificates::new();
    for release in Release::ALL {
        let mut server = Server::builder().release(release).websocket().start().unwrap();
        let url = server.websocket_url();
        let port = url.strip_prefix("ws://127.0.0.1:").unwrap().parse().unwrap();
        upgrade(tcp(port));
        server.restart();
        assert_eq!(server.websocket_url(), url);
        upgrade(tcp(port));

        let block = certificates.server_config(ServerCertificate::Valid, &TlsOptions::default());
        let server = Server::builder().release(release).websocket_tls(block).start().unwrap();
        let url = server.websocket_url();
        let port = url.strip_prefix("wss://127.0.0.1:").unwrap().parse().unwrap();
        upgrade(tls(tcp(port), &client(&certificates.ca(), None), "127.0.0.1"));
        // the other port has no TLS
        let mut socket = tcp(server.port());
        assert!(line(&mut socket).unwrap().starts_with("INFO "));
        assert_eq!(answer(socket).unwrap(), "PONG");
    }
}

/// Does the WebSocket handshake up to the server's first frame.
fn upgrade(mut stream: impl Read + Write) {
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        .unwrap();
    stream.flush().unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[0], 0x82, "a binary message");
    let mut info = [0; 5];
    stream.read_exact(&mut info).unwrap();
    assert_eq!(&info, b"INFO ");
}
