//! TLS and a credentials file: a client that a server admits, one that does not trust the server,
//! and one that the server does not know.
//!
//! `cargo run --example secure` makes certificates, an account with a user, and a server that
//! demands both. With `NATS_URL` it uses that server, the certificate authority in `NATS_CA` and
//! the credentials file in `NATS_CREDS`.

use evnats::{ConnectionError, Credentials, EventLoop, Options, Tls};
use evnats_harness::{
    Certificates, Operator, Release, Server, ServerCertificate, TlsOptions, UserClaims,
};
use std::env;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let Place { url, ca, creds, .. } = &Place::find()?;
    let options = Options::new(url).require_tls(true);
    let trust = Tls::new().ca_file(ca);
    // the file is read in every attempt to connect: one that was renewed is used at once
    let identity = Credentials::creds_file(creds);

    attempt("insider", options.clone().tls(trust.clone()).credentials(identity.clone()))?;
    // without a CA of one's own, those of the system are trusted, and ours is none of them
    attempt("distrustful", options.clone().credentials(identity))?;
    attempt("unknown", options.tls(trust))
}

/// Connects, and has a message come back.
fn attempt(name: &'static str, options: Options) -> Result<(), Box<dyn Error>> {
    let event_loop = EventLoop::new()?;
    let client = event_loop.connect(options)?;
    client.on_connect(move |(), _, server| {
        println!("{name}: connected, the server demands TLS: {}", server.tls_required);
    });
    client.on_error(move |(), _, error| match error {
        ConnectionError::ConnectFailed { reason, .. } => println!("{name}: {reason}"),
        error => println!("{name}: {error}"),
    });
    client.on_close(move |(), _, reason| println!("{name}: closed: {reason}"));
    client.subscribe("vault.>", move |(), vault, message| {
        println!("{name}: got {:?} on {}", message.text(), message.subject());
        vault.client().drain();
    })?;
    client.publish("vault.door", "open")?;
    Ok(event_loop.run(&mut ())?)
}

/// Where to connect to, and what with.
struct Place {
    url: String,
    ca: PathBuf,
    creds: PathBuf,
    /// A server of our own stops, and its files go, when this is dropped.
    _server: Option<(Server, Certificates)>,
}

impl Place {
    fn find() -> Result<Self, Box<dyn Error>> {
        let url = env::var("NATS_URL").ok().filter(|url| !url.is_empty());
        let Some(url) = url else { return Self::provide() };
        let (ca, creds) = (env::var("NATS_CA")?.into(), env::var("NATS_CREDS")?.into());
        Ok(Self { url, ca, creds, _server: None })
    }

    fn provide() -> Result<Self, Box<dyn Error>> {
        let (certificates, operator) = (Certificates::new(), Operator::new());
        let tls = certificates.server_config(ServerCertificate::Valid, &TlsOptions::default());
        let server = Server::builder().release(Release::Main);
        let server = server.config(tls).config(operator.server_config()).start()?;
        let creds = server.directory().join("user.creds");
        std::fs::write(&creds, operator.user(UserClaims::default()).creds_text())?;
        let (url, ca) = (server.url(), certificates.ca());
        Ok(Self { url, ca, creds, _server: Some((server, certificates)) })
    }
}
