//! Notices: what several callbacks are to hear of, one after the other.
//!
//! They are queued before the first of them runs. So a callback that panics or returns an error
//! costs the others nothing: they have their turn in the next one, before anything new.

use super::driver::Driver;
use super::error::ConnectionError;
use super::hooks::{Notice, Observed};
use super::port::Port;
use crate::callback::{Ran, State};
use crate::error::Error;
use evnats_protocol::DisconnectReason;

impl Driver {
    /// Tells the layers above, and then the user.
    pub(super) fn notify(
        &self,
        state: &mut State,
        port: &Port,
        observed: Observed,
        last: Notice,
    ) -> Ran {
        let mut connection = self.connection.borrow_mut();
        let observers = connection.observers.iter();
        let mut notices: Vec<_> =
            observers.map(|(_, slot)| Notice::Observed(slot.share(), observed.clone())).collect();
        notices.push(last);
        connection.notices.extend(notices);
        drop(connection);
        self.run_notices(state, port)
    }

    /// Runs the callbacks that notices are waiting for.
    #[inline]
    pub(super) fn run_notices(&self, state: &mut State, port: &Port) -> Ran {
        loop {
            let notice = self.connection.borrow_mut().notices.pop_front();
            let Some(notice) = notice else { return Ok(()) };
            self.run_notice(state, port, notice)?;
        }
    }

    #[inline(never)]
    fn run_notice(&self, state: &mut State, port: &Port, notice: Notice) -> Ran {
        match notice {
            Notice::Observed(slot, observed) => slot.run(|callback| callback(state, observed)),
            Notice::Writable => self.run_hook(state, port, |hooks| &hooks.writable, &()),
            Notice::Denied(error) => {
                self.report(state, port, ConnectionError::Server((*error).clone()))
            }
            Notice::Connected(info) => self.run_hook(state, port, |hooks| &hooks.connect, &*info),
            Notice::Reconnected(info) => {
                self.run_hook(state, port, |hooks| &hooks.reconnect, &*info)
            }
            Notice::Disconnected(reason) => {
                self.run_hook(state, port, |hooks| &hooks.disconnect, &reason)
            }
            Notice::Closed(reason) => {
                let is_own =
                    matches!(reason, DisconnectReason::Requested | DisconnectReason::Drained);
                match is_own || self.is_end_heard() {
                    true => self.run_hook(state, port, |hooks| &hooks.close, &reason),
                    // no callback would learn of it
                    false => Err(Box::new(Error::Ended(reason))),
                }
            }
        }
    }

    /// Whether a callback hears of the client's end, or `run` has returned it already.
    fn is_end_heard(&self) -> bool {
        let connection = self.connection.borrow();
        connection.is_end_reported || !connection.hooks.close.is_empty()
    }

    /// A callback's error that has no more to tell than that the connection is gone gives way to the
    /// reason why the client has ended, if nothing else hears it.
    pub(super) fn or_its_cause(&self, error: Box<Error>) -> Box<Error> {
        if !error.is_for_want_of_a_connection() || self.is_end_heard() {
            return error;
        }
        let mut connection = self.connection.borrow_mut();
        let Some(reason) = connection.given_up.take() else { return error };
        connection.is_end_reported = true;
        Box::new(Error::Ended(reason))
    }
}
