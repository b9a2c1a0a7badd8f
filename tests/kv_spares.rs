//! What awaits the replies of a bucket's operations is in boxes that are used again: each operation has its
//! own outcome, whichever box it is in, and nothing of it is kept when it has been told.

mod support;

use evnats::EventLoop;
use evnats::jetstream::{Storage, WindowOptions};
use evnats::kv::{Config, KeyValue, Reads};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use support::asking::Asking;
use support::{server, unique};

type Kv = KeyValue<()>;

const COUNT: usize = 100;

/// The kinds of reads that the server can do.
fn kinds() -> &'static [Reads] {
    let all = &[Reads::Replica, Reads::Leader, Reads::Verified];
    if support::level() > 0 { all } else { &all[..2] }
}

fn bucket(asking: &Asking) -> Kv {
    let kv = asking.nats.jetstream().key_value(&unique("spares"));
    asking.ask(|told| kv.create_bucket(Config::new().storage(Storage::Memory), told)).expect("one");
    kv
}

/// A key as long as its number says, so that longer and shorter ones follow each other.
fn key(number: usize) -> String {
    format!("{number}.{}", "k".repeat(1 + number * 7 % 40))
}

/// Writes a key, and reads it from everywhere when that is done.
fn write_and_read(kv: &Kv, round: usize, number: usize, done: &Rc<Cell<usize>>) {
    let (key, value) = (key(number), format!("{round} {number}"));
    let (kept, done) = (value.clone(), done.clone());
    kv.put(&key.clone(), &value, move |(), kv, revision| {
        let revision = revision.expect("a revision");
        for &reads in kinds() {
            let (expected, value, done) = (key.clone(), kept.clone(), done.clone());
            kv.with_reads(reads).get(&key, move |(), _, entry| {
                let entry = entry.expect("an answer").expect("an entry");
                let read = (entry.key(), entry.text(), entry.revision());
                assert_eq!(read, (expected.into(), value.into(), revision));
                done.set(done.get() + 1);
            });
        }
    });
}

#[test]
fn each_of_many_operations_at_once_has_its_own_outcome() {
    let asking = Asking::new();
    let (kv, done) = (bucket(&asking), Rc::new(Cell::new(0)));
    for round in 0..3 {
        (0..COUNT).for_each(|number| write_and_read(&kv, round, number, &done));
        // one of another kind of outcome in between
        for &reads in kinds() {
            let done = done.clone();
            kv.with_reads(reads).get("absent", move |(), _, entry| {
                assert_eq!(entry, Ok(None), "{reads:?}");
                done.set(done.get() + 1);
            });
        }
        asking.until("all of a round", || done.get() == (round + 1) * (COUNT + 1) * kinds().len());
    }
    assert_eq!(Rc::strong_count(&done), 1, "what the callbacks have captured is gone");
}

/// Puts, reads and publishes, with callbacks that have this. Returns how many there are.
fn begin_all(kv: &Kv, captured: &Rc<()>) -> usize {
    let keep = || captured.clone();
    let (put, stored) = (keep(), keep());
    kv.put("a", "1", move |(), _, _| drop(put));
    for &reads in kinds() {
        let read = keep();
        kv.with_reads(reads).get("a", move |(), _, _| drop(read));
    }
    let window = kv.jetstream().publish_window(WindowOptions::new());
    let subject = format!("$KV.{}.a", kv.bucket());
    window.publish(&subject, "2", move |(), _, _| drop(stored)).expect("room");
    2 + kinds().len()
}

#[test]
fn what_is_never_answered_is_dropped_with_the_loop() {
    let captured = Rc::new(());
    let asking = Asking::new();
    let kv = bucket(&asking);
    begin_all(&kv, &captured);
    asking.until("their ends", || Rc::strong_count(&captured) == 1);
    // in boxes that have been used
    let begun = begin_all(&kv, &captured);
    assert_eq!(Rc::strong_count(&captured), 1 + begun);
    let Asking { event_loop, nats } = asking;
    drop(event_loop);
    assert_eq!(Rc::strong_count(&captured), 1);
    begin_all(&kv, &captured);
    assert_eq!(Rc::strong_count(&captured), 1, "nothing is kept for a loop that has ended");
    drop((kv, nats));
}

/// A handle that is only held by its own read lives as long as that.
#[test]
fn a_read_that_nobody_holds_the_handle_of_has_its_outcome() {
    let asking = Asking::new();
    let told = Rc::new(Cell::new(0));
    let name = bucket(&asking).bucket().to_owned();
    for &reads in kinds() {
        let told = told.clone();
        let kv = asking.nats.jetstream().key_value(&name).with_reads(reads);
        kv.get("absent", move |(), _, entry| {
            assert_eq!(entry, Ok(None), "{reads:?}");
            told.set(told.get() + 1);
        });
    }
    asking.until("all", || told.get() == kinds().len());
    asking.until("the handles' ends", || Rc::strong_count(&told) == 1);
}

/// The callback of one of two verified reads whose answers come together panics: the other one has its own.
/// Runs a loop on which four callbacks are to be told, of which the second one panics.
fn run_over_the_panic(event_loop: &EventLoop<usize>) {
    let mut told = 0;
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(&mut told))).is_err());
    assert_eq!(told, 2);
    event_loop.run(&mut told).expect("the rest");
    assert_eq!(told, 4);
}

#[test]
fn a_callback_that_panics_costs_no_other_verified_read_its_outcome() {
    if support::level() == 0 {
        return;
    }
    let event_loop = EventLoop::<usize>::new().expect("a loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let kv = nats.jetstream().key_value(&unique("spares"));
    kv.create_bucket(Config::new().storage(Storage::Memory), |_: &mut usize, kv, created| {
        created.expect("a bucket");
        kv.put("a", "1", |_, kv, revision| {
            let revision = revision.expect("a revision");
            for number in 0..4 {
                kv.with_reads(Reads::Verified).get("a", move |told, kv, entry| {
                    *told += 1;
                    let entry = entry.expect("an answer").expect("an entry");
                    assert_eq!((entry.revision(), entry.value()), (revision, &b"1"[..]));
                    assert_ne!(number, 1, "a bug in the application");
                    if number == 3 {
                        kv.client().drain();
                    }
                });
            }
        });
    });
    run_over_the_panic(&event_loop);
}

#[test]
fn a_callback_that_panics_costs_no_other_its_outcome() {
    let event_loop = EventLoop::<usize>::new().expect("a loop");
    let nats = event_loop.connect(server().url()).expect("a client");
    let kv = nats.jetstream().key_value(&unique("spares"));
    kv.create_bucket(Config::new().storage(Storage::Memory), |_: &mut usize, kv, created| {
        created.expect("a bucket");
        for number in 0..4_u64 {
            kv.put("a", "1", move |told, kv, revision| {
                *told += 1;
                assert_eq!(revision, Ok(number + 1));
                assert_ne!(number, 1, "a bug in the application");
                if number == 3 {
                    kv.client().drain();
                }
            });
        }
    });
    run_over_the_panic(&event_loop);
}
