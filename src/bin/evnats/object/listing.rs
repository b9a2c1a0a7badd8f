//! `object ls` and `watch`: the objects of a bucket, or the buckets; and what changes.

use super::bucket;
use crate::failure::Failure;
use crate::session::{App, Session};
use crate::stream::{collect, note_end};
use clap::Args;
use evnats::object_store::{ListOptions, Update, WatchOptions, Watcher};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Name of the bucket; if absent, the buckets are listed.
    bucket: Option<String>,
    /// Lists nothing but names.
    #[arg(short, long)]
    names: bool,
    /// Lists deleted objects, too.
    #[arg(long, requires = "bucket")]
    deleted: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Name of the bucket.
    bucket: String,
    /// Shows only what changes from now on.
    #[arg(long)]
    updates_only: bool,
    /// Ends after this many objects, those that are there already included.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn list(arguments: List, session: Session) -> Result<(), Failure> {
    let List { bucket: name, names, deleted } = arguments;
    let Some(name) = name else { return list_buckets(names, session) };
    let options = match deleted {
        true => ListOptions::new().include_deleted(),
        false => ListOptions::new(),
    };
    session.run(|app, client| {
        bucket(app, client, &name).list_with(options, move |app: &mut App, store, listed| {
            let Some(list) = app.check(store.client(), listed) else { return };
            list.unreadable.iter().for_each(|bad| app.output.note(&bad.to_string()));
            if names {
                let names: Vec<_> = list.objects.into_iter().map(|info| info.name).collect();
                app.output.names("name", &names);
            } else {
                app.output.objects(store.bucket(), &list.objects);
            }
            app.finish(store.client());
        });
        Ok(())
    })
}

fn list_buckets(names_only: bool, session: Session) -> Result<(), Failure> {
    session.run(|app, client| {
        let js = app.jetstream(client);
        if names_only {
            js.object_store_names(|app: &mut App, js, names| {
                if let Some(names) = app.check(js.client(), names) {
                    app.output.names("bucket", &names);
                    app.finish(js.client());
                }
            });
            return Ok(());
        }
        let mut buckets = Vec::new();
        js.list_object_stores(move |app: &mut App, listing, listed| {
            if let Some(end) = collect(app, listing, listed, &mut buckets) {
                app.output.object_buckets(&buckets);
                note_end(app, listing, &end);
            }
        });
        Ok(())
    })
}

pub(crate) fn watch(arguments: Watch, session: Session) -> Result<(), Failure> {
    let Watch { bucket: name, updates_only, count } = arguments;
    let options = match updates_only {
        true => WatchOptions::new().updates_only(),
        false => WatchOptions::new(),
    };
    session.living_on().run(move |app, client| {
        let mut shown = 0;
        let store = bucket(app, client, &name);
        let show = move |app: &mut App, watch: &Watcher<App>, update| match update {
            Update::Object(info) => {
                app.output.object_changed(&info);
                shown += 1;
                if count.is_some_and(|count| shown >= count) {
                    app.finish(watch.bucket().client());
                }
            }
            Update::Unreadable(bad) => app.output.note(&bad.to_string()),
            Update::Initialized => app.output.initialized(),
            Update::Stalled(stall) => app.output.note(&format!("Waiting: {stall}")),
            Update::Resumed => app.output.note("Watching again"),
            Update::Ended(error) => app.fail(watch.bucket().client(), error),
            _ => {}
        };
        let watcher = store.watch(options, show);
        app.stop_at_the_end(move || watcher.stop());
        app.listen(client, format!("Watching {name}"));
        Ok(())
    })
}
