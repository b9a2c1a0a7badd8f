//! The handle of JetStream, and the door to it from a client.

use super::api::Api;
use super::exchange::ApiExchange;
use crate::callback::{Outcome, RefHandler, lend};
use crate::client::Client;
use crate::event_loop::timers_on;
use std::fmt;
use std::time::Duration;

/// JetStream over a connection. A cheap handle.
///
/// ```no_run
/// use evnats::{EventLoop, jetstream::StreamConfig};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// let config = StreamConfig::new("ORDERS").subjects(["orders.>"]);
/// js.create_stream(&config, |_, js, created| {
///     created?;
///     js.publish("orders.new", "42", |_, js, stored| {
///         println!("stored at {}", stored?.sequence);
///         js.client().drain();
///         Ok(())
///     });
///     Ok(())
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct JetStream<S: 'static = ()> {
    client: Client<S>,
    api: Api,
}

impl<S: 'static> Client<S> {
    /// JetStream, and with it Key-Value, over this connection.
    #[must_use]
    #[doc(alias = "JetStream")]
    pub fn jetstream(&self) -> JetStream<S> {
        JetStream { client: self.clone(), api: Api::new(self.port().clone()) }
    }
}

impl<S: 'static> JetStream<S> {
    /// The same connection with the API of another domain (`$JS.<domain>.API`).
    #[must_use]
    pub fn with_domain(&self, domain: &str) -> Self {
        self.with_prefix(&format!("$JS.{domain}.API"))
    }

    /// The same connection with the API under another prefix, for an account that imports it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self { client: self.client.clone(), api: self.api.with_prefix(prefix) }
    }

    /// The same connection with another timeout for its requests. Default: that of the
    /// connection's options.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { client: self.client.clone(), api: self.api.with_timeout(timeout) }
    }

    /// The same connection, whose requests to create or update a stream or a consumer the server
    /// refuses (10157) where it would correct them silently (server 2.11).
    #[must_use]
    pub fn pedantic(&self) -> Self {
        Self { client: self.client.clone(), api: self.api.pedantic() }
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        &self.client
    }

    /// Runs for every request to JetStream's API with its answer, whichever handle of the client it was
    /// made with, those of Key-Value included: for debugging. It shows what is requested from now on,
    /// and each attempt of a read that is repeated; not what is published, nor requests that many
    /// messages answer ([`stored_messages`](Self::stored_messages)).
    ///
    /// It runs behind the callback of the request, and gets a handle like the one that was used. Its
    /// own requests are shown, too. It replaces the hook that was set before.
    pub fn on_api(&self, mut hook: impl RefHandler<S, JetStream<S>, ApiExchange>) {
        self.api.watch_exchanges(move |state, api, exchange| {
            hook(lend(state), &JetStream::over(api), exchange).into_ran()
        });
    }

    /// The handle with this API, which is one of a loop with this state.
    pub(super) fn over(api: &Api) -> Self {
        Self { client: Client::new(api.port().clone()), api: api.clone() }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }
}

timers_on!(JetStream, |js| js.client.port().event_loop());

impl<S> Clone for JetStream<S> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), api: self.api.clone() }
    }
}

impl<S> fmt::Debug for JetStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream")
            .field("client", &self.client)
            .field("prefix", &self.api.prefix())
            .finish_non_exhaustive()
    }
}
