//! Reports that are too large for a message: put in pieces as they are written, got whole, in part and
//! after a break, linked to, and replaced by whoever has seen the last one.
//!
//! `cargo run --example object_store` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::object_store::{
    Config, Error, GetOptions, Object, ObjectInfo, ObjectMeta, ObjectStore, Piece, Put, PutOptions,
};
use evnats::{Bytes, EventLoop};

type Reports = ObjectStore<App>;

/// A report that is written line by line, when there is room for more of it.
#[derive(Default)]
struct App {
    lines: u32,
}

/// So many lines the report of May has.
const LINES: u32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<App>::new()?;
    let reports = event_loop.connect(url)?.jetstream().object_store("example_reports");
    reports.create_bucket(Config::new().description("reports"), |_, reports, created| {
        created?;
        let may =
            ObjectMeta::new("2026/may").description("sales").header("content-type", "text/csv");
        let put = reports.put_pieces(may, PutOptions::new(), write_more, stored);
        put.on_progress(|_, put, progress| {
            if !put.is_active() {
                println!("stored {} bytes", progress.done);
            }
        });
        Ok(())
    });
    event_loop.run(&mut App::default())?;
    Ok(())
}

/// Runs whenever there is room for about so many bytes.
fn write_more(app: &mut App, _: &Put<App>, room: usize) -> Piece {
    let mut text = String::new();
    while text.len() < room && app.lines < LINES {
        app.lines += 1;
        text += &format!("{:06},ada,{}\n", app.lines, app.lines % 7);
    }
    match text.is_empty() {
        true => Piece::End,
        false => Piece::Data(text.into()),
    }
}

fn stored(_: &mut App, reports: &Reports, stored: Result<ObjectInfo, Error>) -> evnats::Result {
    let info = stored?;
    println!("{} has {} bytes in {} chunks", info.name, info.size, info.chunks);
    reports.add_link("latest", &info, |_, reports, linked| {
        linked?;
        reports.get("latest", got_whole);
        Ok(())
    });
    Ok(())
}

fn got_whole(_: &mut App, reports: &Reports, got: Result<Object, Error>) -> evnats::Result {
    let object = got?;
    let lines = object.data.split(|byte| *byte == b'\n').count() - 1;
    println!("latest is {}: {lines} lines, verified: {}", object.info.name, object.is_verified);
    // a reader that was broken off in the middle goes on where it was
    let options = GetOptions::new().range(object.info.size - 13..);
    let revision = object.info.revision;
    reports.get_with("latest", options, move |_, reports, rest| {
        let rest = rest?;
        println!("bytes {:?}: {}", rest.range, String::from_utf8_lossy(&rest.data).trim_end());
        replace(reports, revision);
        Ok(())
    });
    Ok(())
}

/// Only one of two writers that have seen the same report replaces it.
fn replace(reports: &Reports, revision: u64) {
    for author in ["ada", "bob"] {
        let options = PutOptions::new().expect_revision(revision);
        let text = Bytes::from(format!("corrected by {author}\n"));
        reports.put_with("2026/may", text, options, move |_, reports, stored| {
            match stored {
                Ok(info) => println!("{author} has replaced it, {} bytes", info.size),
                Err(error) if error.is_conflict() => {
                    println!("{author} was not first");
                    clean_up(reports);
                }
                Err(error) => return Err(error.into()),
            }
            Ok(())
        });
    }
}

fn clean_up(reports: &Reports) {
    reports.delete_bucket(|_, reports, deleted| {
        deleted?;
        println!("bucket deleted");
        reports.client().drain();
        Ok(())
    });
}
