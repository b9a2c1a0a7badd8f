//! `object info` and `del`: single objects, or without a name the bucket.

use super::buckets::{Remove, remove, show};
use super::{Bucket, bucket};
use crate::failure::Failure;
use crate::input;
use crate::session::{App, Session};
use clap::Args;
use evnats::object_store::{Error, ObjectInfo};

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Name of the bucket.
    bucket: String,
    /// Name of the object.
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Name of the bucket.
    bucket: String,
    /// Name of the object; if absent, the bucket is deleted.
    name: Option<String>,
    /// Does not ask for confirmation.
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn info(arguments: Info, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let store = bucket(app, client, &arguments.bucket);
        match &arguments.name {
            Some(name) => store.info(name, show_object),
            None => store.status(show),
        }
        Ok(())
    })
}

fn show_object(app: &mut App, store: &Bucket, info: Result<ObjectInfo, Error>) {
    if let Some(info) = app.check(store.client(), info) {
        app.output.object(&info);
        app.finish(store.client());
    }
}

pub(crate) fn delete(arguments: Delete, session: Session) -> Result<(), Failure> {
    let Delete { bucket: of, name, force } = arguments;
    let Some(name) = name else { return remove(Remove::new(of, force), session) };
    input::confirm_if_possible(&format!("Delete object {of} > {name}?"), force)?;
    session.run(|app, client| {
        let deleted = name.clone();
        bucket(app, client, &of).delete(&name, move |app: &mut App, store, outcome| {
            if app.check(store.client(), outcome).is_some() {
                app.output.object_deleted(store.bucket(), &deleted);
                app.finish(store.client());
            }
        });
        Ok(())
    })
}
