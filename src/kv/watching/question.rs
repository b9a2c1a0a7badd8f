//! The question that a watch asks beside its consumer: which revision is the last one? The leader knows,
//! as far as a leader does; or a fence proves it.

use crate::callback::State;
use crate::jetstream::{self, ApiRequest, MessageQuery, Reader, StoredMessage};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::reading::get::is_no_message;
use crate::kv::watching::options::Start;
use std::cell::Cell;
use std::rc::Rc;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kv) enum Asked {
    /// The leader, with a request for each pattern.
    Leader,
    /// A fence is written, and is one of the messages that are watched.
    Fence,
}

/// The question which revision is the last one of those that are watched.
pub(in crate::kv) struct Question {
    bucket: Rc<Bucket>,
    asked: Asked,
    filters: Vec<String>,
    start: Start,
    /// Requests under way.
    pending: Cell<usize>,
    answer: Cell<Option<Result<u64, Error>>>,
}

impl Question {
    pub(in crate::kv) fn new(
        bucket: &Rc<Bucket>,
        asked: Asked,
        filters: &[String],
        start: Start,
    ) -> Rc<Self> {
        Rc::new(Self {
            bucket: bucket.clone(),
            asked,
            filters: filters.to_vec(),
            start,
            pending: Cell::new(0),
            answer: Cell::new(None),
        })
    }

    /// Asks, unless that is under way. The reader's callback runs with [`ReaderEvent::Again`] when
    /// there is an answer.
    pub(in crate::kv) fn ask(self: &Rc<Self>, reader: &Reader) {
        if self.pending.get() > 0 {
            return;
        }
        self.answer.set(None);
        if self.asked == Asked::Fence {
            return self.ask_fence(reader);
        }
        self.pending.set(self.filters.len());
        for filter in &self.filters {
            let (question, reader) = (self.clone(), reader.clone());
            let query = MessageQuery::LastBySubject(filter);
            let request = ApiRequest::stored_message(&self.bucket.stream, query);
            let on_stored = move |state: &mut State, stored: Result<StoredMessage, _>| {
                question.note(question.last(stored));
                match question.pending.get() {
                    0 => reader.again(state),
                    _ => Ok(()),
                }
            };
            self.bucket.api.read(request, Box::new(on_stored));
        }
    }

    fn ask_fence(self: &Rc<Self>, reader: &Reader) {
        let (question, reader) = (self.clone(), reader.clone());
        self.pending.set(1);
        let on_fence = move |state: &mut State, fence: Result<u64, Error>| {
            question.note(fence);
            reader.again(state)
        };
        self.bucket.fence(Box::new(on_fence));
    }

    /// What the leader has said.
    fn last(&self, stored: Result<StoredMessage, jetstream::Error>) -> Result<u64, Error> {
        match stored.map(|stored| stored.sequence()) {
            Err(error) if is_no_message(&error) => Ok(0),
            Err(error) => Err(self.bucket.error(error)),
            // what was before the revision to begin with does not come
            Ok(last) if matches!(self.start, Start::Revision(first) if last < first) => Ok(0),
            Ok(last) => Ok(last),
        }
    }

    /// Keeps the latest of the answers, or what is wrong with one.
    fn note(&self, last: Result<u64, Error>) {
        self.pending.set(self.pending.get() - 1);
        self.answer.set(Some(match (self.answer.take(), last) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (before, Ok(last)) => Ok(before.and_then(Result::ok).unwrap_or(0).max(last)),
        }));
    }

    /// The answer, once it is there.
    pub(in crate::kv) fn take_answer(&self) -> Option<Result<u64, Error>> {
        match self.pending.get() {
            0 => self.answer.take(),
            _ => None,
        }
    }
}
