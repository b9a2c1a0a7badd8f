//! The other side of one connection: what a real server would know, and what it may expect.

use super::deliveries::Deliveries;
use evnats_protocol::{ClientOp, ConnectInfo, Decoder, Message, Security, ServerOp};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// What all servers have in common, because they are a cluster, and what none of them may see.
#[derive(Default)]
pub struct Cluster {
    /// Context by sid, for every sid there ever was.
    pub sids: HashMap<u64, u32>,
    /// The inboxes of requests, with the contexts of the requests.
    pub inboxes: Vec<(Vec<u8>, u32)>,
    /// Numbers of the messages that came to any of them.
    pub seen: BTreeSet<u32>,
    /// Numbers of messages and requests that none of them must ever see.
    pub unseen: BTreeSet<u32>,
    /// One of them has sent bytes that it did not choose.
    pub raw: bool,
}

/// How a server deals with TLS, and what the driver can do.
#[derive(Clone, Copy)]
pub struct Tls {
    pub security: Security,
    pub is_available: bool,
    pub is_required: bool,
}

pub struct Server {
    /// Servers are numbered in the order in which they were connected to.
    pub id: u32,
    pub decoder: Decoder<ClientOp>,
    /// Bytes on their way to the session.
    pub outbox: Vec<u8>,
    /// The messages in the outbox: where each ends, counted from its start, and its serial number.
    sent: VecDeque<(usize, u32)>,
    /// Pings that it has read and not answered.
    pings: usize,
    has_ponged: bool,
    /// The subscriptions of this connection.
    pub live: BTreeSet<u64>,
    max_payload: usize,
    headers: bool,
    sent_info: bool,
    tls: Tls,
    pub is_secured: bool,
    /// The user name that the driver has supplied for it, if it was asked.
    pub user: Option<String>,
}

impl Server {
    pub fn new(id: u32, tls: Tls) -> Self {
        Self {
            id,
            decoder: Decoder::default(),
            outbox: Vec::new(),
            sent: VecDeque::new(),
            pings: 0,
            has_ponged: false,
            live: BTreeSet::new(),
            max_payload: usize::MAX,
            headers: true,
            sent_info: false,
            tls,
            is_secured: false,
            user: None,
        }
    }

    /// The first `INFO` sets limits; later ones repeat it, because what is on its way when a
    /// limit changes can break it.
    pub fn info(&mut self, max_payload: usize, headers: bool, lame_duck: bool) {
        if !self.sent_info {
            self.sent_info = true;
            (self.max_payload, self.headers) = (max_payload, headers);
        }
        let (max_payload, headers) = (self.max_payload, self.headers);
        let (available, required) = (self.tls.is_available, self.tls.is_required);
        let info = format!(
            "INFO {{\"max_payload\":{max_payload},\"headers\":{headers},\"ldm\":{lame_duck},\
             \"tls_available\":{available},\"tls_required\":{required}}}\r\n"
        );
        self.outbox.extend_from_slice(info.as_bytes());
    }

    /// Answers a `PING`, if one waits for that.
    pub fn pong(&mut self) {
        if self.pings > 0 {
            self.pings -= 1;
            self.has_ponged = true;
            self.outbox.extend_from_slice(b"PONG\r\n");
        }
    }

    pub fn send(&mut self, message: Message, serial: u32) {
        ServerOp::Message(message).encode(&mut self.outbox);
        self.sent.push_back((self.outbox.len(), serial));
    }

    /// Takes bytes out of the outbox, because they arrive.
    pub fn take(&mut self, count: usize, deliveries: &mut Deliveries, now: Instant) -> Vec<u8> {
        let count = count.min(self.outbox.len());
        while let Some((_, serial)) = self.sent.front().copied().filter(|(end, _)| *end <= count) {
            self.sent.pop_front();
            deliveries.arrive(serial, self.id, now);
        }
        self.sent.iter_mut().for_each(|(end, _)| *end -= count);
        self.outbox.drain(..count).collect()
    }

    /// Reads what has come, and checks that it may come.
    pub fn read(&mut self, cluster: &mut Cluster) {
        while let Some(op) = self.decoder.next_op().expect("what is written can be read") {
            let is_handshake = matches!(op, ClientOp::Connect(_) | ClientOp::Ping | ClientOp::Pong);
            assert!(is_handshake || self.has_ponged || cluster.raw, "{op:?} before the handshake");
            match op {
                ClientOp::Publish(message) => self.read_message(&message, cluster),
                ClientOp::Subscribe { sid, .. } => {
                    assert!(sid == 1 || cluster.sids.contains_key(&sid));
                    assert!(self.live.insert(sid) || cluster.raw, "subscribed to twice");
                }
                ClientOp::Unsubscribe { sid, max } => {
                    assert!(cluster.sids.contains_key(&sid));
                    if max.is_none() {
                        self.live.remove(&sid);
                    }
                }
                ClientOp::Ping => self.pings += 1,
                ClientOp::Connect(connect) => self.read_connect(&connect, cluster.raw),
                ClientOp::Pong => {}
            }
        }
    }

    /// A `CONNECT` never comes in the clear where TLS is wanted, nor with another server's
    /// credentials.
    fn read_connect(&self, connect: &ConnectInfo, raw: bool) {
        let wants_tls = match self.tls.security {
            Security::Demanded => true,
            Security::Settled => false,
            _ => self.tls.is_required,
        };
        assert!(raw || !wants_tls || self.is_secured, "in the clear");
        assert_eq!(connect.authentication.user, self.user, "the credentials of another server");
    }

    fn read_message(&self, message: &Message, cluster: &mut Cluster) {
        let context = super::number(message.payload()).expect("messages carry their number");
        assert!(!cluster.unseen.contains(&context), "{context} was said not to be sent");
        assert!(cluster.seen.last() < Some(&context), "in order, and once");
        cluster.seen.insert(context);
        assert!(cluster.raw || message.len() <= self.max_payload, "{} bytes", message.len());
        assert!(cluster.raw || self.headers || message.headers().is_empty());
        if let Some(inbox) = message.reply_bytes() {
            cluster.inboxes.push((inbox.to_vec(), context));
        }
    }
}
