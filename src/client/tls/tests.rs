//! Tests of TLS over a network in memory, with rustls as the server.

use super::*;
use crate::client::pipe::{self, Driver, End, Far, run, run_server_to_the_end};
use evnats_protocol::{Secret, TlsErrorKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::collections::VecDeque;

const HOST: &str = "demo.test";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    authority_named("ours")
}

fn authority_named(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM.
struct Identity {
    chain: String,
    key: String,
}

fn issue(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    change(&mut params);
    let chain = params.signed_by(&key, authority).unwrap().pem();
    Identity { chain, key: key.serialize_pem() }
}

struct Server {
    end: End,
    session: ServerConnection,
    to_send: VecDeque<u8>,
    received: Vec<u8>,
    error: Option<rustls::Error>,
    closed_well: bool,
}

impl Server {
    fn new(
        end: End,
        identity: &Identity,
        client_authority: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match client_authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let chain = CertificateDer::from_pem_slice(identity.chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![chain], key).unwrap();
        Self {
            end,
            session: ServerConnection::new(Arc::new(config)).unwrap(),
            to_send: VecDeque::new(),
            received: Vec::new(),
            error: None,
            closed_well: false,
        }
    }
}

impl Far for Server {
    fn turn(&mut self) {
        while self.error.is_none() && self.session.read_tls(&mut self.end).is_ok_and(|n| n > 0) {
            match self.session.process_new_packets() {
                Ok(state) => self.closed_well |= state.peer_has_closed(),
                Err(error) => self.error = Some(error),
            }
            // what is left is the absence of more
            let _ = self.session.reader().read_to_end(&mut self.received);
        }
        if !self.session.is_handshaking() {
            let count = self.session.writer().write(self.to_send.make_contiguous()).unwrap();
            self.to_send.drain(..count);
        }
        while self.session.wants_write() && self.session.write_tls(&mut self.end).is_ok() {}
    }

    fn end(&self) -> &End {
        &self.end
    }
}

const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The error of an attempt to connect and to hear a word of the server.
fn failure(
    tls: &Tls,
    identity: &Identity,
    client_authority: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> (TlsErrorKind, String) {
    let (here, there) = pipe::pair(1000);
    let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
    let mut server = Server::new(there, identity, client_authority, versions);
    let error = run(&mut client, &mut server, || 100, |_, _| false).unwrap_err();
    classify(&error).unwrap()
}

#[test]
fn bytes_get_through_however_the_network_cuts_them() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let tls = Tls::new().ca_pem(authority.pem());
    for (versions, capacity, longest) in [
        (TLS13, 1 << 20, usize::MAX),
        (TLS12, 1 << 20, usize::MAX),
        (TLS13, 1000, 1),
        (TLS12, 1000, 1),
        (TLS13, 1, 7),
        (TLS13, 5000, 7),
        (TLS13, 20_000, 3000),
        (TLS12, 20_000, 3000),
    ] {
        let size = if longest < 10 { 20_000 } else { 1_000_000 };
        let (here, there) = pipe::pair(capacity);
        let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
        let mut server = Server::new(there, &identity, None, versions);
        let mut random = fastrand::Rng::with_seed(7);
        let ours: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        let theirs: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
        client.to_send.extend(&ours);
        server.to_send.extend(&theirs);
        let step = || if longest < 10 { longest } else { random.usize(..longest) };
        run(&mut client, &mut server, step, |client, server| {
            client.is_idle() && client.received.len() == size && server.received.len() == size
        })
        .unwrap();
        assert!(client.received == theirs && server.received == ours, "{capacity} {longest}");

        // the end of the server's side, said or not
        if longest == 7 {
            server.session.send_close_notify();
            while server.session.wants_write() {
                server.turn();
                server.end.pump(1);
            }
        } else {
            server.end.close();
        }
        run(&mut client, &mut server, || 1, |client, _| client.is_ended).unwrap();
        drop(client);
        run_server_to_the_end(&mut server);
        // where there is room for it at once
        assert_eq!(server.closed_well, capacity > 1, "{capacity} {longest}");
    }
}

#[test]
fn what_came_before_the_handshake_was_through_is_readable_after_it() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let (here, there) = pipe::pair(1 << 20);
    let tls = Tls::new().ca_pem(authority.pem());
    let mut transport = tls.connect(Box::new(here.clone()), HOST).unwrap();
    // in TLS 1.2 the server has the last word, so its greeting comes along with it
    let mut server = Server::new(there, &identity, None, TLS12);
    server.to_send.extend(b"INFO {}\r\n");
    while transport.finish_connecting().is_err() {
        server.end.pump(usize::MAX);
        server.turn();
        server.turn();
        server.end.pump(usize::MAX);
    }
    assert!(transport.has_buffered());
    let mut room = [0; 100];
    assert_eq!(transport.read(&mut room).unwrap(), 9);
    assert_eq!(transport.read(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!transport.has_buffered());
}

#[test]
fn a_full_network_stops_writes_and_little_is_held() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let (here, there) = pipe::pair(10_000);
    let tls = Tls::new().ca_pem(authority.pem());
    let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
    let mut server = Server::new(there, &identity, None, TLS13);
    run(
        &mut client,
        &mut server,
        || 5000,
        |client, server| client.is_idle() && !server.session.is_handshaking(),
    )
    .unwrap();
    let transport = &mut client.transport;
    assert!(!transport.has_unflushed());
    let count = transport.write(&[1; 200_000]).unwrap();
    assert_eq!(count, WRITE_LEN);
    assert!(transport.has_unflushed());
    assert_eq!(transport.write(&[1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(transport.flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    while transport.flush().is_err() {
        server.end.pump(10_000);
        server.turn();
    }
    assert!(!transport.has_unflushed());
    run_server_to_the_end(&mut server);
    assert_eq!(server.received, [1; WRITE_LEN]);
}

#[test]
fn many_small_chunks_become_one_record() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let (here, there) = pipe::pair(100_000);
    let tls = Tls::new().ca_pem(authority.pem());
    let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
    let mut server = Server::new(there, &identity, None, TLS13);
    run(
        &mut client,
        &mut server,
        || 5000,
        |client, server| client.is_idle() && !server.session.is_handshaking(),
    )
    .unwrap();
    run_server_to_the_end(&mut server);
    let slices = [IoSlice::new(b"PUB a 1\r\n"); 60];
    assert_eq!(client.transport.write_vectored(&slices).unwrap(), 540);
    // the record's head and its tag
    let mut wire = Vec::new();
    server.end.pump(usize::MAX);
    let _ = server.end.read_to_end(&mut wire);
    assert_eq!(wire.len(), 540 + 5 + 1 + 16);
}

#[test]
fn servers_that_cannot_be_trusted() {
    let authority = authority();
    let tls = Tls::new().ca_pem(authority.pem());
    let other = authority_named("another");
    let expired = issue(&authority, |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let early = issue(&authority, |params| params.not_before = rcgen::date_time_ymd(2999, 1, 1));
    let foreign = issue(&authority, |params| {
        params.subject_alt_names =
            CertificateParams::new(["else.test".into()]).unwrap().subject_alt_names;
    });
    let itself = issue(&authority, |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let for_clients = issue(&authority, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let table = [
        (&expired, TlsErrorKind::Expired, "expired"),
        (&early, TlsErrorKind::BadCertificate, "not valid yet"),
        (&foreign, TlsErrorKind::WrongHost, "else.test"),
        (&issue(&other, |_| {}), TlsErrorKind::UnknownIssuer, "`Tls::ca_file`"),
        (&itself, TlsErrorKind::BadCertificate, "is that of an authority"),
        (&for_clients, TlsErrorKind::BadCertificate, "not meant for servers"),
    ];
    for (identity, kind, text) in table {
        for versions in [TLS12, TLS13] {
            let failed = failure(&tls, identity, None, versions);
            assert_eq!(failed.0, kind, "{failed:?}");
            assert!(failed.1.contains(text), "{failed:?}");
            // nothing of it is asked where anything is accepted
            let (here, there) = pipe::pair(1000);
            let tls = Tls::new().danger_accept_any_certificate(true);
            let transport = tls.connect(Box::new(here.clone()), HOST).unwrap();
            let mut client = Driver::new(&here, transport);
            let mut server = Server::new(there, identity, None, versions);
            run(&mut client, &mut server, || 100, |client, _| client.is_idle()).unwrap();
        }
    }
    // the name can be given
    let (here, there) = pipe::pair(1000);
    let transport = tls.server_name("else.test").connect(Box::new(here.clone()), HOST).unwrap();
    let mut client = Driver::new(&here, transport);
    let mut server = Server::new(there, &foreign, None, TLS13);
    run(&mut client, &mut server, || 100, |client, _| client.is_idle()).unwrap();
}

#[test]
fn servers_that_do_not_trust_the_client() {
    let authority = authority();
    let stranger = issue(&authority_named("another"), |_| {});
    let friend = issue(&authority, |_| {});
    let anonymous = Tls::new().ca_pem(authority.pem());
    let refused = anonymous.clone().client_certificate_pem(&stranger.chain, &*stranger.key);
    let accepted = anonymous.clone().client_certificate_pem(&friend.chain, &*friend.key);
    for versions in [TLS12, TLS13] {
        for (tls, alert) in [(&anonymous, "client_certificate_files"), (&refused, "unknown CA")] {
            let failed = failure(tls, &friend, Some(&authority), versions);
            assert_eq!(failed.0, TlsErrorKind::Refused, "{failed:?}");
            assert!(failed.1.contains(alert), "{failed:?}");
        }
        let (here, there) = pipe::pair(1000);
        let mut client =
            Driver::new(&here, accepted.connect(Box::new(here.clone()), HOST).unwrap());
        let mut server = Server::new(there, &friend, Some(&authority), versions);
        server.to_send.push_back(1);
        run(&mut client, &mut server, || 100, |client, _| client.received == [1]).unwrap();
    }
}

#[test]
fn a_write_that_fails_tells_the_alert_that_came_before() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let (here, there) = pipe::pair(10_000);
    let tls = Tls::new().ca_pem(authority.pem());
    let mut transport = tls.connect(Box::new(here.clone()), HOST).unwrap();
    // a client without a certificate learns in TLS 1.3 after the handshake that it needs one
    let mut server = Server::new(there, &identity, Some(&authority), TLS13);
    while transport.finish_connecting().is_err() {
        server.end.pump(usize::MAX);
        server.turn();
    }
    server.end.pump(usize::MAX);
    server.turn();
    server.end.refuse_more();
    server.end.pump(usize::MAX);
    let error = transport.write(b"CONNECT").unwrap_err();
    assert_eq!(classify(&error).unwrap().0, TlsErrorKind::Refused, "{error}");
}

#[test]
fn peers_that_speak_no_tls() {
    let tls = Tls::new().danger_accept_any_certificate(true);
    let (here, mut there) = pipe::pair(10_000);
    let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
    there.write_all(b"INFO {\"server_id\":\"x\"}\r\n").unwrap();
    there.pump(usize::MAX);
    let (kind, text) = classify(&client.turn().unwrap_err()).unwrap();
    assert_eq!(kind, TlsErrorKind::Other);
    assert!(text.contains("did not answer with TLS"), "{text}");

    let (here, there) = pipe::pair(10_000);
    let mut client = Driver::new(&here, tls.connect(Box::new(here.clone()), HOST).unwrap());
    there.close();
    let error = client.turn().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(classify(&error).unwrap().1.contains("closed the connection during"), "{error}");
}

#[test]
fn files_are_read_for_every_connection_and_errors_name_them() {
    let authority = authority();
    let identity = issue(&authority, |_| {});
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tls = Tls::new()
        .ca_file(path("ca.pem"))
        .client_certificate_files(path("cert.pem"), path("key.pem"));
    let refused = |part: &str| {
        let (here, _) = pipe::pair(1);
        let error = tls.connect(Box::new(here), HOST).map(drop).unwrap_err();
        let (kind, text) = classify(&error).unwrap();
        assert_eq!(kind, TlsErrorKind::Configuration);
        assert!(text.contains(part), "{text}");
        assert!(!text.contains(&identity.key[40..60]), "{text}");
        text
    };
    refused("ca.pem");
    std::fs::write(path("ca.pem"), "nothing").unwrap();
    assert!(refused("ca.pem").contains("no certificate"));
    std::fs::write(path("ca.pem"), authority.pem().replace("MII", "*")).unwrap();
    refused("ca.pem");
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    refused("cert.pem");
    std::fs::write(path("cert.pem"), &identity.chain).unwrap();
    refused("key.pem");
    std::fs::write(path("key.pem"), &identity.chain).unwrap();
    assert!(refused("key.pem").contains("no private key"));
    std::fs::write(path("key.pem"), identity.key.replace("-----END", &identity.key[40..60]))
        .unwrap();
    refused("key.pem");
    std::fs::write(path("key.pem"), issue(&authority, |_| {}).key).unwrap();
    refused("cert.pem");
    std::fs::write(path("key.pem"), &identity.key).unwrap();
    tls.connect(Box::new(pipe::pair(1).0), HOST).unwrap();

    let error = tls.connect(Box::new(pipe::pair(1).0), "a b").map(drop).unwrap_err();
    assert_eq!(classify(&error).unwrap().0, TlsErrorKind::Configuration);
}

#[test]
fn other_errors_are_none_of_tls() {
    assert_eq!(classify(&io::ErrorKind::ConnectionReset.into()), None);
    assert_eq!(classify(&io::Error::other("else")), None);
}

#[test]
fn private_keys_do_not_show() {
    let identity = issue(&authority(), |_| {});
    let tls = Tls::new().client_certificate_pem(&identity.chain, Secret::new(&identity.key));
    let shown = format!("{tls:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("Secret(..)"), "{shown}");
}
