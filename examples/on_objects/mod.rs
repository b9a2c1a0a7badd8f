//! The workloads on objects: one object of COUNT chunks of SIZE bytes, in a bucket in memory.

use crate::{Bench, Usage};
use evnats::jetstream::Storage;
use evnats::object_store::{
    Config, Get, GetOptions, ObjectMeta, ObjectStore, Piece, Put, PutOptions,
};
use evnats::{Bytes, Client};

type Objects = ObjectStore<Bench>;

/// Begins a workload. Returns whether there is one of this name.
pub(crate) fn begin(workload: &str, nats: &Client<Bench>) -> bool {
    let objects = nats.jetstream().object_store("BENCH");
    let go_on = match workload {
        "objput" => |bench: &mut Bench, objects: &Objects| {
            bench.done = bench.count - 1;
            bench.count_one(objects.client());
        },
        "objget" => |bench: &mut Bench, objects: &Objects| get(bench, objects),
        _ => return false,
    };
    nats.on_connect(move |_, _, _| {
        // what an earlier run has left
        objects.delete_bucket(move |_, objects, _| {
            objects.create_bucket(
                Config::new().storage(Storage::Memory),
                move |bench, objects, made| {
                    made.expect("a bucket");
                    put(bench, objects, go_on);
                },
            );
        });
    });
    true
}

/// Puts it, and goes on with what is measured if that is something else.
fn put(bench: &mut Bench, objects: &Objects, go_on: fn(&mut Bench, &Objects)) {
    let chunk = Bytes::from(bench.payload.clone());
    let meta = ObjectMeta::new("n").chunk_size(chunk.len());
    let next = move |bench: &mut Bench, _: &Put<Bench>, _: usize| {
        if bench.sent == bench.count {
            return Piece::End;
        }
        bench.sent += 1;
        Piece::Data(chunk.clone())
    };
    bench.start = Some(Usage::now());
    objects.put_pieces(meta, PutOptions::new(), next, move |bench, objects, stored| {
        stored.expect("stored");
        go_on(bench, objects);
    });
}

fn get(bench: &mut Bench, objects: &Objects) {
    bench.start = Some(Usage::now());
    let on_data = |_: &mut Bench, _: &Get<Bench>, data: &[u8]| {
        std::hint::black_box(data);
    };
    objects.get_pieces("n", GetOptions::new(), on_data, |bench: &mut Bench, objects, got| {
        assert!(got.expect("an object").is_verified);
        bench.done = bench.count - 1;
        bench.count_one(objects.client());
    });
}
