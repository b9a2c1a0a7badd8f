//! `kv watch`: shows what there is and then every change, until it is stopped, has shown enough,
//! or its time is over.

use super::on_bucket;
use super::reading::Proof;
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
    /// Shows what was written in one atomic batch together, when all of it is there.
    #[arg(long)]
    whole_batches: bool,
    #[command(flatten)]
    proof: Proof,
}

pub(crate) fn watch(arguments: Watch, session: Session) -> Result<(), Failure> {
    let Watch { bucket: name, pattern, count, whole_batches, proof } = arguments;
    on_bucket(session.living_on(), name, move |app, kv| {
        let mut shown = 0;
        let show = move |app: &mut App, watch: &Watcher<App>, update| match update {
            Update::Entry(entry) => {
                app.output.change(&entry);
                shown += 1;
                end_with(app, watch, shown, count);
            }
            Update::Batch(entries) => {
                app.output.batch(&entries);
                shown += entries.len() as u64;
                end_with(app, watch, shown, count);
            }
            Update::Initialized => app.output.initialized(),
            Update::Stalled(stall) => app.output.note(&format!("Waiting: {stall}")),
            Update::Resumed => app.output.note("Watching again"),
            Update::Cleared => app.output.note("The bucket was emptied"),
            Update::Ended(error) => app.fail(watch.bucket().client(), error),
            _ => {}
        };
        let options = match whole_batches {
            true => WatchOptions::new().whole_batches(),
            false => WatchOptions::new(),
        };
        let watcher = proof.apply(kv).watch(&pattern, options, show);
        app.stop_at_the_end(move || watcher.stop());
        app.listen(kv.client(), format!("Watching {pattern} in {}", kv.bucket()));
    })
}

/// Ends the verb when enough was shown.
fn end_with(app: &mut App, watch: &Watcher<App>, shown: u64, count: Option<u64>) {
    if count.is_some_and(|count| shown >= count) {
        app.finish(watch.bucket().client());
    }
}
