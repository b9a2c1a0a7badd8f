//! Reads that prove what they return: which question a replica is asked next, and when its answer
//! will do. No socket, no clock.
//!
//! A replica that answers says up to which sequence it has read. An answer that is not older than what
//! is needed proves itself; so does the absence of a key, if a key was asked for beside it that is
//! there, because a replica that has neither says nothing. Which revision is needed is what tells the
//! kinds apart: the newest one that this bucket's handles have written or seen, or that of a fence that
//! was written after the read began.
//!
//! Invariant: an answer is returned only if it is proven. What cannot be proven is asked again, and ends
//! at the deadline, which is the driver's.

mod driver;
pub(in crate::kv) mod reading;

use reading::{Beside, Next};
use smol_str::SmolStr;

/// So often a replica is asked before a fence is written, which makes the others catch up.
const ATTEMPTS: u32 = 4;

/// What a replica has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::kv) struct Seen {
    /// The revision of the key that is read.
    pub(in crate::kv) revision: Option<u64>,
    /// The last revision that the replica had. `None`: it had neither of the keys.
    pub(in crate::kv) up_to: Option<u64>,
}

/// A read on the way to its proof.
#[derive(Debug)]
pub(in crate::kv) struct Proof {
    /// What the answer must not be older than.
    needed: u64,
    /// Whether a fence may be written, and is of use.
    may_fence: bool,
    has_fence: bool,
    beside: Beside,
    known_key: Option<SmolStr>,
    attempts: u32,
}

impl Proof {
    /// A read that is to be no older than a revision.
    pub(in crate::kv) fn no_older_than(
        needed: u64,
        known_key: Option<SmolStr>,
        may_fence: bool,
    ) -> (Self, Next<Beside>) {
        let beside = Beside::Nothing;
        let proof = Self { needed, may_fence, has_fence: false, beside, known_key, attempts: 0 };
        (proof, Next::Ask(Beside::Nothing))
    }

    /// A read that is to be no older than its own beginning.
    pub(in crate::kv) fn fenced() -> (Self, Next<Beside>) {
        let (proof, _) = Self::no_older_than(0, None, true);
        (proof, Next::Fence)
    }

    /// The fence is written, and has this revision.
    pub(in crate::kv) fn handle_fence(&mut self, revision: u64) -> Next<Beside> {
        self.has_fence = true;
        // also if it is lower than what was needed: then the stream is another one
        self.needed = revision;
        self.beside = Beside::Fence;
        self.attempts = 0;
        self.ask()
    }

    /// A key was found that has a message, or there is none at all.
    pub(in crate::kv) fn handle_key(&mut self, key: Option<SmolStr>) -> Next<Beside> {
        match key {
            Some(key) => self.ask_beside(Beside::Known(key)),
            None => self.go_on(),
        }
    }

    /// A replica has answered.
    pub(in crate::kv) fn handle_seen(&mut self, seen: Seen) -> Next<Beside> {
        let newest = seen.revision.max(seen.up_to);
        if newest.unwrap_or_default() >= self.needed {
            return Next::Return;
        }
        if newest.is_some() {
            return self.go_on();
        }
        // it has neither, and does not say how far it has read
        match &self.beside {
            Beside::Nothing => match self.known_key.take() {
                Some(key) => self.ask_beside(Beside::Known(key)),
                None => Next::FindKey,
            },
            _ => self.go_on(),
        }
    }

    /// A replica has not answered.
    pub(in crate::kv) fn handle_silence(&mut self) -> Next<Beside> {
        self.attempts += 1;
        self.ask()
    }

    /// Fences are not permitted: there may be a replica that has caught up.
    pub(in crate::kv) fn handle_no_fence(&mut self) -> Next<Beside> {
        self.may_fence = false;
        self.go_on()
    }

    /// Tries again: another replica may answer, or the same one may have caught up.
    fn go_on(&mut self) -> Next<Beside> {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS && self.may_fence && !self.has_fence {
            return Next::Fence;
        }
        // a known key may be gone meanwhile
        if let Beside::Known(_) = self.beside
            && self.attempts.is_multiple_of(2)
        {
            self.beside = Beside::Nothing;
        }
        Next::AskLater(self.beside.clone(), self.attempts)
    }

    fn ask_beside(&mut self, beside: Beside) -> Next<Beside> {
        self.beside = beside;
        self.ask()
    }

    fn ask(&self) -> Next<Beside> {
        Next::Ask(self.beside.clone())
    }
}

#[cfg(test)]
mod tests;
