//! Groups of endpoints: a prefix of their subjects, and a queue group.

use super::config::{EndpointConfig, QueueGroup};
use super::endpoint::Endpoint;
use super::handle::Service;
use super::request::ServiceRequest;
use super::serving::joined;
use crate::callback::Handler;
use crate::error::Result;
use std::fmt;

/// A group of endpoints of a service, which have the prefix of their subjects in common, and the queue
/// group unless they have another. A cheap handle.
pub struct ServiceGroup<S: 'static = ()> {
    service: Service<S>,
    prefix: String,
    queue_group: QueueGroup,
}

impl<S: 'static> Service<S> {
    /// A group of endpoints: their subjects begin with the prefix and a dot. An empty one adds nothing.
    /// What cannot be a prefix is an error of the endpoints.
    ///
    /// ```no_run
    /// # let event_loop = evnats::EventLoop::<()>::new()?;
    /// # let nats = event_loop.connect("nats://127.0.0.1:4222")?;
    /// use evnats::service::ServiceConfig;
    /// let service = nats.service(ServiceConfig::new("calculator", "1.0.0"))?;
    /// let v1 = service.group("numbers").group("v1");
    /// v1.endpoint("add", |_, endpoint, request| {
    ///     assert_eq!(endpoint.info().subject, "numbers.v1.add");
    ///     request.respond("42")
    /// })?;
    /// # Ok::<(), evnats::Error>(())
    /// ```
    #[doc(alias = "AddGroup")]
    #[must_use]
    pub fn group(&self, prefix: &str) -> ServiceGroup<S> {
        ServiceGroup {
            service: self.clone(),
            prefix: prefix.to_owned(),
            queue_group: self.queue_group().clone(),
        }
    }
}

impl<S: 'static> ServiceGroup<S> {
    /// A group in this one, whose prefix stands behind this one's.
    #[must_use]
    pub fn group(&self, prefix: &str) -> Self {
        let prefix = match prefix.is_empty() {
            true => self.prefix.clone(),
            false => joined(&self.prefix, prefix),
        };
        Self { prefix, ..self.clone() }
    }

    /// The same group with another queue group for the endpoints that are added to it, and for its groups.
    #[must_use]
    pub fn queue_group(self, queue_group: impl Into<QueueGroup>) -> Self {
        let queue_group = queue_group.into().or(&self.queue_group);
        Self { queue_group, ..self }
    }

    /// Adds an endpoint, as [`Service::endpoint`].
    ///
    /// # Errors
    /// As of [`Service::endpoint`].
    pub fn endpoint(
        &self,
        config: impl Into<EndpointConfig>,
        handler: impl Handler<S, Endpoint<S>, ServiceRequest>,
    ) -> Result<Endpoint<S>> {
        self.service.endpoint_in(&self.prefix, &self.queue_group, config.into(), handler)
    }

    /// The prefix, with those of the groups around it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &Service<S> {
        &self.service
    }
}

impl<S> Clone for ServiceGroup<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            prefix: self.prefix.clone(),
            queue_group: self.queue_group.clone(),
        }
    }
}

impl<S> fmt::Debug for ServiceGroup<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceGroup")
            .field("service", &self.service)
            .field("prefix", &self.prefix)
            .field("queue_group", &self.queue_group)
            .finish()
    }
}
