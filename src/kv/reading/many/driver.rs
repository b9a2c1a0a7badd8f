//! Proven reads of many keys: asks what a [`Gather`] wants to know.

use super::Snapshot;
use super::gather::{self, Gather, Next, Question};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, Listed, MessagesEnd, MessagesQuery, StoredMessage};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::name::FENCE_KEY;
use crate::kv::reading::proof::reading::{Beside, Prove, Reading};
use crate::kv::reading::reads::Reads;
use smol_str::SmolStr;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// An answer of more bytes may have come in several pages, which are of four times as many.
const WHOLE: usize = 1 << 20;

type OnSnapshot = Answer<Result<Snapshot, Error>>;

/// Keys, and how far their read has come.
struct Many {
    gather: Gather,
    /// The places of all keys by their subjects, if they were needed.
    all_places: OnceCell<Rc<HashMap<String, usize>>>,
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
            _ => (self.mark(), self.check_fence().is_ok()),
        };
        let gather = Gather::new(keys, needed, self.mark.known_key(), may_fence);
        let mut many = Many { gather, all_places: OnceCell::new() };
        let first = match reads {
            Reads::Linearizable => Next::Fence,
            _ => many.gather.next(),
        };
        Reading::new(self, reads, self.api.deadline(), many, answer).start(first);
    }
}

impl Many {
    fn all_places(&self, subjects: &str) -> Rc<HashMap<String, usize>> {
        self.all_places.get_or_init(|| Rc::new(self.gather.places(subjects))).clone()
    }
}

impl Prove for Many {
    type Question = Question;
    type Found = Snapshot;

    fn handle_fence(&mut self, revision: u64) -> Next {
        self.gather.handle_fence(revision)
    }

    fn handle_no_fence(&mut self) -> Next {
        self.gather.handle_no_fence()
    }

    fn handle_key(&mut self, key: Option<SmolStr>) -> Next {
        self.gather.handle_key(key)
    }

    fn handle_silence(&mut self) -> Next {
        self.gather.handle_silence()
    }

    fn unproven_key(&self) -> String {
        self.gather.first_open().map_or_else(String::new, SmolStr::to_string)
    }

    fn ask(reading: &Rc<Reading<Self>>, question: Question) {
        let subject = |key: &str| format!("{}{key}", reading.bucket.subjects);
        let (query, places) = match &question {
            Question::Keys(places, beside) => {
                let gather = &reading.machine.borrow().gather;
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
                (
                    query.from_sequence(since.saturating_add(1)),
                    reading.machine.borrow().all_places(&reading.bucket.subjects),
                )
            }
        };
        let mut collected = Collected { places, found: Vec::new(), bytes: 0 };
        let (asking, mut question) = (reading.clone(), Some(question));
        let on_listed = move |state: &mut State, _, listed| match listed {
            Listed::Item(message) => {
                collected.add(message);
                Ok(())
            }
            Listed::Ended(end) => match question.take() {
                Some(question) => {
                    asking.receive(state, &question, std::mem::take(&mut collected), end)
                }
                None => Ok(()),
            },
        };
        reading.bucket.api.stored_messages(&reading.bucket.stream, &query, Box::new(on_listed));
    }

    fn found(&mut self, bucket: &Bucket, reads: Reads) -> Snapshot {
        let (up_to, found) = (self.gather.up_to(), self.gather.take());
        let entry = |message: StoredMessage| {
            let entry = bucket.entry(&bucket.subjects, message);
            (!entry.operation().is_tombstone()).then_some(entry)
        };
        let entries = found.into_iter().map(|(key, message)| (key, message.and_then(entry)));
        let snapshot = Snapshot::new(entries.collect(), up_to);
        if reads != Reads::Replica {
            // what comes later is not to be older than the absence of a key, either
            bucket.note_revision(up_to.unwrap_or_default());
        }
        snapshot
    }
}

impl Reading<Many> {
    fn receive(
        self: &Rc<Self>,
        state: &mut State,
        question: &Question,
        collected: Collected,
        end: Result<MessagesEnd, jetstream::Error>,
    ) -> Ran {
        let end = match end {
            Ok(end) => end,
            Err(jetstream::Error::Api(error))
                if error.code() == 413 && matches!(question, Question::Changes(_)) =>
            {
                let next = self.machine.borrow_mut().gather.handle_too_many();
                return self.go_on(state, next);
            }
            Err(error) => return self.handle_failure(state, error),
        };
        self.forget_error();
        let answer = gather::Answer {
            is_whole: collected.bytes < WHOLE,
            found: collected.found,
            up_to: end.up_to_sequence,
        };
        let mut many = self.machine.borrow_mut();
        let unanswered = many.gather.unanswered();
        let next = many.gather.handle_answer(question, answer);
        let has_progress = many.gather.unanswered() < unanswered;
        drop(many);
        if has_progress {
            self.extend();
        }
        self.go_on(state, next)
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
