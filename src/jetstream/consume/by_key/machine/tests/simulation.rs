//! A server with one consumer, and a program that answers in every way: whatever they do, and whatever is
//! lost, each key is in order, and everything is done in the end.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// How a message fares with the program.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Done,
    /// The server does not hear of it.
    Unheard,
    Again(u64),
    Dropped,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The server delivers, and it arrives or is lost.
    Deliver {
        arrives: bool,
    },
    /// The program takes the next message.
    Take,
    /// One of those at work is settled.
    Settle {
        which: usize,
        answer: Answer,
    },
    Wait {
        millis: u64,
    },
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        6 => Just(Answer::Done),
        1 => Just(Answer::Unheard),
        2 => (0..1500_u64).prop_map(Answer::Again),
        1 => Just(Answer::Dropped),
    ];
    let step = prop_oneof![
        20 => Just(Step::Deliver { arrives: true }),
        1 => Just(Step::Deliver { arrives: false }),
        15 => Just(Step::Take),
        15 => (any::<usize>(), answer).prop_map(|(which, answer)| Step::Settle { which, answer }),
        4 => (0..1500_u64).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 0..300)
}

/// A server with one consumer, whose messages are of these keys, and a program.
struct World {
    bench: Bench,
    keys: Vec<u8>,
    max_keys: usize,
    /// How many messages were delivered for the first time.
    delivered: usize,
    /// What waits for an answer: since when it may be delivered again, and how often it was.
    pending: BTreeMap<u64, (Instant, u64)>,
    /// How many messages the client has asked for.
    asked: u64,
    untaken: VecDeque<u64>,
    at_work: Vec<u64>,
    /// How many of each key were a success, each for the first time.
    done: BTreeMap<u8, Vec<u64>>,
}

impl World {
    fn new(keys: Vec<u8>, max_keys: usize, max_messages: u64) -> Self {
        let options = ConsumeOptions::new().max_messages(max_messages);
        let now = Instant::now();
        let key_of: KeyOf = Rc::new(|message| message.subject_bytes().to_vec());
        let machine = KeyedPull::new(options, key_of, max_keys, 1, now);
        let mut world = Self {
            bench: Bench { machine, now, last: 0 },
            keys,
            max_keys,
            delivered: 0,
            pending: BTreeMap::new(),
            asked: 0,
            untaken: VecDeque::new(),
            at_work: Vec::new(),
            done: BTreeMap::new(),
        };
        world.act();
        world
    }

    fn key(&self, sequence: u64) -> u8 {
        self.keys[sequence as usize - 1]
    }

    /// Carries out what the machine asks for.
    fn act(&mut self) {
        let acts = self.bench.acts();
        assert_eq!(acts.skipped, NONE, "everything comes again");
        self.asked += acts.pulled;
        self.untaken.extend(acts.handed);
        for sequence in acts.prolonged {
            self.pending.entry(sequence).and_modify(|(due, _)| *due = self.bench.now + SECOND);
        }
        for _ in 0..acts.questions {
            let told = info(same);
            self.bench.machine.handle_told(Told::Consumer(Ok(&told)), self.bench.now);
            self.act();
        }
    }

    /// The next message that the server delivers: one that is due again, or a new one.
    fn next_delivery(&self) -> Option<u64> {
        let due = self.pending.iter().find(|(_, (due, _))| *due <= self.bench.now);
        let new = (self.delivered < self.keys.len()).then_some(self.delivered as u64 + 1);
        due.map(|(sequence, _)| *sequence).or(new)
    }

    /// Returns whether there was anything to deliver.
    fn deliver(&mut self, arrives: bool) -> bool {
        let Some(sequence) = self.next_delivery().filter(|_| self.asked > 0) else { return false };
        self.asked -= 1;
        self.delivered = self.delivered.max(sequence as usize);
        let due = self.bench.now + SECOND;
        let (_, times) = self.pending.remove(&sequence).unwrap_or((due, 0));
        self.pending.insert(sequence, (due, times + 1));
        // before the first one, nobody can tell
        if arrives || self.bench.last == 0 {
            let key = self.key(sequence).to_string();
            self.bench.come_again(&key, sequence, times + 1);
        } else {
            self.bench.last += 1;
        }
        self.act();
        true
    }

    fn take(&mut self) -> bool {
        let Some(sequence) = self.untaken.pop_front() else { return false };
        let key = self.key(sequence);
        assert!(self.at_work.iter().all(|other| self.key(*other) != key), "two of {key}");
        self.at_work.push(sequence);
        assert!(self.at_work.len() + self.untaken.len() <= self.max_keys);
        self.bench.machine.release(1, self.bench.now);
        self.act();
        true
    }

    fn settle(&mut self, which: usize, answer: Answer) {
        if self.at_work.is_empty() {
            return;
        }
        let sequence = self.at_work.swap_remove(which % self.at_work.len());
        let (key, now) = (self.key(sequence), self.bench.now);
        let settled = match answer {
            Answer::Done => {
                self.pending.remove(&sequence);
                Settled::Done
            }
            Answer::Unheard => Settled::Done,
            Answer::Again(millis) => {
                let delay = Duration::from_millis(millis);
                self.pending.entry(sequence).and_modify(|(due, _)| *due = now + delay);
                Settled::Again(delay)
            }
            Answer::Dropped => Settled::Unanswered,
        };
        if settled == Settled::Done {
            let done = self.done.entry(key).or_default();
            if !done.contains(&sequence) {
                let of_key = (1..).filter(|next| self.keys.get(*next as usize - 1) == Some(&key));
                let expected = of_key.clone().nth(done.len());
                assert_eq!(Some(sequence), expected, "of {key}, after {done:?}");
                done.push(sequence);
            }
        }
        self.bench.machine.handle_settled(sequence, settled, now);
        self.act();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.bench.now + time;
        loop {
            let due = self.bench.machine.next_deadline().filter(|due| *due <= end);
            self.bench.now = due.unwrap_or(end).max(self.bench.now);
            self.bench.machine.handle_timeout(self.bench.now);
            self.act();
            while self.is_slow() && self.deliver(true) {}
            if due.is_none() {
                return;
            }
        }
    }

    /// Whether something should have been delivered a while ago.
    fn is_slow(&self) -> bool {
        self.pending.values().any(|(due, _)| *due + SECOND <= self.bench.now)
    }

    fn reconnect(&mut self) {
        self.asked = 0;
        self.bench.machine.handle_disconnected(self.bench.now);
        self.act();
        self.bench.machine.handle_reconnected(self.bench.now);
        self.act();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Deliver { arrives } => drop(self.deliver(arrives)),
            Step::Take => drop(self.take()),
            Step::Settle { which, answer } => self.settle(which, answer),
            Step::Wait { millis } => self.wait(Duration::from_millis(millis)),
            Step::Reconnect => self.reconnect(),
        }
    }

    /// From now on all is well, and everything has to be done in the end.
    fn finish(&mut self) {
        for _ in 0..5_000 {
            while self.deliver(true) || self.take() {}
            while !self.at_work.is_empty() {
                self.settle(0, Answer::Done);
            }
            if self.pending.is_empty() && self.delivered == self.keys.len() {
                assert!(self.bench.machine.lanes.is_empty());
                return;
            }
            self.wait(Duration::from_millis(100));
        }
        panic!("{:?} of {} are not done", self.pending, self.keys.len());
    }
}

proptest! {
    #[test]
    fn each_key_is_in_order_whatever_happens_and_nothing_is_stuck(
        keys in prop::collection::vec(0..5_u8, 1..80),
        max_keys in 1..5_usize,
        max_messages in 1..20_u64,
        steps in steps(),
    ) {
        let mut world = World::new(keys, max_keys, max_messages);
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
        let done: usize = world.done.values().map(Vec::len).sum();
        prop_assert_eq!(done, world.keys.len());
    }
}

/// What had come meanwhile left no room to ask for what was lost, which was then taken for somebody else's.
#[test]
fn what_is_late_comes_though_there_is_no_room_for_anything_else() {
    let deliver = |arrives| Step::Deliver { arrives };
    let wait = |millis| Step::Wait { millis };
    let again = Step::Settle { which: 0, answer: Answer::Again(438) };
    let steps = [deliver(true), Step::Take, again, wait(616), deliver(false), wait(922)];
    let mut world = World::new(vec![0; 65], 1, 1);
    steps.into_iter().for_each(|step| world.step(step));
    [deliver(false), deliver(false)].into_iter().for_each(|step| world.step(step));
    world.finish();
    assert_eq!(world.done[&0], (1..=65).collect::<Vec<_>>());
}
