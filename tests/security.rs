//! TLS, and who a client is: every way to prove it, what goes wrong and what is reported then,
//! on real servers. Nothing secret that a test uses may show in a log, an error or a `Debug`.

#![cfg(all(feature = "nkeys", feature = "tls"))]

mod support;

use evnats::{
    Client, ClientCertificate, ConnectionError, ConnectionState, Credentials, DisconnectReason,
    EventLoop, Options, RequestError, ServerErrorKind, Tls, TlsErrorKind,
};
use evnats_harness::{
    Certificates, Cluster, Direction, Fault, FaultProxy, Operator, Release, Server,
    ServerCertificate, TlsOptions, User, UserClaims, nkey_user, requires,
};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use support::{fail, finish_with, flush, server, turn_until, unique};

// ---- what all tests share -------------------------------------------------------------------------

static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps everything that is logged.
struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        lock(&LOGGED).push(format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Logger).expect("the first logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Has the tests look out for a text that nobody may see.
fn secret(text: impl Into<String>) -> String {
    let text = text.into();
    lock(&SECRETS).push(text.clone());
    text
}

#[track_caller]
fn assert_hidden(shown: &str) {
    let secrets = lock(&SECRETS);
    let found = secrets.iter().filter(|secret| shown.contains(secret.as_str()));
    assert_eq!(found.count(), 0, "a secret shows in {shown:?}");
}

#[track_caller]
fn assert_nothing_secret_is_logged() {
    let logged = std::mem::take(&mut *lock(&LOGGED));
    logged.iter().for_each(|line| assert_hidden(line));
}

#[derive(Default)]
struct App {
    connects: usize,
    reconnects: usize,
    /// Why attempts failed.
    failures: Vec<DisconnectReason>,
    /// Why connections ended.
    lost: Vec<DisconnectReason>,
    closed: Option<DisconnectReason>,
    errors: Vec<ConnectionError>,
    received: Vec<Vec<u8>>,
    outcomes: Vec<String>,
}

fn event_loop() -> EventLoop<App> {
    EventLoop::new().expect("an event loop")
}

/// A client that writes down what happens to it.
fn connect(event_loop: &EventLoop<App>, options: impl Into<Options>) -> Client<App> {
    capture_log();
    let options = options.into();
    assert_hidden(&format!("{options:?} {options:#?}"));
    let nats = event_loop.connect(options).expect("a client");
    nats.on_connect(|app, _, _| app.connects += 1);
    nats.on_reconnect(|app, _, _| app.reconnects += 1);
    nats.on_error(|app, _, error| {
        assert_hidden(&format!("{error} {error:?}"));
        match error {
            ConnectionError::ConnectFailed { reason, .. } => app.failures.push(reason.clone()),
            other => app.errors.push(other.clone()),
        }
    });
    nats.on_disconnect(|app, _, reason| {
        assert_hidden(&format!("{reason} {reason:?}"));
        app.lost.push(reason.clone());
    });
    nats.on_close(|app, _, reason| app.closed = Some(reason.clone()));
    nats.on_frame(|_, _, frame| assert_hidden(&frame.to_string()));
    nats
}

/// Options for a client that does not let tests wait.
fn quick(servers: impl Into<String>) -> Options {
    Options::new(servers)
        .connect_timeout(Duration::from_secs(5))
        .randomize_servers(false)
        .reconnect_delay(Duration::from_millis(20))
        .max_reconnect_delay(Duration::from_millis(50))
        .reconnect_jitter(Duration::ZERO)
        .reconnect_jitter_tls(Duration::ZERO)
}

/// Connects, has a message go around, and closes.
#[track_caller]
fn expect_success(options: impl Into<Options>) {
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, options);
    let subject = unique("round");
    nats.subscribe(&subject, |app, _, message| app.received.push(message.payload().into()))
        .expect("a subscription");
    nats.publish(&subject, "trip").expect("a publish");
    nats.flush(|_, nats, _| nats.close());
    finish_with(&event_loop, &mut app);
    assert_eq!(app.failures, []);
    assert_eq!(app.received, [b"trip"]);
    assert_nothing_secret_is_logged();
}

/// Has one attempt fail, in a time in which a human does not ask himself what is going on.
#[track_caller]
fn expect_failure(options: impl Into<Options>) -> DisconnectReason {
    let (event_loop, mut app) = (event_loop(), App::default());
    let began = Instant::now();
    connect(&event_loop, options);
    finish_with(&event_loop, &mut app);
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    assert_eq!((app.connects, app.failures.len()), (0, 1), "{:?}", app.failures);
    assert_eq!(app.closed.as_ref(), app.failures.first());
    assert_nothing_secret_is_logged();
    app.failures.remove(0)
}

#[track_caller]
fn expect_tls_error(options: impl Into<Options>, expected: TlsErrorKind) {
    match expect_failure(options) {
        DisconnectReason::Tls { kind, message } => assert_eq!(kind, expected, "{message}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect_refusal(options: impl Into<Options>, expected: ServerErrorKind) {
    match expect_failure(options) {
        DisconnectReason::Server(error) => assert_eq!(error.kind(), expected, "{error}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect_bad_credentials(options: impl Into<Options>, text: &str) {
    match expect_failure(options) {
        DisconnectReason::Credentials(reason) => assert!(reason.contains(text), "{reason}"),
        other => panic!("{other:?}"),
    }
}

fn is_refusal(reason: &DisconnectReason, kind: ServerErrorKind) -> bool {
    matches!(reason, DisconnectReason::Server(error) if error.kind() == kind)
}

fn start(config: impl AsRef<str>) -> Server {
    Server::builder().jetstream(false).config(config).start().expect("a server")
}

// ---- TLS ------------------------------------------------------------------------------------------

/// A server with TLS. Its certificates outlive it.
struct Secured {
    server: Server,
    certificates: Certificates,
}

impl Secured {
    fn start(certificate: ServerCertificate, options: &TlsOptions) -> Self {
        Self::start_with(certificate, options, "")
    }

    fn start_with(certificate: ServerCertificate, options: &TlsOptions, config: &str) -> Self {
        let certificates = Certificates::new();
        let tls = certificates.server_config(certificate, options);
        let mut builder = Server::builder().jetstream(false).config(tls).config(config);
        if options.handshake_first {
            builder = builder.tls_first();
        }
        Self { server: builder.start().expect("a server"), certificates }
    }

    fn trusting(&self) -> Tls {
        Tls::new().ca_file(self.certificates.ca())
    }

    fn options(&self) -> Options {
        quick(self.server.url()).tls(self.trusting())
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.server.port())
    }
}

const PLAIN: TlsOptions =
    TlsOptions { verify: false, verify_and_map: false, handshake_first: false, timeout: None };

#[test]
fn a_server_that_requires_tls_gets_it_with_or_without_a_word_in_the_url() {
    let secured = Secured::start(ServerCertificate::Valid, &PLAIN);
    expect_success(secured.options());
    expect_success(quick(secured.url("tls", "127.0.0.1")).tls(secured.trusting()));
    expect_success(quick(secured.url("nats", "localhost")).tls(secured.trusting()));
    expect_success(secured.options().require_tls(true));
    let pem = fs::read_to_string(secured.certificates.ca()).expect("the CA");
    expect_success(secured.options().tls(Tls::new().ca_pem(pem)));
}

/// Nothing that comes later has it go on: the server waits.
#[test]
fn a_handshake_goes_on_after_a_turn_whose_budget_was_used_up() {
    let secured = Secured::start(ServerCertificate::Valid, &PLAIN);
    expect_success(secured.options().turn_callbacks(1));
}

#[test]
fn a_server_that_offers_tls_is_used_in_the_clear_unless_tls_is_demanded() {
    let secured = Secured::start_with(ServerCertificate::Valid, &PLAIN, "allow_non_tls: true");
    let strangers = Tls::new().ca_file(secured.certificates.other_ca());
    expect_success(quick(secured.server.url()));
    let offered = || secured.options().tls(strangers.clone());
    expect_success(offered().require_tls(false));
    // whoever says whom he trusts wants TLS
    expect_tls_error(offered(), TlsErrorKind::UnknownIssuer);
    let demanding = quick(secured.url("tls", "127.0.0.1")).tls(strangers.clone());
    expect_tls_error(demanding.require_tls(false), TlsErrorKind::UnknownIssuer);
    expect_success(quick(secured.url("tls", "127.0.0.1")).tls(secured.trusting()));
}

#[test]
fn tls_that_a_server_does_not_have_is_an_error_and_nothing_is_said() {
    let config = format!("authorization {{ token: \"{}\" }}\n", secret("not-to-be-said"));
    let server = start(config);
    let url = format!("tls://not-to-be-said@127.0.0.1:{}", server.port());
    expect_tls_error(quick(url), TlsErrorKind::NotAvailable);
    let url = format!("nats://not-to-be-said@127.0.0.1:{}", server.port());
    expect_tls_error(quick(&url).require_tls(true), TlsErrorKind::NotAvailable);
    expect_success(quick(url));
}

#[test]
fn a_certificate_must_be_of_a_trusted_issuer_and_valid_and_for_the_host() {
    let secured = Secured::start(ServerCertificate::Valid, &PLAIN);
    let other = Tls::new().ca_file(secured.certificates.other_ca());
    expect_tls_error(secured.options().tls(other.clone()), TlsErrorKind::UnknownIssuer);
    let both = other.ca_file(secured.certificates.ca());
    expect_success(secured.options().tls(both));

    let expired = Secured::start(ServerCertificate::Expired, &PLAIN);
    expect_tls_error(expired.options(), TlsErrorKind::Expired);
    let anybody = Tls::new().danger_accept_any_certificate(true);
    expect_success(expired.options().tls(anybody));

    let other_host = Secured::start(ServerCertificate::OtherHost, &PLAIN);
    expect_tls_error(other_host.options(), TlsErrorKind::WrongHost);
    let named = other_host.trusting().server_name("elsewhere.example");
    expect_success(other_host.options().tls(named));
}

#[test]
fn a_certificate_for_a_name_is_good_for_the_name_and_not_for_the_address() {
    let secured = Secured::start(ServerCertificate::NameOnly, &PLAIN);
    for scheme in ["nats", "tls"] {
        expect_success(quick(secured.url(scheme, "localhost")).tls(secured.trusting()));
        let by_address = quick(secured.url(scheme, "127.0.0.1")).tls(secured.trusting());
        expect_tls_error(by_address, TlsErrorKind::WrongHost);
    }
}

#[test]
fn a_discovered_address_is_verified_against_the_name_of_the_announcing_host() {
    let certificates = Certificates::new();
    let tls = certificates.server_config(ServerCertificate::NameOnly, &PLAIN);
    let cluster = Cluster::builder().jetstream(false).config(tls).start();
    let mut cluster = cluster.expect("a cluster");
    let first = cluster.server(0).port();
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(format!("nats://localhost:{first}"));
    let options = options.tls(Tls::new().ca_file(certificates.ca()));
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    let discovered = nats.servers().into_iter().filter(|server| server.discovered);
    let discovered: Vec<_> = discovered.filter(|server| server.url.port() != first).collect();
    assert!(discovered.iter().all(|server| server.url.is_address()), "{discovered:?}");
    assert_eq!(discovered.len(), 2);
    cluster.server_mut(0).kill9();
    turn_until(&event_loop, &mut app, "another node", |app| app.reconnects == 1);
    assert_ne!(nats.server_info().map(|info| info.port), Some(first));
    let bad = app.failures.iter().filter(|reason| matches!(reason, DisconnectReason::Tls { .. }));
    assert_eq!(bad.count(), 0, "{:?}", app.failures);
    drop(event_loop);
    drop(cluster);
}

#[test]
fn the_handshake_may_come_first_if_both_sides_agree() {
    requires!(server(), 2, 10);
    let first = TlsOptions { handshake_first: true, ..TlsOptions::default() };
    let secured = Secured::start(ServerCertificate::Valid, &first);
    expect_success(secured.options().tls(secured.trusting().first(true)));
    let url = secured.url("tls", "localhost");
    expect_success(quick(url).tls(secured.trusting().first(true)));
    // the server waits for the client, and the client for the server
    let options = secured.options().connect_timeout(Duration::from_millis(300));
    assert_eq!(expect_failure(options), DisconnectReason::ConnectTimeout);
    let other = Tls::new().ca_file(secured.certificates.other_ca()).first(true);
    expect_tls_error(secured.options().tls(other), TlsErrorKind::UnknownIssuer);
}

#[test]
fn a_handshake_that_comes_first_meets_a_server_that_does_not_expect_it() {
    let secured = Secured::start(ServerCertificate::Valid, &PLAIN);
    let first = secured.trusting().first(true);
    for port in [secured.server.port(), server().port()] {
        let options = quick(format!("nats://127.0.0.1:{port}")).tls(first.clone());
        match expect_failure(options) {
            DisconnectReason::Tls { kind: TlsErrorKind::Other, message } => {
                assert!(message.contains("did not answer with TLS"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_that_takes_the_handshake_first_or_later_takes_both() {
    requires!(server(), 2, 10);
    let certificates = Certificates::new();
    let tls = certificates.server_config(ServerCertificate::Valid, &PLAIN);
    let server = start(tls.replace("tls {", "tls {\n  handshake_first: auto"));
    let trusting = Tls::new().ca_file(certificates.ca());
    expect_success(quick(server.url()).tls(trusting.clone()));
    expect_success(quick(server.url()).tls(trusting.first(true)));
}

#[test]
fn a_client_certificate_is_shown_and_refused_if_it_is_missing_or_foreign() {
    let verify = TlsOptions { verify: true, ..TlsOptions::default() };
    let secured = Secured::start(ServerCertificate::Valid, &verify);
    let certificates = &secured.certificates;
    let own = secured
        .trusting()
        .client_certificate_files(certificates.client(), certificates.client_key());
    expect_success(secured.options().tls(own));
    let read = |path: &Path| fs::read_to_string(path).expect("a PEM file");
    let key = secret(read(&certificates.client_key()));
    let in_memory =
        secured.trusting().client_certificate_pem(read(&certificates.client()), key.clone());
    assert_hidden(&format!("{in_memory:?}"));
    expect_success(secured.options().tls(in_memory));
    expect_tls_error(secured.options(), TlsErrorKind::Refused);
    let foreign = secured
        .trusting()
        .client_certificate_files(certificates.stranger(), certificates.stranger_key());
    expect_tls_error(secured.options().tls(foreign), TlsErrorKind::Refused);
    // what the client cannot use itself
    let missing = secured.trusting().client_certificate_files("/nonexistent.pem", "/nonexistent");
    expect_tls_error(secured.options().tls(missing), TlsErrorKind::Configuration);
    let not_its_key =
        secured.trusting().client_certificate_files(certificates.client(), certificates.ca());
    expect_tls_error(secured.options().tls(not_its_key), TlsErrorKind::Configuration);
    let other_key = secured
        .trusting()
        .client_certificate_files(certificates.client(), certificates.stranger_key());
    expect_tls_error(secured.options().tls(other_key), TlsErrorKind::Configuration);
}

#[test]
fn a_client_certificate_is_asked_for_at_every_attempt() {
    let verify = TlsOptions { verify: true, ..TlsOptions::default() };
    let mut secured = Secured::start(ServerCertificate::Valid, &verify);
    let certificates = &secured.certificates;
    let own = [certificates.client(), certificates.client_key()];
    let [chain, key] = own.clone().map(|path| fs::read_to_string(path).expect("a PEM file"));
    let key = secret(key);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let tls =
        secured.trusting().client_certificate_with(move || match count.fetch_add(1, Relaxed) {
            0 => Err("the vault is sealed".into()),
            1 => Ok(ClientCertificate::from_pem(&*chain, &*key)),
            _ => Ok(ClientCertificate::from_files(&own[0], &own[1])),
        });
    assert_hidden(&format!("{tls:?}"));
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = secured.options().tls(tls).retry_first_connect(true);
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    let [DisconnectReason::Tls { kind: TlsErrorKind::Configuration, message }] = &app.failures[..]
    else {
        panic!("{:?}", app.failures);
    };
    assert!(message.contains("the vault is sealed"), "{message}");
    secured.server.restart();
    turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
    assert!(asked.load(Relaxed) >= 3);
}

#[test]
fn a_client_certificate_alone_says_who_the_client_is() {
    let certificates = Certificates::new();
    let map = TlsOptions { verify_and_map: true, ..TlsOptions::default() };
    let tls = certificates.server_config(ServerCertificate::Valid, &map);
    let users = |name: &str| {
        format!(
            "{tls}\nauthorization {{ users: [ {{ user: \"{name}\", permissions: \
             {{ publish: {{ deny: [\"forbidden\"] }} }} }} ] }}\n"
        )
    };
    let mut server = start(users(certificates.client_email()));
    let own = Tls::new()
        .ca_file(certificates.ca())
        .client_certificate_files(certificates.client(), certificates.client_key());
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).tls(own.clone()));
    nats.publish("forbidden", "").expect("a publish");
    turn_until(&event_loop, &mut app, "a refusal", |app| !app.errors.is_empty());
    assert!(app.errors[0].to_string().contains("forbidden"), "it is this user: {:?}", app.errors);
    nats.close();
    finish_with(&event_loop, &mut app);
    server.reload(users(&certificates.client_subject()));
    expect_success(quick(server.url()).tls(own.clone()));
    server.reload(users("somebody@else.example"));
    expect_refusal(quick(server.url()).tls(own), ServerErrorKind::Authorization);
}

#[test]
fn certificate_files_are_read_anew_for_every_connection() {
    let verify = TlsOptions { verify: true, ..TlsOptions::default() };
    let mut secured = Secured::start(ServerCertificate::Valid, &verify);
    let files = tempfile::tempdir().expect("a directory");
    let [ca, chain, key] = ["ca", "chain", "key"].map(|name| files.path().join(name));
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).expect("a copy");
    };
    let certificates = &secured.certificates;
    copy(&certificates.other_ca(), &ca);
    copy(&certificates.stranger(), &chain);
    copy(&certificates.stranger_key(), &key);
    let (event_loop, mut app) = (event_loop(), App::default());
    let tls = Tls::new().ca_file(&ca).client_certificate_files(&chain, &key);
    let options = quick(secured.server.url()).tls(tls).retry_first_connect(true);
    let nats = connect(&event_loop, options);
    let last_kind = |app: &App| match app.failures.last() {
        Some(DisconnectReason::Tls { kind, .. }) => Some(*kind),
        _ => None,
    };
    turn_until(&event_loop, &mut app, "an unknown issuer", |app| {
        last_kind(app) == Some(TlsErrorKind::UnknownIssuer)
    });
    copy(&certificates.ca(), &ca);
    turn_until(&event_loop, &mut app, "a refusal", |app| {
        last_kind(app) == Some(TlsErrorKind::Refused)
    });
    fs::remove_file(&chain).expect("removed");
    turn_until(&event_loop, &mut app, "a missing file", |app| {
        last_kind(app) == Some(TlsErrorKind::Configuration)
    });
    copy(&certificates.client_key(), &key);
    copy(&certificates.client(), &chain);
    flush(&event_loop, &mut app, &nats);
    // and at a reconnect
    copy(&certificates.other_ca(), &ca);
    app.failures.clear();
    secured.server.restart();
    turn_until(&event_loop, &mut app, "an unknown issuer", |app| {
        last_kind(app) == Some(TlsErrorKind::UnknownIssuer)
    });
    copy(&secured.certificates.ca(), &ca);
    turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
}

/// A payload that is not the same anywhere.
fn large() -> Vec<u8> {
    let mut state = 1_u32;
    let bytes = (0..1024 * 1024).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.collect()
}

/// A megabyte there and back, twice.
fn exchange(event_loop: &EventLoop<App>, app: &mut App, nats: &Client<App>, direct: &Client<App>) {
    let (there, back) = (unique("there"), unique("back"));
    nats.subscribe(&back, |app, _, message| app.received.push(message.payload().into()))
        .expect("a subscription");
    let to = back.clone();
    direct
        .subscribe(&there, move |_, direct, message| {
            direct.client().publish(&to, message.payload()).expect("a publish");
        })
        .expect("a subscription");
    flush(event_loop, app, direct);
    flush(event_loop, app, nats);
    app.received.clear();
    for _ in 0..2 {
        nats.publish(&there, large()).expect("a publish");
    }
    turn_until(event_loop, app, "two megabytes", |app| app.received.len() == 2);
    assert!(app.received.iter().all(|payload| *payload == large()), "they are not what was sent");
}

#[test]
fn a_megabyte_goes_both_ways_through_tls_whose_records_are_cut_into_bytes() {
    // bytes that come alone take long on a busy machine
    let patient = TlsOptions { timeout: Some(Duration::from_secs(60)), ..TlsOptions::default() };
    let secured = Secured::start(ServerCertificate::Valid, &patient);
    let proxy = FaultProxy::start(secured.server.port(), |_| {
        let directions = [Direction::ToClient, Direction::ToServer];
        let faults = directions.map(|direction| {
            let trickle = |from, len| Fault::Trickle { direction, from, until: from + len };
            let hold = Duration::from_millis(20);
            [
                // the handshake, and the borders of records
                trickle(0, 2_500),
                trickle(100_000, 500),
                trickle(1_048_500, 500),
                Fault::Delay { direction, at: 200_003, hold },
                Fault::Delay { direction, at: 900_001, hold },
            ]
        });
        faults.concat()
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let direct = connect(&event_loop, secured.options());
    let options = quick(proxy.url()).connect_timeout(Duration::from_secs(60));
    let nats = connect(&event_loop, options.tls(secured.trusting()));
    exchange(&event_loop, &mut app, &nats, &direct);
    assert_eq!(app.failures, []);
    assert_eq!((app.connects, app.lost.len()), (2, 0));
}

#[test]
fn a_tls_connection_that_ends_anywhere_is_made_again() {
    let secured = Secured::start(ServerCertificate::Valid, &PLAIN);
    let fault = Rc::new(Cell::new(0));
    for at in [0, 1, 100, 350, 353, 360, 700, 1_200, 1_700, 2_000, 2_100, 2_500, 20_000, 1_000_000]
    {
        for direction in [Direction::ToClient, Direction::ToServer] {
            fault.set(fault.get() + 1);
            let faults = [
                Fault::Cut { direction, at },
                Fault::Reset { direction, at },
                Fault::HalfClose { direction, at },
                Fault::Corrupt { direction, at, xor: 0x40 },
            ];
            let fault = faults[fault.get() % faults.len()].clone();
            let what = format!("{fault:?}");
            let proxy = FaultProxy::start(secured.server.port(), move |index| match index {
                0 => vec![fault.clone()],
                _ => Vec::new(),
            });
            let (event_loop, mut app) = (event_loop(), App::default());
            let options = quick(proxy.url())
                .tls(secured.trusting())
                .connect_timeout(Duration::from_millis(500))
                .ping_interval(Duration::from_millis(100))
                .retry_first_connect(true);
            let nats = connect(&event_loop, options);
            let subject = unique("large");
            let payload = large();
            nats.subscribe(&subject, move |app, _, message| {
                assert!(message.payload() == payload, "{what}: it is not what was sent");
                app.outcomes.push("received".into());
            })
            .expect("a subscription");
            // what is lost with a connection is sent again
            fn send(nats: &Client<App>, subject: String) {
                // a connection is lost before there is one, or the message with it
                if nats.state() == ConnectionState::Connected {
                    nats.publish(&subject, large()).expect("a publish");
                }
                nats.flush(move |app: &mut App, nats, _| match app.outcomes.is_empty() {
                    true => {
                        let again = nats.clone();
                        nats.handle().set_timer(Duration::from_millis(5), move |_, _| {
                            send(&again, subject);
                        });
                    }
                    false => nats.close(),
                });
            }
            send(&nats, subject);
            finish_with(&event_loop, &mut app);
            assert!(!app.outcomes.is_empty());
        }
    }
}

// ---- WebSocket ------------------------------------------------------------------------------------

#[cfg(feature = "websocket")]
mod websocket {
    use super::*;

    fn start(tls: Option<&Certificates>, config: &str) -> Server {
        let builder = Server::builder().jetstream(false).config(config);
        let builder = match tls {
            None => builder.websocket(),
            Some(certificates) => {
                builder.websocket_tls(certificates.server_config(ServerCertificate::Valid, &PLAIN))
            }
        };
        builder.start().expect("a server")
    }

    #[test]
    fn a_client_over_a_websocket_says_who_it_is_and_carries_everything() {
        let token = secret("websocket-token");
        let mut server = start(None, &format!("authorization {{ token: \"{token}\" }}\n"));
        expect_success(quick(server.websocket_url()).credentials(Credentials::token(&*token)));
        expect_success(quick(server.websocket_url().replace("ws://", "ws://websocket-token@")));
        expect_refusal(quick(server.websocket_url()), ServerErrorKind::Authorization);
        let (event_loop, mut app) = (event_loop(), App::default());
        let credentials = Credentials::token(token);
        let options = quick(server.websocket_url()).credentials(credentials.clone());
        let nats = connect(&event_loop, options);
        let direct = connect(&event_loop, quick(server.url()).credentials(credentials));
        exchange(&event_loop, &mut app, &nats, &direct);
        server.restart();
        turn_until(&event_loop, &mut app, "reconnects", |app| app.reconnects == 2);
        exchange(&event_loop, &mut app, &nats, &direct);
    }

    #[test]
    fn a_websocket_logs_nothing_secret() {
        let token = secret("secret-of-the-websocket");
        let server = start(None, &format!("authorization {{ token: \"{token}\" }}\n"));
        // it looks at all that is logged, at every level and by whomever
        expect_success(quick(server.websocket_url()).credentials(Credentials::token(token)));
        let in_query = format!("{}/?jwt={}", server.websocket_url(), secret("of-the-query"));
        expect_refusal(quick(in_query), ServerErrorKind::Authorization);
    }

    #[test]
    fn the_reason_in_a_close_frame_is_kept() {
        let mut server = start(None, "");
        let (event_loop, mut app) = (event_loop(), App::default());
        let nats = connect(&event_loop, quick(server.websocket_url()));
        flush(&event_loop, &mut app, &nats);
        server.stop();
        turn_until(&event_loop, &mut app, "the end", |app| !app.lost.is_empty());
        let reason = app.lost[0].to_string();
        assert!(reason.contains("Server Shutdown") && reason.contains("(code 1001)"), "{reason}");
        assert!(app.lost[0].is_temporary());
    }

    #[test]
    fn a_websocket_with_tls_verifies_the_certificate() {
        let certificates = Certificates::new();
        let server = start(Some(&certificates), "");
        let url = server.websocket_url();
        assert!(url.starts_with("wss://"));
        let trusting = Tls::new().ca_file(certificates.ca());
        expect_success(quick(&url).tls(trusting.clone()));
        let other = Tls::new().ca_file(certificates.other_ca());
        expect_tls_error(quick(&url).tls(other), TlsErrorKind::UnknownIssuer);
        let (event_loop, mut app) = (event_loop(), App::default());
        let nats = connect(&event_loop, quick(&url).tls(trusting));
        let direct = connect(&event_loop, server.url());
        exchange(&event_loop, &mut app, &nats, &direct);
        // without TLS, the server says something else
        let plain = expect_failure(quick(url.replace("wss://", "ws://")));
        assert!(!matches!(plain, DisconnectReason::ConnectTimeout), "{plain}");
    }

    #[test]
    fn a_websocket_client_meets_a_port_that_does_not_speak_it() {
        let url = format!("ws://127.0.0.1:{}", server().port());
        let reason = expect_failure(quick(url).connect_timeout(Duration::from_secs(2)));
        assert!(!reason.to_string().is_empty());
    }

    #[test]
    fn a_websocket_through_a_proxy_that_cuts_it_into_bytes() {
        let certificates = Certificates::new();
        let server = start(Some(&certificates), "");
        let port = server.websocket_url().rsplit(':').next().and_then(|port| port.parse().ok());
        let proxy = FaultProxy::start(port.expect("a port"), |_| {
            let directions = [Direction::ToClient, Direction::ToServer];
            let faults = directions.map(|direction| {
                [0, 70_000].map(|from| Fault::Trickle { direction, from, until: from + 500 })
            });
            faults.concat()
        });
        let (event_loop, mut app) = (event_loop(), App::default());
        let trusting = Tls::new().ca_file(certificates.ca());
        let url = format!("wss://127.0.0.1:{}", proxy.port());
        let nats = connect(&event_loop, quick(url).tls(trusting));
        let direct = connect(&event_loop, server.url());
        exchange(&event_loop, &mut app, &nats, &direct);
        proxy.reset_all();
        turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
        exchange(&event_loop, &mut app, &nats, &direct);
    }
}

// ---- users, passwords and tokens ------------------------------------------------------------------

#[test]
fn user_and_password_come_from_the_options_or_the_url_which_counts_more() {
    let password = secret("p@ss:w/rd %");
    secret("p%40ss%3Aw%2Frd%20%25");
    let config = format!("authorization {{ user: \"j o\", password: \"{password}\" }}\n");
    let server = start(config);
    let right = Credentials::user_password("j o", &*password);
    let wrong = Credentials::user_password("j o", secret("wr0ng-passw0rd"));
    assert_hidden(&format!("{right:?} {right:#?}"));
    expect_success(quick(server.url()).credentials(right.clone()));
    expect_refusal(quick(server.url()).credentials(wrong.clone()), ServerErrorKind::Authorization);
    expect_refusal(quick(server.url()), ServerErrorKind::Authorization);
    let at = |user: &str| server.url().replace("nats://", &format!("nats://{user}@"));
    expect_success(quick(at("j%20o:p%40ss%3Aw%2Frd%20%25")).credentials(wrong));
    let in_url = quick(at("j%20o:wr0ng-passw0rd")).credentials(right);
    expect_refusal(in_url, ServerErrorKind::Authorization);
}

#[test]
fn a_token_comes_from_the_options_or_the_url_which_counts_more() {
    let server = start(format!("authorization {{ token: \"{}\" }}\n", secret("t0ken-of-joy")));
    let right = Credentials::token("t0ken-of-joy");
    assert_hidden(&format!("{right:?}"));
    expect_success(quick(server.url()).credentials(right.clone()));
    let at = |token: &str| server.url().replace("nats://", &format!("nats://{token}@"));
    expect_success(quick(at("t0ken%2Dof-joy")));
    expect_success(quick(at("t0ken-of-joy")).credentials(Credentials::token("another")));
    let in_url = quick(at("another")).credentials(right);
    expect_refusal(in_url, ServerErrorKind::Authorization);
}

#[test]
fn a_user_and_a_url_that_cannot_be_used_say_nothing_of_the_password() {
    let password = secret("unusable-p4ssword");
    let event_loop = event_loop();
    for url in [
        format!("nats://jo:{password}@[broken"),
        format!("ftp://jo:{password}@host"),
        format!("nats://jo:{password}@host:99999"),
    ] {
        let options = Options::new(&url);
        assert_hidden(&format!("{options:?}"));
        let error = event_loop.connect(options).expect_err("it cannot be used");
        assert_hidden(&format!("{error} {error:?}"));
    }
}

// ---- nkeys ----------------------------------------------------------------------------------------

fn nkey_server() -> (Server, String) {
    let (public_key, seed) = nkey_user();
    let server = start(format!("authorization {{ users: [ {{ nkey: {public_key} }} ] }}\n"));
    (server, secret(seed))
}

#[test]
fn an_nkey_signs_and_another_one_is_refused() {
    let (server, seed) = nkey_server();
    let right = Credentials::nkey(&seed).expect("a seed");
    assert_hidden(&format!("{right:?} {right:#?}"));
    expect_success(quick(server.url()).credentials(right));
    let wrong = Credentials::nkey(&secret(nkey_user().1)).expect("a seed");
    expect_refusal(quick(server.url()).credentials(wrong), ServerErrorKind::Authorization);
    expect_refusal(quick(server.url()), ServerErrorKind::Authorization);
}

#[test]
fn an_nkey_may_be_signed_with_elsewhere() {
    let (server, seed) = nkey_server();
    let key = nkeys::KeyPair::from_seed(&seed).expect("a seed");
    let public_key = key.public_key();
    let signed = Arc::new(AtomicUsize::new(0));
    let count = signed.clone();
    let right = Credentials::nkey_with_signer(&public_key, move |nonce| {
        count.fetch_add(1, Relaxed);
        Ok(key.sign(nonce)?)
    });
    expect_success(quick(server.url()).credentials(right));
    assert_eq!(signed.load(Relaxed), 1);
    let bad = Credentials::nkey_with_signer(&public_key, |_| Ok(vec![0; 64]));
    expect_refusal(quick(server.url()).credentials(bad), ServerErrorKind::Authorization);
    let short = Credentials::nkey_with_signer(&public_key, |_| Ok(vec![0; 63]));
    expect_bad_credentials(quick(server.url()).credentials(short), "64 bytes");
    let broken = Credentials::nkey_with_signer(public_key, |_| Err("the vault is closed".into()));
    expect_bad_credentials(quick(server.url()).credentials(broken), "the vault is closed");
}

#[test]
fn a_server_that_does_not_ask_for_a_signature_is_an_error_that_says_so() {
    let seed = secret(nkey_user().1);
    let credentials = Credentials::nkey(&seed).expect("a seed");
    let server = start("");
    expect_bad_credentials(quick(server.url()).credentials(credentials), "nkeys are not set up");
}

// ---- proxies --------------------------------------------------------------------------------------

/// A server that trusts a proxy, through which alone its user may come.
fn server_behind(proxy: &nkeys::KeyPair) -> Server {
    start(format!(
        "proxies {{ trusted = [ {{ key: {} }} ] }}\n\
         authorization {{ users: [ {{ user: joe, password: s3cret, proxy_required: true }} ] }}\n",
        proxy.public_key()
    ))
}

fn joe(server: &Server) -> Options {
    quick(server.url()).credentials(Credentials::user_password("joe", "s3cret"))
}

#[test]
fn a_trusted_proxy_signs_beside_the_credentials_of_its_client() {
    requires!(server(), 2, 12);
    for key in [nkeys::KeyPair::new_server(), nkeys::KeyPair::new_user()] {
        let server = server_behind(&key);
        let by_seed = evnats::ProxyKey::new(&secret(key.seed().expect("a seed"))).expect("a key");
        assert_hidden(&format!("{by_seed:?}"));
        expect_success(joe(&server).proxy_key(by_seed.clone()));
        // the user in the URL
        let url = server.url().replace("nats://", "nats://joe:s3cret@");
        expect_success(quick(url).proxy_key(by_seed));
        let signer = evnats::ProxyKey::with_signer(move |nonce| Ok(key.sign(nonce)?));
        expect_success(joe(&server).proxy_key(signer));
    }
}

#[test]
fn a_user_of_proxies_alone_is_refused_without_a_proxy_and_with_one_that_is_not_trusted() {
    requires!(server(), 2, 12);
    let server = server_behind(&nkeys::KeyPair::new_server());
    expect_refusal(joe(&server), ServerErrorKind::Authorization);
    let foreign = secret(nkeys::KeyPair::new_server().seed().expect("a seed"));
    let foreign = evnats::ProxyKey::new(&foreign).expect("a key");
    expect_refusal(joe(&server).proxy_key(foreign), ServerErrorKind::Authorization);
    let broken = evnats::ProxyKey::with_signer(|_| Err("the vault is closed".into()));
    expect_bad_credentials(joe(&server).proxy_key(broken), "the vault is closed");
}

#[test]
fn a_server_that_knows_no_proxies_takes_a_client_with_the_key_of_one() {
    let (server, key) = (start(""), nkeys::KeyPair::new_server());
    let key = secret(key.seed().expect("a seed"));
    expect_success(quick(server.url()).proxy_key(evnats::ProxyKey::new(&key).expect("a key")));
}

// ---- JWTs -----------------------------------------------------------------------------------------

fn hidden_user(operator: &Operator, claims: UserClaims) -> User {
    let user = operator.user(claims);
    secret(&user.seed);
    secret(&user.jwt);
    user
}

#[test]
fn a_jwt_comes_from_a_file_from_memory_or_with_a_signer() {
    let operator = Operator::new();
    let server = start(operator.server_config());
    let user = hidden_user(&operator, UserClaims::default());
    let files = tempfile::tempdir().expect("a directory");
    let text = user.creds_text();
    for (name, text) in [("lf", text.clone()), ("crlf", text.replace('\n', "\r\n"))] {
        let path = files.path().join(name);
        fs::write(&path, &text).expect("a file");
        let from_file = Credentials::creds_file(path);
        assert_hidden(&format!("{from_file:?}"));
        expect_success(quick(server.url()).credentials(from_file));
        let from_memory = Credentials::creds(&text).expect("credentials");
        assert_hidden(&format!("{from_memory:?}"));
        expect_success(quick(server.url()).credentials(from_memory));
    }
    let parts = Credentials::jwt(&user.jwt, &user.seed).expect("credentials");
    expect_success(quick(server.url()).credentials(parts));
    let key = nkeys::KeyPair::from_seed(&user.seed).expect("a seed");
    let signed = Credentials::jwt_with_signer(&*user.jwt, move |nonce| Ok(key.sign(nonce)?));
    expect_success(quick(server.url()).credentials(signed));

    let other = hidden_user(&operator, UserClaims::default());
    let mixed = Credentials::jwt(&user.jwt, &other.seed).expect("credentials");
    expect_refusal(quick(server.url()).credentials(mixed), ServerErrorKind::Authorization);
    let foreign = hidden_user(&Operator::new(), UserClaims::default());
    let foreign = Credentials::jwt(&foreign.jwt, &foreign.seed).expect("credentials");
    expect_refusal(quick(server.url()).credentials(foreign), ServerErrorKind::Authorization);
    let missing = Credentials::creds_file(files.path().join("missing"));
    expect_bad_credentials(quick(server.url()).credentials(missing), "cannot read");
}

#[test]
fn a_creds_file_that_is_cut_anywhere_is_an_error_that_says_what_is_missing() {
    let operator = Operator::new();
    let server = start(operator.server_config());
    let user = hidden_user(&operator, UserClaims::default());
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("creds");
    let text = user.creds_text();
    let place = |text: &str, part: &str| text.find(part).expect("a part");
    for (keep, expected) in [
        (0, "the JWT is missing"),
        (place(&text, "------END NATS USER JWT"), "the block of the JWT has no end"),
        (place(&text, "-----BEGIN USER NKEY SEED"), "the seed is missing"),
        (place(&text, "------END USER NKEY SEED"), "the block of the seed has no end"),
    ] {
        fs::write(&path, &text[..keep]).expect("a file");
        let options = quick(server.url()).credentials(Credentials::creds_file(&path));
        expect_bad_credentials(options, expected);
    }
    fs::write(&path, text.replace("BEGIN USER", "BEGIN A USER")).expect("a file");
    expect_success(quick(server.url()).credentials(Credentials::creds_file(path)));
}

#[test]
fn a_long_jwt_needs_a_longer_control_line_on_both_sides() {
    let operator = Operator::new();
    let config = operator.server_config();
    let longer = start(format!("{config}\nmax_control_line: 32KB\n"));
    let usual = start(config);
    let claims = UserClaims { padding: 6_000, ..UserClaims::default() };
    let user = hidden_user(&operator, claims);
    assert!(user.jwt.len() > 8_000, "{}", user.jwt.len());
    let credentials = Credentials::creds(user.creds_text()).expect("credentials");
    let options = |server: &Server| quick(server.url()).credentials(credentials.clone());
    expect_success(options(&longer).max_control_line(32 * 1024));
    for server in [&longer, &usual] {
        match expect_failure(options(server)) {
            DisconnectReason::ConnectLineTooLong { size, limit } => {
                assert!(size > user.jwt.len() && limit == 4096, "{size} and {limit}");
            }
            other => panic!("{other:?}"),
        }
    }
    let refused = options(&usual).max_control_line(32 * 1024);
    expect_refusal(refused, ServerErrorKind::MaximumControlLine);
}

// ---- who the client is changes --------------------------------------------------------------------

#[test]
fn credentials_are_asked_for_at_every_attempt() {
    let token = secret("asked-for-t0ken");
    let mut server = start(format!("authorization {{ token: \"{token}\" }}\n"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let options = quick(server.url()).retry_first_connect(true).credentials_with(move |info| {
        assert!(info.auth_required);
        match count.fetch_add(1, Relaxed) + 1 {
            1 => Err("not yet".into()),
            2 => Ok(Credentials::token("not-this-one")),
            _ => Ok(Credentials::token(&*token)),
        }
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    assert_eq!((asked.load(Relaxed), app.failures.len()), (3, 2), "{:?}", app.failures);
    assert_eq!(app.failures[0], DisconnectReason::Credentials("not yet".into()));
    assert!(is_refusal(&app.failures[1], ServerErrorKind::Authorization));
    for round in 1..=3 {
        server.restart();
        turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == round);
        assert_eq!(asked.load(Relaxed), 3 + round);
    }
}

#[test]
fn a_creds_file_that_was_replaced_while_the_server_was_down_is_used() {
    let operator = Operator::new();
    let mut server = start(operator.server_config());
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("creds");
    let write = |forbidden: &str| {
        let claims = UserClaims {
            publish_allow: vec![">".to_owned()],
            publish_deny: vec![forbidden.to_owned()],
            ..UserClaims::default()
        };
        let user = hidden_user(&operator, claims);
        fs::write(&path, user.creds_text()).expect("a file");
    };
    write("one");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(server.url()).credentials(Credentials::creds_file(&path));
    let nats = connect(&event_loop, options);
    let check = |app: &mut App, user: &str| {
        app.errors.clear();
        nats.publish("one", "").expect("a publish");
        nats.publish("two", "").expect("a publish");
        flush(&event_loop, app, &nats);
        assert_eq!(app.errors.len(), 1, "{:?}", app.errors);
        assert!(app.errors[0].to_string().contains(&format!("{user:?}")), "{:?}", app.errors);
    };
    check(&mut app, "one");
    server.stop();
    turn_until(&event_loop, &mut app, "a disconnect", |app| !app.lost.is_empty());
    write("two");
    server.start_again();
    turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
    check(&mut app, "two");
}

#[test]
fn a_creds_file_that_is_missing_at_a_reconnect_is_waited_for() {
    let operator = Operator::new();
    let mut server = start(operator.server_config());
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("creds");
    let text = hidden_user(&operator, UserClaims::default()).creds_text();
    fs::write(&path, &text).expect("a file");
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(server.url()).credentials(Credentials::creds_file(&path));
    let nats = connect(&event_loop, options);
    flush(&event_loop, &mut app, &nats);
    fs::remove_file(&path).expect("removed");
    server.restart();
    turn_until(&event_loop, &mut app, "failures", |app| {
        let missing = |reason: &&DisconnectReason| matches!(reason, DisconnectReason::Credentials(text) if text.contains("cannot read"));
        app.failures.iter().filter(missing).count() >= 4
    });
    assert_eq!(nats.state(), ConnectionState::Reconnecting, "it keeps trying");
    fs::write(&path, &text[..text.len() / 2]).expect("half a file");
    let seen = app.failures.len();
    turn_until(&event_loop, &mut app, "failures", |app| app.failures.len() > seen + 1);
    fs::write(&path, text).expect("a file");
    turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
    flush(&event_loop, &mut app, &nats);
    assert_nothing_secret_is_logged();
}

#[test]
fn a_jwt_that_expires_is_followed_by_a_fresh_one_of_the_callback() {
    let operator = Operator::new();
    let server = start(operator.server_config());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let options = quick(server.url()).credentials_with(move |_| {
        let is_first = count.fetch_add(1, Relaxed) == 0;
        let expires = SystemTime::now() + Duration::from_secs(2);
        let expires = is_first.then_some(expires);
        let user = hidden_user(&operator, UserClaims { expires, ..UserClaims::default() });
        Ok(Credentials::jwt(&user.jwt, &user.seed)?)
    });
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, options);
    let subject = unique("numbers");
    nats.subscribe(&subject, |app, _, message| app.received.push(message.payload().into()))
        .expect("a subscription");
    flush(&event_loop, &mut app, &nats);
    turn_until(&event_loop, &mut app, "the end of the JWT", |app| !app.lost.is_empty());
    assert!(is_refusal(&app.lost[0], ServerErrorKind::AuthenticationExpired), "{:?}", app.lost);
    turn_until(&event_loop, &mut app, "a reconnect", |app| app.reconnects == 1);
    assert_eq!((asked.load(Relaxed), app.failures.len()), (2, 0), "{:?}", app.failures);
    nats.publish(&subject, "again").expect("a publish");
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.received, [b"again"]);
    assert_nothing_secret_is_logged();
}

#[test]
fn a_user_that_is_revoked_is_disconnected_and_gives_up() {
    let mut operator = Operator::new();
    let config = operator.server_config();
    let mut server = start(&config);
    let user = hidden_user(&operator, UserClaims::default());
    let credentials = Credentials::jwt(&user.jwt, &user.seed).expect("credentials");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server.url()).credentials(credentials));
    flush(&event_loop, &mut app, &nats);
    // a server does not take another token of the operator's, be it with another time only
    let revoked = operator.revoke(&user);
    let line = |text: &str| text.lines().next().expect("the operator's line").to_owned();
    server.reload(revoked.replace(&line(&revoked), &line(&config)));
    finish_with(&event_loop, &mut app);
    assert!(is_refusal(&app.lost[0], ServerErrorKind::AuthenticationExpired), "{:?}", app.lost);
    let closed = app.closed.expect("closed");
    assert!(is_refusal(&closed, ServerErrorKind::Authorization), "{closed:?}");
    assert!((1..=2).contains(&app.failures.len()), "{:?}", app.failures);
    assert_nothing_secret_is_logged();
}

#[test]
fn the_same_authentication_error_twice_stops_a_client_unless_it_is_to_go_on() {
    let config = |token: &str| format!("authorization {{ token: \"{token}\" }}\n");
    let mut server = start(config(&secret("first-t0ken")));
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(server.url()).credentials(Credentials::token("first-t0ken"));
    let stops = connect(&event_loop, options.clone());
    flush(&event_loop, &mut app, &stops);
    server.reload(config(&secret("second-t0ken")));
    server.restart();
    turn_until(&event_loop, &mut app, "the end", |app| app.closed.is_some());
    let closed = app.closed.take().expect("closed");
    assert!(is_refusal(&closed, ServerErrorKind::Authorization), "{closed:?}");
    let refusals = |app: &App| {
        let all = app.failures.iter();
        all.filter(|reason| is_refusal(reason, ServerErrorKind::Authorization)).count()
    };
    assert!((1..=2).contains(&refusals(&app)), "{:?}", app.failures);

    app = App::default();
    let options = options.retry_first_connect(true).stop_on_repeated_auth_error(false);
    let goes_on = connect(&event_loop, options);
    turn_until(&event_loop, &mut app, "refusals", |app| refusals(app) >= 4);
    assert_eq!(app.closed, None);
    server.reload(config("first-t0ken"));
    flush(&event_loop, &mut app, &goes_on);
    assert_eq!(app.connects, 1);
    assert_nothing_secret_is_logged();
}

#[test]
fn two_refusals_in_a_row_end_the_first_connection_too_even_if_it_is_retried() {
    let server = start(format!("authorization {{ token: \"{}\" }}\n", secret("unknown-t0ken")));
    let (event_loop, mut app) = (event_loop(), App::default());
    let options = quick(server.url()).retry_first_connect(true);
    connect(&event_loop, options.credentials(Credentials::token("guess")));
    finish_with(&event_loop, &mut app);
    assert_eq!(app.failures.len(), 2, "{:?}", app.failures);
    assert_eq!(app.closed.as_ref(), app.failures.last());
}

// ---- what a client may do -------------------------------------------------------------------------

fn permissions(publish_deny: &str, subscribe_deny: &str) -> String {
    format!(
        "authorization {{ users: [ {{ user: \"jo\", password: \"pass\", permissions: {{ \
         publish: {{ deny: [{publish_deny:?}] }}, subscribe: {{ deny: [{subscribe_deny:?}] }} \
         }} }} ] }}\n"
    )
}

#[test]
fn what_is_not_permitted_is_told_to_whom_it_concerns_and_the_connection_stays() {
    let server = start(permissions("forbidden.>", "hidden.>"));
    let url = server.url().replace("nats://", "nats://jo:pass@");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(url));
    nats.subscribe("open", |_, nats, message| {
        nats.client().respond(message, "yes").expect("an answer")
    })
    .expect("a subscription");
    let ask = |subject: &'static str| {
        nats.request(subject, "", move |app: &mut App, _, outcome| {
            app.outcomes.push(match outcome {
                Ok(reply) => format!("{subject}: {}", reply.text()),
                Err(RequestError::Denied(error)) => {
                    format!("{subject}: denied, {:?}", error.subject())
                }
                Err(error) => format!("{subject}: {error}"),
            });
        });
    };
    ask("open");
    ask("forbidden.a");
    ask("forbidden.b");
    ask("open");
    nats.publish("forbidden.c", "").expect("a publish");
    let hidden = nats.subscribe("hidden.a", |_, _, _| fail("it is hidden")).expect("one");
    let queue = nats.queue_subscribe("hidden.q", "group", |_, _, _| fail("it is hidden"));
    let queue = queue.expect("a subscription");
    turn_until(&event_loop, &mut app, "outcomes", |app| app.outcomes.len() == 4);
    flush(&event_loop, &mut app, &nats);
    app.outcomes.sort();
    let expected = [
        "forbidden.a: denied, Some(\"forbidden.a\")",
        "forbidden.b: denied, Some(\"forbidden.b\")",
        "open: yes",
        "open: yes",
    ];
    assert_eq!(app.outcomes, expected);
    let denied: Vec<_> = app
        .errors
        .iter()
        .filter_map(|error| match error {
            ConnectionError::SubscriptionDenied { subscription, .. } => Some(*subscription),
            _ => None,
        })
        .collect();
    assert_eq!(denied, [hidden.id(), queue.id()], "{:?}", app.errors);
    // each denial is told once: requests to their callbacks, the rest to `on_error`
    assert!(app.errors[0].to_string().contains("forbidden.c"), "{:?}", app.errors);
    assert_eq!(app.errors.len(), 3, "{:?}", app.errors);
    assert_eq!((nats.state(), nats.subscription_count()), (ConnectionState::Connected, 1));
    assert_eq!((app.connects, app.lost.len()), (1, 0));
}

#[test]
fn permissions_that_are_taken_away_end_the_subscriptions_they_were_for() {
    let mut server = start(permissions("none", "none"));
    let url = server.url().replace("nats://", "nats://jo:pass@");
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(url));
    let secret = nats.subscribe("secret", |app, _, m| app.received.push(m.payload().into()));
    let secret = secret.expect("a subscription");
    nats.subscribe("open", |app, _, m| app.received.push(m.payload().into())).expect("another");
    nats.publish("secret", "1").expect("a publish");
    flush(&event_loop, &mut app, &nats);
    server.reload(permissions("none", "secret"));
    turn_until(&event_loop, &mut app, "a denial", |app| !app.errors.is_empty());
    let ConnectionError::SubscriptionDenied { subscription, error } = &app.errors[0] else {
        panic!("{:?}", app.errors);
    };
    assert_eq!((*subscription, error.subject()), (secret.id(), Some("secret")));
    assert_eq!(app.errors.len(), 1, "it is told once");
    assert_eq!(nats.subscription_count(), 1);
    nats.publish("secret", "2").expect("a publish");
    nats.publish("open", "3").expect("a publish");
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.received, [b"1", b"3"]);
    assert_eq!(app.lost, []);
}

#[test]
fn requests_whose_inbox_is_not_permitted_fail_at_once_and_another_prefix_helps() {
    let server = start(permissions("none", "_INBOX.>"));
    let url = server.url().replace("nats://", "nats://jo:pass@");
    for (prefix, is_permitted) in [("_INBOX", false), ("mine", true)] {
        let (event_loop, mut app) = (event_loop(), App::default());
        let long = Duration::from_secs(3600);
        let options = quick(&url).inbox_prefix(prefix).request_timeout(long);
        let nats = connect(&event_loop, options);
        nats.subscribe("service", |_, nats, m| nats.client().respond(m, "yes").expect("an answer"))
            .expect("a subscription");
        nats.request("service", "", |app: &mut App, nats, outcome| {
            app.outcomes.push(match outcome {
                Ok(reply) => reply.text().into_owned(),
                Err(RequestError::Denied(_)) => "denied".into(),
                Err(error) => error.to_string(),
            });
            nats.close();
        });
        finish_with(&event_loop, &mut app);
        assert_eq!(app.outcomes, [if is_permitted { "yes" } else { "denied" }]);
    }
}

#[test]
fn who_answers_one_request_cannot_answer_in_the_place_of_others() {
    let (event_loop, mut app) = (event_loop(), App::default());
    let nats = connect(&event_loop, quick(server().url()));
    let [one, other] = ["forger", "victim"].map(unique);
    // it sees the reply subject of its own request, and tries all that may come next
    nats.subscribe(&one, |app, asked, message| {
        let reply = message.reply().expect("a reply subject").into_owned();
        app.outcomes.push(reply.clone());
        let token = reply.rsplit('.').next().expect("a token").to_owned();
        let inbox = &reply[..reply.len() - token.len()];
        let (place, proof) = token.split_at(10);
        for guess in 0..64 {
            let digit = char::from(
                b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"[guess],
            );
            for place in [
                format!("{}{digit}", &place[..9]),
                format!("{}{digit}{}", &place[..5], &place[6..]),
            ] {
                for forged in [format!("{place}{proof}"), place.clone()] {
                    if forged != token {
                        asked
                            .client()
                            .publish(&format!("{inbox}{forged}"), "forged")
                            .expect("a publish");
                    }
                }
            }
        }
        asked.client().respond(message, "mine").expect("an answer");
    })
    .expect("a subscription");
    nats.subscribe(&other, |_, _, _| {}).expect("a subscription");
    nats.request(&other, "", |app: &mut App, _, outcome| {
        app.outcomes.push(format!("victim: {:?}", outcome.map(|reply| reply.text().into_owned())));
    });
    nats.request(&one, "", |app: &mut App, _, outcome| {
        app.outcomes.push(format!("forger: {}", outcome.expect("a reply").text()));
    });
    turn_until(&event_loop, &mut app, "an answer", |app| app.outcomes.len() >= 2);
    flush(&event_loop, &mut app, &nats);
    assert_eq!(app.outcomes.len(), 2, "{:?}", app.outcomes);
    assert_eq!(app.outcomes[1], "forger: mine");
}

#[test]
fn the_servers_of_the_tests_are_those_asked_for() {
    assert!(Release::from_env().accepts(server().version()), "{}", server().version());
}
