//! The server that examples use: the user's own, or one that is started for them.

use crate::release::Release;
use crate::server::Server;
use crate::start_error::StartError;

/// The URL in `NATS_URL`, or else that of a server started for the caller, which stops when the
/// second value is dropped.
///
/// # Errors
/// No server could be found, provisioned or started; the text says what to do.
pub fn url_or_server() -> Result<(String, Option<Server>), StartError> {
    match std::env::var("NATS_URL") {
        Ok(url) if !url.is_empty() => Ok((url, None)),
        _ => {
            let server = Server::builder().release(Release::Main).start()?;
            Ok((server.url(), Some(server)))
        }
    }
}
