//! Several servers with routes between them.
//!
//! The invariant: when a [`Cluster`] says that it is ready, each of its nodes that runs has answered
//! a `PING` and tells clients of all nodes that run and of no other, and messages go from each to
//! each; with JetStream and a majority of the nodes, the JetStream API answers through each of them, and if all nodes run, a stream with
//! replicas has been made and deleted again. A node by itself is ready without the others (see
//! [`Cluster::server_mut`]). It makes one cluster: no gateways, no leaf nodes.

use crate::{
    Release, ReservedPort, Server, StartError,
    probe::{Access, Connection, JETSTREAM_INFO},
    server::{self, Starting},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How long a cluster may take to get ready. A meta leader is elected within seconds; the rest is
/// for machines that are busy with a build.
const READY_DEADLINE: Duration = Duration::from_secs(90);

/// The same for a cluster of new nodes, which can be started again.
const FRESH_DEADLINE: Duration = Duration::from_secs(40);

/// The pause between two looks at a cluster that is not ready yet.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The stream that proves that JetStream can place replicas.
const PROOF: &str = "evnats-cluster-proof";

/// How long the answer of a meta leader is waited for. Short, for without a leader there is none,
/// and the question can be asked again.
const LEADER_PATIENCE: Duration = Duration::from_millis(500);

/// How long a message from one node to another is waited for, before another one is sent.
const ROUTE_PATIENCE: Duration = Duration::from_millis(100);

/// The server allows five replicas; three are what everyone uses.
const MAX_REPLICAS: usize = 3;

/// A running cluster. Killed when dropped.
///
/// ```no_run
/// let mut cluster = evnats_harness::Cluster::start();
/// cluster.server_mut(0).kill9();
/// cluster.wait_ready(); // the other two have noticed
/// ```
#[derive(Debug)]
pub struct Cluster {
    // dropped in this order: the servers before their ports
    servers: Vec<Server>,
    _routes: Vec<ReservedPort>,
    /// The ports that the nodes tell their clients of.
    advertised: Vec<u16>,
    jetstream: bool,
}

impl Cluster {
    /// Starts three nodes of the release that the environment asks for, with JetStream.
    ///
    /// # Panics
    ///
    /// When there is no such server or the cluster does not get ready.
    #[track_caller]
    #[must_use]
    pub fn start() -> Cluster {
        Cluster::builder().start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A cluster that differs from the usual one.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            nodes: 3,
            jetstream: true,
            node: Server::builder(),
            node_configs: Vec::new(),
            advertised: Vec::new(),
        }
    }

    /// The nodes.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// A node.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    #[must_use]
    pub fn server(&self, index: usize) -> &Server {
        &self.servers[index]
    }

    /// A node, to be stopped, killed, paused or started again by itself. A node that is started is
    /// waited for, but not what it does with the others: its [`Server::start_again`] returns when
    /// the node answers a `PING` and says that JetStream is on, so it needs no majority.
    /// [`Cluster::wait_ready`] waits for the rest.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[track_caller]
    #[must_use]
    pub fn server_mut(&mut self, index: usize) -> &mut Server {
        &mut self.servers[index]
    }

    /// The URLs of all nodes, also of those that are stopped.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }

    /// Which node listens on this port for clients, or tells clients that it does
    /// ([`ClusterBuilder::advertise`]).
    #[must_use]
    pub fn index_of_port(&self, port: u16) -> Option<usize> {
        let listening = self.servers.iter().position(|server| server.port() == port);
        listening.or_else(|| self.advertised.iter().position(|advertised| *advertised == port))
    }

    /// Which node has this name, the `server_name` of its `INFO`.
    #[must_use]
    pub fn index_by_name(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.name() == name)
    }

    /// Stops all nodes gracefully and at once, starts them again, and returns when the cluster is
    /// ready.
    ///
    /// # Panics
    ///
    /// When it does not get ready again.
    #[track_caller]
    pub fn restart_all(&mut self) {
        self.stop_all();
        self.start_all();
    }

    /// Stops all nodes gracefully and at once.
    ///
    /// # Panics
    ///
    /// When a node cannot be signalled.
    #[track_caller]
    pub fn stop_all(&mut self) {
        std::thread::scope(|scope| {
            for server in &mut self.servers {
                scope.spawn(|| server.stop());
            }
        });
    }

    /// Kills all nodes (SIGKILL).
    pub fn kill_all(&mut self) {
        self.servers.iter_mut().for_each(Server::kill9);
    }

    /// Starts the nodes that do not run, and returns when the cluster is ready.
    ///
    /// # Panics
    ///
    /// When it does not get ready.
    #[track_caller]
    pub fn start_all(&mut self) {
        self.launch(READY_DEADLINE).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until the nodes that run are ready as a cluster. None of them may be paused.
    ///
    /// If the nodes demand TLS or credentials, it means no more than that they have demanded them
    /// and know each other.
    ///
    /// # Panics
    ///
    /// When that takes longer than a minute and a half.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        self.await_ready(READY_DEADLINE).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Spawns what does not run, all before any is waited for.
    fn launch(&mut self, patience: Duration) -> Result<(), StartError> {
        let deadline = Instant::now() + READY_DEADLINE;
        let stopped = self.servers.iter_mut().filter_map(|server| {
            let stopped = !server.is_running();
            stopped.then_some(server)
        });
        let spawned = stopped.map(|server| server.spawn().map(|starting| (server, starting)));
        let spawned = spawned.collect::<Result<Vec<(&mut Server, Starting)>, StartError>>()?;
        for (server, starting) in spawned {
            server.await_ready(starting, deadline)?;
        }
        self.await_ready(patience)
    }

    fn await_ready(&mut self, patience: Duration) -> Result<(), StartError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.look() {
                Ok(()) => return Ok(()),
                Err(reason) if Instant::now() >= deadline => {
                    let logs = self
                        .servers
                        .iter()
                        .map(|server| format!("--- {}\n{}", server.name(), server.log()));
                    return Err(StartError::NotReady {
                        waited: patience,
                        reason: format!("the cluster: {reason}"),
                        log: logs.collect(),
                    });
                }
                Err(_) => std::thread::sleep(POLL_INTERVAL),
            }
        }
    }

    /// Takes one look at every node that runs. An error says what is missing.
    fn look(&mut self) -> Result<(), String> {
        let running: Vec<_> = self.servers.iter_mut().map(Server::is_running).collect();
        let nodes = self.servers.iter().zip(&self.advertised).zip(running);
        let nodes: Vec<_> = nodes.filter_map(|(node, running)| running.then_some(node)).collect();
        let addresses = nodes.iter().map(|(_, port)| address(**port)).collect();
        let mut open = Vec::new();
        for (server, port) in &nodes {
            if meet(server, **port, &addresses)? == Access::Granted {
                open.push(*server);
            }
        }
        for (from, to) in open.iter().flat_map(|from| open.iter().map(move |to| (*from, *to))) {
            prove_route(from, to)?;
        }
        let has_majority = nodes.len() * 2 > self.servers.len();
        if self.jetstream && has_majority {
            for server in &open {
                ask(server, JETSTREAM_INFO, "", Some(LEADER_PATIENCE))?;
            }
            // with a node missing, the leader might choose that one: it takes a killed node for
            // alive for minutes.
            if let (Some(server), true) = (open.first(), nodes.len() == self.servers.len()) {
                prove_placement(server, nodes.len().min(MAX_REPLICAS))?;
            }
        }
        Ok(())
    }
}

/// Does the handshake with a node that must tell clients of exactly these addresses, one of which is
/// that of its own port.
fn meet(server: &Server, port: u16, addresses: &BTreeSet<String>) -> Result<Access, String> {
    let named = |error| format!("{}: {error}", server.name());
    let mut connection = Connection::open(server.port()).map_err(named)?;
    let info = connection.info(server.name()).map_err(named)?;
    let told = info["connect_urls"].as_array().into_iter().flatten();
    let mut told: BTreeSet<_> = told.filter_map(|url| Some(url.as_str()?.to_owned())).collect();
    // left out by a node that knows no other
    told.insert(address(port));
    if told != *addresses {
        return Err(named(format!("it tells clients of {told:?}, but {addresses:?} run")));
    }
    connection.handshake(&info).map_err(named)
}

/// Sends a message from one node to another. That they tell clients of each other is not enough: an
/// account's messages have a route of their own, which may come a second later.
fn prove_route(from: &Server, to: &Server) -> Result<(), String> {
    let subject = format!("{PROOF}.{}.{}", from.name(), to.name());
    let mut receiver = connect(to)?;
    receiver.subscribe(&subject)?;
    receiver.set_patience(ROUTE_PATIENCE)?;
    connect(from)?.publish(&subject)?;
    receiver.message(&format!("a message from {} to {}", from.name(), to.name())).map(drop)
}

fn connect(server: &Server) -> Result<Connection, String> {
    let named = |error| format!("{}: {error}", server.name());
    let mut connection = Connection::open(server.port()).map_err(named)?;
    let info = connection.info(server.name()).map_err(named)?;
    connection.handshake(&info).map_err(named)?;
    Ok(connection)
}

/// Makes and deletes a stream. A meta leader alone is not enough: it must have heard of the others.
fn prove_placement(server: &Server, replicas: usize) -> Result<(), String> {
    // the same each time: a creation whose answer came too late is repeated with success
    let config = json!({
        "name": PROOF,
        "subjects": [PROOF],
        "storage": "memory",
        "num_replicas": replicas,
    });
    ask(server, &format!("$JS.API.STREAM.CREATE.{PROOF}"), &config.to_string(), None)?;
    ask(server, &format!("$JS.API.STREAM.DELETE.{PROOF}"), "", None)
}

/// A request to the JetStream API through a node. An answer that is an error is an error.
fn ask(
    server: &Server,
    subject: &str,
    payload: &str,
    patience: Option<Duration>,
) -> Result<(), String> {
    let named = |error| format!("{}: {error}", server.name());
    let mut connection = connect(server)?;
    if let Some(patience) = patience {
        connection.set_patience(patience).map_err(named)?;
    }
    let answer = connection.request(subject, payload).map_err(named)?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|error| named(format!("{subject}: {error} in {answer:?}")))?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(named(format!("{subject}: {error}"))),
    }
}

fn address(port: u16) -> String {
    format!("{}:{port}", Ipv4Addr::LOCALHOST)
}

/// What to start; made by [`Cluster::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder starts nothing until `start`"]
pub struct ClusterBuilder {
    nodes: usize,
    jetstream: bool,
    node: server::Builder,
    node_configs: Vec<(usize, String)>,
    advertised: Vec<u16>,
}

impl ClusterBuilder {
    /// How many nodes. Default: 3.
    pub fn nodes(mut self, count: usize) -> ClusterBuilder {
        self.nodes = count;
        self
    }

    /// The release that all nodes run. Default: [`Release::from_env`].
    pub fn release(mut self, release: Release) -> ClusterBuilder {
        self.node = self.node.release(release);
        self
    }

    /// Adds text to the configuration of each node, as [`Builder::config`](crate::Builder::config) does.
    pub fn config(mut self, extra: impl AsRef<str>) -> ClusterBuilder {
        self.node = self.node.config(extra);
        self
    }

    /// Adds text to the configuration of one node, after what is for all.
    pub fn node_config(mut self, index: usize, extra: impl AsRef<str>) -> ClusterBuilder {
        self.node_configs.push((index, extra.as_ref().to_owned()));
        self
    }

    /// Whether JetStream is on. Default: true.
    pub fn jetstream(mut self, on: bool) -> ClusterBuilder {
        self.jetstream = on;
        self.node = self.node.jetstream(on);
        self
    }

    /// The loopback ports, one for each node in order, that the nodes tell clients of in the place
    /// of their own: those of a [`FaultProxy`](crate::FaultProxy) before each node, so that clients
    /// do not find the way around it.
    pub fn advertise(mut self, ports: &[u16]) -> ClusterBuilder {
        self.advertised = ports.to_vec();
        self
    }

    /// Starts the nodes and returns when they are ready as a cluster.
    ///
    /// # Errors
    ///
    /// When there is no binary, a node refuses its configuration, or the cluster does not get ready
    /// within a minute and a half.
    ///
    /// # Panics
    ///
    /// When the number of advertised ports is not that of the nodes, or there is no node; and when
    /// no release is set and `EVNATS_TEST_SERVER` holds none ([`Release::from_env`]).
    pub fn start(self) -> Result<Cluster, StartError> {
        /// Tells apart the clusters of one test process.
        static STARTED: AtomicU32 = AtomicU32::new(0);

        assert!(self.nodes > 0, "a cluster has nodes");
        let binary = self.node.provision()?;
        let routes = (0..self.nodes)
            .map(|_| ReservedPort::any())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| StartError::Io { doing: "reserve a port", source })?;
        let name = format!(
            "evnats-cluster-{}-{}",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        );
        let servers = (0..self.nodes)
            .map(|index| self.node_builder(index, &name, &routes).prepare(&binary))
            .collect::<Result<Vec<_>, _>>()?;
        let advertised = if self.advertised.is_empty() {
            servers.iter().map(Server::port).collect()
        } else {
            self.advertised
        };
        assert_eq!(advertised.len(), servers.len(), "a port to advertise for each node");
        let mut cluster =
            Cluster { servers, _routes: routes, advertised, jetstream: self.jetstream };
        // nodes that all begin at once may miss each other's first words, and then a server of 2.10
        // has no place for replicas for as long as it was seen to run: a second start mends that
        match cluster.launch(FRESH_DEADLINE) {
            Err(StartError::NotReady { .. }) => {
                cluster.kill_all();
                cluster.launch(READY_DEADLINE)?;
            }
            launched => launched?,
        }
        Ok(cluster)
    }

    fn node_builder(&self, index: usize, name: &str, routes: &[ReservedPort]) -> server::Builder {
        let own = address(routes[index].port());
        // its own is left out by the server
        let all: Vec<_> =
            routes.iter().map(|route| format!("\"nats://{}\"", address(route.port()))).collect();
        let mut block = format!(
            "cluster {{\n  name: \"{name}\"\n  listen: \"{own}\"\n  routes: [{}]\n}}\n",
            all.join(", ")
        );
        if let Some(port) = self.advertised.get(index) {
            block.push_str(&format!("client_advertise: \"{}\"\n", address(*port)));
        }
        let own_configs = self.node_configs.iter().filter(|(node, _)| *node == index);
        own_configs.fold(self.node.clone().cluster(block), |node, (_, text)| node.config(text))
    }
}
