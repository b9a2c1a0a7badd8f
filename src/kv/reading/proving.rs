//! One key, read from any replica, which proves with its answer that it is not behind: the path of nearly
//! every verified read.
//!
//! It may assume nothing. An answer with the key's message that is proven is told at once. Whatever else
//! comes, a [`Proof`](super::proof) looks at, which may ask again.

use crate::callback::{Ran, State, Typed};
use crate::client::Spares;
use crate::jetstream::{self, AwaitingLast, LastMessages, StoredMessage, StoredParts, Unasked};
use crate::kv::entry::{Operation, Wanted};
use crate::kv::handle::{Get, KeyValue, WithProof};
use crate::kv::reading::get::Found;
use crate::kv::reading::getting::{Unusual, Way};
use evnats_protocol::texts::is_same;

impl<S: 'static> KeyValue<S> {
    /// Reads a key, which has been checked, from any replica that is not behind.
    pub(super) fn ask_for_proof(
        &self,
        key: &str,
        wanted: Wanted,
        callback: Typed<S, KeyValue<S>, Found>,
    ) {
        let bucket = self.shared_bucket();
        let (needed, deadline) = (bucket.mark(), bucket.api.deadline());
        let way = WithProof { needed, deadline, found: None };
        let get = self.getting(key, wanted, way, callback);
        bucket.last_reads().read(key, None, get);
    }
}

impl Way for WithProof {
    #[inline(always)]
    fn spares<S: 'static>(kv: &KeyValue<S>) -> &Spares<Get<S, Self>> {
        kv.gets_with_proof()
    }
}

impl WithProof {
    /// Whether a replica that has this message, and says that it has read so far, is not behind.
    #[inline]
    fn is_met(&self, message: &StoredMessage, up_to: Option<u64>) -> bool {
        message.sequence() >= self.needed || up_to.is_some_and(|up_to| up_to >= self.needed)
    }
}

impl<S: 'static> AwaitingLast for Get<S, WithProof> {
    #[inline]
    fn only_end(&self) -> Option<&str> {
        Some(&self.key)
    }

    #[inline]
    fn keep(&mut self, parts: StoredParts<'_>) -> Result<(), Unasked> {
        let found = &mut self.way.found;
        if found.is_some() {
            return Err(Unasked);
        }
        *found = Some(StoredMessage::copy_here(parts));
        Ok(())
    }

    #[inline]
    fn hear(mut self: Box<Self>, state: &mut State, up_to: Option<u64>) -> Ran {
        // one that is spare is not asked for, and hears of nothing
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let is_usual = self.way.found.as_ref().is_some_and(|message| {
            self.way.is_met(message, up_to) && is_same(message.subject_bytes(), self.key.as_bytes())
        });
        let found = self.way.found.take();
        if is_usual && let Some(message) = found {
            asked.kv.shared_bucket().mark.note_key(&self.key);
            let operation = Operation::of(message.headers());
            return self.tell(asked, state, message, operation);
        }
        finish(self.unusual(asked), state, Ok(LastMessages::of_one(found, up_to)))
    }

    fn fail(mut self: Box<Self>, state: &mut State, error: jetstream::Error) -> Ran {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        finish(self.unusual(asked), state, Err(error))
    }
}

#[inline(never)]
fn finish<S: 'static>(
    unusual: Unusual<S, WithProof>,
    state: &mut State,
    answer: Result<LastMessages, jetstream::Error>,
) -> Ran {
    let bucket = unusual.asked.kv.shared_bucket().clone();
    let WithProof { needed, deadline, .. } = unusual.way;
    let key = unusual.key.as_str().into();
    let on_found = Box::new(|state: &mut State, found| unusual.answer(state, found));
    bucket.prove(state, key, needed, deadline, answer, on_found)
}
