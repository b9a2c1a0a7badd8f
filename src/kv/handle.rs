//! The handle of a bucket, and the door to it from JetStream.

use crate::callback::Typed;
use crate::client::{Client, Spares};
use crate::event_loop::timers_on;
use crate::jetstream::{JetStream, StoredMessage};
use crate::kv::bucket::Bucket;
use crate::kv::entry::{Entry, Wanted};
use crate::kv::error::Error;
use crate::kv::reading::reads::Reads;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

/// A Key-Value bucket. A cheap handle.
///
/// ```no_run
/// use evnats::{EventLoop, kv};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// let config = nats.jetstream().key_value("config");
/// config.create_bucket(kv::Config::default(), |_, config, created| {
///     created?;
///     config.put("app.setting", "on", |_, config, revision| {
///         println!("stored as revision {}", revision?);
///         config.get("app.setting", |_, config, entry| {
///             println!("{:?}", entry?);
///             config.client().drain();
///             Ok(())
///         });
///         Ok(())
///     });
///     Ok(())
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct KeyValue<S: 'static = ()> {
    shared: Rc<Shared<S>>,
    reads: Reads,
}

struct Shared<S: 'static> {
    js: JetStream<S>,
    bucket: Rc<Bucket>,
    puts: Spares<Put<S>>,
    gets_of_replica: Spares<Get<S, OfReplica>>,
    gets_of_leader: Spares<Get<S, OfLeader>>,
    gets_with_proof: Spares<Get<S, WithProof>>,
}

impl<S: 'static> Shared<S> {
    fn new(js: &JetStream<S>, bucket: Rc<Bucket>) -> Rc<Self> {
        Rc::new(Self {
            js: js.clone(),
            bucket,
            puts: Spares::default(),
            gets_of_replica: Spares::default(),
            gets_of_leader: Spares::default(),
            gets_with_proof: Spares::default(),
        })
    }
}

/// A put that is under way, or none.
pub(in crate::kv) struct Put<S: 'static> {
    pub(in crate::kv) asked: Option<Asked<S, u64>>,
}

/// A read of one key that is under way, or none.
pub(in crate::kv) struct Get<S: 'static, W> {
    pub(in crate::kv) asked: Option<Asked<S, Option<Entry>>>,
    pub(in crate::kv) key: String,
    pub(in crate::kv) wanted: Wanted,
    pub(in crate::kv) way: W,
}

/// Any replica was asked.
pub(in crate::kv) struct OfReplica;

/// The leader was asked, and may be asked again until then.
pub(in crate::kv) struct OfLeader {
    pub(in crate::kv) deadline: Instant,
}

/// Any replica was asked, which is to prove that it is not behind what has been written or seen.
pub(in crate::kv) struct WithProof {
    /// The revision that it must not be behind.
    pub(in crate::kv) needed: u64,
    /// Replicas may be asked again until then.
    pub(in crate::kv) deadline: Instant,
    /// What the answer has brought so far.
    pub(in crate::kv) found: Option<StoredMessage>,
}

/// Who has asked for an operation.
pub(in crate::kv) struct Asked<S: 'static, T> {
    pub(in crate::kv) kv: KeyValue<S>,
    pub(in crate::kv) callback: Typed<S, KeyValue<S>, Result<T, Error>>,
}

impl<S: 'static> JetStream<S> {
    /// A Key-Value bucket. Nothing is sent: whether it exists shows with the first operation.
    #[must_use]
    #[doc(alias = "KeyValue")]
    pub fn key_value(&self, bucket: &str) -> KeyValue<S> {
        let shared = Shared::new(self, Rc::new(Bucket::new(self.api(), bucket)));
        KeyValue { shared, reads: Reads::default() }
    }
}

impl<S: 'static> KeyValue<S> {
    /// The same bucket, with reads that prove more or less. For a single call:
    /// `kv.with_reads(Reads::Verified).get(…)`.
    #[must_use]
    pub fn with_reads(&self, reads: Reads) -> Self {
        Self { shared: self.shared.clone(), reads }
    }

    /// The same bucket, which this handle cannot write to: whatever writes is refused with
    /// [`Error::ReadOnly`](crate::kv::Error::ReadOnly) before anything is sent (ADR-58).
    #[must_use]
    pub fn read_only(&self) -> Self {
        self.with_bucket(Rc::new(self.shared.bucket.read_only()))
    }

    /// The same handle, with what is known of the bucket by now.
    pub(in crate::kv) fn with_bucket(&self, bucket: Rc<Bucket>) -> Self {
        Self { shared: Shared::new(&self.shared.js, bucket), reads: self.reads }
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.jetstream().client()
    }

    /// JetStream, over which the bucket is reached.
    #[must_use]
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.shared.js
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.shared.bucket.name
    }

    pub(in crate::kv) fn shared_bucket(&self) -> &Rc<Bucket> {
        &self.shared.bucket
    }

    pub(in crate::kv) fn reads(&self) -> Reads {
        self.reads
    }

    #[inline]
    pub(in crate::kv) fn puts(&self) -> &Spares<Put<S>> {
        &self.shared.puts
    }

    #[inline]
    pub(in crate::kv) fn gets_of_replica(&self) -> &Spares<Get<S, OfReplica>> {
        &self.shared.gets_of_replica
    }

    #[inline]
    pub(in crate::kv) fn gets_of_leader(&self) -> &Spares<Get<S, OfLeader>> {
        &self.shared.gets_of_leader
    }

    #[inline]
    pub(in crate::kv) fn gets_with_proof(&self) -> &Spares<Get<S, WithProof>> {
        &self.shared.gets_with_proof
    }
}

timers_on!(KeyValue, |kv| kv.client().port().event_loop());

impl<S> Clone for KeyValue<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), reads: self.reads }
    }
}

impl<S> fmt::Debug for KeyValue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("bucket", &self.shared.bucket.name)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}
