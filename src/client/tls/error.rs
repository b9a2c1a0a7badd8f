//! What can go wrong with TLS, in the words and kinds of a disconnect.

use evnats_protocol::{TlsErrorKind, printable};
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
    #[error("cannot use the client certificate in {of}: {}", plain(&error.to_string()))]
    Identity { of: String, error: rustls::Error },
    #[error("the client's certificate could not be had: {0}")]
    Asked(String),
    #[error("the system has no certificates to trust{0}")]
    NoSystemRoots(String),
    #[error("{0:?} is neither a host name nor an address")]
    ServerName(String),
    #[error("no URL names the host that the certificate has to be for: set it with `server_name`")]
    NoServerName,
    #[error("cannot set up TLS: {}", plain(&.0.to_string()))]
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
        rustls::Error::InvalidCertificate(error) => {
            (classify_certificate(error), format!("the server's certificate {}", describe(error)))
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            let reason = "the server requires a certificate of the client's, see \
                          `Tls::client_certificate_files`";
            (TlsErrorKind::Refused, reason.into())
        }
        rustls::Error::AlertReceived(alert) if is_refusal(*alert) => {
            let alert = plain(&format!("{alert:?}"));
            let reason = format!(
                "the server refuses this client ({alert}); its certificate, or that it has none, \
                 is the usual reason"
            );
            (TlsErrorKind::Refused, reason)
        }
        rustls::Error::InvalidMessage(_) => {
            let reason = "the server did not answer with TLS; it may not have it on this port, or \
                          not before its greeting";
            (TlsErrorKind::Other, reason.into())
        }
        _ => (TlsErrorKind::Other, plain(&error.to_string())),
    }
}

/// What is wrong with a certificate, and what to do about it.
fn describe(error: &CertificateError) -> String {
    use CertificateError::{
        BadEncoding, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Other, Revoked,
        UnknownIssuer,
    };
    match error {
        Expired | ExpiredContext { .. } => "has expired: it has to be renewed, or the clock here \
                                            is wrong"
            .into(),
        NotValidYet | NotValidYetContext { .. } => {
            "is not valid yet: the clock here may be wrong".into()
        }
        UnknownIssuer => "is not signed by an authority that is trusted here: give the \
                          authority's certificate with `Tls::ca_file`"
            .into(),
        NotValidForName => "is for another host: see `Tls::server_name`".into(),
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| name_in(name)).collect();
            let names = if names.is_empty() { "no host".into() } else { names.join(", ") };
            format!(
                "is for {}, and not for {}: connect by a name that it has, or set \
                 `Tls::server_name` to one",
                printable(&names),
                expected.to_str()
            )
        }
        Revoked => "has been revoked: it has to be replaced".into(),
        BadEncoding => "cannot be parsed: it has to be replaced".into(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "is not meant for servers: it needs the extended key usage serverAuth".into()
        }
        Other(error) => match error.to_string().as_str() {
            "CaUsedAsEndEntity" => "is that of an authority: the server needs one of its own that \
                                    the authority has signed"
                .into(),
            "EndEntityUsedAsCa" => {
                "is signed by one that is no authority's: it needs basicConstraints CA:TRUE".into()
            }
            "UnsupportedCertVersion" => "is not of X.509 version 3: it has to be made anew".into(),
            other => format!("is bad ({}): it has to be replaced", plain(other)),
        },
        _ => format!("is bad ({}): it has to be replaced", plain(&error.to_string())),
    }
}

/// The name in what rustls calls `DnsName("a.example")`.
fn name_in(text: &str) -> &str {
    let inner = text.split_once('(').map_or(text, |(_, inner)| inner);
    inner.trim_end_matches(')').trim_matches('"')
}

/// A text of rustls without the names of its types: words in the place of `BadSignature`.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let begins_word = character.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if begins_word && before.is_ascii_lowercase() {
            plain.push(' ');
        }
        match character {
            '(' if before.is_ascii_alphanumeric() => plain.push_str(": "),
            '(' | ')' | '"' | '{' | '}' => {}
            // but not that of an acronym
            _ if begins_word && characters.peek().is_some_and(char::is_ascii_lowercase) => {
                plain.push(character.to_ascii_lowercase());
            }
            _ => plain.push(character),
        }
        before = character;
    }
    printable(&plain).to_string()
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{OtherError, PeerIncompatible, PeerMisbehaved};
    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    #[derive(Debug)]
    struct Named(&'static str);

    impl fmt::Display for Named {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Named {}

    fn certificates() -> Vec<(CertificateError, &'static str)> {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(7));
        let other = |name| CertificateError::Other(OtherError(Arc::new(Named(name))));
        let for_names = |names: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("a.example").unwrap(),
            presented: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        vec![
            (CertificateError::Expired, "renewed"),
            (CertificateError::ExpiredContext { time, not_after: time }, "renewed"),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::NotValidYetContext { time, not_before: time }, "clock"),
            (CertificateError::UnknownIssuer, "Tls::ca_file"),
            (CertificateError::NotValidForName, "Tls::server_name"),
            (
                for_names(&["DnsName(\"b.example\")", "IpAddress(10.0.0.1)"]),
                "is for b.example, 10.0.0.1, and not for a.example: connect",
            ),
            (for_names(&[]), "is for no host"),
            (for_names(&["DnsName(\"\u{1b}[2J\")"]), "\\u{1b}[2J"),
            (CertificateError::Revoked, "replaced"),
            (CertificateError::BadEncoding, "replaced"),
            (CertificateError::BadSignature, "bad (bad signature)"),
            (CertificateError::UnhandledCriticalExtension, "(unhandled critical extension)"),
            (CertificateError::UnknownRevocationStatus, "(unknown revocation status)"),
            (CertificateError::InvalidPurpose, "serverAuth"),
            (CertificateError::ApplicationVerificationFailure, "replaced"),
            (other("CaUsedAsEndEntity"), "an authority"),
            (other("EndEntityUsedAsCa"), "CA:TRUE"),
            (other("UnsupportedCertVersion"), "version 3"),
            (other("PathLenConstraintViolated"), "(path len constraint violated)"),
        ]
    }

    /// Whether a text has the name of a Rust type or variant in it. That of an option is none.
    fn shows_rust(text: &str) -> bool {
        let parts = text.split('`').step_by(2);
        let mut words = parts.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()));
        words.any(|word| {
            let is_inner_capital =
                |(one, two): (char, char)| one.is_ascii_lowercase() && two.is_ascii_uppercase();
            let is_term = ["serverAuth", "basicConstraints"].contains(&word);
            !is_term && word.chars().zip(word.chars().skip(1)).any(is_inner_capital)
        })
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words_and_with_a_cure() {
        for (error, expected) in certificates() {
            let error = io::Error::other(rustls::Error::InvalidCertificate(error));
            let (_, text) = classify(&error).expect("an error of TLS");
            assert!(text.contains(expected), "{text}");
            assert!(!shows_rust(&text) && text.starts_with("the server's certificate "), "{text}");
        }
    }

    #[test]
    fn nothing_is_said_of_tls_in_the_words_of_its_library() {
        use AlertDescription::*;
        let errors = [
            rustls::Error::AlertReceived(CertificateRequired),
            rustls::Error::AlertReceived(BadCertificate),
            rustls::Error::AlertReceived(UnknownCA),
            rustls::Error::AlertReceived(InternalError),
            rustls::Error::AlertReceived(ProtocolVersion),
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            rustls::Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedKxGroup),
            rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch),
            rustls::Error::DecryptError,
        ];
        for error in errors {
            let text = classify(&io::Error::other(error)).expect("an error of TLS").1;
            assert!(!shows_rust(&text), "{text}");
        }
        let error = rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch);
        let text = TlsError::Identity { of: "a.pem".into(), error }.to_string();
        assert!(text.contains("key mismatch") && !shows_rust(&text), "{text}");
    }
}
