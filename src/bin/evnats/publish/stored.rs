//! `pub --jetstream`: messages that streams acknowledge, as many of them at a time as a window has
//! room for.

use super::Batch;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::session::App;
use crate::template::Context;
use evnats::Client;
use evnats::jetstream::{Error, PublishOptions, PublishWindow, WindowOptions, WindowReport};
use std::rc::Rc;

/// Publishes through a window, and shows how far it has come.
pub(super) fn begin(app: &mut App, client: &Client<App>, batch: &Rc<Batch>, progress: Progress) {
    let window = app.jetstream(client).publish_window(WindowOptions::new());
    let progress = Rc::new(progress);
    let rest = (batch.clone(), progress.clone());
    window.on_ready(move |app, window| send(app, window, &rest.0, &rest.1));
    window.on_failed(|app, window, failed| app.fail(&window.client(), failed.error.clone()));
    send(app, &window, batch, &progress);
}

/// Publishes what the window takes. The rest follows when it has room again, or after the pause.
fn send(app: &mut App, window: &PublishWindow<App>, batch: &Rc<Batch>, progress: &Rc<Progress>) {
    progress.set(window.report().stored, Some(batch.count));
    while batch.sent.get() < batch.count {
        match enqueue(window, batch) {
            Ok(_) => batch.sent.set(batch.sent.get() + 1),
            Err(Error::WindowFull { .. }) => return,
            Err(error) => return app.fail(&window.client(), error),
        }
        if let Some(sleep) = batch.sleep.filter(|_| batch.sent.get() < batch.count) {
            let rest = (window.clone(), batch.clone(), progress.clone());
            let client = window.client();
            client.set_timer(sleep, move |app, _| send(app, &rest.0, &rest.1, &rest.2));
            return;
        }
    }
    let (batch, progress) = (batch.clone(), progress.clone());
    window.finish(move |app: &mut App, window, report| {
        progress.finish();
        end(app, window, &batch, report);
    });
}

fn enqueue(window: &PublishWindow<App>, batch: &Batch) -> Result<u64, Error> {
    let rendered = batch.message.render(&Context::of(batch.sent.get() + 1));
    batch.bytes.set(rendered.body.len());
    let options = PublishOptions::new().headers(rendered.headers());
    window.enqueue_with(&rendered.subject, rendered.body, &options)
}

fn end(app: &mut App, window: &PublishWindow<App>, batch: &Batch, report: WindowReport) {
    let client = window.client();
    if let Some(error) = report.first_error {
        return app.fail(&client, error);
    }
    if report.stored < batch.count {
        let text = format!("only {} of {} messages are stored", report.stored, batch.count);
        return app.fail(&client, Failure::new("not_stored", text));
    }
    if !batch.is_quiet {
        let (subject, bytes) = (&batch.subject_as_given, batch.bytes.get());
        app.output.stored_messages(subject, bytes, &report);
    }
    app.finish(&client);
}
