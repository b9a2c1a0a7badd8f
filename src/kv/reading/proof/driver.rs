//! Proven reads of one key: asks what a [`Proof`] wants to know.

use super::reading::{Beside, Next, Prove, Reading};
use super::{Proof, Seen};
use crate::callback::{Ran, State};
use crate::jetstream::{self, Gathering, LastMessages, StoredMessage};
use crate::kv::bucket::Bucket;
use crate::kv::entry::Entry;
use crate::kv::name::FENCE_KEY;
use crate::kv::reading::get::Found;
use crate::kv::reading::reads::Reads;
use smol_str::SmolStr;
use std::rc::Rc;
use std::time::Instant;

type OnFound = Box<dyn FnOnce(&mut State, Found) -> Ran>;

/// What a replica has answered, or why none has.
type Answered = Result<LastMessages, jetstream::Error>;

/// A key, and how far its read has come.
struct One {
    key: SmolStr,
    proof: Proof,
    /// What the last answer had of the key.
    found: Option<StoredMessage>,
}

impl Bucket {
    /// Returns what a replica has answered to who reads a key's last revision, if that is proven, or asks
    /// again until it is.
    pub(in crate::kv) fn prove(
        self: &Rc<Self>,
        state: &mut State,
        key: SmolStr,
        needed: u64,
        deadline: Instant,
        mut answer: Answered,
        on_found: OnFound,
    ) -> Ran {
        if let Ok(answer) = &mut answer
            && answer.newest() >= needed
        {
            let found = answer.take_message(&key);
            let entry = found.map(|message| self.proven_entry(&key, message));
            return on_found(state, Ok(entry));
        }
        let may_fence = self.check_fence().is_ok();
        let known_key = self.mark.known_key().filter(|known| *known != key);
        let (proof, _) = Proof::no_older_than(needed, known_key, may_fence);
        let one = One { key, proof, found: None };
        Reading::new(self, Reads::Verified, deadline, one, on_found).receive(state, answer)
    }

    /// Reads a key's last revision behind a fence, and proves that it is.
    pub(in crate::kv) fn get_fenced(self: &Rc<Self>, key: &str, on_found: OnFound) {
        if let Err(error) = self.check_fence() {
            return self.api.port().defer(move |state| on_found(state, Err(error)));
        }
        let ((proof, first), deadline) = (Proof::fenced(), self.api.deadline());
        let one = One { key: key.into(), proof, found: None };
        Reading::new(self, Reads::Linearizable, deadline, one, on_found).start(first);
    }

    fn proven_entry(&self, key: &str, message: StoredMessage) -> Entry {
        self.mark.note_key(key);
        self.entry("", message)
    }
}

impl Prove for One {
    type Question = Beside;
    type Found = Option<Entry>;

    fn handle_fence(&mut self, revision: u64) -> Next<Beside> {
        self.proof.handle_fence(revision)
    }

    fn handle_no_fence(&mut self) -> Next<Beside> {
        self.proof.handle_no_fence()
    }

    fn handle_key(&mut self, key: Option<SmolStr>) -> Next<Beside> {
        self.proof.handle_key(key)
    }

    fn handle_silence(&mut self) -> Next<Beside> {
        self.proof.handle_silence()
    }

    fn unproven_key(&self) -> String {
        self.key.to_string()
    }

    fn ask(reading: &Rc<Reading<Self>>, beside: Beside) {
        let (asking, is_known) = (reading.clone(), matches!(beside, Beside::Known(_)));
        let on_answer = move |state: &mut State, answer: Answered| {
            if is_known && answer.as_ref().is_ok_and(|answer| answer.newest() == 0) {
                asking.bucket.mark.forget_key();
            }
            asking.receive(state, answer)
        };
        let key = reading.machine.borrow().key.clone();
        let beside = match &beside {
            Beside::Nothing => None,
            Beside::Known(known) => Some(known.as_str()),
            Beside::Fence => Some(FENCE_KEY),
        };
        let beside = beside.filter(|beside| *beside != key);
        reading.bucket.last_reads().read(&key, beside, Gathering::new(Box::new(on_answer)));
    }

    fn found(&mut self, bucket: &Bucket, _: Reads) -> Option<Entry> {
        let found = self.found.take();
        found.map(|message| bucket.proven_entry(&self.key, message))
    }
}

impl Reading<One> {
    fn receive(self: &Rc<Self>, state: &mut State, answer: Answered) -> Ran {
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.handle_failure(state, error),
        };
        self.forget_error();
        let mut one = self.machine.borrow_mut();
        one.found = answer.take_message(&one.key);
        let revision = one.found.as_ref().map(StoredMessage::sequence);
        let next = one.proof.handle_seen(Seen { revision, up_to: answer.up_to });
        drop(one);
        self.go_on(state, next)
    }
}
