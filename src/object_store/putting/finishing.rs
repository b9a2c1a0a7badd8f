//! The end of a put: the object is stored when all chunks are, or it fails, and leaves none behind.

use crate::callback::{Ran, State};
use crate::object_store::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::objects::meta::Found;
use crate::object_store::objects::meta_write::{Written, may_pass};
use crate::object_store::putting::lane::Lane;
use crate::object_store::putting::upload::{Phase, Upload};
use std::rc::Rc;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(250);

/// For how many requests' time it is tried to remove chunks.
const PATIENCE: u32 = 4;

impl Upload {
    /// All chunks are stored. If that was not without trouble, they are counted.
    pub(super) fn finish(self: &Rc<Self>) {
        self.enter(Phase::Finishing);
        self.leave_lane();
        let work = self.work.borrow();
        let (has_recovered, chunks) = (work.has_recovered, work.chunks);
        drop(work);
        if !has_recovered {
            return self.store_info();
        }
        let upload = self.clone();
        let on_count = move |state: &mut State, counted: Result<u64, Error>| match counted {
            Ok(count) if count == chunks => {
                upload.store_info();
                Ok(())
            }
            Ok(count) => upload.fail(state, upload.damaged(count)),
            Err(error) => upload.fail(state, error),
        };
        self.store.count_chunks(&self.nuid, Box::new(on_count));
    }

    fn store_info(self: &Rc<Self>) {
        let mut work = self.work.borrow_mut();
        let info = ObjectInfo {
            description: self.meta.description.clone(),
            headers: self.meta.headers.clone(),
            metadata: self.meta.metadata.clone(),
            chunk_size: Some(work.chunk_size),
            nuid: self.nuid.clone(),
            size: work.size,
            chunks: work.chunks,
            digest: Some(std::mem::take(&mut work.hasher).finish()),
            ..self.store.new_info(&self.meta.name)
        };
        let found = std::mem::take(&mut work.found);
        drop(work);
        let (deciding, upload) = (self.clone(), self.clone());
        let decide = move |found: &Found| deciding.check_expected(found).map(|()| info.clone());
        let on_written = move |state: &mut State, written: Result<Written, Error>| match written {
            Ok(written) => {
                upload.free_replaced(written);
                Ok(())
            }
            // it may yet be stored, and needs its chunks then
            Err(error) if error.is_outcome_unknown() || error.is_timeout() => {
                let subject = upload.subject.clone();
                let removal = Box::new(error.clone());
                let cause = Some(Box::new(error));
                upload.end(state, Err(Error::ChunksLeft { subject, cause, removal }))
            }
            Err(error) => upload.fail(state, error),
        };
        self.store.write_meta(&self.meta.name, Some(found), decide, Box::new(on_written));
    }

    /// Frees the chunks of what was there before.
    fn free_replaced(self: &Rc<Self>, written: Written) {
        let (upload, info) = (self.clone(), written.info);
        let on_freed = move |state: &mut State, freed: Result<(), Error>| {
            upload.end(state, freed.map(|()| info))
        };
        self.store.free(written.before.known().cloned(), Box::new(on_freed));
    }

    /// Ends the put, from outside of the loop's callbacks.
    pub(super) fn fail_later(self: &Rc<Self>, error: Error) {
        let upload = self.clone();
        self.port().defer(move |state| upload.fail(state, error));
    }

    /// The put has failed. Chunks that may be in the stream are removed, and then that is told.
    pub(super) fn fail(self: &Rc<Self>, state: &mut State, error: Error) -> Ran {
        let mut work = self.work.borrow_mut();
        let is_closed = error.is_closed();
        match work.phase {
            Phase::Over => return Ok(()),
            // the chunks belong to what is being stored, unless the client is over
            Phase::Finishing if error == Error::Aborted => return Ok(()),
            Phase::Failing if !is_closed => return Ok(()),
            _ => {}
        }
        work.phase = Phase::Failing;
        work.kept.clear();
        let has_sent = work.has_sent;
        drop(work);
        drop(self.source.take());
        let lane = self.leave_lane();
        if !has_sent {
            return self.end(state, Err(error));
        }
        if is_closed {
            return self.end_with_chunks(state, error, Error::closed());
        }
        let deadline = self.port().turn_time() + self.store.api.timeout() * PATIENCE;
        let upload = self.clone();
        match lane {
            Some(Lane::Window(window)) => window.finish(Box::new(move |_, _, _| {
                upload.clean_up(error, deadline);
                Ok(())
            })),
            Some(Lane::Ingest(ingest)) => ingest.finish(Box::new(move |_, _, _| {
                upload.clean_up(error, deadline);
                Ok(())
            })),
            None => self.clean_up(error, deadline),
        }
        Ok(())
    }

    /// Removes the chunks, behind a fence: what was sent is stored before it, or not at all.
    fn clean_up(self: &Rc<Self>, error: Error, deadline: Instant) {
        let upload = self.clone();
        self.fence(move |state, fenced| match fenced {
            Err(removal) if may_pass(&removal) => {
                upload.clean_up_again(state, error, removal, deadline)
            }
            // whoever refuses the fence has read what came before it
            _ => {
                upload.remove_all(error, deadline);
                Ok(())
            }
        });
    }

    fn remove_all(self: &Rc<Self>, error: Error, deadline: Instant) {
        let upload = self.clone();
        let on_removed = move |state: &mut State, removed: Result<(), Error>| match removed {
            Ok(()) => upload.end(state, Err(error)),
            Err(removal) => upload.clean_up_again(state, error, removal, deadline),
        };
        self.store.remove_chunks(&self.nuid, Box::new(on_removed));
    }

    fn clean_up_again(
        self: &Rc<Self>,
        state: &mut State,
        error: Error,
        removal: Error,
        deadline: Instant,
    ) -> Ran {
        if self.phase() != Phase::Failing {
            return Ok(());
        }
        if !may_pass(&removal) || self.port().turn_time() >= deadline {
            return self.end_with_chunks(state, error, removal);
        }
        let upload = self.clone();
        let again = move |_: &mut State| {
            upload.clean_up(error, deadline);
            Ok(())
        };
        self.port().set_timer(PAUSE, Box::new(again));
        Ok(())
    }

    fn end_with_chunks(&self, state: &mut State, error: Error, removal: Error) -> Ran {
        let (subject, cause) = (self.subject.clone(), Some(Box::new(error)));
        self.end(state, Err(Error::ChunksLeft { subject, cause, removal: Box::new(removal) }))
    }
}
