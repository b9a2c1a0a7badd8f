//! What a read proves.

/// What a read proves, and who may answer it. The default is [`Leader`](Self::Leader).
///
/// | | sees | costs | needs |
/// |---|---|---|---|
/// | [`Leader`](Self::Leader) | every complete write, while leadership is stable | one round trip | |
/// | [`Verified`](Self::Verified) | at least whatever this handle and its clones have written or seen, always | one round trip to any replica, more while replicas lag | server 2.11, `allow_direct` |
/// | [`Linearizable`](Self::Linearizable) | every write that was complete when the read began, always | a write, and then as `Verified` | the same, and the right to write |
/// | [`Replica`](Self::Replica) | what the replica has that answers | one round trip to any replica | `allow_direct`; without, the leader answers |
///
/// None of them sees what leaves no message behind before the server shows it: what is purged from the
/// stream by hand, or has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Reads {
    /// The leader of the bucket's stream answers (`STREAM.MSG.GET`). Reads see every write that was
    /// complete when they began, **as long as leadership is stable**. A leader that was stopped or cut
    /// off, and comes back while others have elected another one, may answer from its old state until
    /// it learns of that: in a probe with three replicas, 3 of 10 such reads were stale (server 2.15).
    ///
    /// `keys`, `history` and a watch up to its signal are served by replicas, and the leader is asked
    /// beside them, so that they are as fresh.
    #[default]
    Leader,
    /// Any replica answers, and proves that it is not behind the newest revision that this handle and
    /// its clones have written or seen (`Nats-UpTo-Sequence`, ADR-31). So reads never go back, and see
    /// the reader's own writes, whatever happens to leaders. Writes of others may be missing that this
    /// handle has seen nothing of.
    ///
    /// For the absence of a key to be proven, a key that exists is asked for beside it. What is not
    /// proven is asked for again, then behind a fence as with [`Linearizable`](Self::Linearizable), and
    /// is an [`Error::Unproven`](crate::kv::Error::Unproven) when the timeout is over: never an answer.
    /// Listings, and watches up to their signal, are read up to a fence; where none can be written, they
    /// are as fresh as with [`Leader`](Self::Leader).
    Verified,
    /// A fence is written first, to one reserved key of the bucket, and then any replica answers that
    /// has read up to it: the read sees every write of anybody that was complete when it began, whatever
    /// happens to leaders, and absence is proven as well. Reads that begin while a fence is under way
    /// share the next one. Listings, and watches up to their signal, show everything up to a fence; with
    /// patterns other than `>`, that needs server 2.10.
    ///
    /// The bucket holds one more message from then on, `_kv_fence`, a tombstone that takes the place of
    /// the one before. Our listings, watches and numbers leave it out. Other clients do not list it as a
    /// key, because it has no value; their watches show a purge of it, and their numbers count it.
    ///
    /// Without the right to write to it, on a mirror, and on a read-only handle, such a read is refused.
    Linearizable,
    /// Whichever replica is nearest answers, and the answer is taken as it comes: on a bucket with
    /// replicas it may miss writes that are complete, even the reader's own (under load, 12 to 15 of 100
    /// reads after a write did, with three replicas). On a bucket without replicas and mirrors it is as
    /// good as the others, and the cheapest. Buckets that do not allow it are read from the leader.
    Replica,
}
