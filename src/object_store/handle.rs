//! The handle of a bucket, and the door to it from JetStream.

use crate::client::Client;
use crate::event_loop::timers_on;
use crate::jetstream::JetStream;
use crate::object_store::store::Store;
use std::fmt;
use std::rc::Rc;

/// A bucket of objects. A cheap handle.
///
/// ```no_run
/// use evnats::{EventLoop, object_store};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// let reports = nats.jetstream().object_store("reports");
/// reports.create_bucket(object_store::Config::new(), |_, reports, created| {
///     created?;
///     reports.put("may.txt", "all is well", |_, reports, stored| {
///         println!("{} bytes, {:?}", stored?.size, reports.bucket());
///         reports.get("may.txt", |_, reports, object| {
///             println!("{:?}", object?.data);
///             reports.client().drain();
///             Ok(())
///         });
///         Ok(())
///     });
///     Ok(())
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct ObjectStore<S: 'static = ()> {
    js: JetStream<S>,
    store: Rc<Store>,
}

impl<S: 'static> JetStream<S> {
    /// A bucket of objects. Nothing is sent: whether it exists shows with the first operation.
    #[must_use]
    #[doc(alias = "ObjectStore")]
    pub fn object_store(&self, bucket: &str) -> ObjectStore<S> {
        ObjectStore { js: self.clone(), store: Rc::new(Store::new(self.api(), bucket)) }
    }
}

impl<S: 'static> ObjectStore<S> {
    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.js.client()
    }

    /// JetStream, over which the bucket is reached.
    #[must_use]
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.js
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.store.bucket
    }

    pub(in crate::object_store) fn store(&self) -> &Rc<Store> {
        &self.store
    }
}

timers_on!(ObjectStore, |store| store.client().port().event_loop());

impl<S> Clone for ObjectStore<S> {
    fn clone(&self) -> Self {
        Self { js: self.js.clone(), store: self.store.clone() }
    }
}

impl<S> fmt::Debug for ObjectStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore").field("bucket", &self.store.bucket).finish_non_exhaustive()
    }
}
