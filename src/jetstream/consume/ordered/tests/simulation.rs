//! The reader against a simulated server and a network that loses, doubles and reorders: whatever
//! happens in whatever order, the output increases, and is complete once the trouble is over.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Something on its way to the reader.
#[derive(Debug, Clone)]
enum Packet {
    Message { stream: u64, consumer: u64 },
    Heartbeat { last: u64 },
    FlowControl,
}

/// One consumer on the server, with the network between it and the reader.
#[derive(Debug)]
struct Consumer {
    next: u64,
    delivered: u64,
    network: Vec<Packet>,
}

/// What may happen next. The indices choose among what there is.
#[derive(Debug, Clone)]
enum Event {
    Publish { skip: u64 },
    Deliver { consumer: usize },
    Heartbeat { consumer: usize },
    Arrive { consumer: usize },
    Drop { consumer: usize, packet: usize },
    Double { consumer: usize, packet: usize },
    Swap { consumer: usize, packet: usize },
    Kill { consumer: usize },
    Answer { lose: bool },
    Refuse,
    Reconnect,
    Pass { millis: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let consumer = || 0..8_usize;
    prop_oneof![
        6 => (0..3_u64).prop_map(|skip| Event::Publish { skip }),
        16 => consumer().prop_map(|consumer| Event::Deliver { consumer }),
        3 => consumer().prop_map(|consumer| Event::Heartbeat { consumer }),
        15 => consumer().prop_map(|consumer| Event::Arrive { consumer }),
        2 => (consumer(), 0..8_usize).prop_map(|(consumer, packet)| Event::Drop { consumer, packet }),
        2 => (consumer(), 0..8_usize)
            .prop_map(|(consumer, packet)| Event::Double { consumer, packet }),
        2 => (consumer(), 0..8_usize).prop_map(|(consumer, packet)| Event::Swap { consumer, packet }),
        1 => consumer().prop_map(|consumer| Event::Kill { consumer }),
        8 => prop::bool::weighted(0.1).prop_map(|lose| Event::Answer { lose }),
        1 => Just(Event::Refuse),
        1 => Just(Event::Reconnect),
        4 => (0..20_000_u64).prop_map(|millis| Event::Pass { millis }),
    ]
}

struct Simulation {
    ordered: Ordered,
    now: Instant,
    /// The sequences in the stream: increasing, with holes.
    stream: Vec<u64>,
    consumers: BTreeMap<u64, Consumer>,
    /// The requests that the server has not answered yet, in order.
    requests: Vec<(u64, ConsumerInfo)>,
    /// Incarnation 1, 2, … as subscribed: what arrives elsewhere is lost.
    inbox: u64,
    /// What the reader gave out.
    output: Vec<u64>,
    /// The first message that the reader must give out, once that is settled.
    origin: Option<u64>,
    replies: usize,
}

impl Simulation {
    fn new(policy: DeliverPolicy) -> Self {
        Self {
            ordered: reader(policy),
            now: at(0),
            stream: vec![2, 3, 5],
            consumers: BTreeMap::new(),
            requests: Vec::new(),
            inbox: 0,
            output: Vec::new(),
            origin: None,
            replies: 0,
        }
    }

    fn last(&self) -> u64 {
        self.stream.last().copied().unwrap_or(0)
    }

    fn obey(&mut self) {
        while let Some(action) = self.ordered.poll_action() {
            match action {
                Action::Subscribe { incarnation } => {
                    assert!(incarnation > self.inbox);
                    self.inbox = incarnation;
                }
                Action::Create { incarnation, config } => self.create(incarnation, &config),
                Action::Delete { name } => {
                    let incarnation: u64 = name.strip_prefix("p_").unwrap().parse().unwrap();
                    self.consumers.remove(&incarnation);
                }
                Action::Stalled(_) | Action::Resumed => {}
                Action::Reply { .. } => self.replies += 1,
                Action::Created { .. } => {}
                Action::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn create(&mut self, incarnation: u64, config: &ConsumerConfig) {
        let next = match config.deliver_policy {
            DeliverPolicy::All => 1,
            DeliverPolicy::Last => self.last(),
            DeliverPolicy::New => self.last() + 1,
            DeliverPolicy::ByStartSequence(sequence) => sequence,
            _ => unreachable!(),
        };
        let pending = self.stream.iter().filter(|sequence| **sequence >= next).count() as u64;
        self.requests.push((incarnation, info(pending, 0, next - 1)));
        self.consumers.insert(incarnation, Consumer { next, delivered: 0, network: vec![] });
    }

    fn consumer(&mut self, index: usize) -> Option<(u64, &mut Consumer)> {
        // the newest ones first, so that most events concern the current one
        self.consumers.iter_mut().rev().nth(index / 3).map(|(id, consumer)| (*id, consumer))
    }

    /// A packet under way from one of the consumers, if there is any.
    fn packet(&mut self, consumer: usize, packet: usize) -> Option<(&mut Vec<Packet>, usize)> {
        let network = &mut self.consumer(consumer)?.1.network;
        let packet = packet.checked_rem(network.len())?;
        Some((network, packet))
    }

    fn answer(&mut self, result: Option<CreateError>) {
        if self.requests.is_empty() {
            return;
        }
        let (incarnation, info) = self.requests.remove(0);
        match result {
            None => {
                if incarnation == self.inbox {
                    self.origin.get_or_insert(info.delivered.stream_sequence + 1);
                }
                self.ordered.handle_created(incarnation, Ok(&info), self.now);
            }
            Some(error) => {
                if error != CreateError::Unanswered {
                    self.consumers.remove(&incarnation);
                }
                self.ordered.handle_created(incarnation, Err(error), self.now);
            }
        }
    }

    fn arrive(&mut self, incarnation: u64, packet: &Packet) {
        match packet {
            Packet::Message { stream, consumer } => {
                let reply = ack(*stream, *consumer);
                let verdict = self.ordered.handle_message(incarnation, &reply, self.now);
                if let Some(sequence) = delivered(verdict) {
                    assert_eq!(incarnation, self.inbox);
                    self.origin.get_or_insert(sequence);
                    self.output.push(sequence);
                }
            }
            Packet::Heartbeat { last } => {
                self.ordered.handle_status(incarnation, &heartbeat(*last), self.now);
            }
            Packet::FlowControl => {
                let status = Status { code: 100, reply: Some(b"fc"), ..Status::default() };
                self.ordered.handle_status(incarnation, &status, self.now);
            }
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Publish { skip } => {
                let next = self.last() + 1 + skip;
                self.stream.push(next);
            }
            Event::Deliver { consumer } => {
                let stream = self.stream.clone();
                if let Some((_, consumer)) = self.consumer(consumer)
                    && let Some(sequence) = stream.into_iter().find(|s| *s >= consumer.next)
                {
                    consumer.next = sequence + 1;
                    consumer.delivered += 1;
                    let message =
                        Packet::Message { stream: sequence, consumer: consumer.delivered };
                    consumer.network.push(message);
                }
            }
            Event::Heartbeat { consumer } => {
                if let Some((_, consumer)) = self.consumer(consumer) {
                    consumer.network.push(Packet::Heartbeat { last: consumer.delivered });
                    consumer.network.push(Packet::FlowControl);
                }
            }
            Event::Arrive { consumer } => {
                if let Some((incarnation, consumer)) = self.consumer(consumer)
                    && !consumer.network.is_empty()
                {
                    let packet = consumer.network.remove(0);
                    self.arrive(incarnation, &packet);
                }
            }
            Event::Drop { consumer, packet } => {
                if let Some((network, packet)) = self.packet(consumer, packet) {
                    network.remove(packet);
                }
            }
            Event::Double { consumer, packet } => {
                if let Some((network, packet)) = self.packet(consumer, packet) {
                    network.push(network[packet].clone());
                }
            }
            Event::Swap { consumer, packet } => {
                if let Some((network, packet)) = self.packet(consumer, packet) {
                    let last = network.len() - 1;
                    network.swap(packet, last);
                }
            }
            Event::Kill { consumer } => {
                if let Some((incarnation, _)) = self.consumer(consumer) {
                    self.consumers.remove(&incarnation);
                }
            }
            Event::Answer { lose } => self.answer(lose.then_some(CreateError::Unanswered)),
            Event::Refuse => self.answer(Some(CreateError::Api(api(503, 10008)))),
            Event::Reconnect => {
                self.ordered.handle_disconnected();
                self.obey();
                while !self.requests.is_empty() {
                    self.answer(Some(CreateError::Unanswered));
                }
                self.consumers.values_mut().for_each(|consumer| consumer.network.clear());
                self.ordered.handle_reconnected();
            }
            Event::Pass { millis } => {
                self.now += Duration::from_millis(millis);
                self.ordered.handle_timeout(self.now);
            }
        }
        self.obey();
    }

    /// From now on everything works. Runs until the reader has caught up.
    fn heal(&mut self) {
        for _ in 0..200 {
            if self.requests.is_empty() && self.output.last() == self.stream.last() {
                return;
            }
            self.happen(&Event::Answer { lose: false });
            for _ in 0..self.stream.len() {
                self.happen(&Event::Deliver { consumer: 0 });
            }
            self.happen(&Event::Heartbeat { consumer: 0 });
            while self.consumer(0).is_some_and(|(_, consumer)| !consumer.network.is_empty()) {
                self.happen(&Event::Arrive { consumer: 0 });
            }
            self.happen(&Event::Pass { millis: 2_000 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn output_increases_and_is_complete_whatever_the_network_does(
        policy in prop::sample::select(vec![
            DeliverPolicy::All, DeliverPolicy::New, DeliverPolicy::Last,
            DeliverPolicy::ByStartSequence(4),
        ]),
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut simulation = Simulation::new(policy.clone());
        simulation.obey();
        for event in &events {
            simulation.happen(event);
            prop_assert!(simulation.output.is_sorted_by(|a, b| a < b), "{:?}", simulation.output);
        }
        simulation.heal();
        let origin = match policy {
            DeliverPolicy::All => 1,
            DeliverPolicy::ByStartSequence(sequence) => sequence,
            _ => simulation.origin.unwrap(),
        };
        let expected: Vec<_> =
            simulation.stream.iter().copied().filter(|sequence| *sequence >= origin).collect();
        prop_assert_eq!(&simulation.output, &expected);
        prop_assert_eq!(simulation.ordered.last_stream_sequence(), simulation.output.last().copied().unwrap_or(0));

        simulation.ordered.stop();
        simulation.obey();
        prop_assert!(simulation.ordered.is_finished());
        prop_assert!(simulation.consumers.is_empty(), "left behind: {:?}", simulation.consumers);
    }
}
