//! X.509 certificates made for one test, in PEM files: sound ones, and such that a client must
//! refuse.
//!
//! The invariant: every certificate is sound but for what its name says. Nothing here is a secret;
//! the files go when the value is dropped, so a server that is to be restarted or reloaded must not
//! outlive it.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// Who the client certificate is of, for `verify_and_map`: the server looks for a user with the
/// e-mail address first, then with the subject.
const CLIENT_EMAIL: &str = "client@evnats.example";
const CLIENT_NAME: &str = "client";
const CLIENT_UNIT: &str = "evnats";

/// A certificate for a server, signed by the CA of a [`Certificates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// For `localhost`, `127.0.0.1` and `::1`.
    Valid,
    /// Like [`ServerCertificate::Valid`], but its time is over.
    Expired,
    /// For `elsewhere.example` only.
    OtherHost,
    /// For the name `localhost`, but no address.
    NameOnly,
}

impl ServerCertificate {
    /// All of them.
    pub const ALL: [ServerCertificate; 4] = [
        ServerCertificate::Valid,
        ServerCertificate::Expired,
        ServerCertificate::OtherHost,
        ServerCertificate::NameOnly,
    ];

    fn file_stem(self) -> &'static str {
        match self {
            ServerCertificate::Valid => "server",
            ServerCertificate::Expired => "expired",
            ServerCertificate::OtherHost => "other_host",
            ServerCertificate::NameOnly => "name_only",
        }
    }

    fn params(self) -> CertificateParams {
        let names: &[&str] = match self {
            ServerCertificate::Valid | ServerCertificate::Expired => {
                &["localhost", "127.0.0.1", "::1"]
            }
            ServerCertificate::OtherHost => &["elsewhere.example"],
            ServerCertificate::NameOnly => &["localhost"],
        };
        let mut params = params(self.file_stem());
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().expect("an ASCII name")),
            })
            .collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if self == ServerCertificate::Expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        params
    }
}

/// What a server's `tls` block says beyond its certificate; by default, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Demand a certificate of the client, signed by the CA.
    pub verify: bool,
    /// Demand one, and find the user by it: the configuration must have a user that is named as
    /// [`Certificates::client_email`] or [`Certificates::client_subject`] say.
    pub verify_and_map: bool,
    /// Do the handshake before `INFO`, which servers before 2.10.4 cannot; goes with
    /// [`Builder::tls_first`](crate::Builder::tls_first). To be left out of a WebSocket block.
    pub handshake_first: bool,
    /// How long a client may take for the handshake. Servers give it two seconds by default.
    pub timeout: Option<Duration>,
}

/// A directory of certificates and keys.
#[derive(Debug)]
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes all certificates, with new keys.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    #[track_caller]
    #[must_use]
    pub fn new() -> Certificates {
        let directory = tempfile::Builder::new()
            .prefix("evnats-certificates-")
            .tempdir()
            .unwrap_or_else(|error| panic!("cannot make a temporary directory: {error}"));
        let certificates = Certificates { directory };
        let ca = certificates.write_ca("ca");
        for server in ServerCertificate::ALL {
            certificates.write(server.file_stem(), &server.params(), &ca);
        }
        certificates.write("client", &client_params(), &ca);
        let other_ca = certificates.write_ca("other_ca");
        certificates.write("stranger", &client_params(), &other_ca);
        certificates
    }

    /// The certificate of the CA that has signed the servers' certificates and the client's.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.pem("ca")
    }

    /// The certificate of a CA that has signed none of them.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.pem("other_ca")
    }

    /// A server's certificate.
    #[must_use]
    pub fn server(&self, certificate: ServerCertificate) -> PathBuf {
        self.pem(certificate.file_stem())
    }

    /// The key of a server's certificate, in PKCS #8 as all of them.
    #[must_use]
    pub fn server_key(&self, certificate: ServerCertificate) -> PathBuf {
        self.key(certificate.file_stem())
    }

    /// A client's certificate.
    #[must_use]
    pub fn client(&self) -> PathBuf {
        self.pem("client")
    }

    /// The key of the client's certificate.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.key("client")
    }

    /// A certificate like [`Certificates::client`], but signed by [`Certificates::other_ca`].
    #[must_use]
    pub fn stranger(&self) -> PathBuf {
        self.pem("stranger")
    }

    /// The key of the stranger's certificate.
    #[must_use]
    pub fn stranger_key(&self) -> PathBuf {
        self.key("stranger")
    }

    /// The user that `verify_and_map` finds first: the e-mail address in the client's certificate.
    #[must_use]
    pub fn client_email(&self) -> &'static str {
        CLIENT_EMAIL
    }

    /// The user that `verify_and_map` finds if there is none with the address: the subject of the
    /// client's certificate.
    #[must_use]
    pub fn client_subject(&self) -> String {
        format!("CN={CLIENT_NAME},OU={CLIENT_UNIT}")
    }

    /// A `tls` block for [`Builder::config`](crate::Builder::config) or
    /// [`Builder::websocket_tls`](crate::Builder::websocket_tls).
    #[must_use]
    pub fn server_config(&self, certificate: ServerCertificate, options: &TlsOptions) -> String {
        let mut text = String::from("tls {\n");
        for (field, path) in [
            ("cert_file", self.server(certificate)),
            ("key_file", self.server_key(certificate)),
            ("ca_file", self.ca()),
        ] {
            let _ = writeln!(text, "  {field}: \"{}\"", path.display());
        }
        for (field, on) in [
            ("verify", options.verify),
            ("verify_and_map", options.verify_and_map),
            ("handshake_first", options.handshake_first),
        ] {
            if on {
                let _ = writeln!(text, "  {field}: true");
            }
        }
        if let Some(timeout) = options.timeout {
            let _ = writeln!(text, "  timeout: {:.3}", timeout.as_secs_f64());
        }
        text.push_str("}\n");
        text
    }

    fn write_ca(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key();
        let certificate = params.self_signed(&key).expect("a certificate of known fields");
        write(&self.pem(name), &certificate.pem());
        Issuer::new(params, key)
    }

    fn write(&self, name: &str, params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) {
        let key = new_key();
        let certificate = params.signed_by(&key, issuer).expect("a certificate of known fields");
        write(&self.pem(name), &certificate.pem());
        write(&self.key(name), &key.serialize_pem());
    }

    fn pem(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.key"))
    }
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates::new()
    }
}

fn client_params() -> CertificateParams {
    let mut params = params(CLIENT_NAME);
    params.distinguished_name.push(DnType::OrganizationalUnitName, CLIENT_UNIT);
    params.subject_alt_names =
        vec![SanType::Rfc822Name(CLIENT_EMAIL.try_into().expect("an ASCII address"))];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// What all certificates have in common: a subject, and a time that is long.
fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a new key")
}

#[track_caller]
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
