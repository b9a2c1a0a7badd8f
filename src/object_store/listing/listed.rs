//! Objects as they come: what a program sees of a listing.

use crate::callback::{Handler, Outcome, State, lend};
use crate::event_loop::timers_on;
use crate::object_store::handle::ObjectStore;
use crate::object_store::listing::item::ListedObject;
use crate::object_store::listing::lister::ObjectLister;
use crate::object_store::listing::options::ListOptions;
use std::fmt;
use std::rc::Rc;

/// Objects that are being listed. A cheap handle: dropping it does not stop it.
pub struct ObjectListing<S: 'static = ()> {
    store: ObjectStore<S>,
    lister: Rc<ObjectLister>,
}

impl<S: 'static> ObjectListing<S> {
    /// Ends it: the callback does not run again, and nothing more is asked for.
    pub fn stop(&self) {
        self.lister.stop();
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.lister.is_active()
    }

    /// The bucket whose objects are listed.
    #[must_use]
    pub fn bucket(&self) -> &ObjectStore<S> {
        &self.store
    }
}

timers_on!(ObjectListing, |listing| listing.store.client().port().event_loop());

impl<S> Clone for ObjectListing<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), lister: self.lister.clone() }
    }
}

impl<S> fmt::Debug for ObjectListing<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectListing")
            .field("bucket", &self.store)
            .field("is_active", &self.lister.is_active())
            .finish()
    }
}

impl<S: 'static> ObjectStore<S> {
    /// Lists the bucket's objects, one by one as they come and in no order. As fresh as
    /// [`list`](Self::list). An object that is put during the listing may be missing, and one that is
    /// deleted or replaced may have been shown as it was.
    ///
    /// Of those that were shown the names are remembered, so that none comes twice, and nothing else. On a
    /// bucket with replicas, the names that the leader has are asked for first, and remembered, too.
    ///
    /// The last report is [`ListedObject::Ended`], with the errors of [`list`](Self::list).
    pub fn list_objects(
        &self,
        options: ListOptions,
        mut callback: impl Handler<S, ObjectListing<S>, ListedObject>,
    ) -> ObjectListing<S> {
        let store = self.clone();
        let on_listed = move |state: &mut State, lister: &Rc<ObjectLister>, listed| {
            let listing = ObjectListing { store: store.clone(), lister: lister.clone() };
            callback(lend(state), &listing, listed).into_ran()
        };
        let lister = ObjectLister::begin(self.store(), options, Box::new(on_listed));
        ObjectListing { store: self.clone(), lister }
    }
}
