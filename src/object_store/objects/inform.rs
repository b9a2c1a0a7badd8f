//! What is known of an object.

use crate::callback::{Answer, Callback, State, answer};
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::info::ObjectInfo;
use crate::object_store::name::check_object;
use crate::object_store::objects::meta::Found;

impl<S: 'static> ObjectStore<S> {
    /// Asks what is known of an object. Of a link, it is what is known of the link. The stream's leader
    /// answers.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if it was deleted; [`Error::Unreadable`]; [`Error::BucketNotFound`],
    /// [`Error::EmptyName`], or what JetStream reports.
    #[doc(alias = "GetInfo")]
    pub fn info(
        &self,
        name: &str,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) {
        let (store, asked) = (self.store().clone(), name.to_owned());
        let answer = answer(self, callback);
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            answer(state, found.and_then(|found| store.live_object(&asked, found)))
        };
        self.find(name, Box::new(on_found));
    }

    /// As [`info`](Self::info), also of an object that was [deleted](ObjectInfo::deleted).
    ///
    /// # Errors
    /// As [`info`](Self::info).
    #[doc(alias = "GetObjectInfoShowDeleted")]
    pub fn info_raw(
        &self,
        name: &str,
        callback: impl Callback<S, ObjectStore<S>, Result<ObjectInfo, Error>>,
    ) {
        let (store, asked) = (self.store().clone(), name.to_owned());
        let answer = answer(self, callback);
        let on_found = move |state: &mut State, found: Result<Found, Error>| {
            answer(state, found.and_then(|found| store.known_object(&asked, found)))
        };
        self.find(name, Box::new(on_found));
    }

    fn find(&self, name: &str, answer: Answer<Result<Found, Error>>) {
        match check_object(name) {
            Ok(()) => self.store().find_object(name, answer),
            Err(error) => self.store().defer(answer, Err(error)),
        }
    }
}
