//! The ordered consumer against a simulated server and a network that loses and doubles, with consumers
//! that vanish, answers that do not come, and connections that break: each message comes once, in order,
//! none is lost, there is one consumer at a time, and the server is not asked too often.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const TICK: Duration = Duration::from_millis(100);

/// Something on its way to the client.
#[derive(Debug, Clone)]
enum Packet {
    Message { incarnation: u64, stream: u64, consumer: u64 },
    Status { number: u64, text: String },
}

/// A request that waits at a consumer.
#[derive(Debug)]
struct Waiting {
    number: u64,
    left: u64,
    ends: Instant,
    heartbeat: Option<Duration>,
    beats: Instant,
}

/// A consumer at the server.
#[derive(Debug)]
struct Consumer {
    start: u64,
    next: u64,
    delivered: u64,
    waiting: VecDeque<Waiting>,
}

/// A request to the API that has no answer yet.
#[derive(Debug)]
enum Request {
    Stream,
    Create(u64, Box<ConsumerConfig>),
    Delete(u64),
}

/// What becomes of a request to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is done, and nobody hears of it.
    AnswerLost,
    RequestLost,
    Refused,
}

#[derive(Debug, Clone)]
enum Event {
    Publish { skip: u64 },
    Serve { count: usize },
    Arrive { count: usize },
    Take { count: usize },
    Pass { ticks: u32 },
    Drop { packet: usize },
    Double { packet: usize },
    Answer { fate: Fate },
    Kill { is_told: bool },
    SetBack,
    Reconnect { is_told: bool, ticks: u32 },
    Restart,
    Pause,
    Resume,
    ReadAgain,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Answered),
        1 => Just(Fate::AnswerLost),
        1 => Just(Fate::RequestLost),
        1 => Just(Fate::Refused),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..3_u64).prop_map(|skip| Event::Publish { skip }),
        12 => (1..6_usize).prop_map(|count| Event::Serve { count }),
        12 => (1..6_usize).prop_map(|count| Event::Arrive { count }),
        8 => (1..6_usize).prop_map(|count| Event::Take { count }),
        4 => (1..200_u32).prop_map(|ticks| Event::Pass { ticks }),
        1 => (0..8_usize).prop_map(|packet| Event::Drop { packet }),
        1 => (0..8_usize).prop_map(|packet| Event::Double { packet }),
        12 => fate().prop_map(|fate| Event::Answer { fate }),
        1 => any::<bool>().prop_map(|is_told| Event::Kill { is_told }),
        1 => Just(Event::SetBack),
        1 => (any::<bool>(), 0..50_u32)
            .prop_map(|(is_told, ticks)| Event::Reconnect { is_told, ticks }),
        1 => Just(Event::Restart),
        1 => Just(Event::Pause),
        1 => Just(Event::Resume),
        1 => Just(Event::ReadAgain),
    ]
}

struct Simulation {
    ordered: OrderedPull<Pull>,
    home: OrderedHome,
    now: Instant,
    start: Instant,
    connected: bool,
    /// The sequences in the stream: increasing, with holes.
    stream: Vec<u64>,
    consumers: BTreeMap<u64, Consumer>,
    /// The consumer that requests go to.
    target: u64,
    requests: VecDeque<Request>,
    network: VecDeque<Packet>,
    /// Until when the next consumer has to wait for the deletion of these.
    patience: BTreeMap<u64, Instant>,
    /// What the driver keeps for the program.
    buffer: VecDeque<(u64, u64)>,
    output: Vec<u64>,
    /// The first message that is to come, once that is settled.
    origin: Option<u64>,
    ends: Vec<ConsumeEnd>,
    resets: u64,
    sent: u64,
    /// What gives a reason to send something.
    happened: u64,
}

impl Simulation {
    fn new(policy: DeliverPolicy) -> Self {
        let now = Instant::now();
        let home = OrderedHome::new(state(OrderedOptions::new().deliver_policy(policy)));
        let state = home.take().expect("a state");
        let mut simulation = Self {
            ordered: OrderedPull::new(state, home.clone(), consuming(), 7, now),
            home,
            now,
            start: now,
            connected: true,
            stream: vec![2, 3, 5],
            consumers: BTreeMap::new(),
            target: 0,
            requests: VecDeque::new(),
            network: VecDeque::new(),
            patience: BTreeMap::new(),
            buffer: VecDeque::new(),
            output: vec![],
            origin: None,
            ends: vec![],
            resets: 0,
            sent: 0,
            happened: 0,
        };
        simulation.obey();
        simulation
    }

    fn last(&self) -> u64 {
        self.stream.last().copied().unwrap_or(0)
    }

    fn obey(&mut self) {
        while let Some(action) = self.ordered.poll_action() {
            if let Action::Pull { .. }
            | Action::AskStream
            | Action::Create { .. }
            | Action::Delete { .. } = action
            {
                assert!(self.connected, "{action:?} without a connection");
                self.sent += 1;
            }
            match action {
                Action::Pull { number, request } => self.pull(number, &request),
                Action::AskStream => self.requests.push_back(Request::Stream),
                Action::Create { incarnation, config } => {
                    self.check_others();
                    self.target = incarnation;
                    self.requests.push_back(Request::Create(incarnation, config));
                }
                Action::Delete { incarnation, .. } => {
                    self.patience.entry(incarnation).or_insert(self.now + 2 * SECOND);
                    self.requests.push_back(Request::Delete(incarnation));
                }
                Action::Tell(ConsumeEvent::Reset { .. }) => self.resets += 1,
                Action::Tell(_) => {}
                Action::End(end) => self.ends.push(end),
                action => panic!("nobody asks for {action:?}"),
            }
        }
        assert!(self.ordered.debts.len() <= 16);
    }

    /// Another consumer is made only when those before are gone, or were waited for.
    fn check_others(&self) {
        for incarnation in self.consumers.keys() {
            let until = self.patience.get(incarnation);
            assert!(
                until.is_some_and(|until| *until <= self.now),
                "{incarnation} is still there, and was to be waited for until {until:?}"
            );
        }
    }

    fn pull(&mut self, number: u64, request: &PullRequest) {
        let Some(consumer) = self.consumers.get_mut(&self.target) else {
            let text = "503".to_owned();
            return self.network.push_back(Packet::Status { number, text });
        };
        if request.max_bytes == 1 {
            // it keeps the consumer, and brings nothing
            return;
        }
        let heartbeat = request.idle_heartbeat;
        consumer.waiting.push_back(Waiting {
            number,
            left: request.batch,
            ends: self.now + request.expires.expect("a time"),
            heartbeat,
            beats: self.now + heartbeat.unwrap_or_default(),
        });
    }

    /// Consumers deliver what they are asked for.
    fn serve(&mut self, count: usize) {
        for (incarnation, consumer) in &mut self.consumers {
            for _ in 0..count {
                let next = self.stream.iter().copied().find(|stream| *stream >= consumer.next);
                let (Some(stream), Some(request)) = (next, consumer.waiting.front_mut()) else {
                    break;
                };
                request.left -= 1;
                if let Some(heartbeat) = request.heartbeat {
                    request.beats = self.now + heartbeat;
                }
                if request.left == 0 {
                    consumer.waiting.pop_front();
                }
                consumer.next = stream + 1;
                consumer.delivered += 1;
                let consumer = consumer.delivered;
                let packet = Packet::Message { incarnation: *incarnation, stream, consumer };
                self.network.push_back(packet);
            }
        }
    }

    /// Requests that wait report, and end.
    fn report(&mut self) {
        for consumer in self.consumers.values_mut() {
            for request in &mut consumer.waiting {
                let number = request.number;
                if request.ends <= self.now {
                    let left = request.left;
                    let text = format!("408 Request Timeout\r\nNats-Pending-Messages: {left}");
                    self.network.push_back(Packet::Status { number, text });
                } else if let Some(heartbeat) = request.heartbeat
                    && request.beats <= self.now
                {
                    request.beats = self.now + heartbeat;
                    let last = consumer.delivered;
                    let text = format!("100 Idle Heartbeat\r\nNats-Last-Consumer: {last}");
                    self.network.push_back(Packet::Status { number, text });
                }
            }
            consumer.waiting.retain(|request| request.ends > self.now);
        }
    }

    fn arrive(&mut self, packet: &Packet) {
        match packet {
            Packet::Message { incarnation, stream, consumer } => {
                let message = message(&format!("p_{incarnation}"), *stream, *consumer);
                // every other one is taken at once, if nothing waits
                let is_for_now = self.buffer.is_empty() && stream % 2 == 0;
                if is_for_now && self.ordered.pass(&message, self.now) {
                    self.happened += 1;
                    self.origin.get_or_insert(*stream);
                    self.output.push(*stream);
                    return self.obey();
                }
                match self.ordered.handle_message(&message, self.now) {
                    Verdict::Deliver => {
                        self.happened += 1;
                        self.origin.get_or_insert(*stream);
                        self.buffer.push_back((*stream, counted(&message)));
                        assert!(self.buffer.len() <= 20, "more is under way than two windows");
                    }
                    Verdict::Skip => {}
                    Verdict::HandBack | Verdict::Kept => panic!("nothing is acknowledged"),
                }
            }
            Packet::Status { number, text } => {
                self.ordered.handle_status(*number, &status(text), self.now);
            }
        }
        self.obey();
    }

    fn answer(&mut self, fate: Fate) {
        let Some(request) = self.requests.pop_front() else { return };
        let is_done = matches!(fate, Fate::Answered | Fate::AnswerLost);
        let error = match fate {
            Fate::Answered => None,
            Fate::AnswerLost | Fate::RequestLost => Some(NO_ANSWER),
            Fate::Refused => Some(Error::NotAvailable),
        };
        match request {
            Request::Stream => {
                let info = stream_created_at(1);
                self.ordered
                    .handle_told(Told::Stream(error.as_ref().map_or(Ok(&info), Err)), self.now);
            }
            Request::Create(incarnation, config) => {
                let next = match config.deliver_policy {
                    DeliverPolicy::All => 1,
                    DeliverPolicy::Last => self.last(),
                    DeliverPolicy::New => self.last() + 1,
                    DeliverPolicy::ByStartSequence(sequence) => sequence,
                    _ => unreachable!(),
                };
                let info = info(next - 1);
                if is_done {
                    let waiting = VecDeque::new();
                    let consumer = Consumer { start: next, next, delivered: 0, waiting };
                    self.consumers.insert(incarnation, consumer);
                }
                if fate == Fate::Answered && incarnation == self.target {
                    self.origin.get_or_insert(next);
                }
                let made = error.as_ref().map_or(Ok(&info), Err);
                self.ordered.handle_told(Told::Created { incarnation, made }, self.now);
            }
            Request::Delete(incarnation) => {
                if is_done {
                    self.consumers.remove(&incarnation);
                }
                let deleted = error.as_ref().map_or(Ok(()), Err);
                self.ordered.handle_told(Told::Deleted { incarnation, deleted }, self.now);
            }
        }
        self.obey();
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let Some((stream, bytes)) = self.buffer.pop_front() else { return };
            self.output.push(stream);
            self.ordered.release(bytes, self.now);
            self.obey();
        }
    }

    fn pass(&mut self, ticks: u32) {
        for _ in 0..ticks {
            let end = self.now + TICK;
            while let Some(deadline) =
                self.ordered.next_deadline().filter(|deadline| *deadline <= end)
            {
                self.now = self.now.max(deadline);
                self.ordered.handle_timeout(self.now);
                self.obey();
                let next = self.ordered.next_deadline();
                assert!(next.is_none_or(|next| next > self.now), "a busy loop");
            }
            self.now = end;
            self.report();
        }
    }

    /// The connection breaks, and with it whatever is on its way.
    fn reconnect(&mut self, is_told: bool, ticks: u32) {
        self.happened += 8;
        self.connected = false;
        self.network.clear();
        if is_told {
            self.ordered.handle_disconnected(self.now);
            self.obey();
            while !self.requests.is_empty() {
                let fate = match self.requests.len() % 2 {
                    0 => Fate::RequestLost,
                    _ => Fate::AnswerLost,
                };
                self.answer(fate);
            }
            self.pass(ticks);
            self.network.clear();
        }
        self.consumers.values_mut().for_each(|consumer| consumer.waiting.clear());
        self.patience.clear();
        self.connected = true;
        if self.requests.iter().any(|request| matches!(request, Request::Delete(_))) {
            // they were asked for before, and are answered yet
            for request in &self.requests {
                if let Request::Delete(incarnation) = request {
                    self.patience.insert(*incarnation, self.now + 2 * SECOND);
                }
            }
        }
        self.ordered.handle_reconnected(self.now);
        self.obey();
    }

    /// The program stops, and reads again.
    fn read_again(&mut self) {
        self.happened += 8;
        self.ordered.forgo(self.buffer.len(), self.now);
        self.buffer.clear();
        self.ordered.stop(self.now);
        self.obey();
        let origin = self.origin;
        while !self.requests.is_empty() {
            self.answer(Fate::Answered);
        }
        // a consumer that is made after the end may be too late to say where the next one begins
        self.origin = origin;
        self.pass(21);
        assert_eq!(self.ends.drain(..).collect::<Vec<_>>(), [ConsumeEnd::Stopped]);
        self.network.clear();
        self.requests.clear();
        // what is owed is the old read's
        self.consumers.clear();
        let state = self.home.take().expect("the state");
        self.ordered = OrderedPull::new(state, self.home.clone(), consuming(), 9, self.now);
        self.obey();
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Publish { skip } => self.stream.push(self.last() + 1 + skip),
            Event::Serve { count } => self.serve(count),
            Event::Arrive { count } => {
                for _ in 0..count {
                    let Some(packet) = self.network.pop_front() else { return };
                    self.arrive(&packet);
                }
            }
            Event::Take { count } => self.take(count),
            Event::Pass { ticks } => self.pass(ticks),
            Event::Drop { packet } => _ = self.network.remove(packet),
            Event::Double { packet } => {
                if let Some(double) = self.network.get(packet).cloned() {
                    self.network.insert(packet, double);
                }
            }
            Event::Answer { fate } => self.answer(fate),
            Event::Kill { is_told } => {
                self.happened += 8;
                if let Some(consumer) = self.consumers.remove(&self.target) {
                    for request in consumer.waiting.iter().filter(|_| is_told) {
                        let text = "409 Consumer Deleted".to_owned();
                        let number = request.number;
                        self.network.push_back(Packet::Status { number, text });
                    }
                }
            }
            Event::SetBack => {
                self.happened += 8;
                if let Some(consumer) = self.consumers.get_mut(&self.target) {
                    consumer.delivered = 0;
                    consumer.next = consumer.start;
                }
            }
            Event::Reconnect { is_told, ticks } => self.reconnect(is_told, ticks),
            Event::Restart => {
                self.consumers.clear();
                self.reconnect(true, 20);
            }
            Event::Pause => self.ordered.pause(self.now),
            Event::Resume => self.ordered.resume(self.now),
            Event::ReadAgain => self.read_again(),
        }
        self.obey();
    }

    /// From now on everything works. Runs until everything has come.
    fn heal(&mut self) {
        self.happen(&Event::Resume);
        for _ in 0..600 {
            while !self.requests.is_empty() {
                self.answer(Fate::Answered);
            }
            self.serve(10);
            while let Some(packet) = self.network.pop_front() {
                self.arrive(&packet);
            }
            self.take(100);
            if self.output.last() == self.stream.last() && self.ordered.debts.is_empty() {
                return;
            }
            self.pass(2);
        }
    }

    fn is_increasing(&self) -> bool {
        let waiting = self.buffer.iter().map(|(stream, _)| stream);
        self.output.iter().chain(waiting).is_sorted_by(|one, other| one < other)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_message_comes_once_and_in_order_whatever_happens(
        policy in prop::sample::select(vec![
            DeliverPolicy::All, DeliverPolicy::New, DeliverPolicy::Last,
            DeliverPolicy::ByStartSequence(4),
        ]),
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut simulation = Simulation::new(policy.clone());
        for event in &events {
            simulation.happen(event);
            prop_assert!(simulation.is_increasing(), "{:?}", simulation.output);
            prop_assert!(simulation.ends.is_empty(), "{:?}", simulation.ends);
        }
        simulation.stream.push(simulation.last() + 1);
        simulation.heal();
        let origin = match policy {
            DeliverPolicy::All => 1,
            DeliverPolicy::ByStartSequence(sequence) => sequence,
            // the first consumer may have been made before anybody heard of one
            _ => {
                let first = simulation.output.first().copied().unwrap_or(u64::MAX);
                simulation.origin.unwrap_or(u64::MAX).min(first)
            }
        };
        let all = simulation.stream.iter().copied();
        let expected: Vec<_> = all.filter(|sequence| *sequence >= origin).collect();
        prop_assert_eq!(&simulation.output, &expected);

        let seconds = (simulation.now - simulation.start).as_secs();
        let limit = 40 + 4 * seconds + 4 * simulation.happened;
        prop_assert!(simulation.sent <= limit, "{} of {limit}", simulation.sent);

        let live: BTreeSet<_> = simulation.consumers.keys().copied().collect();
        prop_assert_eq!(live, BTreeSet::from([simulation.target]));
        simulation.ordered.stop(simulation.now);
        simulation.obey();
        while !simulation.requests.is_empty() {
            simulation.answer(Fate::Answered);
        }
        prop_assert_eq!(&simulation.ends, &[ConsumeEnd::Stopped]);
        prop_assert!(simulation.ordered.is_finished());
        prop_assert!(simulation.consumers.is_empty(), "left behind: {:?}", simulation.consumers);
    }
}
