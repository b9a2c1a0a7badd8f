//! The key of a proxy that speaks NATS, for connections that it makes on behalf of others.
//!
//! Invariant: it only adds a signature. Who the client is, is said by its credentials alone.

#[cfg(feature = "nkeys")]
use super::credentials::seed;
use super::credentials::{CredentialsError, Signer};
use evnats_protocol::Authentication;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// The nkey of a proxy that a server trusts: it has `proxies { trusted = [ { key: … } ] }` in its
/// configuration. Beside the client's own [`Credentials`](crate::Credentials), `CONNECT` then has
/// the proxy's signature of the server's nonce (`proxy_sig` of
/// [ADR-55](https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-55.md),
/// server 2.12), which users need who are only let in through a proxy (`proxy_required`).
///
/// A cheap handle: clones share the key.
#[derive(Clone)]
pub struct ProxyKey(Signer);

impl ProxyKey {
    /// A key by its seed: 58 characters that begin with `S`, of an nkey of any kind. White space
    /// around them is passed over.
    ///
    /// # Errors
    /// [`CredentialsError::MissingSeed`] if it is empty, [`CredentialsError::InvalidSeed`] if it is
    /// no seed.
    #[cfg(feature = "nkeys")]
    pub fn new(seed: &str) -> Result<Self, CredentialsError> {
        let (_, key) = seed::decode_any(seed)?;
        Ok(Self(Signer::Key(key)))
    }

    /// A key whose seed is elsewhere, in a vault or on a chip, by a function that signs as in
    /// [`Credentials::nkey_with_signer`](crate::Credentials::nkey_with_signer).
    pub fn with_signer(
        signer: impl Fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self(Signer::Given(Arc::new(signer)))
    }

    /// Adds the signature. A server that trusts no proxies may send no nonce; then there is nothing
    /// to be signed.
    pub(super) fn sign(
        &self,
        nonce: Option<&str>,
        answer: &mut Authentication,
    ) -> Result<(), CredentialsError> {
        answer.proxy_sig = match self.0.answer(nonce) {
            Err(CredentialsError::NoNonce) => None,
            signature => Some(signature?),
        };
        Ok(())
    }
}

impl fmt::Debug for ProxyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyKey")
    }
}
