//! What was asked for, held against what a server has made of it.
//!
//! Servers before 2.12 pass over what they do not know, and answer as if all was well; all of them put
//! a few things right without a word. Every member that was asked for has to come back as it was sent.
//! What a server fills in is its own affair, and so is what [`Wanted::left_to_servers`] names: these
//! members are changed by every server, for reasons that are in the configuration itself.

use super::consumer_config::{ConsumerConfig, ConsumerInfo};
use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use crate::jetstream::api::ApiReply;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use serde::Serialize;
use serde_json::Value;

/// A configuration that is asked for.
pub(super) trait Wanted: Clone + Serialize + 'static {
    fn required_level(&self) -> Option<Requirement>;

    /// Removes what servers add to its metadata.
    fn remove_server_metadata(&mut self);

    /// Returns the members, by their names in JSON, that need not come back as they were sent.
    fn left_to_servers(&self) -> Vec<&'static str>;

    /// Returns what of it has to come back.
    fn asked(&self) -> Result<Value, Error> {
        let mut wanted = self.clone();
        wanted.remove_server_metadata();
        let mut asked = to_value(&wanted)?;
        if let Value::Object(asked) = &mut asked {
            let left = self.left_to_servers();
            asked.retain(|member, _| !left.contains(&&**member));
        }
        Ok(asked)
    }
}

/// The reply to a creation or an update, with the configuration in force.
pub(super) trait Configured: ApiReply {
    type Config: Wanted;

    /// The configuration in force, if the server tells it.
    fn config(&self) -> Option<&Self::Config>;
}

impl Wanted for StreamConfig {
    fn required_level(&self) -> Option<Requirement> {
        self.required_level()
    }

    fn remove_server_metadata(&mut self) {
        self.remove_server_metadata();
    }

    fn left_to_servers(&self) -> Vec<&'static str> {
        let mut left = Vec::new();
        if self.mirror.is_some() {
            // what its origin permits
            left.push("mirror_direct");
        }
        if self.sealed {
            left.extend(["discard", "max_age", "allow_rollup_hdrs"]);
        }
        left
    }
}

impl Wanted for ConsumerConfig {
    fn required_level(&self) -> Option<Requirement> {
        self.required_level()
    }

    fn remove_server_metadata(&mut self) {
        self.remove_server_metadata();
    }

    fn left_to_servers(&self) -> Vec<&'static str> {
        // older servers do not repeat it, and it is in the subject of the request
        let mut left = vec!["name"];
        if !self.backoff.is_empty() {
            // replaced by the first of them
            left.push("ack_wait");
        }
        left
    }
}

impl Configured for StreamInfo {
    type Config = StreamConfig;

    fn config(&self) -> Option<&StreamConfig> {
        Some(&self.config)
    }
}

impl Configured for ConsumerInfo {
    type Config = ConsumerConfig;

    fn config(&self) -> Option<&ConsumerConfig> {
        self.config.as_ref()
    }
}

/// A stream's configuration that is asked for now, for what is made of it later.
pub(in crate::jetstream) struct WantedStream(Option<Value>);

impl WantedStream {
    pub(in crate::jetstream) fn new(config: &StreamConfig) -> Self {
        // what cannot be encoded is not asked for in the first place
        Self(config.asked().ok())
    }

    /// Checks that what was asked for is in what was made.
    pub(in crate::jetstream) fn check(&self, made: StreamInfo) -> Result<StreamInfo, Error> {
        match &self.0 {
            Some(asked) => check_made(asked, made),
            None => Ok(made),
        }
    }
}

/// Checks that what was asked for is in what was made.
pub(super) fn check_made<T: Configured>(asked: &Value, made: T) -> Result<T, Error> {
    let Some(config) = made.config() else { return Ok(made) };
    let mut members = Vec::new();
    compare("", asked, Some(&to_value(config)?), &mut members);
    match members.is_empty() {
        true => Ok(made),
        false => Err(Error::MadeDifferently { members }),
    }
}

/// Adds the members that came back otherwise than they were asked for, by their names in JSON.
fn compare(member: &str, asked: &Value, made: Option<&Value>, members: &mut Vec<String>) {
    match (asked, made) {
        (Value::Object(asked), made) => {
            for (name, asked) in asked {
                let path =
                    if member.is_empty() { name.clone() } else { format!("{member}.{name}") };
                compare(&path, asked, made.and_then(|made| made.get(name)), members);
            }
        }
        (Value::Array(asked), Some(Value::Array(made))) if asked.len() == made.len() => {
            for (asked, made) in asked.iter().zip(made) {
                compare(member, asked, Some(made), members);
            }
        }
        (asked, _) if leaves_the_choice(asked) => {}
        (asked, Some(made)) if asked == made || (is_unlimited(asked) && is_unlimited(made)) => {}
        _ if members.iter().any(|known| known == member) => {}
        _ => members.push(member.to_owned()),
    }
}

/// Whether servers take it for nothing, and fill something in.
fn leaves_the_choice(asked: &Value) -> bool {
    match asked {
        Value::Null => true,
        Value::Bool(asked) => !asked,
        Value::Number(asked) => asked.as_f64() == Some(0.0),
        Value::String(asked) => asked.is_empty(),
        Value::Array(asked) => asked.is_empty(),
        Value::Object(_) => false,
    }
}

fn is_unlimited(limit: &Value) -> bool {
    limit.as_i64().is_some_and(|limit| limit < 0)
}

fn to_value(config: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(config).map_err(Error::unencodable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::manage::{Placement, Source};
    use serde_json::json;

    fn differing(asked: &Value, made: &Value) -> Vec<String> {
        let mut members = Vec::new();
        compare("", asked, Some(made), &mut members);
        members
    }

    #[test]
    fn what_a_server_fills_in_is_no_difference() {
        let asked =
            json!({"a": 0, "b": "", "c": [], "d": {}, "e": false, "f": null, "g": {"h": 0}});
        let made = json!({"a": 7, "b": "x", "c": [1], "z": true});
        assert_eq!(differing(&asked, &made), Vec::<String>::new());
        assert_eq!(differing(&json!({"limit": -5}), &json!({"limit": -1})), Vec::<String>::new());
    }

    #[test]
    fn what_was_asked_for_has_to_come_back() {
        let asked = json!({"a": 1, "b": "x", "c": ["x", "y"], "d": {"e": true, "f": 2}, "g": -1});
        assert_eq!(differing(&asked, &asked), Vec::<String>::new());
        let expected = ["a", "b", "c", "d.e", "d.f", "g"];
        assert_eq!(differing(&asked, &json!({})), expected);
        let other = json!({"a": 2, "b": "y", "c": ["y", "x"], "d": {"e": 1, "f": 3}, "g": 1});
        assert_eq!(differing(&asked, &other), expected);
        assert_eq!(differing(&json!({"c": ["x"]}), &json!({"c": ["x", "y"]})), ["c"]);
        let sources = json!({"s": [{"n": "a", "o": 1}, {"n": "b", "o": 1}]});
        assert_eq!(differing(&sources, &json!({"s": [{"n": "a"}, {"n": "b"}]})), ["s.o"]);
    }

    #[test]
    fn what_every_server_changes_is_left_out() {
        let mirror = StreamConfig::new("S").mirror(Source::new("O")).mirror_direct(true);
        assert_eq!(mirror.asked().unwrap().get("mirror_direct"), None);
        let sealed = StreamConfig::new("S").sealed(true).allow_rollup_hdrs(true);
        let sealed = sealed.asked().unwrap();
        assert_eq!((sealed.get("discard"), sealed.get("allow_rollup_hdrs")), (None, None));
        let asked = StreamConfig::new("S").metadata("_nats.level", "9").metadata("k", "v").asked();
        assert_eq!(asked.unwrap()["metadata"], json!({"k": "v"}));
    }

    #[test]
    fn the_members_are_named() {
        let wanted = StreamConfig::new("S")
            .placement(Placement::new().preferred("n"))
            .metadata("k", "v")
            .compression(crate::jetstream::Compression::S2);
        let made = StreamInfo { config: StreamConfig::new("S"), ..StreamInfo::default() };
        let error = check_made(&wanted.asked().unwrap(), made).expect_err("it is not the same");
        let members = ["compression", "metadata.k", "placement.preferred"].map(String::from).into();
        assert_eq!(error, Error::MadeDifferently { members });
        assert_eq!(
            error.to_string(),
            "made, and not as asked for: compression, metadata.k, placement.preferred"
        );
    }
}
