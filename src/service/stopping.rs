//! The end of a service: after what was on its way when it was stopped, or with its client.

use super::error::Error;
use super::running::{OnEnd, Running, ServiceState};
use crate::client::{Inbox, Observed};
use std::rc::Rc;

/// A service as the observer of its connection holds it: until the service has ended, or its loop was
/// dropped.
struct Watched(Rc<Running>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Running {
    pub(super) fn watch_the_connection(self: &Rc<Self>) {
        let watched = Watched(self.clone());
        self.connection.observe(move |_, observed| {
            if observed == Observed::Ended {
                watched.0.finish(Err(Error::ClientEnded));
            }
            Ok(())
        });
    }

    /// Gives back what the program has lent: it may hold the service.
    fn release(&self) {
        let endpoints = self.endpoints.borrow().clone();
        endpoints.iter().for_each(|endpoint| drop(endpoint.on_request.take()));
        drop((self.on_stats.take(), self.on_end.take(), self.on_stopped.take()));
        if self.state.get() != ServiceState::Ended {
            self.telling.forget();
        }
    }

    /// Takes no more requests than those that the server has sent by then, and ends after them.
    pub(super) fn stop(self: &Rc<Self>, on_stopped: OnEnd) {
        self.on_stopped.borrow_mut().push(on_stopped);
        match self.state.get() {
            ServiceState::Running => self.begin_to_stop(),
            ServiceState::Stopping => {}
            ServiceState::Ended => self.tell_end(),
        }
    }

    /// Has a callback run at the end, in the place of the one that was set before.
    pub(super) fn set_on_end(&self, on_end: OnEnd) {
        if self.state.get() != ServiceState::Ended {
            drop(self.on_end.replace(Some(on_end)));
        }
    }

    fn begin_to_stop(self: &Rc<Self>) {
        self.state.set(ServiceState::Stopping);
        let (control, endpoints) = (self.control.take(), self.endpoints.borrow().clone());
        self.draining.set(control.len() + endpoints.len());
        control.iter().for_each(|inbox| self.drain(inbox));
        endpoints.iter().for_each(|endpoint| self.drain(&endpoint.inbox));
    }

    fn drain(self: &Rc<Self>, inbox: &Inbox) {
        let running = self.clone();
        inbox.drain(move |_| {
            running.handle_drained();
            Ok(())
        });
    }

    fn handle_drained(self: &Rc<Self>) {
        self.draining.set(self.draining.get() - 1);
        // a client that is over tells that itself
        let is_over = !self.port.is_connected() && !self.port.is_connecting();
        if self.draining.get() > 0 || is_over {
            return;
        }
        let running = self.clone();
        self.open.when_none(move || running.finish(Ok(())));
        if self.state.get() == ServiceState::Ended {
            return;
        }
        let running = self.clone();
        self.connection.look_after(self.stop_timeout, move |_| {
            running.finish(Err(Error::Unanswered { requests: running.open.count() }));
            Ok(())
        });
    }

    fn finish(self: &Rc<Self>, end: Result<(), Error>) {
        if self.state.replace(ServiceState::Ended) == ServiceState::Ended {
            return;
        }
        self.end.replace(Some(end));
        self.tell_end();
        let telling = self.telling.clone();
        self.open.when_none(move || telling.finish());
        drop(self.control.take());
        let endpoints = self.endpoints.borrow().clone();
        endpoints.iter().for_each(|endpoint| endpoint.inbox.close());
        // last, because what is left to tell would be given back
        self.connection.close();
    }

    /// Tells those who wait for the end, each in a turn of its own.
    fn tell_end(&self) {
        let Some(end) = self.end.borrow().clone() else { return };
        let on_stopped = self.on_stopped.take();
        for on_end in on_stopped.into_iter().chain(self.on_end.take()) {
            let end = end.clone();
            self.port.defer(move |state| on_end(state, end));
        }
    }
}
