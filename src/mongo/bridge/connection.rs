//! The driver's client, made when it is needed first.

use crate::mongo::error::Error;
use crate::mongo::options::Options;
use mongodb::Client;
use mongodb::options::{ClientOptions, ConnectionString};
use std::time::Duration;
use tokio::sync::OnceCell;

/// For how long the client may say goodbye to the servers.
const GOODBYE: Duration = Duration::from_millis(300);

pub(super) struct Connection {
    string: ConnectionString,
    server_selection_timeout: Duration,
    client: OnceCell<Client>,
}

impl Connection {
    /// Only looks at the connection string.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let string = ConnectionString::parse(&options.uri).map_err(|error| {
            let reason = error.to_string();
            let has_secrets = options.uri.contains('@');
            let general = "it is malformed, or an option in it is unknown";
            Error::InvalidUri { reason: if has_secrets { general.to_owned() } else { reason } }
        })?;
        let server_selection_timeout = options.server_selection_timeout;
        Ok(Self { string, server_selection_timeout, client: OnceCell::new() })
    }

    /// The client. Making it may need the name service, which can fail and be tried again.
    pub(super) async fn client(&self) -> Result<Client, Error> {
        let made = self.client.get_or_try_init(|| async {
            let mut options = ClientOptions::parse(self.string.clone()).await?;
            options.server_selection_timeout.get_or_insert(self.server_selection_timeout);
            options.app_name.get_or_insert_with(|| "evnats".to_owned());
            Client::with_options(options)
        });
        Ok(made.await?.clone())
    }

    /// Ends what the servers keep for the client, within a bound.
    pub(super) async fn say_goodbye(&self) {
        if let Some(client) = self.client.get() {
            let goodbye = client.clone().shutdown().immediate(true);
            let _ = tokio::time::timeout(GOODBYE, goodbye.into_future()).await;
        }
    }
}
