//! A change as a message: its subject, its headers and its body.

use super::draft::{Draft, Owed};
use super::headers;
use super::options::{Body, Options};
use super::subject::escape;
use crate::mongo::changes::{ChangeEvent, ResumeToken};
use crate::mongo::error::Error;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bson::spec::BinarySubtype;
use bson::{Bson, Document, RawDocument, Timestamp};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use evnats_protocol::HeaderMap;
use sha2::{Digest, Sha256};

/// Makes a message of a change. `writer`: the instance that publishes it.
pub(super) fn draft(options: &Options, writer: &str, event: &ChangeEvent) -> Result<Draft, Error> {
    let token = token_text(event.token());
    let id = message_id(&token);
    let mut headers = HeaderMap::new()
        .with(headers::MESSAGE_ID, &id)
        .with(headers::EXPECTED_STREAM, &options.stream)
        .with(headers::WRITER, writer)
        .with(headers::TOKEN, &token)
        .with(headers::OPERATION, escape(event.operation_type()));
    if let Some(database) = event.database() {
        let collection = event.collection().map(|name| format!(".{}", escape(name)));
        let namespace = escape(database) + collection.as_deref().unwrap_or_default();
        headers.append(headers::NAMESPACE, namespace);
    }
    if let Some(time) = event.cluster_time() {
        headers.append(headers::TIME, time_text(time));
    }
    if let Some(transaction) = transaction_id(event) {
        headers.append(headers::TRANSACTION, transaction);
    }
    Ok(Draft {
        id,
        token: event.token().data().map(str::to_owned),
        subject: options.subject_of(event),
        headers,
        payload: body(options.body, event.raw())?,
        bytes: event.raw().as_bytes().len(),
        owed: Owed::Nothing,
    })
}

/// The transaction that a change was part of: the session's id and the number in it.
pub(super) fn transaction_id(event: &ChangeEvent) -> Option<String> {
    let (session, number) = event.transaction()?;
    let id = match session.get_binary("id") {
        Ok(id) if id.subtype == BinarySubtype::Uuid => HEXLOWER.encode(id.bytes),
        _ => HEXLOWER.encode(&Sha256::digest(session.as_bytes())),
    };
    Some(format!("{id}/{number}"))
}

pub(super) fn time_text(time: Timestamp) -> String {
    format!("{}:{}", time.time, time.increment)
}

pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let (time, increment) = text.split_once(':')?;
    Some(Timestamp { time: time.parse().ok()?, increment: increment.parse().ok()? })
}

/// A token as a header has it.
fn token_text(token: &ResumeToken) -> String {
    match token.data() {
        Some(data) if token.as_document().len() == 1 => data.to_owned(),
        _ => Bson::Document(token.as_document().clone()).into_canonical_extjson().to_string(),
    }
}

pub(super) fn parse_token(text: &str) -> Option<ResumeToken> {
    match text.starts_with('{') {
        true => serde_json::from_str(text).ok(),
        false => Some(ResumeToken::from_data(text)),
    }
}

/// Tokens may be long, and hold the document's key.
fn message_id(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

fn body(form: Body, raw: &RawDocument) -> Result<Bytes, Error> {
    if form == Body::Bson {
        return Ok(Bytes::copy_from_slice(raw.as_bytes()));
    }
    let document = Document::try_from(raw)
        .map_err(|error| Error::MalformedEvent { reason: error.to_string() })?;
    let document = Bson::Document(document);
    let json = match form {
        Body::CanonicalJson => document.into_canonical_extjson(),
        _ => document.into_relaxed_extjson(),
    };
    Ok(json.to_string().into())
}
