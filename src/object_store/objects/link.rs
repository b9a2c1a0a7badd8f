//! Links: objects that stand for another object, or for a whole bucket.

use crate::callback::{Answer, Callback, State, answer};
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::{ObjectInfo, ObjectLink};
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;
use crate::object_store::objects::meta_write::Written;
use crate::object_store::store::Store;
use std::rc::Rc;

/// An object that is linked to: `"name"` in the same bucket, `("bucket", "name")` in any, or what is
/// known of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTarget {
    bucket: Option<String>,
    name: String,
}

impl From<&str> for LinkTarget {
    fn from(name: &str) -> Self {
        Self { bucket: None, name: name.to_owned() }
    }
}

impl From<(&str, &str)> for LinkTarget {
    fn from((bucket, name): (&str, &str)) -> Self {
        Self { bucket: Some(bucket.to_owned()), name: name.to_owned() }
    }
}

impl From<&ObjectInfo> for LinkTarget {
    fn from(info: &ObjectInfo) -> Self {
        Self { bucket: Some(info.bucket.clone()), name: info.name.clone() }
    }
}

impl<S: 'static> ObjectStore<S> {
    /// Makes a link to another object, which has to be there and no link itself. A link of that name is
    /// replaced, an object is not.
    ///
    /// A link stands for whatever the other object is by then: it is followed when it is read.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::LinkToLink`] of the other object; [`Error::Exists`];
    /// [`Error::EmptyName`], [`Error::Sealed`], [`Error::NoWritesThroughPrefix`], or what JetStream
    /// reports.
    #[doc(alias = "AddLink")]
    pub fn add_link(
        &self,
        name: &str,
        target: impl Into<LinkTarget>,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) {
        self.store().link_to_object(name, target.into(), answer(self, callback));
    }

    /// Makes a link to another bucket, which has to be there. Otherwise as [`add_link`](Self::add_link).
    ///
    /// # Errors
    /// [`Error::BucketNotFound`] and [`Error::InvalidBucket`] of the other bucket, or as
    /// [`add_link`](Self::add_link).
    #[doc(alias = "AddBucketLink")]
    pub fn add_bucket_link(
        &self,
        name: &str,
        bucket: &str,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) {
        self.store().link_to_bucket(name, bucket, answer(self, callback));
    }
}

impl Store {
    /// Another bucket, reached in the same way.
    pub(in crate::object_store) fn sibling(self: &Rc<Self>, bucket: &str) -> Rc<Self> {
        match *self.bucket == *bucket {
            true => self.clone(),
            false => Rc::new(Self::new(&self.api, bucket)),
        }
    }

    fn link_to_object(
        self: &Rc<Self>,
        name: &str,
        target: LinkTarget,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        let checked = check_object(name).and_then(|()| check_object(&target.name));
        if let Err(error) = self.check_writable().and(checked) {
            return self.defer(answer, Err(error));
        }
        let home = self.sibling(target.bucket.as_deref().unwrap_or(&self.bucket));
        let (store, name, there) = (self.clone(), name.to_owned(), home.clone());
        let wanted = target.name.clone();
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            let live = found.and_then(|found| there.live_object(&wanted, found));
            match live {
                Ok(info) if info.is_link() => {
                    answer(state, Err(Error::LinkToLink { name: info.name }))
                }
                Ok(info) => {
                    let link = ObjectLink { bucket: info.bucket, name: Some(info.name) };
                    store.write_link(&name, link, answer);
                    Ok(())
                }
                Err(error) => answer(state, Err(error)),
            }
        };
        home.find_object(&target.name, Box::new(on_found));
    }

    fn link_to_bucket(
        self: &Rc<Self>,
        name: &str,
        bucket: &str,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        if let Err(error) = self.check_writable().and(check_object(name)) {
            return self.defer(answer, Err(error));
        }
        let (store, name) = (self.clone(), name.to_owned());
        let link = ObjectLink { bucket: bucket.to_owned(), name: None };
        let on_there = move |state: &mut State, there: Result<_, Error>| match there {
            Ok(_) => {
                store.write_link(&name, link, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.sibling(bucket).with_config(Box::new(on_there));
    }

    fn write_link(
        self: &Rc<Self>,
        name: &str,
        link: ObjectLink,
        answer: Answer<Result<ObjectInfo, Error>>,
    ) {
        let nuid = self.api.port().new_nuid();
        let info = ObjectInfo { link: Some(link), nuid, ..self.new_info(name) };
        let bucket = self.bucket.to_string();
        let decide = move |found: &Found| match found.live() {
            Some(object) if !object.is_link() => {
                Err(Error::Exists { bucket: bucket.clone(), name: info.name.clone() })
            }
            _ => Ok(info.clone()),
        };
        let on_written = move |state: &mut State, written: Result<Written, Error>| {
            answer(state, written.map(|written| written.info))
        };
        self.write_meta(name, None, decide, Box::new(on_written));
    }
}
