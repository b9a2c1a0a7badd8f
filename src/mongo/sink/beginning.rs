//! Where to begin: behind the last change that the stream has, or where the store says, whichever is later;
//! if there is neither, perhaps with a copy.

use super::copy_job::{CopyFrom, Scope};
use super::copy_mark::{CopyMark, copy_mark};
use super::running::{Mode, Sink};
use super::tail::{self, Last, Mark, Tail};
use super::transaction::Holder;
use super::under_way::OnBeginning;
use crate::callback::State;
use crate::jetstream;
use crate::mongo::changes::{self, Beginning, ResumePoint, Watch, behind};
use crate::mongo::error::Error;
use bson::Timestamp;
use std::rc::Rc;

/// How many messages a server takes in a batch, unless it says otherwise.
const BATCH_LIMIT: usize = 1_000;

/// What comes first.
enum First {
    Changes(Beginning),
    Copy(CopyFrom, Option<ResumePoint>),
}

impl Sink {
    pub(super) fn find_beginning(
        self: &Rc<Self>,
        watch: &Rc<Watch>,
        stored: Option<ResumePoint>,
        answer: OnBeginning,
    ) {
        let (sink, watch) = (self.clone(), watch.clone());
        let on_tail = move |state: &mut State, tail: Result<Tail, jetstream::Error>| {
            if watch.is_ending() {
                return answer(state, Ok(Beginning::Unknown));
            }
            let first = match tail {
                Ok(tail) => sink.first(&watch, tail, stored),
                Err(jetstream::Error::NotAvailable) => Err(Error::NoJetStream),
                Err(error) => Err(error.into()),
            };
            match first {
                Ok(First::Changes(beginning)) => answer(state, Ok(beginning)),
                Ok(First::Copy(from, stored)) => {
                    sink.copy(&watch, from, stored, answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(error)),
            }
        };
        tail::read(&self.api, &self.options.stream, Box::new(on_tail));
    }

    fn first(
        &self,
        watch: &Watch,
        tail: Tail,
        stored: Option<ResumePoint>,
    ) -> Result<First, Error> {
        if let Some(Last::Foreign { sequence }) = tail.last {
            return Err(Error::ForeignMessage { stream: self.options.stream.clone(), sequence });
        }
        self.begin_at(&tail);
        let Some(Last::Own(Mark { point, part, .. })) = tail.last else {
            let is_asked = watch.stream.start.is_some() || stored.is_some();
            return match self.options.copies && !is_asked {
                true => Ok(First::Copy(CopyFrom { scope: scope(watch)?, behind: None }, None)),
                false => Ok(First::Changes(Beginning::Unknown)),
            };
        };
        let later = stored.clone().filter(|stored| is_later(stored, &point));
        match copy_mark(&point.token) {
            Some(CopyMark::Behind(document)) => {
                let from = CopyFrom { scope: scope(watch)?, behind: Some(document) };
                Ok(First::Copy(from, stored))
            }
            Some(CopyMark::Copied(time)) => {
                let at = Beginning::At(behind(time));
                Ok(First::Changes(later.map_or(at, Beginning::After)))
            }
            None => {
                let mut work = self.work.borrow_mut();
                work.taken = point.token.data().map(str::to_owned);
                work.holder = part.map_or_else(Holder::default, |(id, out)| Holder::begun(id, out));
                Ok(First::Changes(Beginning::After(later.unwrap_or(point))))
            }
        }
    }

    /// Ends the copy, and finds out again where to begin.
    pub(super) fn begin_again(self: &Rc<Self>) {
        let copying = self.work.borrow_mut().copying.take();
        if let (Some(copying), Some(watch)) = (copying, self.watch()) {
            copying.stop();
            self.find_beginning(&watch, copying.stored, copying.answer);
        }
    }

    /// Everything is published behind this tail.
    fn begin_at(&self, tail: &Tail) {
        self.leave_ingest();
        let mut work = self.work.borrow_mut();
        let left = work.row.clear();
        work.row.go_on_at(tail.sequence);
        (work.sequence, work.stuck, work.has_stored) = (tail.sequence, 0, false);
        work.batch_limit = if tail.takes_batches { BATCH_LIMIT } else { 0 };
        work.takes_ingests = tail.takes_ingests;
        work.mode = Mode::Flowing;
        drop(work);
        drop(left);
    }
}

fn scope(watch: &Watch) -> Result<Scope, Error> {
    match watch.stream.scope.clone() {
        changes::Scope::Collection { database, collection } => {
            Ok(Scope { database, collection: Some(collection) })
        }
        changes::Scope::Database { database } => Ok(Scope { database, collection: None }),
        changes::Scope::Deployment => Err(Error::NoCopyOfDeployment),
    }
}

/// Whether a position is behind another one. The texts of tokens are in the order of the stream.
fn is_later(one: &ResumePoint, other: &ResumePoint) -> bool {
    match copy_mark(&other.token) {
        // a token begins with its time
        Some(CopyMark::Copied(Timestamp { time, increment })) => {
            let start = format!("82{time:08X}{increment:08X}");
            one.token.data().is_some_and(|token| token > start.as_str())
        }
        Some(CopyMark::Behind(_)) => false,
        None => one.token.data() > other.token.data(),
    }
}
