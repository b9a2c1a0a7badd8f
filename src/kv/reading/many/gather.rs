//! Values of many keys at one point in time: which question a replica is asked next, and when its
//! answers fit together. No socket, no clock.
//!
//! A replica that answers says up to which sequence it has read. What it says of a key, its last
//! revision or that there is none, was so at that sequence. Answers to several questions are about
//! several sequences; they are about one point in time if each is about one that is not lower than the
//! highest revision of all of them: then nothing of what was asked for has changed in between. Where that
//! is not so, one more question asks for everything in the bucket that has changed since the oldest of
//! the answers, which brings them all to one sequence; if that is too much, the oldest ones are asked for
//! again.
//!
//! The server could be asked for the state at an earlier sequence, too. A value that was replaced since
//! would be missing from it, as if the key had none, so that is never relied on: also not where a large
//! answer comes in several pages, of which the later ones are of that kind. What is missing from such an
//! answer is asked for again.
//!
//! Invariant: what is returned was so at one point in time, which is not before what was needed.

use crate::jetstream::StoredMessage;
use crate::kv::reading::proof::reading::{self, Beside};
use smol_str::SmolStr;
use std::collections::{HashMap, HashSet, VecDeque};

/// The server answers for so many subjects (ADR-31), one of which may be beside those that are wanted.
pub(super) const MAX_SUBJECTS: usize = 1024;
/// A question has no more of the keys' bytes, unless it is a single one.
const MAX_BYTES: usize = 128 << 10;

/// So often a replica is asked without progress before a fence is written, which makes it catch up.
const ATTEMPTS: u32 = 4;

/// What a replica is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// The last messages of keys, by their places, and of another one beside them.
    Keys(Vec<usize>, Beside),
    /// The last message of every key of the bucket that was written after a sequence.
    Changes(u64),
}

/// What is to be done next.
pub(super) type Next = reading::Next<Question>;

/// What a replica has answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The last messages, by the places of their keys.
    pub(super) found: Vec<(usize, StoredMessage)>,
    /// The last sequence that the replica had. `None`: it had nothing, and does not say then.
    pub(super) up_to: Option<u64>,
    /// What is not in it was not there. Otherwise it may have come in several pages.
    pub(super) is_whole: bool,
}

/// A wanted key.
#[derive(Debug)]
struct Wanted {
    key: SmolStr,
    message: Option<StoredMessage>,
    /// The sequence at which that was so. `None`: the key has not been answered.
    exact_at: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Gather {
    keys: Vec<Wanted>,
    /// The places of those that are to be asked for, the next ones first.
    queue: VecDeque<usize>,
    /// How many were never answered.
    unanswered: usize,
    /// The highest revision of any of them that has come.
    highest: u64,
    /// What no answer must be older than.
    needed: u64,
    may_fence: bool,
    has_fence: bool,
    /// A replica had nothing of what it was asked for.
    is_silent_on_age: bool,
    known_key: Option<SmolStr>,
    may_find: bool,
    /// All changes may be asked for at once.
    may_ask_changes: bool,
    /// An answer has come in pages.
    has_pages: bool,
    /// How many keys a question may have.
    limit: usize,
    /// How often nothing has got better.
    attempts: u32,
}

impl Gather {
    /// The keys are all different.
    pub(super) fn new(
        keys: Vec<SmolStr>,
        needed: u64,
        known_key: Option<SmolStr>,
        may_fence: bool,
    ) -> Self {
        let wanted = |key| Wanted { key, message: None, exact_at: None };
        Self {
            queue: (0..keys.len()).collect(),
            unanswered: keys.len(),
            highest: 0,
            keys: keys.into_iter().map(wanted).collect(),
            needed,
            may_fence,
            has_fence: false,
            is_silent_on_age: false,
            known_key,
            may_find: true,
            may_ask_changes: true,
            has_pages: false,
            limit: MAX_SUBJECTS - 1,
            attempts: 0,
        }
    }

    /// With questions that have fewer keys.
    #[cfg(test)]
    pub(super) fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn key(&self, place: usize) -> &str {
        &self.keys[place].key
    }

    /// The places of the keys, by their subjects, which begin so.
    pub(super) fn places(&self, prefix: &str) -> HashMap<String, usize> {
        let keys = self.keys.iter().enumerate();
        keys.map(|(place, wanted)| (format!("{prefix}{}", wanted.key), place)).collect()
    }

    /// A key that has no answer that will do.
    pub(super) fn first_open(&self) -> Option<&SmolStr> {
        let place = self.queue.front().copied().unwrap_or_default();
        self.keys.get(place).map(|wanted| &wanted.key)
    }

    /// How many keys were never answered.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// The last sequence at which all of it was so. `None`: nobody said.
    pub(super) fn up_to(&self) -> Option<u64> {
        let lowest = self.keys.iter().filter_map(|wanted| wanted.exact_at).min();
        lowest.filter(|up_to| *up_to > 0)
    }

    /// The keys with their last messages, in their order.
    pub(super) fn take(&mut self) -> Vec<(SmolStr, Option<StoredMessage>)> {
        let keys = std::mem::take(&mut self.keys);
        keys.into_iter().map(|wanted| (wanted.key, wanted.message)).collect()
    }

    pub(super) fn next(&mut self) -> Next {
        match self.question() {
            Some(question) => Next::Ask(question),
            None => Next::Return,
        }
    }

    /// The fence is written, and has this revision.
    pub(super) fn handle_fence(&mut self, revision: u64) -> Next {
        self.has_fence = true;
        // also if it is lower than what was needed: then the stream is another one
        self.needed = revision;
        self.attempts = 0;
        self.next()
    }

    /// Fences are not permitted: there may be a replica that has caught up.
    pub(super) fn handle_no_fence(&mut self) -> Next {
        self.may_fence = false;
        self.try_again()
    }

    /// A key was found that has a message, or there is none at all.
    pub(super) fn handle_key(&mut self, key: Option<SmolStr>) -> Next {
        let is_found = key.is_some();
        self.known_key = key;
        if is_found { self.next() } else { self.try_again() }
    }

    /// A replica has not answered.
    pub(super) fn handle_silence(&mut self) -> Next {
        self.try_again()
    }

    /// More has changed than one answer can have.
    pub(super) fn handle_too_many(&mut self) -> Next {
        self.may_ask_changes = false;
        self.next()
    }

    pub(super) fn handle_answer(&mut self, asked: &Question, answer: Answer) -> Next {
        match asked {
            Question::Keys(keys, beside) => self.handle_last(keys, beside, answer),
            Question::Changes(_) => self.handle_changes(answer),
        }
    }

    fn handle_last(&mut self, keys: &[usize], beside: &Beside, answer: Answer) -> Next {
        let up_to = answer.up_to.unwrap_or_default();
        match answer.is_whole {
            true => {
                let found: HashSet<usize> = answer.found.iter().map(|(place, _)| *place).collect();
                let missing = keys.iter().filter(|place| !found.contains(place));
                missing.for_each(|place| self.note(*place, None, up_to));
            }
            false => self.has_pages = true,
        }
        for (place, message) in answer.found {
            self.note(place, Some(message), up_to);
        }
        self.is_silent_on_age = answer.up_to.is_none();
        let (before, level) = (self.queue.len(), self.level());
        // what was asked for is at the front
        let asked_for: Vec<_> = self.queue.drain(..keys.len().min(before)).collect();
        for place in asked_for.into_iter().rev() {
            if self.keys[place].is_open(level) {
                self.queue.push_front(place);
            }
        }
        if self.queue.len() < before {
            self.attempts = 0;
            return self.next();
        }
        match self.is_silent_on_age && *beside == Beside::Nothing {
            true => self.ask_beside(),
            false => self.try_again(),
        }
    }

    /// What is not among the changes is as it was.
    fn handle_changes(&mut self, answer: Answer) -> Next {
        if !answer.is_whole {
            return self.handle_too_many();
        }
        // there is a change, so a replica that has none is behind it
        let Some(up_to) = answer.up_to.filter(|up_to| *up_to >= self.level()) else {
            return self.try_again();
        };
        for (place, message) in answer.found {
            self.note(place, Some(message), up_to);
        }
        for wanted in &mut self.keys {
            wanted.exact_at = wanted.exact_at.max(Some(up_to));
        }
        Next::Return
    }

    /// Notes what was so at a sequence, unless something later is known.
    fn note(&mut self, place: usize, message: Option<StoredMessage>, at: u64) {
        let wanted = &mut self.keys[place];
        self.unanswered -= usize::from(wanted.exact_at.is_none());
        if wanted.exact_at.is_none_or(|known| known <= at) {
            self.highest = self.highest.max(message.as_ref().map_or(0, StoredMessage::sequence));
            (wanted.message, wanted.exact_at) = (message, Some(at));
        }
    }

    /// No answer that is older than this will do.
    fn level(&self) -> u64 {
        self.highest.max(self.needed)
    }

    /// What is to be asked for next. What has become too old is, when all keys have an answer.
    fn question(&mut self) -> Option<Question> {
        if self.queue.is_empty() {
            let (level, keys) = (self.level(), &self.keys);
            self.queue.extend((0..keys.len()).filter(|place| keys[*place].is_open(level)));
            let is_much = self.has_pages || keys.len() > self.limit;
            if is_much && self.may_ask_changes && !self.queue.is_empty() {
                self.queue.clear();
                let oldest = keys.iter().filter_map(|wanted| wanted.exact_at).min();
                return oldest.map(Question::Changes);
            }
        }
        let mut bytes = 0;
        let fits = |place: &usize| {
            let len = self.keys[*place].key.len();
            bytes += len;
            bytes <= MAX_BYTES || bytes == len
        };
        let next = self.queue.iter().copied().take(self.limit);
        let keys: Vec<_> = next.take_while(fits).collect();
        let beside = self.beside(&keys);
        (!keys.is_empty()).then_some(Question::Keys(keys, beside))
    }

    fn beside(&self, keys: &[usize]) -> Beside {
        if self.has_fence {
            return Beside::Fence;
        }
        if !self.is_silent_on_age {
            return Beside::Nothing;
        }
        let is_other = |key: &SmolStr| keys.iter().all(|place| self.keys[*place].key != *key);
        let found = self.keys.iter().filter(|wanted| wanted.message.is_some());
        let known =
            found.map(|wanted| &wanted.key).chain(&self.known_key).find(|key| is_other(key));
        known.map_or(Beside::Nothing, |key| Beside::Known(key.clone()))
    }

    /// Asks for something beside that is there, so that the answer says how old it is.
    fn ask_beside(&mut self) -> Next {
        match self.question() {
            None => Next::Return,
            Some(Question::Keys(_, Beside::Nothing)) => match std::mem::take(&mut self.may_find) {
                true => Next::FindKey,
                false => self.try_again(),
            },
            Some(question) => Next::Ask(question),
        }
    }

    /// Another replica may answer, or the same one may have caught up.
    fn try_again(&mut self) -> Next {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS && self.may_fence && !self.has_fence {
            return Next::Fence;
        }
        match self.question() {
            Some(question) => Next::AskLater(question, self.attempts),
            None => Next::Return,
        }
    }
}

impl Wanted {
    fn is_open(&self, level: u64) -> bool {
        self.exact_at.is_none_or(|at| at < level)
    }
}
