//! The options of TLS, and the configuration that is made of them for a connection.
//!
//! Files are read for every connection, so renewed certificates are used without a restart. No
//! process-wide provider of cryptography is needed, and none is set.

use super::error::{TlsError, plain};
use crate::client::home;
use evnats_protocol::Secret;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// How a connection is encrypted, and whom it trusts. Default: TLS 1.2 or newer after the server's
/// greeting, the system's certificate authorities, and no certificate of the client.
///
/// ```
/// use evnats::Tls;
/// let tls = Tls::new().ca_file("/etc/nats/ca.pem");
/// ```
///
/// A leading `~/` in the path of a file is the user's home. What cannot be used, such as a file that
/// is missing, is an error of each attempt to connect.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    first: bool,
    system_roots: bool,
    authorities: Vec<Pem>,
    identity: Option<Identity>,
    server_name: Option<String>,
    accept_any: bool,
}

/// A client's certificate with its chain, and its private key; see
/// [`Tls::client_certificate_with`].
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    chain: Pem,
    key: Pem,
}

impl ClientCertificate {
    /// PEM texts. The key must not be encrypted.
    pub fn from_pem(chain: impl Into<String>, key: impl Into<Secret>) -> Self {
        Self { chain: Pem::Text(chain.into().into()), key: Pem::Text(key.into()) }
    }

    /// PEM files, which are read when they are needed. The key must not be encrypted.
    pub fn from_files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { chain: Pem::File(chain.into()), key: Pem::File(key.into()) }
    }
}

/// Who the client is.
#[derive(Clone)]
enum Identity {
    Given(ClientCertificate),
    /// It runs while the client is busy. It cannot reach it, because clients are not `Send`.
    Asked(Arc<AskFn>),
}

type AskFn = dyn Fn() -> Result<ClientCertificate, Box<dyn Error + Send + Sync>> + Send + Sync;

impl Identity {
    fn certificate(&self) -> Result<Cow<'_, ClientCertificate>, TlsError> {
        match self {
            Self::Given(certificate) => Ok(Cow::Borrowed(certificate)),
            Self::Asked(ask) => {
                let asked = ask().map(Cow::Owned);
                asked.map_err(|error| TlsError::Asked(error.to_string()))
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(certificate) => certificate.fmt(f),
            Self::Asked(_) => f.write_str("Asked(..)"),
        }
    }
}

impl Tls {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the handshake comes before the server's first word, for servers with
    /// `handshake_first`. Others would wait, and so would the client. Default: false.
    #[must_use]
    pub fn first(mut self, first: bool) -> Self {
        self.first = first;
        self
    }

    /// Trusts the certificate authorities in a PEM file, instead of the system's. Several add up.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// Trusts the certificate authorities in a PEM text, instead of the system's. Several add up.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.authorities.push(Pem::Text(pem.into().into()));
        self
    }

    /// Whether the system's certificate authorities are trusted beside one's own. Default: false.
    /// Without one's own, they are in any case.
    #[must_use]
    pub fn system_roots(mut self, system_roots: bool) -> Self {
        self.system_roots = system_roots;
        self
    }

    /// Shows the server a certificate, if it asks for one: PEM files of the certificate with its
    /// chain, and of the private key, which must not be encrypted. The last one given counts.
    #[must_use]
    pub fn client_certificate_files(
        mut self,
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some(Identity::Given(ClientCertificate::from_files(chain, key)));
        self
    }

    /// As [`client_certificate_files`](Self::client_certificate_files), with PEM texts.
    #[must_use]
    pub fn client_certificate_pem(
        mut self,
        chain: impl Into<String>,
        key: impl Into<Secret>,
    ) -> Self {
        self.identity = Some(Identity::Given(ClientCertificate::from_pem(chain, key)));
        self
    }

    /// Asks for the certificate at every attempt to connect, for one that is renewed and is in no
    /// file: in a vault, or with an agent. An error fails that attempt. The callback runs on the
    /// loop: it should not take long.
    #[must_use]
    pub fn client_certificate_with(
        mut self,
        callback: impl Fn() -> Result<ClientCertificate, Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.identity = Some(Identity::Asked(Arc::new(callback)));
        self
    }

    /// The name, or IP address, that the server's certificate has to be for. Default: the host in
    /// the server's URL.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts any certificate, whoever issued it. The connection is encrypted then, and an attacker in
    /// between can read it all the same. For tests. Default: false.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self, accept: bool) -> Self {
        self.accept_any = accept;
        self
    }

    /// Whether the handshake comes before the server's first word.
    pub(crate) fn is_first(&self) -> bool {
        self.first
    }

    /// The name to verify.
    pub(super) fn name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        if name.is_empty() {
            return Err(TlsError::NoServerName);
        }
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
    }

    /// Reads the files, and puts it all together.
    pub(super) fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        // these are TLS 1.2 and 1.3
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let builder = match self.accept_any {
            true => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
            }
            false => builder.with_root_certificates(self.roots()?),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let own = identity.certificate()?;
                let (chain, key) = (own.chain.certificates()?, own.key.private_key()?);
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let of = own.chain.place();
                    TlsError::Identity { of, error }
                })?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Whom to trust.
    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            for certificate in authority.certificates()? {
                roots.add(certificate).map_err(|error| authority.malformed(&error))?;
            }
        }
        if self.system_roots || self.authorities.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            // a system may have some that cannot be parsed
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                let reason = found.errors.first().map(|error| format!(": {error}"));
                return Err(TlsError::NoSystemRoots(reason.unwrap_or_default()));
            }
        }
        Ok(roots)
    }
}

/// Where PEM comes from.
#[derive(Debug, Clone)]
enum Pem {
    File(PathBuf),
    Text(Secret),
}

impl Pem {
    /// The place to name in errors.
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the PEM text given".into(),
        }
    }

    fn malformed(&self, reason: &impl ToString) -> TlsError {
        TlsError::Malformed { of: self.place(), reason: plain(&reason.to_string()) }
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TlsError> {
        match self {
            Self::File(path) => {
                let path = home::expand(path);
                let read = fs::read(&path).map(Zeroizing::new);
                read.map_err(|error| TlsError::File { path: path.into_owned(), error })
            }
            Self::Text(text) => Ok(Zeroizing::new(text.expose().into())),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| self.malformed(&error))?;
        match certificates.is_empty() {
            true => Err(TlsError::NoCertificate { of: self.place() }),
            false => Ok(certificates),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey { of: self.place() },
            // the error may quote what it could not read
            _ => self.malformed(&"the private key is malformed"),
        })
    }
}

/// Looks at no certificate. That the server has the certificate's key is still checked.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
