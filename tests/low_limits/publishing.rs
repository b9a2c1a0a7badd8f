//! The rows about what is published, and counters and schedules.

use super::Outcome::{
    BatchTooLarge, ControlLineTooLong, PayloadTooLarge, Refused, TooManyBatches, WindowFull,
};
use super::support::fail;
use super::{App, Js, Row, large, long, note, row, text};
use evnats::jetstream::{
    Error, ErrorCode, FastIngest, IngestOptions, Integer, PublishOptions, PublishWindow, ReadFrom,
    WindowOptions, WindowReport,
};
use std::rc::Rc;

fn options() -> PublishOptions {
    PublishOptions::new()
}

fn huge_number() -> Integer {
    format!("1{}", "0".repeat(2 * super::MAX_PAYLOAD)).parse().expect("a number")
}

fn window(js: &Js) -> PublishWindow<App> {
    js.publish_window(WindowOptions::new().max_outstanding(2))
}

pub(super) fn rows() -> Vec<Row> {
    let rows = [one(), counters_and_schedules(), windows(), ingests(), batches(), vec![filled()]];
    rows.into_iter().flatten().collect()
}

fn one() -> Vec<Row> {
    vec![
        row("JetStream::publish", |js| js.publish("s.a", large(), note), PayloadTooLarge),
        row("JetStream::publish", |js| js.publish(&long(), "x", note), ControlLineTooLong),
        row(
            "JetStream::publish",
            |js| js.publish("full", "x", note),
            Refused(ErrorCode::STORE_FAILED),
        ),
        row(
            "JetStream::publish",
            |js| js.publish("full", text(200), note),
            Refused(ErrorCode::MESSAGE_TOO_LARGE),
        ),
        row(
            "JetStream::publish_with",
            |js| js.publish_with("s.a", "x", &options().message_id(&large()), note),
            PayloadTooLarge,
        ),
    ]
}

fn counters_and_schedules() -> Vec<Row> {
    vec![
        row(
            "JetStream::counter_add",
            |js| js.counter_add("counted.a", huge_number(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::counter_add",
            |js| js.counter_add(&format!("counted.{}", long()), 1, note),
            ControlLineTooLong,
        ),
        row(
            "JetStream::counter_add_once",
            |js| js.counter_add_once("counted.a", 1, &large(), note),
            PayloadTooLarge,
        ),
        row(
            "JetStream::counter_get",
            |js| js.counter_get("COUNTED", &large(), ReadFrom::Leader, note),
            PayloadTooLarge,
        ),
        row("JetStream::schedule", |js| js.schedule("S", &large(), note), PayloadTooLarge),
        row(
            "JetStream::cancel_schedule",
            |js| js.cancel_schedule("S", &large(), note),
            PayloadTooLarge,
        ),
    ]
}

fn windows() -> Vec<Row> {
    vec![
        row(
            "PublishWindow::publish",
            |js| {
                window(js).publish("s.a", large(), note).expect("room");
            },
            PayloadTooLarge,
        ),
        row(
            "PublishWindow::publish_with",
            |js| {
                let options = options().message_id(&long());
                window(js).publish_with(&long(), "x", &options, note).expect("room");
            },
            ControlLineTooLong,
        ),
        row(
            "PublishWindow::publish",
            |js| {
                let window = window(js);
                for number in 1..=2 {
                    assert_eq!(window.enqueue("s.a", "x"), Ok(number));
                }
                let refused = window.publish("s.a", "x", |_, _, _| fail("it was to be dropped"));
                window.finish(move |app: &mut App, window, report: WindowReport| {
                    assert!(report.is_complete() && report.stored == 2, "{report:?}");
                    note(app, window, refused);
                });
            },
            WindowFull,
        ),
        row(
            "PublishWindow::finish",
            |js| {
                let window = window(js);
                window.enqueue("s.a", large()).expect("room");
                window.enqueue_with(&long(), "x", &options()).expect("room");
                window.finish(|app: &mut App, _, report| {
                    assert_eq!((report.published, report.not_stored), (2, 2), "{report:?}");
                    app.outcomes.push(report.first_error.expect("an error").into());
                });
            },
            PayloadTooLarge,
        ),
    ]
}

/// Adds a message that cannot be, and finishes.
fn add_too_large(_: &mut App, ingest: &FastIngest<App>) {
    let refused = ingest.add("s.a", large());
    ingest.add("s.a", "x").expect("it is not over");
    ingest.finish(|app, ingest, report| {
        let report = report.expect("the others are stored");
        assert_eq!((report.published, report.stored), (2, 2), "{report:?}");
        note(app, ingest, refused);
    });
}

fn ingests() -> Vec<Row> {
    vec![row(
        "FastIngest::finish",
        |js| {
            let ingest = js.fast_ingest(IngestOptions::new());
            ingest.on_ready(add_too_large);
            // the stream has to take the first one before there is room for the next
            assert_eq!(ingest.add("s.a", "x"), Ok(1));
            assert!(matches!(ingest.add("s.a", "x"), Err(Error::WindowFull { .. })));
        },
        PayloadTooLarge,
    )]
}

fn batches() -> Vec<Row> {
    vec![
        row(
            "AtomicBatch::commit",
            |js| {
                let batch = js.atomic_batch();
                for _ in 0..6 {
                    batch.add("s.a", "x", &options()).expect("room");
                }
                batch.commit("s.a", "x", &options(), note);
            },
            BatchTooLarge(5),
        ),
        row(
            "AtomicBatch::commit",
            |js| js.atomic_batch().commit(&long(), "x", &options(), note),
            ControlLineTooLong,
        ),
        row(
            "AtomicBatch::commit",
            |js| {
                let batch = js.atomic_batch();
                batch.add("s.a", "x", &options()).expect("room");
                batch.commit("s.a", large(), &options(), note);
            },
            PayloadTooLarge,
        ),
        row(
            "AtomicBatch::on_failed",
            |js| {
                let batch = Rc::new(js.atomic_batch());
                let held = batch.clone();
                batch.on_failed(move |app: &mut App, _, error| {
                    app.outcomes.push(error.into());
                    drop(held);
                });
                batch.add("s.a", large(), &options()).expect("room");
            },
            PayloadTooLarge,
        ),
        row(
            "AtomicBatch::commit_with_end",
            |js| {
                let batch = js.atomic_batch();
                for payload in ["x".into(), large()] {
                    batch.add("s.a", payload, &options()).expect("room");
                }
                batch.commit_with_end(note);
            },
            PayloadTooLarge,
        ),
        row(
            "AtomicBatch::commit_with_end",
            |js| {
                let open = [js.atomic_batch(), js.atomic_batch()];
                for batch in &open {
                    batch.add("s.a", "x", &options()).expect("room");
                }
                let batch = js.atomic_batch();
                batch.add("s.a", "x", &options()).expect("room");
                batch.commit_with_end(move |app: &mut App, js, stored| {
                    note(app, js, stored);
                    drop(open);
                });
            },
            TooManyBatches,
        ),
    ]
}

/// Takes all that the account may store, so it is the last one that stores something.
fn filled() -> Row {
    row(
        "PublishWindow::finish",
        |js| {
            let window = js.publish_window(WindowOptions::new());
            for _ in 0..100 {
                window.enqueue("spare", text(1000)).expect("room");
            }
            window.finish(|app: &mut App, _, report| {
                assert!(report.stored > 0 && report.not_stored > 0, "{report:?}");
                assert_eq!(report.stored + report.not_stored, 100, "{report:?}");
                app.outcomes.push(report.first_error.expect("an error").into());
            });
        },
        Refused(ErrorCode::ACCOUNT_RESOURCES_EXCEEDED),
    )
}
