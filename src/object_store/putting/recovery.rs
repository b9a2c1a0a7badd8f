//! A lane has failed: what it has left in the stream is found out, and the rest goes by another one.
//!
//! What is under way when a chunk fails may be stored behind the gap. So everything that was sent has its
//! outcome first, then a fence is written, a message that is acknowledged, behind which nothing of the
//! old lane comes any more. What is in the stream behind the last chunk that counts as stored is removed,
//! the fence with it, and sent again. An ingest stores no message behind a gap: of one, what is stored is
//! counted, because it does not tell the sequences.

use crate::callback::{Ran, State};
use crate::client::Reply;
use crate::jetstream::{
    self, ApiRequest, KnownAck, MessageQuery, StoredMessage, acknowledged_sequence,
};
use crate::object_store::error::Error;
use crate::object_store::objects::meta::is_no_message;
use crate::object_store::objects::meta_write::may_pass;
use crate::object_store::putting::lane::{Lane, cause_of, may_pass_with_another};
use crate::object_store::putting::upload::{Phase, Upload};
use evnats_protocol::OutgoingMessage;
use std::rc::Rc;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(250);

/// For how many requests' time an outage without any progress is waited for.
const PATIENCE: u32 = 6;

/// What of a failed lane counts as stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What is known by its sequences.
    Known,
    /// As many chunks as there are in the stream.
    Counted,
}

impl Upload {
    /// Leaves a lane that has failed, if another one may do better.
    pub(super) fn recover(self: &Rc<Self>, state: &mut State, error: jetstream::Error) -> Ran {
        let error = cause_of(error);
        let may_pass_elsewhere = may_pass_with_another(&error);
        let error = self.store.error(error);
        if !may_pass_elsewhere && !may_pass(&error) {
            return self.fail(state, error);
        }
        let mut work = self.work.borrow_mut();
        let now = self.port().turn_time();
        let deadline = *work.deadline.get_or_insert(now + self.store.api.timeout() * PATIENCE);
        work.has_recovered = true;
        drop(work);
        if now >= deadline {
            return self.fail(state, error);
        }
        log::warn!("object {:?} is put in spite of: {error}", self.meta.name);
        self.enter(Phase::Recovering);
        let left = match self.leave_lane() {
            Some(Lane::Ingest(_)) => Left::Counted,
            Some(Lane::Window(window)) => {
                let upload = self.clone();
                window.finish(Box::new(move |_, _, _| {
                    upload.fence_later(Left::Known);
                    Ok(())
                }));
                return Ok(());
            }
            None => Left::Known,
        };
        self.fence_later(left);
        Ok(())
    }

    fn is_recovering(&self) -> bool {
        self.phase() == Phase::Recovering
    }

    fn fence_later(self: &Rc<Self>, left: Left) {
        let upload = self.clone();
        let fence = move |_: &mut State| {
            let recovering = upload.clone();
            upload.fence(move |state, fenced| match fenced {
                Ok(sequence) => recovering.handle_fence(state, left, sequence),
                Err(error) => recovering.handle_error(state, left, error),
            });
            Ok(())
        };
        self.port().set_timer(PAUSE, Box::new(fence));
    }

    /// Writes a message behind everything that was sent.
    pub(super) fn fence(
        self: &Rc<Self>,
        on_fence: impl FnOnce(&mut State, Result<u64, Error>) -> Ran + 'static,
    ) {
        let ack = KnownAck::new(&self.store.stream);
        let store = self.store.clone();
        let message = OutgoingMessage::new(&self.subject, "");
        self.store.api.request(message, move |state, reply: Reply<'_>| {
            let fenced = acknowledged_sequence(reply, &ack).map_err(|error| store.error(error));
            on_fence(state, fenced)
        });
    }

    fn handle_fence(self: &Rc<Self>, state: &mut State, left: Left, fence: u64) -> Ran {
        match left {
            _ if !self.is_recovering() => Ok(()),
            Left::Known => self.truncate(state, left, fence),
            Left::Counted => self.remove_fences(fence),
        }
    }

    /// Removes what is behind the last chunk that counts, message by message, until there is none.
    fn truncate(self: &Rc<Self>, _: &mut State, left: Left, fence: u64) -> Ran {
        let from = self.work.borrow().kept.last_sequence() + 1;
        let query = MessageQuery::NextBySubject { subject: &self.subject, from };
        let request = ApiRequest::stored_message(&self.store.stream, query);
        let upload = self.clone();
        let on_stored = move |state: &mut State, stored: Result<StoredMessage, Error>| match stored
        {
            Ok(stored) => upload.remove(stored.sequence(), left, fence),
            Err(error) if is_no_message(&error) => upload.go_on(state, fence),
            Err(error) => upload.handle_error(state, left, error),
        };
        self.store.read(request, Box::new(on_stored));
        Ok(())
    }

    /// Removes a message, and looks for the next one.
    fn remove(self: &Rc<Self>, sequence: u64, left: Left, fence: u64) -> Ran {
        let (store, upload) = (self.store.clone(), self.clone());
        let on_deleted = move |state: &mut State, deleted: Result<(), _>| {
            match deleted.map_err(|error| store.error(error)) {
                // one that is gone already is not found again
                Err(error) if may_pass(&error) => upload.handle_error(state, left, error),
                Err(error) if !error.is_not_found() => upload.fail(state, error),
                _ => upload.handle_fence(state, left, fence),
            }
        };
        self.store.api.delete_message(&self.store.stream, sequence, Box::new(on_deleted));
        Ok(())
    }

    /// Removes the messages at the end that are no chunks: chunks are not empty.
    fn remove_fences(self: &Rc<Self>, fence: u64) -> Ran {
        let query = MessageQuery::LastBySubject(&self.subject);
        let request = ApiRequest::stored_message(&self.store.stream, query);
        let upload = self.clone();
        let on_stored = move |state: &mut State, stored: Result<StoredMessage, Error>| match stored
        {
            Ok(stored) if stored.payload().is_empty() => {
                upload.remove(stored.sequence(), Left::Counted, fence)
            }
            Err(error) if !is_no_message(&error) => {
                upload.handle_error(state, Left::Counted, error)
            }
            _ => upload.count_and_go_on(fence),
        };
        self.store.read(request, Box::new(on_stored));
        Ok(())
    }

    fn count_and_go_on(self: &Rc<Self>, fence: u64) -> Ran {
        let upload = self.clone();
        let on_count = move |state: &mut State, counted: Result<u64, Error>| {
            let count = match counted {
                Ok(count) => count,
                Err(error) => return upload.handle_error(state, Left::Counted, error),
            };
            let is_possible = upload.work.borrow_mut().kept.handle_count(count);
            match is_possible {
                true => upload.go_on(state, fence),
                false => upload.fail(state, upload.damaged(count)),
            }
        };
        self.store.count_chunks(&self.nuid, Box::new(on_count));
        Ok(())
    }

    pub(super) fn damaged(&self, count: u64) -> Error {
        let reason = format!("the stream has {count} chunks, and not what was stored in it");
        Error::Damaged { name: self.meta.name.clone(), reason }
    }

    /// The stream has what counts as stored, and nothing behind it.
    fn go_on(self: &Rc<Self>, state: &mut State, fence: u64) -> Ran {
        if !self.is_recovering() {
            return Ok(());
        }
        self.work.borrow_mut().kept.send_again(fence);
        self.enter(Phase::Sending);
        self.open_lane();
        self.pump(state)
    }

    /// A step of the recovery has failed: it begins again, as long as there is time.
    fn handle_error(self: &Rc<Self>, state: &mut State, left: Left, error: Error) -> Ran {
        if !self.is_recovering() {
            return Ok(());
        }
        let now = self.port().turn_time();
        let has_time = self.work.borrow().deadline.is_some_and(|deadline| now < deadline);
        match has_time && may_pass(&error) {
            true => {
                self.fence_later(left);
                Ok(())
            }
            false => self.fail(state, error),
        }
    }
}
