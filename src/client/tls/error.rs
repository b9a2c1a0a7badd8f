//! What can go wrong with TLS, in the words and kinds of a disconnect.

use evnats_protocol::TlsErrorKind;
use rustls::{AlertDescription, CertificateError};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What rustls has no error for. `of` says where something comes from: a path, as a rule.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error("cannot read {}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("no certificate in {of}")]
    NoCertificate { of: String },
    #[error("no private key in {of}, or an encrypted one")]
    NoKey { of: String },
    #[error("cannot use {of}: {reason}")]
    Malformed { of: String, reason: String },
    #[error("cannot use the client certificate in {of}: {error}")]
    Identity { of: String, error: rustls::Error },
    #[error("the system has no certificates to trust{0}")]
    NoSystemRoots(String),
    #[error("{0:?} is neither a host name nor an address")]
    ServerName(String),
    #[error("no URL names the host that the certificate has to be for: set it with `server_name`")]
    NoServerName,
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
    #[error("the server closed the connection during the TLS handshake")]
    ClosedInHandshake,
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match error {
            TlsError::ClosedInHandshake => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

/// What kind of TLS error an I/O error is, and what to say of it; `None` if it is none.
pub(crate) fn classify(error: &io::Error) -> Option<(TlsErrorKind, String)> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref() {
        return Some(classify_session(error));
    }
    let kind = match inner.downcast_ref()? {
        TlsError::ClosedInHandshake => TlsErrorKind::Other,
        _ => TlsErrorKind::Configuration,
    };
    Some((kind, inner.to_string()))
}

fn classify_session(error: &rustls::Error) -> (TlsErrorKind, String) {
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            (classify_certificate(reason), format!("the server's certificate is bad: {reason}"))
        }
        rustls::Error::AlertReceived(alert) if is_refusal(*alert) => {
            (TlsErrorKind::Refused, format!("the server refuses this client: alert {alert:?}"))
        }
        rustls::Error::InvalidMessage(_) => {
            (TlsErrorKind::Other, format!("the server did not answer with TLS: {error}"))
        }
        _ => (TlsErrorKind::Other, error.to_string()),
    }
}

fn classify_certificate(error: &CertificateError) -> TlsErrorKind {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
    };
    match error {
        Expired | ExpiredContext { .. } => TlsErrorKind::Expired,
        UnknownIssuer => TlsErrorKind::UnknownIssuer,
        NotValidForName | NotValidForNameContext { .. } => TlsErrorKind::WrongHost,
        _ => TlsErrorKind::BadCertificate,
    }
}

/// Whether an alert is about who the client is.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}
