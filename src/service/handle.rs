//! What a user has in hand of a service.

use super::config::{EndpointConfig, QueueGroup, ServiceConfig};
use super::endpoint::Endpoint;
use super::error::Error;
use super::event::ServiceEvent;
use super::records::{ServiceInfo, ServiceStats};
use super::request::ServiceRequest;
use super::running::{Running, ServiceState, Serving};
use crate::callback::{Callback, Handler, Outcome, RefHandler, State, answer, lend};
use crate::client::Client;
use crate::error::Result;
use crate::event_loop::timers_on;
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

/// A service that runs. A cheap handle; clones are the same one, and dropping them does not stop it.
pub struct Service<S: 'static = ()> {
    running: Rc<Running>,
    state: PhantomData<fn(&mut S)>,
}

impl<S: 'static> Client<S> {
    /// Starts a service (ADR-32), which is found and watched at once, and gets requests as soon as it has
    /// [endpoints](Service::endpoint). Several services of a client do not know of each other.
    ///
    /// # Errors
    /// [`service::Error`](Error): a name or a version that cannot be one, or the client is over.
    #[doc(alias = "AddService")]
    pub fn service(&self, config: ServiceConfig) -> Result<Service<S>> {
        Ok(Service::new(Running::start(self.port(), config)?))
    }
}

impl<S: 'static> Service<S> {
    pub(super) fn new(running: Rc<Running>) -> Self {
        Self { running, state: PhantomData }
    }

    /// Adds an endpoint: the callback runs for every request. It may answer it, or keep it and have it
    /// answered later. A callback that returns an error does not end [`run`](crate::EventLoop::run), and
    /// one that panics does not unwind it: the caller is answered with an error, code 500, and it is
    /// reported to [`on_event`](Self::on_event).
    ///
    /// # Errors
    /// [`service::Error`](Error): a name that cannot be one, a subject or a queue group that cannot be
    /// listened on, or the service has been stopped.
    #[doc(alias = "AddEndpoint")]
    pub fn endpoint(
        &self,
        config: impl Into<EndpointConfig>,
        handler: impl Handler<S, Endpoint<S>, ServiceRequest>,
    ) -> Result<Endpoint<S>> {
        let queue_group = self.running.queue_group.clone();
        self.endpoint_in("", &queue_group, config.into(), handler)
    }

    /// Adds an endpoint behind a prefix.
    pub(super) fn endpoint_in(
        &self,
        prefix: &str,
        queue_group: &QueueGroup,
        config: EndpointConfig,
        mut handler: impl Handler<S, Endpoint<S>, ServiceRequest>,
    ) -> Result<Endpoint<S>> {
        let on_request =
            move |state: &mut State, running: &Rc<Running>, serving: &Rc<Serving>, request| {
                let endpoint = Endpoint::new(running.clone(), serving.clone());
                handler(lend(state), &endpoint, request).into_ran()
            };
        let serving =
            self.running.add_endpoint(prefix, queue_group, config, Box::new(on_request))?;
        Ok(Endpoint::new(self.running.clone(), serving))
    }

    /// Has the statistics of each endpoint say more: whatever this returns is in
    /// [`EndpointStats::data`](super::EndpointStats::data) for everybody who asks. It runs when somebody
    /// does, and replaces the one that was set before.
    pub fn on_stats(
        &self,
        mut handler: impl FnMut(&mut S, &Endpoint<S>) -> Option<Value> + 'static,
    ) {
        let handler = move |state: &mut State, running: &Rc<Running>, serving: &Rc<Serving>| {
            handler(lend(state), &Endpoint::new(running.clone(), serving.clone()))
        };
        drop(self.running.on_stats.replace(Box::new(handler)));
    }

    /// Runs for what happens to the service. It replaces the hook that was set before.
    pub fn on_event(&self, mut hook: impl RefHandler<S, Service<S>, ServiceEvent>) {
        let running = Rc::downgrade(&self.running);
        let hook = move |state: &mut State, event: &ServiceEvent| match running.upgrade() {
            Some(running) => hook(lend(state), &Self::new(running), event).into_ran(),
            None => Ok(()),
        };
        self.running.telling.set_on_event(Box::new(hook));
    }

    /// Runs once, when the service has ended: after a [stop](Self::stop), or with the client. It replaces
    /// the callback that was set before. Nothing runs if the service has ended already.
    ///
    /// # Errors
    /// As those of [`stop`](Self::stop).
    pub fn on_end(&self, callback: impl Callback<S, Service<S>, Result<(), Error>>) {
        self.running.set_on_end(answer(self, callback));
    }

    /// Stops the service without losing a request: it is no longer found, its subscriptions are drained,
    /// and the callback runs when every request that has come was answered, or dropped by whoever has kept
    /// it. It runs exactly once, also if the service has ended before.
    ///
    /// # Errors
    /// [`Error::Unanswered`]: some have been kept for longer than
    /// [`stop_timeout`](ServiceConfig::stop_timeout). They may be answered still. [`Error::ClientEnded`]:
    /// the client was closed or drained, or lost for good, before.
    pub fn stop(&self, callback: impl Callback<S, Service<S>, Result<(), Error>>) {
        self.running.stop(answer(self, callback));
    }

    /// Counts from now, and forgets what was counted: the [statistics](Self::stats) of all endpoints.
    pub fn reset(&self) {
        self.running.reset();
    }

    /// What the service is, and its endpoints.
    #[must_use]
    pub fn info(&self) -> ServiceInfo {
        self.running.info()
    }

    /// What the service has done, without what the [stats handler](Self::on_stats) adds for others.
    #[must_use]
    pub fn stats(&self) -> ServiceStats {
        self.running.stats(|_| None)
    }

    /// The instance's id: 22 letters and digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.running.identity.id
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.running.identity.name
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.running.state.get()
    }

    /// The number of requests that were handed to a handler, and neither dropped by it nor by whoever has
    /// kept them.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.running.open.count()
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> Client<S> {
        Client::new(self.running.port.clone())
    }

    pub(super) fn queue_group(&self) -> &QueueGroup {
        &self.running.queue_group
    }
}

impl<S: 'static> Endpoint<S> {
    /// The service that it is an endpoint of.
    #[must_use]
    pub fn service(&self) -> Service<S> {
        Service::new(self.running().clone())
    }
}

timers_on!(Service, |service| service.running.port.event_loop());

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self { running: self.running.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Service<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.running.identity.name)
            .field("id", &self.running.identity.id)
            .field("state", &self.running.state.get())
            .finish_non_exhaustive()
    }
}
