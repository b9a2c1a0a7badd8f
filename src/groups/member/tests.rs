//! A member by itself, and all members of a group on a server, under virtual time.

use super::super::config::{ElasticGroupConfig, StaticGroupConfig};
use super::*;
use crate::jetstream::ApiError;
use evnats_protocol::RequestError;
use proptest::prelude::*;
use std::collections::BTreeMap;

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn elastic(members: &[&str]) -> ElasticGroupConfig {
    ElasticGroupConfig::new(6).members(members.iter().copied())
}

fn json(config: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(config).expect("JSON")
}

fn member(name: &str, members: &[&str]) -> Member {
    Member::new(Group::Elastic(elastic(members)), name, LONGEST_PAUSE)
}

fn actions(member: &mut Member) -> Vec<Action> {
    std::iter::from_fn(|| member.poll_action()).collect()
}

fn make(partitions: impl IntoIterator<Item = u32>) -> Action {
    Action::Make(partitions.into_iter().map(|partition| format!("{partition}.>")).collect())
}

fn refusal(code: ErrorCode) -> Result<(), Error> {
    Err(Error::Api(ApiError::new(400, code, "refused")))
}

/// A member of three, which consumes.
fn consuming(now: Instant) -> Member {
    let mut member = member("b", &["a", "b", "c"]);
    assert_eq!(actions(&mut member), [make(2..4)]);
    member.handle_made(Ok(()), now);
    assert_eq!(actions(&mut member), [Action::Consume]);
    member
}

#[test]
fn a_member_whose_partitions_change_has_another_consumer() {
    let now = Instant::now();
    let mut member = consuming(now);
    member.handle_pin(true);
    // it is told so at first, and whenever somebody writes the same
    member.handle_config(&json(&elastic(&["c", "b", "a"])), now);
    assert_eq!(actions(&mut member), []);
    member.handle_config(&json(&elastic(&["a", "b"])), now);
    assert_eq!(actions(&mut member), [Action::Stop, Action::Delete]);
    member.handle_deleted();
    assert_eq!(actions(&mut member), [make(3..6)]);
    member.handle_made(Ok(()), now);
    assert_eq!(actions(&mut member), [Action::Consume]);
    // and without partitions it has none
    member.handle_config(&json(&elastic(&["a"])), now);
    assert_eq!(actions(&mut member), [Action::Stop, Action::Delete]);
    member.handle_deleted();
    assert_eq!((actions(&mut member), member.wakeup()), (vec![], None));
    member.handle_config(&json(&elastic(&["b"])), now);
    assert_eq!(actions(&mut member), [make(0..6)]);
}

#[test]
fn a_member_that_keeps_its_partitions_goes_on() {
    let now = Instant::now();
    let mut first = member("a", &["a", "b", "c", "d"]);
    first.handle_made(Ok(()), now);
    assert_eq!(actions(&mut first), [make([0, 4]), Action::Consume]);
    first.handle_config(&json(&elastic(&["a", "c", "d", "e"])), now);
    assert_eq!(actions(&mut first), []);
}

#[test]
fn an_instance_that_is_not_served_leaves_the_change_to_the_one_that_is() {
    let now = Instant::now();
    let mut member = consuming(now);
    member.handle_config(&json(&elastic(&["a", "b"])), now);
    assert_eq!(actions(&mut member), [Action::Stop]);
    assert_eq!(member.wakeup(), Some(now + COURTESY));
    member.handle_time(now);
    assert_eq!(actions(&mut member), []);
    member.handle_time(now + COURTESY);
    assert_eq!(actions(&mut member), [make(3..6)]);
}

#[test]
fn what_others_have_not_let_go_of_is_asked_for_again_after_pauses_that_grow() {
    let mut now = Instant::now();
    let mut member = member("a", &["a"]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(actions(&mut member), [make(0..6)]);
        member.handle_made(refusal(ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE), now);
        let until = member.wakeup().expect("a pause");
        pauses.push((until - now).as_millis());
        now = until;
        member.handle_time(now);
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
    member.handle_made(Err(Error::Request(RequestError::Timeout)), now);
    assert!(member.wakeup().is_some());
}

#[test]
fn a_consumer_with_other_filters_is_deleted_and_not_again_and_again() {
    let mut now = Instant::now();
    let mut member = member("a", &["a"]);
    for _ in 0..3 {
        assert_eq!(actions(&mut member), [make(0..6)]);
        member.handle_made(refusal(ErrorCode::CONSUMER_EXISTS), now);
        assert_eq!(actions(&mut member), [Action::Delete]);
        member.handle_deleted();
        assert_eq!(actions(&mut member), [make(0..6)]);
        // another instance is of another opinion
        member.handle_made(refusal(ErrorCode::CONSUMER_EXISTS), now);
        assert_eq!(actions(&mut member), []);
        now = member.wakeup().expect("a pause");
        member.handle_time(now);
    }
}

#[test]
fn what_was_made_for_an_older_configuration_is_not_consumed() {
    let now = Instant::now();
    let mut member = member("a", &["a"]);
    member.handle_config(&json(&elastic(&["a", "b"])), now);
    assert_eq!(actions(&mut member), [make(0..6)]);
    member.handle_made(Ok(()), now);
    assert_eq!(actions(&mut member), [Action::Delete]);
    member.handle_config(&json(&elastic(&["a", "b", "c"])), now);
    member.handle_deleted();
    assert_eq!(actions(&mut member), [make(0..2)]);
}

#[test]
fn a_consumer_that_is_lost_is_made_again() {
    let now = Instant::now();
    let mut member = consuming(now);
    member.handle_consumer_lost(now);
    assert_eq!(actions(&mut member), [Action::Stop]);
    member.handle_time(member.wakeup().expect("a pause"));
    assert_eq!(actions(&mut member), [make(2..4)]);
}

type EndIt = fn(&mut Member, Instant);
type IsIt = fn(&GroupEnd) -> bool;

#[test]
fn there_is_one_end_and_nothing_behind_it() {
    let now = Instant::now();
    let changed = ElasticGroupConfig::new(7);
    let ends: [(EndIt, IsIt); 5] = [
        (|member, _| member.stop(), |end| *end == GroupEnd::Stopped),
        (|member, _| member.handle_removed(), |end| *end == GroupEnd::Deleted),
        (
            |member, now| member.handle_config(b"{", now),
            |end| matches!(end, GroupEnd::Failed(super::super::error::Error::Malformed(_))),
        ),
        (
            |member, now| member.handle_config(&json(&ElasticGroupConfig::new(0)), now),
            |end| matches!(end, GroupEnd::Failed(super::super::error::Error::InvalidConfig(_))),
        ),
        (
            |member, now| member.handle_config(&json(&ElasticGroupConfig::new(7)), now),
            |end| *end == GroupEnd::Changed("max_members"),
        ),
    ];
    for (end, is_it) in ends {
        let mut member = consuming(now);
        end(&mut member, now);
        let done = actions(&mut member);
        let [Action::Stop, Action::End(end)] = &done[..] else { panic!("{done:?}") };
        assert!(is_it(end), "{end:?}");
        member.stop();
        member.handle_removed();
        member.handle_config(&json(&changed), now);
        member.handle_consumer_lost(now);
        member.handle_made(Ok(()), now);
        member.handle_deleted();
        member.handle_time(now + LONGEST_PAUSE);
        assert_eq!((actions(&mut member), member.wakeup()), (vec![], None));
    }
}

#[test]
fn a_static_groups_consumer_is_kept_until_the_group_is_not() {
    let now = Instant::now();
    let config = StaticGroupConfig::new(4).members(["a", "b"]);
    let new = || {
        let mut member = Member::new(Group::Static(config.clone()), "b", LONGEST_PAUSE);
        assert_eq!(actions(&mut member), [make(2..4)]);
        member
    };
    let mut member = new();
    member.handle_made(Ok(()), now);
    member.handle_config(&json(&config), now);
    assert_eq!(actions(&mut member), [Action::Consume]);
    member.stop();
    assert_eq!(actions(&mut member), [Action::Stop, Action::End(GroupEnd::Stopped)]);

    let mut member = new();
    member.handle_made(Ok(()), now);
    member.handle_config(&json(&config.clone().members(["b"])), now);
    let end = Action::End(GroupEnd::Changed("members"));
    assert_eq!(actions(&mut member), [Action::Consume, Action::Stop, Action::Delete, end]);

    // one of the same name and another configuration is not the member's to delete
    let mut member = new();
    member.handle_made(refusal(ErrorCode::CONSUMER_EXISTS), now);
    let done = actions(&mut member);
    assert!(matches!(done[..], [Action::End(GroupEnd::Refused(_))]), "{done:?}");
}

/// The server, with the consumers of a work queue.
#[derive(Default)]
struct Server {
    consumers: BTreeMap<String, Vec<String>>,
}

impl Server {
    fn make(&mut self, name: &str, filters: Vec<String>) -> Result<(), Error> {
        if let Some(own) = self.consumers.get(name) {
            return match *own == filters {
                true => Ok(()),
                false => refusal(ErrorCode::CONSUMER_EXISTS),
            };
        }
        let is_taken = |filter| self.consumers.values().flatten().any(|taken| taken == filter);
        if filters.iter().any(is_taken) {
            return refusal(ErrorCode::CONSUMER_WQ_CONSUMER_NOT_UNIQUE);
        }
        self.consumers.insert(name.into(), filters);
        Ok(())
    }
}

/// An instance of a member, and what it has not heard of yet.
struct Instance {
    member: Member,
    configs: VecDeque<Vec<u8>>,
    is_consuming: bool,
}

impl Instance {
    fn new(name: &str, members: &[&str]) -> Self {
        let mut member = member(name, members);
        member.handle_pin(true);
        Self { member, configs: VecDeque::new(), is_consuming: false }
    }

    /// Does the next thing that is to be done. Returns whether there was one.
    fn act(&mut self, server: &mut Server, now: Instant) -> bool {
        let name = self.member.name.clone();
        match self.member.poll_action() {
            Some(Action::Make(filters)) => {
                self.member.handle_made(server.make(&name, filters), now);
            }
            Some(Action::Delete) => {
                assert!(!self.is_consuming, "{name} has stopped before");
                server.consumers.remove(&name);
                self.member.handle_deleted();
            }
            Some(Action::Consume) => {
                assert!(!self.is_consuming);
                self.is_consuming = true;
            }
            Some(Action::Stop) => {
                assert!(self.is_consuming);
                self.is_consuming = false;
            }
            Some(Action::End(end)) => panic!("{name}: {end}"),
            None => return false,
        }
        true
    }

    fn hear(&mut self, now: Instant) {
        if let Some(config) = self.configs.pop_front() {
            self.member.handle_config(&config, now);
        }
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Something that happens in a group.
#[derive(Debug, Clone)]
enum Happens {
    Config(Vec<&'static str>),
    Hear(usize),
    Act(usize),
    Pass(u64),
    /// The server takes a consumer away.
    Lose(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let members = prop::sample::subsequence(&NAMES[..], 0..=5);
    prop_oneof![
        1 => members.prop_map(Happens::Config),
        4 => (0..5_usize).prop_map(Happens::Hear),
        8 => (0..5_usize).prop_map(Happens::Act),
        2 => (0..2_000_u64).prop_map(Happens::Pass),
        1 => (0..5_usize).prop_map(Happens::Lose),
    ]
}

proptest! {
    #[test]
    fn in_the_end_every_partition_is_consumed_by_the_one_whose_it_is(
        all in prop::collection::vec(happens(), 0..150),
        last in prop::sample::subsequence(&NAMES[..], 1..=5),
    ) {
        let (mut now, mut server) = (Instant::now(), Server::default());
        let mut instances = NAMES.map(|name| Instance::new(name, &["a", "b"]));
        for happens in all {
            match happens {
                Happens::Config(members) => {
                    let config = json(&elastic(&members));
                    for instance in &mut instances {
                        instance.configs.push_back(config.clone());
                    }
                }
                Happens::Hear(place) => instances[place].hear(now),
                Happens::Act(place) => drop(instances[place].act(&mut server, now)),
                Happens::Pass(millis) => {
                    now += Duration::from_millis(millis);
                    instances.iter_mut().for_each(|instance| instance.member.handle_time(now));
                }
                Happens::Lose(place) => {
                    let instance = &mut instances[place];
                    if instance.is_consuming && server.consumers.remove(NAMES[place]).is_some() {
                        instance.member.handle_consumer_lost(now);
                    }
                }
            }
        }
        let config = json(&elastic(&last));
        for instance in &mut instances {
            instance.configs.push_back(config.clone());
            while !instance.configs.is_empty() {
                instance.hear(now);
            }
        }
        // some rounds of asking again
        for _ in 0..20 {
            for instance in &mut instances {
                while instance.act(&mut server, now) {}
            }
            now += LONGEST_PAUSE;
            instances.iter_mut().for_each(|instance| instance.member.handle_time(now));
        }
        let group = Group::Elastic(elastic(&last));
        for instance in &instances {
            let name = &instance.member.name;
            let filters = group.filters_of(name);
            prop_assert_eq!(instance.is_consuming, !filters.is_empty(), "{}", name);
            prop_assert_eq!(server.consumers.get(name).cloned().unwrap_or_default(), filters);
        }
        let mut taken: Vec<_> = server.consumers.values().flatten().cloned().collect();
        taken.sort();
        prop_assert_eq!(taken, ["0.>", "1.>", "2.>", "3.>", "4.>", "5.>"]);
    }
}
