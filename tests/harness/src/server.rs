//! One running `nats-server` and its temporary directory.
//!
//! The invariant: a [`Server`] that is running has answered on its port under its own name (see
//! `probe.rs`), and the port and the store stay the same through every stop and start. What it
//! needs of a configuration to keep that up is fixed; extra text is passed through, and can be
//! replaced while the server runs. Several servers as a cluster are for `cluster.rs`.

use crate::{
    ProvisionError, Release, ReservedPort, StartError, Version,
    probe::{self, Expected, Jetstream},
    process::{Process, Signal},
    provision,
};
use std::env;
use std::{
    fs,
    io::{self, Read as _, Seek as _, SeekFrom},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server may take to get ready. Far more than it needs, for machines that are busy with
/// a build.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The pause between two looks at a server that is not ready yet.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How often a free port is looked for, where a free port cannot be kept free (see `port.rs`).
const PORT_ATTEMPTS: u32 = 5;

/// Names feature flags of servers from 2.14 on that every server is started with, divided by commas.
const FLAGS_VARIABLE: &str = "EVNATS_TEST_FEATURE_FLAGS";

/// Limits of its own, so that a test means the same on every machine: the defaults depend on its
/// memory and free disk space. The path is relative to the server's directory.
const JETSTREAM_CONFIG: &str = "\
jetstream {
  store_dir: \"store\"
  max_memory_store: 1GB
  max_file_store: 10GB
}
";

/// A running `nats-server`, for one test or for many. Killed when dropped; its directory is
/// removed.
///
/// If the process dies without dropping it (an abort, SIGKILL, a `static`), the server is killed
/// all the same, but its directory stays behind in the system's temporary directory.
#[derive(Debug)]
pub struct Server {
    // dropped in this order: the process before its files and its port
    process: Option<Process>,
    version: Version,
    binary: PathBuf,
    name: String,
    jetstream: Jetstream,
    tls_first: bool,
    /// The part of the configuration that stays.
    fixed_config: String,
    port: ReservedPort,
    websocket: Option<WebsocketListener>,
    directory: TempDir,
}

#[derive(Debug)]
struct WebsocketListener {
    port: ReservedPort,
    tls: bool,
}

impl Server {
    /// Starts a server of the release that the environment asks for ([`Release::from_env`]), with
    /// JetStream.
    ///
    /// # Panics
    ///
    /// When there is no such server or it does not get ready, with a text that says what to do.
    #[track_caller]
    #[must_use]
    pub fn start() -> Server {
        Server::builder().start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A server that differs from the usual one.
    pub fn builder() -> Builder {
        Builder {
            release: None,
            config: String::new(),
            jetstream: true,
            tls_first: false,
            port: None,
            websocket: None,
            cluster: None,
        }
    }

    /// `nats://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.port())
    }

    /// The port for clients. The same for the server's whole life, also while it is stopped.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// `ws://127.0.0.1:PORT`, or `wss:` with TLS.
    ///
    /// # Panics
    ///
    /// When the server was started without [`Builder::websocket`] or [`Builder::websocket_tls`].
    #[track_caller]
    #[must_use]
    pub fn websocket_url(&self) -> String {
        let listener = self.websocket.as_ref().expect("a server with a WebSocket port");
        let scheme = if listener.tls { "wss" } else { "ws" };
        format!("{scheme}://{}:{}", Ipv4Addr::LOCALHOST, listener.port.port())
    }

    /// The process id. Another one after each start.
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    #[track_caller]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// The version that the server gave in its `INFO`.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The server's name in its `INFO` and in the `Server` field of its API; unique among the
    /// servers running here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's directory, its working directory: configuration, log and store are here, and
    /// relative paths in [`Builder::config`] start here.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the server gracefully, if it runs, and starts it again on the same port with the same
    /// store. Returns when it is ready.
    ///
    /// # Panics
    ///
    /// When the server does not get ready again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Stops the server gracefully (SIGTERM) and waits for its end, ten seconds at most, before it
    /// is killed. Does nothing if the server has ended already. A paused server is resumed for it.
    ///
    /// # Panics
    ///
    /// When the server cannot be signalled.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().unwrap_or_else(|error| panic!("cannot stop nats-server: {error}"));
        }
    }

    /// Kills the server (SIGKILL) and waits for its end. Does nothing if it has ended already.
    pub fn kill9(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts a stopped or killed server on the same port with the same store. Returns when it is
    /// ready. Does nothing if it runs.
    ///
    /// # Panics
    ///
    /// When the server does not get ready.
    #[track_caller]
    pub fn start_again(&mut self) {
        if !self.is_running() {
            self.launch().unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Whether the process exists: false after a stop, and when it has ended by itself, as in lame
    /// duck mode. A paused server runs.
    ///
    /// # Panics
    /// When the process cannot be looked at.
    #[track_caller]
    pub fn is_running(&mut self) -> bool {
        let exited = self.process.as_mut().is_none_or(|process| {
            process
                .exited()
                .unwrap_or_else(|error| panic!("cannot look at nats-server: {error}"))
                .is_some()
        });
        if exited {
            self.process = None;
        }
        !exited
    }

    /// Freezes the server (SIGSTOP): its connections stay open, and it says nothing. Returns when it
    /// is frozen.
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    #[track_caller]
    pub fn pause(&self) {
        self.process().pause().unwrap_or_else(|error| panic!("cannot pause nats-server: {error}"));
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Puts the server into lame duck mode (SIGUSR2): it tells its clients (`"ldm":true` in an
    /// `INFO`), waits for the grace period, closes the clients one by one over the lame duck
    /// duration, and ends.
    ///
    /// The server demands a duration of 30 seconds at least (default two minutes), but not a grace
    /// period (default ten seconds), so a test that wants to see clients closed soon sets
    /// `lame_duck_duration: "30s"` and `lame_duck_grace_period: "1s"` in [`Builder::config`].
    ///
    /// # Panics
    ///
    /// When the server is stopped.
    #[track_caller]
    pub fn lame_duck(&self) {
        self.signal(Signal::USR2);
    }

    /// Replaces the text given to [`Builder::config`] and makes the server take it over (SIGHUP).
    /// Returns when it has. Later starts use the new text, too.
    ///
    /// # Panics
    ///
    /// When the server is stopped, or refuses the configuration.
    #[track_caller]
    pub fn reload(&mut self, extra: impl AsRef<str>) {
        self.write_config(extra.as_ref())
            .unwrap_or_else(|error| panic!("cannot write the configuration: {error}"));
        let log = self.log_path();
        let logged_before = length_of(&log);
        self.signal(Signal::HUP);
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let answer = read_from(&log, logged_before).unwrap_or_else(|error| error.to_string());
            if answer.contains("Reloaded server configuration") {
                return;
            }
            let refused = answer.contains("Failed to reload");
            assert!(!refused, "nats-server refuses the configuration; its log:\n{answer}");
            assert!(self.is_running(), "nats-server ended at a reload; its log:\n{answer}");
            assert!(Instant::now() < deadline, "nats-server does not reload; its log:\n{answer}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// What the server has logged so far, over all its starts.
    ///
    /// # Panics
    ///
    /// When the log cannot be read.
    #[track_caller]
    #[must_use]
    pub fn log(&self) -> String {
        read_from(&self.log_path(), 0)
            .unwrap_or_else(|error| panic!("cannot read the log: {error}"))
    }

    #[track_caller]
    fn process(&self) -> &Process {
        self.process.as_ref().unwrap_or_else(|| panic!("nats-server is stopped"))
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        self.process()
            .signal(signal)
            .unwrap_or_else(|error| panic!("cannot signal nats-server: {error}"));
    }

    /// Spawns the process and waits until it is ready.
    fn launch(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            match self.spawn().and_then(|starting| self.await_ready(starting, deadline)) {
                // only where a port cannot be kept free: who has it may be a passing connection
                Err(error)
                    if cfg!(not(target_os = "linux"))
                        && error.is_port_taken()
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(POLL_INTERVAL);
                }
                result => return result,
            }
        }
    }

    pub(crate) fn spawn(&self) -> Result<Starting, StartError> {
        let log = self.log_path();
        let logged_before = length_of(&log);
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(self.config_path()).current_dir(self.directory.path());
        let process = Process::spawn(&mut command, &log, None)
            .map_err(|source| StartError::Io { doing: "start nats-server", source })?;
        Ok(Starting { process, logged_before })
    }

    /// Waits until a process of this server is ready; from then on it runs.
    pub(crate) fn await_ready(
        &mut self,
        mut starting: Starting,
        deadline: Instant,
    ) -> Result<(), StartError> {
        let log_path = self.log_path();
        let log_of_this_start = || {
            read_from(&log_path, starting.logged_before).unwrap_or_else(|error| error.to_string())
        };
        loop {
            // first, so that the server's own last words win over the probe's refused connection
            let exited = starting
                .process
                .exited()
                .map_err(|source| StartError::Io { doing: "look at nats-server", source })?;
            if let Some(status) = exited {
                return Err(StartError::Exited { status, log: log_of_this_start() });
            }
            match self.look(log_of_this_start) {
                Ok(version) => {
                    self.version = version;
                    self.process = Some(starting.process);
                    return Ok(());
                }
                Err(reason) if Instant::now() >= deadline => {
                    return Err(StartError::NotReady {
                        waited: READY_DEADLINE,
                        reason,
                        log: log_of_this_start(),
                    });
                }
                Err(_) => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }

    fn look(&self, log: impl Fn() -> String) -> Result<Version, String> {
        if !self.tls_first {
            return probe::probe(Expected {
                port: self.port(),
                server_name: &self.name,
                jetstream: self.jetstream,
            });
        }
        // nothing can be read from the port without a TLS handshake, but the log says the same
        if !log().contains("Server is ready") {
            return Err("the log does not say that the server is ready".to_owned());
        }
        if !probe::accepts(self.port()) {
            return Err("nobody accepts connections".to_owned());
        }
        provision::version_of(&self.binary)
    }

    fn write_config(&self, extra: &str) -> io::Result<()> {
        fs::write(self.config_path(), format!("{}{extra}", self.fixed_config))
    }

    fn config_path(&self) -> PathBuf {
        self.directory.path().join("server.conf")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }
}

/// A process that is not known to be ready yet. Killed when dropped.
pub(crate) struct Starting {
    process: Process,
    logged_before: u64,
}

/// What to start; made by [`Server::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder starts nothing until `start`"]
pub struct Builder {
    release: Option<Release>,
    config: String,
    jetstream: bool,
    tls_first: bool,
    port: Option<u16>,
    websocket: Option<WebsocketConfig>,
    /// A `cluster` block.
    cluster: Option<String>,
}

#[derive(Debug, Clone)]
struct WebsocketConfig {
    tls: Option<String>,
}

impl Builder {
    /// The release to run. Default: [`Release::from_env`].
    pub fn release(mut self, release: Release) -> Builder {
        self.release = Some(release);
        self
    }

    /// Adds text to the end of the server's configuration file; several texts add up. Relative
    /// paths start at [`Server::directory`].
    pub fn config(mut self, extra: impl AsRef<str>) -> Builder {
        self.config.push_str(extra.as_ref());
        self.config.push('\n');
        self
    }

    /// Whether JetStream is on, with a temporary file store, up to 1 GB of memory and 10 GB of
    /// disk. Default: true. A test with its own `jetstream` block in [`Builder::config`] says false
    /// here.
    pub fn jetstream(mut self, on: bool) -> Builder {
        self.jetstream = on;
        self
    }

    /// Declares that the extra configuration makes the server do the TLS handshake before `INFO`
    /// (`handshake_first`), so that its readiness shows in the log alone.
    pub fn tls_first(mut self) -> Builder {
        self.tls_first = true;
        self
    }

    /// The port for clients. Default: a free one.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = Some(port);
        self
    }

    /// Listens for WebSocket clients as well, on a free port and without TLS.
    pub fn websocket(mut self) -> Builder {
        self.websocket = Some(WebsocketConfig { tls: None });
        self
    }

    /// Listens for WebSocket clients as well, on a free port and with this `tls` block, for
    /// instance [`Certificates::server_config`](crate::Certificates::server_config)'s.
    pub fn websocket_tls(mut self, tls: impl AsRef<str>) -> Builder {
        self.websocket = Some(WebsocketConfig { tls: Some(tls.as_ref().to_owned()) });
        self
    }

    /// Makes the server a node of a cluster, which does not need the others to be ready.
    pub(crate) fn cluster(mut self, block: String) -> Builder {
        self.cluster = Some(block);
        self
    }

    /// Starts the server and returns when it is ready, after a minute at most, plus the time to
    /// provision a binary that this machine has not got yet.
    ///
    /// Ready means that it has answered a `PING` and, with JetStream, a request to the JetStream
    /// API. If the extra configuration demands TLS or credentials, it means that the server has
    /// demanded them.
    ///
    /// # Errors
    ///
    /// When there is no binary, the port is taken, the server refuses its configuration (its log is
    /// in the error), or it does not get ready in time.
    ///
    /// # Panics
    ///
    /// When no release is set and `EVNATS_TEST_SERVER` holds none ([`Release::from_env`]).
    pub fn start(self) -> Result<Server, StartError> {
        let binary = self.provision()?;
        for _ in 1..PORT_ATTEMPTS {
            match self.start_once(&binary) {
                Err(error) if error.is_port_taken() && self.port.is_none() => {}
                result => return result,
            }
        }
        self.start_once(&binary)
    }

    pub(crate) fn provision(&self) -> Result<PathBuf, ProvisionError> {
        provision::provision(self.release.unwrap_or_else(Release::from_env))
    }

    fn start_once(&self, binary: &Path) -> Result<Server, StartError> {
        let mut server = self.prepare(binary)?;
        server.launch()?;
        Ok(server)
    }

    /// A server that has all it needs, but has not been started.
    pub(crate) fn prepare(&self, binary: &Path) -> Result<Server, StartError> {
        /// Tells apart the servers of one test process.
        static PREPARED: AtomicU32 = AtomicU32::new(0);

        let refused = |doing| move |source| StartError::Io { doing, source };
        let port = match self.port {
            Some(port) => ReservedPort::exactly(port),
            None => ReservedPort::any(),
        };
        let port = port.map_err(refused("reserve a port"))?;
        let websocket = match &self.websocket {
            Some(config) => Some(WebsocketListener {
                port: ReservedPort::any().map_err(refused("reserve a port"))?,
                tls: config.tls.is_some(),
            }),
            None => None,
        };
        let directory = tempfile::Builder::new()
            .prefix("evnats-server-")
            .tempdir()
            .map_err(refused("make a temporary directory"))?;
        let name =
            format!("evnats-{}-{}", std::process::id(), PREPARED.fetch_add(1, Ordering::Relaxed));
        let server = Server {
            process: None,
            version: Version::new(0, 0, 0), // until it says
            binary: binary.to_owned(),
            fixed_config: self.fixed_config(&name, port.port(), websocket.as_ref()),
            name,
            jetstream: match (self.jetstream, &self.cluster) {
                (false, _) => Jetstream::Off,
                (true, None) => Jetstream::Answers,
                (true, Some(_)) => Jetstream::On,
            },
            tls_first: self.tls_first,
            port,
            websocket,
            directory,
        };
        server.write_config(&self.config).map_err(refused("write the server's configuration"))?;
        Ok(server)
    }

    fn fixed_config(&self, name: &str, port: u16, websocket: Option<&WebsocketListener>) -> String {
        let host = Ipv4Addr::LOCALHOST;
        let mut text = format!("server_name: \"{name}\"\nhost: \"{host}\"\nport: {port}\n");
        if self.jetstream {
            text.push_str(JETSTREAM_CONFIG);
        }
        if let Ok(flags) = env::var(FLAGS_VARIABLE) {
            let flags = flags.split(',').map(|flag| format!("{flag}: true")).collect::<Vec<_>>();
            text.push_str(&format!("feature_flags {{ {} }}\n", flags.join(", ")));
        }
        if let (Some(config), Some(listener)) = (&self.websocket, websocket) {
            let tls = config.tls.as_deref().unwrap_or("no_tls: true");
            let port = listener.port.port();
            text.push_str(&format!("websocket {{\n  listen: \"{host}:{port}\"\n  {tls}\n}}\n"));
        }
        text.push_str(self.cluster.as_deref().unwrap_or_default());
        text
    }
}

pub(crate) fn length_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The text of a file from an offset on.
pub(crate) fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
