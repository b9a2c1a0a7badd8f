//! Notices: what several callbacks are to hear of, one after the other.
//!
//! They are queued before the first of them runs. So a callback that panics or returns an error
//! costs the others nothing: they have their turn in the next one, before anything new.

use super::driver::Driver;
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
            observers.map(|(_, slot)| Notice::Observed(slot.share(), observed)).collect();
        notices.push(last);
        connection.notices.extend(notices);
        drop(connection);
        self.run_notices(state, port)
    }

    /// Runs the callbacks that notices are waiting for.
    pub(super) fn run_notices(&self, state: &mut State, port: &Port) -> Ran {
        loop {
            let notice = self.connection.borrow_mut().notices.pop_front();
            let Some(notice) = notice else { return Ok(()) };
            self.run_notice(state, port, notice)?;
        }
    }

    fn run_notice(&self, state: &mut State, port: &Port, notice: Notice) -> Ran {
        match notice {
            Notice::Observed(slot, observed) => slot.run(|callback| callback(state, observed)),
            Notice::Reconnected(info) => {
                self.run_hook(state, port, |hooks| &hooks.reconnect, &*info)
            }
            Notice::Disconnected(reason) => {
                self.run_hook(state, port, |hooks| &hooks.disconnect, &reason)
            }
            Notice::Closed(reason) => {
                let is_heard = !self.connection.borrow().hooks.close.is_empty();
                let is_own =
                    matches!(reason, DisconnectReason::Requested | DisconnectReason::Drained);
                match is_own || is_heard {
                    true => self.run_hook(state, port, |hooks| &hooks.close, &reason),
                    // no callback would learn of it
                    false => Err(Box::new(Error::Ended(reason))),
                }
            }
        }
    }
}
