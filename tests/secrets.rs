//! What shows: errors, the log, `Debug`, frames, and the names that are looked up. No secret does,
//! however it is given: in URLs that are right and in URLs that are not, in options and in files. And
//! nothing that a server says looks as if somebody else had said it.

#![cfg(all(feature = "nkeys", feature = "tls", feature = "websocket"))]

mod support;

use evnats::simulation::{Connection, Peer, Simulation};
use evnats::{Credentials, EventLoop, Options, Tls};
use proptest::prelude::*;
use std::fmt::Debug;
use std::fs;
use std::sync::{Mutex, Once, PoisonError};
use support::simulated::SimulatedServer;

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn flush(&self) {}
}

/// What has been logged since the last call.
fn take_log() -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("the first logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
    std::mem::take(&mut *LOGGED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A secret: words that are found nowhere by chance, and what is between them.
#[derive(Debug, Clone)]
struct Hidden {
    words: Vec<String>,
    text: String,
}

impl Hidden {
    fn encoded(&self) -> String {
        let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        self.text.bytes().map(encode).collect()
    }
}

/// Words with characters of a set between them.
fn hidden(between: &'static str) -> impl Strategy<Value = Hidden> {
    let word = "[A-Za-z][A-Za-z0-9]{11}";
    let separator = proptest::sample::select(between.chars().collect::<Vec<_>>());
    proptest::collection::vec((word, separator), 1..4).prop_map(|parts| {
        let words: Vec<_> = parts.iter().map(|(word, _)| word.clone()).collect();
        let mut text = words[0].clone();
        for (word, separator) in &parts[1..] {
            text.push(*separator);
            text.push_str(word);
        }
        Hidden { words, text }
    })
}

/// All that is not a letter and has a meaning somewhere in a URL.
const ANY: &str = ",@:/?#%&=+[] ;$!~\\\"\n";
/// What leaves no doubt where the host begins, if the `@` before it was forgotten.
const NO_AT: &str = ",:/?#%&=+[] ;";
/// What does not make a user and a password of a token.
const NO_COLON: &str = ",@/?#%&=+[] ;$!~";
/// What a WebSocket URL takes for the end of the host, if it is not encoded.
const NO_QUERY: &str = ",@:/%&=+[];";

/// URLs with a secret in the place of `{}`.
fn url() -> impl Strategy<Value = (Hidden, String)> {
    let scheme = || proptest::sample::select(vec!["nats://", "tls://", "NATS://", "ftp://"]);
    let websocket = || proptest::sample::select(vec!["ws://", "wss://"]);
    let right = (
        hidden(ANY),
        proptest::sample::select(vec![
            "nats://joe:{}@h",
            "joe:{}@h:4222",
            "{}@h",
            "tls://:{}@h",
            "ws://joe:{}@h/p",
            "ws://h/p?jwt={}",
            "wss://h?{}",
            "ws://h/p#{}",
        ]),
    )
        .prop_map(|(secret, url)| (secret.clone(), url.replace("{}", &secret.encoded())));
    let raw = (
        scheme(),
        hidden(ANY),
        proptest::sample::select(vec!["joe:{}@h", "joe:{}@", "joe:{}@[h", "joe:{}@h:x"]),
    );
    let token = (scheme(), hidden(NO_COLON), Just("{}@h"));
    let without_at = (
        scheme(),
        hidden(NO_AT),
        proptest::sample::select(vec!["joe:{}", "joe:{}%40h", "joe:{}%40h:4222", "joe:{} h"]),
    );
    let websocket = (
        websocket(),
        hidden(NO_QUERY),
        proptest::sample::select(vec!["joe:{}@h", "joe:{}@h/p", "joe:{}@h/p?q=1"]),
    );
    let without_slashes = (Just("nats:"), hidden(ANY), Just("joe:{}@h"));
    let wrong = prop_oneof![raw, token, without_at, websocket, without_slashes].prop_map(
        |(scheme, secret, rest)| {
            let url = format!("{scheme}{rest}").replace("{}", &secret.text);
            (secret, url)
        },
    );
    let one = prop_oneof![right, wrong];
    let list = proptest::sample::select(vec!["{}", "{}", "h,{}", "{},h", "{},", "h, nats://i,{}"]);
    (one, list).prop_map(|((secret, url), list)| (secret, list.replace("{}", &url)))
}

/// What a client is given, and what in it is secret.
#[derive(Clone)]
struct Given {
    words: Vec<String>,
    options: Options,
    /// What shows to begin with.
    described: String,
}

impl Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.described)
    }
}

fn by_url() -> impl Strategy<Value = Given> {
    url().prop_map(|(secret, url)| Given {
        words: secret.words,
        options: Options::new(&url),
        described: url,
    })
}

/// Secrets in options and in files, right ones and wrong ones.
fn by_options() -> impl Strategy<Value = Given> {
    (hidden(ANY), 0..9).prop_map(|(secret, how)| {
        let text = secret.text.as_str();
        let options = Options::new("nats://h");
        let file = |content: &str| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(&file, content).expect("a file");
            // it goes with the process that has no more use for it
            file.into_temp_path().keep().expect("a path")
        };
        let creds = |jwt: &str, seed: &str| {
            Credentials::creds_file(file(&format!(
                "---BEGIN JWT---\n{jwt}\n---END JWT---\n---BEGIN SEED---\n{seed}\n---END SEED---\n"
            )))
        };
        let options = match how {
            0 => options.credentials(Credentials::user_password("joe", text)),
            1 => options.credentials(Credentials::token(text)),
            2 => options.credentials(Credentials::jwt_with_signer(text, |_| Ok(vec![7; 64]))),
            3 => options.credentials(creds(text, text)),
            4 => options.credentials(creds("a.b.c", text)),
            5 => options.credentials(Credentials::creds_file(file(text))),
            6 => {
                let key = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----");
                let tls = Tls::new().client_certificate_pem("nothing", key).first(true);
                options.tls(tls)
            }
            7 => {
                let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----");
                let tls = Tls::new().ca_file(file(&pem)).first(true);
                options.tls(tls)
            }
            _ => options.credentials_with({
                let error = Credentials::nkey(text).expect_err("no seed").to_string();
                move |_| Err(error.clone().into())
            }),
        };
        Given { words: secret.words, options, described: format!("way {how}, {text:?}") }
    })
}

/// Understands nothing, and says so as a web server would.
struct Stranger;

impl Peer for Stranger {
    fn handle_bytes(&mut self, connection: &Connection, _: &[u8]) {
        connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        connection.close();
    }
}

/// Everything that shows when a client tries to connect.
fn all_that_shows(options: Options) -> Vec<String> {
    let simulation = Simulation::new(1);
    let _server = SimulatedServer::start(&simulation, "h:4222");
    for address in ["h:80", "h:443"] {
        simulation.listen(address, |_| Stranger).expect("an address");
    }
    all_that_shows_in(&simulation, options)
}

fn all_that_shows_in(simulation: &Simulation, options: Options) -> Vec<String> {
    // what is logged is one client's
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    take_log();
    let mut shown = vec![format!("{options:?} {options:#?}")];
    let event_loop: EventLoop<Vec<String>> = simulation.event_loop().expect("a loop");
    match event_loop.connect(options.reconnect(false)) {
        Err(error) => shown.push(format!("{error} {error:?}")),
        Ok(nats) => {
            nats.on_error(|shown, _, error| shown.push(format!("{error} {error:?}")));
            nats.on_close(|shown, _, reason| shown.push(format!("{reason} {reason:?}")));
            nats.on_frame(|shown, _, frame| shown.push(format!("{frame} {frame:?}")));
            shown.push(format!("{nats:?} {:?}", nats.servers()));
            nats.flush(|_, nats, _| nats.close());
            event_loop.run(&mut shown).expect("an end");
        }
    }
    shown.extend(take_log());
    shown
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_shows_however_it_is_given(given in prop_oneof![3 => by_url(), 1 => by_options()]) {
        for shown in all_that_shows(given.options.clone()) {
            for word in &given.words {
                let is_in = shown.to_ascii_lowercase().contains(&word.to_ascii_lowercase());
                prop_assert!(!is_in, "{word:?} in {shown}");
            }
        }
    }
}

#[test]
fn the_secrets_of_urls_that_are_right_arrive() {
    // so that the property is not one of clients that never connect
    for url in ["nats://joe:pw@h", "h,", "h, i"] {
        let shown = all_that_shows(Options::new(url).randomize_servers(false));
        assert!(shown.iter().any(|line| line.contains("CONNECT")), "{url}: {shown:?}");
    }
}

/// A server that says what it is to say, and does not look at what it hears.
struct Forger(&'static [&'static str]);

impl Forger {
    fn start(simulation: &Simulation, says: &'static [&'static str]) {
        let accept = move |connection: &Connection| {
            connection.send(says[0].as_bytes());
            Self(&says[1..])
        };
        simulation.listen("h:4222", accept).expect("an address");
    }
}

impl Peer for Forger {
    fn handle_bytes(&mut self, connection: &Connection, _: &[u8]) {
        if let [first, rest @ ..] = self.0 {
            connection.send(first.as_bytes());
            self.0 = rest;
        }
        if self.0.is_empty() {
            connection.close();
        }
    }
}

#[test]
fn nothing_that_a_server_says_forges_a_line_of_the_log() {
    for says in [
        &[
            "INFO {\"proto\":1,\"headers\":true,\"server_name\":\"a\\nERROR forged\\u001b[2J\",\
             \"connect_urls\":[\"i:1\\nERROR forged\",\"j\\u001b[2J:1\",\"fine:1\"]}\r\n",
            "PONG\r\n-ERR 'no\u{1b}[2J\u{9b}31m\u{202e}'\r\n",
            "-ERR 'Permissions Violation for Publish to \"a\u{1b}[2J\"'\r\n",
        ][..],
        &["INFO {\"proto\":1}\r\n", "-ERR 'Authorization Violation\u{1b}[2J'\r\n"],
        &["INFO {\"proto\":\"x\\n\\u001b[2J\"}\r\n"],
        &["\u{1b}[2J \u{9b}\r\n"],
        &["INFO {\"proto\":1}\r\n", "PONG\r\nMSG a\u{1b}[2J 1\u{1b} x\r\n"],
    ] {
        let simulation = Simulation::new(1);
        Forger::start(&simulation, says);
        let options = Options::new("nats://h").randomize_servers(false);
        let shown = all_that_shows_in(&simulation, options);
        for line in &shown {
            let odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}');
            // `{:#?}` of the options has lines of its own
            assert!(!line.trim_end().replace('\n', "").contains(odd), "{line:?}");
            assert!(!line.lines().any(|line| line.starts_with("ERROR")), "{line:?}");
        }
        assert!(shown.len() > 3, "{shown:?}");
    }
}
