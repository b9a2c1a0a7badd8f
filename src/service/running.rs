//! A service that runs, and its endpoints, without the type of the user's state.
//!
//! It lives until it has ended, also when nobody holds it: what listens for it holds it. What it does is in
//! the files beside this one: `serving`, `control`, `stopping`.

use super::check::{check_name, check_version};
use super::config::{QueueGroup, ServiceConfig};
use super::error::Error;
use super::open::OpenRequests;
use super::records::{EndpointInfo, EndpointStats, ServiceIdentity, ServiceInfo, ServiceStats};
use super::request::ServiceRequest;
use super::tally::Tally;
use super::telling::Telling;
use crate::callback::{Answer, CallbackSlot, Ran, State};
use crate::client::{Inbox, Port};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub(super) type OnRequest =
    Box<dyn FnMut(&mut State, &Rc<Running>, &Rc<Serving>, ServiceRequest) -> Ran>;
pub(super) type OnStats = Box<dyn FnMut(&mut State, &Rc<Running>, &Rc<Serving>) -> Option<Value>>;
pub(super) type OnEnd = Answer<Result<(), Error>>;

/// Whether a service takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceState {
    /// It takes requests.
    Running,
    /// It takes those that were on their way when it was stopped, and waits for those that were kept.
    Stopping,
    /// It is over.
    Ended,
}

pub(super) struct Running {
    pub(super) port: Port,
    pub(super) identity: ServiceIdentity,
    description: String,
    pub(super) queue_group: QueueGroup,
    pub(super) stop_timeout: Duration,
    started: Cell<SystemTime>,
    pub(super) endpoints: RefCell<Vec<Rc<Serving>>>,
    /// On which it is asked what it is.
    pub(super) control: RefCell<Vec<Inbox>>,
    /// The connection, and the time that a stop may take.
    pub(super) connection: Inbox,
    pub(super) open: Rc<OpenRequests>,
    pub(super) telling: Rc<Telling>,
    pub(super) on_stats: CallbackSlot<OnStats>,
    pub(super) state: Cell<ServiceState>,
    /// How many subscriptions a stop waits for.
    pub(super) draining: Cell<usize>,
    pub(super) on_stopped: RefCell<Vec<OnEnd>>,
    pub(super) on_end: Cell<Option<OnEnd>>,
    pub(super) end: RefCell<Option<Result<(), Error>>>,
}

/// An endpoint of a service that runs.
pub(super) struct Serving {
    pub(super) info: EndpointInfo,
    pub(super) tally: Rc<Tally>,
    pub(super) inbox: Inbox,
    pub(super) on_request: CallbackSlot<OnRequest>,
}

impl Running {
    pub(super) fn start(port: &Port, config: ServiceConfig) -> Result<Rc<Self>, Error> {
        check_name(&config.name)?;
        check_version(&config.version)?;
        let running = Rc::new(Self {
            port: port.clone(),
            telling: Telling::new(port, &config.name),
            identity: ServiceIdentity {
                name: config.name,
                id: port.new_nuid(),
                version: config.version,
                metadata: config.metadata,
            },
            description: config.description,
            queue_group: config.queue_group,
            stop_timeout: config.stop_timeout,
            started: Cell::new(port.event_loop().system_time()),
            endpoints: RefCell::default(),
            control: RefCell::default(),
            connection: Inbox::new(port),
            open: Rc::default(),
            on_stats: CallbackSlot::default(),
            state: Cell::new(ServiceState::Running),
            draining: Cell::default(),
            on_stopped: RefCell::default(),
            on_end: Cell::default(),
            end: RefCell::default(),
        });
        match running.listen_to_control() {
            Ok(()) => {
                running.watch_the_connection();
                Ok(running)
            }
            Err(error) => {
                running.control.take();
                Err(error.into())
            }
        }
    }

    /// Counts from now.
    pub(super) fn reset(&self) {
        self.started.set(self.port.event_loop().system_time());
        self.endpoints.borrow().iter().for_each(|endpoint| endpoint.tally.reset());
    }

    pub(super) fn info(&self) -> ServiceInfo {
        let endpoints = self.endpoints.borrow();
        ServiceInfo {
            identity: self.identity.clone(),
            description: self.description.clone(),
            endpoints: endpoints.iter().map(|endpoint| endpoint.info.clone()).collect(),
        }
    }

    /// What was counted, with the data for each endpoint that this returns. It may be user code.
    pub(super) fn stats(
        &self,
        mut data: impl FnMut(&Rc<Serving>) -> Option<Value>,
    ) -> ServiceStats {
        let endpoints = self.endpoints.borrow().clone();
        ServiceStats {
            identity: self.identity.clone(),
            started: Some(self.started.get()),
            endpoints: endpoints.iter().map(|endpoint| endpoint.stats(data(endpoint))).collect(),
        }
    }
}

impl Serving {
    pub(super) fn stats(&self, data: Option<Value>) -> EndpointStats {
        let (info, tally) = (&self.info, &self.tally);
        EndpointStats {
            name: info.name.clone(),
            subject: info.subject.clone(),
            queue_group: info.queue_group.clone(),
            requests: tally.requests(),
            errors: tally.errors(),
            last_error: tally.last_error(),
            processing_time: tally.processing_time(),
            average_processing_time: tally.average_processing_time(),
            data,
        }
    }
}
