//! The life of a bucket: created, updated, bound, asked about, sealed, deleted.
//!
//! What a bucket is made of is a stream, and others may have made it: so what is found is compared by
//! what a bucket's configuration has, and an update starts from what is found.

use crate::callback::{Answer, Callback, State, answer};
use crate::jetstream::{ApiRequest, StreamConfig, StreamInfo};
use crate::object_store::buckets::config::Config;
use crate::object_store::buckets::status::{Status, check_stream};
use crate::object_store::buckets::stream_form;
use crate::object_store::error::Error;
use crate::object_store::handle::ObjectStore;
use crate::object_store::store::Store;
use std::rc::Rc;

type OnStatus = Answer<Result<Status, Error>>;

/// The stream that was found, made or changed.
type OnStream = Answer<Result<StreamInfo, Error>>;

/// How often an update makes a bucket that has vanished, and a creation updates one that has appeared.
const ATTEMPTS: u32 = 3;

impl<S: 'static> ObjectStore<S> {
    /// Creates the bucket. One that exists with the same configuration counts as created, whatever else
    /// its stream allows. On a server from 2.14 on it takes chunks by fast ingest.
    ///
    /// # Errors
    /// [`Error::BucketExists`] if it exists with another configuration, [`Error::Unsupported`] if the
    /// server is too old for a part of it, [`Error::InvalidBucket`], [`Error::InvalidConfig`],
    /// [`Error::NoWritesThroughPrefix`], or what JetStream reports.
    #[doc(alias = "CreateObjectStore")]
    pub fn create_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>,
    ) {
        let answer = self.store().status_of(answer(self, callback));
        self.store().create(config, answer);
    }

    /// Changes the bucket's configuration to this one. What a configuration does not have, as other
    /// clients and newer servers may have set it, stays as it is. Start from [`Status::config`] to change
    /// a part of it.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::Unsupported`], [`Error::InvalidConfig`], or what JetStream
    /// reports: not everything can be changed.
    #[doc(alias = "UpdateObjectStore")]
    pub fn update_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>,
    ) {
        let answer = self.store().status_of(answer(self, callback));
        self.store().update(config, answer);
    }

    /// Creates the bucket, or changes the configuration of the one that exists.
    ///
    /// # Errors
    /// As [`create_bucket`](Self::create_bucket) and [`update_bucket`](Self::update_bucket).
    #[doc(alias = "CreateOrUpdateObjectStore")]
    pub fn create_or_update_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>,
    ) {
        let answer = self.store().status_of(answer(self, callback));
        self.store().create_or_update(config, ATTEMPTS, answer);
    }

    /// Looks whether the bucket is there, and what it is.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::NotABucket`], or what JetStream reports.
    #[doc(alias = "ObjectStore")]
    pub fn bind(&self, callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>) {
        let store = self.store().clone();
        let answer = store.status_of(answer(self, callback));
        let on_found = move |state: &mut State, found: Result<StreamInfo, Error>| {
            let checked =
                found.and_then(|info| check_stream(&store.bucket, &info.config).map(|()| info));
            answer(state, checked)
        };
        self.store().find(Box::new(on_found));
    }

    /// Asks for the bucket's configuration and contents in numbers.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "Status")]
    pub fn status(&self, callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>) {
        self.store().find(self.store().status_of(answer(self, callback)));
    }

    /// Seals the bucket: from then on nothing in it can be changed, and that cannot be taken back. It can
    /// be deleted as a whole.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "Seal")]
    pub fn seal_bucket(&self, callback: impl Callback<S, ObjectStore<S>, Result<Status, Error>>) {
        self.store().forget_config();
        let answer = self.store().status_of(answer(self, callback));
        if let Some(answer) = self.store().translate(answer) {
            self.jetstream().api().seal_stream(&self.store().stream, answer);
        }
    }

    /// Deletes the bucket with all its objects.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "DeleteObjectStore")]
    pub fn delete_bucket(&self, callback: impl Callback<S, ObjectStore<S>, Result<(), Error>>) {
        let store = self.store();
        store.forget_config();
        store.call(ApiRequest::delete_stream(&store.stream), answer(self, callback));
    }
}

impl Store {
    fn create(self: &Rc<Self>, config: Config, answer: OnStream) {
        if let Err(error) = self.check_writable() {
            return self.defer(answer, Err(error));
        }
        let store = self.clone();
        self.api.with_level(move |level| match level {
            Ok(level) => store.create_on(config.to_stream(&store.bucket, level), answer),
            Err(error) => store.defer(answer, Err(store.error(error))),
        });
    }

    fn create_on(self: &Rc<Self>, wanted: Result<StreamConfig, Error>, answer: OnStream) {
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let store = self.clone();
        let request = ApiRequest::create_stream(&wanted);
        let on_created = move |state: &mut State, created: Result<StreamInfo, Error>| match created
        {
            Ok(info) => {
                let checked = stream_form::check_settings(&info.config, &wanted);
                answer(state, checked.map(|()| info))
            }
            Err(Error::JetStream(error)) if error.is_stream_name_in_use() => {
                store.compare(wanted, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.call(request, Box::new(on_created));
    }

    /// Takes the bucket that exists for the one that is to be created, if it is.
    fn compare(self: &Rc<Self>, wanted: StreamConfig, answer: OnStream) {
        let store = self.clone();
        let on_found = move |state: &mut State, found: Result<StreamInfo, Error>| {
            let compared =
                found.and_then(|info| match stream_form::is_as_wanted(&info.config, &wanted) {
                    true => Ok(info),
                    false => Err(Error::BucketExists { bucket: store.bucket.to_string() }),
                });
            answer(state, compared)
        };
        self.find(Box::new(on_found));
    }

    fn update(self: &Rc<Self>, config: Config, answer: OnStream) {
        if let Err(error) = self.check_writable() {
            return self.defer(answer, Err(error));
        }
        self.forget_config();
        let store = self.clone();
        let on_found = move |state: &mut State, found: Result<StreamInfo, Error>| {
            let updated = found.and_then(|info| config.apply_to(info.config, &store.bucket));
            let wanted = match updated {
                Ok(wanted) => wanted,
                Err(error) => return answer(state, Err(error)),
            };
            let request = ApiRequest::update_stream(&wanted);
            let on_updated = move |state: &mut State, updated: Result<StreamInfo, Error>| {
                let checked = updated.and_then(|info| {
                    stream_form::check_settings(&info.config, &wanted).map(|()| info)
                });
                answer(state, checked)
            };
            store.call(request, Box::new(on_updated));
            Ok(())
        };
        self.find(Box::new(on_found));
    }

    fn create_or_update(self: &Rc<Self>, config: Config, attempts: u32, answer: OnStream) {
        let store = self.clone();
        let wanted = config.clone();
        let on_updated = move |state: &mut State, updated: Result<StreamInfo, Error>| match updated
        {
            Err(Error::BucketNotFound { .. }) if attempts > 0 => {
                store.create_or_else_update(config, attempts - 1, answer);
                Ok(())
            }
            updated => answer(state, updated),
        };
        self.update(wanted, Box::new(on_updated));
    }

    fn create_or_else_update(self: &Rc<Self>, config: Config, attempts: u32, answer: OnStream) {
        let store = self.clone();
        let wanted = config.clone();
        let on_created = move |state: &mut State, created: Result<StreamInfo, Error>| match created
        {
            // somebody else was first
            Err(Error::BucketExists { .. }) => {
                store.create_or_update(config, attempts, answer);
                Ok(())
            }
            created => answer(state, created),
        };
        self.create(wanted, Box::new(on_created));
    }

    fn find(self: &Rc<Self>, answer: OnStream) {
        self.read(ApiRequest::stream_info(&self.stream), answer);
    }

    /// Makes a status of what is known of the stream.
    fn status_of(self: &Rc<Self>, answer: OnStatus) -> OnStream {
        let store = self.clone();
        Box::new(move |state, info| {
            let status = info.map(|info| {
                store.learn(&info);
                Status::new(&store.bucket, info)
            });
            answer(state, status)
        })
    }
}
