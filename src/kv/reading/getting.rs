//! One key, read from any replica or from the leader: the path of nearly every read. What a read that is
//! proven has in common with these is here, too.
//!
//! It may assume nothing. A reply that has the usual shape is scanned into the entry's memory; whatever
//! else comes, [`get`](super::get) reads, with the readers that the scans are tested against.

use crate::callback::{Ran, State, Typed, lend};
use crate::client::{Awaiting, Port, Reply, Spares, fill};
use crate::jetstream::StoredMessage;
use crate::kv::bucket::Bucket;
use crate::kv::entry::{Entry, Operation, Wanted};
use crate::kv::handle::{Asked, Get, KeyValue, OfLeader, OfReplica};
use crate::kv::reading::get::{DirectReply, Found, leave_out};
use evnats_protocol::Message;

/// Where a read goes.
pub(in crate::kv) trait Way: Sized + 'static {
    /// Where the box of such a read comes from.
    fn spares<S: 'static>(kv: &KeyValue<S>) -> &Spares<Get<S, Self>>;
}

/// Where a read goes that has one reply.
trait WayOfOneReply: Way {
    /// Reads a reply in its usual shape. `None` says nothing about it.
    fn scan(bucket: &Bucket, reply: &Message, key: &str) -> Option<(StoredMessage, Operation)>;

    /// Goes on with any other outcome.
    fn finish<S: 'static>(unusual: Unusual<S, Self>, state: &mut State, reply: Reply<'_>) -> Ran;
}

/// A read with another outcome than a reply in its usual shape.
pub(super) struct Unusual<S: 'static, W> {
    pub(super) asked: Asked<S, Option<Entry>>,
    pub(super) key: String,
    pub(super) wanted: Wanted,
    pub(super) way: W,
}

impl<S: 'static> KeyValue<S> {
    /// Reads a key, which has been checked, from any replica.
    pub(super) fn ask_replica(
        &self,
        key: &str,
        wanted: Wanted,
        callback: Typed<S, KeyValue<S>, Found>,
    ) {
        let bucket = self.shared_bucket();
        let get = self.getting(key, wanted, OfReplica, callback);
        bucket.direct_reads.last(&bucket.api, key, get);
    }

    /// Reads a key, which has been checked, from the leader.
    pub(super) fn ask_leader(
        &self,
        key: &str,
        wanted: Wanted,
        callback: Typed<S, KeyValue<S>, Found>,
    ) {
        let bucket = self.shared_bucket();
        let way = OfLeader { deadline: bucket.api.deadline() };
        let get = self.getting(key, wanted, way, callback);
        bucket.leader_reads.last(&bucket.api, key, get);
    }

    /// A read that is about to be sent.
    #[inline(always)]
    pub(super) fn getting<W: Way>(
        &self,
        key: &str,
        wanted: Wanted,
        way: W,
        callback: Typed<S, KeyValue<S>, Found>,
    ) -> Box<Get<S, W>> {
        let asked = Asked { kv: self.clone(), callback };
        match W::spares(self).take() {
            Some(mut get) => {
                fill(&mut get.asked, asked);
                get.key.clear();
                get.key.push_str(key);
                (get.wanted, get.way) = (wanted, way);
                get
            }
            None => Box::new(Get { asked: Some(asked), key: key.to_owned(), wanted, way }),
        }
    }
}

impl<S: 'static, W: WayOfOneReply> Awaiting for Get<S, W> {
    #[inline]
    fn hear(mut self: Box<Self>, state: &mut State, _: &Port, reply: Reply<'_>) -> Ran {
        // one that is spare is not asked for, and hears of nothing
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let scanned = match &reply {
            Ok(reply) => W::scan(asked.kv.shared_bucket(), reply, &self.key),
            Err(_) => None,
        };
        match scanned {
            Some((message, operation)) => self.tell(asked, state, message, operation),
            None => W::finish(self.unusual(asked), state, reply),
        }
    }
}

impl<S: 'static, W: Way> Get<S, W> {
    /// Tells what was found, when the box is free for another read.
    #[inline(always)]
    pub(super) fn tell(
        self: Box<Self>,
        asked: Asked<S, Option<Entry>>,
        state: &mut State,
        message: StoredMessage,
        operation: Operation,
    ) -> Ran {
        let is_wanted = self.wanted.includes(operation);
        W::spares(&asked.kv).put_back(self);
        let bucket = asked.kv.shared_bucket();
        bucket.note_revision(message.sequence());
        // before there is an entry, which is large, so that it is made where it is handed over
        let state = lend(state);
        if !is_wanted {
            return asked.callback.tell(state, &asked.kv, Ok(None));
        }
        let entry = Entry::read(&bucket.name, "", message, operation);
        asked.callback.tell(state, &asked.kv, Ok(Some(entry)))
    }

    pub(super) fn unusual(self, asked: Asked<S, Option<Entry>>) -> Unusual<S, W> {
        let Self { key, wanted, way, .. } = self;
        Unusual { asked, key, wanted, way }
    }
}

impl Way for OfReplica {
    #[inline(always)]
    fn spares<S: 'static>(kv: &KeyValue<S>) -> &Spares<Get<S, Self>> {
        kv.gets_of_replica()
    }
}

impl WayOfOneReply for OfReplica {
    #[inline(always)]
    fn scan(bucket: &Bucket, reply: &Message, key: &str) -> Option<(StoredMessage, Operation)> {
        let parts = bucket.direct_reads.scan_headers(reply, key)?;
        Some((StoredMessage::copy_here(parts), Operation::Put))
    }

    #[inline(never)]
    fn finish<S: 'static>(unusual: Unusual<S, Self>, state: &mut State, reply: Reply<'_>) -> Ran {
        let bucket = unusual.asked.kv.shared_bucket().clone();
        match bucket.direct_reply(&unusual.key, reply) {
            DirectReply::Found(found) => return unusual.answer(state, found),
            DirectReply::AskLeader => {
                let Unusual { asked: Asked { kv, callback }, key, wanted, .. } = unusual;
                kv.ask_leader(&key, wanted, callback);
            }
            DirectReply::Absent => {
                bucket.confirm_absence(Box::new(|state, found| unusual.answer(state, found)));
            }
        }
        Ok(())
    }
}

impl Way for OfLeader {
    #[inline(always)]
    fn spares<S: 'static>(kv: &KeyValue<S>) -> &Spares<Get<S, Self>> {
        kv.gets_of_leader()
    }
}

impl WayOfOneReply for OfLeader {
    #[inline(always)]
    fn scan(bucket: &Bucket, reply: &Message, key: &str) -> Option<(StoredMessage, Operation)> {
        let message = bucket.leader_reads.scan(reply.payload(), key)?;
        let operation = Operation::of(message.headers());
        Some((message, operation))
    }

    #[inline(never)]
    fn finish<S: 'static>(unusual: Unusual<S, Self>, state: &mut State, reply: Reply<'_>) -> Ran {
        let bucket = unusual.asked.kv.shared_bucket().clone();
        let (key, deadline) = (unusual.key.clone(), unusual.way.deadline);
        let on_found = |state: &mut State, found| unusual.answer(state, found);
        bucket.tell_leader_reply(state, &key, deadline, reply, on_found)
    }
}

impl<S: 'static, W> Unusual<S, W> {
    pub(super) fn answer(self, state: &mut State, mut found: Found) -> Ran {
        let Asked { kv, callback } = self.asked;
        leave_out(&mut found, self.wanted);
        callback.tell(lend(state), &kv, found)
    }
}
