//! `object get`: into a file, which has another name until it is whole, or to the standard output.

use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::object_store::{Error, Get as Transfer, GetOptions, Got, Progress};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Name of the bucket.
    bucket: String,
    /// Name of the object.
    name: String,
    /// The file to write; if absent, one of the object's name in this folder; - for the standard output.
    #[arg(short = 'O', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The first byte that is wanted, counted from 0.
    #[arg(long, value_parser = input::size, value_name = "BYTE", default_value = "0")]
    from: u64,
    /// The first byte that is not wanted.
    #[arg(long, value_parser = input::size, value_name = "BYTE")]
    to: Option<u64>,
    /// Replaces a file that is there without asking.
    #[arg(short, long)]
    force: bool,
    /// Shows no progress.
    #[arg(long)]
    no_progress: bool,
}

impl Get {
    /// The file to write, or nothing for the standard output. What an object is called says nothing of
    /// folders here: others may have put it.
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        if let Some(output) = &self.output {
            return Ok(Some(output.clone()).filter(|output| output.as_os_str() != "-"));
        }
        let no_name = || Failure::new("usage", "the object's name is none of a file: see --output");
        let name = Path::new(&self.name).file_name().ok_or_else(no_name)?;
        Ok(Some(name.into()))
    }

    fn options(&self) -> GetOptions {
        match self.to {
            Some(to) => GetOptions::new().range(self.from..to),
            None => GetOptions::new().range(self.from..),
        }
    }
}

pub(crate) fn get(arguments: Get, session: Session) -> Result<(), Failure> {
    let file = arguments.file()?;
    if let Some(file) = file.as_ref().filter(|file| file.exists()) {
        input::confirm(&format!("Replace {}?", file.display()), arguments.force)?;
    }
    let bar = session.progress(!arguments.no_progress);
    session.run(move |app, client| {
        let store = bucket(app, client, &arguments.bucket);
        let options = arguments.options();
        let written = file.clone();
        let show = move |app: &mut App, store: &Bucket, got: Result<Got, Error>| {
            if let Some(got) = app.check(store.client(), got) {
                if let Some(file) = &written {
                    app.output.object_got(&got, file);
                }
                app.finish(store.client());
            }
        };
        let get = match file {
            Some(file) => store.get_file(&arguments.name, file, options, show),
            None => store.get_to(&arguments.name, io::stdout(), options, show),
        };
        get.on_progress(move |_: &mut App, _: &Transfer<App>, progress: Progress| {
            bar.set(progress.done, progress.total);
            if Some(progress.done) == progress.total {
                bar.finish();
            }
        });
        Ok(())
    })
}
