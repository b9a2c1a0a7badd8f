//! All objects at once.

use crate::callback::{Callback, Ran, State, answer};
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::ObjectInfo;
use crate::object_store::listing::item::ListedObject;
use crate::object_store::listing::lister::ObjectLister;
use crate::object_store::listing::options::ListOptions;
use crate::object_store::watching::unreadable::Unreadable;
use std::rc::Rc;

/// The objects of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectList {
    /// Those that are there, in the alphabetical order of their names.
    pub objects: Vec<ObjectInfo>,
    /// Those of which nothing can be read, in the order of the bucket.
    pub unreadable: Vec<Unreadable>,
}

impl<S: 'static> ObjectStore<S> {
    /// Lists the bucket's objects, all at once. [`list_objects`](Self::list_objects) shows them as they come.
    ///
    /// The list is at least as fresh as a read from the leader that begins at the same time, also if a
    /// replica that lags behind serves it; an object that is replaced or deleted meanwhile may be in it as
    /// it was. While an object gets another name, it may be listed under both.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::NotABucket`], or what JetStream reports. A timeout when nothing
    /// was heard for the time of a request.
    #[doc(alias = "List")]
    pub fn list(&self, callback: impl Callback<S, ObjectStore<S>, Result<ObjectList, Error>>) {
        self.list_with(ListOptions::new(), callback);
    }

    /// As [`list`](Self::list), with options.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_with(
        &self,
        options: ListOptions,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectList, Error>>,
    ) {
        let (mut list, mut answer) = (ObjectList::default(), Some(answer(self, callback)));
        let on_listed = move |state: &mut State, _: &Rc<ObjectLister>, listed| -> Ran {
            match listed {
                ListedObject::Object(info) => list.objects.push(info),
                ListedObject::Unreadable(bad) => list.unreadable.push(bad),
                ListedObject::Ended(end) => {
                    let list = std::mem::take(&mut list);
                    let answered = answer.take();
                    return answered
                        .map_or(Ok(()), |answer| answer(state, end.map(|()| list.in_order())));
                }
            }
            Ok(())
        };
        ObjectLister::begin(self.store(), options, Box::new(on_listed));
    }
}

impl ObjectList {
    fn in_order(mut self) -> Self {
        self.objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self
    }
}
