//! Which servers keep a stream or a consumer, and which of them leads, changed by hand.

use crate::support::new_cluster::is_for_the_moment;
use crate::support::{code, turn_until, unique};
use evnats::jetstream::{
    ClusterInfo, Consumer, ConsumerConfig, Error, ErrorCode, Listed, Stream, StreamConfig,
    StreamInfo,
};
use evnats::{EventLoop, Options};
use evnats_harness::{Cluster, requires};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Where a callback puts what it was given.
pub(super) type Given<T> = Rc<Cell<Option<T>>>;

/// Makes a call, and waits for its outcome.
pub(super) fn outcome<T: 'static>(
    event_loop: &EventLoop,
    what: &str,
    call: impl FnOnce(Given<T>),
) -> T {
    let (given, mut outcome) = (Given::default(), None);
    call(given.clone());
    turn_until(event_loop, &mut (), what, |()| {
        outcome = given.take();
        outcome.is_some()
    });
    outcome.expect("an outcome")
}

/// Asks until what is told of the stream's servers is so.
pub(super) fn stream_when(
    event_loop: &EventLoop,
    stream: &Stream,
    what: &str,
    is_so: impl Fn(&ClusterInfo) -> bool,
) -> ClusterInfo {
    loop {
        let info = outcome(event_loop, what, |given| {
            stream.info(move |(), _, info| given.set(Some(info)));
        });
        // in an election there may be no answer
        if let Some(cluster) = info.ok().and_then(|info| info.cluster).filter(&is_so) {
            return cluster;
        }
    }
}

fn consumer_when(
    event_loop: &EventLoop,
    consumer: &Consumer,
    what: &str,
    is_so: impl Fn(&ClusterInfo) -> bool,
) -> ClusterInfo {
    loop {
        let info = outcome(event_loop, what, |given| {
            consumer.info(move |(), _, info| given.set(Some(info)));
        });
        if let Some(cluster) = info.ok().and_then(|info| info.cluster).filter(&is_so) {
            return cluster;
        }
    }
}

/// The names of all that keep it.
fn members(cluster: &ClusterInfo) -> BTreeSet<&str> {
    let others = cluster.replicas.iter().map(|peer| &*peer.name);
    others.chain(cluster.leader.as_deref()).collect()
}

fn is_settled(cluster: &ClusterInfo) -> bool {
    cluster.leader.is_some()
        && cluster.desired.is_none()
        && cluster.replicas.iter().all(|peer| peer.current && !peer.pending)
}

/// Creates a stream, as often as it takes.
fn create(event_loop: &EventLoop, stream: &Stream, config: &StreamConfig) -> StreamInfo {
    loop {
        let made = outcome(event_loop, "a stream", |given| {
            stream.create(config, move |(), _, made| given.set(Some(made)));
        });
        match made {
            Err(error) if is_for_the_moment(&error) => {}
            made => return made.expect("a stream"),
        }
    }
}

/// A stream on so many nodes.
pub(super) fn stream(event_loop: &EventLoop, cluster: &Cluster, replicas: u32) -> Stream {
    let options = Options::new(cluster.server(0).url()).request_timeout(Duration::from_secs(10));
    let nats = event_loop.connect(options).expect("a client");
    let stream = nats.jetstream().stream(&unique("MEMBERS"));
    let config = StreamConfig::default().num_replicas(replicas);
    create(event_loop, &stream, &config);
    stream_when(event_loop, &stream, "followers", |cluster| {
        is_settled(cluster) && members(cluster).len() == replicas as usize
    });
    stream
}

pub(super) fn consumer(
    event_loop: &EventLoop,
    stream: &Stream,
    config: ConsumerConfig,
) -> Consumer {
    let create = || {
        outcome(event_loop, "a consumer", |given| {
            stream.create_consumer(&config, move |(), _, made| given.set(Some(made)));
        })
    };
    // the request may have come in an election, in which nobody answers
    let made = create().or_else(|error| if error.is_timeout() { create() } else { Err(error) });
    made.expect("a consumer")
}

#[test]
fn leaders_step_down_for_whom_it_is_said() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 3);
    let worker = ConsumerConfig::default().durable_name("worker");
    let worker = consumer(&event_loop, &stream, worker);
    let step_down = |preferred: Option<&str>| {
        outcome(&event_loop, "a step-down", |given| {
            stream.step_down(preferred, move |(), _, done| given.set(Some(done)));
        })
    };
    let before = stream_when(&event_loop, &stream, "a leader", is_settled);
    step_down(None).expect("stepped down");
    let leads = |cluster: &ClusterInfo| is_settled(cluster) && cluster.leader != before.leader;
    let after = stream_when(&event_loop, &stream, "another leader", leads);
    let next = after.replicas[0].name.clone();
    let led = consumer_when(&event_loop, &worker, "a consumer's leader", is_settled);
    let follower = led.replicas[0].name.clone();
    let worker_steps_down = outcome(&event_loop, "a consumer's step-down", |given| {
        worker.step_down(None, move |(), _, done| given.set(Some(done)));
    });
    worker_steps_down.expect("stepped down");
    if cluster.server(0).version().minor < 11 {
        let preferred = step_down(Some(&next)).expect_err("it is too old");
        assert_eq!(preferred, Error::Unsupported { feature: "preferred", needs: 1, has: 0 });
        return stream.client().close();
    }
    step_down(Some(&next)).expect("stepped down");
    let leads = |cluster: &ClusterInfo| cluster.leader.as_ref() == Some(&next);
    stream_when(&event_loop, &stream, "the preferred leader", leads);
    assert_eq!(code(step_down(Some("nobody"))), ErrorCode::CLUSTER_NO_PEERS);
    let leads = |cluster: &ClusterInfo| cluster.leader.as_ref() == Some(&follower);
    let led = consumer_when(&event_loop, &worker, "a leader", is_settled);
    if led.leader.as_ref() != Some(&follower) {
        let preferred = outcome(&event_loop, "a consumer's step-down", |given| {
            worker.step_down(Some(&follower), move |(), _, done| given.set(Some(done)));
        });
        preferred.expect("stepped down");
        consumer_when(&event_loop, &worker, "the preferred leader", leads);
    }
    stream.client().close();
}

#[test]
fn a_server_that_is_removed_is_replaced() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 2);
    let remove = |peer: &str| {
        outcome(&event_loop, "a removal", |given| {
            stream.remove_peer(peer, move |(), _, removed| given.set(Some(removed)));
        })
    };
    assert_eq!(code(remove("nobody")), ErrorCode::CLUSTER_PEER_NOT_MEMBER);
    let before = stream_when(&event_loop, &stream, "two servers", is_settled);
    let peer = before.replicas[0].name.clone();
    remove(&peer).expect("removed");
    stream_when(&event_loop, &stream, "another server", |cluster| {
        let members = members(cluster);
        is_settled(cluster) && members.len() == 2 && !members.contains(&*peer)
    });
    stream.client().close();
}

#[test]
fn streams_and_consumers_move_from_a_server_to_another_one() {
    let cluster = Cluster::start();
    requires!(cluster.server(0), 2, 15);
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 2);
    let before = stream_when(&event_loop, &stream, "two servers", is_settled);
    let peer = before.replicas[0].name.clone();
    let evacuated = outcome(&event_loop, "an evacuation", |given| {
        stream.evacuate_peer(&peer, move |(), _, evacuated| given.set(Some(evacuated)));
    });
    evacuated.expect("evacuated");
    stream_when(&event_loop, &stream, "another server", |cluster| {
        let members = members(cluster);
        is_settled(cluster) && members.len() == 2 && !members.contains(&*peer)
    });
    // its only copy, on one of the two servers
    let config = ConsumerConfig::default().durable_name("worker").num_replicas(1);
    let worker = consumer(&event_loop, &stream, config);
    for is_removal in [false, true] {
        let before = consumer_when(&event_loop, &worker, "a server", is_settled);
        let peer = before.leader.clone().expect("a leader");
        let moved: Result<(), Error> = outcome(&event_loop, "a move", |given| {
            let callback = move |_: &mut (), _: &Consumer, moved| given.set(Some(moved));
            match is_removal {
                true => worker.remove_peer(&peer, callback),
                false => worker.evacuate_peer(&peer, callback),
            }
        });
        moved.expect("moved");
        consumer_when(&event_loop, &worker, "another server", |cluster| {
            is_settled(cluster) && members(cluster) != BTreeSet::from([&*peer])
        });
    }
    stream.client().close();
}

/// What servers answer to a change that is under way is what was asked for.
#[test]
fn a_change_of_replicas_is_as_asked_for_and_can_be_canceled() {
    let cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let stream = stream(&event_loop, &cluster, 1);
    let change = |replicas: u32| {
        outcome(&event_loop, "a change", |given| {
            let config = StreamConfig::default().num_replicas(replicas);
            stream.update(&config, move |(), _, updated| given.set(Some(updated)));
        })
    };
    let cancel = || {
        outcome(&event_loop, "a cancellation", |given| {
            stream.cancel_move(move |(), _, canceled| given.set(Some(canceled)));
        })
    };
    let has = |cluster: &Cluster| cluster.server(0).version().minor >= 15;
    if has(&cluster) {
        assert_eq!(code(cancel()), ErrorCode::STREAM_RECONFIGURE_NOT_IN_PROGRESS);
    } else {
        let error = cancel().expect_err("it is too old");
        assert!(matches!(error, Error::Unsupported { needs: 5, .. }), "{error}");
    }
    for replicas in [3, 1, 2] {
        assert_eq!(change(replicas).expect("changed").config.num_replicas, replicas);
        stream_when(&event_loop, &stream, "servers", |cluster| {
            is_settled(cluster) && members(cluster).len() == replicas as usize
        });
    }
    if has(&cluster) {
        assert_eq!(change(3).expect("changed").config.num_replicas, 3);
        // it may be over already
        match cancel() {
            Ok(info) => assert_eq!(info.config.num_replicas, 2),
            Err(error) => {
                let code = error.api().map(|api| api.err_code());
                assert_eq!(code, Some(ErrorCode::STREAM_RECONFIGURE_NOT_IN_PROGRESS));
            }
        }
    }
    stream.client().close();
}

/// The server waits 4 s for those that could tell.
#[test]
fn a_listing_names_the_streams_about_which_nobody_answers() {
    let mut cluster = Cluster::start();
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(cluster.server(0).url()).expect("a client");
    let last = cluster.server(2).name().to_owned();
    let (mut told, mut missing) = (BTreeSet::new(), BTreeSet::new());
    while told.is_empty() || missing.is_empty() {
        let stream = nats.jetstream().stream(&unique("LISTED"));
        let made = create(&event_loop, &stream, &StreamConfig::default());
        let cluster = made.cluster.expect("its servers");
        let is_of_the_last = cluster.leader.as_ref() == Some(&last);
        let names = if is_of_the_last { &mut missing } else { &mut told };
        names.insert(stream.name().to_owned());
    }
    cluster.server_mut(2).kill9();
    // it may have led JetStream as a whole, or have been thought to be there
    let (names, end) = loop {
        let listed = outcome(&event_loop, "a listing", |given| {
            let mut names = BTreeSet::new();
            nats.jetstream().list_streams(None, move |(), _, listed| match listed {
                Listed::Item(info) => drop(names.insert(info.config.name)),
                Listed::Ended(end) => given.set(Some((std::mem::take(&mut names), end))),
            });
        });
        match listed {
            (names, Ok(end)) => break (names, end),
            (_, Err(error)) => assert!(error.is_temporary(), "{error}"),
        }
    };
    assert_eq!(BTreeSet::from_iter(end.missing), missing);
    // some servers report those as well, by their configuration alone
    assert!(names.is_superset(&told), "{names:?}");
    nats.close();
}
