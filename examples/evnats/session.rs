//! One run of the loop for one verb: connects, lets the verb begin, and says how it ended.
//!
//! A verb ends by [`App::finish`] or [`App::fail`]. What a connection does after that, such as
//! closing, is no error any more.

use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use clap::Args;
use evnats::kv::Watcher;
use evnats::{Client, ConnectionError, EventLoop, Options};
use std::time::Duration;

/// Options of all verbs.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// URL of the server.
    #[arg(
        short,
        long,
        global = true,
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL"
    )]
    server: String,
    /// Time for connecting and for each answer, as 5s or 500ms; 5s if not given. If it is given,
    /// sub, reply and watch end after that time, without an error.
    #[arg(long, global = true, value_parser = input::duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Writes results and errors as JSON, one object a line, all on the standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Name of the connection in the server's monitoring.
    #[arg(long, global = true, default_value = "evnats", value_name = "NAME")]
    connection_name: String,
}

/// Where and how a verb is to be carried out.
pub(crate) struct Session {
    global: Global,
}

/// The state that callbacks share.
pub(crate) struct App {
    pub(crate) output: Output,
    /// The server's URL, as it was given.
    pub(crate) server: String,
    /// The watch to stop at the end.
    pub(crate) watcher: Option<Watcher<App>>,
    listening_time: Option<Duration>,
    finished: bool,
    failure: Option<Failure>,
    /// Why the connection was lost or could not be made.
    disconnect: Option<Failure>,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// Where what is said before the loop runs is written.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.global.json)
    }

    /// Time for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.global.timeout.unwrap_or(Duration::from_secs(5))
    }

    /// Connects, has a verb begin, and runs the loop until it has ended.
    pub(crate) fn run(
        self,
        begin: impl FnOnce(&mut App, &Client<App>) -> evnats::Result<()>,
    ) -> Result<(), Failure> {
        let timeout = self.timeout();
        let options = Options::new(self.global.server.as_str())
            .name(self.global.connection_name)
            .connect_timeout(timeout)
            .request_timeout(timeout)
            .drain_timeout(timeout);
        let event_loop = EventLoop::new()?;
        let client = event_loop.connect(options)?;
        install_hooks(&client);
        let mut app = App {
            output: Output::new(self.global.json),
            server: self.global.server,
            watcher: None,
            listening_time: self.global.timeout,
            finished: false,
            failure: None,
            disconnect: None,
        };
        begin(&mut app, &client)?;
        event_loop.run(&mut app)?;
        app.outcome()
    }
}

fn install_hooks(client: &Client<App>) {
    client.on_error(|app, client, error| match error {
        // there may be other servers; that none took the client is told at the end
        ConnectionError::ConnectFailed { .. } => {}
        error => app.fail(client, error.clone()),
    });
    client.on_close(|app, client, reason| {
        if !app.finished {
            app.disconnect = Some(reason.into());
        }
        // a timer that is left must not hold the loop
        client.handle().stop();
    });
}

impl App {
    /// Ends the verb: it has done its work.
    pub(crate) fn finish(&mut self, client: &Client<App>) {
        self.finished = true;
        if let Some(watcher) = self.watcher.take() {
            watcher.stop();
        }
        client.drain();
    }

    /// Ends the verb with an error. Only the first one counts.
    pub(crate) fn fail(&mut self, client: &Client<App>, failure: impl Into<Failure>) {
        if !self.finished {
            self.finished = true;
            self.failure = Some(failure.into());
        }
        client.close();
    }

    /// Takes the value out of an outcome, or fails.
    pub(crate) fn check<T>(
        &mut self,
        client: &Client<App>,
        outcome: Result<T, impl Into<Failure>>,
    ) -> Option<T> {
        outcome.map_err(|error| self.fail(client, error)).ok()
    }

    /// For verbs that listen until they are stopped: tells when the server knows of it, and ends
    /// the verb after the time that was given, if one was.
    pub(crate) fn listen(&self, client: &Client<App>, note: String) {
        let time = self.listening_time;
        client.flush(move |app, client, outcome| {
            if app.check(client, outcome).is_none() {
                return;
            }
            app.output.note(&note);
            if let Some(time) = time {
                let client = client.clone();
                client.handle().clone().set_timer(time, move |app, _| app.finish(&client));
            }
        });
    }

    /// What a verb that could not reach the server says of it is less than the reason.
    fn outcome(self) -> Result<(), Failure> {
        match (self.failure, self.disconnect) {
            (Some(failure), Some(reason)) if failure.is_not_connected() => Err(reason),
            (Some(failure), _) => Err(failure),
            (None, Some(reason)) => Err(reason),
            (None, None) => Ok(()),
        }
    }
}
