//! Every member of every type is typed: what a data file of facts says about the servers' types is
//! held against the types here.

use super::*;
use crate::jetstream::api_error::ApiError;
use crate::jetstream::level::Requirement;
use crate::jetstream::wire::Unknown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// One member to a line: of which type, its JSON name and type, whether servers write it even if it
/// is not set, the first server that has it, and the API level that a request needs for it.
const FACTS: &str = include_str!("../../../tests/data/jetstream_fields.csv");

struct Fact {
    of: &'static str,
    member: &'static str,
    json: &'static str,
    level: u32,
}

fn facts() -> impl Iterator<Item = Fact> {
    let mut lines = FACTS.lines();
    assert_eq!(lines.next(), Some("type|member|json|always|since|level"));
    lines.map(|line| {
        let columns: Vec<_> = line.split('|').collect();
        let [of, member, json, _always, _since, level] = columns[..] else { panic!("{line}") };
        Fact { of, member, json, level: level.parse().unwrap() }
    })
}

fn facts_of(of: &str) -> Vec<Fact> {
    let facts: Vec<_> = facts().filter(|fact| fact.of == of).collect();
    assert!(!facts.is_empty(), "no facts about {of}");
    facts
}

/// A value that is nobody's default.
fn sample(json: &str) -> Value {
    match json {
        "string" => json!("text"),
        "bool" => json!(true),
        "int" | "uint" => json!(7),
        "nanoseconds" => json!(1_500_000_000_u64),
        "time" => json!("2024-01-02T03:04:05Z"),
        list if list.starts_with('[') => json!([sample(&list[1..list.len() - 1])]),
        map if map.starts_with('{') => {
            let of = map.strip_prefix("{string:").and_then(|map| map.strip_suffix('}'));
            json!({ "key": sample(of.expect("a map of strings to something")) })
        }
        of => Value::Object(document(of)),
    }
}

/// An object with every member of a type.
fn document(of: &str) -> Map<String, Value> {
    let members = facts_of(of).into_iter();
    members.map(|fact| (fact.member.to_owned(), sample(fact.json))).collect()
}

/// Asserts that each member makes a difference by itself, or, for where a consumer starts, beside
/// the policy that it belongs to.
fn assert_typed<T: DeserializeOwned + Default + PartialEq + Debug>(of: &str) {
    for fact in facts_of(of) {
        let mut document = json!({});
        if of == "ConsumerConfig" && fact.member.starts_with("opt_start") {
            document["deliver_policy"] = json!("text");
        }
        let without: T = serde_json::from_value(document.clone()).unwrap();
        document[fact.member] = sample(fact.json);
        let with: Result<T, _> = serde_json::from_value(document);
        let with = with.unwrap_or_else(|error| panic!("{of}.{}: {error}", fact.member));
        assert_ne!(with, without, "{of}.{}", fact.member);
    }
}

/// Asserts that an object with every member is read, and that one of the future does no harm.
fn assert_info<T: DeserializeOwned + Default + PartialEq + Debug>(of: &str) {
    assert_typed::<T>(of);
    let mut full = document(of);
    let known: T = serde_json::from_value(Value::Object(full.clone())).unwrap();
    full.insert("of_the_future".into(), json!([1, { "a": null }]));
    let newer: T = serde_json::from_value(Value::Object(full)).unwrap();
    assert_eq!(known, newer, "{of}");
}

/// Asserts that an object with every member, and one of the future, is written as it was read, and
/// that only the latter is unknown.
fn assert_config<T>(of: &str, unknown: fn(&T) -> &Unknown)
where
    T: DeserializeOwned + Serialize + Default + PartialEq + Debug,
{
    let mut full = document(of);
    for fact in facts_of(of) {
        let alone = json!({ fact.member: sample(fact.json) });
        let alone: T = serde_json::from_value(alone).unwrap();
        assert!(unknown(&alone).is_empty(), "{of}.{} is not typed", fact.member);
    }
    assert_typed::<T>(of);
    full.insert("of_the_future".into(), json!([1, { "a": null }]));
    let full = Value::Object(full);
    let config: T = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(unknown(&config).keys().collect::<Vec<_>>(), ["of_the_future"], "{of}");
    assert_eq!(serde_json::to_value(&config).unwrap(), full, "{of}");
}

#[test]
fn every_member_is_typed() {
    let mut checked = Vec::new();
    macro_rules! configs {
        ($($type:ident)*) => { $(
            assert_config::<$type>(stringify!($type), |config| &config.unknown);
            checked.push(stringify!($type));
        )* };
    }
    macro_rules! infos {
        ($($type:ident)*) => { $(
            assert_info::<$type>(stringify!($type));
            checked.push(stringify!($type));
        )* };
    }
    configs! {
        StreamConfig ConsumerLimits SubjectTransform Republish Source SourceConsumer External
        Placement ConsumerConfig
    }
    infos! {
        StreamInfo StreamState LostData ClusterInfo Desired DesiredOrigin DesiredPeer
        DesiredStatus PeerInfo SourceInfo StreamAlternate ConsumerInfo SequenceInfo
        PriorityGroupInfo AccountLimits AccountTier AccountInfo ApiStats ConsumerPause
    }
    // a type of its own without a default
    let error: ApiError = serde_json::from_value(Value::Object(document("ApiError"))).unwrap();
    assert_eq!(Value::Object(document("ApiError")), serde_json::to_value(error).unwrap());
    // bodies of requests, which are only written
    let purge = PurgeOptions::new().subject("text").before(7).keep(7);
    assert_eq!(Value::Object(document("PurgeOptions")), serde_json::to_value(purge).unwrap());
    let details = StreamDetails::new().subjects_filter("text").deleted_details(true);
    assert_eq!(Value::Object(document("StreamDetails")), serde_json::to_value(details).unwrap());
    checked.extend(["ApiError", "PurgeOptions", "StreamDetails"]);

    let forgotten: Vec<_> =
        facts().map(|fact| fact.of).filter(|of| !checked.contains(of)).collect();
    assert_eq!(forgotten, Vec::<&str>::new());
}

/// The level that a member needs with everything in it.
fn level_of(fact: &Fact) -> u32 {
    let inner = fact.json.trim_start_matches("{string:").trim_matches(['[', ']', '}']);
    let members = facts().filter(|fact| fact.of == inner);
    members.map(|fact| level_of(&fact)).max().unwrap_or(0).max(fact.level)
}

fn assert_levels<T: DeserializeOwned>(of: &str, required: fn(&T) -> Option<Requirement>) {
    for fact in facts_of(of) {
        let config: T = serde_json::from_value(json!({ fact.member: sample(fact.json) })).unwrap();
        let required = required(&config);
        let level = required.map_or(0, |required| required.level);
        assert_eq!(level, level_of(&fact), "{of}.{}", fact.member);
        if fact.level > 0 {
            assert_eq!(required.map(|required| required.feature), Some(fact.member), "{of}");
        }
    }
}

#[test]
fn every_member_needs_the_level_that_it_came_with() {
    assert_levels("StreamConfig", StreamConfig::required_level);
    assert_levels("ConsumerConfig", ConsumerConfig::required_level);
}

#[test]
fn some_words_came_later_than_their_members() {
    let required = |config: ConsumerConfig| config.required_level().map(|needs| needs.level);
    let new = || ConsumerConfig::new("C");
    assert_eq!(required(new()), None);
    assert_eq!(required(new().ack_policy(AckPolicy::All)), None);
    assert_eq!(required(new().ack_policy(AckPolicy::FlowControl)), Some(4));
    assert_eq!(required(new().priority_policy(PriorityPolicy::PinnedClient)), Some(1));
    let both = new().priority_groups(["g"]).priority_policy(PriorityPolicy::Prioritized);
    assert_eq!(required(both), Some(2));
    let source = Source::new("T").consumer(SourceConsumer::new("C"));
    let config = StreamConfig::new("S").allow_msg_ttl(true).sources([source]);
    let required = config.required_level().unwrap();
    assert_eq!((required.level, required.feature), (4, "consumer"));
}
