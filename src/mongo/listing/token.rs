//! Tokens: the key of a cursor that is stored, or the cursor itself, signed.
//!
//! A stored one's token is 128 random bits, 22 characters of base64url. A signed one is, in base64url: a version
//! (1 byte), the number of the key (4, big-endian), a BSON document, and the HMAC-SHA-256 of all of these. Neither
//! is taken for the other. Times are arguments.

use super::ring::KeyRing;
use crate::mongo::cursor::error::CursorError;
use crate::mongo::cursor::position::{Position, Towards};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use std::time::SystemTime;

const VERSION: u8 = 1;
/// How long a signed token may be, so that it fits a URL or a header.
const MAX_LENGTH: usize = 4_096;
/// The version and the number of the key.
const HEAD: usize = 5;
const TAG: usize = 32;
/// 16 bytes in base64url.
const STORED_LENGTH: usize = 22;

/// What a token stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    pub(super) position: Position,
    pub(super) fingerprint: [u8; 32],
    pub(super) subject: Option<String>,
}

impl Claim {
    /// Whether it belongs to this query and this subject.
    pub(super) fn check(
        &self,
        fingerprint: &[u8; 32],
        subject: Option<&str>,
        keys: usize,
    ) -> Result<(), CursorError> {
        if self.subject.as_deref() != subject {
            return Err(CursorError::OtherSubject);
        }
        match self.fingerprint == *fingerprint && self.position.values.len() == keys {
            true => Ok(()),
            false => Err(CursorError::QueryChanged),
        }
    }
}

/// A token for a cursor that is to be stored.
pub(super) fn for_stored(random: [u64; 2]) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random[0].to_be_bytes());
    bytes[8..].copy_from_slice(&random[1].to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether it has the form of a token for a stored cursor.
pub(super) fn check_stored(token: &str) -> Result<(), CursorError> {
    match token.len() == STORED_LENGTH && URL_SAFE_NO_PAD.decode(token).is_ok() {
        true => Ok(()),
        false => Err(invalid("it has not the form of a stored one")),
    }
}

/// Signs.
pub(super) fn sign(claim: &Claim, ring: &KeyRing, now: SystemTime) -> Result<String, CursorError> {
    let expiry = now.checked_add(ring.ttl).map_or(DateTime::MAX, DateTime::from_system_time);
    let mut document = doc! {
        "i": DateTime::from_system_time(now),
        "e": expiry,
        "n": claim.position.towards == Towards::Next,
        "p": claim.position.values.clone(),
        "f": Binary { subtype: BinarySubtype::Generic, bytes: claim.fingerprint.to_vec() },
    };
    if let Some(subject) = &claim.subject {
        document.insert("s", subject);
    }
    let document = document.to_vec().map_err(|_| invalid("its values cannot be encoded"))?;
    let mut bytes = vec![VERSION];
    bytes.extend(ring.newest.id.to_be_bytes());
    bytes.extend(document);
    bytes.extend(ring.newest.sign(&bytes));
    let token = URL_SAFE_NO_PAD.encode(bytes);
    match token.len() > MAX_LENGTH {
        true => Err(CursorError::TokenTooLong { length: token.len(), limit: MAX_LENGTH }),
        false => Ok(token),
    }
}

/// Reads what was signed. Nothing of it is looked at before the signature.
pub(super) fn verify(token: &str, ring: &KeyRing, now: SystemTime) -> Result<Claim, CursorError> {
    const NO_FORM: CursorError = invalid("it has not the form of a signed one");
    if token.len() > MAX_LENGTH {
        return Err(NO_FORM);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| NO_FORM)?;
    let signed_length = bytes.len().checked_sub(TAG).ok_or(NO_FORM)?;
    let (signed, tag) = bytes.split_at(signed_length);
    let (head, document) = signed.split_at_checked(HEAD).ok_or(NO_FORM)?;
    let [VERSION, id @ ..] = head else { return Err(NO_FORM) };
    let id = u32::from_be_bytes(id.try_into().map_err(|_| NO_FORM)?);
    let key = ring.key(id).ok_or(CursorError::UnknownKey { key: id })?;
    if !key.has_signed(signed, tag) {
        return Err(invalid("its signature is wrong"));
    }
    let document = Document::from_reader(document).map_err(|_| NO_FORM)?;
    let (claim, expiry) = read(document).ok_or(NO_FORM)?;
    match DateTime::from_system_time(now) < expiry {
        true => Ok(claim),
        false => Err(CursorError::NotFound),
    }
}

fn read(mut document: Document) -> Option<(Claim, DateTime)> {
    let Bson::Array(values) = document.remove("p")? else { return None };
    let towards = match document.get_bool("n").ok()? {
        true => Towards::Next,
        false => Towards::Previous,
    };
    let fingerprint = document.get_binary_generic("f").ok()?.as_slice().try_into().ok()?;
    let subject = match document.get("s") {
        Some(subject) => Some(subject.as_str()?.to_owned()),
        None => None,
    };
    let expiry = *document.get_datetime("e").ok()?;
    Some((Claim { position: Position { values, towards }, fingerprint, subject }, expiry))
}

const fn invalid(reason: &'static str) -> CursorError {
    CursorError::InvalidToken { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const SECRET: [u8; 32] = [1; 32];

    fn ring() -> KeyRing {
        KeyRing::new(7, SECRET).unwrap()
    }

    fn claim() -> Claim {
        let values = vec![Bson::Null, Bson::Double(-0.0), Bson::String("ä".into())];
        let position = Position { values, towards: Towards::Previous };
        Claim { position, fingerprint: [9; 32], subject: Some("alice".into()) }
    }

    fn values() -> impl Strategy<Value = Vec<Bson>> {
        let value = prop_oneof![
            Just(Bson::Null),
            any::<i64>().prop_map(Bson::Int64),
            ".{0,20}".prop_map(Bson::String),
            any::<bool>().prop_map(Bson::Boolean),
        ];
        prop::collection::vec(value, 1..5)
    }

    proptest! {
        #[test]
        fn what_was_signed_is_read(values in values(), subject in prop::option::of(".{0,9}"), back: bool) {
            let towards = if back { Towards::Previous } else { Towards::Next };
            let claim = Claim { position: Position { values, towards }, fingerprint: [3; 32], subject };
            let token = sign(&claim, &ring(), NOW).unwrap();
            prop_assert_eq!(verify(&token, &ring(), NOW), Ok(claim));
            prop_assert!(check_stored(&token).is_err());
        }

        #[test]
        fn what_nobody_has_signed_is_refused(text in ".{0,200}", bytes: Vec<u8>) {
            prop_assert!(verify(&text, &ring(), NOW).is_err());
            prop_assert!(verify(&URL_SAFE_NO_PAD.encode(bytes), &ring(), NOW).is_err());
        }

        #[test]
        fn a_stored_ones_token_is_never_a_signed_one(random: [u64; 2]) {
            let token = for_stored(random);
            prop_assert_eq!(check_stored(&token), Ok(()));
            prop_assert!(verify(&token, &ring(), NOW).is_err());
        }
    }

    #[test]
    fn every_bit_counts() {
        let token = sign(&claim(), &ring(), NOW).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&URL_SAFE_NO_PAD.encode(flipped), &ring(), NOW).is_err(), "bit {bit}");
        }
        for index in 0..token.len() {
            let mut text = token.clone().into_bytes();
            text[index] ^= 1;
            let text = String::from_utf8(text).unwrap();
            assert!(verify(&text, &ring(), NOW).is_err(), "character {index}");
        }
        assert!(verify(&format!("{token}A"), &ring(), NOW).is_err());
        assert!(verify(&token[..token.len() - 1], &ring(), NOW).is_err());
    }

    #[test]
    fn keys_come_and_go() {
        let mut ring = ring();
        let old = sign(&claim(), &ring, NOW).unwrap();
        ring.rotate(8, [2; 32]).unwrap();
        let new = sign(&claim(), &ring, NOW).unwrap();
        assert_eq!(ring.rotate(7, [3; 32]), Err(CursorError::KeyExists { key: 7 }));
        assert!(verify(&old, &ring, NOW).is_ok() && verify(&new, &ring, NOW).is_ok());
        assert!(!ring.retire(8), "it signs");
        assert!(ring.retire(7) && !ring.retire(7));
        assert_eq!(verify(&old, &ring, NOW), Err(CursorError::UnknownKey { key: 7 }));
        let foreign = KeyRing::new(8, [4; 32]).unwrap();
        assert!(matches!(verify(&new, &foreign, NOW), Err(CursorError::InvalidToken { .. })));
        let weak = KeyRing::new(1, [0; 31]).unwrap_err();
        assert_eq!(weak, CursorError::WeakSecret { length: 31, minimum: 32 });
        assert!(!format!("{ring:?}").contains("mac"));
    }

    #[test]
    fn a_token_ends_with_its_time() {
        let ring = ring().ttl(Duration::from_secs(10));
        let token = sign(&claim(), &ring, NOW).unwrap();
        assert!(verify(&token, &ring, NOW + Duration::from_millis(9_999)).is_ok());
        let late = verify(&token, &ring, NOW + Duration::from_secs(10));
        assert_eq!(late, Err(CursorError::NotFound));
        let for_ever = ring.ttl(Duration::MAX);
        let token = sign(&claim(), &for_ever, NOW).unwrap();
        assert!(verify(&token, &for_ever, NOW + Duration::from_secs(1 << 35)).is_ok());
    }

    #[test]
    fn a_token_is_not_too_long() {
        let mut long = claim();
        long.position.values[2] = Bson::String("x".repeat(4_000));
        let refused = sign(&long, &ring(), NOW);
        assert!(matches!(refused, Err(CursorError::TokenTooLong { limit: MAX_LENGTH, .. })));
        assert!(verify(&"A".repeat(1 << 20), &ring(), NOW).is_err());
    }

    #[test]
    fn a_claim_is_checked() {
        let claim = claim();
        assert_eq!(claim.check(&[9; 32], Some("alice"), 3), Ok(()));
        assert_eq!(claim.check(&[9; 32], Some("bob"), 3), Err(CursorError::OtherSubject));
        assert_eq!(claim.check(&[9; 32], None, 3), Err(CursorError::OtherSubject));
        assert_eq!(claim.check(&[8; 32], Some("alice"), 3), Err(CursorError::QueryChanged));
        assert_eq!(claim.check(&[9; 32], Some("alice"), 2), Err(CursorError::QueryChanged));
    }
}
