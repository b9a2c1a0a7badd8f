//! What a [`FaultProxy`](crate::FaultProxy) does to a connection, and at which byte.
//!
//! A position counts the bytes that have been forwarded in its direction, so a fault means the same
//! however the bytes were cut into reads. Bytes that a fault takes out ([`Fault::DropLine`]) do not
//! count. This file decides and forwards nothing; no clock and no socket is involved.

use std::{collections::VecDeque, ops::Range, time::Duration};

/// Which way bytes go through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the server to the client.
    ToClient,
    /// From the client to the server.
    ToServer,
}

/// One thing that goes wrong with one direction of a connection.
///
/// If several faults of a direction meet at one position, what ends the direction comes before what
/// changes or delays the next byte.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// When `at` bytes have been forwarded, holds the next ones back for a while from their arrival
    /// on.
    Delay {
        /// Whose bytes.
        direction: Direction,
        /// How many bytes pass before.
        at: u64,
        /// For how long.
        hold: Duration,
    },
    /// Closes both sides in order when `at` bytes have been forwarded. 0 closes at once.
    Cut {
        /// Whose bytes are counted.
        direction: Direction,
        /// How many bytes pass before.
        at: u64,
    },
    /// When `at` bytes have been forwarded, tells the receiver that no more will come (shuts down
    /// writing). The sender does not notice: what it goes on to send is discarded. The other
    /// direction goes on.
    HalfClose {
        /// Whose bytes.
        direction: Direction,
        /// How many bytes pass before.
        at: u64,
    },
    /// Closes both sides with a TCP reset when `at` bytes have been forwarded. 0 resets at once.
    Reset {
        /// Whose bytes are counted.
        direction: Direction,
        /// How many bytes pass before.
        at: u64,
    },
    /// When `at` bytes have been forwarded, neither forwards nor reads any more in this direction,
    /// not even the end of the connection, so that the sender's writes block in the end. Lasts until
    /// the connection is closed from the proxy's side.
    Stall {
        /// Whose bytes.
        direction: Direction,
        /// How many bytes pass before.
        at: u64,
    },
    /// Forwards the bytes of a range one at a time, each in a write, and in general a segment, of
    /// its own.
    Trickle {
        /// Whose bytes.
        direction: Direction,
        /// The first such byte.
        from: u64,
        /// The first byte that is not.
        until: u64,
    },
    /// Changes one byte.
    Corrupt {
        /// Whose bytes.
        direction: Direction,
        /// Which byte, from 0.
        at: u64,
        /// What it is combined with by exclusive or. 0 changes nothing.
        xor: u8,
    },
    /// Takes out the next lines of the protocol that begin with a prefix. Lines that a payload
    /// follows (`MSG`, `HMSG`, `PUB`, `HPUB`) are never taken out, and what looks like a line within
    /// a payload is not one. For connections in plain text only: not TLS, not WebSocket.
    DropLine {
        /// Whose lines.
        direction: Direction,
        /// How such a line begins, byte by byte: `PONG`, or `+OK`.
        prefix: Vec<u8>,
        /// How many lines.
        count: usize,
    },
}

impl Fault {
    /// Faults for a test that repeats with many seeds; the same ones for the same seed. There are
    /// none, one or two of them, of any kind and direction. Positions are spread evenly over their
    /// logarithm from 1 byte to 200 KB, so that the handshake, single frames and bulk transfers are
    /// all hit. Delays are 50 ms at most.
    ///
    /// A client is not expected to notice every [`Fault::Corrupt`], nor to notice a
    /// [`Fault::Stall`] before its ping timer does: tests that cannot live with that leave them out.
    #[must_use]
    pub fn random(seed: u64) -> Vec<Fault> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..rng.u32(0..=2)).map(|_| Fault::random_one(&mut rng)).collect()
    }

    /// The direction that the fault is in.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            Fault::Delay { direction, .. }
            | Fault::Cut { direction, .. }
            | Fault::HalfClose { direction, .. }
            | Fault::Reset { direction, .. }
            | Fault::Stall { direction, .. }
            | Fault::Trickle { direction, .. }
            | Fault::Corrupt { direction, .. }
            | Fault::DropLine { direction, .. } => *direction,
        }
    }

    fn random_one(rng: &mut fastrand::Rng) -> Fault {
        const LAST_POSITION: f64 = 200_000.0;
        const LINES: [&[u8]; 3] = [b"PING", b"PONG", b"+OK"];

        let direction = if rng.bool() { Direction::ToClient } else { Direction::ToServer };
        let at = LAST_POSITION.powf(rng.f64()) as u64;
        match rng.u32(0..8) {
            0 => Fault::Delay { direction, at, hold: Duration::from_millis(rng.u64(1..=50)) },
            1 => Fault::Cut { direction, at },
            2 => Fault::HalfClose { direction, at },
            3 => Fault::Reset { direction, at },
            4 => Fault::Stall { direction, at },
            5 => Fault::Trickle { direction, from: at, until: at + rng.u64(1..=500) },
            6 => Fault::Corrupt { direction, at, xor: rng.u8(1..) },
            _ => Fault::DropLine {
                direction,
                prefix: LINES[rng.usize(0..LINES.len())].to_vec(),
                count: rng.usize(1..=3),
            },
        }
    }
}

/// How a direction ends by a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Cut,
    HalfClose,
    Reset,
    Stall,
}

/// What is to be done next with the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Forward this many of them. Never zero.
    Forward(usize),
    /// Hold them back for so long, and ask again.
    Hold(Duration),
    /// No more will be forwarded.
    End(Ending),
}

/// The faults of one direction that go by position, as a list of what remains to be done.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    endings: Vec<(u64, Ending)>,
    holds: VecDeque<(u64, Duration)>,
    trickles: Vec<Range<u64>>,
    corruptions: Vec<(u64, u8)>,
}

impl Schedule {
    pub(crate) fn new(faults: &[Fault], wanted: Direction) -> Schedule {
        let mut schedule = Schedule::default();
        for fault in faults.iter().filter(|fault| fault.direction() == wanted) {
            match *fault {
                Fault::Delay { at, hold, .. } => schedule.holds.push_back((at, hold)),
                Fault::Cut { at, .. } => schedule.endings.push((at, Ending::Cut)),
                Fault::HalfClose { at, .. } => schedule.endings.push((at, Ending::HalfClose)),
                Fault::Reset { at, .. } => schedule.endings.push((at, Ending::Reset)),
                Fault::Stall { at, .. } => schedule.endings.push((at, Ending::Stall)),
                Fault::Trickle { from, until, .. } => schedule.trickles.push(from..until),
                Fault::Corrupt { at, xor, .. } => schedule.corruptions.push((at, xor)),
                Fault::DropLine { .. } => {} // goes by line, see `line_filter.rs`
            }
        }
        schedule.holds.make_contiguous().sort_by_key(|(at, _)| *at);
        schedule
    }

    /// What to do when `forwarded` bytes have been forwarded and `available` more are at hand. None
    /// if that is nothing yet.
    pub(crate) fn step(&mut self, forwarded: u64, available: usize) -> Option<Step> {
        if let Some((_, ending)) = self.endings.iter().find(|(at, _)| *at <= forwarded) {
            return Some(Step::End(*ending));
        }
        if available == 0 {
            return None;
        }
        if let Some(&(_, hold)) = self.holds.front().filter(|(at, _)| *at <= forwarded) {
            self.holds.pop_front();
            return Some(Step::Hold(hold));
        }
        if self.trickles.iter().any(|range| range.contains(&forwarded)) {
            return Some(Step::Forward(1));
        }
        let boundaries = self
            .endings
            .iter()
            .map(|(at, _)| *at)
            .chain(self.holds.front().map(|(at, _)| *at))
            .chain(self.trickles.iter().map(|range| range.start));
        let next = boundaries.filter(|at| *at > forwarded).min();
        let until_next =
            next.map_or(usize::MAX, |at| (at - forwarded).try_into().unwrap_or(usize::MAX));
        Some(Step::Forward(available.min(until_next)))
    }

    /// Changes those of the bytes that are to be changed, the first of which is at `position`.
    pub(crate) fn corrupt(&self, position: u64, bytes: &mut [u8]) {
        for (at, xor) in &self.corruptions {
            let byte = at.checked_sub(position).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = byte.and_then(|index| bytes.get_mut(index)) {
                *byte ^= xor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    const DIRECTION: Direction = Direction::ToServer;

    /// Runs 100 bytes through the faults, in reads of `read` bytes.
    fn steps(faults: &[Fault], read: usize) -> Vec<Step> {
        let mut schedule = Schedule::new(faults, DIRECTION);
        let (mut forwarded, mut steps) = (0, Vec::new());
        while forwarded < 100 {
            let available = read - forwarded as usize % read;
            let step = schedule.step(forwarded, available).unwrap();
            match step {
                Step::Forward(count) => forwarded += count as u64,
                Step::Hold(_) => {}
                Step::End(_) => {
                    steps.push(step);
                    break;
                }
            }
            steps.push(step);
        }
        steps
    }

    #[test]
    fn faults_come_at_their_byte() {
        let hold = Duration::from_millis(7);
        let direction = DIRECTION;
        let table: [(&[Fault], usize, &[Step]); 9] = [
            (&[], 60, &[Step::Forward(60), Step::Forward(60)]),
            (&[Fault::Cut { direction, at: 0 }], 100, &[Step::End(Ending::Cut)]),
            (&[Fault::Cut { direction, at: 200 }], 100, &[Step::Forward(100)]),
            (&[Fault::Cut { direction: Direction::ToClient, at: 1 }], 100, &[Step::Forward(100)]),
            (
                &[Fault::Reset { direction, at: 70 }, Fault::Corrupt { direction, at: 3, xor: 1 }],
                60,
                &[Step::Forward(60), Step::Forward(10), Step::End(Ending::Reset)],
            ),
            (
                &[Fault::HalfClose { direction, at: 60 }, Fault::Delay { direction, at: 60, hold }],
                60,
                &[Step::Forward(60), Step::End(Ending::HalfClose)],
            ),
            (
                &[Fault::Stall { direction, at: 60 }],
                100,
                &[Step::Forward(60), Step::End(Ending::Stall)],
            ),
            (
                &[
                    Fault::Delay { direction, at: 90, hold },
                    Fault::Delay { direction, at: 10, hold },
                ],
                100,
                &[
                    Step::Forward(10),
                    Step::Hold(hold),
                    Step::Forward(80),
                    Step::Hold(hold),
                    Step::Forward(10),
                ],
            ),
            (
                &[Fault::Trickle { direction, from: 97, until: 99 }],
                100,
                &[Step::Forward(97), Step::Forward(1), Step::Forward(1), Step::Forward(1)],
            ),
        ];
        for (faults, read, expected) in table {
            assert_eq!(steps(faults, read), expected, "{faults:?} in reads of {read}");
        }
    }

    #[test]
    fn an_end_needs_no_further_byte_but_a_delay_does() {
        let hold = Duration::from_millis(7);
        let mut schedule =
            Schedule::new(&[Fault::Delay { direction: DIRECTION, at: 5, hold }], DIRECTION);
        assert_eq!(schedule.step(5, 0), None);
        let mut schedule =
            Schedule::new(&[Fault::Stall { direction: DIRECTION, at: 5 }], DIRECTION);
        assert_eq!(schedule.step(4, 0), None);
        assert_eq!(schedule.step(5, 0), Some(Step::End(Ending::Stall)));
    }

    #[test]
    fn one_byte_is_corrupted_in_whatever_piece_it_comes() {
        let faults = [Fault::Corrupt { direction: DIRECTION, at: 5, xor: 0x20 }];
        let schedule = Schedule::new(&faults, DIRECTION);
        let mut bytes = *b"abcdefgh";
        let (first, second) = bytes.split_at_mut(5);
        schedule.corrupt(0, first);
        schedule.corrupt(5, second);
        assert_eq!(&bytes, b"abcdeFgh");
        schedule.corrupt(6, &mut bytes);
        assert_eq!(&bytes, b"abcdeFgh");
    }

    #[test]
    fn random_faults_repeat_with_the_seed_and_are_spread() {
        let all: Vec<_> = (0..4000).map(Fault::random).collect();
        assert_eq!(all, (0..4000).map(Fault::random).collect::<Vec<_>>());
        for count in 0..=2 {
            assert!(all.iter().filter(|faults| faults.len() == count).count() > 1000);
        }
        let faults: Vec<_> = all.into_iter().flatten().collect();
        let mut kinds = Vec::new();
        let mut decades = [0; 6];
        for fault in &faults {
            if !kinds.contains(&discriminant(fault)) {
                kinds.push(discriminant(fault));
            }
            if let Fault::Cut { at, .. } = fault {
                assert!((1..=200_000).contains(at));
                decades[at.ilog10() as usize] += 1;
            }
            if let Fault::Delay { hold, .. } = fault {
                assert!(*hold <= Duration::from_millis(50));
            }
        }
        assert_eq!(kinds.len(), 8);
        assert!(decades.iter().all(|count| *count > 5), "{decades:?}");
    }
}
