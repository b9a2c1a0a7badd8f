//! `kv watch`: shows what there is and then every change, until it is stopped, has shown enough,
//! or its time is over.

use super::bucket;
use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Args;
use evnats::kv::{Update, WatchOptions, Watcher};

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Name of the bucket.
    bucket: String,
    /// Which keys: one, or a pattern with `*` for a token and `>` for the last ones.
    #[arg(default_value = ">")]
    pattern: String,
    /// Ends after this many entries, those that are there already included.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn watch(arguments: Watch, session: Session) -> Result<(), Failure> {
    let Watch { bucket: name, pattern, count } = arguments;
    session.living_on().run(|app, client| {
        let mut shown = 0;
        let show = move |app: &mut App, watch: &Watcher<App>, update| match update {
            Update::Entry(entry) => {
                shown += 1;
                app.output.change(&entry);
                if Some(shown) == count {
                    app.finish(watch.bucket().client());
                }
            }
            Update::Initialized => app.output.initialized(),
            Update::Stalled(stall) => app.output.note(&format!("Waiting: {stall}")),
            Update::Resumed => app.output.note("Watching again"),
            Update::Cleared => app.output.note("The bucket was emptied"),
            Update::Ended(error) => app.fail(watch.bucket().client(), error),
            _ => {}
        };
        let watcher = bucket(app, client, &name).watch(&pattern, WatchOptions::new(), show);
        app.stop_at_the_end(move || watcher.stop());
        app.listen(client, format!("Watching {pattern} in {name}"));
        Ok(())
    })
}
