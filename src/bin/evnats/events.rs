//! `events`: what servers tell of JetStream of their own accord, until it is stopped, has shown
//! enough, or its time is over.

use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Args;
use evnats::jetstream::{Listed, Listing};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shows advisories, and no metrics.
    #[arg(long, conflicts_with_all = ["js_metric", "filter"])]
    js_advisory: bool,
    /// Shows metrics, and no advisories.
    #[arg(long, conflicts_with = "filter")]
    js_metric: bool,
    /// Shows what has subjects like this behind $JS.EVENT, as ADVISORY.CONSUMER.>.
    #[arg(long, value_name = "SUBJECT")]
    filter: Option<String>,
    /// Ends after this many events.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let filter = match (arguments.js_advisory, arguments.js_metric) {
        (true, _) => "ADVISORY.>".to_owned(),
        (_, true) => "METRIC.>".to_owned(),
        _ => arguments.filter.unwrap_or_else(|| ">".into()),
    };
    session.living_on().run(|app, client| {
        let mut shown = 0;
        let show = move |app: &mut App, listing: &Listing<App>, listed| {
            let client = listing.jetstream().client();
            match listed {
                Listed::Item(advisory) => {
                    shown += 1;
                    app.output.advisory(&advisory);
                    if Some(shown) == arguments.count {
                        app.finish(client);
                    }
                }
                Listed::Ended(Ok(())) => app.finish(client),
                Listed::Ended(Err(error)) => app.fail(client, error),
            }
        };
        let listing = app.jetstream(client).advisories(Some(&filter), show);
        app.stop_at_the_end(move || listing.stop());
        app.listen(client, format!("Listening for events on $JS.EVENT.{filter}"));
        Ok(())
    })
}
