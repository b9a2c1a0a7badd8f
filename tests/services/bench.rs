//! A client for services, and for what is asked of them.

use crate::support::asking::{Asking, Told};
use crate::support::flush;
use evnats::service::{Service, ServiceConfig};
use evnats::{Message, Options, OutgoingMessage, RequestError};
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Bench(Asking);

impl Deref for Bench {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.0
    }
}

impl Bench {
    /// A client of the binary's server.
    pub(crate) fn new() -> Self {
        Self(Asking::new())
    }

    pub(crate) fn with(options: impl Into<Options>) -> Self {
        Self(Asking::with(options))
    }

    #[track_caller]
    pub(crate) fn start(&self, config: ServiceConfig) -> Service {
        self.nats.service(config).expect("a service")
    }

    /// Makes a call, and returns its outcome.
    #[track_caller]
    pub(crate) fn wait<H: 'static, T: 'static>(&self, call: impl FnOnce(Told<H, T>)) -> T {
        self.ask(call)
    }

    #[track_caller]
    pub(crate) fn request(&self, subject: &str, payload: &str) -> Result<Message, RequestError> {
        self.send(OutgoingMessage::new(subject, payload))
    }

    #[track_caller]
    pub(crate) fn send(&self, message: OutgoingMessage<'_>) -> Result<Message, RequestError> {
        let kept = Rc::new(RefCell::new(None));
        let keeping = kept.clone();
        self.nats.send_request(message, Duration::from_secs(60), move |(), _, reply| {
            keeping.replace(Some(reply.cloned()));
        });
        self.until("a reply", || kept.borrow().is_some());
        kept.take().expect("a reply")
    }

    /// Everything that was sent was read by the server, and everything before its answer has been handled.
    #[track_caller]
    pub(crate) fn flush(&self) {
        flush(&self.event_loop, &mut (), &self.nats);
    }
}

/// What the hook of a service was told, in words.
pub(crate) fn events(service: &Service) -> Rc<RefCell<Vec<String>>> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let telling = told.clone();
    service.on_event(move |(), _, event| telling.borrow_mut().push(event.to_string()));
    told
}
