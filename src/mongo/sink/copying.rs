//! The initial copy on the loop: each document is published as if it were a change, and the watcher begins
//! when all of them are stored.

use super::copy_job::{Behind, Copied, Scope, copy};
use super::copy_mark::{behind, copied, document};
use super::draft::Owed;
use super::message::draft;
use super::row::Unit;
use super::running::Sink;
use super::under_way::{Copying, OnBeginning};
use crate::callback::{Ran, State};
use crate::mongo::bridge::StreamOptions;
use crate::mongo::changes::{Beginning, ChangeEvent, StopReason, Watch};
use crate::mongo::error::Error;
use bson::RawDocumentBuf;
use std::rc::Rc;

impl Sink {
    pub(super) fn copy(
        self: &Rc<Self>,
        watch: &Watch,
        scope: Scope,
        behind: Option<Behind>,
        answer: OnBeginning,
    ) {
        let copying = Copying { flow: None, scope: scope.clone(), time: None, answer };
        self.work.borrow_mut().copying = Some(copying);
        let stall = watch.bridge.options().stall_timeout;
        let options =
            StreamOptions { limits: watch.stream.limits, silence: watch.stream.silence(stall) };
        let (items, end) = (self.clone(), self.clone());
        let flow = watch.bridge.stream(
            options,
            move |client, feed| copy(client, scope, behind, feed),
            move |state, item, bytes| items.handle_copied(state, item, bytes),
            Box::new(move |state, ended| end.handle_copy_end(state, ended)),
        );
        if let Some(copying) = &mut self.work.borrow_mut().copying {
            copying.flow = Some(flow);
        }
    }

    fn handle_copied(self: &Rc<Self>, state: &mut State, item: Copied, bytes: usize) -> Ran {
        let mut work = self.work.borrow_mut();
        let Some(copying) = &mut work.copying else { return Ok(()) };
        let Some(flow) = copying.flow.clone() else { return Ok(()) };
        let (collection, row) = match item {
            Copied::Begun(time) => {
                copying.time = Some(time);
                flow.release(0);
                return Ok(());
            }
            Copied::Document { collection, document } => (collection, document),
        };
        let Some(time) = copying.time else { return Ok(()) };
        let database = copying.scope.database.clone();
        drop(work);
        let release = Box::new(move || flow.release(bytes));
        let event = document(time, &database, &collection, &row);
        self.publish_copied(state, event, release)
    }

    /// Everything is read, or the server has failed.
    fn handle_copy_end(self: &Rc<Self>, state: &mut State, ended: Result<(), Error>) -> Ran {
        let Some(copying) = self.work.borrow_mut().copying.take() else { return Ok(()) };
        let Copying { scope, time, answer, .. } = copying;
        let time = match (ended, time) {
            (Ok(()), Some(time)) => time,
            (Ok(()), None) => return answer(state, Err(Error::NoClusterTime)),
            (Err(error), _) => return answer(state, Err(error)),
        };
        let Some(watch) = self.watch() else { return Ok(()) };
        let event = copied(time, &scope.database, scope.collection.as_deref());
        let begin = move || watch.bridge.defer(answer, Ok(Beginning::At(behind(time))));
        self.publish_copied(state, event, Box::new(begin))
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
