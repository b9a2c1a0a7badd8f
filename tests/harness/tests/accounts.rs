//! Users with tokens and keys before real servers; the handshake is done with plain sockets.

use data_encoding::BASE64URL_NOPAD;
use evnats_harness::{Operator, Release, Server, User, UserClaims, nkey_user};
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant, SystemTime},
};

/// How long a test waits for an event before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Peer(BufReader<TcpStream>);

impl Peer {
    /// Connects with these credentials, the nonce signed by the seed.
    fn connect(server: &Server, mut credentials: Value, seed: &str) -> Peer {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Peer(BufReader::new(stream));
        let info: Value = serde_json::from_str(peer.line().strip_prefix("INFO ").unwrap()).unwrap();
        let nonce = info["nonce"].as_str().expect("a nonce");
        let signature = KeyPair::from_seed(seed).unwrap().sign(nonce.as_bytes()).unwrap();
        credentials["sig"] = BASE64URL_NOPAD.encode(&signature).into();
        credentials["protocol"] = 1.into();
        credentials["verbose"] = false.into();
        peer.send(&format!("CONNECT {credentials}\r\n"));
        peer
    }

    fn user(server: &Server, user: &User) -> Peer {
        Peer::connect(server, json!({ "jwt": user.jwt }), &user.seed)
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line that is an answer to what has been sent.
    fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if line == "PING" {
                self.send("PONG\r\n");
            } else if !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    fn ping(&mut self) -> String {
        // a server that has refused may have closed already
        let _ = self.0.get_mut().write_all(b"PING\r\n");
        self.answer()
    }
}

const REFUSED: &str = "-ERR 'Authorization Violation'";

fn named(name: &str) -> UserClaims {
    UserClaims { name: name.to_owned(), ..UserClaims::default() }
}

#[test]
fn users_of_the_operator_are_admitted_and_others_are_not() {
    for release in Release::ALL {
        let operator = Operator::new();
        let server =
            Server::builder().release(release).config(operator.server_config()).start().unwrap();
        let user = operator.user(named("one"));
        let mut peer = Peer::user(&server, &user);
        assert_eq!(peer.ping(), "PONG", "{release}");
        // the account has JetStream
        let config = r#"{"name":"a","subjects":["a"]}"#;
        let length = config.len();
        peer.send(&format!(
            "SUB reply 1\r\nPUB $JS.API.STREAM.CREATE.a reply {length}\r\n{config}\r\n"
        ));
        assert!(peer.answer().starts_with("MSG reply 1 "));
        assert!(peer.line().contains("\"did_create\":true"));

        let other = operator.user(named("other"));
        let stolen = User { seed: other.seed.clone(), ..user.clone() };
        assert_eq!(Peer::user(&server, &stolen).ping(), REFUSED, "{release}");
        let foreign = Operator::new().user(named("one"));
        assert_eq!(Peer::user(&server, &foreign).ping(), REFUSED, "{release}");
        let mut forged = user.clone();
        let signature = forged.jwt.rfind('.').unwrap();
        forged.jwt.truncate(signature);
        forged.jwt.push_str(&other.jwt[other.jwt.rfind('.').unwrap()..]);
        assert_eq!(Peer::user(&server, &forged).ping(), REFUSED, "{release}");
        assert_eq!(Peer::user(&server, &other).ping(), "PONG", "{release}");
        assert_eq!(Peer::user(&server, &operator.system_user()).ping(), "PONG", "{release}");
    }
}

#[test]
fn a_long_token_needs_a_long_control_line() {
    let operator = Operator::new();
    let user = operator.user(UserClaims { padding: 5000, ..named("long") });
    assert!((5000..10_000).contains(&user.jwt.len()), "{}", user.jwt.len());
    for release in Release::ALL {
        let builder = Server::builder().release(release).config(operator.server_config());
        let server = builder.clone().start().unwrap();
        let answer = Peer::user(&server, &user).ping();
        assert_eq!(answer, "-ERR 'maximum control line exceeded'", "{release}");
        let server = builder.config("max_control_line: 16KB").start().unwrap();
        assert_eq!(Peer::user(&server, &user).ping(), "PONG", "{release}");
    }
}

#[test]
fn permissions_are_those_of_the_claims() {
    let operator = Operator::new();
    let server = Server::builder().config(operator.server_config()).start().unwrap();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let user = operator.user(UserClaims {
        publish_allow: words(&["a.>"]),
        publish_deny: words(&["a.b"]),
        subscribe_allow: words(&["c.>"]),
        subscribe_deny: words(&["c.d"]),
        ..named("narrow")
    });
    let mut peer = Peer::user(&server, &user);
    for (text, refused) in [
        ("PUB a.c 0\r\n\r\n", None),
        ("PUB a.b 0\r\n\r\n", Some("Publish to \"a.b\"")),
        ("PUB c 0\r\n\r\n", Some("Publish to \"c\"")),
        ("SUB c.e 1\r\n", None),
        ("SUB c.d 2\r\n", Some("Subscription to \"c.d\"")),
        ("SUB a.c 3\r\n", Some("Subscription to \"a.c\"")),
    ] {
        peer.send(text);
        let answer = peer.ping();
        match refused {
            None => assert_eq!(answer, "PONG", "{text}"),
            Some(what) => {
                assert!(
                    answer.contains("Permissions Violation") && answer.contains(what),
                    "{answer}"
                );
                assert_eq!(peer.answer(), "PONG");
            }
        }
    }
}

#[test]
fn tokens_expire() {
    let operator = Operator::new();
    let server = Server::builder().config(operator.server_config()).start().unwrap();
    let expires = |expires| UserClaims { expires: Some(expires), ..named("short") };
    let past = operator.user(expires(SystemTime::now() - Duration::from_secs(60)));
    assert_eq!(Peer::user(&server, &past).ping(), REFUSED);
    let soon = operator.user(expires(SystemTime::now() + Duration::from_secs(2)));
    let mut peer = Peer::user(&server, &soon);
    assert_eq!(peer.ping(), "PONG");
    assert_eq!(peer.answer(), "-ERR 'User Authentication Expired'");
}

#[test]
fn a_reload_revokes_a_token() {
    for release in Release::ALL {
        let mut operator = Operator::new();
        let mut server =
            Server::builder().release(release).config(operator.server_config()).start().unwrap();
        let (good, bad) = (operator.user(named("good")), operator.user(named("bad")));
        let (mut good_peer, mut bad_peer) = (Peer::user(&server, &good), Peer::user(&server, &bad));
        assert_eq!((good_peer.ping(), bad_peer.ping()), ("PONG".to_owned(), "PONG".to_owned()));
        server.reload(operator.revoke(&bad));
        assert_eq!(bad_peer.answer(), "-ERR 'User Authentication Revoked'", "{release}");
        assert_eq!(good_peer.ping(), "PONG", "{release}");
        assert_eq!(Peer::user(&server, &bad).ping(), REFUSED, "{release}");
        assert_eq!(Peer::user(&server, &good).ping(), "PONG", "{release}");
    }
}

#[test]
fn a_plain_nkey_is_admitted_until_a_reload_takes_it_away() {
    let (public_key, seed) = nkey_user();
    let (other_key, other_seed) = nkey_user();
    let config = |key: &str| format!("authorization {{ users [ {{ nkey: {key} }} ] }}");
    let mut server = Server::builder().config(config(&public_key)).start().unwrap();
    let connect = |server: &Server, key: &str, seed: &str| {
        Peer::connect(server, json!({ "nkey": key }), seed).ping()
    };
    assert_eq!(connect(&server, &public_key, &seed), "PONG");
    assert_eq!(connect(&server, &public_key, &other_seed), REFUSED);
    assert_eq!(connect(&server, &other_key, &other_seed), REFUSED);

    server.reload(config(&other_key));
    assert_eq!(connect(&server, &public_key, &seed), REFUSED);
    assert_eq!(connect(&server, &other_key, &other_seed), "PONG");
    server.restart();
    assert_eq!(connect(&server, &other_key, &other_seed), "PONG");
}

#[test]
fn a_reload_changes_what_clients_are_told() {
    for release in Release::ALL {
        let mut server = Server::builder()
            .release(release)
            .jetstream(false)
            .config("max_payload: 1000")
            .start()
            .unwrap();
        let info = |server: &Server| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
            Peer(BufReader::new(stream)).line()
        };
        assert!(info(&server).contains("\"max_payload\":1000,"));
        for payload in ["2000", "2000", "3000"] {
            server.reload(format!("max_payload: {payload}"));
            assert!(info(&server).contains(&format!("\"max_payload\":{payload},")), "{release}");
        }
    }
}

#[test]
fn a_refused_reload_is_explained() {
    let mut server = Server::builder().jetstream(false).start().unwrap();
    let before = Instant::now();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        server.reload("no_such_field: 1");
    }))
    .unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("no_such_field"), "{text}");
    assert!(before.elapsed() < PATIENCE);
}
