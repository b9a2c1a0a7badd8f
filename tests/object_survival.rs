//! Objects under everything that can happen to their servers: no byte is another one, and no chunk is left
//! of what failed.

mod support;

use evnats::Options;
use evnats::jetstream::{JetStream, PurgeOptions, StreamConfig};
use evnats::object_store::{
    Config, Error, Get, GetOptions, Got, ObjectInfo, Piece, Progress, Put, PutOptions, Status,
};
use evnats_harness::{Cluster, FaultProxy, Server};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;
use support::asking::{Asking, Told};
use support::objects::{Objects, bytes};
use support::{level, server, unique};

const MIB: u64 = 1 << 20;
const SHORT: Duration = Duration::from_millis(20);

type Js = JetStream<()>;

fn persistent(urls: &[String]) -> Options {
    Options::new(urls.join(","))
        .randomize_servers(false)
        .max_reconnects(10_000)
        .reconnect_delay(SHORT)
        .max_reconnect_delay(4 * SHORT)
}

/// A bucket, with fast ingest if the server has it, or without.
fn bucket(urls: &[String], replicas: u32, is_fast: bool) -> Objects {
    let objects = Objects::of(Asking::with(persistent(urls)), &unique("survival"));
    objects.nats.on_error(|(), _, _| {});
    let bucket = objects.store.bucket().to_owned();
    // a cluster that has just begun may not place it yet
    loop {
        let made: Result<Status, Error> = match is_fast {
            true => {
                let config = Config::new().replicas(replicas);
                objects.wait(|store, done| store.create_bucket(config, done))
            }
            false => {
                let config = StreamConfig::new(format!("OBJ_{bucket}"))
                    .subjects([format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")])
                    .allow_rollup_hdrs(true)
                    .allow_direct(true)
                    .num_replicas(replicas);
                let js = objects.nats.jetstream();
                let _: Result<_, evnats::jetstream::Error> =
                    objects.ask(|done: Told<Js, _>| js.create_stream(&config, done));
                objects.wait(|store, done| store.bind(done))
            }
        };
        match made {
            Ok(_) => return objects,
            Err(error) => assert!(error.is_temporary() || error.is_not_found(), "{error}"),
        }
    }
}

/// Numbers, eight bytes each, for as long as it is asked.
struct Numbers {
    next: u64,
    end: u64,
}

impl Read for Numbers {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        let mut len = 0;
        for place in room.chunks_exact_mut(8) {
            if self.next == self.end {
                break;
            }
            place.copy_from_slice(&self.next.to_le_bytes());
            self.next += 1;
            len += 8;
        }
        Ok(len)
    }
}

/// Puts numbers, and lets something happen when so many bytes are stored. The chunks on the server are
/// those of the object, whatever became of it.
#[track_caller]
fn put_through(
    objects: &Objects,
    size: u64,
    happens_at: &[u64],
    mut happens: impl FnMut() + 'static,
) -> Result<ObjectInfo, Error> {
    let mut left = happens_at.to_vec();
    left.reverse();
    let outcome = Rc::new(RefCell::new(None));
    let told = outcome.clone();
    let numbers = Numbers { next: 0, end: size / 8 };
    let put = objects.store.put_from("n", numbers, PutOptions::new(), move |(), _, stored| {
        told.replace(Some(stored));
    });
    put.on_progress(move |(), _, progress: Progress| {
        if left.last().is_some_and(|at| progress.done >= *at) {
            left.pop();
            happens();
        }
    });
    until(objects, || outcome.borrow().is_some());
    let stored = outcome.take().expect("an outcome");
    if let Err(error) = &stored {
        println!("not stored: {error}");
        assert!(level() == 0 || !matches!(error, Error::Damaged { .. }), "{error}");
    }
    stored
}

/// Turns the loop for as long as an outage may take.
#[track_caller]
fn until(objects: &Objects, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        objects.event_loop.dispatch(&mut (), Some(Duration::from_millis(50))).expect("a turn");
    }
    panic!("no outcome within five minutes");
}

/// Gets numbers, and lets something happen when so many bytes have come. Every byte is the right one.
#[track_caller]
fn get_through(
    objects: &Objects,
    size: u64,
    happens_at: &[u64],
    mut happens: impl FnMut() + 'static,
) -> Result<Got, Error> {
    let mut left = happens_at.to_vec();
    left.reverse();
    let outcome = Rc::new(RefCell::new(None));
    let told = outcome.clone();
    let mut wanted = Numbers { next: 0, end: size / 8 };
    let mut expected = Vec::new();
    let on_data = move |(): &mut (), _: &Get<()>, data: &[u8]| {
        expected.resize(data.len(), 0);
        wanted.read_exact(&mut expected).expect("no more than it has");
        assert!(expected == data, "other bytes");
    };
    let options = GetOptions::new();
    let get = objects.store.get_pieces("n", options, on_data, move |(), _, got| {
        told.replace(Some(got));
    });
    get.on_progress(move |(), _, progress: Progress| {
        if left.last().is_some_and(|at| progress.done >= *at) {
            left.pop();
            happens();
        }
    });
    until(objects, || outcome.borrow().is_some());
    let got = outcome.take().expect("an outcome");
    if let Err(error) = &got {
        println!("not got: {error}");
        // servers before 2.11 that are killed may have lost what they have acknowledged
        assert!(level() == 0 && matches!(error, Error::Damaged { .. }), "{error}");
    }
    got
}

/// Has no chunks but those of the object, if it is there.
#[track_caller]
fn assert_clean(objects: &Objects, stored: &Result<ObjectInfo, Error>) {
    match stored {
        Ok(_) if level() == 0 => {}
        Ok(info) => objects.assert_no_leaks(&[info]),
        // it says so
        Err(Error::ChunksLeft { .. }) => {}
        Err(_) => objects.assert_no_leaks(&[]),
    }
}

fn through_cut_connections(is_fast: bool, size: u64) {
    let proxy = Rc::new(FaultProxy::start(server().port(), |_| Vec::new()));
    let objects = bucket(&[proxy.url()], 1, is_fast);
    let at = [size / 8, size / 3, size / 2, size * 3 / 4];
    let cutting = proxy.clone();
    let stored = put_through(&objects, size, &at, move || cutting.reset_all());
    assert!(stored.is_ok(), "{stored:?}");
    assert_clean(&objects, &stored);
    let cutting = proxy.clone();
    get_through(&objects, size, &at, move || cutting.reset_all()).expect("an object");
}

#[test]
fn a_put_and_a_get_go_on_though_the_connection_is_cut() {
    through_cut_connections(true, 24 * MIB);
}

#[test]
fn a_put_in_a_window_goes_on_though_the_connection_is_cut() {
    through_cut_connections(false, 24 * MIB);
}

fn through_kills(is_fast: bool, size: u64) {
    let server = Rc::new(RefCell::new(Server::start()));
    let url = server.borrow().url();
    let objects = bucket(&[url], 1, is_fast);
    let killing = |server: &Rc<RefCell<Server>>| {
        let server = server.clone();
        move || {
            server.borrow_mut().kill9();
            server.borrow_mut().start_again();
        }
    };
    let at = [size / 4, size / 2];
    let stored = put_through(&objects, size, &at, killing(&server));
    assert_clean(&objects, &stored);
    if stored.is_ok() {
        drop(get_through(&objects, size, &at, killing(&server)));
    }
}

#[test]
fn a_put_and_a_get_survive_the_death_of_the_server() {
    through_kills(true, 24 * MIB);
}

#[test]
fn a_put_in_a_window_and_a_get_survive_the_death_of_the_server() {
    through_kills(false, 24 * MIB);
}

/// A server that does not come back is an error, in the end, and not an endless wait.
#[test]
fn a_server_that_is_gone_ends_puts_and_gets() {
    let mut server = Server::start();
    let mut options = persistent(&[server.url()]);
    options = options.request_timeout(Duration::from_millis(500));
    let objects = Objects::of(Asking::with(options), &unique("gone"));
    objects.nats.on_error(|(), _, _| {});
    objects.create(Config::new());
    let info = objects.put("there", &bytes(2_000_000));
    assert_eq!(info.size, 2_000_000);
    server.kill9();
    let got = objects.get("there").expect_err("no server");
    assert!(got.is_temporary() || got.is_timeout(), "{got}");
    let put = objects.wait(|store, done| store.put("n", bytes(2_000_000), done));
    let error = put.expect_err("no server");
    assert!(error.is_temporary() || error.is_timeout(), "{error}");
    objects.nats.close();
    until(&objects, || objects.event_loop.is_empty());
    std::mem::forget(objects);
}

#[test]
fn a_bucket_that_is_deleted_under_a_put_ends_it() {
    let options = persistent(&[server().url()]).request_timeout(Duration::from_secs(2));
    let objects = Objects::of(Asking::with(options), &unique("deleted"));
    objects.create(Config::new());
    let store = objects.store.clone();
    // a server under load may take longer than it is waited for
    let delete = move || store.delete_bucket(|(), _, _| {});
    let ended = put_through(&objects, 24 * MIB, &[MIB], delete).expect_err("no bucket");
    assert!(ended.is_no_responders() || ended.is_timeout() || ended.is_not_found(), "{ended}");
}

#[test]
fn a_client_that_is_closed_ends_puts_and_gets() {
    for closes_at in 0..4 {
        let objects = Objects::new();
        objects.put("there", &bytes(9_000_000));
        let nats = objects.nats.clone();
        let outcomes = Rc::new(RefCell::new(Vec::new()));
        let (of_put, of_get) = (outcomes.clone(), outcomes.clone());
        let seen = Rc::new(Cell::new(0));
        let close = move |progress: Progress, seen: &Cell<u64>| {
            seen.set(seen.get() + 1);
            if progress.done > closes_at * 1_000_000 {
                nats.close();
            }
        };
        let (closing, counted) = (close.clone(), seen.clone());
        let put = objects.store.put("n", bytes(9_000_000), move |(), _, stored| {
            of_put.borrow_mut().push(("put", closes_at, stored.map(drop)));
        });
        put.on_progress(move |(), _, progress| closing(progress, &counted));
        let get = objects.store.get("there", move |(), _, got| {
            of_get.borrow_mut().push(("get", closes_at, got.map(drop)));
        });
        get.on_progress(move |(), _, progress| close(progress, &seen));
        until(&objects, || objects.event_loop.is_empty());
        assert_eq!(outcomes.borrow().len(), 2, "{outcomes:?}");
        for (_, _, outcome) in outcomes.take() {
            let is_told = outcome.as_ref().err().is_none_or(|error| {
                error.is_closed() || error.is_outcome_unknown() || error.is_temporary()
            });
            assert!(is_told, "{outcome:?}");
        }
        std::mem::forget(objects);
    }
}

#[test]
fn dropping_the_loop_drops_what_puts_and_gets_were_given() {
    let held = Rc::new(());
    let objects = Objects::new();
    objects.put("there", &bytes(500_000));
    for turns in 0..6 {
        let asking = Asking::new();
        let store = asking.nats.jetstream().object_store(objects.store.bucket());
        let (one, two, three) = (held.clone(), held.clone(), held.clone());
        let next = move |(): &mut (), _: &Put<()>, wanted: usize| {
            let _held = &one;
            Piece::Data(vec![1; wanted].into())
        };
        let options = PutOptions::new();
        let put = store.put_pieces("n", options, next, move |(), _, _| drop(two));
        let later = held.clone();
        let own = put.clone();
        put.on_progress(move |(), _, _| drop((later.clone(), own.clone())));
        store.get("there", move |(), _, _| drop(three));
        for _ in 0..turns {
            asking.event_loop.dispatch(&mut (), Some(SHORT)).expect("a turn");
        }
        drop((put, store, asking));
        assert_eq!(Rc::strong_count(&held), 1, "{turns}");
    }
    // what was left behind is not the object's
    let options = PurgeOptions::new().subject(format!("$O.{}.C.>", objects.store.bucket()));
    let js = objects.nats.jetstream();
    let purged: Result<u64, _> =
        objects.ask(|done: Told<Js, _>| js.purge_stream(&objects.stream(), &options, done));
    purged.expect("purged");
}

/// Three nodes, of which the leader dies, and then another one, while an object is put and got.
fn through_a_cluster(size: u64) {
    let cluster = Rc::new(RefCell::new(Cluster::start()));
    let urls = cluster.borrow().urls();
    let objects = bucket(&urls, 3, true);
    let js = objects.nats.jetstream();
    let info: Result<evnats::jetstream::StreamInfo, _> =
        objects.ask(|done: Told<Js, _>| js.stream_info(&objects.stream(), done));
    let leader = info.expect("the stream").cluster.and_then(|cluster| cluster.leader);
    let leader = cluster.borrow().index_by_name(&leader.expect("a leader")).expect("a node");
    let killing = |cluster: &Rc<RefCell<Cluster>>| {
        let cluster = cluster.clone();
        let mut victims = [leader, (leader + 1) % 3].into_iter();
        move || {
            let victim = victims.next().expect("a victim");
            cluster.borrow_mut().server_mut(victim).kill9();
            cluster.borrow_mut().server_mut(victim).start_again();
        }
    };
    let at = [size / 4, size / 2];
    let stored = put_through(&objects, size, &at, killing(&cluster));
    assert_clean(&objects, &stored);
    if stored.is_ok() {
        drop(get_through(&objects, size, &at, killing(&cluster)));
    }
}

#[test]
fn an_object_with_replicas_survives_the_death_of_nodes() {
    through_a_cluster(24 * MIB);
}

#[test]
#[ignore = "takes a minute; the short form is above"]
fn a_gibibyte_with_replicas_survives_the_death_of_nodes() {
    through_a_cluster(1024 * MIB);
}

#[test]
#[ignore = "takes a minute; the short form is above"]
fn a_gibibyte_survives_the_death_of_the_server() {
    through_kills(true, 1024 * MIB);
    through_kills(false, 1024 * MIB);
}

/// How much memory this process has, in bytes: the most that it ever had since this was reset.
#[cfg(target_os = "linux")]
mod memory {
    pub(super) fn reset_peak() {
        std::fs::write("/proc/self/clear_refs", "5").expect("a peak that can be reset");
    }

    pub(super) fn read(name: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
        let number = line.split_whitespace().nth(1).expect("a number");
        number.parse::<u64>().expect("a number") << 10
    }
}

/// Puts and gets an object in a process of its own kind, and returns how much more memory each took.
#[cfg(target_os = "linux")]
fn memory_of(size: u64) -> [u64; 2] {
    let objects = Objects::of(Asking::new(), &unique("memory"));
    objects.create(Config::new());
    let peak = |transfer: &mut dyn FnMut()| {
        memory::reset_peak();
        let before = memory::read("VmRSS");
        transfer();
        memory::read("VmHWM").saturating_sub(before)
    };
    let put = peak(&mut || drop(put_through(&objects, size, &[], || {}).expect("stored")));
    let get = peak(&mut || drop(get_through(&objects, size, &[], || {}).expect("an object")));
    println!("{} MiB: put {:.1} MiB, get {:.1} MiB", size / MIB, mib(put), mib(get));
    [put, get]
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// Other tests of this program take memory, too: so it is one that runs alone.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a minute, and wants to be alone; see the one below"]
fn a_gibibyte_takes_less_than_32_mib_of_memory() {
    for taken in memory_of(1024 * MIB) {
        assert!(taken < 32 * MIB, "{taken}");
    }
}

/// The same for a smaller object, in a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn large_objects_take_little_memory() {
    const OWN: &str = "EVNATS_TEST_MEMORY";
    if std::env::var_os(OWN).is_some() {
        for taken in memory_of(96 * MIB) {
            assert!(taken < 32 * MIB, "{taken}");
        }
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .args(["--exact", "large_objects_take_little_memory", "--nocapture"])
        .env(OWN, "1")
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
