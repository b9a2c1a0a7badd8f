//! Object Store on a real server: buckets, putting, and what is known of objects.

mod support;

use evnats::jetstream::{JetStream, MessageQuery, ReadFrom, StoredMessage, StreamConfig};
use evnats::object_store::{
    Config, Error, ObjectInfo, ObjectMeta, Piece, Progress, Put, PutOptions,
};
use evnats_harness::requires;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::asking::Told;
use support::objects::{Objects, bytes};
use support::{level, server, unique};

const CHUNK: usize = 128 << 10;

#[test]
fn objects_of_every_size_come_back_as_they_were() {
    let objects = Objects::new();
    let mut stored = Vec::new();
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 9 << 20] {
        let (name, data) = (format!("of {size}"), bytes(size));
        let info = objects.put(name.as_str(), &data);
        assert_eq!((info.size, info.chunks), (size as u64, size.div_ceil(CHUNK) as u64));
        let object = objects.get(&name).expect("an object");
        assert!(object.is_verified && object.range == (0..size as u64));
        assert!(object.data == data, "{size}");
        assert_eq!(object.info.digest, info.digest);
        assert!(object.info.modified.is_some());
        stored.push(info);
    }
    objects.assert_no_leaks(&stored.iter().collect::<Vec<_>>());
}

#[test]
fn sixty_four_mebibytes_come_back_as_they_were() {
    let objects = Objects::new();
    let data = bytes(64 << 20);
    let info = objects.put("large", &data);
    assert_eq!(info.chunks, 512);
    assert!(objects.bytes("large") == data);
    objects.assert_no_leaks(&[&info]);
}

#[test]
fn any_name_is_a_name() {
    let objects = Objects::new();
    let long = "x".repeat(1024);
    let names = ["a/b c", "ü.*.>", "$O.x", " ", "\u{1F600}\t\r\n", "..", long.as_str()];
    for name in names {
        objects.put(name, name.as_bytes());
    }
    for name in names {
        assert_eq!(objects.bytes(name), name.as_bytes(), "{name:?}");
        assert_eq!(objects.info(name).expect("known").name, name);
    }
    let unnamed = objects.wait(|store, done| store.put("", "x", done));
    assert_eq!(unnamed.map(|_| ()), Err(Error::EmptyName));
    assert_eq!(objects.get("").map(|_| ()), Err(Error::EmptyName));
}

#[test]
fn what_is_said_of_an_object_is_kept() {
    let objects = Objects::new();
    let meta = ObjectMeta::new("n")
        .description("d")
        .header("h", "1")
        .header("h", "2")
        .metadata("k", "v")
        .chunk_size(1000);
    let stored = objects.put(meta.clone(), &bytes(2500));
    assert_eq!((stored.chunks, stored.chunk_size), (3, Some(1000)));
    let mut known = objects.info("n").expect("known");
    assert!(known.modified.take().is_some());
    assert_eq!(known, stored);
    assert_eq!(ObjectMeta::from(&known), meta);
}

#[test]
fn an_object_takes_the_place_of_the_one_before_it_and_frees_its_chunks() {
    let objects = Objects::new();
    objects.put("n", &bytes(3 * CHUNK));
    let second = objects.put("n", &bytes(CHUNK + 7));
    assert_eq!(objects.bytes("n"), bytes(CHUNK + 7));
    objects.assert_no_leaks(&[&second]);
    objects.delete("n").expect("deleted");
    objects.assert_no_leaks(&[]);
    assert!(objects.info("n").expect_err("deleted").is_not_found());
    assert!(objects.get("n").expect_err("deleted").is_not_found());
    assert!(objects.delete("n").expect_err("deleted").is_not_found());
    let deleted = objects.wait(|store, done| store.info_raw("n", done)).expect("known");
    assert!(deleted.deleted && deleted.size == 0 && deleted.digest.is_none());
    let third = objects.put("n", b"again");
    assert_eq!(objects.bytes("n"), b"again");
    objects.assert_no_leaks(&[&third]);
}

#[test]
fn an_object_is_put_only_on_what_is_expected() {
    let objects = Objects::new();
    let put = |data: &'static str, revision| {
        let options = PutOptions::new().expect_revision(revision);
        objects.wait(|store, done| store.put_with("n", data, options, done))
    };
    let first = put("one", 0).expect("there was none");
    let wrong = Error::WrongRevision { name: "n".into(), expected: 0, actual: first.revision };
    assert_eq!(put("other", 0), Err(wrong));
    let second = put("two", first.revision).expect("it is there");
    assert!(put("three", first.revision).expect_err("replaced").is_conflict());
    assert_eq!(objects.bytes("n"), b"two");
    objects.assert_no_leaks(&[&second]);
    objects.delete("n").expect("deleted");
    let deleted = objects.wait(|store, done| store.info_raw("n", done)).expect("known");
    assert!(put("four", 0).is_err());
    put("four", deleted.revision).expect("it is deleted");
}

/// Whoever is overtaken while chunks are on their way finds out when the object is stored.
#[test]
fn one_who_was_overtaken_has_a_conflict_and_leaves_nothing() {
    let objects = Objects::new();
    let first = objects.put("n", b"one");
    let other = objects.store.clone();
    let (asked, overtaken) = (Cell::new(0), Rc::new(RefCell::new(None)));
    let keep = overtaken.clone();
    let next = move |(): &mut (), put: &Put<()>, wanted: usize| {
        asked.set(asked.get() + 1);
        match asked.get() {
            1 => {
                let (put, keep) = (put.clone(), keep.clone());
                other.put("n", "in between", move |(), _, stored| {
                    keep.replace(Some(stored.expect("stored")));
                    put.resume();
                });
                Piece::Data(vec![1; wanted].into())
            }
            2 => Piece::Later,
            _ => Piece::End,
        }
    };
    let options = PutOptions::new().expect_revision(first.revision);
    let outcome = objects.wait(|store, done| store.put_pieces("n", options, next, done));
    assert!(outcome.expect_err("overtaken").is_conflict());
    assert_eq!(objects.bytes("n"), b"in between");
    let stored = overtaken.take().expect("stored");
    objects.assert_no_leaks(&[&stored]);
}

#[test]
fn objects_come_from_readers_and_files() {
    let objects = Objects::new();
    let data = bytes(700_001);
    let read = data.clone();
    let from = |store: &support::objects::Store, done| {
        store.put_from("reader", std::io::Cursor::new(read), PutOptions::new(), done)
    };
    objects.wait(from).expect("stored");
    assert!(objects.bytes("reader") == data);

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, &data).expect("a file");
    let last = Rc::new(RefCell::new(None));
    let told = last.clone();
    objects
        .wait(|store, done| {
            let put = store.put_file("file", &path, PutOptions::new(), done);
            put.on_progress(move |(), _, progress: Progress| _ = told.replace(Some(progress)));
        })
        .expect("stored");
    assert!(objects.bytes("file") == data);
    let last = last.take().expect("progress");
    assert_eq!((last.done, last.total), (700_001, Some(700_001)));

    let missing = directory.path().join("missing");
    let refused = objects.wait(|store, done| store.put_file("x", missing, PutOptions::new(), done));
    let kind = std::io::ErrorKind::NotFound;
    assert!(matches!(refused, Err(Error::Io { kind: found, .. }) if found == kind), "{refused:?}");
    assert!(objects.info("x").is_err());
}

#[test]
fn objects_come_in_pieces_of_any_size_and_at_any_time() {
    let objects = Objects::new();
    let data = bytes(1_000_000);
    let (pieces, given) = (data.clone(), Cell::new(0));
    let turn = Cell::new(0_usize);
    let next = move |(): &mut (), put: &Put<()>, _: usize| {
        turn.set(turn.get() + 1);
        if turn.get().is_multiple_of(3) {
            let put = put.clone();
            put.clone().set_timer(Duration::ZERO, move |(), _| put.resume());
            return Piece::Later;
        }
        let len = [0, 1, 70_000, 300_000][turn.get() % 4].min(pieces.len() - given.get());
        let from = given.replace(given.get() + len);
        match from == pieces.len() {
            true => Piece::End,
            false => Piece::Data(pieces[from..from + len].to_vec().into()),
        }
    };
    let stored = objects.wait(|store, done| store.put_pieces("n", PutOptions::new(), next, done));
    assert_eq!(stored.expect("stored").chunks, 8);
    assert!(objects.bytes("n") == data);
}

#[test]
fn a_put_that_is_aborted_or_fails_leaves_nothing() {
    let objects = Objects::new();
    let before = objects.put("n", b"before");
    let abort = |(): &mut (), put: &Put<()>, wanted: usize| {
        if put.progress().done > 0 {
            put.abort();
            return Piece::Later;
        }
        Piece::Data(vec![7; wanted].into())
    };
    let aborted = objects.wait(|store, done| store.put_pieces("n", PutOptions::new(), abort, done));
    assert_eq!(aborted, Err(Error::Aborted));
    objects.assert_no_leaks(&[&before]);

    let asked = Cell::new(0);
    let fail = move |(): &mut (), _: &Put<()>, wanted: usize| {
        asked.set(asked.get() + 1);
        match asked.get() {
            10 => Piece::Failed(std::io::Error::other("no paper")),
            _ => Piece::Data(vec![7; wanted].into()),
        }
    };
    let failed = objects.wait(|store, done| store.put_pieces("n", PutOptions::new(), fail, done));
    assert!(matches!(&failed, Err(Error::Io { reason, .. }) if reason == "no paper"), "{failed:?}");
    objects.assert_no_leaks(&[&before]);
    assert_eq!(objects.bytes("n"), b"before");
}

#[test]
fn a_source_that_panics_ends_its_put_and_nothing_else() {
    let objects = Objects::new();
    let outcome = Rc::new(RefCell::new(None));
    let told = outcome.clone();
    let next = |(): &mut (), put: &Put<()>, wanted: usize| {
        assert_eq!(put.progress().done, 0, "a bug in the application");
        Piece::Data(vec![7; wanted].into())
    };
    objects.store.put_pieces("n", PutOptions::new(), next, move |(), _, stored| {
        told.replace(Some(stored));
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        objects.until("the outcome", || outcome.borrow().is_some());
    }));
    assert!(panicked.is_err());
    objects.until("the outcome", || outcome.borrow().is_some());
    assert_eq!(outcome.take(), Some(Err(Error::Aborted)));
    objects.assert_no_leaks(&[]);
    objects.put("n", b"works");
}

#[test]
fn two_hundred_puts_at_once_leave_what_they_should() {
    let objects = Objects::new();
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    for number in 0..200_usize {
        // half of them to one name
        let name = if number % 2 == 0 { "shared".to_owned() } else { format!("own {number}") };
        let told = outcomes.clone();
        objects.store.put(name.as_str(), bytes(200_000 + number), move |(), _, stored| {
            told.borrow_mut().push((number, stored));
        });
    }
    objects.until("all outcomes", || outcomes.borrow().len() == 200);
    let mut stored = Vec::new();
    for (number, outcome) in outcomes.take() {
        let info = outcome.unwrap_or_else(|error| panic!("{number}: {error}"));
        if number % 2 == 1 {
            assert!(objects.bytes(&info.name) == bytes(200_000 + number), "{number}");
            stored.push(info);
        }
    }
    let shared = objects.get("shared").expect("an object");
    assert!(shared.is_verified);
    stored.push(shared.info);
    objects.assert_no_leaks(&stored.iter().collect::<Vec<_>>());
}

#[test]
fn a_bucket_without_room_refuses_and_keeps_what_it_has() {
    let objects = Objects::with(Config::new().max_bytes(1_u64 << 20));
    let before = objects.put("n", &bytes(300_000));
    let refused = objects.wait(|store, done| store.put("n", bytes(2 << 20), done));
    assert!(refused.as_ref().expect_err("no room").is_full(), "{refused:?}");
    assert!(objects.bytes("n") == bytes(300_000));
    objects.assert_no_leaks(&[&before]);
}

#[test]
fn links_lead_to_what_they_are_linked_to() {
    let objects = Objects::new();
    objects.put("target", b"one");
    let link = |name: &'static str, to: &'static str| {
        objects.wait(|store, done| store.add_link(name, to, done))
    };
    let info = link("link", "target").expect("a link");
    assert!(info.is_link() && info.chunks == 0);
    assert_eq!(objects.bytes("link"), b"one");
    objects.put("target", b"two");
    let followed = objects.get("link").expect("an object");
    assert_eq!((&*followed.data, &*followed.info.name), (&b"two"[..], "target"));
    assert_eq!(link("x", "link"), Err(Error::LinkToLink { name: "link".into() }));
    assert!(link("x", "nothing").expect_err("nothing there").is_not_found());
    let bucket = objects.store.bucket().to_owned();
    let exists = Error::Exists { bucket: bucket.clone(), name: "target".into() };
    assert_eq!(link("target", "target"), Err(exists));
    link("link", "target").expect("links are replaced");

    let other = Objects::new();
    let there = (bucket.as_str(), "target");
    other.wait(|store, done| store.add_link("far", there, done)).expect("a link");
    assert_eq!(other.bytes("far"), b"two");
    let whole = other.wait(|store, done| store.add_bucket_link("whole", &bucket, done));
    whole.expect("a link");
    let refused = other.get("whole").expect_err("a whole bucket");
    assert_eq!(refused, Error::BucketLink { name: "whole".into(), bucket });
    let missing = other.wait(|store, done| store.add_bucket_link("x", "missing", done));
    assert!(missing.expect_err("no bucket").is_bucket_not_found());

    objects.delete("target").expect("deleted");
    assert!(objects.get("link").expect_err("it leads nowhere").is_not_found());
    objects.delete("link").expect("a link is deleted as itself");
}

/// No client makes them, but two that overtake each other can.
#[test]
fn links_in_a_circle_end() {
    let objects = Objects::new();
    let bucket = objects.store.bucket();
    // the names `a`, `b` and `c`
    for (encoded, name, to) in [("YQ==", "a", "b"), ("Yg==", "b", "c"), ("Yw==", "c", "b")] {
        let link = format!(
            r#"{{"name":"{name}","bucket":"{bucket}","options":{{"link":{{"bucket":"{bucket}","name":"{to}"}}}}}}"#
        );
        let subject = format!("$O.{bucket}.M.{encoded}");
        objects
            .ask(|done: Told<JetStream<()>, _>| {
                objects.nats.jetstream().publish(&subject, link, done)
            })
            .expect("stored");
    }
    assert_eq!(objects.get("a").expect_err("a circle"), Error::LinkCycle { name: "a".into() });
}

#[test]
fn what_is_known_of_an_object_can_be_changed_and_its_name_too() {
    let objects = Objects::new();
    let data = bytes(CHUNK * 2);
    let stored = objects.put("old", &data);
    let change = |name: &'static str, meta: ObjectMeta| {
        objects.wait(|store, done| store.update_meta(name, meta, done))
    };
    let described = change("old", ObjectMeta::new("old").description("d").header("h", "1"));
    let described = described.expect("described");
    assert_eq!((described.nuid.as_str(), described.size), (stored.nuid.as_str(), stored.size));
    assert!(objects.bytes("old") == data);

    objects.put("taken", b"x");
    let exists = change("old", ObjectMeta::new("taken")).expect_err("taken");
    assert!(matches!(exists, Error::Exists { .. }), "{exists}");
    objects.delete("taken").expect("deleted");
    let renamed =
        change("old", ObjectMeta::new("taken")).expect("the name of a deleted one is free");
    assert!(objects.bytes("taken") == data);
    assert!(objects.info("old").expect_err("renamed").is_not_found());
    assert!(change("old", ObjectMeta::new("y")).expect_err("renamed").is_not_found());
    objects.assert_no_leaks(&[&renamed]);
    assert_eq!(change("taken", ObjectMeta::new("")), Err(Error::EmptyName));
}

#[test]
fn buckets_have_a_life() {
    let objects = Objects::unmade(&server().url(), &unique("life"));
    assert!(objects.wait(|store, done| store.bind(done)).expect_err("none").is_bucket_not_found());
    let missing = objects.wait(|store, done| store.put("n", "x", done));
    assert!(missing.expect_err("none").is_bucket_not_found());
    assert!(objects.get("n").expect_err("none").is_bucket_not_found());
    let config = Config::new().description("d").max_bytes(1_u64 << 20);
    let made = objects.wait(|store, done| store.create_bucket(config.clone(), done)).expect("made");
    assert_eq!((made.config(), made.is_sealed()), (config.clone(), false));
    assert_eq!(made.stream().config.allow_batched, level() >= 4);
    objects.wait(|store, done| store.create_bucket(config.clone(), done)).expect("the same");
    let other = objects.wait(|store, done| store.create_bucket(Config::new(), done));
    assert!(matches!(other, Err(Error::BucketExists { .. })), "{other:?}");
    let updated =
        objects.wait(|store, done| store.update_bucket(config.max_bytes(2_u64 << 20), done));
    assert_eq!(updated.expect("updated").config().max_bytes, Some(2 << 20));
    let either = Config::new().description("e");
    objects.wait(|store, done| store.create_or_update_bucket(either, done)).expect("updated");
    let names = objects.ask(|done: Told<JetStream<()>, _>| {
        objects.nats.jetstream().object_store_names(done);
    });
    assert!(names.expect("names").contains(&objects.store.bucket().to_owned()));

    objects.put("n", b"x");
    let sealed = objects.wait(|store, done| store.seal_bucket(done)).expect("sealed");
    assert!(sealed.is_sealed());
    let refused = objects.wait(|store, done| store.put("m", "x", done));
    assert!(matches!(refused, Err(Error::Sealed { .. })), "{refused:?}");
    let refused = objects.delete("n");
    assert!(matches!(refused, Err(Error::Sealed { .. })), "{refused:?}");
    assert_eq!(objects.bytes("n"), b"x");
}

#[test]
fn a_stream_of_something_else_is_no_bucket() {
    let objects = Objects::unmade(&server().url(), &unique("else"));
    let config = StreamConfig::new(objects.stream()).subjects([unique("subject")]);
    let js = objects.nats.jetstream();
    objects.ask(|done: Told<JetStream<()>, _>| js.create_stream(&config, done)).expect("a stream");
    let bound = objects.wait(|store, done| store.bind(done));
    assert!(matches!(bound, Err(Error::NotABucket { .. })), "{bound:?}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    let objects = Objects::unmade(&server().url(), "a.b");
    let refused = objects.wait(|store, done| store.put("n", "x", done));
    assert!(matches!(refused, Err(Error::InvalidBucket { .. })), "{refused:?}");
    let refused = objects.get("n");
    assert!(matches!(refused, Err(Error::InvalidBucket { .. })), "{refused:?}");

    let objects = Objects::new();
    for size in [0, 64 << 20] {
        let meta = ObjectMeta::new("n").chunk_size(size);
        let refused = objects.wait(|store, done| store.put(meta, "x", done));
        assert!(matches!(refused, Err(Error::InvalidChunkSize { .. })), "{refused:?}");
    }
    let domain = objects.nats.jetstream().with_domain("elsewhere").object_store("b");
    for refused in [
        objects.ask(|done: Told<_, Result<ObjectInfo, Error>>| {
            domain.put("n", "x", done);
        }),
        objects.ask(|done| domain.update_meta("n", "m", done)),
        objects.ask(|done| domain.add_link("n", "m", done)),
        objects.ask(|done| domain.add_bucket_link("n", "m", done)),
    ] {
        assert!(matches!(refused, Err(Error::NoWritesThroughPrefix { .. })), "{refused:?}");
    }
    let refused: Result<(), Error> = objects.ask(|done| domain.delete("n", done));
    assert!(matches!(refused, Err(Error::NoWritesThroughPrefix { .. })), "{refused:?}");
}

/// Bytes on the wire as ADR-20 has them.
#[test]
fn what_is_stored_is_as_others_store_it() {
    requires!(server(), 2, 10);
    let objects = Objects::new();
    objects.put(ObjectMeta::new("n").chunk_size(2), b"abc");
    let subject = format!("$O.{}.M.bg==", objects.store.bucket());
    let stored: StoredMessage = objects
        .ask(|done: Told<JetStream<()>, _>| {
            let query = MessageQuery::LastBySubject(&subject);
            let stream = objects.stream();
            objects.nats.jetstream().stored_message(&stream, query, ReadFrom::Leader, done);
        })
        .expect("stored");
    assert_eq!(stored.headers().get("Nats-Rollup").as_deref(), Some("sub"));
    let json: serde_json::Value = serde_json::from_slice(stored.payload()).expect("JSON");
    assert_eq!(json["digest"], "SHA-256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=");
    assert_eq!((&json["size"], &json["chunks"]), (&3.into(), &2.into()));
    assert_eq!(json["options"]["max_chunk_size"], 2);
    assert_eq!(json["nuid"].as_str().map(str::len), Some(22));
}
