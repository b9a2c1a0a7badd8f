//! Promoting a mirror (server 2.12): it becomes a stream of its own, with what it has copied.

use super::stream_config::StreamConfig;
use super::stream_info::StreamInfo;
use super::streams::OnStream;
use crate::callback::{Callback, answer};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::level::Requirement;

const NEEDS: Requirement = Requirement::new(2, "promote_mirror");

impl StreamConfig {
    /// Returns the configuration of the stream that this mirror becomes.
    fn promoted(mut self, subjects: Vec<String>) -> Result<Self, Error> {
        if self.mirror.take().is_none() {
            return Err(Error::NotMirror { stream: self.name });
        }
        Ok(self.mirror_direct(false).subjects(subjects))
    }
}

impl Api {
    pub(crate) fn promote_mirror(&self, stream: &str, subjects: &[&str], answer: OnStream) {
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        self.change_stream(stream, Some(NEEDS), |config| config.promoted(subjects), answer);
    }
}

impl<S: 'static> JetStream<S> {
    /// Has a mirror become a stream of its own, with what it has copied, that stores these subjects
    /// from now on (server 2.12). Without any, it stores its own name. It no longer answers reads for
    /// its origin.
    ///
    /// It is done by reading the configuration and writing it back without `mirror`. What the mirror
    /// has not copied by then it never gets: see [`SourceInfo::lag`](super::SourceInfo::lag) of
    /// [`StreamInfo::mirror`], and have nobody publish to the origin any more. The origin has to be
    /// deleted first, or give up the subjects.
    ///
    /// # Errors
    /// [`Error::NotMirror`] if it is none; [`Error::Api`] with 10065 if another stream, such as the
    /// origin, stores these subjects; [`Error::is_not_found`] if there is no such stream;
    /// [`Error::Unsupported`] if the server is older.
    pub fn promote_mirror(
        &self,
        stream: &str,
        subjects: &[&str],
        callback: impl Callback<S, JetStream<S>, Result<StreamInfo, Error>>,
    ) {
        self.api().promote_mirror(stream, subjects, answer(self, callback));
    }
}
