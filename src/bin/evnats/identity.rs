//! Who the tool is to a server: a user, a token, or a file with a key.
//!
//! What the command line says counts more than all of the environment, so that one command can be
//! given as somebody else. That is why the variables are read here, and not by clap, which would
//! take a variable and an option for a contradiction.

use crate::input;
use clap::Args;
use evnats::{Credentials, CredentialsError, Options, Secret};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// How users say who they are.
#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// Name of the user, or without a password a token [env: NATS_USER]
    #[arg(long, global = true, value_parser = input::secret, value_name = "NAME")]
    user: Option<Secret>,
    /// Password of the user [env: NATS_PASSWORD]
    #[arg(long, global = true, value_parser = input::secret)]
    password: Option<Secret>,
    /// Token [env: NATS_TOKEN]
    #[arg(long, global = true, value_parser = input::secret)]
    token: Option<Secret>,
    /// Credentials file, with a JWT and a seed [env: NATS_CREDS]
    #[arg(long, global = true, value_name = "FILE")]
    creds: Option<PathBuf>,
    /// File with the seed of an nkey [env: NATS_NKEY]
    #[arg(long, global = true, value_name = "FILE")]
    nkey: Option<PathBuf>,
}

impl Identity {
    /// Adds what the environment says.
    ///
    /// # Errors
    /// The options contradict each other.
    pub(crate) fn resolve(mut self) -> Result<Self, &'static str> {
        match self.stated() {
            0 => self.take_environment(),
            1 => {}
            _ => return Err("only one of --user, --token, --creds and --nkey can be used"),
        }
        if self.user.is_none() && self.password.is_some() {
            return Err("--password needs --user");
        }
        if self.user.is_some() && self.password.is_none() {
            self.password = input::variable("NATS_PASSWORD").map(Secret::new);
        }
        Ok(self)
    }

    /// How many ways to say it the command line has.
    fn stated(&self) -> usize {
        let Self { user, password: _, token, creds, nkey } = self;
        let all = [user.is_some(), token.is_some(), creds.is_some(), nkey.is_some()];
        all.into_iter().filter(|stated| *stated).count()
    }

    fn take_environment(&mut self) {
        self.user = input::variable("NATS_USER").map(Secret::new);
        self.token = input::variable("NATS_TOKEN").map(Secret::new);
        self.creds = input::variable("NATS_CREDS").map(PathBuf::from);
        self.nkey = input::variable("NATS_NKEY").map(PathBuf::from);
    }

    /// Tells the client. Of several variables the first one counts, as in the `nats` tool.
    pub(crate) fn apply(self, options: Options) -> Options {
        match self {
            Self { user: Some(user), password: Some(password), .. } => {
                options.credentials(Credentials::user_password(user.expose(), password))
            }
            Self { user: Some(token), .. } => options.credentials(Credentials::token(token)),
            Self { creds: Some(path), .. } => options.credentials(Credentials::creds_file(path)),
            Self { nkey: Some(path), .. } => {
                let parse = |text: &str| Credentials::nkey(seed_in(text));
                options.credentials_with(move |_| from_file(&path, parse))
            }
            Self { token: Some(token), .. } => options.credentials(Credentials::token(token)),
            _ => options,
        }
    }
}

/// Read for every connection, so that a file that was renewed is used as it is then.
fn from_file(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Credentials, CredentialsError>,
) -> Result<Credentials, Box<dyn Error + Send + Sync>> {
    let path = &input::with_home(path);
    let text = fs::read_to_string(path)
        .map(Secret::new)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let parsed = parse(text.expose());
    parsed.map_err(|error| format!("cannot use {}: {error}", path.display()).into())
}

/// The seed in a file, which may have lines around it.
fn seed_in(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| line.starts_with("SU")).unwrap_or(text)
}
