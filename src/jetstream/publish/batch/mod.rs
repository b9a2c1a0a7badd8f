//! Atomic batches (server 2.12): messages of one stream that are stored together, or not at all.
//!
//! What goes over the wire and what it means is the machine's; here is the handle.

mod driver;
mod machine;
#[cfg(test)]
mod tests;

use super::options::PublishOptions;
use super::pub_ack::PubAck;
use crate::callback::{Answer, Callback, answer};
use crate::jetstream::api::Api;
use crate::jetstream::batch_error::BatchError;
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use bytes::Bytes;
use driver::Driver;
use evnats_protocol::{CommandError, Payload, subject};
use machine::Draft;
use std::fmt;
use std::rc::Rc;

/// What may wait in a batch, unless the program says otherwise.
const MAX_WAITING: usize = 8 << 20;

/// Messages that one stream stores together, or not at all (server 2.12); from
/// [`JetStream::atomic_batch`]. The stream needs
/// [`allow_atomic`](crate::jetstream::StreamConfig::allow_atomic).
///
/// ```no_run
/// use evnats::{EventLoop, jetstream::PublishOptions};
///
/// let event_loop = EventLoop::<()>::new()?;
/// let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// let batch = js.atomic_batch();
/// let untouched = PublishOptions::new().expect_last_subject_sequence(0);
/// batch.add("accounts.alice", "-10", &untouched)?;
/// batch.commit("accounts.bob", "+10", &untouched, |_, _, stored| {
///     println!("both are stored, the last one at {}", stored?.sequence);
///     Ok(())
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
///
/// The first message is sent alone, and the others follow when the stream has taken it. Expectations
/// hold for the whole: they are looked at when the batch is committed. Readers of the stream see all
/// of the batch or nothing; consumers get its messages one by one, with the headers `Nats-Batch-Id`
/// and `Nats-Batch-Sequence`, and `Nats-Batch-Commit` on the last one.
///
/// The server gives a batch up that gets no message for a while (by default 10 s), and has limits for
/// the messages of a batch (1000) and for open batches of a stream (50): they are the server's to
/// configure, so a refusal tells them, and nothing here assumes them.
///
/// The first refusal, and the first message that does not get through, ends the batch: that is the
/// outcome of its commit, and goes to [`on_failed`](Self::on_failed) if it comes before. Dropping the
/// handle gives up a batch that was not committed, of which nothing is stored then.
pub struct AtomicBatch<S: 'static = ()> {
    js: JetStream<S>,
    driver: Rc<Driver>,
}

impl<S: 'static> JetStream<S> {
    /// Begins an atomic batch (server 2.12). Nothing is sent before its first message.
    #[must_use]
    pub fn atomic_batch(&self) -> AtomicBatch<S> {
        AtomicBatch { js: self.clone(), driver: Driver::new(self.api(), MAX_WAITING) }
    }
}

impl<S: 'static> AtomicBatch<S> {
    /// Sets how many bytes of messages may wait to be sent: until the stream has taken the first
    /// one, and whenever more are added than it has taken. Default: 8 MiB. One message always may.
    #[must_use]
    pub fn max_waiting(self, bytes: usize) -> Self {
        self.driver.with_machine(|machine| machine.set_max_waiting(bytes));
        self
    }

    /// The id, by which consumers can tell its messages.
    #[must_use]
    pub fn id(&self) -> String {
        self.driver.with_machine(|machine| machine.id().to_owned())
    }

    /// How many messages were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.driver.with_machine(|machine| machine.count())
    }

    /// Adds a message. It is sent as soon as the stream has taken those before it, within the timeout
    /// of the options.
    ///
    /// # Errors
    /// [`CommandError`]: the subject or a header is invalid, or too much waits already
    /// ([`BufferFull`](CommandError::BufferFull), with the payload); [`Error::InvalidOption`]. Then the
    /// batch goes on without the message. Any other error is the one that has ended the batch.
    pub fn add<'a>(
        &self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
    ) -> Result<(), Error> {
        self.driver.add(self.draft(subject, payload.into(), options)?)
    }

    /// Runs if the batch fails before it is committed: a message is refused, or does not get through.
    /// It runs at most once, and not for a batch that is committed, whose callback gets the error.
    pub fn on_failed(&self, hook: impl Callback<S, JetStream<S>, Error>) {
        self.driver.set_on_failed(answer(&self.js, hook));
    }

    /// Adds the last message and commits: the callback runs when everything is stored, or with the
    /// reason why nothing is. The acknowledgement has the sequence of the last message, the id of the
    /// batch, and the number of its messages.
    ///
    /// # Errors
    /// [`Error::Batch`]: the stream refuses, or a message did not get through; only with
    /// [`OutcomeUnknown`](crate::jetstream::BatchError::OutcomeUnknown) it may be stored. [`Error::NotStored`]: no stream has the subject
    /// of a message. [`Error::Unsupported`], or [`Error::StoredAsOrdinary`] if the server would not
    /// tell that it is too old.
    pub fn commit<'a>(
        self,
        subject: &str,
        payload: impl Into<Payload<'a>>,
        options: &PublishOptions,
        callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>,
    ) {
        let message = self.draft(subject, payload.into(), options);
        self.finish(message, answer(&self.js, callback));
    }

    /// Commits what was added, without another message (server 2.14).
    ///
    /// # Errors
    /// As [`commit`](Self::commit). [`BatchError::Empty`](crate::jetstream::BatchError::Empty): nothing was
    /// added.
    pub fn commit_with_end(self, callback: impl Callback<S, JetStream<S>, Result<PubAck, Error>>) {
        let timeout = self.js.api().timeout();
        let answer = answer(&self.js, callback);
        self.driver.commit(|machine| machine.commit_with_end(timeout), answer);
    }

    /// Gives the batch up, as dropping the handle does: nothing of it is stored.
    pub fn abandon(self) {
        drop(self);
    }

    fn finish(&self, message: Result<Draft, Error>, answer: Answer<Result<PubAck, Error>>) {
        match message {
            Ok(message) => self.driver.commit(|machine| machine.commit(message), answer),
            Err(error) => self.js.api().refuse(error, answer),
        }
    }

    fn draft(
        &self,
        subject: &str,
        payload: Payload<'_>,
        options: &PublishOptions,
    ) -> Result<Draft, Error> {
        draft(self.js.api(), subject, payload, options)
    }
}

/// A message of a batch that is given as a whole.
pub(crate) struct BatchMessage {
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    pub(crate) options: PublishOptions,
}

impl Api {
    /// Stores messages together, or none of them.
    pub(crate) fn store_batch(
        &self,
        messages: Vec<BatchMessage>,
        answer: Answer<Result<PubAck, Error>>,
    ) {
        let draft = |message: BatchMessage| {
            draft(self, &message.subject, message.payload.into(), &message.options)
        };
        let drafts: Result<Vec<_>, Error> = messages.into_iter().map(draft).collect();
        let last = drafts.and_then(|mut drafts| {
            let last = drafts.pop().ok_or(BatchError::Empty)?;
            // they are in memory already
            let driver = Driver::new(self, usize::MAX);
            drafts.into_iter().try_for_each(|draft| driver.add(draft))?;
            Ok((driver, last))
        });
        match last {
            Ok((driver, last)) => driver.commit(|machine| machine.commit(last), answer),
            Err(error) => self.refuse(error, answer),
        }
    }
}

fn draft(
    api: &Api,
    subject: &str,
    payload: Payload<'_>,
    options: &PublishOptions,
) -> Result<Draft, Error> {
    let requirement = options.check()?;
    let checked = subject::check_literal(subject).map_err(CommandError::from);
    checked.and_then(|()| Ok(options.as_headers().check()?))?;
    Ok(Draft {
        subject: subject.into(),
        headers: options.as_headers().clone(),
        payload: payload.into_bytes(),
        timeout: options.own_timeout().unwrap_or(api.timeout()),
        requirement,
    })
}

impl<S> Drop for AtomicBatch<S> {
    fn drop(&mut self) {
        self.driver.abandon();
    }
}

impl<S> fmt::Debug for AtomicBatch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.driver.with_machine(|machine| {
            f.debug_struct("AtomicBatch")
                .field("id", &machine.id())
                .field("count", &machine.count())
                .finish_non_exhaustive()
        })
    }
}
