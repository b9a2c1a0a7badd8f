//! Getting objects on a real server: ranges, what has changed meanwhile, and what is not as it should be.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evnats::Bytes;
use evnats::jetstream::{JetStream, PurgeOptions, Storage, StoredMessage, StreamConfig};
use evnats::jetstream::{MessageQuery, ReadFrom};
use evnats::object_store::{
    Config, Error, Get, GetOptions, Got, Object, ObjectInfo, ObjectMeta, Piece, Put, PutOptions,
};
use evnats_harness::requires;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use support::asking::Told;
use support::objects::{Objects, bytes};
use support::{server, unique};

type Js = JetStream<()>;

fn range(objects: &Objects, name: &str, range: impl RangeBounds<u64>) -> Result<Object, Error> {
    let options = GetOptions::new().range(range);
    objects.wait(|store, done| store.get_with(name, options, done))
}

/// Gets many ranges of an object, and compares them with its bytes.
fn assert_ranges(objects: &Objects, name: &str, data: &[u8], chunk: u64) {
    let size = data.len() as u64;
    let edges = [0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk, size - chunk, size - 1, size];
    for start in edges {
        for end in edges.into_iter().filter(|end| *end >= start) {
            let object = range(objects, name, start..end).expect("a range");
            assert!(object.data == data[start as usize..end as usize], "{start}..{end}");
            assert_eq!(object.range, start..end);
            assert_eq!(object.is_verified, start == 0 && end == size, "{start}..{end}");
        }
    }
}

fn chunked(name: &str, size: usize) -> ObjectMeta {
    ObjectMeta::new(name).chunk_size(size)
}

#[test]
fn any_part_of_an_object_can_be_got() {
    let objects = Objects::new();
    let data = bytes(10_500);
    objects.put(chunked("n", 1000), &data);
    assert_ranges(&objects, "n", &data, 1000);
    assert_eq!(range(&objects, "n", 10_000..99_999).expect("a range").range, 10_000..10_500);
    let refused = range(&objects, "n", 10_501..);
    assert_eq!(refused, Err(Error::InvalidRange { start: 10_501, end: 10_500, size: 10_500 }));
    objects.put("empty", b"");
    assert_eq!(range(&objects, "empty", 0..).expect("nothing").data, "");
}

/// Two objects that are put at one time, a chunk of each in every turn, so that they are among each other.
fn put_two_at_once(objects: &Objects, size: usize) -> [Vec<u8>; 2] {
    let data = [bytes(size), bytes(size + 8)[8..].to_vec()];
    let left = Rc::new(Cell::new(2));
    for (name, data) in ["one", "two"].into_iter().zip(&data) {
        let left = left.clone();
        let (rest, waits) = (RefCell::new(Bytes::from(data.clone())), Cell::new(false));
        let next = move |(): &mut (), put: &Put<()>, _: usize| {
            if rest.borrow().is_empty() {
                return Piece::End;
            }
            if !waits.replace(!waits.get()) {
                put.set_timer(Duration::ZERO, |(), put| put.resume());
                return Piece::Later;
            }
            Piece::Data(rest.borrow_mut().split_to(1000))
        };
        let options = PutOptions::new();
        objects.store.put_pieces(chunked(name, 1000), options, next, move |(), _, stored| {
            stored.expect("stored");
            left.set(left.get() - 1);
        });
    }
    objects.until("both", || left.get() == 0);
    data
}

#[test]
fn chunks_among_others_are_found() {
    let objects = Objects::new();
    let [one, two] = put_two_at_once(&objects, 100_000);
    assert_ranges(&objects, "one", &one, 1000);
    assert_ranges(&objects, "two", &two, 1000);
    assert!(objects.bytes("two") == two);
}

/// As nats-py makes them: without direct reads.
#[test]
fn a_bucket_without_direct_reads_has_ranges_too() {
    let objects = Objects::unmade(&server().url(), &unique("leader"));
    let bucket = objects.store.bucket();
    let config = StreamConfig::new(objects.stream())
        .subjects([format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")])
        .storage(Storage::Memory)
        .allow_rollup_hdrs(true);
    objects
        .ask(|done: Told<Js, _>| objects.nats.jetstream().create_stream(&config, done))
        .expect("a stream");
    objects.wait(|store, done| store.bind(done)).expect("a bucket");
    let [one, two] = put_two_at_once(&objects, 20_000);
    assert_ranges(&objects, "one", &one, 1000);
    assert!(objects.bytes("two") == two);
}

/// Only the chunks are read that a range is in: of an object that has lost others, it can be got.
#[test]
fn a_range_needs_no_other_chunks() {
    let objects = Objects::new();
    let data = bytes(10_000);
    let info = objects.put(chunked("n", 1000), &data);
    let first = first_chunk(&objects, &info);
    objects
        .ask(|done: Told<Js, _>| {
            objects.nats.jetstream().delete_message(&objects.stream(), first.sequence() + 2, done);
        })
        .expect("deleted");
    let got = range(&objects, "n", 9_500..);
    assert!(got.expect("a range").data == data[9_500..]);
    let damaged = objects.get("n").expect_err("a chunk is missing");
    assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
}

fn first_chunk(objects: &Objects, info: &ObjectInfo) -> StoredMessage {
    let subject = format!("$O.{}.C.{}", info.bucket, info.nuid);
    let query = MessageQuery::NextBySubject { subject: &subject, from: 1 };
    objects
        .ask(|done: Told<Js, _>| {
            let js = objects.nats.jetstream();
            js.stored_message(&objects.stream(), query, ReadFrom::Leader, done);
        })
        .expect("a chunk")
}

#[test]
fn what_is_missing_is_damage_and_not_an_end() {
    let objects = Objects::new();
    let info = objects.put(chunked("n", 1000), &bytes(10_000));
    let first = first_chunk(&objects, &info);
    for sequence in [first.sequence() + 9, first.sequence() + 4, first.sequence()] {
        objects
            .ask(|done: Told<Js, _>| {
                objects.nats.jetstream().delete_message(&objects.stream(), sequence, done);
            })
            .expect("deleted");
        let damaged = objects.get("n").expect_err("a chunk is missing");
        assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
    }
}

/// The replica that serves the consumer lacks a chunk, which the leader has.
#[test]
fn a_chunk_that_a_replica_lacks_is_asked_of_the_leader() {
    let objects = Objects::new();
    let data = bytes(5_000);
    let info = objects.put(chunked("n", 1000), &data);
    let first = first_chunk(&objects, &info);
    let (subject, lacked) = (first.subject().into_owned(), first.sequence() + 2);
    objects
        .ask(|done: Told<Js, _>| {
            objects.nats.jetstream().delete_message(&objects.stream(), lacked, done);
        })
        .expect("deleted");
    let chunk = json!({
        "subject": subject,
        "seq": lacked,
        "data": STANDARD.encode(&data[2000..3000]),
        "time": "2026-01-01T00:00:00Z",
    });
    let (asked, last) = (Rc::new(Cell::new(0)), Cell::new(0));
    let counted = asked.clone();
    let store = objects.seen_through(move |operation, reply| {
        if operation.starts_with("STREAM.INFO.")
            && let Some(count) = reply.pointer_mut(&format!("/state/subjects/{subject}"))
        {
            *count = 5.into();
        }
        if operation.starts_with("STREAM.MSG.GET.") && reply["message"]["subject"] == *subject {
            if last.get() == lacked - 1 {
                reply["message"] = chunk.clone();
            }
            last.set(reply["message"]["seq"].as_u64().expect("a number"));
            counted.set(counted.get() + 1);
        }
    });
    let got: Result<Object, Error> = objects.ask(|done| drop(store.get("n", done)));
    let object = got.expect("an object");
    assert!(object.is_verified && object.data == data);
    assert_eq!(asked.get(), 5, "chunks from the leader");
    // the leader lacks it, too
    let damaged = objects.get("n").expect_err("it is gone");
    assert!(matches!(damaged, Error::Damaged { .. }), "{damaged}");
}

/// Writes what is known of an object as somebody else would.
fn write_meta(objects: &Objects, encoded: &str, json: &str) {
    let subject = format!("$O.{}.M.{encoded}", objects.store.bucket());
    let json = json.to_owned();
    objects
        .ask(|done: Told<Js, _>| objects.nats.jetstream().publish(&subject, json, done))
        .expect("stored");
}

#[test]
fn bytes_that_are_others_are_damage() {
    let objects = Objects::new();
    let info = objects.put("n", b"abc");
    let nuid = &info.nuid;
    for (said, is_damaged) in [
        (r#""size":3,"digest":"SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=""#, true),
        (r#""size":4"#, true),
        (r#""size":3,"digest":"MD5=x""#, true),
        (r#""size":3,"digest":"sha-256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0""#, false),
        (r#""size":3"#, false),
    ] {
        write_meta(
            &objects,
            "bg==",
            &format!(r#"{{"name":"n","nuid":"{nuid}","chunks":1,{said}}}"#),
        );
        let got = objects.get("n");
        match is_damaged {
            true => assert!(matches!(got, Err(Error::Damaged { .. })), "{said}: {got:?}"),
            false => {
                let object = got.expect("an object");
                assert_eq!(
                    (&*object.data, object.is_verified),
                    (&b"abc"[..], said.contains("dig"))
                );
            }
        }
    }
}

#[test]
fn what_is_known_of_an_object_may_be_anything() {
    let objects = Objects::new();
    for json in ["", "junk", "[]", r#"{"name":""}"#, r#"{"name":"n","size":-1}"#] {
        write_meta(&objects, "bg==", json);
        let refused = objects.get("n").expect_err("unreadable");
        assert!(matches!(refused, Error::Unreadable { .. }), "{json}: {refused}");
    }
    // identities that would stand for the chunks of others
    for nuid in ["", ">", "*", "a b", "a.b"] {
        write_meta(
            &objects,
            "bg==",
            &format!(r#"{{"name":"n","nuid":"{nuid}","size":9,"chunks":1}}"#),
        );
        let refused = objects.get("n").expect_err("no chunks");
        assert!(matches!(refused, Error::Damaged { .. }), "{nuid}: {refused}");
    }
    // whatever it is, it can be replaced and deleted
    write_meta(&objects, "bg==", "junk");
    objects.delete("n").expect("deleted");
    write_meta(&objects, "bg==", "junk");
    objects.put("n", b"whole");
    assert_eq!(objects.bytes("n"), b"whole");
}

/// The writers overtake the readers again and again: what is got is one of the objects, or an error.
#[test]
fn an_object_that_is_replaced_while_it_is_got_is_never_a_mixture() {
    let objects = Objects::new();
    let data: Vec<Vec<u8>> = (0..8_u8).map(|n| vec![n; 300_000 + usize::from(n)]).collect();
    objects.put(chunked("n", 10_000), &data[0]);
    let (left, seen) = (Rc::new(Cell::new(80)), Rc::new(RefCell::new(Vec::new())));
    for round in 0..40_usize {
        let (of_put, of_get, seen) = (left.clone(), left.clone(), seen.clone());
        objects.store.get("n", move |(), _, got| {
            seen.borrow_mut().push(got);
            of_get.set(of_get.get() - 1);
        });
        let data = data[round % 8].clone();
        objects.store.put(chunked("n", 10_000), data, move |(), _, stored| {
            stored.expect("stored");
            of_put.set(of_put.get() - 1);
        });
    }
    objects.until("all of them", || left.get() == 0);
    for got in seen.take() {
        match got {
            Ok(object) => assert!(data.iter().any(|data| object.data == *data)),
            Err(error) => assert_eq!(error, Error::Changed { name: "n".into() }),
        }
    }
    let last = objects.get("n").expect("an object");
    objects.assert_no_leaks(&[&last.info]);
}

/// One whose chunks go away in the middle.
#[test]
fn an_object_that_is_replaced_in_the_middle_has_changed() {
    let objects = Objects::new();
    let size = 40 << 20;
    let info = objects.put("n", &bytes(size));
    let (outcome, come) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
    let (told, counted) = (outcome.clone(), come.clone());
    let js = objects.nats.jetstream();
    let (stream, subject) = (objects.stream(), format!("$O.{}.C.{}", info.bucket, info.nuid));
    let has_purged = Cell::new(false);
    let on_data = move |(): &mut (), get: &Get<()>, data: &[u8]| {
        counted.set(counted.get() + data.len());
        if !has_purged.replace(true) {
            let name = "n".to_owned();
            let options = PurgeOptions::new().subject(subject.clone());
            let store = get.bucket().clone();
            js.purge_stream(&stream, &options, move |(), _, purged| {
                purged.expect("purged");
                store.put(name, "new", |(), _, stored| drop(stored.expect("stored")));
            });
        }
    };
    objects.store.get_pieces("n", GetOptions::new(), on_data, move |(), _, got| {
        told.replace(Some(got));
    });
    objects.until("the outcome", || outcome.borrow().is_some());
    let error = outcome.take().expect("an outcome").expect_err("it is another one");
    let is_told = matches!(error, Error::Changed { .. } | Error::Damaged { .. });
    assert!(is_told && come.get() < size, "{error}, {}", come.get());
}

#[test]
fn objects_go_to_writers_and_files() {
    let objects = Objects::new();
    let data = bytes(700_001);
    objects.put("n", &data);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("got");
    std::fs::write(&path, "before").expect("a file");
    let last = Rc::new(Cell::new(None));
    let told = last.clone();
    let got: Result<Got, Error> = objects.wait(|store, done| {
        let get = store.get_file("n", &path, GetOptions::new(), done);
        get.on_progress(move |(), _, progress| told.set(Some(progress)));
    });
    assert!(got.expect("a file").is_verified);
    assert!(std::fs::read(&path).expect("a file") == data);
    let last = last.take().expect("progress");
    assert_eq!((last.done, last.total), (700_001, Some(700_001)));

    // one that fails leaves what was there, and nothing else
    let failed = objects.wait(|store, done| store.get_file("x", &path, GetOptions::new(), done));
    assert!(failed.expect_err("none").is_not_found());
    assert!(std::fs::read(&path).expect("a file") == data);
    assert_eq!(directory.path().read_dir().expect("a directory").count(), 1);
    let nowhere = directory.path().join("no/where");
    let failed = objects.wait(|store, done| store.get_file("n", nowhere, GetOptions::new(), done));
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");

    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let to =
        |room| objects.wait(|store, done| store.get_to("n", Full(room), GetOptions::new(), done));
    let failed = to(300_000);
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    to(700_001).expect("room");
}

/// A get that was broken off goes on where it was.
#[test]
fn a_get_that_was_aborted_can_be_resumed() {
    let objects = Objects::new();
    let data = bytes(5_000_000);
    objects.put("n", &data);
    let got = Rc::new(RefCell::new(Vec::new()));
    let come = got.clone();
    let on_data = move |(): &mut (), get: &Get<()>, data: &[u8]| {
        come.borrow_mut().extend_from_slice(data);
        if come.borrow().len() > 1_000_000 {
            get.abort();
        }
    };
    let options = GetOptions::new();
    let aborted = objects.wait(|store, done| store.get_pieces("n", options, on_data, done));
    assert_eq!(aborted, Err(Error::Aborted));
    let len = got.borrow().len();
    assert!((1_000_001..1_400_000).contains(&len), "{len}");
    let rest = range(&objects, "n", len as u64..).expect("the rest");
    got.borrow_mut().extend_from_slice(&rest.data);
    assert!(*got.borrow() == data);
}

#[test]
fn a_panic_in_a_callback_costs_what_it_was_given_and_nothing_else() {
    let objects = Objects::new();
    let data = bytes(100_000);
    objects.put(chunked("n", 10_000), &data);
    for panics_at in [0, 9] {
        let (outcome, pieces) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
        let (told, counted) = (outcome.clone(), pieces.clone());
        let on_data = move |(): &mut (), _: &Get<()>, _: &[u8]| {
            let piece = counted.replace(counted.get() + 1);
            assert!(piece != panics_at, "a bug in the application");
        };
        objects.store.get_pieces("n", GetOptions::new(), on_data, move |(), _, got| {
            told.replace(Some(got));
        });
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            objects.until("the outcome", || outcome.borrow().is_some());
        }));
        assert!(panicked.is_err());
        objects.until("the outcome", || outcome.borrow().is_some());
        assert!(outcome.take().expect("an outcome").expect("all has come").is_verified);
        assert_eq!(pieces.get(), 10);
    }
}

/// Servers before 2.11 have no direct reads that tell how many messages are behind one.
#[test]
fn chunks_are_found_in_few_reads() {
    requires!(server(), 2, 11);
    let objects = Objects::with(Config::new());
    let [one, _] = put_two_at_once(&objects, 300_000);
    let asked = Rc::new(Cell::new(0));
    let counted = asked.clone();
    objects.nats.on_frame(move |(), _, frame| {
        if format!("{frame:?}").contains("DIRECT.GET") {
            counted.set(counted.get() + 1);
        }
    });
    let got = range(&objects, "one", 150_000..150_010).expect("a range");
    assert!(got.data == one[150_000..150_010]);
    assert!((1..=20).contains(&asked.get()), "{}", asked.get());
}
