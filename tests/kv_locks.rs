//! Key-Value: locks and elections, on a real server: several clients on one loop, and one clock.

mod support;

use evnats::jetstream::Storage;
use evnats::kv::{
    Config, ElectionEvent, ElectionOptions, Error, KeyValue, Lock, LockOptions, Lost,
};
use evnats::{Client, ConnectionState, EventLoop, Options};
use evnats_harness::{Cluster, FaultProxy, Server, requires};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::new_cluster::create_bucket;
use support::{level, server, turn_until, unique};

const TTL: Duration = Duration::from_secs(2);

type Kv = KeyValue<()>;

/// What happened, and when.
type Seen = Rc<RefCell<Vec<(String, Instant)>>>;

/// Several clients, each with a handle of one bucket.
struct World {
    event_loop: EventLoop<()>,
    clients: Vec<Client<()>>,
    bucket: String,
    seen: Seen,
}

impl World {
    /// A bucket in which values expire by themselves, if the server knows how.
    fn new(url: &str) -> Self {
        let config = Config::new().history(1);
        Self::with(url, if level() >= 1 { config.per_key_ttl(true) } else { config })
    }

    fn with(url: &str, config: Config) -> Self {
        let event_loop = EventLoop::new().expect("an event loop");
        let mut world = Self {
            event_loop,
            clients: Vec::new(),
            bucket: unique("locks"),
            seen: Seen::default(),
        };
        let kv = world.client(url);
        let is_made = Rc::new(Cell::new(false));
        let made = is_made.clone();
        create_bucket(&kv, config, move |(), _| made.set(true));
        world.until("a bucket", || is_made.get());
        world
    }

    fn client(&mut self, options: impl Into<Options>) -> Kv {
        let client = self.event_loop.connect(options).expect("a client");
        self.clients.push(client.clone());
        client.jetstream().key_value(&self.bucket)
    }

    #[track_caller]
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        turn_until(&self.event_loop, &mut (), what, |()| is_so());
    }

    /// Runs until this was seen, and returns when it was.
    #[track_caller]
    fn see(&self, what: &str) -> Instant {
        self.until(what, || self.when(what).is_some());
        self.when(what).expect("it was seen")
    }

    fn when(&self, what: &str) -> Option<Instant> {
        let seen = self.seen.borrow();
        seen.iter().find(|(text, _)| text == what).map(|(_, time)| *time)
    }

    fn count(&self, what: &str) -> usize {
        self.seen.borrow().iter().filter(|(text, _)| text == what).count()
    }

    /// Acquires the lock `k`, and notes what becomes of it.
    fn lock(&self, kv: &Kv, name: &'static str) -> Lock<()> {
        let options = LockOptions::new().ttl(TTL).owner(name);
        let seen = self.seen.clone();
        kv.lock("k", options, move |(), lock, acquired| {
            acquired.expect("the lock");
            note(&seen, format!("{name} has it"));
            let seen = seen.clone();
            lock.on_lost(move |(), _, _| note(&seen, format!("{name} has lost it")));
        })
    }

    fn try_lock(&self, kv: &Kv) -> Result<u64, Error> {
        let outcome = Rc::new(RefCell::new(None));
        let given = outcome.clone();
        kv.try_lock("k", LockOptions::new().ttl(TTL).owner("tries"), move |(), _, acquired| {
            assert!(given.replace(Some(acquired)).is_none(), "the callback has run twice");
        });
        self.until("an answer", || outcome.borrow().is_some());
        outcome.take().expect("an answer")
    }

    #[track_caller]
    fn release(&self, lock: &Lock<()>) -> Result<(), Error> {
        let outcome = Rc::new(RefCell::new(None));
        let given = outcome.clone();
        lock.release(move |(), _, released| {
            assert!(given.replace(Some(released)).is_none(), "the callback has run twice");
        });
        assert!(!lock.is_held());
        self.until("a release", || outcome.borrow().is_some());
        outcome.take().expect("an answer")
    }

    fn stand(&self, kv: &Kv, name: &'static str) -> evnats::kv::Election<()> {
        let seen = self.seen.clone();
        kv.election("k", ElectionOptions::new(name).ttl(TTL), move |(), _, event| match event {
            ElectionEvent::Elected { .. } => note(&seen, format!("{name} is elected")),
            ElectionEvent::Lost(_) => note(&seen, format!("{name} has lost")),
            ElectionEvent::Leader(leader) => {
                note(&seen, format!("{name} sees {}", leader.as_deref().unwrap_or("nobody")));
            }
            ElectionEvent::Ended(error) => note(&seen, format!("{name} has ended: {error}")),
            _ => {}
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}", self.seen.borrow());
            return;
        }
        self.clients.iter().for_each(|client| client.close());
        let limit = Instant::now() + Duration::from_secs(30);
        while !self.event_loop.is_empty() {
            assert!(Instant::now() < limit, "something goes on after the clients are closed");
            self.event_loop.dispatch(&mut (), Some(Duration::from_secs(1))).expect("a turn");
        }
    }
}

fn note(seen: &Seen, text: String) {
    seen.borrow_mut().push((text, Instant::now()));
}

#[test]
fn a_released_lock_is_the_next_ones_with_a_higher_revision() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    let first = world.lock(&one, "one");
    world.see("one has it");
    assert!(first.is_held());
    let second = world.lock(&two, "two");
    match world.try_lock(&two) {
        Err(Error::Locked { key, owner, .. }) => {
            assert_eq!((key.as_str(), owner.as_str()), ("k", "one"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.when("two has it"), None);
    let released = Instant::now();
    assert_eq!(world.release(&first), Ok(()));
    let acquired = world.see("two has it");
    assert!(acquired - released < TTL / 2, "the release has woken it: {:?}", acquired - released);
    assert!(second.revision() > first.revision(), "{second:?} {first:?}");
    assert!(second.is_held() && !first.is_held());
    assert_eq!(world.release(&first), Err(Error::NotHeld { key: "k".into() }));
    assert_eq!(world.release(&second), Ok(()));
    assert_eq!(world.count("one has lost it") + world.count("two has lost it"), 0);
    let third = world.try_lock(&one).expect("it is free");
    assert!(Some(third) > second.revision());
}

#[test]
fn a_held_lock_is_renewed_and_keeps_its_fencing_revision() {
    let mut world = World::new(&server().url());
    let one = world.client(&*server().url());
    let lock = world.lock(&one, "one");
    let acquired = world.see("one has it");
    let fence = lock.revision();
    world.until("three times the TTL", || {
        assert!(lock.is_held());
        acquired.elapsed() > 3 * TTL
    });
    assert_eq!(lock.revision(), fence);
    let revision = Rc::new(Cell::new(0));
    let given = revision.clone();
    one.get("k", move |(), _, entry| {
        let entry = entry.expect("an answer").expect("a value");
        assert!(entry.text().contains(r#""owner":"one""#), "{}", entry.text());
        given.set(entry.revision());
    });
    world.until("the value", || revision.get() > 0);
    assert!(Some(revision.get()) > fence, "it was renewed");
    assert_eq!(world.release(&lock), Ok(()));
}

/// A holder that is cut off knows that it has lost the lock before another one has it, on one clock.
fn a_holder_that_is_cut_off(config: Config) {
    let mut world = World::with(&server().url(), config);
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let (one, two) = (world.client(&*proxy.url()), world.client(&*server().url()));
    let first = world.lock(&one, "one");
    world.see("one has it");
    let second = world.lock(&two, "two");
    assert!(world.try_lock(&two).is_err());
    proxy.refuse(true);
    proxy.cut_all();
    let cut = Instant::now();
    let lost = world.see("one has lost it");
    assert!(!first.is_held());
    let acquired = world.see("two has it");
    assert!(lost < acquired, "both believed to have it for {:?}", lost - acquired);
    let took = acquired - cut;
    eprintln!("lost {:?} after the cut, acquired {:?} after it", lost - cut, took);
    assert!(took < 3 * TTL, "{took:?}");
    assert!(second.revision() > first.revision());
    proxy.refuse(false);
    assert_eq!(world.count("one has lost it"), 1);
    assert_eq!(world.release(&first), Err(Error::NotHeld { key: "k".into() }));
}

#[test]
fn a_holder_that_is_cut_off_knows_it_before_another_one_has_the_lock() {
    a_holder_that_is_cut_off(Config::new().storage(Storage::Memory));
}

#[test]
fn a_holder_that_is_cut_off_knows_it_before_its_value_expires() {
    requires!(server(), 2, 11);
    a_holder_that_is_cut_off(Config::new().storage(Storage::Memory).per_key_ttl(true));
}

#[test]
fn a_short_interruption_costs_nothing() {
    let mut world = World::new(&server().url());
    let proxy = FaultProxy::start(server().port(), |_| Vec::new());
    let one = world.client(&*proxy.url());
    let lock = world.lock(&one, "one");
    world.see("one has it");
    for _ in 0..3 {
        let connections = proxy.connections();
        proxy.cut_all();
        world.until("a reconnect", || proxy.connections() > connections);
    }
    let since = Instant::now();
    world.until("twice the TTL", || since.elapsed() > 2 * TTL);
    assert!(lock.is_held());
    assert_eq!(world.count("one has lost it"), 0);
}

#[test]
fn the_lock_of_a_client_that_is_closed_is_free_after_its_time() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    world.lock(&one, "one");
    world.see("one has it");
    world.lock(&two, "two");
    one.client().close();
    let lost = world.see("one has lost it");
    let acquired = world.see("two has it");
    assert!(lost < acquired && acquired - lost < 2 * TTL);
}

#[test]
fn a_lock_that_is_taken_away_by_hand_is_lost_with_who_has_it() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = seen.clone();
    let lock = world.lock(&one, "one");
    world.see("one has it");
    lock.on_lost(move |(), _, lost| noted.borrow_mut().push(lost));
    let other = r#"{"owner":"boss","id":"other","ttl_ms":1000}"#;
    two.put("k", other, |(), _, put| assert!(put.is_ok()));
    world.see("one has lost it");
    world.until("the reason", || !seen.borrow().is_empty());
    assert_eq!(*seen.borrow(), [Lost::Taken { by: Some("boss".into()) }]);
    let late = Rc::new(Cell::new(0));
    let counted = late.clone();
    lock.on_lost(move |(), _, _| counted.set(counted.get() + 1));
    world.until("the loss, told later", || late.get() == 1);
}

#[test]
fn what_is_no_lock_is_not_touched_and_misuse_is_told() {
    let mut world = World::new(&server().url());
    let one = world.client(&*server().url());
    one.put("k", "precious", |(), _, put| assert!(put.is_ok()));
    assert_eq!(world.try_lock(&one), Err(Error::NotALock { key: "k".into() }));
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let noted = |outcomes: &Rc<RefCell<Vec<Result<u64, Error>>>>| {
        let outcomes = outcomes.clone();
        move |(): &mut (), _: &Lock<()>, outcome| outcomes.borrow_mut().push(outcome)
    };
    one.lock("a b", LockOptions::new(), noted(&outcomes));
    one.lock("l", LockOptions::new().ttl(Duration::from_millis(10)), noted(&outcomes));
    one.read_only().lock("l", LockOptions::new(), noted(&outcomes));
    world.until("three refusals", || outcomes.borrow().len() == 3);
    let outcomes = outcomes.take();
    assert!(matches!(outcomes[0], Err(Error::InvalidKey { .. })), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(Error::JetStream(_))), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(Error::ReadOnly { .. })), "{outcomes:?}");
}

#[test]
fn whoever_waits_for_a_limited_time_or_no_longer_is_told_why() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    let first = world.lock(&one, "one");
    world.see("one has it");
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let (limited, released) = (outcomes.clone(), outcomes.clone());
    let options = LockOptions::new().ttl(TTL).wait(TTL / 2);
    two.lock("k", options, move |(), _, outcome| limited.borrow_mut().push(outcome));
    let given_up = two.lock("k", LockOptions::new().ttl(TTL), move |(), _, outcome| {
        released.borrow_mut().push(outcome);
    });
    world.until("the end of the wait", || !outcomes.borrow().is_empty());
    assert!(matches!(&outcomes.borrow()[0], Err(Error::Locked { owner, .. }) if owner == "one"));
    assert_eq!(world.release(&given_up), Ok(()));
    world.until("the other outcome", || outcomes.borrow().len() == 2);
    assert_eq!(outcomes.borrow()[1], Err(Error::NotHeld { key: "k".into() }));
    assert!(first.is_held());
}

#[test]
fn a_server_that_restarts_while_a_lock_is_held_keeps_it_with_its_holder() {
    let mut server = Server::start();
    let mut world = World::new(&server.url());
    let (one, two) = (world.client(&*server.url()), world.client(&*server.url()));
    let options = LockOptions::new().ttl(Duration::from_secs(30)).owner("one");
    let seen = world.seen.clone();
    let first = one.lock("k", options, move |(), _, acquired| {
        acquired.expect("the lock");
        note(&seen, "one has it".into());
    });
    world.see("one has it");
    let second = world.lock(&two, "two");
    let are_connected = || {
        let is_connected = |kv: &Kv| kv.client().state() == ConnectionState::Connected;
        is_connected(&one) && is_connected(&two)
    };
    // a client whose first connection fails is over
    world.until("two connections", are_connected);
    server.restart();
    world.until("an answer of the new server", are_connected);
    assert!(first.is_held());
    assert_eq!(world.release(&first), Ok(()));
    world.see("two has it");
    assert!(second.revision() > first.revision());
}

#[test]
fn many_contenders_have_a_lock_one_after_the_other() {
    let mut world = World::new(&server().url());
    let clients: Vec<Kv> = (0..2).map(|_| world.client(&*server().url())).collect();
    let (holder, fences) = (Rc::new(Cell::new(None)), Rc::new(RefCell::new(Vec::new())));
    let released = Rc::new(Cell::new(0));
    for number in 0..10 {
        let (holder, fences, released) = (holder.clone(), fences.clone(), released.clone());
        let options = LockOptions::new().ttl(TTL).owner(number.to_string());
        clients[number % 2].lock("k", options, move |(), lock, acquired| {
            assert_eq!(holder.replace(Some(number)), None, "two have it");
            fences.borrow_mut().push(acquired.expect("the lock"));
            lock.on_lost(|(), _, lost| support::fail(lost));
            lock.set_timer(Duration::from_millis(20), move |(), lock| {
                assert_eq!(holder.take(), Some(number), "another one has it");
                lock.release(move |(), _, outcome| {
                    outcome.expect("released");
                    released.set(released.get() + 1);
                });
            });
        });
    }
    world.until("everybody's turn", || released.get() == 10);
    assert!(fences.borrow().is_sorted_by(|one, next| one < next), "{fences:?}");
}

#[test]
fn of_three_candidates_one_leads_and_another_one_when_it_resigns_or_dies() {
    let mut world = World::new(&server().url());
    let clients: Vec<Kv> = (0..3).map(|_| world.client(&*server().url())).collect();
    let one = world.stand(&clients[0], "one");
    world.see("one is elected");
    assert!(one.is_leading());
    let (two, three) = (world.stand(&clients[1], "two"), world.stand(&clients[2], "three"));
    world.see("two sees one");
    world.see("three sees one");
    assert_eq!(two.leader().as_deref(), Some("one"));
    let first = one.revision().expect("a revision");
    one.resign(|(), _, resigned| resigned.expect("resigned"));
    assert!(!one.is_leading());
    world.until("another leader", || two.is_leading() || three.is_leading());
    let (next, last, name) = match two.is_leading() {
        true => (&two, &three, "three is elected"),
        false => (&three, &two, "two is elected"),
    };
    assert!(next.revision() > Some(first));
    let second = next.revision().expect("a revision");
    // the one that has resigned stands again; it would win as well
    let stopped = Rc::new(Cell::new(false));
    let told = stopped.clone();
    one.stop(move |(), _, stopped| {
        stopped.expect("stopped");
        told.set(true);
    });
    world.until("the end of a candidature", || stopped.get());
    assert!(!one.is_active());
    next.bucket().client().close();
    world.see(name);
    assert!(last.revision() > Some(second));
    assert_eq!(world.count("one is elected"), 1);
    assert_eq!(world.count("one has lost"), 0, "it has resigned");
    assert_eq!(world.count("two has lost") + world.count("three has lost"), 1);
}

#[test]
fn whoever_has_lost_an_election_stands_again() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    let candidate = world.stand(&one, "one");
    world.see("one is elected");
    two.delete("k", |(), _, deleted| assert!(deleted.is_ok()));
    world.see("one has lost");
    world.until("another term", || world.count("one is elected") == 2);
    assert!(candidate.is_leading());
}

#[test]
fn the_end_of_the_bucket_ends_the_candidature() {
    let mut world = World::new(&server().url());
    let one = world.client(&*server().url());
    let candidate = world.stand(&one, "one");
    world.see("one is elected");
    one.delete_bucket(|(), _, deleted| deleted.expect("deleted"));
    world.until("the end", || !candidate.is_active());
    world.see("one has lost");
}

#[test]
fn a_loop_that_is_dropped_takes_locks_and_candidates_along() {
    let mut world = World::new(&server().url());
    let (one, two) = (world.client(&*server().url()), world.client(&*server().url()));
    let (leads, held) = (world.client(&*server().url()), Rc::new(()));
    let locked = world.lock(&one, "one");
    world.see("one has it");
    let (lost, acquired, event) = (held.clone(), held.clone(), held.clone());
    locked.on_lost(move |(), _, _| drop(lost));
    let waits = two.lock("k", LockOptions::new(), move |(), _, _| drop(acquired));
    let is_elected = Rc::new(Cell::new(false));
    let elected = is_elected.clone();
    let leader = leads.election("e", ElectionOptions::new("leader"), move |(), _, told| {
        assert!(Rc::strong_count(&event) > 0);
        elected.set(elected.get() || matches!(told, ElectionEvent::Elected { .. }));
    });
    world.until("a leader", || is_elected.get());
    assert!(world.try_lock(&two).is_err(), "by now the other one waits");
    assert_eq!(Rc::strong_count(&held), 4);
    world.event_loop = EventLoop::new().expect("an event loop");
    world.clients.clear();
    assert_eq!(Rc::strong_count(&held), 1, "every callback was dropped");
    assert!(!locked.is_held() && !waits.is_held() && !leader.is_leading());
}

#[test]
fn a_lock_outlives_the_leader_of_its_stream() {
    requires!(server(), 2, 10);
    let mut cluster = Cluster::start();
    let config = Config::new().replicas(3);
    let mut world = World::with(&cluster.server(0).url(), config);
    let urls = cluster.urls();
    let options = || Options::new(urls.join(",")).request_timeout(Duration::from_secs(1));
    let (one, two) = (world.client(options()), world.client(options()));
    let ttl = Duration::from_secs(20);
    let seen = world.seen.clone();
    let first =
        one.lock("k", LockOptions::new().ttl(ttl).owner("one"), move |(), lock, acquired| {
            acquired.expect("the lock");
            note(&seen, "one has it".into());
            lock.on_lost(move |(), _, lost| support::fail(lost));
        });
    world.see("one has it");
    let second = world.lock(&two, "two");
    let leader = Rc::new(RefCell::new(None));
    let given = leader.clone();
    one.status(move |(), _, status| {
        let cluster = status.expect("a status").stream().cluster.clone();
        given.replace(cluster.and_then(|cluster| cluster.leader));
    });
    world.until("the leader's name", || leader.borrow().is_some());
    let name = leader.take().expect("a name");
    let index = cluster.index_by_name(&name).expect("one of the cluster");
    cluster.server_mut(index).kill9();
    let killed = Instant::now();
    world.until("a renewal by the next leader", || {
        assert!(first.is_held(), "lost {:?} after the kill", killed.elapsed());
        killed.elapsed() > ttl
    });
    assert_eq!(world.release(&first), Ok(()));
    world.see("two has it");
    assert!(second.revision() > first.revision());
}
