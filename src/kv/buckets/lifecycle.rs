//! The life of a bucket: created, updated, bound, asked about, deleted.
//!
//! What a bucket is made of is a stream, and others may have made it: so what is found is compared by
//! what a bucket's configuration has, an update starts from what is found, and a handle that is bound
//! knows where the keys are.

use crate::callback::{Answer, Callback, Outcome, State, answer, lend};
use crate::jetstream::{ApiRequest, Source, StreamConfig, StreamInfo};
use crate::kv::bucket::{Bucket, Origin};
use crate::kv::buckets::config::Config;
use crate::kv::buckets::status::Status;
use crate::kv::buckets::stream_form::{self, STREAM_PREFIX};
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::name::FENCE_KEY;
use std::rc::Rc;

pub(crate) type OnStatus = Answer<Result<Status, Error>>;

/// The stream that was found, made or changed.
type OnStream = Answer<Result<StreamInfo, Error>>;

/// How often an update makes a bucket that has vanished, and a creation updates one that has appeared.
const ATTEMPTS: u32 = 3;

impl<S: 'static> KeyValue<S> {
    /// Creates the bucket. One that exists with the same configuration counts as created, whatever else
    /// its stream allows; one that an old client has made so that it discards old values is repaired.
    ///
    /// The callback's handle is [bound](Self::bind): if the bucket is a mirror, it is the one to use.
    ///
    /// # Errors
    /// [`Error::BucketExists`] if it exists with another configuration, [`Error::Unsupported`] if
    /// the server is too old for a part of it, [`Error::InvalidBucket`], [`Error::InvalidConfig`], or
    /// what JetStream reports.
    #[doc(alias = "CreateKeyValue")]
    pub fn create_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>,
    ) {
        self.shared_bucket().create_stream(&config, self.on_stream(callback));
    }

    /// Changes the bucket's configuration to this one. What a configuration does not have, as other
    /// clients and newer servers may have set it, stays as it is. Start from [`Status::config`] to change
    /// a part of it.
    ///
    /// The configuration is read and then written: of two updates at one time, the later one counts.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::Unsupported`], [`Error::InvalidConfig`], or what JetStream
    /// reports: not everything can be changed.
    #[doc(alias = "UpdateKeyValue")]
    pub fn update_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>,
    ) {
        self.shared_bucket().update_stream(config, self.on_stream(callback));
    }

    /// Creates the bucket, or changes the configuration of the one that exists.
    ///
    /// # Errors
    /// As [`create_bucket`](Self::create_bucket) and [`update_bucket`](Self::update_bucket).
    #[doc(alias = "CreateOrUpdateKeyValue")]
    pub fn create_or_update_bucket(
        &self,
        config: Config,
        callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>,
    ) {
        let answer = self.on_stream(callback);
        self.shared_bucket().create_or_update(config, ATTEMPTS, answer);
    }

    /// Looks whether the bucket is there, and what it is. The callback's handle knows: if the bucket is
    /// a mirror, it reads the mirror's keys, which have the subjects of the origin, and writes to the
    /// origin. Without it, a handle takes a bucket for one with keys of its own.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], [`Error::NotABucket`], or what JetStream reports.
    #[doc(alias = "KeyValue")]
    pub fn bind(&self, callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>) {
        self.shared_bucket().find_stream(self.on_stream(callback));
    }

    /// Asks for the bucket's configuration and contents in numbers.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "Status")]
    pub fn status(&self, callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>) {
        let bucket = self.shared_bucket();
        bucket.find_stream(bucket.status_of(answer(self, callback)));
    }

    /// Deletes the bucket with all its values.
    ///
    /// # Errors
    /// [`Error::BucketNotFound`], or what JetStream reports.
    #[doc(alias = "DeleteKeyValue")]
    pub fn delete_bucket(&self, callback: impl Callback<S, KeyValue<S>, Result<(), Error>>) {
        let bucket = self.shared_bucket();
        bucket.forget_config();
        bucket.call(ApiRequest::delete_stream(&bucket.stream), answer(self, callback));
    }

    /// Calls back with a handle of the stream that was found.
    fn on_stream(
        &self,
        callback: impl Callback<S, KeyValue<S>, Result<Status, Error>>,
    ) -> OnStream {
        let kv = self.clone();
        Box::new(move |state, info| {
            let bound = info.and_then(|info| kv.shared_bucket().bind_to(info));
            let (bound, status) = match bound {
                Ok((bucket, status)) => (kv.with_bucket(bucket), Ok(status)),
                Err(error) => (kv.clone(), Err(error)),
            };
            callback(lend(state), &bound, status).into_ran()
        })
    }
}

impl Bucket {
    /// Creates the bucket, for the layers above.
    pub(crate) fn create(self: &Rc<Self>, config: &Config, answer: OnStatus) {
        self.create_stream(config, self.status_of(answer));
    }

    fn create_stream(self: &Rc<Self>, config: &Config, answer: OnStream) {
        let prepared = self.check().and_then(|()| config.to_stream(&self.name));
        let wanted = match prepared {
            Ok(wanted) => wanted,
            Err(error) => return self.defer(answer, Err(error)),
        };
        let bucket = self.clone();
        let request = ApiRequest::create_stream(&wanted);
        let created = move |state: &mut State, created: Result<StreamInfo, Error>| match created {
            Ok(info) => {
                let checked = stream_form::check_settings(&info.config, &wanted);
                answer(state, checked.map(|()| info))
            }
            Err(Error::JetStream(error)) if error.is_stream_name_in_use() => {
                bucket.compare(wanted, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        };
        self.call(request, Box::new(created));
    }

    /// Takes the bucket that exists for the one that is to be created, if it is. Before server 2.7.2,
    /// clients made buckets that discard old values where new ones are to be refused: such a bucket is
    /// updated.
    fn compare(self: &Rc<Self>, wanted: StreamConfig, answer: OnStream) {
        let bucket = self.clone();
        let on_found = move |state: &mut State, info: Result<StreamInfo, Error>| {
            let info = match info {
                Ok(info) => info,
                Err(error) => return answer(state, Err(error)),
            };
            if !stream_form::is_as_wanted(&info.config, &wanted) {
                return answer(state, Err(Error::BucketExists { bucket: bucket.name.to_string() }));
            }
            if !stream_form::is_old(&info.config) {
                return answer(state, Ok(info));
            }
            let repaired = info.config.discard(wanted.discard).allow_direct(wanted.allow_direct);
            bucket.call(ApiRequest::update_stream(&repaired), answer);
            Ok(())
        };
        self.find_stream(Box::new(on_found));
    }

    fn update_stream(self: &Rc<Self>, config: Config, answer: OnStream) {
        let bucket = self.clone();
        self.forget_config();
        let on_found = move |state: &mut State, info: Result<StreamInfo, Error>| {
            let updated = info.and_then(|info| config.apply_to(info.config, &bucket.name));
            let wanted = match updated {
                Ok(wanted) => wanted,
                Err(error) => return answer(state, Err(error)),
            };
            let request = ApiRequest::update_stream(&wanted);
            let on_updated = move |state: &mut State, info: Result<StreamInfo, Error>| {
                let checked = info.and_then(|info| {
                    stream_form::check_settings(&info.config, &wanted).map(|()| info)
                });
                answer(state, checked)
            };
            bucket.call(request, Box::new(on_updated));
            Ok(())
        };
        self.find_stream(Box::new(on_found));
    }

    fn create_or_update(self: &Rc<Self>, config: Config, attempts: u32, answer: OnStream) {
        let bucket = self.clone();
        let wanted = config.clone();
        let on_updated = move |state: &mut State, updated: Result<StreamInfo, Error>| match updated
        {
            Err(Error::BucketNotFound { .. }) if attempts > 0 => {
                bucket.create_or_else_update(config, attempts - 1, answer);
                Ok(())
            }
            updated => answer(state, updated),
        };
        self.update_stream(wanted, Box::new(on_updated));
    }

    fn create_or_else_update(self: &Rc<Self>, config: Config, attempts: u32, answer: OnStream) {
        let bucket = self.clone();
        let wanted = config.clone();
        let on_created = move |state: &mut State, created: Result<StreamInfo, Error>| match created
        {
            // somebody else was first
            Err(Error::BucketExists { .. }) => {
                bucket.create_or_update(config, attempts, answer);
                Ok(())
            }
            created => answer(state, created),
        };
        self.create_stream(&wanted, Box::new(on_created));
    }

    /// Asks for the stream, and what it holds of the fence.
    fn find_stream(self: &Rc<Self>, answer: OnStream) {
        let fence = format!("{}{FENCE_KEY}", self.subjects);
        self.read(ApiRequest::stream_subjects(&self.stream, &fence, 0), answer);
    }

    /// The bucket that a stream is, with what is known of it.
    fn bind_to(self: &Rc<Self>, info: StreamInfo) -> Result<(Rc<Self>, Status), Error> {
        let not_a_bucket = |reason| Error::NotABucket { bucket: self.name.to_string(), reason };
        if info.config.max_msgs_per_subject.is_none_or(|history| history == 0) {
            return Err(not_a_bucket("it does not limit the history of a key"));
        }
        let origin = info.config.mirror.as_ref().map(|mirror| self.origin_of(mirror));
        let bucket = match origin {
            origin if origin == self.origin => self.clone(),
            origin => Rc::new(self.bound(origin)),
        };
        bucket.note_stream(&info)?;
        bucket.learn_config(&info.config);
        let status = Status::new(&bucket.name, info);
        Ok((bucket, status))
    }

    /// Where the keys of a mirror are at home. Transforms of the mirror say which subjects they have in
    /// it; what comes in by others than those of a bucket cannot be written to.
    fn origin_of(&self, mirror: &Source) -> Origin {
        let of = mirror.name.strip_prefix(STREAM_PREFIX);
        let home = of.map(|bucket| format!("$KV.{bucket}."));
        let start = |pattern: &str| pattern.strip_suffix('>').map(str::to_owned);
        let transform = mirror.subject_transforms.first();
        let subjects = match transform {
            Some(transform) => start(&transform.dest),
            None => home.clone(),
        };
        let is_whole = transform.is_none_or(|transform| start(&transform.src) == home);
        let put_subjects = match &mirror.external {
            Some(external) => home.map(|home| format!("{}.{home}", external.api)),
            None if self.api.has_default_prefix() => home,
            None => home.map(|home| format!("{}.{home}", self.api.prefix())),
        };
        Origin {
            stream: mirror.name.clone(),
            subjects: subjects.unwrap_or_else(|| self.subjects.clone()),
            put_subjects: put_subjects.filter(|_| is_whole),
        }
    }

    /// Makes a status of what is known of the stream.
    fn status_of(self: &Rc<Self>, answer: OnStatus) -> OnStream {
        let bucket = self.clone();
        Box::new(move |state, info| {
            if let Ok(info) = &info {
                let knows_subjects = info.config.mirror.is_none() || bucket.origin.is_some();
                bucket.has_own_subjects.set(knows_subjects);
                bucket.learn_config(&info.config);
            }
            answer(state, info.map(|info| Status::new(&bucket.name, info)))
        })
    }
}
