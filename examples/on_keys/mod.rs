//! The workloads on a bucket, `BENCH`, which has to hold what they read.

use crate::{Bench, Usage, in_turn, pipeline};
use evnats::Client;
use evnats::kv::{
    Cache, CacheEvent, CacheOptions, KeyValue, ListedKey, Reads, Update, WatchOptions,
};

/// The entries of an atomic batch.
const BATCH: usize = 100;

/// Begins a workload. Returns whether there is one of this name.
pub(crate) fn begin(workload: &str, nats: &Client<Bench>) -> bool {
    let kv = nats.jetstream().key_value("BENCH");
    let reads = match workload {
        "kvgetleader" | "kvgetpipeleader" => Reads::Leader,
        "kvgetverified" => Reads::Verified,
        _ => Reads::Replica,
    };
    let kv = kv.with_reads(reads);
    match workload {
        "kvput" => in_turn(nats, move |bench, _| put(bench, &kv)),
        "kvputpipe" => pipeline(nats, 500, move |bench, _| put(bench, &kv)),
        "kvget" | "kvgetleader" => in_turn(nats, move |bench, _| get(bench, &kv)),
        "kvgetpipe" | "kvgetpipeleader" | "kvgetverified" => {
            pipeline(nats, 500, move |bench, _| get(bench, &kv));
        }
        "kvbatch" => pipeline(nats, 1, move |bench, _| commit(bench, &kv)),
        "kvkeys" => nats.on_connect(move |bench, _, _| list(bench, &kv)),
        "kvwatch" => nats.on_connect(move |bench, _, _| watch(bench, &kv)),
        "cacheget" => nats.on_connect(move |_, _, _| read_cache(&kv)),
        _ => return false,
    }
    true
}

fn put(bench: &mut Bench, kv: &KeyValue<Bench>) {
    let key = &bench.keys[bench.sent as usize % bench.keys.len()];
    bench.sent += 1;
    kv.put(key, &bench.payload, |bench, kv, revision| {
        revision.expect("a revision");
        if bench.is_next_due(kv.client()) {
            put(bench, kv);
        }
    });
}

fn get(bench: &mut Bench, kv: &KeyValue<Bench>) {
    let key = &bench.keys[bench.sent as usize % bench.keys.len()];
    bench.sent += 1;
    kv.get(key, |bench, kv, entry| {
        let entry = entry.expect("an answer").expect("an entry");
        assert_eq!(entry.value().len(), bench.payload.len());
        if bench.is_next_due(kv.client()) {
            get(bench, kv);
        }
    });
}

/// Writes the next keys as one.
fn commit(bench: &mut Bench, kv: &KeyValue<Bench>) {
    let first = bench.sent as usize % (bench.keys.len() - BATCH);
    let keys = &bench.keys[first..first + BATCH];
    let batch = keys.iter().fold(kv.batch(), |batch, key| batch.put(key, &bench.payload));
    bench.sent += BATCH as u64;
    batch.commit(|bench: &mut Bench, kv, committed| {
        committed.expect("a batch");
        bench.done += BATCH as u64 - 1;
        if bench.is_next_due(kv.client()) {
            commit(bench, kv);
        }
    });
}

fn list(bench: &mut Bench, kv: &KeyValue<Bench>) {
    bench.start = Some(Usage::now());
    kv.list_keys(&[">"], |bench: &mut Bench, listing, listed| match listed {
        ListedKey::Key(_) => {
            bench.count_one(listing.bucket().client());
            if bench.done == bench.count {
                listing.stop();
            }
        }
        ListedKey::Ended(ended) => panic!("too few keys: {ended:?}"),
    });
}

fn watch(bench: &mut Bench, kv: &KeyValue<Bench>) {
    bench.start = Some(Usage::now());
    kv.watch(">", WatchOptions::new(), |bench: &mut Bench, watch, update| match update {
        Update::Entry(_) => {
            bench.count_one(watch.bucket().client());
            if bench.done == bench.count {
                watch.stop();
            }
        }
        other => panic!("too few keys: {other:?}"),
    });
}

/// Reads what the cache holds, key by key, as soon as it holds all.
fn read_cache(kv: &KeyValue<Bench>) {
    kv.cache(&[">"], CacheOptions::new(), |bench: &mut Bench, cache: &Cache<Bench>, event| {
        let CacheEvent::Ready = event else { return };
        bench.start = Some(Usage::now());
        for n in 0..bench.count as usize {
            let entry = cache.get(&bench.keys[n % bench.keys.len()]).expect("an entry");
            bench.done += u64::from(std::hint::black_box(entry).revision() > 0);
        }
        cache.stop();
        bench.finish(cache.bucket().client());
    });
}
