//! The consumption against a simulated server and a network that loses and doubles: it never asks for
//! too much nor too often, and when the trouble is over, everything comes.

use super::*;
use crate::jetstream::consume::status::RequestLimit;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

const TICK: Duration = Duration::from_millis(100);
/// How long trouble may have its consequences after it is over: the longest pause, a silence that is
/// noticed at its end, and the lifetime of what was asked for then.
pub(super) const AFTERMATH: Duration = Duration::from_secs(90);

/// Something on its way to the client.
#[derive(Debug, Clone)]
enum Packet {
    Message { id: u64, bytes: u64 },
    Status { number: u64, status: PullStatus<'static> },
}

/// A request that waits at the server.
#[derive(Debug)]
struct Waiting {
    number: u64,
    left: Amount,
    limits_bytes: bool,
    ends: Instant,
    heartbeat: Duration,
    beats: Instant,
}

#[derive(Debug, Clone)]
enum Event {
    Publish { count: u64, bytes: u64 },
    Serve { count: usize },
    Arrive { count: usize },
    Take { count: usize },
    Pass { ticks: u32 },
    Pause,
    Resume,
    LeadershipChange,
    Double { packet: usize },
    Drop { packet: usize },
    LoseNextPull,
    ForgetRequests,
    Reconnect { is_told: bool },
    Limit { batch: u64 },
    Refuse { kind: StatusKind<'static> },
}

fn harmless() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..20_u64, 50..400_u64).prop_map(|(count, bytes)| Event::Publish { count, bytes }),
        10 => (1..20_usize).prop_map(|count| Event::Serve { count }),
        10 => (1..20_usize).prop_map(|count| Event::Arrive { count }),
        10 => (1..20_usize).prop_map(|count| Event::Take { count }),
        4 => (1..400_u32).prop_map(|ticks| Event::Pass { ticks }),
        1 => Just(Event::Pause),
        2 => Just(Event::Resume),
        1 => Just(Event::LeadershipChange),
        2 => (0..8_usize).prop_map(|packet| Event::Double { packet }),
    ]
}

pub(super) fn refusal() -> impl Strategy<Value = StatusKind<'static>> {
    prop_oneof![
        Just(StatusKind::TooManyWaiting),
        Just(StatusKind::NoResponders),
        Just(StatusKind::PinMismatch),
        Just(StatusKind::ServerShutdown),
        Just(StatusKind::Expired),
        (1..50_u64).prop_map(|batch| StatusKind::Exceeded(RequestLimit::Batch(Some(batch)))),
    ]
}

fn harmful() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => harmless(),
        1 => (0..8_usize).prop_map(|packet| Event::Drop { packet }),
        1 => Just(Event::LoseNextPull),
        1 => Just(Event::ForgetRequests),
        1 => any::<bool>().prop_map(|is_told| Event::Reconnect { is_told }),
        1 => (1..12_u64).prop_map(|batch| Event::Limit { batch }),
        1 => refusal().prop_map(|kind| Event::Refuse { kind }),
    ]
}

struct Simulation {
    pull: Pull,
    max: Amount,
    start: Instant,
    now: Instant,
    /// What is to be delivered, in order; what was lost comes again.
    stream: VecDeque<(u64, u64)>,
    published: u64,
    waiting: VecDeque<Waiting>,
    network: VecDeque<Packet>,
    /// What the driver keeps for the program.
    buffer: VecDeque<(u64, u64)>,
    taken: BTreeSet<u64>,
    ends: Vec<ConsumeEnd>,
    pulls: u64,
    arrived: u64,
    reconnects: u64,
    loses_next_pull: bool,
    refuses: Option<StatusKind<'static>>,
    max_batch: u64,
}

impl Simulation {
    fn new(options: ConsumeOptions) -> Self {
        let now = Instant::now();
        let max = Amount {
            messages: options.message_limit().unwrap_or(u64::MAX),
            bytes: options.max_bytes.unwrap_or(u64::MAX),
        };
        let mut simulation = Self {
            pull: Pull::new(options, 7, now),
            max,
            start: now,
            now,
            stream: VecDeque::new(),
            published: 0,
            waiting: VecDeque::new(),
            network: VecDeque::new(),
            buffer: VecDeque::new(),
            taken: BTreeSet::new(),
            ends: vec![],
            pulls: 0,
            arrived: 0,
            reconnects: 0,
            loses_next_pull: false,
            refuses: None,
            max_batch: u64::MAX,
        };
        simulation.obey();
        simulation
    }

    fn obey(&mut self) {
        while let Some(action) = self.pull.poll_action() {
            assert!(self.ends.is_empty(), "{action:?} after the end");
            match action {
                Action::Pull { number, request } => {
                    self.pulls += 1;
                    let held = self.pull.window.outstanding().plus(self.pull.untaken);
                    assert!(held.messages <= self.max.messages, "{held:?}");
                    assert!(held.bytes <= self.max.bytes, "{held:?}");
                    self.accept(number, &request);
                }
                Action::AskConsumer => {
                    let info = info_with(ConsumerConfig::default());
                    self.pull.handle_consumer_info(Ok(&info), self.now);
                }
                Action::Tell(_) => {}
                Action::End(end) => self.ends.push(end),
                other => panic!("{other:?} is not for a pull consumer"),
            }
        }
    }

    /// A request arrives at the server.
    fn accept(&mut self, number: u64, request: &PullRequest) {
        if std::mem::take(&mut self.loses_next_pull) {
            return;
        }
        if let Some(kind) = self.refuses.take() {
            return self.say(number, kind, None);
        }
        if request.batch > self.max_batch {
            let limit = RequestLimit::Batch(Some(self.max_batch));
            return self.say(number, StatusKind::Exceeded(limit), None);
        }
        let expires = request.expires.expect("a time");
        let heartbeat = request.idle_heartbeat.unwrap_or(expires);
        self.waiting.push_back(Waiting {
            number,
            left: Amount { messages: request.batch, bytes: request.max_bytes },
            limits_bytes: request.max_bytes > 0,
            ends: self.now + expires,
            heartbeat,
            beats: self.now + heartbeat,
        });
    }

    fn say(&mut self, number: u64, kind: StatusKind<'static>, pending: Option<Amount>) {
        self.network.push_back(Packet::Status { number, status: PullStatus { kind, pending } });
    }

    /// The next message goes to the next request, in turn.
    fn serve(&mut self) {
        let Some((_, bytes)) = self.stream.front().copied() else { return };
        while let Some(mut request) = self.waiting.pop_front() {
            if request.limits_bytes && request.left.bytes < bytes {
                self.say(request.number, StatusKind::MessageTooLarge, Some(request.left));
                continue;
            }
            let (id, bytes) = self.stream.pop_front().expect("a message");
            self.network.push_back(Packet::Message { id, bytes });
            request.left = request.left.minus(Amount { messages: 1, bytes });
            request.beats = self.now + request.heartbeat;
            let is_out_of_bytes = request.limits_bytes && request.left.bytes == 0;
            if request.left.messages > 0 && !is_out_of_bytes {
                self.waiting.push_back(request);
            } else if request.left.bytes > 0 {
                self.say(request.number, StatusKind::BatchCompleted, Some(request.left));
            }
            return;
        }
    }

    fn arrive(&mut self) {
        match self.network.pop_front() {
            Some(Packet::Message { id, bytes }) => {
                self.arrived += 1;
                match self.pull.handle_message(bytes, None, self.now) {
                    Verdict::Deliver => self.buffer.push_back((id, bytes)),
                    _ => assert!(!self.ends.is_empty()),
                }
            }
            Some(Packet::Status { number, status }) => {
                self.pull.handle_status(number, &status, self.now);
            }
            None => {}
        }
        self.obey();
    }

    fn take(&mut self) {
        if let Some((id, bytes)) = self.buffer.pop_front() {
            self.taken.insert(id);
            self.pull.release(bytes, self.now);
            self.obey();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        for _ in 0..self.waiting.len() {
            let mut request = self.waiting.pop_front().expect("a request");
            if request.ends <= self.now {
                self.say(request.number, StatusKind::Expired, Some(request.left));
                continue;
            }
            if request.beats <= self.now {
                request.beats = self.now + request.heartbeat;
                self.say(request.number, StatusKind::Heartbeat, None);
            }
            self.waiting.push_back(request);
        }
        while !self.network.is_empty() {
            self.arrive();
        }
        if self.pull.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.pull.handle_timeout(self.now);
            self.obey();
            assert!(self.pull.next_deadline().is_none_or(|next| next > self.now), "a busy loop");
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Publish { count, bytes } => {
                for _ in 0..count {
                    self.published += 1;
                    self.stream.push_back((self.published, bytes));
                }
            }
            Event::Serve { count } => (0..count).for_each(|_| self.serve()),
            Event::Arrive { count } => (0..count).for_each(|_| self.arrive()),
            Event::Take { count } => (0..count).for_each(|_| self.take()),
            Event::Pass { ticks } => (0..ticks).for_each(|_| self.tick()),
            Event::Pause => self.pull.pause(self.now),
            Event::Resume => self.pull.resume(self.now),
            Event::LeadershipChange => {
                for request in std::mem::take(&mut self.waiting) {
                    self.say(request.number, StatusKind::LeadershipChange, None);
                }
            }
            Event::Double { packet } => {
                if let Some(Packet::Status { number, status }) = self.network.get(packet).cloned() {
                    self.network.push_back(Packet::Status { number, status });
                }
            }
            Event::Drop { packet } => {
                if let Some(Packet::Message { id, bytes }) = self.network.remove(packet) {
                    self.stream.push_back((id, bytes));
                }
            }
            Event::LoseNextPull => self.loses_next_pull = true,
            Event::ForgetRequests => self.waiting.clear(),
            Event::Reconnect { is_told } => self.reconnect(is_told),
            Event::Limit { batch } => self.max_batch = batch,
            Event::Refuse { kind } => self.refuses = Some(kind),
        }
        self.obey();
    }

    fn reconnect(&mut self, is_told: bool) {
        self.reconnects += 1;
        self.waiting.clear();
        for packet in std::mem::take(&mut self.network) {
            if let Packet::Message { id, bytes } = packet {
                self.stream.push_back((id, bytes));
            }
        }
        if is_told {
            self.pull.handle_disconnected(self.now);
            self.obey();
        }
        self.pull.handle_reconnected(self.now);
    }

    /// What is under way, as whoever sees everything knows it.
    fn under_way(&self) -> Amount {
        let waiting = self.waiting.iter().filter(|request| request.left.bytes != 1);
        let requests = waiting.fold(Amount::default(), |sum, request| sum.plus(request.left));
        let one = |bytes: &u64| Amount { messages: 1, bytes: *bytes };
        let kept = self.buffer.iter().map(|(_, bytes)| one(bytes));
        let flying = self.network.iter().filter_map(|packet| match packet {
            Packet::Message { bytes, .. } => Some(one(bytes)),
            Packet::Status { .. } => None,
        });
        kept.chain(flying).fold(requests, Amount::plus)
    }

    /// Requests are bounded by messages, lost connections, and time.
    fn assert_bounded(&self) {
        let seconds = (self.now - self.start).as_secs();
        let bound = 2 * self.arrived + self.reconnects + 3 * seconds + 10;
        assert!(self.pulls <= bound, "{} requests, {bound} are too many", self.pulls);
    }

    /// From now on everything works, and the program takes everything.
    fn heal(&mut self) {
        self.max_batch = u64::MAX;
        self.refuses = None;
        self.loses_next_pull = false;
        self.pull.resume(self.now);
        self.obey();
        let end = self.now + AFTERMATH;
        while self.now < end && self.taken.len() as u64 != self.published {
            for _ in 0..self.stream.len() {
                self.serve();
                while !self.network.is_empty() || !self.buffer.is_empty() {
                    self.arrive();
                    self.take();
                }
            }
            self.tick();
            while !self.buffer.is_empty() {
                self.take();
            }
        }
    }
}

pub(super) fn some_options() -> impl Strategy<Value = ConsumeOptions> {
    let new = ConsumeOptions::new;
    prop::sample::select(vec![
        new().max_messages(1),
        new().max_messages(10),
        new().max_messages(7).threshold_messages(7),
        new().max_messages(40).max_bytes(1000),
        new().max_bytes(1000),
        new().max_bytes(500).threshold_bytes(1).expires(SECOND),
        new().max_messages(10).heartbeat(SECOND),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn never_is_more_under_way_than_the_options_permit(
        options in some_options(),
        events in prop::collection::vec(harmless(), 0..80),
    ) {
        let mut simulation = Simulation::new(options);
        for event in events {
            simulation.happen(event);
            let under_way = simulation.under_way();
            prop_assert!(under_way.messages <= simulation.max.messages, "{under_way:?}");
            prop_assert!(under_way.bytes <= simulation.max.bytes, "{under_way:?}");
        }
    }

    #[test]
    fn everything_comes_when_the_trouble_is_over(
        options in some_options(),
        events in prop::collection::vec(harmful(), 0..80),
    ) {
        let mut simulation = Simulation::new(options);
        for event in events {
            simulation.happen(event);
            simulation.assert_bounded();
        }
        prop_assert_eq!(&simulation.ends, &[]);
        simulation.heal();
        prop_assert_eq!(simulation.taken.len() as u64, simulation.published);
        simulation.assert_bounded();
        simulation.pull.drain(simulation.now);
        simulation.pull.stop();
        simulation.obey();
        prop_assert_eq!(simulation.ends.len(), 1);
    }
}
