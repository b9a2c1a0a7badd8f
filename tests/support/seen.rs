//! What happens to a client on its way to a server, written down by its own callbacks.

use evnats::{Client, ConnectionError, DisconnectReason};

#[derive(Debug, Default)]
pub struct Seen {
    pub connects: usize,
    pub reconnects: usize,
    pub failures: Vec<DisconnectReason>,
    /// At which servers, in the same order.
    pub failed_at: Vec<String>,
    pub closed: Option<DisconnectReason>,
    /// What the client has sent, if a test notes it.
    pub sent: Vec<String>,
}

/// Has a client write down what happens to it.
pub fn watch(nats: &Client<Seen>) {
    nats.on_connect(|seen, _, _| seen.connects += 1);
    nats.on_reconnect(|seen, _, _| seen.reconnects += 1);
    nats.on_close(|seen, _, reason| seen.closed = Some(reason.clone()));
    nats.on_error(|seen, _, error| {
        if let ConnectionError::ConnectFailed { server, reason } = error {
            seen.failures.push(reason.clone());
            seen.failed_at.push(server.clone());
        }
    });
}
