//! A NATS server in a simulation: core NATS with queue groups and no-responders, and as much of
//! JetStream as a Key-Value bucket with its watches needs. It keeps its streams when its connections
//! are reset.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use evnats::ClientOp;
use evnats::Message;
use evnats::ServerOp;
use evnats::simulation::{Connection, Peer, Simulation};
use evnats_protocol::Decoder;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A server, or one of a cluster without delays inside. Clones are the same one.
#[derive(Clone)]
pub struct SimulatedServer {
    simulation: Simulation,
    address: String,
    state: Rc<RefCell<State>>,
}

/// What keeps a server from feeding consumers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Nothing of what consumers send arrives.
    NoDeliveries,
    /// Only the first message of a consumer arrives.
    OneDelivery,
    /// Consumers wait for an answer to their flow control that never comes.
    Stalled,
    /// Requests for a consumer are not answered.
    NoAnswer,
    /// Requests for a consumer are refused for the moment.
    NoLeader,
    /// What is read from the leader is not answered.
    SilentReads,
    /// Requests to delete a consumer are lost.
    LostDeletions,
}

/// What the servers of a cluster have in common.
struct State {
    simulation: Simulation,
    clients: BTreeMap<u64, Client>,
    streams: BTreeMap<String, Stream>,
    trouble: Trouble,
    /// How many `PING`s have come.
    pings: u64,
    /// How many clients have connected.
    connects: u64,
}

struct Client {
    connection: Connection,
    /// The server that it is connected to.
    address: String,
    subscriptions: BTreeMap<u64, Subscription>,
    no_responders: bool,
}

struct Subscription {
    subject: String,
    queue: Option<String>,
    /// How many more messages it gets, if that is limited.
    left: Option<u64>,
    delivered: u64,
}

struct Stream {
    config: Value,
    messages: BTreeMap<u64, Stored>,
    last: u64,
    consumers: BTreeMap<String, Consumer>,
}

struct Stored {
    message: Message,
    /// Since the simulation began.
    at: Duration,
}

struct Consumer {
    deliver: String,
    filters: Vec<String>,
    /// Sequences that come before everything new: the last of each subject.
    initial: Vec<u64>,
    next: u64,
    delivered: u64,
    heartbeat: Duration,
}

/// One client's side of the server.
struct Session {
    server: SimulatedServer,
    decoder: Decoder<ClientOp>,
}

impl SimulatedServer {
    /// A server at `host:port`.
    pub fn start(simulation: &Simulation, address: &str) -> Self {
        let state = State {
            simulation: simulation.clone(),
            clients: BTreeMap::new(),
            streams: BTreeMap::new(),
            trouble: Trouble::None,
            pings: 0,
            connects: 0,
        };
        let (simulation, address) = (simulation.clone(), address.to_owned());
        let server = Self { simulation, address, state: Rc::new(RefCell::new(state)) };
        server.listen();
        server
    }

    /// Another server of the same cluster.
    pub fn join(&self, address: &str) -> Self {
        let server = Self { address: address.to_owned(), ..self.clone() };
        server.listen();
        server
    }

    fn listen(&self) {
        let server = self.clone();
        let accept = move |connection: &Connection| {
            server.greet(connection);
            Session { server: server.clone(), decoder: Decoder::default() }
        };
        self.simulation.listen(&self.address, accept).expect("a free address");
    }

    /// Kills the server: every connection is reset, and none is accepted. Streams are kept.
    pub fn kill(&self) {
        self.simulation.stop_listening(&self.address).expect("an address");
        self.simulation.reset(&self.address).expect("an address");
    }

    /// Announces to its clients that it will shut down.
    pub fn lame_duck(&self) {
        let state = self.state.borrow();
        for client in state.clients.values().filter(|client| client.address == self.address) {
            self.introduce(&client.connection, true);
        }
    }

    /// Starts a server again that was killed.
    pub fn restart(&self) {
        self.kill();
        self.listen();
    }

    /// Ends the server and its world, which hold each other. Returns whether nothing else holds on to
    /// the server.
    pub fn end(self) -> bool {
        let state = Rc::downgrade(&self.state);
        let clients = std::mem::take(&mut self.state.borrow_mut().clients);
        drop(clients);
        self.simulation.end();
        drop(self);
        state.strong_count() == 0
    }

    /// Has something go wrong from now on.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.state.borrow_mut().trouble = trouble;
    }

    /// Number of a stream's consumers.
    pub fn consumers(&self, stream: &str) -> usize {
        self.state.borrow().streams.get(stream).map_or(0, |stream| stream.consumers.len())
    }

    pub fn pings(&self) -> u64 {
        self.state.borrow().pings
    }

    pub fn connects(&self) -> u64 {
        self.state.borrow().connects
    }

    fn greet(&self, connection: &Connection) {
        self.introduce(connection, false);
        let client = Client {
            connection: connection.clone(),
            address: self.address.clone(),
            subscriptions: BTreeMap::new(),
            no_responders: false,
        };
        self.state.borrow_mut().clients.insert(connection.id(), client);
    }

    fn introduce(&self, connection: &Connection, is_lame_duck: bool) {
        let info = json!({
            "server_id": self.address, "server_name": self.address, "version": "2.12.0",
            "proto": 1, "headers": true, "max_payload": 1_048_576, "jetstream": true,
            "client_id": connection.id(), "ldm": is_lame_duck,
        });
        connection.send(format!("INFO {info}\r\n").as_bytes());
    }

    fn handle(&self, id: u64, op: ClientOp) {
        let state = &mut *self.state.borrow_mut();
        let Some(client) = state.clients.get_mut(&id) else { return };
        match op {
            ClientOp::Connect(info) => {
                client.no_responders = info.no_responders;
                state.connects += 1;
            }
            ClientOp::Ping => {
                state.pings += 1;
                client.send(&ServerOp::Pong);
            }
            ClientOp::Subscribe { subject, queue, sid } => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let queue = queue.map(|queue| text(&queue));
                let subject = text(&subject);
                let subscription = Subscription { subject, queue, left: None, delivered: 0 };
                client.subscriptions.insert(sid, subscription);
            }
            ClientOp::Unsubscribe { sid, max } => client.unsubscribe(sid, max),
            ClientOp::Publish(message) => self.publish(state, id, &message),
            _ => {}
        }
    }

    fn publish(&self, state: &mut State, from: u64, message: &Message) {
        let subject = message.subject();
        if let Some(operation) = subject.strip_prefix("$JS.API.") {
            if state.is_silent(operation) {
                return;
            }
            let answer = self.call(state, operation, message.payload());
            return state.answer(message, answer);
        }
        let name = state.streams.iter().find(|(_, stream)| stream.takes(&subject));
        if let Some(name) = name.map(|(name, _)| name.clone()) {
            let answer = state.store(&name, message);
            state.answer(message, answer);
            state.push(&name);
        }
        let delivered = state.route(&subject, message.reply().as_deref(), message);
        if delivered == 0
            && let Some(reply) = message.reply()
            && state.clients.get(&from).is_some_and(|client| client.no_responders)
            && !state.streams.values().any(|stream| stream.takes(&subject))
        {
            let headers = Some(&b"NATS/1.0 503\r\n\r\n"[..]);
            state.route(&reply, None, &Message::new(&reply, 0, None, headers, b""));
        }
    }

    /// Carries out a request of JetStream's API.
    fn call(&self, state: &mut State, operation: &str, body: &[u8]) -> Value {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let tokens: Vec<_> = operation.split('.').collect();
        match tokens[..] {
            ["INFO"] => json!({"api": {"level": 4}}),
            ["STREAM", "NAMES"] => {
                let subject = request["subject"].as_str().unwrap_or(">");
                let has_it = |stream: &Stream| stream.takes(subject);
                let streams = state.streams.iter().filter(|(_, stream)| has_it(stream));
                let names: Vec<_> = streams.map(|(name, _)| name).collect();
                json!({"total": names.len(), "offset": 0, "limit": 1024, "streams": names})
            }
            ["STREAM", "CREATE", name] => state.create_stream(name, request),
            ["STREAM", "INFO", name] => state.stream_info(name),
            ["STREAM", "MSG", "GET", name] => state.stored(name, &request),
            ["CONSUMER", "CREATE", ..] if state.trouble == Trouble::NoLeader => {
                error(503, 10_008, "JetStream system temporarily unavailable")
            }
            ["CONSUMER", "CREATE", stream, name, ..] => {
                let answer = state.create_consumer(stream, name, &request["config"]);
                self.plan(state, stream.to_owned(), name.to_owned(), Duration::ZERO);
                answer
            }
            ["CONSUMER", "DELETE", stream, name] => {
                if let Some(stream) = state.streams.get_mut(stream) {
                    stream.consumers.remove(name);
                }
                json!({"success": true})
            }
            _ => error(503, 10_039, "not simulated"),
        }
    }

    /// Has a consumer deliver, and then send heartbeats for as long as somebody listens.
    fn plan(&self, state: &State, stream: String, consumer: String, delay: Duration) {
        let server = self.clone();
        state.simulation.after(delay, move || {
            let state = &mut *server.state.borrow_mut();
            state.push(&stream);
            if let Some(heartbeat) = state.beat(&stream, &consumer, delay.is_zero()) {
                server.plan(state, stream, consumer, heartbeat);
            }
        });
    }
}

impl Peer for Session {
    fn handle_bytes(&mut self, connection: &Connection, bytes: &[u8]) {
        self.decoder.feed(bytes);
        while let Some(op) = self.decoder.next_op().expect("what a client says") {
            self.server.handle(connection.id(), op);
        }
    }

    fn handle_closed(&mut self, connection: &Connection) {
        self.server.state.borrow_mut().clients.remove(&connection.id());
    }
}

impl State {
    /// Delivers to whoever has subscribed to a subject. Returns to how many.
    fn route(&mut self, to: &str, reply: Option<&str>, message: &Message) -> usize {
        let mut groups: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        for (id, client) in &self.clients {
            for (sid, subscription) in &client.subscriptions {
                if matches(&subscription.subject, to) {
                    let own = || format!(" {id} {sid}");
                    let group = subscription.queue.clone().unwrap_or_else(own);
                    groups.entry(group).or_default().push((*id, *sid));
                }
            }
        }
        for members in groups.values() {
            let chosen = self.simulation.random() as usize % members.len();
            let (id, sid) = members[chosen];
            if let Some(client) = self.clients.get_mut(&id) {
                client.deliver(sid, reply, message);
            }
        }
        groups.len()
    }

    fn answer(&mut self, request: &Message, answer: Value) {
        if let Some(reply) = request.reply() {
            let body = answer.to_string();
            self.route(&reply, None, &Message::new(&reply, 0, None, None, body.as_bytes()));
        }
    }

    /// Whether a request to the API gets no answer.
    fn is_silent(&self, operation: &str) -> bool {
        match self.trouble {
            Trouble::NoAnswer => operation.starts_with("CONSUMER.CREATE."),
            Trouble::SilentReads => {
                operation.starts_with("STREAM.MSG.GET.") || operation.starts_with("STREAM.INFO.")
            }
            Trouble::LostDeletions => operation.starts_with("CONSUMER.DELETE."),
            _ => false,
        }
    }

    fn create_stream(&mut self, name: &str, config: Value) -> Value {
        let stream =
            Stream { config, messages: BTreeMap::new(), last: 0, consumers: BTreeMap::new() };
        self.streams.entry(name.to_owned()).or_insert(stream);
        self.stream_info(name)
    }

    fn stream_info(&self, name: &str) -> Value {
        let Some(stream) = self.streams.get(name) else {
            return error(404, 10_059, "stream not found");
        };
        let first = stream.messages.keys().next().copied().unwrap_or(0);
        let state = json!({
            "messages": stream.messages.len(), "bytes": 0, "first_seq": first,
            "last_seq": stream.last, "consumer_count": stream.consumers.len(),
        });
        json!({"config": stream.config, "created": "2026-01-01T00:00:00Z", "state": state})
    }

    fn store(&mut self, name: &str, message: &Message) -> Value {
        let at = self.simulation.elapsed();
        let Some(stream) = self.streams.get_mut(name) else { return Value::Null };
        let subject = message.subject();
        let last = stream.last_of(&subject);
        let headers = message.headers();
        if let Some(expected) = headers.get("Nats-Expected-Last-Subject-Sequence")
            && expected != last.unwrap_or(0).to_string()
        {
            return error(400, 10_071, &format!("wrong last sequence: {}", last.unwrap_or(0)));
        }
        stream.last += 1;
        stream.messages.insert(stream.last, Stored { message: message.clone(), at });
        let history = stream.config["max_msgs_per_subject"].as_u64().unwrap_or(1) as usize;
        let all: Vec<_> = stream.sequences(&subject);
        for sequence in &all[..all.len().saturating_sub(history)] {
            stream.messages.remove(sequence);
        }
        json!({"stream": name, "seq": stream.last})
    }

    fn stored(&self, name: &str, request: &Value) -> Value {
        let Some(stream) = self.streams.get(name) else {
            return error(404, 10_059, "stream not found");
        };
        let sequence = match request["last_by_subj"].as_str() {
            Some(subject) => stream.last_of(subject),
            None => request["seq"].as_u64(),
        };
        let found = sequence.and_then(|sequence| Some((sequence, stream.messages.get(&sequence)?)));
        let Some((sequence, stored)) = found else {
            return error(404, 10_037, "no message found");
        };
        let message = &stored.message;
        let mut answer = json!({
            "subject": message.subject(), "seq": sequence, "time": "2026-01-01T00:00:00Z",
            "data": BASE64_STANDARD.encode(message.payload()),
        });
        if let Some(headers) = headers_of(message) {
            answer["hdrs"] = BASE64_STANDARD.encode(headers).into();
        }
        json!({ "message": answer })
    }

    fn create_consumer(&mut self, stream: &str, name: &str, config: &Value) -> Value {
        let Some(kept) = self.streams.get_mut(stream) else {
            return error(404, 10_059, "stream not found");
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let several = config["filter_subjects"].as_array().into_iter().flatten().filter_map(text);
        let filters: Vec<_> = text(&config["filter_subject"]).into_iter().chain(several).collect();
        let (mut initial, mut next) = (Vec::new(), kept.last + 1);
        match config["deliver_policy"].as_str().unwrap_or("all") {
            "last_per_subject" => initial = kept.last_per_subject(&filters),
            "by_start_sequence" => next = config["opt_start_seq"].as_u64().unwrap_or(1),
            "new" => {}
            _ => next = 1,
        }
        let consumer = Consumer {
            deliver: text(&config["deliver_subject"]).unwrap_or_default(),
            filters,
            initial,
            next,
            delivered: 0,
            heartbeat: Duration::from_nanos(config["idle_heartbeat"].as_u64().unwrap_or(0)),
        };
        let pending = kept.pending(&consumer);
        kept.consumers.insert(name.to_owned(), consumer);
        json!({
            "stream_name": stream, "name": name, "config": config, "num_pending": pending,
            "created": "2026-01-01T00:00:00Z",
            "delivered": {"consumer_seq": 0, "stream_seq": 0},
            "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
        })
    }

    /// Has the consumers of a stream deliver what they have for those who listen.
    fn push(&mut self, name: &str) {
        if matches!(self.trouble, Trouble::NoDeliveries | Trouble::Stalled) {
            return;
        }
        let most = if self.trouble == Trouble::OneDelivery { 1 } else { u64::MAX };
        let Some(stream) = self.streams.get_mut(name) else { return };
        let mut deliveries = Vec::new();
        let mut consumers = std::mem::take(&mut stream.consumers);
        for (consumer_name, consumer) in &mut consumers {
            let listens = |client: &Client| {
                client.subscriptions.values().any(|own| matches(&own.subject, &consumer.deliver))
            };
            if !self.clients.values().any(listens) {
                continue;
            }
            while consumer.delivered < most
                && let Some(sequence) = stream.next_for(consumer)
            {
                consumer.delivered += 1;
                let stored = &stream.messages[&sequence];
                let (count, at) = (consumer.delivered, stored.at.as_nanos());
                let pending = stream.pending(consumer);
                let reply =
                    format!("$JS.ACK.{name}.{consumer_name}.1.{sequence}.{count}.{at}.{pending}");
                deliveries.push((consumer.deliver.clone(), reply, stored.message.clone()));
            }
        }
        stream.consumers = consumers;
        for (to, reply, message) in deliveries {
            self.route(&to, Some(&reply), &message);
        }
    }

    /// Sends a consumer's heartbeat. Returns when the next one is due; a consumer that nobody
    /// listens to is gone.
    fn beat(&mut self, name: &str, consumer: &str, is_first: bool) -> Option<Duration> {
        let stream = self.streams.get_mut(name)?;
        let Consumer { deliver, delivered, heartbeat, .. } = stream.consumers.get(consumer)?;
        let (deliver, heartbeat) = (deliver.clone(), *heartbeat);
        let is_lost = matches!(self.trouble, Trouble::NoDeliveries | Trouble::OneDelivery);
        if heartbeat.is_zero() || is_first || is_lost {
            return Some(heartbeat).filter(|heartbeat| !heartbeat.is_zero());
        }
        let stalled = match self.trouble {
            Trouble::Stalled => "Nats-Consumer-Stalled: $JS.FC.stalled\r\n",
            _ => "",
        };
        let headers = format!(
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {delivered}\r\n\
             Nats-Last-Stream: {}\r\n{stalled}\r\n",
            stream.last
        );
        let beat = Message::new(&deliver, 0, None, Some(headers.as_bytes()), b"");
        if self.route(&deliver, None, &beat) == 0 {
            self.streams.get_mut(name)?.consumers.remove(consumer);
            return None;
        }
        Some(heartbeat)
    }
}

impl Client {
    fn send(&self, op: &ServerOp) {
        let mut bytes = Vec::new();
        op.encode(&mut bytes);
        self.connection.send(&bytes);
    }

    fn unsubscribe(&mut self, sid: u64, max: Option<u64>) {
        let Some(subscription) = self.subscriptions.get_mut(&sid) else { return };
        let left = max.map_or(0, |max| max.saturating_sub(subscription.delivered));
        subscription.left = Some(left);
        if left == 0 {
            self.subscriptions.remove(&sid);
        }
    }

    fn deliver(&mut self, sid: u64, reply: Option<&str>, message: &Message) {
        let (headers, subject) = (headers_of(message), message.subject());
        let delivered = Message::new(&subject, sid, reply, headers.as_deref(), message.payload());
        self.send(&ServerOp::Message(delivered));
        let Some(subscription) = self.subscriptions.get_mut(&sid) else { return };
        subscription.delivered += 1;
        if let Some(left) = &mut subscription.left {
            *left -= 1;
            if *left == 0 {
                self.subscriptions.remove(&sid);
            }
        }
    }
}

impl Stream {
    fn takes(&self, subject: &str) -> bool {
        let subjects = self.config["subjects"].as_array();
        subjects.into_iter().flatten().filter_map(Value::as_str).any(|own| matches(own, subject))
    }

    fn sequences(&self, subject: &str) -> Vec<u64> {
        let own =
            self.messages.iter().filter(|(_, stored)| matches(subject, &stored.message.subject()));
        own.map(|(sequence, _)| *sequence).collect()
    }

    fn last_of(&self, subject: &str) -> Option<u64> {
        self.sequences(subject).last().copied()
    }

    fn last_per_subject(&self, filters: &[String]) -> Vec<u64> {
        let mut last = BTreeMap::new();
        for (sequence, stored) in &self.messages {
            if is_wanted(filters, &stored.message) {
                last.insert(stored.message.subject().into_owned(), *sequence);
            }
        }
        let mut sequences: Vec<_> = last.into_values().collect();
        sequences.sort_unstable();
        sequences
    }

    fn next_for(&self, consumer: &mut Consumer) -> Option<u64> {
        while !consumer.initial.is_empty() {
            let sequence = consumer.initial.remove(0);
            if self.messages.contains_key(&sequence) {
                return Some(sequence);
            }
        }
        let mut later = self.messages.range(consumer.next..);
        let (sequence, _) =
            later.find(|(_, stored)| is_wanted(&consumer.filters, &stored.message))?;
        consumer.next = sequence + 1;
        Some(*sequence)
    }

    fn pending(&self, consumer: &Consumer) -> usize {
        let initial = consumer.initial.iter().filter(|own| self.messages.contains_key(own)).count();
        let later = self.messages.range(consumer.next..);
        initial + later.filter(|(_, stored)| is_wanted(&consumer.filters, &stored.message)).count()
    }
}

/// The header block, if there is one.
fn headers_of(message: &Message) -> Option<bytes::Bytes> {
    Some(message.headers_to_bytes()).filter(|headers| !headers.is_empty())
}

fn is_wanted(filters: &[String], message: &Message) -> bool {
    filters.is_empty() || filters.iter().any(|filter| matches(filter, &message.subject()))
}

fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(own), Some(other)) if own == other => {}
            _ => return false,
        }
    }
}

fn error(code: u16, err_code: u16, description: &str) -> Value {
    json!({"error": {"code": code, "err_code": err_code, "description": description}})
}
