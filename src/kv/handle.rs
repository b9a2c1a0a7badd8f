//! The handle of a bucket, and the door to it from JetStream.

use super::bucket::Bucket;
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::JetStream;
use std::fmt;
use std::rc::Rc;

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
}

/// Who answers reads of single values, and how fresh listings and the signal of a watch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reads {
    /// The stream's leader: a read sees every write that was complete when it began. So do `keys`,
    /// `history` and a watch up to its signal, which replicas serve: the leader is asked beside them.
    #[default]
    Leader,
    /// Whichever replica is nearest. Cheaper, and on a bucket with replicas it may miss writes
    /// that are complete, even the reader's own. Buckets that do not allow it are read from the
    /// leader.
    Replica,
}

impl<S: 'static> JetStream<S> {
    /// A Key-Value bucket. Nothing is sent: whether it exists shows with the first operation.
    #[must_use]
    #[doc(alias = "KeyValue")]
    pub fn key_value(&self, bucket: &str) -> KeyValue<S> {
        let bucket = Rc::new(Bucket::new(self.api(), bucket));
        KeyValue { shared: Rc::new(Shared { js: self.clone(), bucket }), reads: Reads::default() }
    }
}

impl<S: 'static> KeyValue<S> {
    /// The same bucket, with reads answered by another.
    #[must_use]
    pub fn with_reads(&self, reads: Reads) -> Self {
        Self { shared: self.shared.clone(), reads }
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

    pub(super) fn shared_bucket(&self) -> &Rc<Bucket> {
        &self.shared.bucket
    }

    pub(super) fn reads(&self) -> Reads {
        self.reads
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
