//! The fence: a write whose acknowledgement proves that everything that was complete before has a
//! lower revision.
//!
//! It is written to one reserved key of each bucket, as a tombstone that takes the place of the one
//! before, so that a bucket holds one of them at most and other clients list no key of this name. Its
//! acknowledgement is the stream's own, which a leader that has been cut off cannot give: it takes a
//! quorum. Reads that begin while a fence is under way wait for the next one, which serves them all.

use crate::callback::State;
use crate::kv::bucket::{Bucket, OnWritten};
use crate::kv::error::Error;
use crate::kv::name::FENCE_KEY;
use evnats_protocol::{HeaderMap, Payload};
use std::rc::Rc;

impl Bucket {
    /// Checks that a fence can be written, and is of use: a mirror lags behind its origin's.
    pub(in crate::kv) fn check_fence(&self) -> Result<(), Error> {
        let impossible = |reason| Error::NotLinearizable { bucket: self.name.to_string(), reason };
        match self.check_writable() {
            Err(Error::ReadOnly { .. }) => {
                Err(impossible("the handle is read-only, and the fence is a write"))
            }
            Ok(()) if self.origin.is_some() => {
                Err(impossible("it is a mirror, which lags behind its origin"))
            }
            checked => checked,
        }
    }

    /// Writes the fence, and answers with its revision. A failure is not repeated here; the fence may
    /// be written as often as anybody likes.
    pub(crate) fn fence(self: &Rc<Self>, answer: OnWritten) {
        if let Err(error) = self.check_fence() {
            return self.defer(answer, Err(error));
        }
        self.fences_waiting.borrow_mut().push(answer);
        if !self.is_fencing.get() {
            self.write_fence();
        }
    }

    fn write_fence(self: &Rc<Self>) {
        let served = self.fences_waiting.take();
        self.is_fencing.set(true);
        let (bucket, before) = (self.clone(), self.mark());
        let headers = HeaderMap::new().with("KV-Operation", "PURGE").with("Nats-Rollup", "sub");
        let on_written = move |_: &mut State, written: Result<u64, Error>| {
            bucket.finish_fence(before, written, served);
            Ok(())
        };
        self.write_known(FENCE_KEY, Payload::default(), &headers, Box::new(on_written));
    }

    fn finish_fence(
        self: &Rc<Self>,
        before: u64,
        written: Result<u64, Error>,
        served: Vec<OnWritten>,
    ) {
        if let Ok(revision) = written
            && revision <= before
        {
            // a stream whose revisions start again is another one
            self.mark.reset(revision);
        }
        if written.is_ok() {
            self.mark.note_key(FENCE_KEY);
        }
        // each in a turn of its own: a callback may panic, and the next one is to run
        for answer in served {
            self.defer(answer, written.clone());
        }
        self.is_fencing.set(false);
        if !self.fences_waiting.borrow().is_empty() {
            self.write_fence();
        }
    }
}
