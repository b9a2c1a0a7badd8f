//! Carries out what a [`Gather`] asks for, until the deadline.

use super::Snapshot;
use super::gather::{self, Beside, Gather, Next, Question};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, Listed, MessagesEnd, MessagesQuery, StoredMessage, StreamConfig};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::name::FENCE_KEY;
use crate::kv::reads::Reads;
use smol_str::SmolStr;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Between two attempts; each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// An answer of more bytes may have come in several pages, which are of four times as many.
const WHOLE: usize = 1 << 20;

type OnSnapshot = Answer<Result<Snapshot, Error>>;

/// A read under way.
struct Reading {
    bucket: Rc<Bucket>,
    reads: Reads,
    gather: RefCell<Gather>,
    /// The places of all keys by their subjects, if they were needed.
    all_places: OnceCell<Rc<HashMap<String, usize>>>,
    /// When it has to be over, unless keys are answered for the first time.
    deadline: Cell<Instant>,
    /// The last thing that went wrong, for the case that it is the reason for the end.
    error: RefCell<Option<Error>>,
    /// Taken when it runs, which is once.
    answer: Cell<Option<OnSnapshot>>,
}

impl Bucket {
    /// Reads many keys at one point in time.
    pub(in crate::kv) fn get_many(
        self: &Rc<Self>,
        keys: Vec<SmolStr>,
        reads: Reads,
        answer: OnSnapshot,
    ) {
        let checked = keys.iter().try_for_each(|key| self.check_key(key));
        if let Err(error) = checked.and_then(|()| self.check_reads(reads)) {
            return self.defer(answer, Err(error));
        }
        let mut known = HashSet::with_capacity(keys.len());
        let keys: Vec<_> = keys.into_iter().filter(|key| known.insert(key.clone())).collect();
        drop(known);
        if keys.is_empty() {
            return self.defer(answer, Ok(Snapshot::new(Vec::new(), None)));
        }
        let (needed, may_fence) = match reads {
            Reads::Replica => (0, false),
            _ => (self.mark(), self.check_writable().is_ok() && self.origin.is_none()),
        };
        let gather = Gather::new(keys, needed, self.mark.known_key(), may_fence);
        let reading = Rc::new(Reading {
            bucket: self.clone(),
            reads,
            gather: RefCell::new(gather),
            all_places: OnceCell::new(),
            deadline: Cell::new(self.api.deadline()),
            error: RefCell::default(),
            answer: Cell::new(Some(answer)),
        });
        let first = match reads {
            Reads::Linearizable => Next::Fence,
            _ => reading.gather.borrow_mut().next(),
        };
        reading.start(first);
    }
}

impl Reading {
    fn start(self: &Rc<Self>, next: Next) {
        match next {
            Next::Ask(question) => self.ask(question),
            Next::AskLater(question, attempt) => {
                let pause = FIRST_PAUSE * (1 << attempt.min(10));
                self.later(pause, move |reading, _| {
                    reading.ask(question);
                    Ok(())
                });
            }
            Next::FindKey => self.find_key(),
            Next::Fence => self.fence(),
            // there is a key that has not been asked for
            Next::Return => {}
        }
    }

    fn go_on(self: &Rc<Self>, state: &mut State, next: Next) -> Ran {
        if next == Next::Return {
            return self.succeed(state);
        }
        if self.left().is_zero() {
            return self.give_up(state);
        }
        self.start(next);
        Ok(())
    }

    fn ask(self: &Rc<Self>, question: Question) {
        let subject = |key: &str| format!("{}{key}", self.bucket.subjects);
        let (query, places) = match &question {
            Question::Keys(places, beside) => {
                let gather = self.gather.borrow();
                let mut subjects: Vec<_> =
                    places.iter().map(|place| subject(gather.key(*place))).collect();
                let places = subjects.iter().cloned().zip(places.iter().copied()).collect();
                let places = Rc::new(places);
                match beside {
                    Beside::Nothing => {}
                    Beside::Known(key) => subjects.push(subject(key)),
                    Beside::Fence => subjects.push(subject(FENCE_KEY)),
                }
                (MessagesQuery::last_of(subjects), places)
            }
            Question::Changes(since) => {
                let query = MessagesQuery::last_of([subject(">")]);
                (query.from_sequence(since.saturating_add(1)), self.all_places())
            }
        };
        let mut collected = Collected { places, found: Vec::new(), bytes: 0 };
        let (reading, mut question) = (self.clone(), Some(question));
        let on_listed = move |state: &mut State, _, listed| match listed {
            Listed::Item(message) => {
                collected.add(message);
                Ok(())
            }
            Listed::Ended(end) => match question.take() {
                Some(question) => {
                    reading.receive(state, &question, std::mem::take(&mut collected), end)
                }
                None => Ok(()),
            },
        };
        self.bucket.api.stored_messages(&self.bucket.stream, &query, Box::new(on_listed));
    }

    fn all_places(&self) -> Rc<HashMap<String, usize>> {
        let make = || Rc::new(self.gather.borrow().places(&self.bucket.subjects));
        self.all_places.get_or_init(make).clone()
    }

    fn receive(
        self: &Rc<Self>,
        state: &mut State,
        question: &Question,
        collected: Collected,
        end: Result<MessagesEnd, jetstream::Error>,
    ) -> Ran {
        let end = match end {
            Ok(end) => end,
            Err(jetstream::Error::NotAvailable) => {
                self.ask_why();
                return Ok(());
            }
            Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                self.keep_error(self.bucket.error(error));
                let next = self.gather.borrow_mut().handle_silence();
                return self.go_on(state, next);
            }
            Err(jetstream::Error::Api(error))
                if error.code() == 413 && matches!(question, Question::Changes(_)) =>
            {
                let next = self.gather.borrow_mut().handle_too_many();
                return self.go_on(state, next);
            }
            Err(error) => return self.finish(state, Err(self.bucket.error(error))),
        };
        self.error.take();
        let answer = gather::Answer {
            is_whole: collected.bytes < WHOLE,
            found: collected.found,
            up_to: end.up_to_sequence,
        };
        let unanswered = self.gather.borrow().unanswered();
        let next = self.gather.borrow_mut().handle_answer(question, answer);
        if self.gather.borrow().unanswered() < unanswered {
            self.deadline.set(self.bucket.api.deadline());
        }
        self.go_on(state, next)
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
                    let next = reading.gather.borrow_mut().handle_silence();
                    reading.go_on(state, next)
                }
                Err(error) => reading.finish(state, Err(error)),
            };
        self.bucket.ask_config(Box::new(on_config));
    }

    /// Looks for a key that has a message.
    fn find_key(self: &Rc<Self>) {
        let reading = self.clone();
        let on_key = move |state: &mut State, key: Result<Option<SmolStr>, Error>| {
            let key = key.unwrap_or_else(|error| {
                reading.keep_error(error);
                None
            });
            let next = reading.gather.borrow_mut().handle_key(key);
            reading.go_on(state, next)
        };
        self.bucket.find_key(Box::new(on_key));
    }

    fn fence(self: &Rc<Self>) {
        let reading = self.clone();
        let on_fence = move |state: &mut State, fence: Result<u64, Error>| {
            let next = match fence {
                Ok(revision) => reading.gather.borrow_mut().handle_fence(revision),
                Err(error) if error.is_temporary() || error.is_outcome_unknown() => {
                    reading.keep_error(error);
                    if reading.left().is_zero() {
                        return reading.give_up(state);
                    }
                    reading.later(MAX_PAUSE, |reading, _| {
                        reading.fence();
                        Ok(())
                    });
                    return Ok(());
                }
                Err(error) if reading.reads == Reads::Linearizable => {
                    return reading.finish(state, Err(error));
                }
                Err(_) => reading.gather.borrow_mut().handle_no_fence(),
            };
            reading.go_on(state, next)
        };
        self.bucket.fence(Box::new(on_fence));
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

    fn succeed(&self, state: &mut State) -> Ran {
        let (up_to, found) = {
            let mut gather = self.gather.borrow_mut();
            (gather.up_to(), gather.take())
        };
        let entry = |message: StoredMessage| {
            let entry = self.bucket.entry(&self.bucket.subjects, message);
            (!entry.operation().is_tombstone()).then_some(entry)
        };
        let entries = found.into_iter().map(|(key, message)| (key, message.and_then(entry)));
        let snapshot = Snapshot::new(entries.collect(), up_to);
        if self.reads != Reads::Replica {
            // what comes later is not to be older than the absence of a key, either
            self.bucket.note_revision(up_to.unwrap_or_default());
        }
        self.finish(state, Ok(snapshot))
    }

    /// The time is up. What went wrong last is the reason; if nothing did, no answer was proven.
    fn give_up(&self, state: &mut State) -> Ran {
        let error = self.error.take().unwrap_or_else(|| {
            let key = self.gather.borrow().first_open().map(SmolStr::to_string);
            Error::Unproven { key: key.unwrap_or_default() }
        });
        self.finish(state, Err(error))
    }

    fn finish(&self, state: &mut State, snapshot: Result<Snapshot, Error>) -> Ran {
        self.answer.take().map_or(Ok(()), |answer| answer(state, snapshot))
    }
}

/// What has come of an answer.
#[derive(Default)]
struct Collected {
    /// The places of the keys that were asked for, by their subjects.
    places: Rc<HashMap<String, usize>>,
    found: Vec<(usize, StoredMessage)>,
    bytes: usize,
}

impl Collected {
    fn add(&mut self, message: StoredMessage) {
        self.bytes += message.headers().as_bytes().len() + message.payload().len();
        // what was asked for beside the keys is none of them
        if let Some(place) = self.places.get(&*message.subject()) {
            self.found.push((*place, message));
        }
    }
}
