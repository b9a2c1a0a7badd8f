//! Where changes are published to, and how.

use super::subject::subject;
use crate::jetstream::JetStream;
use crate::mongo::changes::ChangeEvent;
use std::fmt;
use std::rc::Rc;

/// What makes a change's subject.
pub(super) type Subject = Rc<dyn Fn(&ChangeEvent) -> String>;

/// A stream of JetStream that a watcher's changes are published to; see
/// [`WatchBuilder::publish_to`](super::super::WatchBuilder::publish_to).
pub struct JetStreamSink<S: 'static = ()> {
    pub(super) jetstream: JetStream<S>,
    pub(super) options: Options,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) stream: String,
    pub(super) prefix: String,
    pub(super) body: Body,
    pub(super) subject: Option<Subject>,
    pub(super) largest_transaction: Largest,
    pub(super) copies: bool,
}

/// Of how many changes, and bytes of them, a transaction is held until its end is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Largest {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What is in a message: everything that MongoDB has sent of the change, in one of these forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Body {
    /// Extended JSON that is good to read: numbers are numbers.
    #[default]
    RelaxedJson,
    /// Extended JSON that keeps every type.
    CanonicalJson,
    /// BSON.
    Bson,
}

impl<S: 'static> JetStreamSink<S> {
    /// The stream of this name, which has to exist, and to which nobody else publishes.
    pub fn new(jetstream: &JetStream<S>, stream: impl Into<String>) -> Self {
        let options = Options {
            stream: stream.into(),
            prefix: "changes".to_owned(),
            body: Body::default(),
            subject: None,
            largest_transaction: Largest { events: 10_000, bytes: 64 << 20 },
            copies: false,
        };
        Self { jetstream: jetstream.clone(), options }
    }

    /// What subjects begin with: `<prefix>.<database>.<collection>.<operation>`, where whatever a token
    /// cannot have is escaped as in URLs (`%2E` for a dot), and `_` stands for a name that an event does not
    /// have. `changes` by default.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// What is in a message. [`Body::RelaxedJson`] by default.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.options.body = body;
        self
    }

    /// Has subjects made by a function, of which the stream must have all.
    #[must_use]
    pub fn subject(mut self, subject: impl Fn(&ChangeEvent) -> String + 'static) -> Self {
        self.options.subject = Some(Rc::new(subject));
        self
    }

    /// Has the documents that exist already published first, if there is no position anywhere: neither in the
    /// stream nor in a [store](super::super::WatchBuilder::resume), and none was asked for. For collections
    /// and databases.
    ///
    /// They come in the order of their collections and of their `_id`, all of them, whatever the pipeline is,
    /// each as an event of the operation `copy` with its `documentKey` and `fullDocument`. Behind them comes
    /// one event `copied`, and then what has changed since the time at which the copy was begun
    /// (`clusterTime`): so a document may be copied as it is after a change that comes later, and no change
    /// is missing. A copy that is interrupted goes on behind its last document, and with the same time: the
    /// server has to remember what has changed since.
    ///
    /// A stream with `allow_batched` (server 2.14) is sent the copy by fast ingest. The promises are the same:
    /// each message expects the sequence of the one before it, which the server checks also there, so that
    /// somebody else's message in between ends the watcher and nothing is stored behind it. When an ingest
    /// is refused, or nothing has come of it, or documents are large (some 16 KiB and more, with the usual
    /// [credit](super::super::ChangeStream::credit)), ordinary messages go out, as they do to other streams.
    /// Small documents are copied faster by it, above all into streams with replicas. They cost this process as
    /// much either way: by far the most for reading them and for making messages of them.
    #[must_use]
    pub fn initial_copy(mut self) -> Self {
        self.options.copies = true;
        self
    }

    /// Up to how many changes, and how many bytes of them, a transaction is held until its last one is
    /// known, so that it can be published as a whole. The changes of one that is larger go out as they come.
    /// 10,000 and 64 MiB by default.
    #[must_use]
    pub fn largest_transaction(mut self, events: usize, bytes: usize) -> Self {
        self.options.largest_transaction = Largest { events: events.max(1), bytes };
        self
    }
}

impl Options {
    pub(super) fn subject_of(&self, event: &ChangeEvent) -> String {
        match &self.subject {
            Some(subject) => subject(event),
            None => {
                let (database, collection) = (event.database(), event.collection());
                subject(&self.prefix, database, collection, event.operation_type())
            }
        }
    }
}

impl<S> Clone for JetStreamSink<S> {
    fn clone(&self) -> Self {
        Self { jetstream: self.jetstream.clone(), options: self.options.clone() }
    }
}

impl<S> fmt::Debug for JetStreamSink<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSink")
            .field("stream", &self.options.stream)
            .finish_non_exhaustive()
    }
}
