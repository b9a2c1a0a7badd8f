//! The life of a bucket: created, asked about, deleted.

use super::bucket::Bucket;
use super::config::{self, Config};
use super::error::Error;
use super::handle::KeyValue;
use super::status::Status;
use crate::callback::{Answer, Callback, answer};
use crate::jetstream::{ApiRequest, StreamConfig, StreamInfo};
use std::rc::Rc;

pub(crate) type OnStatus = Answer<Result<Status, Error>>;

impl<S: 'static> KeyValue<S> {
    /// Creates the bucket. One that exists with the same configuration counts as created; one
    /// that an old client has made with settings that no longer fit is repaired.
    ///
    /// # Errors
    /// [`Error::BucketExists`] if it exists with another configuration, [`Error::Unsupported`] if
    /// the server is too old for a part of it, [`Error::InvalidBucket`], or what JetStream reports.
    #[doc(alias = "CreateKeyValue")]
    pub fn create_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>,
    ) {
        self.shared_bucket().create(&config, answer(self, callback));
    }

    /// Asks for the bucket's configuration and contents in numbers.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "Status")]
    pub fn status(&self, callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>) {
        let bucket = self.shared_bucket();
        let request = ApiRequest::stream_info(&bucket.stream);
        bucket.read(request, bucket.status_of(answer(self, callback)));
    }

    /// Deletes the bucket with all its values.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "DeleteKeyValue")]
    pub fn delete_bucket(&self, callback: impl Callback<S, KeyValue<S>, Result<(), Error>>) {
        let bucket = self.shared_bucket();
        bucket.call(ApiRequest::delete_stream(&bucket.stream), answer(self, callback));
    }
}

impl Bucket {
    pub(crate) fn create(self: &Rc<Self>, config: &Config, answer: OnStatus) {
        let prepared = self.check().and_then(|()| config.to_stream(&self.name));
        let wanted = match prepared {
            Ok(wanted) => wanted,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let bucket = self.clone();
        let request = ApiRequest::create_stream(&wanted);
        let created = move |state: &mut _, created: Result<StreamInfo, Error>| match created {
            Ok(info) => {
                let checked = config::check_settings(&info.config, &wanted);
                bucket.has_own_subjects.set(true);
                answer(state, checked.map(|()| Status::new(&bucket.name, info)))
            }
            Err(Error::JetStream(error)) if error.is_stream_name_in_use() => {
                bucket.repair(wanted, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.call(request, Box::new(created));
    }

    /// Before server 2.9, clients made buckets that discard old values and cannot be read
    /// directly. Such a bucket is updated if nothing else differs.
    fn repair(self: &Rc<Self>, wanted: StreamConfig, answer: OnStatus) {
        let bucket = self.clone();
        let found = move |state: &mut _, info: Result<StreamInfo, Error>| {
            let found = match info {
                Ok(info) => info.config,
                Err(error) => return answer(state, Err(error)),
            };
            if !config::differs_by_age_only(&found, &wanted) {
                return answer(state, Err(Error::BucketExists { bucket: bucket.name.to_string() }));
            }
            let repaired = found.discard(wanted.discard).allow_direct(wanted.allow_direct);
            bucket.call(ApiRequest::update_stream(&repaired), bucket.status_of(answer));
            Ok(())
        };
        self.read(ApiRequest::stream_info(&self.stream), Box::new(found));
    }

    /// Makes a status of what is known of the stream.
    fn status_of(self: &Rc<Self>, answer: OnStatus) -> Answer<Result<StreamInfo, Error>> {
        let bucket = self.clone();
        Box::new(move |state, info| {
            if let Ok(info) = &info {
                bucket.has_own_subjects.set(info.config.mirror.is_none());
            }
            answer(state, info.map(|info| Status::new(&bucket.name, info)))
        })
    }
}
