//! Changes come in: each becomes a message, and those of a transaction wait for its end.

use super::draft::Owed;
use super::message::{draft, transaction_id};
use super::running::{Mode, Sink, Work};
use super::under_way::OnBeginning;
use super::unit::Unit;
use crate::mongo::changes::{Ack, Destination, News, ResumePoint, SinkMetrics, Watch};
use std::rc::Rc;

impl Destination for Sink {
    fn begin(self: Rc<Self>, watch: &Rc<Watch>, stored: Option<&ResumePoint>, answer: OnBeginning) {
        self.work.borrow_mut().watch = Rc::downgrade(watch);
        self.find_beginning(watch, stored.cloned(), answer);
    }

    fn handle(self: Rc<Self>, news: News) {
        match news {
            News::Idle => {
                self.end_transaction();
                self.send();
            }
            News::Over => {
                let mut work = self.work.borrow_mut();
                let (held, copying) = (work.holder.withdraw(), work.copying.take());
                drop(work);
                if let Some(copying) = copying {
                    copying.stop();
                }
                held.into_iter().for_each(|draft| match draft.owed {
                    Owed::Change(ack) => ack.withdraw(),
                    Owed::Nothing | Owed::Then(_) => {}
                });
            }
            News::Stopped => {
                self.leave_ingest();
                let mut work = self.work.borrow_mut();
                work.mode = Mode::Stopped;
                let left = work.row.clear();
                drop(work);
                drop(left);
            }
        }
    }

    fn metrics(&self) -> SinkMetrics {
        let work = self.work.borrow();
        let (recoveries, ingested) = (work.recoveries, work.ingested);
        SinkMetrics { recoveries, ingested, ..work.row.counted() }
    }
}

impl Sink {
    /// Takes a change in.
    pub(super) fn take(self: &Rc<Self>, ack: Ack) {
        let mut draft = match draft(&self.options, &self.writer, ack.event()) {
            Ok(draft) => draft,
            Err(error) => return ack.fail(error),
        };
        let transaction = transaction_id(ack.event());
        let mut work = self.work.borrow_mut();
        if work.has_taken(draft.token.as_deref()) {
            return match work.row.find(&draft.id) {
                // whoever waited for it has given up
                Some(known) => known.owed = Owed::Change(ack),
                None => ack.ok(),
            };
        }
        draft.owed = Owed::Change(ack);
        let is_other = work.holder.is_other(transaction.as_deref());
        drop(work);
        if is_other {
            self.end_transaction();
        }
        match transaction {
            None => self.work.borrow_mut().push(Unit::one(draft)),
            Some(id) => {
                let watch = self.watch();
                if let Some(watch) = &watch {
                    watch.release(draft.bytes);
                }
                let largest = self.options.largest_transaction;
                let ready = self.work.borrow_mut().holder.take(id, draft, largest);
                self.push_held(ready);
            }
        }
        self.send();
    }

    /// The transaction that is held is over.
    pub(super) fn end_transaction(&self) {
        let mut work = self.work.borrow_mut();
        let limit = work.batch_limit;
        let ready = work.holder.end(limit);
        drop(work);
        self.push_held(ready);
    }

    /// What was held counts again as under way.
    fn push_held(&self, units: Vec<Unit>) {
        let watch = self.watch();
        for unit in units {
            if let Some(watch) = &watch {
                unit.drafts.iter().for_each(|draft| watch.take_credit(draft.bytes));
            }
            self.work.borrow_mut().push(unit);
        }
    }
}

impl Work {
    fn push(&mut self, unit: Unit) {
        if let Some(token) = unit.drafts.last().and_then(|draft| draft.token.as_ref()) {
            self.taken = Some(token.clone());
        }
        self.row.push(unit);
    }

    /// Whether the change came before: when a dispatch function has failed, changes come again.
    fn has_taken(&self, token: Option<&str>) -> bool {
        token.zip(self.taken.as_deref()).is_some_and(|(token, taken)| token <= taken)
    }
}
