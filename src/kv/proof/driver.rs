//! Carries out what a [`Proof`] asks for, until the deadline of a read.

use super::{Beside, Next, Proof, Seen};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, LastMessages, MessageQuery, StoredMessage, StreamConfig};
use crate::kv::bucket::Bucket;
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::name::FENCE_KEY;
use crate::kv::read::{Found, is_no_message};
use crate::kv::reads::Reads;
use smol_str::SmolStr;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Between two attempts; each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(250);

type OnFound = Box<dyn FnOnce(&mut State, Found) -> Ran>;

/// What a replica has answered, or why none has.
type Answered = Result<LastMessages, jetstream::Error>;

/// A read under way.
struct Reading {
    bucket: Rc<Bucket>,
    key: SmolStr,
    reads: Reads,
    deadline: Instant,
    proof: RefCell<Proof>,
    /// What the last answer had of the key.
    found: Cell<Option<StoredMessage>>,
    /// The last thing that went wrong, for the case that it is the reason for the end.
    error: RefCell<Option<Error>>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<OnFound>>,
}

impl Bucket {
    /// Reads a key's last revision, and proves that it is. Most answers prove themselves, so that the
    /// first one is looked at before anything is kept for others.
    pub(in crate::kv) fn get_proven(
        self: &Rc<Self>,
        key: &str,
        reads: Reads,
        on_found: impl FnOnce(&mut State, Found) -> Ran + 'static,
    ) {
        if reads == Reads::Linearizable {
            return self.get_fenced(key, Box::new(on_found));
        }
        let (bucket, deadline, needed) = (self.clone(), self.api.deadline(), self.mark());
        let kept = SmolStr::new(key);
        let on_answer = move |state: &mut State, mut answer: Answered| {
            if let Ok(answer) = &mut answer
                && answer.newest() >= needed
            {
                let found = answer.take_message(&bucket.subjects, &kept);
                let entry = found.map(|message| bucket.proven_entry(&kept, message));
                return on_found(state, Ok(entry));
            }
            let may_fence = bucket.check_fence().is_ok();
            let known_key = bucket.mark.known_key().filter(|known| *known != kept);
            let (proof, _) = Proof::no_older_than(needed, known_key, may_fence);
            Reading::new(&bucket, kept, reads, deadline, proof, Box::new(on_found))
                .receive(state, answer)
        };
        self.last_reads().read(&[key], Box::new(on_answer));
    }

    fn get_fenced(self: &Rc<Self>, key: &str, on_found: OnFound) {
        if let Err(error) = self.check_fence() {
            return self.api.port().defer(move |state| on_found(state, Err(error)));
        }
        let ((proof, first), deadline) = (Proof::fenced(), self.api.deadline());
        Reading::new(self, key.into(), Reads::Linearizable, deadline, proof, on_found).start(first);
    }

    fn proven_entry(&self, key: &str, message: StoredMessage) -> Entry {
        self.mark.note_key(key);
        self.entry(&self.subjects, message)
    }

    /// Checks that such reads are possible at all.
    pub(in crate::kv) fn check_reads(&self, reads: Reads) -> Result<(), Error> {
        match reads {
            Reads::Linearizable => self.check_fence(),
            _ => Ok(()),
        }
    }

    /// Looks for a key that has a message: the last one of the bucket, of whichever replica answers.
    pub(in crate::kv) fn find_key(self: &Rc<Self>, answer: Answer<Result<Option<SmolStr>, Error>>) {
        let bucket = self.clone();
        let on_stored =
            move |state: &mut State, stored: Result<StoredMessage, jetstream::Error>| {
                let key = match stored {
                    Ok(message) => {
                        Ok(bucket.key_of(&message).inspect(|key| bucket.mark.note_key(key)))
                    }
                    Err(error) if is_no_message(&error) => Ok(None),
                    Err(error) => Err(bucket.error(error)),
                };
                answer(state, key)
            };
        let subject = format!("{}>", self.subjects);
        let query = MessageQuery::LastBySubject(&subject);
        self.api.read_direct(&self.stream, query, Box::new(on_stored));
    }

    fn key_of(&self, message: &StoredMessage) -> Option<SmolStr> {
        let key = message.subject_bytes().strip_prefix(self.subjects.as_bytes())?;
        std::str::from_utf8(key).ok().map(SmolStr::new)
    }
}

impl Reading {
    fn new(
        bucket: &Rc<Bucket>,
        key: SmolStr,
        reads: Reads,
        deadline: Instant,
        proof: Proof,
        on_found: OnFound,
    ) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            key,
            reads,
            deadline,
            proof: RefCell::new(proof),
            found: Cell::new(None),
            error: RefCell::default(),
            answer: Cell::new(Some(on_found)),
        })
    }

    fn start(self: &Rc<Self>, next: Next) {
        match next {
            Next::Ask(beside) => self.ask(beside),
            Next::AskLater(beside, attempt) => self.ask_later(beside, attempt),
            Next::FindKey => self.find_key(),
            Next::Fence => self.fence(),
            // nothing has been asked yet
            Next::Return => {}
        }
    }

    fn go_on(self: &Rc<Self>, state: &mut State, next: Next) -> Ran {
        if next == Next::Return {
            let found = self.found.take();
            let entry = found.map(|message| self.bucket.proven_entry(&self.key, message));
            return self.finish(state, Ok(entry));
        }
        if self.left().is_zero() {
            return self.give_up(state);
        }
        self.start(next);
        Ok(())
    }

    fn ask(self: &Rc<Self>, beside: Beside) {
        let (reading, is_known) = (self.clone(), matches!(beside, Beside::Known(_)));
        let on_answer = move |state: &mut State, answer: Answered| {
            if is_known && answer.as_ref().is_ok_and(|answer| answer.newest() == 0) {
                reading.bucket.mark.forget_key();
            }
            reading.receive(state, answer)
        };
        let beside = match &beside {
            Beside::Nothing => None,
            Beside::Known(key) => Some(key.as_str()),
            Beside::Fence => Some(FENCE_KEY),
        };
        let beside = beside.filter(|beside| *beside != self.key);
        let last_reads = self.bucket.last_reads();
        match beside {
            None => last_reads.read(&[&self.key], Box::new(on_answer)),
            Some(beside) => last_reads.read(&[&self.key, beside], Box::new(on_answer)),
        }
    }

    fn ask_later(self: &Rc<Self>, beside: Beside, attempt: u32) {
        let pause = (FIRST_PAUSE * (1 << attempt.min(10))).min(MAX_PAUSE).min(self.left());
        self.later(pause, move |reading| reading.ask(beside));
    }

    fn later(self: &Rc<Self>, pause: Duration, then: impl FnOnce(&Rc<Self>) + 'static) {
        let reading = self.clone();
        let on_time = move |_: &mut State| {
            then(&reading);
            Ok(())
        };
        self.bucket.api.port().set_timer(pause, Box::new(on_time));
    }

    fn receive(self: &Rc<Self>, state: &mut State, answer: Answered) -> Ran {
        let mut answer = match answer {
            Ok(answer) => {
                self.error.take();
                answer
            }
            Err(jetstream::Error::NotAvailable) => {
                self.ask_why();
                return Ok(());
            }
            Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                self.keep_error(self.bucket.error(error));
                let next = self.proof.borrow_mut().handle_silence();
                return self.go_on(state, next);
            }
            Err(error) => return self.finish(state, Err(self.bucket.error(error))),
        };
        let found = answer.take_message(&self.bucket.subjects, &self.key);
        let revision = found.as_ref().map(StoredMessage::sequence);
        let up_to = answer.up_to;
        self.found.set(found);
        let next = self.proof.borrow_mut().handle_seen(Seen { revision, up_to });
        self.go_on(state, next)
    }

    /// Nobody answers such reads: the bucket is gone, or does not allow them, or it is the moment.
    fn ask_why(self: &Rc<Self>) {
        let reading = self.clone();
        let on_config = move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| {
            match config {
                Ok(config) if !config.allow_direct => {
                    let bucket = reading.bucket.name.to_string();
                    reading.finish(state, Err(Error::NoDirectReads { bucket }))
                }
                // whoever may not ask is not told more than that nobody answers
                Ok(_) => {
                    reading.keep_error(Error::JetStream(jetstream::Error::NotAvailable));
                    reading.try_later(state)
                }
                Err(error) => reading.finish(state, Err(error)),
            }
        };
        self.bucket.ask_config(Box::new(on_config));
    }

    /// Asks again as after a replica that lags behind.
    fn try_later(self: &Rc<Self>, state: &mut State) -> Ran {
        if self.left().is_zero() {
            return self.give_up(state);
        }
        let reading = self.clone();
        let on_time = move |state: &mut State| {
            let next = reading.proof.borrow_mut().handle_silence();
            reading.go_on(state, next)
        };
        let pause = MAX_PAUSE.min(self.left());
        self.bucket.api.port().set_timer(pause, Box::new(on_time));
        Ok(())
    }

    fn find_key(self: &Rc<Self>) {
        let reading = self.clone();
        let on_key = move |state: &mut State, key: Result<Option<SmolStr>, Error>| {
            let key = key.unwrap_or_else(|error| {
                reading.keep_error(error);
                None
            });
            let next = reading.proof.borrow_mut().handle_key(key);
            reading.go_on(state, next)
        };
        self.bucket.find_key(Box::new(on_key));
    }

    fn fence(self: &Rc<Self>) {
        let reading = self.clone();
        let on_fence = move |state: &mut State, fence: Result<u64, Error>| {
            let next = match fence {
                Ok(revision) => reading.proof.borrow_mut().handle_fence(revision),
                Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                    reading.keep_error(error);
                    return reading.fence_later(state);
                }
                Err(error) if reading.reads == Reads::Linearizable => {
                    return reading.finish(state, Err(error));
                }
                Err(_) => reading.proof.borrow_mut().handle_no_fence(),
            };
            reading.go_on(state, next)
        };
        self.bucket.fence(Box::new(on_fence));
    }

    fn fence_later(self: &Rc<Self>, state: &mut State) -> Ran {
        if self.left().is_zero() {
            return self.give_up(state);
        }
        self.later(MAX_PAUSE.min(self.left()), |reading| reading.fence());
        Ok(())
    }

    fn keep_error(&self, error: Error) {
        *self.error.borrow_mut() = Some(error);
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(self.bucket.api.port().turn_time())
    }

    /// The time is up. What went wrong last is the reason; if nothing did, no answer was proven.
    fn give_up(&self, state: &mut State) -> Ran {
        let unproven = || Error::Unproven { key: self.key.to_string() };
        let error = self.error.take().unwrap_or_else(unproven);
        self.finish(state, Err(error))
    }

    fn finish(&self, state: &mut State, found: Found) -> Ran {
        self.answer.take().map_or(Ok(()), |answer| answer(state, found))
    }
}
