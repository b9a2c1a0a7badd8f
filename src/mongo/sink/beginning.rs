//! Where to begin: behind the last change that the stream has, or where the store says, whichever is later.

use super::running::{Mode, Sink};
use super::tail::{self, Last, Mark, Tail};
use super::transaction::Holder;
use crate::callback::{Answer, State};
use crate::jetstream;
use crate::mongo::changes::{Beginning, ResumePoint};
use crate::mongo::error::Error;
use std::rc::Rc;

/// How many messages a server takes in a batch, unless it says otherwise.
const BATCH_LIMIT: usize = 1_000;

type OnBeginning = Answer<Result<Beginning, Error>>;

impl Sink {
    pub(super) fn find_beginning(
        self: &Rc<Self>,
        stored: Option<ResumePoint>,
        answer: OnBeginning,
    ) {
        let sink = self.clone();
        let on_tail = move |state: &mut State, tail: Result<Tail, jetstream::Error>| {
            let begun = match tail {
                Ok(tail) => sink.begin_at(tail, stored),
                Err(jetstream::Error::NotAvailable) => Err(Error::NoJetStream),
                Err(error) => Err(error.into()),
            };
            answer(state, begun)
        };
        tail::read(&self.api, &self.options.stream, Box::new(on_tail));
    }

    fn begin_at(&self, tail: Tail, stored: Option<ResumePoint>) -> Result<Beginning, Error> {
        let mark = match tail.last {
            Some(Last::Foreign { sequence }) => {
                let stream = self.options.stream.clone();
                return Err(Error::ForeignMessage { stream, sequence });
            }
            Some(Last::Own(mark)) => Some(mark),
            None => None,
        };
        let mut work = self.work.borrow_mut();
        let left = work.row.clear();
        work.row.go_on_at(tail.sequence);
        work.sequence = tail.sequence;
        work.batch_limit = if tail.takes_batches { BATCH_LIMIT } else { 0 };
        work.mode = Mode::Flowing;
        let Some(Mark { point, part, .. }) = mark else {
            return Ok(Beginning::Unknown);
        };
        work.taken = point.token.data().map(str::to_owned);
        work.holder = part.map_or_else(Holder::default, |(id, out)| Holder::begun(id, out));
        drop((work, left));
        Ok(Beginning::After(match stored {
            Some(stored) if is_later(&stored, &point) => stored,
            _ => point,
        }))
    }
}

/// Whether a position is behind another one. The texts of tokens are in the order of the stream.
fn is_later(one: &ResumePoint, other: &ResumePoint) -> bool {
    one.token.data() > other.token.data()
}
