//! Requests: from an endpoint's subscription to its handler, and what becomes of a handler that fails.

use super::check::check_name;
use super::config::{EndpointConfig, QueueGroup};
use super::error::Error;
use super::event::ServiceEvent;
use super::records::EndpointInfo;
use super::request::ServiceRequest;
use super::running::{OnRequest, Running, ServiceState, Serving};
use crate::callback::{CallbackSlot, State};
use crate::client::Inbox;
use evnats_protocol::{EndReason, Message};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

impl Running {
    /// Adds an endpoint. Its subject stands behind the prefix, unless that is empty; the queue group is
    /// that of what it is in.
    pub(super) fn add_endpoint(
        self: &Rc<Self>,
        prefix: &str,
        queue_group: &QueueGroup,
        config: EndpointConfig,
        on_request: OnRequest,
    ) -> Result<Rc<Serving>, Error> {
        if self.state.get() != ServiceState::Running {
            return Err(Error::Stopped);
        }
        check_name(&config.name)?;
        let subject = config.subject.as_ref().unwrap_or(&config.name);
        let queue_group = config.queue_group.or(queue_group);
        let serving = Rc::new(Serving {
            info: EndpointInfo {
                subject: joined(prefix, subject),
                name: config.name,
                queue_group: queue_group.name().unwrap_or_default().to_owned(),
                metadata: config.metadata,
            },
            tally: Rc::default(),
            inbox: Inbox::new(&self.port),
            on_request: CallbackSlot::new(on_request),
        });
        let (running, endpoint) = (self.clone(), serving.clone());
        serving.inbox.listen_as(
            &serving.info.subject,
            queue_group.name(),
            move |state, heard| {
                match heard {
                    Ok(request) => running.serve(state, &endpoint, request),
                    Err(reason) => running.handle_endpoint_end(&endpoint, reason),
                }
                Ok(())
            },
        )?;
        self.endpoints.borrow_mut().push(serving.clone());
        Ok(serving)
    }

    fn serve(self: &Rc<Self>, state: &mut State, serving: &Rc<Serving>, message: &Message) {
        let (tally, telling) = (&serving.tally, &self.telling);
        tally.note_request();
        let message = message.clone();
        let request = ServiceRequest::new(message, &self.port, tally, telling, self.open.open());
        let begun = self.port.now();
        let handled = guarded(|| {
            let handed = request.clone();
            serving.on_request.run(|handler| handler(state, self, serving, handed))
        });
        tally.note_time(self.port.now().saturating_duration_since(begun));
        let endpoint = serving.info.name.clone();
        match handled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                request.fail(&error.to_string());
                telling.tell(ServiceEvent::HandlerFailed { endpoint, error: *error });
            }
            Err(message) => {
                request.fail("the handler of the request panicked");
                telling.tell(ServiceEvent::HandlerPanicked { endpoint, message });
            }
        }
    }

    fn handle_endpoint_end(&self, serving: &Serving, reason: EndReason) {
        if reason == EndReason::Denied {
            let (endpoint, subject) = (serving.info.name.clone(), serving.info.subject.clone());
            self.telling.tell(ServiceEvent::EndpointDenied { endpoint, subject });
        }
    }
}

/// A subject behind the prefix of its group.
pub(super) fn joined(prefix: &str, subject: &str) -> String {
    match prefix.is_empty() {
        true => subject.to_owned(),
        false => format!("{prefix}.{subject}"),
    }
}

/// Runs user code that answers somebody else. Its panic must not be the end of everybody's service, so it
/// is caught, here alone in this crate. Returns the panic's message.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // callbacks come back to their slots; what else they had in hands is the user's own
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| text_of(&*panic))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default().into()
}
