//! The fence: a write whose acknowledgement proves that everything that was complete before has a
//! lower revision.
//!
//! It is written to one reserved key of each bucket, as a tombstone that takes the place of the one
//! before, so that a bucket holds one of them at most and other clients list no key of this name. Its
//! acknowledgement is the stream's own, which a leader that has been cut off cannot give: it takes a
//! quorum. Reads that begin while a fence is under way wait for the next one, which serves them all.

use super::bucket::{Bucket, OnWritten};
use super::error::Error;
use crate::callback::State;
use evnats_protocol::{HeaderMap, Payload};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The key of the fence. Names that begin so are reserved (ADR-8), and hidden from users of this
/// client.
pub(super) const FENCE_KEY: &str = "_kv_fence";

/// Whether a key is one of those that are not the user's.
#[inline]
pub(super) fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(b"_kv")
}

/// The fences of a bucket that are under way.
#[derive(Default)]
pub(super) struct Fences {
    is_under_way: Cell<bool>,
    /// Who waits for the next one.
    waiting: RefCell<Vec<OnWritten>>,
}

impl Bucket {
    /// Checks that a fence can be written, and is of use: a mirror lags behind its origin's.
    pub(super) fn check_fence(&self) -> Result<(), Error> {
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
        self.fences.waiting.borrow_mut().push(answer);
        if !self.fences.is_under_way.get() {
            self.write_fence();
        }
    }

    fn write_fence(self: &Rc<Self>) {
        let served = self.fences.waiting.take();
        self.fences.is_under_way.set(true);
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
        // each in a turn of its own: a callback may panic, and the next one is to run
        for answer in served {
            self.defer(answer, written.clone());
        }
        self.fences.is_under_way.set(false);
        if !self.fences.waiting.borrow().is_empty() {
            self.write_fence();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_with_the_reserved_beginning_are_hidden() {
        assert!(is_reserved(FENCE_KEY.as_bytes()));
        assert!(!is_reserved(b"kv") && !is_reserved(b"a._kv"));
    }
}
