//! What is needed for consumer groups.

use super::support::{self, turn_until, unique};
use super::{App, LEVEL, client, user};
use evnats::groups::{
    self, ElasticGroup, ElasticGroupConfig, GroupConsumption, GroupEnd, GroupEvent, GroupOptions,
};
use evnats::jetstream::{ConsumeEvent, ConsumerConfig, Delivery, StreamConfig};
use evnats::kv::Error;
use evnats::{ConnectionState, EventLoop};
use evnats_harness::{Server, requires};
use std::time::Duration;

type Elastic = ElasticGroup<App>;

/// A call about a group, and what it needs to publish to.
struct GroupRow {
    name: &'static str,
    needs: &'static [&'static str],
    run: fn(&Elastic),
}

fn note_group<H, T>(app: &mut App, _: &H, outcome: Result<T, groups::Error>) {
    app.outcomes.push(match outcome {
        Ok(_) => Ok("done".into()),
        Err(groups::Error::KeyValue(error)) => Err(error),
        Err(groups::Error::JetStream(error)) => Err(Error::JetStream(error)),
        Err(error) => panic!("{error}"),
    });
}

/// Consumes one message as a member. What is not permitted ends it.
fn consume_as_a_member(group: &Elastic) {
    let consumed = |app: &mut App, member: &GroupConsumption<App>, order: &Delivery<'_, App>| {
        app.outcomes.push(Ok("done".into()));
        member.stop();
        Ok(order.ack()?)
    };
    let config = ConsumerConfig::default().ack_wait(Duration::from_secs(1));
    let member = group.consume("n", GroupOptions::new().consumer(config), consumed);
    member.on_end(|app: &mut App, member, end| match end {
        GroupEnd::Failed(groups::Error::KeyValue(error)) => app.outcomes.push(Err(error)),
        GroupEnd::Refused(error) => app.outcomes.push(Err(Error::JetStream(error))),
        GroupEnd::Stopped => {}
        end => panic!("{}: {end}", member.member()),
    });
}

const GROUP_VALUE: &str = "$JS.API.STREAM.MSG.GET.KV_elastic-consumer-groups";
const GROUP_WRITE: &str = "$KV.elastic-consumer-groups.>";
const GROUP_WATCH: &str = "$JS.API.CONSUMER.CREATE.KV_elastic-consumer-groups.>";
const GROUP_BUCKET: &str = "$JS.API.STREAM.CREATE.KV_elastic-consumer-groups";

const GROUP_ROWS: &[GroupRow] = &[
    GroupRow { name: "config", needs: &[GROUP_VALUE], run: |group| group.config(note_group) },
    GroupRow {
        name: "elastic_groups",
        needs: &[GROUP_WATCH, GROUP_VALUE],
        run: |group| group.stream().elastic_groups(note_group),
    },
    GroupRow {
        name: "add_members",
        needs: &[GROUP_VALUE, GROUP_WRITE],
        run: |group| {
            // with another member each time, as nothing is written if nothing changes
            group.add_members(&[&unique("z")], note_group);
        },
    },
    GroupRow {
        name: "member_info",
        needs: &[GROUP_VALUE, "$JS.API.CONSUMER.INFO.S-g.m"],
        run: |group| group.member_info("m", note_group),
    },
    GroupRow {
        name: "step_down",
        needs: &["$JS.API.CONSUMER.UNPIN.S-g.m"],
        run: |group| group.step_down("m", note_group),
    },
    GroupRow {
        name: "consume",
        needs: &[
            GROUP_WATCH,
            GROUP_VALUE,
            "$JS.API.CONSUMER.CREATE.S-g.n",
            "$JS.API.CONSUMER.MSG.NEXT.S-g.n",
        ],
        run: consume_as_a_member,
    },
    GroupRow {
        name: "create",
        needs: &[GROUP_BUCKET, GROUP_WRITE, "$JS.API.STREAM.INFO.S", "$JS.API.STREAM.CREATE.S-h"],
        run: |group| {
            let other = group.stream().elastic_group("h");
            other.create(&ElasticGroupConfig::new(2), note_group);
        },
    },
    GroupRow {
        name: "delete",
        needs: &[GROUP_VALUE, GROUP_WRITE, "$JS.API.STREAM.DELETE.S-h"],
        run: |group| group.stream().elastic_group("h").delete(note_group),
    },
];

#[test]
fn groups_need_the_rights_that_their_table_says_and_no_others() {
    // an acknowledgement that is not permitted is not told, and what is beside it would not be either
    let beside = [
        "$JS.ACK.S-g.n.>",
        "$JS.API.CONSUMER.DELETE.S-g.n",
        "$JS.API.CONSUMER.DELETE.KV_elastic-consumer-groups.>",
        "$JS.API.STREAM.INFO.KV_elastic-consumer-groups",
        LEVEL,
    ];
    let mut users = vec!["{ user: admin, password: p }".to_owned()];
    for (place, row) in GROUP_ROWS.iter().enumerate() {
        users.push(user(&format!("exact{place}"), &[row.needs, &beside[..]].concat()));
        for without in 0..row.needs.len() {
            let mut rest = row.needs.to_vec();
            rest.remove(without);
            users.push(user(&format!("less{place}x{without}"), &[&rest[..], &beside].concat()));
        }
    }
    let config = format!("authorization {{ users: [ {} ] }}", users.join(",\n"));
    let server = Server::builder().config(config).start().expect("a server");
    requires!(server, 2, 11);
    let event_loop = EventLoop::new().expect("an event loop");
    let mut app = App::default();
    let admin = client(&event_loop, &server, "admin");
    admin.jetstream().create_stream(&StreamConfig::new("S").subjects(["s.*"]), |_, js, created| {
        created.expect("a stream");
        for message in 0..200 {
            js.client().publish(&format!("s.{message}"), "x").expect("sent");
        }
        let config = ElasticGroupConfig::new(2).members(["m", "n"]);
        js.stream("S").elastic_group("g").create(&config, |_: &mut App, group, made| {
            made.expect("a group");
            // somebody who is served, and may step down
            let served = group.consume("m", GroupOptions::new(), |_: &mut App, _, _| {});
            served.on_event(|app, _, event| {
                if let GroupEvent::Consumption(ConsumeEvent::Pinned { .. }) = event {
                    app.outcomes.push(Ok("served".into()));
                }
            });
        });
    });
    turn_until(&event_loop, &mut app, "a member", |app| !app.outcomes.is_empty());
    app.outcomes.clear();
    for (place, row) in GROUP_ROWS.iter().enumerate() {
        let mut outcome = |user: &str| {
            if row.name == "delete" {
                let other = admin.jetstream().stream("S").elastic_group("h");
                other.create(&ElasticGroupConfig::new(2), note_group);
                turn_until(&event_loop, &mut app, "a group", |app| !app.outcomes.is_empty());
                app.outcomes.clear();
            }
            let nats = client(&event_loop, &server, user);
            (row.run)(&nats.jetstream().stream("S").elastic_group("g"));
            turn_until(&event_loop, &mut app, row.name, |app| !app.outcomes.is_empty());
            nats.close();
            turn_until(&event_loop, &mut app, "the end", |_| {
                nats.state() == ConnectionState::Closed
            });
            let outcome = app.outcomes.remove(0);
            app.outcomes.clear();
            (outcome, std::mem::take(&mut app.reported))
        };
        let (done, reported) = outcome(&format!("exact{place}"));
        assert_eq!((done.as_deref(), reported), (Ok("done"), vec![]), "{}", row.name);
        for (without, right) in row.needs.iter().enumerate() {
            let (refused, _) = outcome(&format!("less{place}x{without}"));
            let error = refused.expect_err(right);
            assert!(error.is_denied(), "{} without {right}: {error}", row.name);
        }
    }
    admin.close();
    support::finish_with(&event_loop, &mut app);
}
