//! One run of the loop for one verb: connects, lets the verb begin, and says how it ended.
//!
//! A verb ends by [`App::finish`] or [`App::fail`]. What a connection does after that, such as
//! closing, is no error any more.

use crate::encryption::Encryption;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::input;
use crate::output::Output;
use crate::progress::Progress;
use clap::Args;
use evnats::jetstream::JetStream;
use evnats::{
    Client, ConnectionError, ConnectionState, EventLoop, FlushError, Handle, Options,
    ServerErrorKind,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the tool connects to if nothing is said, or an empty variable.
const DEFAULT_SERVER: &str = "nats://127.0.0.1:4222";

/// Options of all verbs.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// URL of the server; several have commas between them.
    #[arg(
        short,
        long,
        global = true,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = DEFAULT_SERVER,
        value_name = "URL"
    )]
    server: String,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    encryption: Encryption,
    /// Time for connecting and for each answer, as 5s or 500ms; 5s if not given. If it is given,
    /// sub, reply and watch end after that time, without an error.
    #[arg(long, global = true, value_parser = input::duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Writes results and errors as JSON, one object a line, all on the standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Shows every frame on the wire, on the standard error, without secrets.
    #[arg(long, global = true)]
    trace: bool,
    /// Name of the connection in the server's monitoring.
    #[arg(long, global = true, default_value = "evnats", value_name = "NAME")]
    connection_name: String,
    /// First token or tokens of the subjects that replies come on.
    #[arg(long, global = true, default_value = "_INBOX", value_name = "PREFIX")]
    inbox_prefix: String,
    /// Domain of JetStream.
    #[arg(long, global = true, value_name = "DOMAIN", conflicts_with = "js_api_prefix")]
    js_domain: Option<String>,
    /// First tokens of JetStream's subjects, instead of $JS.API.
    #[arg(long, global = true, value_name = "PREFIX")]
    js_api_prefix: Option<String>,
}

impl Global {
    /// Adds what the environment says.
    ///
    /// # Errors
    /// The options contradict each other.
    pub(crate) fn resolve(mut self) -> Result<Self, &'static str> {
        if self.server.trim().is_empty() {
            self.server = DEFAULT_SERVER.into();
        }
        self.identity = self.identity.resolve()?;
        self.encryption = self.encryption.resolve()?;
        Ok(self)
    }

    fn js_api_prefix(&self) -> Option<String> {
        let of_domain = self.js_domain.as_ref().map(|domain| format!("$JS.{domain}.API"));
        of_domain.or_else(|| self.js_api_prefix.clone())
    }
}

/// Where and how a verb is to be carried out.
pub(crate) struct Session {
    global: Global,
    lives_on: bool,
}

/// The state that callbacks share.
pub(crate) struct App {
    pub(crate) output: Output,
    /// The server that the tool is connected to, or was.
    pub(crate) server: String,
    /// What is to be stopped at the end.
    stop: Option<Box<dyn FnOnce()>>,
    js_api_prefix: Option<String>,
    begin: Option<Begin>,
    /// What waits for an answer of the person at the terminal.
    question: Option<OnAnswer>,
    listening_time: Option<Duration>,
    /// Whether another connection is made when one is lost.
    lives_on: bool,
    finished: bool,
    failure: Option<Failure>,
    /// Why the last connection was lost.
    lost: Option<Failure>,
    /// Why the servers could not be connected to, since the last connection.
    attempts: BTreeMap<String, Failure>,
}

type Begin = Box<dyn FnOnce(&mut App, &Client<App>)>;
type OnAnswer = Box<dyn FnOnce(&mut App, bool)>;

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        Self { global, lives_on: false }
    }

    /// The verb goes on when a connection is lost and made again.
    pub(crate) fn living_on(self) -> Self {
        Self { lives_on: true, ..self }
    }

    /// Where what is said before the loop runs is written.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.global.json)
    }

    /// Whether results are written for people.
    pub(crate) fn is_for_people(&self) -> bool {
        !self.global.json
    }

    /// A bar of bytes, if one is to be shown.
    pub(crate) fn progress(&self, is_wanted: bool) -> Progress {
        Progress::bytes(is_wanted && !self.global.json)
    }

    /// A bar of messages, if one is to be shown.
    pub(crate) fn progress_of_messages(&self, is_wanted: bool) -> Progress {
        Progress::messages(is_wanted && !self.global.json)
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
        let mut app = App {
            output: self.output(),
            server: String::new(),
            stop: None,
            js_api_prefix: self.global.js_api_prefix(),
            begin: None,
            question: None,
            listening_time: self.global.timeout,
            lives_on: self.lives_on,
            finished: false,
            failure: None,
            lost: None,
            attempts: BTreeMap::new(),
        };
        let trace = self.global.trace;
        let event_loop = EventLoop::<App>::new()?;
        let client = event_loop.connect(self.options())?;
        if trace {
            client.on_frame(|app, _, frame| app.output.note(&frame.to_string()));
        }
        install_hooks(&client);
        begin(&mut app, &client)?;
        event_loop.run(&mut app)?;
        app.outcome()
    }

    fn options(self) -> Options {
        let timeout = self.timeout();
        let global = self.global;
        let options = Options::new(global.server)
            .name(global.connection_name)
            .inbox_prefix(global.inbox_prefix)
            .connect_timeout(timeout)
            .request_timeout(timeout)
            .drain_timeout(timeout)
            .reconnect(self.lives_on);
        global.encryption.apply(global.identity.apply(options))
    }
}

fn install_hooks(client: &Client<App>) {
    client.on_connect(|app, client, _| {
        app.note_connection(client);
        if let Some(begin) = app.begin.take() {
            begin(app, client);
        }
    });
    client.on_reconnect(|app, client, _| {
        app.note_connection(client);
        app.output.note(&format!("reconnected to {}", app.server));
    });
    client.on_disconnect(|app, _, reason| {
        if !app.finished {
            app.lost = Some(reason.into());
            if app.lives_on {
                app.output.note(&format!("disconnected from {}: {reason}", app.server));
            }
        }
    });
    client.on_error(|app, client, error| match error {
        // there may be other servers; that none took the client is told at the end
        ConnectionError::ConnectFailed { server, .. } => {
            app.attempts.insert(server.clone(), error.clone().into());
        }
        error if app.lives_on && !ends_listening(error) => app.output.note(&error.to_string()),
        error => app.fail(client, error.clone()),
    });
    // a timer that is left must not hold the loop
    client.on_close(|_, client, _| client.handle().stop());
}

/// Whether what listens would listen in vain from now on.
fn ends_listening(error: &ConnectionError) -> bool {
    use ServerErrorKind::{InvalidSubject, PermissionsViolation, TooManySubscriptions};
    match error {
        ConnectionError::SubscriptionDenied { .. } => true,
        ConnectionError::Server(error) => {
            matches!(error.kind(), PermissionsViolation | TooManySubscriptions | InvalidSubject)
        }
        _ => false,
    }
}

impl App {
    /// Sets what is done when the connection stands.
    pub(crate) fn once_connected(&mut self, begin: impl FnOnce(&mut App, &Client<App>) + 'static) {
        self.begin = Some(Box::new(begin));
    }

    /// JetStream, where the options say that it is.
    pub(crate) fn jetstream(&self, client: &Client<App>) -> JetStream<App> {
        match &self.js_api_prefix {
            Some(prefix) => client.jetstream().with_prefix(prefix),
            None => client.jetstream(),
        }
    }

    fn note_connection(&mut self, client: &Client<App>) {
        self.attempts.clear();
        self.server = client.servers().first().map_or(String::new(), |s| s.url.to_string());
    }

    /// Sets what is to be stopped when the verb ends, however it does.
    pub(crate) fn stop_at_the_end(&mut self, stop: impl FnOnce() + 'static) {
        self.stop = Some(Box::new(stop));
    }

    fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }

    /// Ends the verb: it has done its work.
    pub(crate) fn finish(&mut self, client: &Client<App>) {
        self.finished = true;
        self.stop();
        match client.state() {
            // a drain would wait for the next connection
            ConnectionState::Reconnecting => client.close(),
            _ => client.drain(),
        }
    }

    /// Ends the verb with an error. Only the first one counts.
    pub(crate) fn fail(&mut self, client: &Client<App>, failure: impl Into<Failure>) {
        if !self.finished {
            self.finished = true;
            self.failure = Some(failure.into());
        }
        self.stop();
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

    /// Asks the person at the terminal, and goes on with whether the answer is yes. The connection is
    /// kept alive meanwhile: a thread waits for the answer.
    pub(crate) fn ask(
        &mut self,
        client: &Client<App>,
        question: &'static str,
        on_answer: impl FnOnce(&mut App, bool) + 'static,
    ) {
        self.question = Some(Box::new(on_answer));
        let remote = client.handle().remote();
        std::thread::spawn(move || {
            let is_yes = input::wants_to_go_on(question);
            // if the loop is gone, nobody wants to know
            let _ = remote.post(move |app: &mut App, _: &Handle<App>| {
                if let Some(on_answer) = app.question.take() {
                    on_answer(app, is_yes);
                }
            });
        });
    }

    /// For verbs that listen until they are stopped: tells when the server knows of it, and ends
    /// the verb after the time that was given, if one was.
    pub(crate) fn listen(&mut self, client: &Client<App>, note: String) {
        if let Some(time) = self.listening_time {
            let begin = move |_: &mut App, client: &Client<App>| {
                let client = client.clone();
                client.handle().clone().set_timer(time, move |app, _| app.finish(&client));
            };
            match client.state() {
                ConnectionState::Connected => begin(self, client),
                _ => self.once_connected(begin),
            }
        }
        note_when_known(client, note);
    }

    /// What a verb says that could not reach the server, or has lost it, is less than the reason.
    fn outcome(self) -> Result<(), Failure> {
        let was_connected = self.lost.is_some();
        let reason = Failure::of_attempts(self.attempts).or(self.lost);
        match (self.failure, reason) {
            (Some(failure), Some(reason)) if failure.is_without_connection(was_connected) => {
                Err(reason)
            }
            (Some(failure), _) => Err(failure),
            (None, Some(reason)) if !self.finished => Err(reason),
            (None, _) => Ok(()),
        }
    }
}

/// Notes that the server knows of everything that was commanded before.
fn note_when_known(client: &Client<App>, note: String) {
    client.flush(move |app, client, outcome| {
        let is_lost = matches!(outcome, Err(FlushError::Disconnected | FlushError::Timeout));
        if is_lost && client.state() == ConnectionState::Reconnecting {
            note_when_known(client, note);
        } else if app.check(client, outcome).is_some() {
            app.output.note(&note);
        }
    });
}
