//! Committing a batch: checked, sent, and looked into if an expectation does not hold.

use super::Committed;
use super::change::{Change, Kind};
use crate::callback::{Answer, Ran, State};
use crate::jetstream::{self, BatchMessage, PubAck, Ttl};
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::entry::Entry;
use crate::kv::error::Error;
use crate::kv::purging::sweep::{Sweep, Swept};
use crate::kv::reading::get::Found;
use crate::kv::writing::ttl::Behind;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// How often a batch is tried again when tombstones come and go under it.
const ATTEMPTS: u32 = 3;

type OnCommitted = Answer<Result<Committed, Error>>;

impl Bucket {
    pub(super) fn commit(self: &Rc<Self>, changes: Vec<Change>, answer: OnCommitted) {
        if let Err(error) = self.check_changes(&changes) {
            return self.defer(answer, Err(error));
        }
        let limited = strictest(&changes);
        let expected = changes.iter().map(|change| change.kind.expected()).collect();
        let commit = Commit { bucket: self.clone(), changes, expected, attempts: ATTEMPTS };
        let Some((ttl, behind)) = limited else { return commit.attempt(answer) };
        let on_checked = move |state: &mut State, checked: Result<(), Error>| match checked {
            Ok(()) => {
                commit.attempt(answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.check_ttl(ttl, behind, Box::new(on_checked));
    }

    /// A second write to a key could not expect anything: the server refuses to look at what the batch
    /// itself has written (10164), and would purge no more than that.
    fn check_changes(&self, changes: &[Change]) -> Result<(), Error> {
        let mut keys = HashSet::with_capacity(changes.len());
        changes.iter().try_for_each(|change| {
            self.check_key_to_write(&change.key)?;
            match keys.insert(&change.key) {
                true => Ok(()),
                false => Err(Error::KeyTwiceInBatch { key: change.key.to_string() }),
            }
        })
    }
}

/// Of several changes with a TTL, the one that most is needed for.
fn strictest(changes: &[Change]) -> Option<(Ttl, Behind)> {
    let limited = changes.iter().filter_map(|change| Some((change.ttl?, change.kind.behind())));
    limited.max_by_key(|(ttl, behind)| *behind == Behind::History && *ttl != Ttl::Never)
}

/// A batch on its way.
struct Commit {
    bucket: Rc<Bucket>,
    changes: Vec<Change>,
    /// The revision that each of the keys has to be at.
    expected: Vec<Option<u64>>,
    attempts: u32,
}

impl Commit {
    fn attempt(self, answer: OnCommitted) {
        let bucket = self.bucket.clone();
        let message = |(change, expected): (&Change, &Option<u64>)| BatchMessage {
            subject: bucket.subject_to_write(&change.key),
            payload: change.value.clone(),
            options: change.options(*expected),
        };
        let messages = self.changes.iter().zip(&self.expected).map(message).collect();
        let on_stored =
            move |state: &mut State, stored: Result<PubAck, jetstream::Error>| match stored
                .and_then(|ack| self.check_ack(ack))
            {
                Ok(last) => self.succeed(state, last, answer),
                Err(error) if error.is_wrong_last_sequence() => {
                    self.look_again(state, error, answer)
                }
                Err(error @ jetstream::Error::NotStored { .. }) => {
                    self.tell_why_not_stored(error, answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(self.bucket.error(error))),
            };
        bucket.api.store_batch(messages, Box::new(on_stored));
    }

    /// The revision of the last key, if it was this bucket that has stored them.
    fn check_ack(&self, ack: PubAck) -> Result<u64, jetstream::Error> {
        let stream = &self.bucket.ack.stream;
        match ack.stream == *stream {
            true => Ok(ack.sequence),
            false => Err(jetstream::Error::OtherStream {
                expected: stream.to_string(),
                actual: ack.stream.to_string(),
            }),
        }
    }

    fn succeed(self, state: &mut State, last: u64, answer: OnCommitted) -> Ran {
        self.bucket.note_revision(last);
        let has_tombstone =
            |change: &Change| matches!(change.kind, Kind::Delete(_) | Kind::Purge(_));
        let is_fenced = self.changes.iter().any(has_tombstone);
        let keys = self.changes.into_iter().map(|change| change.key).collect();
        let committed = Committed { keys, last };
        if !is_fenced {
            return answer(state, Ok(committed));
        }
        // as behind every tombstone
        let on_fence = move |state: &mut State, _: &_, _| answer(state, Ok(committed));
        self.bucket.api.port().fence(Box::new(on_fence));
        Ok(())
    }

    fn tell_why_not_stored(self, error: jetstream::Error, answer: OnCommitted) {
        let bucket = self.bucket.clone();
        let on_told: OnWritten = Box::new(move |state, why| {
            let error = why.err().unwrap_or_else(|| self.bucket.error(error));
            answer(state, Err(error))
        });
        bucket.tell_why_not_stored(on_told);
    }

    /// An expectation does not hold, and the server does not say of which key. The leader knows what the
    /// keys are at.
    fn look_again(self, state: &mut State, refusal: jetstream::Error, answer: OnCommitted) -> Ran {
        let found: Rc<RefCell<BTreeMap<usize, Option<Entry>>>> = Rc::default();
        let expects = |place: &usize| self.expected[*place].is_some();
        let places: Vec<usize> = (0..self.changes.len()).filter(expects).collect();
        let keys: Vec<_> = self.changes.iter().map(|change| change.key.clone()).collect();
        let (bucket, noted) = (self.bucket.clone(), found.clone());
        let look = move |place: usize, answer: Answer<Result<u64, Error>>| {
            let noted = noted.clone();
            let on_found = move |state: &mut State, found: Found| {
                let found = found.map(|entry| noted.borrow_mut().insert(place, entry));
                answer(state, found.map(|_| 1))
            };
            bucket.get_as_permitted(&keys[place], Box::new(on_found));
        };
        let on_looked = move |state: &mut State, looked: Result<Swept, Error>| match looked {
            Ok(_) => self.go_on(state, &found.take(), refusal, answer),
            // that nothing was stored is certain, and that is what was asked
            Err(_) => answer(state, Err(self.bucket.error(refusal))),
        };
        Sweep::begin(places, look, |_| {}, state, Box::new(on_looked))
    }

    fn go_on(
        mut self,
        state: &mut State,
        found: &BTreeMap<usize, Option<Entry>>,
        refusal: jetstream::Error,
        answer: OnCommitted,
    ) -> Ran {
        for (place, entry) in found {
            match self.changes[*place].look(entry.as_ref()) {
                Ok(expected) => self.expected[*place] = expected,
                Err(error) => return answer(state, Err(error)),
            }
        }
        if self.attempts == 0 {
            return answer(state, Err(self.bucket.error(refusal)));
        }
        self.attempts -= 1;
        self.attempt(answer);
        Ok(())
    }
}
