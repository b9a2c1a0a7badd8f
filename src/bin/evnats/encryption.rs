//! How connections are encrypted, as far as the URL leaves it open.
//!
//! Any of the options demands TLS, as in the `nats` tool: a server without it is refused.

use crate::input;
use clap::Args;
use evnats::{Options, Tls};
use std::path::PathBuf;

/// The certificates of both sides.
#[derive(Debug, Args)]
pub(crate) struct Encryption {
    /// Certificate to show the server, with its chain [env: NATS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    tlscert: Option<PathBuf>,
    /// Private key of the certificate [env: NATS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    tlskey: Option<PathBuf>,
    /// Certificate authorities to trust, instead of the system's [env: NATS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    tlsca: Option<PathBuf>,
    /// Begins with TLS, before the server says anything.
    #[arg(long, global = true)]
    tlsfirst: bool,
}

impl Encryption {
    /// Adds what the environment says.
    ///
    /// # Errors
    /// A certificate without its key, or the other way round.
    pub(crate) fn resolve(mut self) -> Result<Self, &'static str> {
        let variable = |name| move || input::variable(name).map(PathBuf::from);
        self.tlscert = self.tlscert.or_else(variable("NATS_CERT"));
        self.tlskey = self.tlskey.or_else(variable("NATS_KEY"));
        self.tlsca = self.tlsca.or_else(variable("NATS_CA"));
        match (&self.tlscert, &self.tlskey) {
            (Some(_), None) => Err("--tlscert needs --tlskey"),
            (None, Some(_)) => Err("--tlskey needs --tlscert"),
            _ => Ok(self),
        }
    }

    /// Tells the client.
    pub(crate) fn apply(self, options: Options) -> Options {
        let Self { tlscert, tlskey, tlsca, tlsfirst } = self;
        let demands_tls = tlscert.is_some() || tlsca.is_some() || tlsfirst;
        let tls = tlsca.into_iter().fold(Tls::new().first(tlsfirst), Tls::ca_file);
        let tls = match tlscert.zip(tlskey) {
            Some((chain, key)) => tls.client_certificate_files(chain, key),
            None => tls,
        };
        options.tls(tls).require_tls(demands_tls)
    }
}
