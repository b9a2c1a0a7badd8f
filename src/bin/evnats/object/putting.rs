//! `object put`: a file, or what the standard input has, of any size.

use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::object_store::{Error, ObjectInfo, ObjectMeta, Progress, Put as Transfer, PutOptions};
use std::io;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Put {
    /// Name of the bucket.
    bucket: String,
    /// The file; if absent, or -, the standard input, and --name says what it is called.
    file: Option<PathBuf>,
    /// Name of the object; that of the file as it is given if absent.
    #[arg(long)]
    name: Option<String>,
    /// A text for people.
    #[arg(long)]
    description: Option<String>,
    /// A header; may be repeated.
    #[arg(short = 'H', long = "header", value_parser = input::pair_of_header, value_name = "NAME:VALUE")]
    headers: Vec<input::Pair>,
    /// Metadata; may be repeated.
    #[arg(long, value_parser = input::pair, value_name = "KEY=VALUE")]
    metadata: Vec<input::Pair>,
    /// Size of the chunks in which it is stored, as 64KB.
    #[arg(long, value_parser = input::size, value_name = "BYTES")]
    chunk_size: Option<u64>,
    /// Puts it only if the object is at this revision; 0 if there never was one.
    #[arg(long, value_name = "REVISION")]
    revision: Option<u64>,
    /// Shows no progress.
    #[arg(long)]
    no_progress: bool,
}

impl Put {
    /// What is put: the name of a file, or nothing for the standard input.
    fn source(&self) -> Result<(ObjectMeta, Option<PathBuf>), Failure> {
        let file = self.file.clone().filter(|file| file.as_os_str() != "-");
        let of_file = file.as_ref().map(|file| file.display().to_string());
        let Some(name) = self.name.clone().or(of_file) else {
            return Err(Failure::new("usage", "what the standard input has needs a --name"));
        };
        let mut meta = ObjectMeta::new(name);
        meta.description = self.description.clone();
        meta.chunk_size = self.chunk_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        for (key, value) in self.metadata.iter().cloned().map(input::Pair::into_parts) {
            meta = meta.metadata(key, value);
        }
        for (name, value) in self.headers.iter().cloned().map(input::Pair::into_parts) {
            meta = meta.header(name, value);
        }
        Ok((meta, file))
    }

    fn options(&self) -> PutOptions {
        self.revision.into_iter().fold(PutOptions::new(), PutOptions::expect_revision)
    }
}

pub(crate) fn put(arguments: Put, session: Session) -> Result<(), Failure> {
    let (meta, file) = arguments.source()?;
    let bar = session.progress(!arguments.no_progress);
    session.run(move |app, client| {
        let (store, options) = (bucket(app, client, &arguments.bucket), arguments.options());
        let put = match file {
            Some(file) => store.put_file(meta, file, options, show),
            None => store.put_from(meta, io::stdin(), options, show),
        };
        put.on_progress(move |_: &mut App, _: &Transfer<App>, progress: Progress| {
            bar.set(progress.done, progress.total);
            if Some(progress.done) == progress.total {
                bar.finish();
            }
        });
        Ok(())
    })
}

fn show(app: &mut App, store: &Bucket, stored: Result<ObjectInfo, Error>) {
    if let Some(info) = app.check(store.client(), stored) {
        app.output.object(&info);
        app.finish(store.client());
    }
}
