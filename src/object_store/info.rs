//! What is known of an object, and how it is stored beside it (ADR-20).
//!
//! Other clients write it in several ways, and all of them are read: members that are missing or
//! `null`, times of any form (the time of an object is that of its metadata's message), headers with
//! one value or several, or inside of another object.

use crate::jetstream::StoredMessage;
use crate::jetstream::wire::setters;
use crate::object_store::name::is_identity;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Headers of an object: each name has one value or more.
pub type ObjectHeaders = BTreeMap<String, Vec<String>>;

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The bucket that it is in.
    pub bucket: String,
    /// Its name.
    pub name: String,
    /// A description for people.
    pub description: Option<String>,
    /// Its headers.
    pub headers: ObjectHeaders,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// What it points to, if it is a link.
    pub link: Option<ObjectLink>,
    /// The size of its chunks in bytes, all but the last one, if that was noted.
    pub chunk_size: Option<usize>,
    /// What its chunks are stored under. Empty for links of some clients.
    pub nuid: String,
    /// Its size in bytes.
    pub size: u64,
    /// Number of its chunks.
    pub chunks: u64,
    /// Its digest: `SHA-256=` and the Base64 (for URLs) of the hash. None if it was deleted.
    pub digest: Option<String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The sequence of this information in the bucket's stream, for
    /// [`PutOptions::expect_revision`](crate::object_store::PutOptions::expect_revision).
    pub revision: u64,
    /// When it was stored, deleted or described anew, by the server's clock.
    pub modified: Option<SystemTime>,
}

/// What a link points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectLink {
    /// The bucket.
    pub bucket: String,
    /// The object in it. `None`: the bucket as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "not_empty")]
    pub name: Option<String>,
}

/// What the user says of an object: `ObjectMeta::new("reports/may.pdf").description("final")`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectMeta {
    /// Its name: anything but nothing.
    pub name: String,
    /// A description for people.
    pub description: Option<String>,
    /// Its headers.
    pub headers: ObjectHeaders,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// The size of its chunks in bytes. Default: 128 KiB, or less if the server or the bucket take no
    /// messages of that size.
    pub chunk_size: Option<usize>,
}

setters!(ObjectMeta {
    text name: String,
    some_text description: String,
    pair metadata: String,
    some chunk_size: usize,
});

impl ObjectMeta {
    /// An object of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a header, which may have several values.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.entry(name.into()).or_default().push(value.into());
        self
    }
}

impl From<&str> for ObjectMeta {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for ObjectMeta {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// What an object's description is now, to change and give to
/// [`update_meta`](crate::object_store::ObjectStore::update_meta).
impl From<&ObjectInfo> for ObjectMeta {
    fn from(info: &ObjectInfo) -> Self {
        Self {
            name: info.name.clone(),
            description: info.description.clone(),
            headers: info.headers.clone(),
            metadata: info.metadata.clone(),
            chunk_size: info.chunk_size,
        }
    }
}

impl ObjectInfo {
    /// Whether it is a link, to an object or to a bucket.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.link.is_some()
    }

    /// Whether there are chunks of it that can be asked for.
    pub(in crate::object_store) fn has_chunks(&self) -> bool {
        !self.deleted && !self.is_link() && is_identity(&self.nuid)
    }

    /// Reads what a bucket has stored of an object, or returns what is wrong with it.
    pub(in crate::object_store) fn read(
        bucket: &str,
        stored: &StoredMessage,
    ) -> Result<Self, String> {
        let wire = parse(stored.payload())?;
        Ok(wire.into_info(bucket, stored.sequence(), stored.time()))
    }

    /// Reads what a consumer has delivered of an object.
    pub(in crate::object_store) fn of_delivery(
        bucket: &str,
        payload: &[u8],
        revision: u64,
        modified: SystemTime,
    ) -> Result<Self, String> {
        Ok(parse(payload)?.into_info(bucket, revision, Some(modified)))
    }

    /// What is stored of it.
    pub(in crate::object_store) fn to_json(&self) -> Vec<u8> {
        let is_empty = self.link.is_none() && self.chunk_size.is_none();
        let options = WireOptions {
            link: self.link.clone(),
            max_chunk_size: self.chunk_size.map(|n| n as u64),
        };
        let wire = WireToWrite {
            name: &self.name,
            description: self.description.as_deref(),
            headers: &self.headers,
            metadata: &self.metadata,
            options: (!is_empty).then_some(options),
            bucket: &self.bucket,
            nuid: &self.nuid,
            size: self.size,
            mtime: NO_TIME,
            chunks: self.chunks,
            digest: self.digest.as_deref(),
            deleted: self.deleted,
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

/// Go's zero time: the time is that of the message (ADR-20).
const NO_TIME: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
struct WireToWrite<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a ObjectHeaders,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<WireOptions>,
    bucket: &'a str,
    nuid: &'a str,
    size: u64,
    mtime: &'a str,
    chunks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Serialize, Deserialize)]
struct WireOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<ObjectLink>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_chunk_size: Option<u64>,
}

/// What is read.
#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "named")]
    name: String,
    #[serde(default, deserialize_with = "not_empty")]
    description: Option<String>,
    #[serde(default)]
    headers: Option<WireHeaders>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    options: Option<WireOptions>,
    #[serde(default)]
    nuid: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    chunks: Option<u64>,
    #[serde(default, deserialize_with = "not_empty")]
    digest: Option<String>,
    #[serde(default)]
    deleted: Option<bool>,
    /// Of any form, and not the time that counts.
    #[serde(default)]
    #[expect(dead_code, reason = "it is read so that it may be anything")]
    mtime: IgnoredAny,
}

/// Headers as the clients write them.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireHeaders {
    Lists(ObjectHeaders),
    /// As old releases of a client write them.
    Inner {
        inner: ObjectHeaders,
    },
    Texts(BTreeMap<String, String>),
}

impl WireHeaders {
    fn into_headers(self) -> ObjectHeaders {
        match self {
            Self::Lists(headers) | Self::Inner { inner: headers } => headers,
            Self::Texts(texts) => {
                texts.into_iter().map(|(name, value)| (name, vec![value])).collect()
            }
        }
    }
}

fn parse(payload: &[u8]) -> Result<Wire, String> {
    serde_json::from_slice(payload).map_err(|error| error.to_string())
}

/// An empty text stands for none.
fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.is_empty() {
        true => Err(serde::de::Error::custom("the object has no name")),
        false => Ok(name),
    }
}

impl Wire {
    fn into_info(self, bucket: &str, revision: u64, modified: Option<SystemTime>) -> ObjectInfo {
        let (link, chunk_size) = match self.options {
            Some(options) => (options.link, options.max_chunk_size),
            None => (None, None),
        };
        ObjectInfo {
            bucket: bucket.to_owned(),
            name: self.name,
            description: self.description,
            headers: self.headers.map(WireHeaders::into_headers).unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            link,
            chunk_size: chunk_size.filter(|size| *size > 0).and_then(|size| size.try_into().ok()),
            nuid: self.nuid.unwrap_or_default(),
            size: self.size.unwrap_or_default(),
            chunks: self.chunks.unwrap_or_default(),
            digest: self.digest,
            deleted: self.deleted.unwrap_or_default(),
            revision,
            modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ObjectInfo, String> {
        ObjectInfo::of_delivery("b", json.as_bytes(), 7, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut info = read(r#"{"name":"n"}"#).unwrap();
        assert_eq!((info.size, info.chunks, info.deleted, info.revision), (0, 0, false, 7));
        info.description = Some("d".into());
        info.headers.insert("h".into(), vec!["1".into(), "2".into()]);
        info.metadata.insert("k".into(), "v".into());
        info.link = Some(ObjectLink { bucket: "other".into(), name: None });
        info.chunk_size = Some(12);
        info.nuid = "N".into();
        info.size = 100;
        info.digest = Some("SHA-256=x".into());
        let json = String::from_utf8(info.to_json()).unwrap();
        assert!(json.contains(r#""mtime":"0001-01-01T00:00:00Z""#), "{json}");
        assert_eq!(read(&json).unwrap(), info);
    }

    #[test]
    fn what_others_write_oddly_is_read() {
        let odd = [
            // nats-py deletes so
            r#"{"name":"n","bucket":"b","nuid":"x","size":0,"mtime":"","chunks":0,"deleted":true}"#,
            r#"{"name":"n","mtime":"2024-01-01T00:00:00.5+02:00","headers":null,"metadata":null}"#,
            r#"{"name":"n","mtime":17,"options":null,"digest":""}"#,
            // nats.js links so
            r#"{"name":"n","bucket":"b","options":{"link":{"bucket":"c","name":"o"}}}"#,
            // async-nats wrote headers so
            r#"{"name":"n","headers":{"inner":{"a":["1"]}},"unknown":{"x":[]}}"#,
            r#"{"name":"n","headers":{"a":"1"}}"#,
        ];
        for json in odd {
            assert_eq!(read(json).map(|info| info.name), Ok("n".into()), "{json}");
        }
        assert!(read(odd[0]).unwrap().deleted);
        assert!(read(odd[3]).unwrap().is_link());
        for (json, values) in odd[4..].iter().map(|json| (json, vec!["1".to_owned()])) {
            assert_eq!(read(json).unwrap().headers["a"], values, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_apart() {
        for json in ["", "{}", "[]", r#"{"name":""}"#, r#"{"name":"n","size":-1}"#, "\u{0}"] {
            assert!(read(json).is_err(), "{json:?}");
        }
    }
}
