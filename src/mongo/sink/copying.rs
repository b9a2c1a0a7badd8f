//! The initial copy on the loop: each document is published as if it were a change, and the watcher begins
//! when all of them are stored.

use super::copy_job::{Copied, CopyFrom, copy};
use super::copy_mark::{copied, document};
use super::draft::Owed;
use super::message::draft;
use super::running::Sink;
use super::under_way::{Copying, OnBeginning};
use super::unit::Unit;
use crate::callback::{Ran, State};
use crate::mongo::bridge::StreamOptions;
use crate::mongo::changes::{Beginning, ChangeEvent, ResumePoint, StopReason, Watch, behind};
use crate::mongo::error::Error;
use bson::RawDocumentBuf;
use std::rc::Rc;

impl Sink {
    pub(super) fn copy(
        self: &Rc<Self>,
        watch: &Watch,
        from: CopyFrom,
        stored: Option<ResumePoint>,
        answer: OnBeginning,
    ) {
        let CopyFrom { scope, behind } = from;
        let mut work = self.work.borrow_mut();
        work.copies += 1;
        let number = work.copies;
        let (flow, time) = (None, None);
        let is_read = false;
        work.copying =
            Some(Copying { number, flow, scope: scope.clone(), stored, time, is_read, answer });
        drop(work);
        self.begin_ingest();
        let stall = watch.bridge.options().stall_timeout;
        let options =
            StreamOptions { limits: watch.stream.limits, silence: watch.stream.silence(stall) };
        let (items, end) = (self.clone(), self.clone());
        let flow = watch.bridge.stream(
            options,
            move |client, feed| copy(client, scope, behind, feed),
            move |state, item, bytes| items.handle_copied(state, number, item, bytes),
            Box::new(move |state, ended| end.handle_copy_end(state, number, ended)),
        );
        self.with_copy(number, |copying| copying.flow = Some(flow));
    }

    /// Looks at a copy, if it is the one that is under way.
    fn with_copy<T>(&self, number: u64, look: impl FnOnce(&mut Copying) -> T) -> Option<T> {
        let mut work = self.work.borrow_mut();
        work.copying.as_mut().filter(|copying| copying.number == number).map(look)
    }

    fn handle_copied(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        item: Copied,
        bytes: usize,
    ) -> Ran {
        let known = self.with_copy(number, |copying| {
            if let Copied::Begun(time) = &item {
                copying.time = Some(*time);
            }
            (copying.flow.clone(), copying.time, copying.scope.database.clone())
        });
        let Some((Some(flow), Some(time), database)) = known else { return Ok(()) };
        let Copied::Document { collection, document: row } = item else {
            flow.release(bytes);
            return Ok(());
        };
        let event = document(time, &database, &collection, &row);
        self.publish_copied(state, event, Box::new(move || flow.release(bytes)))
    }

    /// Everything is read, or the server has failed.
    fn handle_copy_end(
        self: &Rc<Self>,
        state: &mut State,
        number: u64,
        ended: Result<(), Error>,
    ) -> Ran {
        let known = self.with_copy(number, |copying| {
            ended?;
            let time = copying.time.ok_or(Error::NoClusterTime)?;
            copying.is_read = true;
            Ok((time, copying.scope.clone()))
        });
        match known {
            Some(Ok((time, scope))) => {
                let event = copied(time, &scope.database, scope.collection.as_deref());
                let sink = Rc::downgrade(self);
                let finish = move |state: &mut State| match sink.upgrade() {
                    Some(sink) => sink.finish_copy(state, number, Ok(Beginning::At(behind(time)))),
                    None => Ok(()),
                };
                let port = self.api.port().clone();
                self.publish_copied(state, event, Box::new(move || port.defer(finish)))
            }
            Some(Err(error)) => self.finish_copy(state, number, Err(error)),
            None => Ok(()),
        }
    }

    /// The watcher begins, or tries again.
    fn finish_copy(&self, state: &mut State, number: u64, begun: Result<Beginning, Error>) -> Ran {
        let is_it = self.with_copy(number, |_| ()).is_some();
        let copying = if is_it { self.work.borrow_mut().copying.take() } else { None };
        match copying {
            Some(copying) => (copying.answer)(state, begun),
            None => Ok(()),
        }
    }

    fn publish_copied(
        self: &Rc<Self>,
        state: &mut State,
        event: RawDocumentBuf,
        then: Box<dyn FnOnce()>,
    ) -> Ran {
        let made =
            ChangeEvent::new(event).and_then(|event| draft(&self.options, &self.writer, &event));
        match made {
            Ok(mut draft) => {
                draft.owed = Owed::Then(then);
                self.work.borrow_mut().row.push(Unit::one(draft));
                self.send();
                Ok(())
            }
            Err(error) => self.stop(state, StopReason::Sink(error)),
        }
    }
}
