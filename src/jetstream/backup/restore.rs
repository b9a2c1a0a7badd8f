//! Restoring a stream: chunks are asked of the user one at a time, and sent as requests. The server has
//! taken one when it answers; its answer to the end is the stream.

use super::document::StreamBackup;
use crate::callback::{CallbackSlot, Handler, Outcome, Ran, State, lend};
use crate::client::{Observed, ObserverId};
use crate::event_loop::timers_on;
use crate::jetstream::api::{Api, ApiReply, ApiRequest};
use crate::jetstream::error::Error;
use crate::jetstream::handle::JetStream;
use crate::jetstream::manage::{StreamInfo, WantedStream};
use evnats_protocol::{OutgoingMessage, Payload, RequestError};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A report of a restore.
#[expect(clippy::large_enum_variant, reason = "a chunk is sent for each that is small")]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Restoring {
    /// The server takes the next chunk: [`Restore::send`] it, at once or later. It gives the restore up
    /// when nothing has come for five seconds.
    Wanted {
        /// How many bytes it has taken.
        sent: u64,
    },
    /// The end: the stream, or why there is none. Not sent after [`Restore::stop`].
    Ended(Result<StreamInfo, Error>),
}

/// A restore under way. A cheap handle: dropping it does not stop it.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let js = event_loop.connect("nats://127.0.0.1:4222")?.jetstream();
/// # fn io() -> std::io::Result<(Vec<u8>, std::fs::File)> {
/// #     Ok((std::fs::read("backup.json")?, std::fs::File::open("stream.tar.s2")?))
/// # }
/// # let (json, mut file) = io().expect("a backup");
/// use evnats::jetstream::{Restoring, StreamBackup};
/// use std::io::Read;
///
/// let backup = StreamBackup::from_json(&json)?;
/// let mut chunk = vec![0; 128 * 1024];
/// js.restore_stream(&backup, move |_, restore, restoring| match restoring {
///     Restoring::Wanted { .. } => match file.read(&mut chunk) {
///         // nothing is sent at the end of the file, and ends the restore
///         Ok(count) => restore.send(&chunk[..count]).expect("it was asked for"),
///         Err(error) => {
///             eprintln!("not restored: {error}");
///             restore.stop();
///         }
///     },
///     Restoring::Ended(Ok(stream)) => println!("{} messages", stream.state.messages),
///     Restoring::Ended(Err(error)) => eprintln!("not restored: {error}"),
///     _ => {}
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
pub struct Restore<S: 'static = ()> {
    js: JetStream<S>,
    restore: Rc<Shared>,
}

impl<S: 'static> JetStream<S> {
    /// Makes a stream of a [snapshot](Self::snapshot_stream) of one, which must not exist any more. The
    /// callback runs when the server takes the next chunk, and once for the end, unless the restore is
    /// [stopped](Restore::stop). Where the chunks of the snapshot began and ended does not matter.
    ///
    /// # Errors
    /// [`Error::Api`] with 10130 if there is a stream of that name, and 10062 if the chunks are no
    /// snapshot; [`Error::RestoreGivenUp`] if the server has; [`Error::Request`] if a chunk is not
    /// answered or cannot be sent, as one that is larger than the server's `max_payload`;
    /// [`Error::Unsupported`] if the configuration needs a newer server, and
    /// [`Error::MadeDifferently`] if it came back otherwise.
    pub fn restore_stream(
        &self,
        backup: &StreamBackup,
        mut callback: impl Handler<S, Restore<S>, Restoring>,
    ) -> Restore<S> {
        let js = self.clone();
        let callback: OnRestoring = Box::new(move |state, restore, restoring| {
            let restore = Restore { js: js.clone(), restore };
            callback(lend(state), &restore, restoring).into_ran()
        });
        Restore { js: self.clone(), restore: self.api().restore_stream(backup, callback) }
    }
}

impl<S: 'static> Restore<S> {
    /// Sends the next chunk, at most as many bytes as the server's `max_payload`. An empty one is the
    /// end.
    ///
    /// # Errors
    /// [`Error::NothingWanted`]: the restore has not asked for a chunk since the last one, or it is
    /// over.
    pub fn send<'a>(&self, chunk: impl Into<Payload<'a>>) -> Result<(), Error> {
        self.restore.clone().send(chunk.into())
    }

    /// Ends it: the callback does not run again, and nothing more is sent. The server gives up five
    /// seconds later, and there is no stream. One whose end was sent may be there all the same.
    pub fn stop(&self) {
        drop(self.restore.close());
    }

    /// Whether the callback may run again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.restore.is_active.get()
    }

    /// JetStream, which restores the stream.
    #[must_use]
    pub fn jetstream(&self) -> &JetStream<S> {
        &self.js
    }
}

timers_on!(Restore, |restore| restore.js.client().port().event_loop());

impl<S> Clone for Restore<S> {
    fn clone(&self) -> Self {
        Self { js: self.js.clone(), restore: self.restore.clone() }
    }
}

impl<S> fmt::Debug for Restore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restore")
            .field("is_active", &self.restore.is_active.get())
            .finish_non_exhaustive()
    }
}

type OnRestoring = Box<dyn FnMut(&mut State, Rc<Shared>, Restoring) -> Ran>;

struct Shared {
    api: Api,
    callback: CallbackSlot<OnRestoring>,
    is_active: Cell<bool>,
    /// For the end of the client, which may come while the user is waited for.
    observer: Cell<Option<ObserverId>>,
    wanted: WantedStream,
    /// Where chunks go. Empty until the server has said so.
    subject: RefCell<String>,
    /// Whether the user was asked for a chunk.
    is_wanted: Cell<bool>,
    /// How many bytes the server has taken.
    sent: Cell<u64>,
}

/// Where the server takes chunks.
#[derive(Deserialize)]
struct RestoreReply {
    deliver_subject: String,
}

crate::jetstream::api::json_replies!(RestoreReply);

impl Api {
    fn restore_stream(&self, backup: &StreamBackup, callback: OnRestoring) -> Rc<Shared> {
        let config = backup.config();
        let restore = Rc::new(Shared {
            api: self.clone(),
            callback: CallbackSlot::new(callback),
            is_active: Cell::new(true),
            observer: Cell::new(None),
            wanted: WantedStream::new(config),
            subject: RefCell::default(),
            is_wanted: Cell::new(false),
            sent: Cell::new(0),
        });
        let request = ApiRequest::stream("RESTORE", &config.name);
        let request = request.and_then(|request| request.with(backup.document()));
        restore.clone().observe();
        let begun = restore.clone();
        let on_reply = move |state: &mut State, reply: Result<RestoreReply, Error>| match reply {
            Ok(reply) => {
                begun.subject.replace(reply.deliver_subject);
                begun.ask(state)
            }
            Err(error) => begun.end(state, Err(error)),
        };
        self.call_for(config.required_level(), request, Box::new(on_reply));
        restore
    }
}

impl Shared {
    fn observe(self: Rc<Self>) {
        let restore = self.clone();
        let observer = self.api.port().observe(Box::new(move |state, observed| match observed {
            Observed::Ended => restore.clone().end(state, Err(Error::Closed)),
            // what was on its way has an answer of its own
            Observed::Connected
            | Observed::Disconnected
            | Observed::Reconnected
            | Observed::Writable
            | Observed::Denied(_) => Ok(()),
        }));
        self.observer.set(Some(observer));
    }

    /// Asks the user for the next chunk.
    fn ask(self: Rc<Self>, state: &mut State) -> Ran {
        if !self.is_active.get() {
            return Ok(());
        }
        self.is_wanted.set(true);
        let wanted = Restoring::Wanted { sent: self.sent.get() };
        self.callback
            .run_while(|| self.is_active.get(), |callback| callback(state, self.clone(), wanted))
    }

    fn send(self: Rc<Self>, chunk: Payload<'_>) -> Result<(), Error> {
        if !self.is_active.get() || !self.is_wanted.replace(false) {
            return Err(Error::NothingWanted);
        }
        let (subject, len) = (self.subject.borrow().clone(), chunk.as_ref().len());
        let restore = self.clone();
        self.api.request(OutgoingMessage::new(&subject, chunk), move |state, reply| {
            match reply.map(|reply| reply.payload()) {
                Err(RequestError::NoResponders { .. }) => {
                    restore.end(state, Err(Error::RestoreGivenUp))
                }
                Err(error) => restore.end(state, Err(error.into())),
                Ok(reply) if len == 0 => {
                    let info = StreamInfo::parse(reply).and_then(|info| restore.wanted.check(info));
                    restore.end(state, info)
                }
                Ok(reply) => restore.handle_taken(state, len, reply),
            }
        });
        Ok(())
    }

    /// Goes on after a chunk, whose reply is empty unless there is an error.
    fn handle_taken(self: Rc<Self>, state: &mut State, len: usize, reply: &[u8]) -> Ran {
        if !reply.is_empty()
            && let Err(error) = <()>::parse(reply)
        {
            return self.end(state, Err(error));
        }
        self.sent.set(self.sent.get().saturating_add(len as u64));
        self.ask(state)
    }

    fn end(self: Rc<Self>, state: &mut State, end: Result<StreamInfo, Error>) -> Ran {
        let callback = self.close();
        callback.map_or(Ok(()), |mut callback| callback(state, self, Restoring::Ended(end)))
    }

    /// Returns the callback, unless it is running.
    fn close(&self) -> Option<OnRestoring> {
        self.is_active.set(false);
        if let Some(observer) = self.observer.take() {
            self.api.port().stop_observing(observer);
        }
        self.callback.take()
    }
}
