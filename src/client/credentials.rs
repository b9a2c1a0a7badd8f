//! Credentials: who a client is, and its answer when a server asks.
//!
//! Invariant: what is secret is in memory that is wiped when it is dropped, working copies
//! included, and shows in no `Debug`, `Display` or error. An answer is made for every
//! connection, because the server's nonce is another one each time, and a file may be too.
//!
//! What a JWT says is not looked at here: servers do that.

#[cfg(feature = "nkeys")]
mod creds;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evnats_protocol::{Authentication, Secret};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Who a client is. A cheap handle as far as keys go: clones share them.
///
/// ```
/// use evnats::Credentials;
/// let credentials = Credentials::user_password("billing", "s3cret");
/// assert_eq!(format!("{credentials:?}"), "Credentials(user and password)");
/// ```
#[derive(Clone)]
pub struct Credentials(Kind);

#[derive(Clone)]
enum Kind {
    None,
    UserPassword {
        user: String,
        password: Secret,
    },
    Token(Secret),
    Nkey {
        public_key: String,
        signer: Signer,
    },
    Jwt {
        jwt: Secret,
        signer: Signer,
    },
    #[cfg(feature = "nkeys")]
    CredsFile(PathBuf),
}

/// What signs the server's nonce.
#[derive(Clone)]
pub(super) enum Signer {
    /// A key that is wiped when its last clone goes; it is never moved, so there are no copies.
    #[cfg(feature = "nkeys")]
    Key(Arc<ed25519_dalek::SigningKey>),
    Given(Arc<SignFn>),
}

pub(super) type SignFn =
    dyn Fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + Send + Sync;

/// Length of an Ed25519 signature in bytes.
const SIGNATURE_LEN: usize = 64;

impl Credentials {
    /// Nothing is said of who the client is. A client certificate may still say it.
    #[must_use]
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// A user's name and password.
    pub fn user_password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self(Kind::UserPassword { user: user.into(), password: password.into() })
    }

    /// A token, as in a server's `authorization { token: … }`.
    pub fn token(token: impl Into<Secret>) -> Self {
        Self(Kind::Token(token.into()))
    }

    /// A user's nkey, by its seed: 58 characters that begin with `SU`. White space around them is
    /// passed over.
    ///
    /// # Errors
    /// [`CredentialsError::MissingSeed`] if it is empty, [`CredentialsError::InvalidSeed`] if it
    /// is not the seed of a user.
    #[cfg(feature = "nkeys")]
    pub fn nkey(seed: &str) -> Result<Self, CredentialsError> {
        let (public_key, signer) = seed::decode(seed)?;
        Ok(Self(Kind::Nkey { public_key, signer }))
    }

    /// A user's nkey whose seed is elsewhere, in a vault or on a chip: the public key (56
    /// characters that begin with `U`), and a function that signs with the private one.
    ///
    /// The function gets the server's nonce and returns the Ed25519 signature of these bytes: 64
    /// bytes, not encoded. It runs on the loop, once in every attempt to connect, and must not
    /// take long.
    pub fn nkey_with_signer(
        public_key: impl Into<String>,
        signer: impl Fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        let signer = Signer::Given(Arc::new(signer));
        Self(Kind::Nkey { public_key: public_key.into(), signer })
    }

    /// A user's JWT, and the seed of the nkey that it was issued for.
    ///
    /// # Errors
    /// As [`nkey`](Self::nkey); and [`CredentialsError::MissingJwt`] or
    /// [`CredentialsError::InvalidJwt`].
    #[cfg(feature = "nkeys")]
    pub fn jwt(jwt: &str, seed: &str) -> Result<Self, CredentialsError> {
        let jwt = check_jwt(jwt)?;
        let (_, signer) = seed::decode(seed)?;
        Ok(Self(Kind::Jwt { jwt, signer }))
    }

    /// A user's JWT, and a function that signs as in
    /// [`nkey_with_signer`](Self::nkey_with_signer).
    pub fn jwt_with_signer(
        jwt: impl Into<Secret>,
        signer: impl Fn(&[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self(Kind::Jwt { jwt: jwt.into(), signer: Signer::Given(Arc::new(signer)) })
    }

    /// What a `.creds` file contains: a block with the JWT and a block with the seed, in either
    /// order, each between two lines that begin and end with three dashes or more. What stands
    /// outside the blocks is passed over, whatever it is.
    ///
    /// # Errors
    /// As [`jwt`](Self::jwt); and [`CredentialsError::Truncated`] if a block has no end.
    #[cfg(feature = "nkeys")]
    pub fn creds(text: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        let (jwt, seed) = creds::find(text.as_ref())?;
        Self::jwt(jwt, seed)
    }

    /// The path of a `.creds` file; a leading `~/` is the user's home. It is read in every attempt
    /// to connect, so a file that was renewed in the meantime is used as it is then. What is wrong
    /// with it is an error of that attempt. At most 1 MiB is read.
    #[cfg(feature = "nkeys")]
    pub fn creds_file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::CredsFile(path.into()))
    }

    /// What goes into `CONNECT`. The nonce is that of the server's `INFO`.
    pub(crate) fn answer(&self, nonce: Option<&str>) -> Result<Authentication, CredentialsError> {
        let mut answer = Authentication::default();
        match &self.0 {
            Kind::None => {}
            Kind::UserPassword { user, password } => {
                answer.user = Some(user.clone());
                answer.pass = Some(password.clone());
            }
            Kind::Token(token) => answer.auth_token = Some(token.clone()),
            Kind::Nkey { public_key, signer } => {
                answer.sig = Some(signer.answer(nonce)?);
                answer.nkey = Some(public_key.clone());
            }
            Kind::Jwt { jwt, signer } => {
                answer.sig = match signer.answer(nonce) {
                    // a server without accounts, such as one for development, does not ask
                    Err(CredentialsError::NoNonce) => None,
                    signature => Some(signature?),
                };
                answer.jwt = Some(jwt.clone());
            }
            #[cfg(feature = "nkeys")]
            Kind::CredsFile(path) => {
                let in_file =
                    |error| CredentialsError::File { path: path.clone(), error: Box::new(error) };
                let credentials = Self::creds(&*creds::read(path)?).map_err(in_file)?;
                return credentials.answer(nonce);
            }
        }
        Ok(answer)
    }

    fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::None => "none",
            Kind::UserPassword { .. } => "user and password",
            Kind::Token(_) => "token",
            Kind::Nkey { .. } => "nkey",
            Kind::Jwt { .. } => "JWT",
            #[cfg(feature = "nkeys")]
            Kind::CredsFile(_) => "creds file",
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.kind())
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self::none()
    }
}

impl Signer {
    /// The signature as it goes into `CONNECT`. The nonce is signed as it is, without decoding.
    pub(super) fn answer(&self, nonce: Option<&str>) -> Result<Secret, CredentialsError> {
        let nonce = nonce.filter(|nonce| !nonce.is_empty()).ok_or(CredentialsError::NoNonce)?;
        Ok(URL_SAFE_NO_PAD.encode(self.sign(nonce.as_bytes())?).into())
    }

    fn sign(&self, nonce: &[u8]) -> Result<[u8; SIGNATURE_LEN], CredentialsError> {
        match self {
            #[cfg(feature = "nkeys")]
            Self::Key(key) => Ok(ed25519_dalek::Signer::sign(&**key, nonce).to_bytes()),
            Self::Given(sign) => {
                let signature =
                    sign(nonce).map_err(|error| CredentialsError::Signer(error.to_string()))?;
                <[u8; SIGNATURE_LEN]>::try_from(signature).map_err(|signature| {
                    let len = signature.len();
                    let text = format!("a signature has {SIGNATURE_LEN} bytes, and not {len}");
                    CredentialsError::Signer(text)
                })
            }
        }
    }
}

/// A JWT is three parts in base64. What is not may be another secret in the wrong place, and that
/// must not go to the server.
#[cfg(feature = "nkeys")]
fn check_jwt(jwt: &str) -> Result<Secret, CredentialsError> {
    let jwt = jwt.trim();
    if jwt.is_empty() {
        return Err(CredentialsError::MissingJwt);
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_base64);
    match jwt.split('.').count() == 3 && jwt.split('.').all(is_part) {
        true => Ok(jwt.into()),
        false => Err(CredentialsError::InvalidJwt),
    }
}

#[cfg(feature = "nkeys")]
pub(super) mod seed {
    //! The text form of nkeys: base32 of a prefix, 32 bytes, and a checksum of both.

    use super::{CredentialsError, Signer};
    use data_encoding::BASE32_NOPAD;
    use ed25519_dalek::SigningKey;
    use std::sync::Arc;
    use zeroize::Zeroizing;

    const SEED: u8 = 18 << 3;
    const USER: u8 = 20 << 3;
    const TEXT_LEN: usize = 58;
    /// Two bytes of prefix, 32 of key, two of checksum.
    const LEN: usize = 36;

    /// The public key as a text, and what signs, of a user's seed.
    pub(super) fn decode(seed: &str) -> Result<(String, Signer), CredentialsError> {
        match decode_any(seed)? {
            (USER, key) => Ok((public_key(&key), Signer::Key(key))),
            _ => {
                let reason = "it is not the seed of a user, which begins with SU";
                Err(CredentialsError::InvalidSeed(reason))
            }
        }
    }

    /// The kind of a seed, and its key.
    pub(in crate::client) fn decode_any(
        seed: &str,
    ) -> Result<(u8, Arc<SigningKey>), CredentialsError> {
        let invalid = |reason| Err(CredentialsError::InvalidSeed(reason));
        let seed = seed.trim().as_bytes();
        if seed.is_empty() {
            return Err(CredentialsError::MissingSeed);
        }
        if seed.len() != TEXT_LEN {
            return invalid("a seed has 58 characters");
        }
        let mut raw = Zeroizing::new([0; LEN]);
        if BASE32_NOPAD.decode_mut(seed, &mut *raw).is_err() {
            return invalid("it is not base32");
        }
        let Some((body, checksum)) = raw.split_last_chunk() else { return invalid("too short") };
        if crc16(body) != u16::from_le_bytes(*checksum) {
            return invalid("the checksum is wrong");
        }
        // the kind of key lies across the first two bytes
        let Some(([first, second], key)) = body.split_first_chunk() else {
            return invalid("too short");
        };
        if first & 0xf8 != SEED {
            return invalid("it is a key and not a seed");
        }
        let kind = (first & 7) << 5 | second >> 3;
        let Some(key) = key.first_chunk() else { return invalid("too short") };
        Ok((kind, Arc::new(SigningKey::from_bytes(key))))
    }

    fn public_key(key: &SigningKey) -> String {
        let mut raw = vec![USER];
        raw.extend_from_slice(key.verifying_key().as_bytes());
        raw.extend_from_slice(&crc16(&raw).to_le_bytes());
        BASE32_NOPAD.encode(&raw)
    }

    /// CRC-16/XMODEM.
    fn crc16(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| match crc & 0x8000 {
                0 => crc << 1,
                _ => crc << 1 ^ 0x1021,
            })
        })
    }
}

/// Why credentials cannot be used. Nothing secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {}: {message}", .path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The kind of the I/O error.
        kind: io::ErrorKind,
        /// Its text.
        message: String,
    },
    /// The file is no `.creds` file.
    #[error("{}: {error}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<CredentialsError>,
    },
    /// There is no JWT.
    #[error("the JWT is missing")]
    MissingJwt,
    /// What stands in the place of the JWT is none.
    #[error("the JWT is malformed: it is not three parts in base64")]
    InvalidJwt,
    /// There is no seed.
    #[error("the seed is missing")]
    MissingSeed,
    /// The seed is none, or one of another kind than is needed.
    #[error("the seed is invalid: {0}")]
    InvalidSeed(&'static str),
    /// A block of the `.creds` text has no end.
    #[error("truncated: the block of the {0} has no end")]
    Truncated(&'static str),
    /// The server sent no nonce.
    #[error("the server does not ask for a signature: nkeys are not set up there")]
    NoNonce,
    /// The signer failed, or what it made is no signature.
    #[error("the signer failed: {0}")]
    Signer(String),
}

impl From<CredentialsError> for crate::error::Error {
    fn from(error: CredentialsError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_credentials_need_no_nonce_and_none_says_nothing() {
        let answer = Credentials::user_password("joe", "s3cret").answer(None).unwrap();
        assert_eq!(answer.user.as_deref(), Some("joe"));
        assert_eq!(answer.pass.as_ref().map(Secret::expose), Some("s3cret"));
        let answer = Credentials::token("t0ken").answer(Some("nonce")).unwrap();
        assert_eq!(answer.auth_token.as_ref().map(Secret::expose), Some("t0ken"));
        assert_eq!(Credentials::none().answer(None).unwrap(), Authentication::default());
    }

    #[test]
    fn a_signer_gets_the_nonce_as_it_is_and_its_signature_is_encoded() {
        let credentials = Credentials::nkey_with_signer("UABC", |nonce| {
            assert_eq!(nonce, b"a-nonce");
            Ok(vec![0xff; 64])
        });
        let answer = credentials.answer(Some("a-nonce")).unwrap();
        // 64 bytes are 86 digits, the last of which holds two bits
        let expected = format!("{}w", "_".repeat(85));
        assert_eq!(answer.sig.as_ref().map(Secret::expose), Some(expected.as_str()));
        assert_eq!((answer.nkey.as_deref(), answer.jwt), (Some("UABC"), None));

        let answer = Credentials::jwt_with_signer("j.w.t", |_| Ok(vec![0; 64])).answer(Some("n"));
        let answer = answer.unwrap();
        assert_eq!(answer.jwt.as_ref().map(Secret::expose), Some("j.w.t"));
        assert_eq!(answer.nkey, None);
    }

    #[test]
    fn what_a_signer_can_do_wrong() {
        let failing = Credentials::jwt_with_signer("j.w.t", |_| Err("the vault is locked".into()));
        let error = failing.answer(Some("n")).unwrap_err();
        assert_eq!(error, CredentialsError::Signer("the vault is locked".into()));
        let short = Credentials::jwt_with_signer("j.w.t", |_| Ok(vec![0; 63]));
        let error = short.answer(Some("n")).unwrap_err().to_string();
        assert_eq!(error, "the signer failed: a signature has 64 bytes, and not 63");
        for nonce in [None, Some("")] {
            let nkey = Credentials::nkey_with_signer("UABC", |_| Ok(vec![0; 64]));
            assert_eq!(nkey.answer(nonce).unwrap_err(), CredentialsError::NoNonce);
            assert_eq!(short.answer(nonce).unwrap().sig, None, "a server without accounts");
        }
    }

    #[cfg(feature = "nkeys")]
    mod with_seeds {
        use super::super::*;
        use nkeys::{KeyPair, KeyPairType};

        // out of the documentation of NATS
        const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
        const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
        const JWT: &str = "eyJ0.eyJq-_.c2ln";

        fn creds(end_of_line: &str) -> String {
            [
                "-----BEGIN NATS USER JWT-----",
                JWT,
                "------END NATS USER JWT------",
                "",
                "************************* IMPORTANT *************************",
                "NKEY Seed printed below can be used to sign and prove identity.",
                "",
                "-----BEGIN USER NKEY SEED-----",
                SEED,
                "------END USER NKEY SEED------",
                "",
                "*************************************************************",
                "",
            ]
            .join(end_of_line)
        }

        fn verify(public: &str, nonce: &str, answer: &Authentication) {
            let signature = answer.sig.as_ref().map(|sig| URL_SAFE_NO_PAD.decode(sig.expose()));
            let signature = signature.unwrap().unwrap();
            KeyPair::from_public_key(public).unwrap().verify(nonce.as_bytes(), &signature).unwrap();
        }

        #[test]
        fn seeds_give_the_public_key_and_signatures_that_the_reference_verifies() {
            let nonce = "kI7-2Zx_nonce";
            let fresh = KeyPair::new_user();
            for (seed, public) in
                [(SEED, PUBLIC), (&fresh.seed().unwrap(), &fresh.public_key() as &str)]
            {
                let credentials = Credentials::nkey(&format!(" {seed}\r\n")).unwrap();
                let answer = credentials.answer(Some(nonce)).unwrap();
                assert_eq!(answer.nkey.as_deref(), Some(public));
                verify(public, nonce, &answer);
                assert_ne!(answer.sig, credentials.answer(Some("another")).unwrap().sig);
                assert_eq!(credentials.answer(None).unwrap_err(), CredentialsError::NoNonce);
            }
        }

        #[test]
        fn creds_texts_of_either_line_end() {
            for end_of_line in ["\n", "\r\n"] {
                let credentials = Credentials::creds(creds(end_of_line)).unwrap();
                let answer = credentials.answer(Some("nonce")).unwrap();
                assert_eq!(answer.jwt.as_ref().map(Secret::expose), Some(JWT));
                assert_eq!(answer.nkey, None);
                verify(PUBLIC, "nonce", &answer);
                assert_eq!(credentials.answer(None).unwrap().sig, None);
            }
        }

        #[test]
        fn creds_as_other_tools_write_them() {
            let (jwt, seed) =
                (format!("---A---\n{JWT}\n---B---\n"), format!("---C---\n{SEED}\n---D---"));
            let bytes = |parts: &[&[u8]]| parts.concat();
            for text in [
                // an editor's byte-order mark
                bytes(&[b"\xef\xbb\xbf", creds("\r\n").as_bytes()]),
                // the other order, and no line between the blocks
                bytes(&[seed.as_bytes(), b"\n", jwt.as_bytes()]),
                // what is not text, outside the blocks and in a third one
                bytes(&[b"\xff\xfe\n---X---\n\xff\n---Y---\n", jwt.as_bytes(), seed.as_bytes()]),
                // white space around the lines
                bytes(&[creds(" \n\t").as_bytes()]),
                // a public key, which is none of the two
                bytes(&[
                    format!("---N---\n{PUBLIC}\n---N---\n").as_bytes(),
                    creds("\n").as_bytes(),
                ]),
            ] {
                let shown = String::from_utf8_lossy(&text).into_owned();
                let credentials = Credentials::creds(text).expect(&shown);
                let answer = credentials.answer(Some("nonce")).unwrap();
                assert_eq!(answer.jwt.as_ref().map(Secret::expose), Some(JWT));
                verify(PUBLIC, "nonce", &answer);
            }
        }

        #[test]
        fn a_creds_text_cut_anywhere_is_an_error_and_no_panic() {
            let text = creds("\n");
            let complete = text.find("SEED------").unwrap() + "SEED---".len();
            // a last line of dashes alone ends the block, too
            for end in 0..text.len() {
                let text = &text[..end];
                let dashes = text.trim_end_matches('-').len();
                let ends = text[..dashes].ends_with(&format!("{SEED}\n")) && end - dashes >= 3;
                assert_eq!(Credentials::creds(text).is_ok(), ends || end >= complete, "{text:?}");
            }
        }

        #[test]
        fn malformed_creds_say_what_is_missing() {
            use CredentialsError::{InvalidJwt, MissingJwt, MissingSeed, Truncated};
            let block = |content: &str| format!("---A---\n{content}\n---B---\n");
            let labeled = |label: &str, content: &str| {
                format!("---BEGIN {label}---\n{content}\n---END {label}---\n")
            };
            let table = [
                (String::new(), MissingJwt),
                ("no block".into(), MissingJwt),
                (block(" "), MissingJwt),
                (block(JWT), MissingSeed),
                (block(JWT) + &block(""), MissingSeed),
                (format!("---A---\n{JWT}"), Truncated("JWT")),
                (format!("---A---\n{JWT}\n{JWT}\n---B---"), Truncated("JWT")),
                (format!("{}---A---\n{SEED}\n", block(JWT)), Truncated("seed")),
                (block(SEED), MissingJwt),
                (format!("{}---A---\n{JWT}", block(SEED)), Truncated("JWT")),
                (labeled("JWT", "a.b") + &block(SEED), InvalidJwt),
                (labeled("JWT", "a..b") + &block(SEED), InvalidJwt),
                (labeled("JWT", "a.b.c\"") + &block(SEED), InvalidJwt),
            ];
            for (text, expected) in table {
                assert_eq!(Credentials::creds(&text).unwrap_err(), expected, "{text}");
            }
            // a seed that was damaged is not one that is missing
            for damaged in [&SEED[..57], &SEED.to_lowercase(), "?"] {
                let error = Credentials::creds(block(JWT) + &labeled("SEED", damaged)).unwrap_err();
                assert!(matches!(error, CredentialsError::InvalidSeed(_)), "{error}");
            }
            assert_eq!(Credentials::jwt(" ", SEED).unwrap_err(), MissingJwt);
            assert_eq!(Credentials::jwt(JWT, " ").unwrap_err(), MissingSeed);
        }

        #[test]
        fn malformed_seeds_are_errors_that_do_not_show_them() {
            let account = KeyPair::new_account().seed().unwrap();
            let curve = KeyPair::new(KeyPairType::Curve).seed().unwrap();
            let mut flipped = SEED.to_owned();
            flipped.replace_range(20..21, if &SEED[20..21] == "A" { "B" } else { "A" });
            // a private key, which begins with P, in the length of a seed
            let mut private = vec![15 << 3, 0];
            private.extend_from_slice(&[7; 34]);
            let private = data_encoding::BASE32_NOPAD.encode(&private);
            let table = [
                (&SEED[..57], "58 characters"),
                (PUBLIC, "58 characters"),
                (&SEED.repeat(1000), "58 characters"),
                (&"Ü".repeat(29), "not base32"),
                (&SEED.to_lowercase(), "not base32"),
                (&flipped, "checksum"),
                (&private, "checksum"),
                (&account, "of a user"),
                (&curve, "of a user"),
            ];
            for (seed, reason) in table {
                let error = Credentials::nkey(seed).unwrap_err().to_string();
                assert!(error.contains(reason), "{error}: {reason}");
                assert!(!error.contains(&seed[..10]), "{error}");
            }
        }

        #[test]
        fn a_file_is_read_for_every_answer() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("user.creds");
            let credentials = Credentials::creds_file(&path);
            let error = credentials.answer(Some("n")).unwrap_err();
            assert!(error.to_string().contains("user.creds"), "{error}");
            assert!(
                matches!(&error, CredentialsError::Io { path: of, kind: io::ErrorKind::NotFound, .. } if *of == path),
                "{error:?}"
            );
            std::fs::write(&path, creds("\n")).unwrap();
            verify(PUBLIC, "n", &credentials.answer(Some("n")).unwrap());
            std::fs::write(&path, creds("\n").replace(JWT, "x.y.z")).unwrap();
            let answer = credentials.answer(Some("n")).unwrap();
            assert_eq!(answer.jwt.as_ref().map(Secret::expose), Some("x.y.z"));
            std::fs::write(&path, [0xff; 10]).unwrap();
            let error = credentials.answer(Some("n")).unwrap_err();
            assert!(error.to_string().contains("the JWT is missing"), "{error}");
        }

        #[test]
        fn debug_shows_the_kind_only() {
            let table = [
                (Credentials::none(), "none"),
                (Credentials::user_password("joe", "s3cret"), "user and password"),
                (Credentials::token("s3cret"), "token"),
                (Credentials::nkey(SEED).unwrap(), "nkey"),
                (Credentials::jwt(JWT, SEED).unwrap(), "JWT"),
                (Credentials::creds(creds("\n")).unwrap(), "JWT"),
                (Credentials::creds_file("/s3cret"), "creds file"),
            ];
            for (credentials, kind) in table {
                assert_eq!(format!("{credentials:?}"), format!("Credentials({kind})"));
            }
            let answer = Credentials::jwt(JWT, SEED).unwrap().answer(Some("n")).unwrap();
            let sig = answer.sig.as_ref().map(Secret::expose).unwrap();
            let shown = format!("{answer:?}");
            assert!(!shown.contains(JWT) && !shown.contains(sig), "{shown}");
        }
    }
}
