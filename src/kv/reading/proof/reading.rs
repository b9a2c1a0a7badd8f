//! A proven read under way: what those of one key and of many have in common. The machine decides what
//! is done next; this carries it out, until the deadline.

use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, MessageQuery, StoredMessage, StreamConfig};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::reading::reads::Reads;
use smol_str::SmolStr;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Between two attempts; each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// The key that is asked for beside what is wanted, so that the answer says how old it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kv) enum Beside {
    Nothing,
    /// One that had a message when it was last seen.
    Known(SmolStr),
    /// That of the fence.
    Fence,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kv) enum Next<Q> {
    /// Ask a replica.
    Ask(Q),
    /// The same after a pause, which grows with this number: the replica lags behind.
    AskLater(Q, u32),
    /// Look for a key that has a message.
    FindKey,
    /// Write the fence.
    Fence,
    /// The answer is proven.
    Return,
}

/// What decides, and knows what is wanted.
pub(in crate::kv) trait Prove: Sized + 'static {
    type Question: 'static;
    type Found: 'static;

    /// The fence is written, and has this revision.
    fn handle_fence(&mut self, revision: u64) -> Next<Self::Question>;

    /// Fences are not permitted: there may be a replica that has caught up.
    fn handle_no_fence(&mut self) -> Next<Self::Question>;

    /// A key was found that has a message, or there is none at all.
    fn handle_key(&mut self, key: Option<SmolStr>) -> Next<Self::Question>;

    /// A replica has not answered.
    fn handle_silence(&mut self) -> Next<Self::Question>;

    /// A key of which nothing is proven yet.
    fn unproven_key(&self) -> String;

    /// Asks a replica. The answer goes to [`Reading::go_on`] with what the machine makes of it, or to
    /// [`Reading::handle_failure`].
    fn ask(reading: &Rc<Reading<Self>>, question: Self::Question);

    /// What was proven.
    fn found(&mut self, bucket: &Bucket, reads: Reads) -> Self::Found;
}

type OnFound<M> = Answer<Result<<M as Prove>::Found, Error>>;

pub(in crate::kv) struct Reading<M: Prove> {
    pub(in crate::kv) bucket: Rc<Bucket>,
    reads: Reads,
    pub(in crate::kv) machine: RefCell<M>,
    deadline: Cell<Instant>,
    /// The last thing that went wrong, for the case that it is the reason for the end.
    error: RefCell<Option<Error>>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<OnFound<M>>>,
}

impl<M: Prove> Reading<M> {
    pub(in crate::kv) fn new(
        bucket: &Rc<Bucket>,
        reads: Reads,
        deadline: Instant,
        machine: M,
        answer: OnFound<M>,
    ) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            reads,
            machine: RefCell::new(machine),
            deadline: Cell::new(deadline),
            error: RefCell::default(),
            answer: Cell::new(Some(answer)),
        })
    }

    /// Begins with what the machine has said first, which is not that all is proven.
    pub(in crate::kv) fn start(self: &Rc<Self>, next: Next<M::Question>) {
        match next {
            Next::Ask(question) => M::ask(self, question),
            Next::AskLater(question, attempt) => {
                let pause = FIRST_PAUSE * (1 << attempt.min(10));
                self.later(pause, move |reading, _| {
                    M::ask(reading, question);
                    Ok(())
                });
            }
            Next::FindKey => self.find_key(),
            Next::Fence => self.fence(),
            Next::Return => {}
        }
    }

    pub(in crate::kv) fn go_on(self: &Rc<Self>, state: &mut State, next: Next<M::Question>) -> Ran {
        if let Next::Return = next {
            let found = self.machine.borrow_mut().found(&self.bucket, self.reads);
            return self.finish(state, Ok(found));
        }
        if self.left().is_zero() {
            return self.give_up(state);
        }
        self.start(next);
        Ok(())
    }

    /// A replica has answered: what went wrong before is no reason for anything any more.
    pub(in crate::kv) fn forget_error(&self) {
        self.error.take();
    }

    /// There is progress, so that there is as much time again.
    pub(in crate::kv) fn extend(&self) {
        self.deadline.set(self.bucket.api.deadline());
    }

    /// No replica has answered.
    pub(in crate::kv) fn handle_failure(
        self: &Rc<Self>,
        state: &mut State,
        error: jetstream::Error,
    ) -> Ran {
        match error {
            jetstream::Error::NotAvailable => {
                self.ask_why();
                Ok(())
            }
            error if error.is_temporary() || error.is_outcome_unknown() => {
                self.keep_error(self.bucket.error(error));
                let next = self.machine.borrow_mut().handle_silence();
                self.go_on(state, next)
            }
            error => self.finish(state, Err(self.bucket.error(error))),
        }
    }

    /// Nobody answers such reads: the bucket is gone, or does not allow them, or it is the moment.
    fn ask_why(self: &Rc<Self>) {
        let reading = self.clone();
        let on_config =
            move |state: &mut State, config: Result<Rc<StreamConfig>, Error>| match config {
                Ok(config) if !config.allow_direct => {
                    let bucket = reading.bucket.name.to_string();
                    reading.finish(state, Err(Error::NoDirectReads { bucket }))
                }
                Ok(_) => {
                    reading.keep_error(Error::JetStream(jetstream::Error::NotAvailable));
                    reading.after_pause(state, |reading, state| {
                        let next = reading.machine.borrow_mut().handle_silence();
                        reading.go_on(state, next)
                    })
                }
                Err(error) => reading.finish(state, Err(error)),
            };
        self.bucket.ask_config(Box::new(on_config));
    }

    fn find_key(self: &Rc<Self>) {
        let reading = self.clone();
        let on_key = move |state: &mut State, key: Result<Option<SmolStr>, Error>| {
            let key = key.unwrap_or_else(|error| {
                reading.keep_error(error);
                None
            });
            let next = reading.machine.borrow_mut().handle_key(key);
            reading.go_on(state, next)
        };
        self.bucket.find_key(Box::new(on_key));
    }

    fn fence(self: &Rc<Self>) {
        let reading = self.clone();
        let on_fence = move |state: &mut State, fence: Result<u64, Error>| {
            let next = match fence {
                Ok(revision) => reading.machine.borrow_mut().handle_fence(revision),
                Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                    reading.keep_error(error);
                    return reading.after_pause(state, |reading, _| {
                        reading.fence();
                        Ok(())
                    });
                }
                Err(error) if reading.reads == Reads::Linearizable => {
                    return reading.finish(state, Err(error));
                }
                Err(_) => reading.machine.borrow_mut().handle_no_fence(),
            };
            reading.go_on(state, next)
        };
        self.bucket.fence(Box::new(on_fence));
    }

    /// Goes on after the longest pause, if there is time left.
    fn after_pause(
        self: &Rc<Self>,
        state: &mut State,
        then: impl FnOnce(&Rc<Self>, &mut State) -> Ran + 'static,
    ) -> Ran {
        if self.left().is_zero() {
            return self.give_up(state);
        }
        self.later(MAX_PAUSE, then);
        Ok(())
    }

    fn later(
        self: &Rc<Self>,
        pause: Duration,
        then: impl FnOnce(&Rc<Self>, &mut State) -> Ran + 'static,
    ) {
        let reading = self.clone();
        let pause = pause.min(MAX_PAUSE).min(self.left());
        let on_time = move |state: &mut State| then(&reading, state);
        self.bucket.api.port().set_timer(pause, Box::new(on_time));
    }

    fn keep_error(&self, error: Error) {
        *self.error.borrow_mut() = Some(error);
    }

    fn left(&self) -> Duration {
        self.deadline.get().saturating_duration_since(self.bucket.api.port().turn_time())
    }

    /// The time is up. What went wrong last is the reason; if nothing did, no answer was proven.
    fn give_up(&self, state: &mut State) -> Ran {
        let unproven = || Error::Unproven { key: self.machine.borrow().unproven_key() };
        let error = self.error.take().unwrap_or_else(unproven);
        self.finish(state, Err(error))
    }

    fn finish(&self, state: &mut State, found: Result<M::Found, Error>) -> Ran {
        self.answer.take().map_or(Ok(()), |answer| answer(state, found))
    }
}

impl Bucket {
    /// Checks that such reads are possible at all.
    pub(in crate::kv) fn check_reads(&self, reads: Reads) -> Result<(), Error> {
        match reads {
            Reads::Linearizable => self.check_fence(),
            _ => Ok(()),
        }
    }

    /// Looks for a key that has a message: the last one of the bucket, of whichever replica answers.
    fn find_key(self: &Rc<Self>, answer: Answer<Result<Option<SmolStr>, Error>>) {
        let bucket = self.clone();
        let on_stored =
            move |state: &mut State, stored: Result<StoredMessage, jetstream::Error>| {
                let key = match stored {
                    Ok(message) => {
                        Ok(bucket.key_of(&message).inspect(|key| bucket.mark.note_key(key)))
                    }
                    Err(error) if error.is_no_message() => Ok(None),
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
