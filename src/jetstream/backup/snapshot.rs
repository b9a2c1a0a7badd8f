//! Taking a snapshot: the server sends chunks to an inbox, as many ahead as its window permits, and
//! waits for their acknowledgement.
//!
//! A chunk is acknowledged before the callback gets it, which may panic or fail. An acknowledgement for
//! which there is no room waits here. Those are bounded by the server's window; from a server that has
//! none, too many are an end.

use super::chunks::{Chunks, SnapshotChunk, Step};
use super::document::StreamBackup;
use super::options::SnapshotOptions;
use crate::callback::{Handler, Ran, State};
use crate::client::{Inbox, Observed, Port};
use crate::jetstream::api::{Api, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::manage::listing::{Feed, Listed, Listing, OnListed, Source, on_listed};
use crate::jetstream::stream::Stream;
use evnats_protocol::{CommandError, Message, OutgoingMessage, RequestError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// So many acknowledgements wait at most: a window of 8 MiB in chunks of 128 bytes.
const MAX_ACKS: usize = 65_536;

type OnSnapshot = OnListed<SnapshotChunk, StreamBackup>;

impl<S: 'static> JetStream<S> {
    /// Takes a snapshot of a stream, with its messages and, if the options do not say otherwise, its
    /// consumers. The callback runs for each chunk, and once for the end, with what is needed beside
    /// the chunks to [restore](Self::restore_stream) the stream, unless it is [stopped](Listing::stop).
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
    /// # let mut file = std::fs::File::create("stream.tar.s2").expect("a file");
    /// use evnats::jetstream::{Listed, SnapshotOptions};
    /// use std::io::Write;
    ///
    /// js.snapshot_stream("ORDERS", &SnapshotOptions::new(), move |_, snapshot, listed| match listed {
    ///     Listed::Item(chunk) => {
    ///         if let Err(error) = file.write_all(&chunk.data) {
    ///             eprintln!("no backup: {error}");
    ///             snapshot.stop();
    ///         }
    ///     }
    ///     // without this, the chunks are of no use
    ///     Listed::Ended(Ok(backup)) => std::fs::write("backup.json", backup.to_json()).expect("kept"),
    ///     Listed::Ended(Err(error)) => eprintln!("no backup: {error}"),
    /// });
    /// # Ok::<(), evnats::Error>(())
    /// ```
    ///
    /// Chunks come as fast as the callback takes them. The stream goes on meanwhile; what is stored
    /// after the beginning may be missing. A stream in memory has none on server 2.10.
    ///
    /// When it is stopped, the server takes up to five seconds to notice. Until then, server 2.10 may
    /// refuse another snapshot of the stream (10064).
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is no such stream; [`Error::Api`] with 10064 for a stream of
    /// which the server cannot make one, and with a code of 408 or 500 if it breaks off; a timeout when
    /// nothing has come for the time of a request; [`RequestError::OutcomeUnknown`] if the connection is
    /// lost. Then what has come is of no use. Server 2.9 ends one that it breaks off as a whole one.
    pub fn snapshot_stream(
        &self,
        stream: &str,
        options: &SnapshotOptions,
        callback: impl Handler<S, Listing<S>, Listed<SnapshotChunk, StreamBackup>>,
    ) -> Listing<S> {
        let callback = on_listed(self, callback);
        Listing::new(self, self.api().snapshot_stream(stream, options, callback))
    }
}

impl<S: 'static> Stream<S> {
    /// Takes a snapshot of the stream, as [`JetStream::snapshot_stream`].
    ///
    /// # Errors
    /// Those of that call.
    pub fn snapshot(
        &self,
        options: &SnapshotOptions,
        callback: impl Handler<S, Listing<S>, Listed<SnapshotChunk, StreamBackup>>,
    ) -> Listing<S> {
        self.jetstream().snapshot_stream(self.name(), options, callback)
    }
}

impl Api {
    fn snapshot_stream(
        &self,
        stream: &str,
        options: &SnapshotOptions,
        callback: OnSnapshot,
    ) -> Rc<dyn Source> {
        let snapshot = Snapshot(Rc::new(Shared {
            api: self.clone(),
            feed: Feed::new(callback),
            chunks: RefCell::default(),
            acks: RefCell::default(),
            inbox: Inbox::new(self.port()),
        }));
        if let Err(error) = snapshot.begin(stream, options) {
            let ending = snapshot.clone();
            self.port().defer(move |state| ending.end(state, Err(error)));
        }
        snapshot.0
    }
}

/// A snapshot under way. Clones are the same.
#[derive(Clone)]
struct Snapshot(Rc<Shared>);

struct Shared {
    api: Api,
    feed: Feed<SnapshotChunk, StreamBackup>,
    chunks: RefCell<Chunks>,
    /// Where acknowledgements are still to go.
    acks: RefCell<VecDeque<String>>,
    /// Closed at the end, by which the server notices.
    inbox: Inbox,
}

impl Source for Shared {
    fn stop(&self) {
        self.feed.close();
        self.inbox.close();
    }

    fn is_active(&self) -> bool {
        self.feed.is_active()
    }
}

impl Snapshot {
    fn begin(&self, stream: &str, options: &SnapshotOptions) -> Result<(), Error> {
        let inbox = self.port().new_inbox();
        let request = ApiRequest::stream("SNAPSHOT", stream)?.with(&options.request(&inbox))?;
        self.listen(&inbox)?;
        self.observe();
        self.watch_over(self.0.api.timeout());
        let snapshot = self.clone();
        let on_reply = move |state: &mut State, reply: Result<StreamBackup, Error>| {
            if !snapshot.0.is_active() {
                return Ok(());
            }
            match reply {
                Ok(backup) => {
                    snapshot.0.inbox.note_progress();
                    let step = snapshot.0.chunks.borrow_mut().handle_backup(backup);
                    snapshot.carry_out(state, step)
                }
                Err(error) => snapshot.end(state, Err(error)),
            }
        };
        self.0.api.call(Ok(request), Box::new(on_reply));
        Ok(())
    }

    fn listen(&self, subject: &str) -> Result<(), CommandError> {
        let snapshot = self.clone();
        self.0.inbox.listen(subject, move |state, heard| match heard {
            Ok(message) => snapshot.receive(state, message),
            Err(reason) => snapshot.end(state, Err(Error::from_inbox_end(reason))),
        })
    }

    fn receive(&self, state: &mut State, message: &Message) -> Ran {
        self.0.inbox.note_progress();
        let step = self.0.chunks.borrow_mut().handle_message(message);
        self.carry_out(state, step)
    }

    fn carry_out(&self, state: &mut State, step: Step) -> Ran {
        match step {
            Step::Chunk(chunk, ack) => {
                self.0.acks.borrow_mut().extend(ack);
                match self.acknowledge() {
                    Err(error) if self.0.acks.borrow().len() > MAX_ACKS => {
                        self.end(state, Err(error.into()))
                    }
                    _ => self.0.feed.item(state, self.0.clone(), chunk),
                }
            }
            Step::Wait => Ok(()),
            Step::Ended(end) => self.end(state, end),
        }
    }

    /// Sends the acknowledgements for which there is room.
    ///
    /// # Errors
    /// There is none for the rest.
    fn acknowledge(&self) -> Result<(), CommandError> {
        let mut acks = self.0.acks.borrow_mut();
        while let Some(subject) = acks.front() {
            match self.port().publish(OutgoingMessage::new(subject, b"")) {
                Err(error @ CommandError::BufferFull { .. }) => return Err(error),
                // those that cannot be sent for another reason are the server's to miss
                _ => acks.pop_front(),
            };
        }
        Ok(())
    }

    fn observe(&self) {
        let snapshot = self.clone();
        self.0.inbox.observe(move |state, observed| match observed {
            Observed::Connected | Observed::Denied(_) => Ok(()),
            Observed::Writable => {
                // if there is no room for the rest again, there will be later
                let _ = snapshot.acknowledge();
                Ok(())
            }
            // what was on its way is lost
            Observed::Disconnected | Observed::Reconnected => {
                snapshot.end(state, Err(Error::Request(RequestError::OutcomeUnknown)))
            }
            Observed::Ended => snapshot.end(state, Err(Error::Closed)),
        });
    }

    /// Ends the snapshot when nothing has come for the time of a request.
    fn watch_over(&self, delay: Duration) {
        let snapshot = self.clone();
        self.0.inbox.look_after(delay, move |state| {
            let (silence, timeout) = (snapshot.0.inbox.silence(), snapshot.0.api.timeout());
            if silence >= timeout {
                return snapshot.end(state, Err(Error::Request(RequestError::Timeout)));
            }
            snapshot.watch_over(timeout - silence);
            Ok(())
        });
    }

    fn end(&self, state: &mut State, end: Result<StreamBackup, Error>) -> Ran {
        self.0.inbox.close();
        self.0.feed.end(state, self.0.clone(), end)
    }

    fn port(&self) -> &Port {
        self.0.api.port()
    }
}
