//! The question that a watch asks beside its consumer: which sequence is the last one? The leader knows,
//! as far as a leader does; or somebody else proves it.

use super::watched::Watched;
use crate::callback::{Answer, State};
use crate::jetstream::api::ApiRequest;
use crate::jetstream::consume::Reader;
use crate::jetstream::error::Error;
use crate::jetstream::manage::{MessageQuery, StoredMessage};
use std::cell::Cell;
use std::rc::Rc;

/// What is told of the last sequence.
type OnLast<E> = Answer<Result<u64, E>>;

/// Who is asked.
pub(crate) enum Asked<E> {
    /// The leader, with a request for each filter. What is before `first` does not come, and does not
    /// count.
    Leader { filters: Vec<String>, first: u64 },
    /// Whoever this asks: as a fence, which is written for that, and is one of the messages that are
    /// watched.
    Other(Box<dyn Fn(OnLast<E>)>),
}

/// The question which sequence is the last one of those that are watched.
pub(crate) struct Question<W: Watched> {
    watched: Rc<W>,
    asked: Asked<W::Error>,
    /// Requests under way.
    pending: Cell<usize>,
    answer: Cell<Option<Result<u64, W::Error>>>,
}

impl<W: Watched> Question<W> {
    pub(crate) fn new(watched: &Rc<W>, asked: Asked<W::Error>) -> Rc<Self> {
        let (pending, answer) = (Cell::new(0), Cell::new(None));
        Rc::new(Self { watched: watched.clone(), asked, pending, answer })
    }

    /// Asks, unless that is under way. The reader's callback runs with [`ReaderEvent::Again`] when
    /// there is an answer.
    ///
    /// [`ReaderEvent::Again`]: crate::jetstream::ReaderEvent::Again
    pub(crate) fn ask(self: &Rc<Self>, reader: &Reader) {
        if self.pending.get() > 0 {
            return;
        }
        self.answer.set(None);
        match &self.asked {
            Asked::Leader { filters, first } => self.ask_leader(filters, *first, reader),
            Asked::Other(ask) => {
                let (question, reader) = (self.clone(), reader.clone());
                self.pending.set(1);
                ask(Box::new(move |state, last| {
                    question.note(last);
                    reader.again(state)
                }));
            }
        }
    }

    fn ask_leader(self: &Rc<Self>, filters: &[String], first: u64, reader: &Reader) {
        self.pending.set(filters.len());
        for filter in filters {
            let (question, reader) = (self.clone(), reader.clone());
            let query = MessageQuery::LastBySubject(filter);
            let request = ApiRequest::stored_message(self.watched.stream(), query);
            let on_stored = move |state: &mut State, stored: Result<StoredMessage, _>| {
                question.note(question.last(stored, first));
                match question.pending.get() {
                    0 => reader.again(state),
                    _ => Ok(()),
                }
            };
            self.watched.api().read(request, Box::new(on_stored));
        }
    }

    /// What the leader has said.
    fn last(&self, stored: Result<StoredMessage, Error>, first: u64) -> Result<u64, W::Error> {
        match stored.map(|stored| stored.sequence()) {
            Err(error) if error.is_no_message() => Ok(0),
            Err(error) => Err(self.watched.error(error)),
            Ok(last) if last < first => Ok(0),
            Ok(last) => Ok(last),
        }
    }

    /// Keeps the latest of the answers, or what is wrong with one.
    fn note(&self, last: Result<u64, W::Error>) {
        self.pending.set(self.pending.get() - 1);
        self.answer.set(Some(match (self.answer.take(), last) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (before, Ok(last)) => Ok(before.and_then(Result::ok).unwrap_or(0).max(last)),
        }));
    }

    /// The answer, once it is there.
    pub(crate) fn take_answer(&self) -> Option<Result<u64, W::Error>> {
        match self.pending.get() {
            0 => self.answer.take(),
            _ => None,
        }
    }
}
