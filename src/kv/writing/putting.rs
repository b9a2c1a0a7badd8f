//! A put whose outcome is there: the path of nearly every write.
//!
//! It may assume nothing. An acknowledgement that is exactly the usual one of the bucket's stream is
//! compared with that; whatever else comes is read as that of any other write.

use crate::callback::{Ran, State, Typed, lend};
use crate::client::{Awaiting, Port, Reply, fill};
use crate::kv::error::Error;
use crate::kv::handle::{Asked, KeyValue, Put};
use crate::kv::writing::storing::is_not_stored;

impl<S: 'static> KeyValue<S> {
    /// A put that is about to be sent.
    #[inline(always)]
    pub(super) fn putting(
        &self,
        callback: Typed<S, KeyValue<S>, Result<u64, Error>>,
    ) -> Box<Put<S>> {
        let asked = Asked { kv: self.clone(), callback };
        match self.puts().take() {
            Some(mut put) => {
                fill(&mut put.asked, asked);
                put
            }
            None => Box::new(Put { asked: Some(asked) }),
        }
    }
}

impl<S: 'static> Awaiting for Put<S> {
    #[inline]
    fn hear(mut self: Box<Self>, state: &mut State, _: &Port, reply: Reply<'_>) -> Ran {
        // one that is spare is not asked for, and hears of nothing
        let Some(asked) = self.asked.take() else { return Ok(()) };
        asked.kv.puts().put_back(self);
        match asked.kv.shared_bucket().usual_revision(&reply) {
            Some(revision) => asked.callback.tell(lend(state), &asked.kv, Ok(revision)),
            None => finish(asked, state, reply),
        }
    }
}

#[inline(never)]
fn finish<S: 'static>(asked: Asked<S, u64>, state: &mut State, reply: Reply<'_>) -> Ran {
    let Asked { kv, callback } = asked;
    match kv.shared_bucket().revision(reply) {
        Err(error) if is_not_stored(&error) => {
            let bucket = kv.shared_bucket().clone();
            let answer = move |state: &mut State, written| callback.tell(lend(state), &kv, written);
            bucket.tell_why_not_stored(Box::new(answer));
            Ok(())
        }
        revision => callback.tell(lend(state), &kv, revision),
    }
}
