//! The handle of a bucket, and the door to it from JetStream.

use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::JetStream;
use crate::kv::bucket::Bucket;
use crate::kv::reading::reads::Reads;
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
        let shared = Rc::new(Shared { js: self.shared.js.clone(), bucket });
        Self { shared, reads: self.reads }
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
