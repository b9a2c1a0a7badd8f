//! What a user has in hand of an endpoint.

use super::records::{EndpointInfo, EndpointStats};
use super::running::{Running, Serving};
use crate::client::Client;
use crate::event_loop::timers_on;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// An endpoint of a service. A cheap handle; clones are the same one, and dropping them does not end it: it
/// lives as long as its service.
pub struct Endpoint<S: 'static = ()> {
    running: Rc<Running>,
    serving: Rc<Serving>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Endpoint<S> {
    pub(super) fn new(running: Rc<Running>, serving: Rc<Serving>) -> Self {
        Self { running, serving, state: PhantomData }
    }

    pub(super) fn running(&self) -> &Rc<Running> {
        &self.running
    }

    /// Its name, its subject, its queue group, and its metadata.
    #[must_use]
    pub fn info(&self) -> &EndpointInfo {
        &self.serving.info
    }

    /// What it has done, without what the stats handler adds for others.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.serving.stats(None)
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.running.port.clone())
    }
}

timers_on!(Endpoint, |endpoint| endpoint.running.port.event_loop());

impl<S> Clone for Endpoint<S> {
    fn clone(&self) -> Self {
        Self { running: self.running.clone(), serving: self.serving.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("info", &self.serving.info).finish_non_exhaustive()
    }
}
