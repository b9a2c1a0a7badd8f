//! Partitioned consumer groups on a real server.

mod support;

use evnats::groups::{
    ElasticGroup, ElasticGroupConfig, Error, GroupConsumption, GroupEnd, GroupEvent, GroupOptions,
    MemberMapping, PartitioningFilter, StaticGroupConfig, partition, without_partition,
};
use evnats::jetstream::{
    self, ConsumeEvent, ConsumerConfig, Delivery, StreamConfig, SubjectTransform, WindowOptions,
};
use evnats::{Client, EventLoop, Options, kv};
use evnats_harness::{Cluster, Server, Version, requires};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::new_cluster::{create_stream, is_for_the_moment};
use support::{fail, turn_until};

const STREAM: &str = "S";
const SECOND: Duration = Duration::from_secs(1);

/// What was consumed, and what else has happened.
#[derive(Default)]
struct World {
    /// The member, the key and the number of each message, as they came.
    seen: Vec<(String, String, u64)>,
    log: Vec<String>,
    ends: Vec<(String, GroupEnd)>,
    stored: u64,
    queued: u64,
    leader: Option<String>,
}

type Consumption = GroupConsumption<World>;

impl World {
    fn see(&mut self, consumption: &Consumption, delivery: &Delivery<'_, World>) {
        let subject = delivery.subject();
        assert!(partition(&subject).is_some(), "{subject}");
        let number = delivery.text().parse().expect("a number");
        let key = without_partition(&subject).to_owned();
        self.seen.push((consumption.member().to_owned(), key, number));
    }
}

/// A loop with a client of a server, and a stream.
struct Bench {
    event_loop: EventLoop<World>,
    nats: Client<World>,
    world: World,
}

impl Bench {
    fn new(server: &Server, stream: StreamConfig) -> Self {
        let event_loop = EventLoop::<World>::new().expect("a loop");
        let nats = event_loop.connect(server.url().as_str()).expect("a client");
        let mut bench = Self { event_loop, nats, world: World::default() };
        bench.nats.jetstream().create_stream(&stream, |world: &mut World, _, created| {
            created.expect("a stream");
            world.log.push("stream".into());
        });
        bench.until_logged("stream");
        bench
    }

    fn elastic(server: &Server) -> Self {
        Self::new(server, StreamConfig::new(STREAM).subjects(["orders.*"]))
    }

    fn group(&self) -> ElasticGroup<World> {
        self.nats.jetstream().stream(STREAM).elastic_group("g")
    }

    #[track_caller]
    fn until(&mut self, is_so: impl FnMut(&mut World) -> bool) {
        self.until_so("what the test waits for", is_so);
    }

    #[track_caller]
    fn until_so(&mut self, what: &str, is_so: impl FnMut(&mut World) -> bool) {
        turn_until(&self.event_loop, &mut self.world, what, is_so);
    }

    #[track_caller]
    fn until_logged(&mut self, text: &str) {
        self.until_so(text, |world| world.log.iter().any(|line| line == text));
    }

    #[track_caller]
    fn until_seen(&mut self, count: usize) {
        self.until(|world| world.seen.len() >= count);
    }

    /// Makes an elastic group.
    #[track_caller]
    fn make(&mut self, config: ElasticGroupConfig) {
        self.world.log.retain(|line| line != "group");
        self.group().create(&config, |world: &mut World, _, made| {
            made.expect("a group");
            world.log.push("group".into());
        });
        self.until_logged("group");
    }

    /// Publishes so many messages, in turn to each of the keys, and goes on at once.
    fn publish(&self, count: u64, keys: u64) {
        let options = WindowOptions::new().max_outstanding(300);
        let window = self.nats.jetstream().publish_window(options);
        let mut next = 0;
        let mut send = move |_: &mut World, window: &jetstream::PublishWindow<World>| {
            while next < count {
                let (key, number) = (next % keys, next / keys);
                match window.enqueue(&format!("orders.{key}"), number.to_string()) {
                    Ok(_) => next += 1,
                    Err(jetstream::Error::WindowFull { .. }) => return,
                    Err(error) => panic!("{error}"),
                }
            }
            window.finish(|world: &mut World, _, report| {
                assert_eq!(report.first_error, None);
                world.stored += report.stored;
            });
        };
        let mut unsent = World::default();
        send(&mut unsent, &window);
        window.on_ready(send);
    }

    /// Consumes as a member of the elastic group.
    fn consume(&self, member: &str) -> Consumption {
        watch(self.group().consume(member, options(), note))
    }
}

fn options() -> GroupOptions {
    GroupOptions::new().consumer(ConsumerConfig::default().ack_wait(2 * SECOND))
}

/// Notes a message and acknowledges it.
fn note(
    world: &mut World,
    consumption: &Consumption,
    delivery: &Delivery<'_, World>,
) -> evnats::Result {
    world.see(consumption, delivery);
    Ok(delivery.ack()?)
}

/// Notes what happens, and the end.
fn watch(consumption: Consumption) -> Consumption {
    consumption.on_event(|world, consumption, event| {
        let member = consumption.member();
        match event {
            GroupEvent::Assigned(filters) => {
                world.log.push(format!("{member} has {}", filters.join(" ")));
            }
            GroupEvent::Released => world.log.push(format!("{member} has nothing")),
            event => world.log.push(format!("{member}: {event:?}")),
        }
    });
    consumption.on_end(|world, consumption, end| {
        world.ends.push((consumption.member().to_owned(), end));
    });
    consumption
}

/// Checks that every number of every key has come, in order, and returns how many came again.
#[track_caller]
fn check_seen(world: &World, count: u64, keys: u64) -> usize {
    let (mut next, mut again) = (BTreeMap::new(), 0);
    for (member, key, number) in &world.seen {
        let next = next.entry(key.clone()).or_insert(0);
        match *number {
            number if number == *next => *next += 1,
            number if number < *next => again += 1,
            number => panic!("{member} has {number} of {key} before {next}"),
        }
    }
    assert_eq!(next.len() as u64, keys);
    assert_eq!(next.values().sum::<u64>(), count);
    again
}

/// Whose each key is.
fn owners(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut owners = BTreeMap::<String, Vec<String>>::new();
    for (member, key, _) in &world.seen {
        let of_key = owners.entry(key.clone()).or_default();
        if !of_key.contains(member) {
            of_key.push(member.clone());
        }
    }
    owners
}

#[test]
fn the_members_of_a_static_group_share_its_partitions_and_each_message_comes_once() {
    let server = Server::start();
    requires!(server, 2, 11);
    let transform = SubjectTransform::new("orders.*", "{{partition(6,1)}}.orders.{{wildcard(1)}}");
    let stream = StreamConfig::new(STREAM).subjects(["orders.*"]).subject_transform(transform);
    let mut bench = Bench::new(&server, stream);
    let group = bench.nats.jetstream().stream(STREAM).static_group("g");
    let config = StaticGroupConfig::new(6).members(["a", "b", "c"]);
    group.create(&config.clone(), move |world: &mut World, group, made| {
        assert_eq!(made, Ok(config));
        for member in ["a", "b", "c"] {
            watch(group.consume(member, options(), note));
        }
        world.log.push("made".into());
    });
    bench.until_logged("made");
    bench.publish(3_000, 60);
    bench.until(|world| world.seen.len() >= 3_000 && world.stored == 3_000);
    assert_eq!(check_seen(&bench.world, 3_000, 60), 0);
    assert!(owners(&bench.world).values().all(|members| members.len() == 1));
    for line in ["a has 0.> 1.>", "b has 2.> 3.>", "c has 4.> 5.>"] {
        assert!(bench.world.log.iter().any(|logged| logged == line), "{:?}", bench.world.log);
    }
    // who is no member never will be one, and the durable consumers go with the group
    watch(group.consume("d", options(), note));
    bench.until(|world| world.ends.len() == 1);
    assert_eq!(bench.world.ends[0], ("d".into(), GroupEnd::NotMember));
    group.member_info("b", |world: &mut World, group, info| {
        let info = info.expect("information");
        assert!(info.is_member && info.consumer.is_some_and(|consumer| consumer.name == "g-b"));
        assert_eq!(info.filters, ["2.>", "3.>"]);
        group.delete(|world: &mut World, group, deleted| {
            deleted.expect("deleted");
            group.stream().consumer_names(|world: &mut World, _, names| {
                world.log.push(format!("consumers: {:?}", names.expect("names")));
            });
            world.log.push("deleted".into());
        });
        world.log.push("asked".into());
    });
    bench.until_logged("deleted");
    bench.until_logged("consumers: []");
    bench.until(|world| world.ends.len() == 4);
    assert!(bench.world.ends[1..].iter().all(|(_, end)| *end == GroupEnd::Deleted));
}

#[test]
fn the_members_of_an_elastic_group_share_its_partitions_and_each_message_comes_once() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    let filter = PartitioningFilter::new("orders.*", [1]);
    bench.make(ElasticGroupConfig::new(4).partitioning_filters([filter]).members(["a", "b"]));
    for member in ["a", "b"] {
        bench.consume(member);
    }
    bench.publish(3_000, 60);
    bench.until_seen(3_000);
    assert_eq!(check_seen(&bench.world, 3_000, 60), 0);
    let owners = owners(&bench.world);
    assert!(owners.values().all(|members| members.len() == 1), "{owners:?}");
    let of_a = owners.values().filter(|members| members[0] == "a").count();
    assert!(of_a > 0 && of_a < 60, "{of_a}");
    // what was acknowledged is gone from the work queue
    let js = bench.nats.jetstream();
    bench.until(move |world| {
        js.stream_info("S-g", |world: &mut World, _, info| {
            world.log.push(format!("{} left", info.expect("the queue").state.messages));
        });
        world.log.iter().any(|line| line == "0 left")
    });
}

#[test]
fn members_come_and_go_and_no_message_is_lost_nor_out_of_order() {
    const COUNT: u64 = 20_000;
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(6).members(["a", "b"]));
    let members = ["a", "b", "c"].map(|member| bench.consume(member));
    bench.publish(COUNT, 100);
    bench.until_seen(5_000);
    bench.group().add_members(&["c"], |_: &mut World, _, changed| {
        assert_eq!(changed.expect("a change").members, ["a", "b", "c"]);
    });
    bench.until(|world| world.seen.iter().any(|(member, ..)| member == "c"));
    bench.until_seen(10_000);
    bench.group().remove_members(&["a"], |_: &mut World, _, changed| {
        assert_eq!(changed.expect("a change").members, ["b", "c"]);
    });
    bench.until_logged("a has nothing");
    let all = |world: &World| {
        let mut seen: Vec<_> = world.seen.iter().map(|(_, key, number)| (key, number)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len() as u64 == COUNT
    };
    bench.until(|world| world.seen.len() as u64 >= COUNT && all(world));
    let again = check_seen(&bench.world, COUNT, 100);
    assert_eq!(again, 0, "{:?}", bench.world.log);
    assert!(members.iter().all(|member| !member.has_ended()));
    assert!(bench.world.ends.is_empty(), "{:?}", bench.world.ends);
}

#[test]
fn another_instance_of_a_member_takes_over_when_the_first_one_is_gone() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    // another client, which is to leave without a word to the consumer
    let first = bench.event_loop.connect(server.url().as_str()).expect("a client");
    let group = first.jetstream().stream(STREAM).elastic_group("g");
    group.consume("a", options(), |world: &mut World, consumption, delivery| {
        world.log.push("first".into());
        note(world, consumption, delivery)
    });
    bench.publish(100, 10);
    bench.until_seen(100);
    let second = bench.consume("a");
    bench.until_logged("a has 0.> 1.>");
    first.close();
    bench.publish(100, 10);
    bench.until_seen(200);
    let by_first = bench.world.log.iter().filter(|line| *line == "first").count();
    assert_eq!(by_first, 100, "the second one has the rest");
    bench.until(|world| world.log.iter().any(|line| line.starts_with("a: Consumption(Pinned")));
    assert!(!second.has_ended());
}

#[test]
fn the_instance_that_is_served_steps_down_for_another_one() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    let options = || GroupOptions::new().consumer(ConsumerConfig::default().ack_wait(60 * SECOND));
    let group = bench.group();
    let consume = |name: &'static str| {
        let consumption = group.consume("a", options(), move |world: &mut World, of, order| {
            world.log.push(name.into());
            note(world, of, order)
        });
        consumption.on_event(move |world, _, event| world.log.push(format!("{name}: {event:?}")));
    };
    let is_pinned = |world: &World, name: &str| {
        world.log.iter().any(|line| line.starts_with(&format!("{name}: Consumption(Pinned")))
    };
    consume("first");
    bench.publish(1, 1);
    bench.until(|world| is_pinned(world, "first"));
    bench.until_seen(1);
    consume("second");
    bench.until(|world| world.log.iter().any(|line| line.starts_with("second: Assigned")));
    bench.group().step_down("a", |world: &mut World, _, done| {
        done.expect("done");
        world.log.push("stepped down".into());
    });
    bench.until_logged("stepped down");
    // only now, as the first one might still have it
    bench.publish(1, 1);
    bench.until_logged("second");
    bench.until(|world| is_pinned(world, "second"));
    bench.until_logged("first: Consumption(Unpinned)");
}

#[test]
fn a_member_goes_on_without_its_consumer_and_across_a_restart() {
    let mut server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    bench.consume("a");
    bench.publish(10, 10);
    bench.until_seen(10);
    bench.nats.jetstream().delete_consumer("S-g", "a", |_: &mut World, _, deleted| {
        deleted.expect("deleted");
    });
    bench.until_logged("a has nothing");
    bench.publish(10, 10);
    bench.until_seen(20);
    bench.nats.on_reconnect(|world, _, _| world.log.push("reconnected".into()));
    server.restart();
    bench.until_logged("reconnected");
    bench.publish(10, 10);
    bench.until(|world| world.stored == 30);
    bench.until_seen(30);
    assert!(bench.world.ends.is_empty(), "{:?}", bench.world.ends);
}

#[test]
fn a_member_that_is_removed_waits_and_ends_with_the_group() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a", "b"]));
    bench.consume("a");
    bench.until_logged("a has 0.>");
    bench.group().remove_members(&["a"], |_: &mut World, _, changed| drop(changed.expect("ok")));
    bench.until_logged("a has nothing");
    bench.group().map_members(&[MemberMapping::new("a", [0, 1])], |_: &mut World, _, changed| {
        assert!(changed.expect("a change").has_member("a"));
    });
    bench.until_logged("a has 0.> 1.>");
    bench.group().unmap_members(|_: &mut World, _, changed| drop(changed.expect("a change")));
    bench.until(|world| world.log.iter().filter(|line| *line == "a has nothing").count() == 2);
    bench.group().delete(|_: &mut World, _, deleted| deleted.expect("deleted"));
    bench.until(|world| world.ends.len() == 1);
    assert_eq!(bench.world.ends[0].1, GroupEnd::Deleted);
    bench.group().delete(|world: &mut World, group, deleted| {
        assert!(matches!(deleted, Err(Error::NotFound { .. })), "{deleted:?}");
        group.stream().elastic_groups(|world: &mut World, _, groups| {
            world.log.push(format!("groups: {:?}", groups.expect("a list")));
        });
        world.log.push("not found".into());
    });
    bench.until_logged("groups: []");
}

#[test]
fn what_others_have_not_let_go_of_is_told_and_asked_for_again() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    // somebody who does not keep to the rules
    let config = ConsumerConfig::new("intruder").filter_subject("1.>");
    bench.nats.jetstream().create_consumer("S-g", &config, |world: &mut World, _, made| {
        made.expect("a consumer");
        world.log.push("intruder".into());
    });
    bench.until_logged("intruder");
    bench.consume("a");
    bench.publish(10, 10);
    bench.until(|world| world.log.iter().filter(|line| line.contains("Waiting")).count() == 2);
    assert_eq!(bench.world.seen, []);
    bench.nats.jetstream().delete_consumer("S-g", "intruder", |_: &mut World, _, deleted| {
        deleted.expect("deleted");
    });
    bench.until_seen(10);
    assert_eq!(check_seen(&bench.world, 10, 10), 0);
}

#[test]
fn what_a_group_may_not_become_is_its_end() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    type IsIt = fn(&GroupEnd) -> bool;
    let ends: [(&str, IsIt); 3] = [
        (r#"{"max_members":3,"members":["a"]}"#, |end| *end == GroupEnd::Changed("max_members")),
        (r#"{"max_members":0}"#, |end| matches!(end, GroupEnd::Failed(Error::InvalidConfig(_)))),
        ("{", |end| matches!(end, GroupEnd::Failed(Error::Malformed(_)))),
    ];
    let bucket = bench.nats.jetstream().key_value("elastic-consumer-groups");
    let put = |value: &str| {
        bucket.put("S.g", value, |world: &mut World, _, put| {
            put.expect("put");
            world.log.push("put".into());
        });
    };
    for (value, is_it) in ends {
        put(r#"{"max_members":2,"members":["a"]}"#);
        bench.until_logged("put");
        bench.consume("a");
        bench.until_logged("a has 0.> 1.>");
        put(value);
        bench.until(|world| world.ends.len() == 1);
        assert!(is_it(&bench.world.ends[0].1), "{value}: {:?}", bench.world.ends);
        bench.world = World::default();
    }
    put("{");
    bench.until_logged("put");
    bench.group().config(|world: &mut World, group, read| {
        assert!(matches!(read, Err(Error::Malformed(_))), "{read:?}");
        group.delete(|world: &mut World, _, deleted| {
            deleted.expect("what cannot be read can be deleted");
            world.log.push("deleted".into());
        });
        world.log.push("malformed".into());
    });
    bench.until_logged("deleted");
}

#[test]
fn changes_that_come_at_once_are_all_made() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(20));
    let other = bench.event_loop.connect(server.url().as_str()).expect("a client");
    for number in 0..5 {
        for (name, client) in [("a", &bench.nats), ("b", &other)] {
            let group = client.jetstream().stream(STREAM).elastic_group("g");
            let member = format!("{name}{number}");
            group.add_members(&[&member], |world: &mut World, _, changed| {
                changed.expect("a change");
                world.log.push("changed".into());
            });
        }
    }
    bench.until(|world| world.log.iter().filter(|line| *line == "changed").count() == 10);
    bench.group().config(|world: &mut World, _, config| {
        world.log.push(format!("{} members", config.expect("one").members.len()));
    });
    bench.until_logged("10 members");
}

#[test]
fn a_group_is_made_once_and_not_otherwise() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    let config = ElasticGroupConfig::new(2).members(["a"]);
    bench.make(config.clone());
    let same = ElasticGroupConfig::new(2);
    bench.group().create(&same, move |world: &mut World, group, made| {
        assert_eq!(made, Ok(config), "its members are kept");
        group.create(&ElasticGroupConfig::new(3), |world: &mut World, _, made| {
            let Err(Error::Exists { member, .. }) = made else { return fail(format!("{made:?}")) };
            world.log.push(format!("other {member}"));
        });
        group.stream().elastic_groups(|world: &mut World, stream, groups| {
            world.log.push(format!("elastic: {:?}", groups.expect("a list")));
            stream.static_groups(|world: &mut World, _, groups| {
                world.log.push(format!("static: {:?}", groups.expect("a list")));
            });
        });
        world.log.push("again".into());
    });
    for line in ["other max_members", "elastic: [\"g\"]", "static: []"] {
        bench.until_logged(line);
    }
}

#[test]
fn what_cannot_be_consumed_says_why() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.consume("a");
    bench.until(|world| world.ends.len() == 1);
    assert_eq!(bench.world.ends[0].1, GroupEnd::NotFound, "there is no bucket");
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    watch(bench.nats.jetstream().stream(STREAM).elastic_group("other").consume(
        "a",
        options(),
        note,
    ));
    bench.until(|world| world.ends.len() == 2);
    assert_eq!(bench.world.ends[1].1, GroupEnd::NotFound, "nor such a key");
    bench.consume("a.b");
    bench.until(|world| world.ends.len() == 3);
    let invalid = &bench.world.ends[2].1;
    let is_name =
        |error: &Error| matches!(error, Error::JetStream(jetstream::Error::InvalidName { .. }));
    assert!(matches!(invalid, GroupEnd::Failed(error) if is_name(error)), "{invalid:?}");
    let stopped = bench.consume("a");
    stopped.stop();
    bench.until(|world| world.ends.len() == 4);
    assert_eq!(bench.world.ends[3].1, GroupEnd::Stopped);
    // the work queue is taken away
    bench.consume("a");
    bench.until_logged("a has 0.> 1.>");
    bench.nats.jetstream().delete_stream("S-g", |_: &mut World, _, deleted| deleted.expect("ok"));
    bench.until(|world| world.ends.len() == 5);
    let refused = &bench.world.ends[4].1;
    assert!(matches!(refused, GroupEnd::Refused(error) if error.is_not_found()), "{refused:?}");
    // the client is over
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    bench.consume("b");
    bench.nats.close();
    bench.until(|world| world.ends.len() == 6);
    let closed = &bench.world.ends[5].1;
    assert!(matches!(closed, GroupEnd::Failed(error) if error.is_closed()), "{closed:?}");
}

#[test]
fn older_servers_have_no_groups() {
    let server = Server::start();
    if server.version() >= Version::new(2, 11, 0) {
        return;
    }
    let mut bench = Bench::elastic(&server);
    let refused = |made: Option<Error>| {
        matches!(made, Some(Error::JetStream(jetstream::Error::Unsupported { .. })))
    };
    bench.group().create(&ElasticGroupConfig::new(2), move |world: &mut World, group, made| {
        assert!(refused(made.err()));
        let config = StaticGroupConfig::new(2).members(["a"]);
        group.stream().static_group("g").create(&config, move |world: &mut World, _, made| {
            assert!(refused(made.err()));
            world.log.push("both".into());
        });
        world.log.push("one".into());
    });
    bench.until_logged("both");
    // one that has come with a backup, say
    let bucket = bench.nats.jetstream().key_value("elastic-consumer-groups");
    bucket.create_bucket(evnats::kv::Config::new(), |_: &mut World, bucket, created| {
        created.expect("a bucket");
        bucket.put("S.g", r#"{"max_members":2,"members":["a"]}"#, |world: &mut World, _, put| {
            put.expect("put");
            world.log.push("put".into());
        });
    });
    bench.until_logged("put");
    bench.consume("a");
    bench.until(|world| world.ends.len() == 1);
    let GroupEnd::Refused(error) = &bench.world.ends[0].1 else { panic!("{:?}", bench.world.ends) };
    assert!(matches!(error, jetstream::Error::Unsupported { .. }), "{error:?}");
}

#[test]
fn what_a_dead_instance_has_not_answered_comes_first_where_one_is_on_its_way_at_a_time() {
    let server = Server::start();
    requires!(server, 2, 11);
    let mut bench = Bench::elastic(&server);
    bench.make(ElasticGroupConfig::new(2).members(["a"]));
    let one = ConsumerConfig::default().ack_wait(SECOND).max_ack_pending(1);
    let one = GroupOptions::new().consumer(one);
    let first = bench.event_loop.connect(server.url().as_str()).expect("a client");
    let group = first.jetstream().stream(STREAM).elastic_group("g");
    let dying = group.consume("a", one.clone(), |world: &mut World, member, order| {
        if world.seen.len() < 199 {
            return note(world, member, order);
        }
        world.see(member, order);
        world.log.push("dead".into());
        member.client().close();
        Ok(())
    });
    dying.on_event(|world, _, event| {
        if let GroupEvent::Consumption(ConsumeEvent::Pinned { .. }) = event {
            world.log.push("pinned".into());
        }
    });
    bench.publish(500, 10);
    bench.until_logged("pinned");
    watch(bench.group().consume("a", one, note));
    bench.until_logged("dead");
    bench.until_seen(501);
    // the last one was not acknowledged
    assert_eq!(check_seen(&bench.world, 500, 10), 1);
    assert_eq!(bench.world.seen[199], bench.world.seen[200]);
}

/// Makes a group on a new cluster, as often as it takes.
fn make_on_cluster(group: &ElasticGroup<World>, config: ElasticGroupConfig) {
    let again = config.clone();
    group.create(&config, move |world: &mut World, group, made| match made {
        Ok(_) => world.log.push("group".into()),
        Err(Error::JetStream(error) | Error::KeyValue(kv::Error::JetStream(error)))
            if is_for_the_moment(&error) =>
        {
            group.set_timer(SECOND / 10, move |_, group| make_on_cluster(group, again));
        }
        Err(error) => panic!("{error}"),
    });
}

/// The short form is the restart of a single server.
#[test]
#[ignore = "up to half a minute: elections, and requests that they swallow"]
fn members_go_on_when_the_leader_of_their_consumers_is_killed() {
    const COUNT: u64 = 4_000;
    // a cluster takes longer to start
    requires!(support::server(), 2, 11);
    let mut cluster = Cluster::start();
    let event_loop = EventLoop::<World>::new().expect("a loop");
    let options = Options::new(cluster.urls().join(",")).request_timeout(2 * SECOND);
    let nats = event_loop.connect(options).expect("a client");
    let mut bench = Bench { event_loop, nats, world: World::default() };
    let config = StreamConfig::new(STREAM).subjects(["orders.*"]).num_replicas(3);
    create_stream(&bench.nats.jetstream(), config, |_: &mut World, js, _| {
        let group = js.stream(STREAM).elastic_group("g");
        make_on_cluster(&group, ElasticGroupConfig::new(4).members(["a", "b"]));
    });
    bench.until_logged("group");
    bench.publish(COUNT, 40);
    // servers take half a minute to source again when a leader is lost, which is not what this is about
    let js = bench.nats.jetstream();
    bench.until_so("the work queue", |world| {
        js.stream_info("S-g", |world: &mut World, _, info| {
            world.queued = info.map_or(0, |info| info.state.messages);
        });
        world.queued == COUNT
    });
    for member in ["a", "b", "c"] {
        bench.consume(member);
    }
    bench.until_seen(200);
    let group = bench.group();
    bench.until_so("a leader", |world| {
        group.member_info("a", |world: &mut World, _, info| {
            let consumer = info.ok().and_then(|info| info.consumer);
            world.leader = consumer.and_then(|consumer| consumer.cluster?.leader);
        });
        world.leader.as_ref().is_some_and(|leader| !leader.is_empty())
    });
    let leader = bench.world.leader.take().expect("a leader");
    let index = cluster.index_by_name(&leader).expect("a node");
    cluster.server_mut(index).kill9();
    add_as_often_as_it_takes(&bench.group());
    let all = |world: &World| {
        let seen: BTreeSet<_> = world.seen.iter().map(|(_, key, number)| (key, number)).collect();
        seen.len() as u64 == COUNT
    };
    bench.until_so("every message", |world| world.seen.len() as u64 >= COUNT && all(world));
    bench.until_logged("added");
    assert!(bench.world.ends.is_empty(), "{:?}", bench.world.ends);
}

/// Adds a member, also in an election.
fn add_as_often_as_it_takes(group: &ElasticGroup<World>) {
    group.add_members(&["c"], |world: &mut World, group, changed| match changed {
        Ok(_) => world.log.push("added".into()),
        Err(error) if error.is_temporary() => {
            group.set_timer(SECOND / 10, |_, group| add_as_often_as_it_takes(group));
        }
        Err(error) => panic!("{error}"),
    });
}
