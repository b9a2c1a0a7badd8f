//! A driver for one session: virtual time, the server's decoder, and texts for comparison.

use evnats_protocol::{
    ClientOp, ConnectInfo, Decoder, DisconnectReason, EndReason, Event, Message, OutgoingMessage,
    Phase, Security, Session, SessionConfig, Which,
};
use std::time::{Duration, Instant};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const INFO: &str = "INFO {\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";

/// Contexts are names, so that an outcome shows whose it is.
pub(crate) type Name = &'static str;

pub(crate) struct Driver {
    pub(crate) session: Session<Name, Name, Name>,
    pub(crate) now: Instant,
    /// Whether the next thing to be reported is polled for by the shortcut first.
    pub(crate) takes_shortcuts: bool,
    server: Decoder<ClientOp>,
}

/// Numbers that differ, and are the same in every test.
fn random() -> impl FnMut() -> u64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.rotate_left(32)
    }
}

impl Driver {
    /// A session that has no transport yet.
    pub(crate) fn new(config: SessionConfig) -> Self {
        let mut session = Session::new(config, random());
        let now = Instant::now();
        session.handle_connecting(now);
        Self { session, now, takes_shortcuts: true, server: Decoder::default() }
    }

    /// A session whose transport is open, with default settings.
    pub(crate) fn connected() -> Self {
        let mut driver = Self::new(SessionConfig::default());
        driver.session.leg(Which::Current).handle_connected(Security::Plain);
        driver
    }

    /// The server closes the connection.
    pub(crate) fn lose_connection(&mut self) -> Vec<String> {
        self.session.leg(Which::Current).handle_disconnected(DisconnectReason::ServerClosed);
        self.events()
    }

    /// Another server takes the session, and reads what is written.
    #[track_caller]
    pub(crate) fn reconnect(&mut self) -> Vec<String> {
        self.reconnect_to(INFO)
    }

    #[track_caller]
    pub(crate) fn reconnect_to(&mut self, info: &str) -> Vec<String> {
        self.forget_written();
        assert_eq!(self.session.phase(), Phase::Connecting);
        self.session.handle_connecting(self.now);
        self.session.leg(Which::Current).handle_connected(Security::Plain);
        assert!(self.events_after(info).is_empty());
        assert_eq!(self.written(), ["CONNECT", "PING"], "nothing else before the PONG");
        self.receive("PONG\r\n");
        let events = self.events();
        assert!(events.contains(&"reconnected".to_owned()), "{events:?}");
        self.written()
    }

    /// A session after its handshake.
    pub(crate) fn ready() -> Self {
        Self::ready_with(SessionConfig::default())
    }

    /// The same with other settings.
    pub(crate) fn ready_with(config: SessionConfig) -> Self {
        let mut driver = Self::new(config);
        driver.session.leg(Which::Current).handle_connected(Security::Plain);
        driver.shake_hands(INFO);
        driver
    }

    /// The server's side of the handshake. What was ordered before stays unwritten.
    #[track_caller]
    pub(crate) fn shake_hands(&mut self, info: &str) {
        assert!(self.events_after(info).is_empty());
        assert_eq!(self.written(), ["CONNECT", "PING"]);
        self.receive("PONG\r\n");
        assert_eq!(self.events(), ["connected"]);
    }

    /// Bytes come from the server.
    pub(crate) fn receive(&mut self, bytes: impl AsRef<[u8]>) {
        self.session.leg(Which::Current).handle_bytes(bytes.as_ref(), self.now);
    }

    /// The next thing that is to be reported.
    pub(crate) fn poll(&mut self) -> Option<String> {
        let mut place = Message::default();
        let reply = match self.takes_shortcuts {
            true => self.session.poll_reply(&mut place),
            false => None,
        };
        let reply = reply.map(|context| Event::Reply { context, outcome: Ok(()) });
        let event = reply.or_else(|| self.session.poll_event(&mut place));
        event.map(|event| describe(event, &place))
    }

    /// Everything that is to be reported.
    pub(crate) fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.poll()).collect()
    }

    /// What bytes from the server lead to.
    pub(crate) fn events_after(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
        self.receive(bytes);
        self.events()
    }

    /// Everything that is to be written is written, and comes back as the server reads it.
    pub(crate) fn written_ops(&mut self) -> Vec<ClientOp> {
        self.session.handle_turn(self.now);
        let mut leg = self.session.leg(Which::Current);
        leg.chunks().for_each(|chunk| self.server.feed(chunk));
        leg.handle_written(leg.writable_len());
        let ops = std::iter::from_fn(|| self.server.next_op().unwrap()).collect();
        assert_eq!(self.server.pending(), 0, "only whole operations are written");
        ops
    }

    /// The server's side of a connection that is lost forgets half of an operation.
    pub(crate) fn forget_written(&mut self) {
        self.server = Decoder::default();
    }

    /// The next server's bytes.
    pub(crate) fn next_receives(&mut self, bytes: impl AsRef<[u8]>) -> Vec<String> {
        let now = self.now;
        self.session.leg(Which::Next).handle_bytes(bytes.as_ref(), now);
        self.events()
    }

    /// What is written to the next server, as texts.
    pub(crate) fn next_written(&mut self) -> Vec<String> {
        let mut decoder: Decoder<ClientOp> = Decoder::default();
        let mut next = self.session.leg(Which::Next);
        next.chunks().for_each(|chunk| decoder.feed(chunk));
        next.handle_written(next.writable_len());
        std::iter::from_fn(|| decoder.next_op().unwrap()).map(|op| written_text(&op)).collect()
    }

    /// What is written, as texts.
    pub(crate) fn written(&mut self) -> Vec<String> {
        self.written_ops().iter().map(written_text).collect()
    }

    /// Time passes, and what is due happens.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<String> {
        self.session.handle_turn(self.now);
        self.now += time;
        self.session.handle_timeout(self.now);
        self.events()
    }

    pub(crate) fn subscribe(&mut self, subject: &str, name: Name) -> u64 {
        self.session.subscribe(subject, None, name).unwrap().sid()
    }

    pub(crate) fn publish(&mut self, subject: &str, payload: &str) {
        self.session.publish(OutgoingMessage::new(subject, payload)).unwrap();
    }

    pub(crate) fn request(&mut self, subject: &str, name: Name) {
        self.session.request(OutgoingMessage::new(subject, name), 5 * SECOND, name);
    }

    /// Everything is written; the inboxes of the requests among it, in order.
    pub(crate) fn inboxes(&mut self) -> Vec<String> {
        let reply = |op: &ClientOp| match op {
            ClientOp::Publish(message) => message.reply().map(|reply| reply.into_owned()),
            _ => None,
        };
        self.written_ops().iter().filter_map(reply).collect()
    }

    /// Makes a request, writes it, and gives its inbox.
    pub(crate) fn inbox_of(&mut self, name: Name) -> String {
        self.request("service", name);
        self.inboxes().pop().unwrap()
    }
}

/// Settings of a session that outlives its connections.
pub(crate) fn resuming() -> SessionConfig {
    config(|config| config.resume = true)
}

pub(crate) fn config(change: impl FnOnce(&mut SessionConfig)) -> SessionConfig {
    let mut config = SessionConfig::default();
    change(&mut config);
    config
}

pub(crate) fn connect_info(change: impl FnOnce(&mut ConnectInfo)) -> SessionConfig {
    config(|config| change(&mut config.connect))
}

/// A message as a server writes it.
pub(crate) fn msg(subject: &str, sid: u64, payload: &str) -> String {
    format!("MSG {subject} {sid} {}\r\n{payload}\r\n", payload.len())
}

/// A message with a header block as a server writes it.
pub(crate) fn hmsg(subject: &str, sid: u64, headers: &str, payload: &str) -> String {
    let total = headers.len() + payload.len();
    format!("HMSG {subject} {sid} {} {total}\r\n{headers}{payload}\r\n", headers.len())
}

pub(crate) fn describe(event: Event<Name, Name, Name>, place: &Message) -> String {
    match event {
        Event::Connected => "connected".into(),
        Event::InfoChanged => "info changed".into(),
        Event::LameDuck => "lame duck".into(),
        Event::Message { subscription } => {
            format!("message {}: {}", subscription.sid(), place.text())
        }
        Event::SubscriptionEnded { context, reason, .. } => match reason {
            EndReason::MaxReached => format!("{context} ended: max"),
            EndReason::Drained => format!("{context} ended: drained"),
            EndReason::Disconnected => format!("{context} ended: disconnected"),
            EndReason::Denied => format!("{context} ended: denied"),
            _ => format!("{context} ended: closed"),
        },
        Event::Reply { context, outcome: Ok(()) } => format!("reply {context}: {}", place.text()),
        Event::Reply { context, outcome: Err(error) } => format!("no reply {context}: {error}"),
        Event::Fence { context, outcome: Ok(time) } => format!("fence {context}: {time:?}"),
        Event::Fence { context, outcome: Err(error) } => format!("no fence {context}: {error}"),
        Event::ServerError(error) => error.to_string(),
        Event::PublishFailed { subject, error } => format!("not published to {subject}: {error}"),
        Event::SlowConsumer { dropped, .. } => format!("slow: {dropped} dropped"),
        Event::Moved => "moved".into(),
        Event::MoveFailed(reason) => format!("not moved: {reason}"),
        Event::Writable => "writable".into(),
        Event::Disconnected(DisconnectReason::Requested) => "disconnected".into(),
        Event::Disconnected(reason) => format!("disconnected: {reason}"),
        Event::Closed(_) => "closed".into(),
        Event::Reconnected => "reconnected".into(),
        Event::ConnectFailed(reason) => format!("not connected: {reason}"),
        Event::SubscriptionDenied { error, .. } => format!("denied: {}", error.text()),
        Event::Unsent { messages } => format!("{messages} never sent"),
        other => panic!("an event without a text: {other:?}"),
    }
}

fn written_text(op: &ClientOp) -> String {
    match op {
        ClientOp::Connect(_) => "CONNECT".into(),
        ClientOp::Ping => "PING".into(),
        ClientOp::Pong => "PONG".into(),
        ClientOp::Publish(message) => published_text(message),
        ClientOp::Subscribe { subject, queue, sid } => {
            let queue = queue.as_deref().map_or(String::new(), |queue| format!("{} ", text(queue)));
            format!("SUB {} {queue}{sid}", text(subject))
        }
        ClientOp::Unsubscribe { sid, max: None } => format!("UNSUB {sid}"),
        ClientOp::Unsubscribe { sid, max: Some(max) } => format!("UNSUB {sid} {max}"),
    }
}

/// Large payloads by their size.
fn published_text(message: &Message) -> String {
    match message.payload().len() {
        0..100 => format!("PUB {} {}", message.subject(), message.text()),
        size => format!("PUB {} [{size} bytes]", message.subject()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
