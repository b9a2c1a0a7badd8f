//! A watcher's changes go to a stream.

use super::options::JetStreamSink;
use super::running::Sink;
use crate::mongo::changes::WatchBuilder;
use std::rc::Rc;

impl<S: 'static> WatchBuilder<S> {
    /// Publishes each change to a stream of JetStream, whose position counts: the watcher goes on behind the
    /// last change that is in the stream. Dispatch functions that were added before see a change first; those
    /// added later, when it is stored.
    ///
    /// **Each change is in the stream once, and in the order of MongoDB**, whatever is killed or cut off, and
    /// however long that takes: every message carries its change's position, and expects
    /// (`Nats-Expected-Last-Sequence`) the sequence of the message before it. Many are under way at once, as
    /// many as the watcher's [credit](super::super::ChangeStream::credit) allows. When an acknowledgement is
    /// missing or refused, nothing more is published until the last message of the stream, read from its
    /// leader, has told how much is stored. While NATS is away, the watcher waits, and tells that it does
    /// ([`WatchState::SinkAway`](super::super::WatchState::SinkAway)).
    /// [`WatchMetrics::sink`](super::super::WatchMetrics::sink) counts what was stored, what was found to be
    /// stored, and what was sent again.
    ///
    /// For that the stream has to be the sink's alone. A message of anybody else in it ends the watcher with
    /// [`StopReason::Fenced`](super::super::StopReason::Fenced), which is also what becomes of an instance
    /// that was left for dead and wakes up behind another one. An instance that has published nothing yet
    /// goes on behind what others have.
    ///
    /// With a [lease](Self::lease), an instance that does not lead any more publishes nothing. Have a
    /// [store](Self::resume), too: it has a position also before the first change is in the stream. The
    /// [commit mode](super::super::ChangeStream::commit) is of no importance.
    ///
    /// The last message has to stay. In a stream whose messages age out or were purged there is no position,
    /// and before the first change is stored, there is none either:
    /// then that of the [store](Self::resume) counts, if there is one (of both, the later one), and else
    /// the watcher begins as the [`ChangeStream`](super::super::ChangeStream) says. What was purged and is
    /// published again within the stream's `duplicate_window` is not stored again.
    ///
    /// The changes of a transaction are held until the last of them is known, and are stored as an atomic
    /// batch if the stream has `allow_atomic` (server 2.12) and takes as many; else one by one.
    ///
    /// | header | |
    /// |---|---|
    /// | `Nats-Msg-Id` | SHA-256 of the position |
    /// | `Mongo-Resume-Token` | the position; of a copied document the copy's time and its `_id`, as JSON |
    /// | `Mongo-Op`, `Mongo-Ns` | the operation, `database.collection`; escaped as in subjects |
    /// | `Mongo-Cluster-Time` | `seconds:increment` |
    /// | `Mongo-Writer` | the instance that has published it |
    /// | `Mongo-Txn` | session and number of the transaction that the change was part of |
    /// | `Mongo-Txn-Part` | `3 of 7`; `3` if it was too large to be held: then only the last tells the number |
    ///
    /// ```no_run
    /// use evnats::EventLoop;
    /// use evnats::mongo::{ChangeStream, JetStreamSink};
    ///
    /// let event_loop = EventLoop::<()>::new()?;
    /// let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// let mongo = event_loop.connect_mongo("mongodb://127.0.0.1:27017")?;
    /// mongo
    ///     .watch(ChangeStream::on("shop", "orders"))
    ///     .publish_to(JetStreamSink::new(&js, "CHANGES"))
    ///     .start(|_, _, reason| println!("{reason:?}"));
    /// event_loop.run(&mut ())?;
    /// # Ok::<(), evnats::Error>(())
    /// ```
    pub fn publish_to(self, sink: JetStreamSink<S>) -> Self {
        let running = Rc::new(Sink::new(sink.jetstream.api(), sink.options));
        self.deliver_to(running, Sink::take)
    }
}
