//! Claims in virtual time, with clocks that run at different speeds, over a register that loses and
//! delays what it is told and what it answers.

use super::*;
use proptest::prelude::*;

const TTL: Duration = Duration::from_secs(10);

fn terms(id: u64) -> Terms {
    Terms {
        key: "k".into(),
        record: Record::new(&format!("claim {id}"), id, TTL),
        is_at_once: false,
        give_up: None,
        stands_back: None,
    }
}

fn lock_of(id: u64, revision: u64) -> Found {
    Found { revision, holder: Holder::Lock(terms(id).record) }
}

fn timeout() -> Written {
    Written::Unknown(Error::timeout())
}

/// A claim that has found nothing and has written.
fn held(now: Instant, revision: u64) -> Machine {
    let mut machine = Machine::new(terms(1));
    assert_eq!(machine.poll_command(now), Some(Command::Read { number: 1 }));
    machine.handle_read(now, 1, Ok(Found::nothing()));
    assert_eq!(machine.poll_command(now), Some(Command::Write { number: 2, expected: 0 }));
    machine.handle_written(now, 2, Written::Stored(revision));
    assert!(events(&mut machine).contains(&Event::Acquired(revision)));
    machine
}

fn events(machine: &mut Machine) -> Vec<Event> {
    std::iter::from_fn(|| machine.poll_event()).collect()
}

#[test]
fn a_lock_is_renewed_after_a_third_of_its_time() {
    let now = Instant::now();
    let mut machine = held(now, 5);
    assert_eq!(machine.poll_command(now), None);
    assert_eq!(machine.next_time(now), Some(now + TTL / 3));
    let then = now + TTL / 3;
    assert_eq!(machine.poll_command(then), Some(Command::Write { number: 3, expected: 5 }));
    machine.handle_written(then, 3, Written::Stored(6));
    assert!(machine.is_held(then + (TTL - margin(TTL)) - Duration::from_millis(1)));
    assert!(!machine.is_held(then + (TTL - margin(TTL))));
    assert_eq!(events(&mut machine), []);
}

#[test]
fn one_that_cannot_be_renewed_is_lost_before_its_time_is_over() {
    let now = Instant::now();
    let mut machine = held(now, 5);
    let mut time = now;
    let mut seen = Vec::new();
    while seen.is_empty() {
        time = machine.next_time(time).expect("it is not over");
        match machine.poll_command(time) {
            Some(Command::Write { number, .. }) => machine.handle_written(time, number, timeout()),
            Some(Command::Read { number }) => {
                machine.handle_read(time, number, Err(Error::timeout()));
            }
            _ => {}
        }
        seen = events(&mut machine);
    }
    assert_eq!(time, now + (TTL - margin(TTL)));
    assert_eq!(seen, [Event::Lost(Lost::NotRenewed { last: Some(Error::timeout()) })]);
    assert!(machine.is_over());
    assert_eq!(machine.next_time(time), None);
}

#[test]
fn a_write_of_which_nothing_was_heard_is_found_and_written_over() {
    let now = Instant::now();
    let mut machine = Machine::new(terms(1));
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(Found::nothing()));
    machine.poll_command(now);
    machine.handle_written(now, 2, timeout());
    assert_eq!(machine.poll_command(now), None, "a pause");
    let then = machine.next_time(now).expect("an end of the pause");
    assert_eq!(machine.poll_command(then), Some(Command::Read { number: 3 }));
    machine.handle_read(then, 3, Ok(lock_of(1, 7)));
    assert!(!machine.is_held(then), "only an acknowledgement counts");
    assert_eq!(machine.poll_command(then), Some(Command::Write { number: 4, expected: 7 }));
    machine.handle_written(then, 4, Written::Stored(8));
    assert_eq!(events(&mut machine).last(), Some(&Event::Acquired(8)));
}

#[test]
fn an_acknowledgement_that_comes_late_counts_from_when_the_write_was_sent() {
    let now = Instant::now();
    let mut machine = Machine::new(terms(1));
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(Found::nothing()));
    machine.poll_command(now);
    let then = now + TTL / 6;
    assert_eq!(machine.poll_command(then), Some(Command::Read { number: 3 }));
    machine.handle_written(then, 2, Written::Stored(3));
    assert!(machine.is_held(now + TTL / 2));
    assert!(!machine.is_held(now + (TTL - margin(TTL))));
    let mut late = Machine::new(terms(1));
    late.poll_command(now);
    late.handle_read(now, 1, Ok(Found::nothing()));
    late.poll_command(now);
    late.poll_command(now + TTL);
    late.handle_written(now + TTL, 2, Written::Stored(3));
    assert!(late.is_contending(), "it is too late");
}

#[test]
fn another_one_is_taken_for_dead_when_it_was_seen_unchanged_for_its_time() {
    let now = Instant::now();
    let mut machine = Machine::new(terms(1));
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(lock_of(2, 3)));
    assert!(machine.is_waiting());
    assert_eq!(machine.next_time(now), Some(now + TTL));
    let then = now + TTL / 2;
    machine.handle_seen(then, lock_of(2, 4));
    assert_eq!(machine.next_time(then), Some(then + TTL));
    assert_eq!(machine.poll_command(now + TTL), None);
    let command = machine.poll_command(then + TTL);
    assert_eq!(command, Some(Command::Write { number: 2, expected: 4 }));
    machine.handle_written(then + TTL, 2, Written::Refused);
    let command = machine.poll_command(then + TTL);
    assert_eq!(command, Some(Command::Read { number: 3 }), "it has expired, or was renewed");
    machine.handle_read(then + TTL, 3, Ok(Found::nothing()));
    let command = machine.poll_command(then + TTL);
    assert_eq!(command, Some(Command::Write { number: 4, expected: 0 }));
}

#[test]
fn whoever_asks_at_once_is_told_who_holds_it() {
    let now = Instant::now();
    let mut machine = Machine::new(Terms { is_at_once: true, ..terms(1) });
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(lock_of(2, 3)));
    let locked = Error::Locked { key: "k".into(), owner: "claim 2".into(), revision: 3 };
    assert_eq!(events(&mut machine).last(), Some(&Event::Failed(locked)));
}

#[test]
fn a_lock_that_another_one_has_is_lost_at_once_and_an_old_answer_is_none() {
    let now = Instant::now();
    let mut machine = held(now, 5);
    machine.poll_command(now + TTL / 3);
    machine.handle_written(now + TTL / 3, 3, Written::Refused);
    machine.poll_command(now + TTL / 3);
    machine.handle_read(now + TTL / 3, 4, Ok(lock_of(2, 4)));
    assert!(machine.is_held(now + TTL / 3), "that was before");
    machine.handle_seen(now + TTL / 3, lock_of(2, 6));
    let by = Some("claim 2".into());
    assert_eq!(events(&mut machine).last(), Some(&Event::Lost(Lost::Taken { by })));
}

#[test]
fn a_release_removes_its_own_revision_whatever_became_of_a_renewal() {
    let now = Instant::now();
    let mut machine = held(now, 5);
    machine.poll_command(now + TTL / 3);
    machine.handle_written(now + TTL / 3, 3, timeout());
    machine.release(now + TTL / 3);
    assert!(!machine.is_held(now + TTL / 3));
    assert_eq!(machine.poll_command(now + TTL / 3), Some(Command::Read { number: 4 }));
    machine.handle_read(now + TTL / 3, 4, Ok(lock_of(1, 6)));
    let command = machine.poll_command(now + TTL / 3);
    assert_eq!(command, Some(Command::Remove { number: 5, expected: 6 }));
    machine.handle_removed(now + TTL / 3, 5, Written::Stored(7));
    assert_eq!(events(&mut machine), [Event::Released(Ok(()))]);
}

#[test]
fn whoever_gives_up_removes_what_it_may_have_written() {
    let now = Instant::now();
    let give_up = Some(now + Duration::from_secs(1));
    let mut machine = Machine::new(Terms { give_up, ..terms(1) });
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(Found::nothing()));
    machine.poll_command(now);
    let then = now + Duration::from_secs(1);
    assert_eq!(machine.poll_command(then), None);
    assert_eq!(events(&mut machine).last(), Some(&Event::Failed(Error::timeout())));
    machine.handle_written(then, 2, Written::Stored(1));
    let command = machine.poll_command(then);
    assert_eq!(command, Some(Command::Remove { number: 3, expected: 1 }));
    machine.handle_removed(then, 3, Written::Stored(2));
    assert!(machine.is_over());
    assert_eq!(events(&mut machine), [], "it was told already");
}

#[test]
fn a_value_that_is_none_of_a_lock_is_not_written_over() {
    let now = Instant::now();
    let mut machine = Machine::new(terms(1));
    machine.poll_command(now);
    machine.handle_read(now, 1, Ok(Found { revision: 1, holder: Holder::Foreign }));
    let error = Error::NotALock { key: "k".into() };
    assert_eq!(events(&mut machine).last(), Some(&Event::Failed(error)));
}

/// A key, and the server's clock.
#[derive(Default)]
struct Register {
    last: u64,
    found: Option<(Found, Duration)>,
    /// Values that nobody renews vanish without a word.
    expires: bool,
}

impl Register {
    fn now_has(&mut self, time: Duration) -> Found {
        let is_over = |since: &Duration| self.expires && time >= *since + TTL;
        let is_lock = |found: &Found| found.holder != Holder::Nobody;
        self.found = self.found.take().filter(|(found, since)| !is_lock(found) || !is_over(since));
        self.found.as_ref().map_or_else(Found::nothing, |(found, _)| found.clone())
    }

    fn write(&mut self, time: Duration, expected: u64, holder: Holder) -> Written {
        if self.now_has(time).revision != expected {
            return Written::Refused;
        }
        self.last += 1;
        self.found = Some((Found { revision: self.last, holder }, time));
        Written::Stored(self.last)
    }
}

struct Claim {
    machine: Machine,
    id: u64,
    /// Its clock's speed, in thousandths.
    speed: u32,
    is_dead: bool,
}

impl Claim {
    fn clock(&self, start: Instant, time: Duration) -> Instant {
        start + time * self.speed / 1000
    }
}

enum Happening {
    Arrives(usize, Command),
    Answers(usize, Command, Outcome),
    Shows(usize, Found),
    Wakes(usize),
    Dies(usize),
    Releases(usize),
}

#[derive(Clone)]
enum Outcome {
    Read(Option<Found>),
    Wrote(Written),
}

/// A world with several claims, seeded.
struct World {
    start: Instant,
    time: Duration,
    random: u64,
    register: Register,
    claims: Vec<Claim>,
    agenda: std::collections::BTreeMap<(Duration, u64), Happening>,
    number: u64,
    /// Every so many thousandths of what is sent is lost.
    loss: u64,
    fences: Vec<u64>,
    acquired: Vec<Duration>,
}

impl World {
    fn new(seed: u64, loss: u64, expires: bool) -> Self {
        Self {
            start: Instant::now(),
            time: Duration::ZERO,
            random: seed | 1,
            register: Register { expires, ..Register::default() },
            claims: Vec::new(),
            agenda: std::collections::BTreeMap::new(),
            number: 0,
            loss,
            fences: Vec::new(),
            acquired: Vec::new(),
        }
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn is_lost(&mut self) -> bool {
        self.chance(1000) < self.loss
    }

    /// Mostly some milliseconds, and sometimes seconds.
    fn delay(&mut self) -> Duration {
        let most = if self.chance(20) == 0 { 8_000 } else { 40 };
        Duration::from_millis(self.chance(most) + 1)
    }

    fn plan(&mut self, delay: Duration, happening: Happening) {
        self.number += 1;
        self.agenda.insert((self.time + delay, self.number), happening);
    }

    fn add(&mut self) {
        let id = self.claims.len() as u64 + 1;
        let speed = 960 + u32::try_from(self.chance(81)).expect("small");
        let machine = Machine::new(terms(id));
        self.claims.push(Claim { machine, id, speed, is_dead: false });
        let at = self.claims.len() - 1;
        self.plan(Duration::ZERO, Happening::Wakes(at));
    }

    fn run(&mut self, until: Duration) {
        while let Some((&(time, number), _)) = self.agenda.first_key_value() {
            if time > until {
                break;
            }
            let happening = self.agenda.remove(&(time, number)).expect("it is there");
            self.time = time;
            self.happen(happening);
            let holders = self.holders();
            assert!(holders.len() <= 1, "at {time:?}, all of {holders:?} hold it");
        }
        self.time = until;
    }

    fn holders(&self) -> Vec<u64> {
        let holds = |claim: &&Claim| claim.machine.is_held(claim.clock(self.start, self.time));
        self.claims.iter().filter(holds).map(|claim| claim.id).collect()
    }

    /// Whether somebody holds it who is alive.
    fn is_held(&self) -> bool {
        self.holders().iter().any(|id| !self.claims[*id as usize - 1].is_dead)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(at, command) => {
                let time = self.time;
                let record = || Holder::Lock(terms(at as u64 + 1).record);
                let outcome = match command {
                    Command::Read { .. } => Outcome::Read(Some(self.register.now_has(time))),
                    Command::Write { expected, .. } => {
                        Outcome::Wrote(self.register.write(time, expected, record()))
                    }
                    Command::Remove { expected, .. } => {
                        Outcome::Wrote(self.register.write(time, expected, Holder::Nobody))
                    }
                };
                if let Outcome::Wrote(Written::Stored(_)) = outcome {
                    let found = self.register.now_has(time);
                    for other in 0..self.claims.len() {
                        let delay = self.delay();
                        if !self.is_lost() {
                            self.plan(delay, Happening::Shows(other, found.clone()));
                        }
                    }
                }
                if !self.is_lost() {
                    let delay = self.delay();
                    self.plan(delay, Happening::Answers(at, command, outcome));
                }
            }
            Happening::Answers(at, command, outcome) => {
                let now = self.claims[at].clock(self.start, self.time);
                let machine = &mut self.claims[at].machine;
                match (command, outcome) {
                    (Command::Read { number }, Outcome::Read(found)) => {
                        machine.handle_read(now, number, found.ok_or_else(Error::timeout));
                    }
                    (Command::Write { number, .. }, Outcome::Wrote(written)) => {
                        machine.handle_written(now, number, written);
                    }
                    (Command::Remove { number, .. }, Outcome::Wrote(written)) => {
                        machine.handle_removed(now, number, written);
                    }
                    _ => {}
                }
                self.drive(at);
            }
            Happening::Shows(at, found) => {
                let now = self.claims[at].clock(self.start, self.time);
                self.claims[at].machine.handle_seen(now, found);
                self.drive(at);
            }
            Happening::Wakes(at) => self.drive(at),
            Happening::Dies(at) => self.claims[at].is_dead = true,
            Happening::Releases(at) => {
                let now = self.claims[at].clock(self.start, self.time);
                self.claims[at].machine.release(now);
                self.drive(at);
            }
        }
    }

    fn drive(&mut self, at: usize) {
        if self.claims[at].is_dead {
            return;
        }
        let now = self.claims[at].clock(self.start, self.time);
        while let Some(command) = self.claims[at].machine.poll_command(now) {
            let delay = self.delay();
            if !self.is_lost() {
                self.plan(delay, Happening::Arrives(at, command));
            }
            // whoever hears nothing is told so in the end
            let outcome = match command {
                Command::Read { .. } => Outcome::Read(None),
                _ => Outcome::Wrote(timeout()),
            };
            self.plan(Duration::from_secs(20), Happening::Answers(at, command, outcome));
        }
        for event in events(&mut self.claims[at].machine) {
            match event {
                Event::Acquired(fence) => {
                    let newest = self.fences.last().copied().unwrap_or_default();
                    assert!(fence > newest, "{fence} is not after {newest}");
                    self.fences.push(fence);
                    self.acquired.push(self.time);
                    let hold = Duration::from_millis(self.chance(30_000));
                    match self.chance(3) {
                        0 => self.plan(hold, Happening::Dies(at)),
                        1 => self.plan(hold, Happening::Releases(at)),
                        _ => {}
                    }
                }
                Event::Failed(error) => panic!("a claim has failed: {error}"),
                Event::Lost(_) | Event::Released(_) | Event::Holder(_) => {}
            }
        }
        if let Some(next) = self.claims[at].machine.next_time(now) {
            let wait = next.saturating_duration_since(now) * 1000 / self.claims[at].speed;
            self.plan(wait + Duration::from_micros(1), Happening::Wakes(at));
        }
    }
}

/// Whatever is lost, delayed and dies, one at most holds the lock; and when nothing is lost any more
/// and somebody is left who wants it, somebody has it.
fn contend(seed: u64, loss: u64, expires: bool) -> usize {
    let mut world = World::new(seed, loss, expires);
    for _ in 0..40 {
        let alive = world.claims.iter().filter(|c| !c.is_dead && !c.machine.is_over()).count();
        (alive..4).for_each(|_| world.add());
        let until = world.time + Duration::from_secs(5);
        world.run(until);
    }
    world.loss = 0;
    let before = world.acquired.len();
    for _ in 0..10 {
        world.add();
        let until = world.time + 3 * TTL;
        world.run(until);
    }
    if !world.is_held() && world.acquired.len() == before {
        // one that had it all the time has lost it just now, and others have to see it unchanged for its time
        let until = world.time + 3 * TTL;
        world.run(until);
    }
    assert!(world.is_held() || world.acquired.len() > before, "nobody has it any more");
    world.acquired.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn never_two_hold_it_and_somebody_always_does_in_the_end(
        seed in any::<u64>(), loss in 0_u64..300, expires in any::<bool>(),
    ) {
        contend(seed, loss, expires);
    }
}

/// What held it for minutes loses it in the last moment, because an answer takes eight seconds.
#[test]
fn a_lock_that_is_lost_in_the_end_is_taken_over() {
    contend(5_801_911_940_026_578_550, 18, false);
}

#[test]
fn many_hold_it_one_after_the_other() {
    let acquired: usize = (1..20).map(|seed| contend(seed * 7919, 50, seed % 2 == 0)).sum();
    assert!(acquired > 40, "only {acquired}");
}

/// The long form.
#[test]
#[ignore = "takes three minutes"]
fn never_two_hold_it_over_many_seeds() {
    for seed in 1..1_000_u64 {
        contend(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed % 400, seed % 2 == 0);
    }
}
