//! The handle of a bucket whose keys and values are encoded, and how calls pass through it.

use super::codecs::{Codecs, about};
use crate::callback::{Answer, State};
use crate::client::Client;
use crate::event_loop::timers_on;
use crate::kv::bucket::OnWritten;
use crate::kv::error::Error;
use crate::kv::handle::KeyValue;
use crate::kv::reading::reads::Reads;
use evnats_protocol::Payload;
use std::fmt;

/// A Key-Value bucket whose keys and values are in another form there than in the program (ADR-54). A cheap
/// handle, from [`KeyValue::with_codecs`].
///
/// ```no_run
/// use evnats::kv::{Base64Keys, Base64Values, Codecs, KeyChain, PathKeys};
///
/// let event_loop = evnats::EventLoop::<()>::new()?;
/// let nats = event_loop.connect("nats://127.0.0.1:4222")?;
/// let keys = KeyChain::new().then(PathKeys).then(Base64Keys);
/// let codecs = Codecs::new().keys(keys).values(Base64Values);
/// let files = nats.jetstream().key_value("files").with_codecs(codecs);
/// files.put("/home/my notes", "hello", |_, files, revision| {
///     println!("stored as revision {}", revision?);
///     files.get("/home/my notes", |_, files, entry| {
///         println!("{:?}", entry?);
///         files.client().drain();
///         Ok(())
///     });
///     Ok(())
/// });
/// event_loop.run(&mut ())?;
/// # Ok::<(), evnats::Error>(())
/// ```
///
/// Its methods are those of [`KeyValue`], with the same rights, and callbacks get this handle. Keys,
/// patterns and values are encoded within the call. Entries that are given out have the key and the value
/// decoded, and are otherwise as they were. What it has no method for, [`plain`](Self::plain) has, with
/// keys and values as they are in the bucket.
///
/// # What cannot be encoded or decoded
/// A codec that fails is [`Error::Codec`], and nothing is sent if it was to encode. A key that cannot be
/// one after it was encoded is [`Error::InvalidKey`], with the encoded one. A single read of what cannot be
/// decoded fails. Lists and watches go on without it, and tell it apart: see [`Decoded`](super::Decoded) and
/// [`CodedUpdate::Undecodable`](super::CodedUpdate::Undecodable).
pub struct CodedKeyValue<S: 'static = ()> {
    pub(super) kv: KeyValue<S>,
    pub(super) codecs: Codecs,
}

impl<S: 'static> KeyValue<S> {
    /// The same bucket, with keys and values that are encoded on the way to it, and decoded on the way back
    /// (ADR-54). This handle stays as it is.
    #[must_use]
    pub fn with_codecs(&self, codecs: Codecs) -> CodedKeyValue<S> {
        CodedKeyValue { kv: self.clone(), codecs }
    }
}

impl<S: 'static> CodedKeyValue<S> {
    /// The bucket with keys and values as they are there.
    #[must_use]
    pub fn plain(&self) -> &KeyValue<S> {
        &self.kv
    }

    /// The same bucket, with reads that prove more or less, as [`KeyValue::with_reads`].
    #[must_use]
    pub fn with_reads(&self, reads: Reads) -> Self {
        Self { kv: self.kv.with_reads(reads), codecs: self.codecs.clone() }
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        self.kv.client()
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.kv.bucket()
    }

    /// Encodes a key, and goes on with it; errors are about the key as it was given.
    pub(super) fn with_key<T: 'static>(
        &self,
        key: &str,
        answer: Answer<Result<T, Error>>,
        go_on: impl FnOnce(&KeyValue<S>, &str, Answer<Result<T, Error>>),
    ) {
        match self.codecs.encode_key(key) {
            Ok(encoded) => go_on(&self.kv, &encoded, naming(key.into(), answer)),
            Err(error) => self.refuse(answer, error),
        }
    }

    /// As [`with_key`](Self::with_key), with a value.
    pub(super) fn with_value(
        &self,
        key: &str,
        value: Payload<'_>,
        answer: OnWritten,
        go_on: impl FnOnce(&KeyValue<S>, &str, Vec<u8>, OnWritten),
    ) {
        self.with_key(key, answer, |kv, encoded, answer| {
            match self.codecs.encode_value(key, &value) {
                Ok(value) => go_on(kv, encoded, value, answer),
                Err(error) => self.refuse(answer, error),
            }
        });
    }

    /// Answers in the next turn with an error of what was to be encoded.
    pub(super) fn refuse<T: 'static>(&self, answer: Answer<Result<T, Error>>, error: Error) {
        self.kv.shared_bucket().defer(answer, Err(error));
    }
}

fn naming<T: 'static>(key: String, answer: Answer<Result<T, Error>>) -> Answer<Result<T, Error>> {
    Box::new(move |state: &mut State, outcome: Result<T, Error>| {
        answer(state, outcome.map_err(|error| about(error, &key)))
    })
}

timers_on!(CodedKeyValue, |coded| coded.client().port().event_loop());

impl<S> Clone for CodedKeyValue<S> {
    fn clone(&self) -> Self {
        Self { kv: self.kv.clone(), codecs: self.codecs.clone() }
    }
}

impl<S> fmt::Debug for CodedKeyValue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodedKeyValue").field("bucket", &self.kv).finish_non_exhaustive()
    }
}
