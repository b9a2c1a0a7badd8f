//! What services tell about themselves, in the words of ADR-32.

use crate::jetstream::time::{format_rfc3339, rfc3339};
use crate::jetstream::wire::null_as_default;
use serde::de::DeserializeOwned;
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Which instance of which service it is. It is also all that a ping is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceIdentity {
    /// What kind of service it is.
    pub name: String,
    /// The instance: no other one has this id.
    pub id: String,
    /// The version of its program.
    pub version: String,
    /// Whatever else is to be known of it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
}

/// What a service is, and what it listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// Which instance it is.
    #[serde(flatten)]
    pub identity: ServiceIdentity,
    /// What it does, for people.
    #[serde(default, deserialize_with = "null_as_default")]
    pub description: String,
    /// Its endpoints.
    #[serde(default, deserialize_with = "null_as_default")]
    pub endpoints: Vec<EndpointInfo>,
}

/// What an endpoint listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// Its name.
    pub name: String,
    /// Its subject, with the prefix of its group.
    pub subject: String,
    /// Its queue group. Empty if it has none, or the service does not say.
    #[serde(default, deserialize_with = "null_as_default")]
    pub queue_group: String,
    /// Whatever else is to be known of it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: BTreeMap<String, String>,
}

/// What a service has done since it was started, or since it was [reset](super::Service::reset).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServiceStats {
    /// Which instance it is.
    #[serde(flatten)]
    pub identity: ServiceIdentity,
    /// Since when it counts, by its own clock. It is sent in microseconds.
    #[serde(
        default,
        serialize_with = "to_microseconds",
        deserialize_with = "rfc3339::deserialize"
    )]
    pub started: Option<SystemTime>,
    /// Its endpoints.
    #[serde(default, deserialize_with = "null_as_default")]
    pub endpoints: Vec<EndpointStats>,
}

/// What an endpoint has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Its name.
    pub name: String,
    /// Its subject, with the prefix of its group.
    pub subject: String,
    /// Its queue group. Empty if it has none, or the service does not say.
    #[serde(default, deserialize_with = "null_as_default")]
    pub queue_group: String,
    /// How many requests it got.
    #[serde(rename = "num_requests", default, deserialize_with = "null_as_default")]
    pub requests: u64,
    /// How many of its answers were errors, or failed.
    #[serde(rename = "num_errors", default, deserialize_with = "null_as_default")]
    pub errors: u64,
    /// The last of them. Empty if there was none.
    #[serde(default, deserialize_with = "null_as_default")]
    pub last_error: String,
    /// How long its handler has run.
    #[serde(default, with = "nanos")]
    pub processing_time: Duration,
    /// How long it has run for one request.
    #[serde(default, with = "nanos")]
    pub average_processing_time: Duration,
    /// Whatever its [stats handler](super::Service::on_stats) adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// A document that services answer with.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// What is asked for.
    const VERB: &'static str;
    /// What it says that it is.
    const TYPE: &'static str;
}

impl Record for ServiceIdentity {
    const VERB: &'static str = "PING";
    const TYPE: &'static str = "io.nats.micro.v1.ping_response";
}

impl Record for ServiceInfo {
    const VERB: &'static str = "INFO";
    const TYPE: &'static str = "io.nats.micro.v1.info_response";
}

impl Record for ServiceStats {
    const VERB: &'static str = "STATS";
    const TYPE: &'static str = "io.nats.micro.v1.stats_response";
}

/// A document with its type, as it is on the wire.
#[derive(Serialize, Deserialize)]
struct Typed<R> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    record: R,
}

pub(super) fn encode<R: Record>(record: R) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Typed { kind: R::TYPE.to_owned(), record })
}

/// Reads a document. What is wrong with one that is none is said in words.
pub(super) fn decode<R: Record>(body: &[u8]) -> Result<R, String> {
    let typed: Typed<R> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match typed.kind == R::TYPE {
        true => Ok(typed.record),
        false => Err(format!("it is of type {:?}, and not {:?}", typed.kind, R::TYPE)),
    }
}

/// Writes a time with six decimals: nats.py reads neither more nor none.
fn to_microseconds<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(time) = time else { return serializer.serialize_none() };
    let text = format_rfc3339(*time).map_err(S::Error::custom)?;
    let text = text.trim_end_matches('Z');
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, "000000"));
    serializer.serialize_str(&format!("{seconds}.{decimals:.6}Z"))
}

/// `#[serde(with)]` for a duration that is counted in nanoseconds.
mod nanos {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let nanos = Option::<u64>::deserialize(deserializer)?;
        Ok(Duration::from_nanos(nanos.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> ServiceIdentity {
        ServiceIdentity {
            name: "calculator".into(),
            id: "N1".into(),
            version: "1.0.0".into(),
            metadata: BTreeMap::from([("zone".into(), "a".into())]),
        }
    }

    fn stats() -> ServiceStats {
        let endpoint = EndpointStats {
            name: "add".into(),
            subject: "numbers.add".into(),
            queue_group: "q".into(),
            requests: 3,
            errors: 1,
            last_error: "404:no".into(),
            processing_time: Duration::from_nanos(10),
            average_processing_time: Duration::from_nanos(3),
            data: None,
        };
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        ServiceStats { identity: identity(), started: Some(started), endpoints: vec![endpoint] }
    }

    #[test]
    fn documents_are_those_of_adr_32_and_come_back_as_they_were() {
        let same_identity =
            r#""name":"calculator","id":"N1","version":"1.0.0","metadata":{"zone":"a"}"#;
        let ping = encode(identity()).expect("a document");
        let expected = format!(r#"{{"type":"io.nats.micro.v1.ping_response",{same_identity}}}"#);
        assert_eq!(String::from_utf8_lossy(&ping), expected);
        assert_eq!(decode(&ping), Ok(identity()));

        let text = encode(stats()).expect("a document");
        let expected = format!(
            "{}{}{}",
            r#"{"type":"io.nats.micro.v1.stats_response","#,
            same_identity,
            concat!(
                r#","started":"1970-01-01T00:00:01.500000Z","endpoints":[{"name":"add","#,
                r#""subject":"numbers.add","queue_group":"q","num_requests":3,"num_errors":1,"#,
                r#""last_error":"404:no","processing_time":10,"average_processing_time":3}]}"#
            )
        );
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(decode(&text), Ok(stats()));
        let stats = ServiceStats { started: Some(SystemTime::UNIX_EPOCH), ..stats() };
        let text = encode(stats).expect("a document");
        assert!(
            String::from_utf8_lossy(&text).contains(r#""started":"1970-01-01T00:00:00.000000Z""#)
        );
    }

    #[test]
    fn null_is_nothing_and_what_is_unknown_is_passed_over() {
        let body =
            br#"{"type":"io.nats.micro.v1.info_response","name":"a","id":"b","version":"1.0.0",
            "metadata":null,"description":null,"endpoints":null,"new":[1]}"#;
        let info: ServiceInfo = decode(body).expect("info");
        assert_eq!((info.description.len(), info.endpoints.len()), (0, 0));
        let body =
            br#"{"type":"io.nats.micro.v1.stats_response","name":"a","id":"b","version":"1.0.0",
            "started":"2024-02-29T14:34:56+02:00",
            "endpoints":[{"name":"a","subject":"a","processing_time":null,"data":{"x":1}}]}"#;
        let stats: ServiceStats = decode(body).expect("stats");
        assert_eq!(stats.endpoints[0].data, Some(serde_json::json!({"x": 1})));
    }

    #[test]
    fn nonsense_is_told_apart() {
        let ping = encode(identity()).expect("a document");
        assert!(decode::<ServiceStats>(&ping).is_err());
        for body in
            ["", "hello", "[]", "{}", "null", r#"{"type":"io.nats.micro.v1.ping_response"}"#]
        {
            assert!(decode::<ServiceIdentity>(body.as_bytes()).is_err(), "{body}");
        }
        let negative =
            br#"{"type":"io.nats.micro.v1.stats_response","name":"a","id":"b","version":"1",
            "endpoints":[{"name":"a","subject":"a","num_requests":-1}]}"#;
        assert!(decode::<ServiceStats>(negative).is_err());
    }
}
