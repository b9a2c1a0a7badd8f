//! Writing what is known of an object: seen what it is now, and only if it is that still.
//!
//! So two writers at one time are one after the other, each knows what it has replaced, and whose
//! chunks are to go. Writing again is safe, because what is expected can be so only once; whether an
//! attempt without an answer was stored shows when the object is read again.

use crate::callback::{Answer, Ran, State};
use crate::client::Reply;
use crate::jetstream::acknowledged_sequence;
use crate::object_store::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::objects::meta::Found;
use crate::object_store::store::Store;
use evnats_protocol::{HeaderMap, OutgoingMessage};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const ROLLUP: &str = "Nats-Rollup";

/// The pause after an attempt that nobody has answered, or that is refused for the moment.
const PAUSE: Duration = Duration::from_millis(250);

/// How many requests' time is waited for the end of an outage.
const PATIENCE: u32 = 4;

/// Makes of what is there what is to be there.
pub(in crate::object_store) type Decide = Box<dyn FnMut(&Found) -> Result<ObjectInfo, Error>>;

/// What was written, and what was there before.
#[derive(Debug)]
pub(in crate::object_store) struct Written {
    pub(in crate::object_store) info: ObjectInfo,
    pub(in crate::object_store) before: Found,
}

type OnWritten = Answer<Result<Written, Error>>;

struct MetaWrite {
    store: Rc<Store>,
    name: String,
    decide: RefCell<Decide>,
    deadline: Instant,
    /// The attempt whose outcome is unknown, what it wanted to replace, and why it is unknown.
    unknown: RefCell<Option<(ObjectInfo, Found, Error)>>,
}

impl Store {
    /// Writes what is decided on an object. If it changes meanwhile, it is decided again.
    ///
    /// An error of which the outcome is unknown means that it may yet be stored.
    pub(in crate::object_store) fn write_meta(
        self: &Rc<Self>,
        name: &str,
        found: Option<Found>,
        decide: impl FnMut(&Found) -> Result<ObjectInfo, Error> + 'static,
        answer: OnWritten,
    ) {
        let deadline = self.api.port().now() + self.api.timeout() * PATIENCE;
        let write = Rc::new(MetaWrite {
            store: self.clone(),
            name: name.to_owned(),
            decide: RefCell::new(Box::new(decide)),
            deadline,
            unknown: RefCell::default(),
        });
        match found {
            Some(found) => {
                let port = self.api.port();
                port.defer(move |state| write.attempt(state, found, answer));
            }
            None => write.look(answer),
        }
    }
}

impl MetaWrite {
    /// Reads what is there, and goes on from that.
    fn look(self: Rc<Self>, answer: OnWritten) {
        let write = self.clone();
        let on_found = move |state: &mut State, found: Result<Found, Error>| match found {
            Ok(found) => write.attempt(state, found, answer),
            Err(error) => write.handle_error(state, error, answer),
        };
        self.store.find_object(&self.name, Box::new(on_found));
    }

    fn attempt(self: Rc<Self>, state: &mut State, found: Found, answer: OnWritten) -> Ran {
        if let Some(written) = self.already_written(&found) {
            return answer(state, Ok(written));
        }
        let decided = (self.decide.borrow_mut())(&found);
        let info = match decided {
            Ok(info) => info,
            // what is there may be what was written without an answer, and changed since
            Err(error) => return answer(state, Err(error)),
        };
        let headers =
            HeaderMap::new().with(ROLLUP, "sub").with(EXPECTED, found.revision.to_string());
        let subject = self.store.meta_subject(&self.name);
        let json = info.to_json();
        let message = OutgoingMessage::new(&subject, json).headers(&headers);
        let write = self.clone();
        self.store.api.request(message, move |state, reply| {
            write.handle_reply(state, reply, info, found, answer)
        });
        Ok(())
    }

    fn handle_reply(
        self: Rc<Self>,
        state: &mut State,
        reply: Reply<'_>,
        info: ObjectInfo,
        before: Found,
        answer: OnWritten,
    ) -> Ran {
        match acknowledged_sequence(reply, &self.store.ack) {
            Ok(revision) => answer(state, Ok(Written { info: info.at(revision), before })),
            Err(error) if error.is_wrong_last_sequence() => {
                self.look(answer);
                Ok(())
            }
            Err(error) => {
                let error = self.store.error(error);
                if error.is_outcome_unknown() {
                    self.unknown.replace(Some((info, before, error.clone())));
                }
                self.handle_error(state, error, answer)
            }
        }
    }

    /// Whether what is there is what an attempt without an answer has written.
    fn already_written(&self, found: &Found) -> Option<Written> {
        let unknown = self.unknown.borrow();
        let (wanted, before, _) = unknown.as_ref()?;
        let known = found.known().filter(|_| found.revision > before.revision)?;
        let is_it = known.to_json() == wanted.to_json();
        is_it.then(|| Written { info: known.clone(), before: before.clone() })
    }

    /// Tries again after a pause, as long as there is time, or answers with the error: with the one that
    /// says that the outcome is unknown, if there has been one.
    fn handle_error(self: Rc<Self>, state: &mut State, error: Error, answer: OnWritten) -> Ran {
        let port = self.store.api.port().clone();
        if may_pass(&error) && port.turn_time() + PAUSE < self.deadline {
            port.set_timer(
                PAUSE,
                Box::new(move |_| {
                    self.look(answer);
                    Ok(())
                }),
            );
            return Ok(());
        }
        let unknown = self.unknown.take();
        answer(state, Err(unknown.map_or(error, |(_, _, unknown)| unknown)))
    }
}

/// Whether it may be over a moment later. A client that is over is not.
pub(in crate::object_store) fn may_pass(error: &Error) -> bool {
    let is_for_the_moment =
        error.is_temporary() || error.is_outcome_unknown() || error.is_timeout();
    is_for_the_moment && !error.is_closed()
}

impl ObjectInfo {
    /// The same, as it was stored just now.
    fn at(mut self, revision: u64) -> Self {
        (self.revision, self.modified) = (revision, None);
        self
    }
}
