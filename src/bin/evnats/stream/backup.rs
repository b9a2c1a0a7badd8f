//! `stream backup` and `restore`: a folder with `backup.json` and `stream.tar.s2`, as the `nats` tool
//! has it. The former is written last: a folder without it has no backup.

use super::config::placed;
use crate::failure::Failure;
use crate::input;
use crate::progress::Progress;
use crate::session::{App, Session};
use clap::Args;
use evnats::Client;
use evnats::jetstream::{
    Error, Listed, Listing, Restoring, SnapshotChunk, SnapshotOptions, StreamBackup,
};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

const DOCUMENT: &str = "backup.json";
const DATA: &str = "stream.tar.s2";
/// So much of a backup is sent at once.
const CHUNK: usize = 128 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Name of the stream.
    stream: String,
    /// Folder to write to, which must have no backup yet.
    folder: PathBuf,
    /// Leaves the consumers out.
    #[arg(long)]
    no_consumers: bool,
    /// Has the server check all messages before.
    #[arg(long)]
    check: bool,
    /// Size of the chunks in which it comes, from 1KB to 1MB.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    chunk_size: Option<u64>,
    /// Shows no progress.
    #[arg(long)]
    no_progress: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Folder of the backup.
    folder: PathBuf,
    /// File with another configuration in JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keeps it in a cluster.
    #[arg(long)]
    cluster: Option<String>,
    /// Keeps it on servers with a tag; may be repeated.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// How many copies to store in a cluster, 1 to 5.
    #[arg(long)]
    replicas: Option<u32>,
    /// Shows no progress.
    #[arg(long)]
    no_progress: bool,
}

pub(crate) fn backup(arguments: Backup, session: Session) -> Result<(), Failure> {
    let Backup { stream, folder, no_consumers, check, chunk_size, no_progress } = arguments;
    let is_there = || Failure::new("exists", format!("{} has a backup", folder.display()));
    if folder.join(DOCUMENT).exists() {
        return Err(is_there());
    }
    std::fs::create_dir_all(&folder)?;
    let file = File::create(folder.join(DATA))?;
    let chunk_size = chunk_size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
    let options =
        SnapshotOptions::new().consumers(!no_consumers).check(check).chunk_size(chunk_size);
    let mut keeper = Keeper { file, folder, progress: session.progress(!no_progress), bytes: 0 };
    session.run(|app, client| {
        let snapshot = app.jetstream(client).snapshot_stream(
            &stream,
            &options,
            move |app: &mut App, snapshot: &Listing<App>, listed| {
                keeper.handle(app, snapshot, listed);
            },
        );
        app.stop_at_the_end(move || snapshot.stop());
        Ok(())
    })
}

/// Where a backup is written to.
struct Keeper {
    file: File,
    folder: PathBuf,
    progress: Progress,
    bytes: u64,
}

impl Keeper {
    fn handle(
        &mut self,
        app: &mut App,
        snapshot: &Listing<App>,
        listed: Listed<SnapshotChunk, StreamBackup>,
    ) {
        let client = snapshot.jetstream().client();
        match listed {
            Listed::Item(chunk) => {
                self.bytes = chunk.received;
                self.progress.set(chunk.received, chunk.stream_bytes);
                let written = self.file.write_all(&chunk.data);
                if app.check(client, written).is_none() {
                    snapshot.stop();
                }
            }
            Listed::Ended(end) => self.end(app, client, end),
        }
    }

    fn end(&self, app: &mut App, client: &Client<App>, end: Result<StreamBackup, Error>) {
        self.progress.finish();
        let Some(backup) = app.check(client, end) else { return };
        let document = self.folder.join(DOCUMENT);
        let kept = self.file.sync_all().and_then(|()| std::fs::write(document, backup.to_json()));
        if app.check(client, kept).is_some() {
            app.output.backed_up(&backup, &self.folder, self.bytes);
            app.finish(client);
        }
    }
}

pub(crate) fn restore(arguments: Restore, session: Session) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let backup = StreamBackup::from_json(&input::file(&folder.join(DOCUMENT))?)?;
    let mut config = match &arguments.config {
        Some(file) => input::json_file(file)?,
        None => backup.config().clone(),
    };
    config.num_replicas = arguments.replicas.unwrap_or(config.num_replicas);
    let config = placed(config, arguments.cluster.as_deref(), &arguments.tag);
    let backup = match &config == backup.config() {
        true => backup,
        false => backup.with_config(config)?,
    };
    let data = folder.join(DATA);
    let mut file = File::open(&data).map_err(|error| input::file_failure(&data, &error))?;
    let all = file.metadata()?.len();
    let progress = session.progress(!arguments.no_progress);
    let mut chunk = vec![0; CHUNK];
    session.run(|app, client| {
        let restoring = move |app: &mut App, restore: &evnats::jetstream::Restore<App>, event| {
            let client = restore.jetstream().client();
            match event {
                Restoring::Wanted { sent } => {
                    progress.set(sent, Some(all));
                    let Some(count) = app.check(client, file.read(&mut chunk)) else {
                        return restore.stop();
                    };
                    let sent = restore.send(&chunk[..count]);
                    app.check(client, sent);
                }
                Restoring::Ended(info) => {
                    progress.finish();
                    if let Some(info) = app.check(client, info) {
                        app.output.stream(&info);
                        app.finish(client);
                    }
                }
                _ => {}
            }
        };
        app.jetstream(client).restore_stream(&backup, restoring);
        Ok(())
    })
}
