//! `service req`: looks an endpoint up by its name, and sends a request to it.

use super::asking::replies;
use super::not_found;
use crate::failure::Failure;
use crate::input;
use crate::output::Style;
use crate::session::{App, Session};
use clap::Args;
use evnats::service::{DiscoveryOptions, ServiceInfo, check_reply};
use evnats::{Client, OutgoingMessage};
use std::ffi::OsString;
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of the service.
    name: String,
    /// Name of the endpoint.
    endpoint: String,
    /// Body of the request; if absent, it is read from the standard input.
    body: Option<OsString>,
    /// Subject of the request, for an endpoint whose subject has wildcards.
    #[arg(long)]
    subject: Option<String>,
    /// Shows nothing but the reply's payload, byte for byte.
    #[arg(short, long)]
    raw: bool,
}

/// What is asked of an endpoint.
struct Request {
    service: String,
    endpoint: String,
    subject: Option<String>,
    body: Vec<u8>,
    style: Style,
    timeout: Duration,
}

pub(crate) fn run(arguments: Arguments, session: Session) -> Result<(), Failure> {
    let request = Request {
        service: arguments.name,
        endpoint: arguments.endpoint,
        subject: arguments.subject,
        body: input::body(arguments.body)?,
        style: if arguments.raw { Style::Raw } else { Style::Full },
        timeout: session.timeout(),
    };
    session.run(|_, client| {
        // any instance has the endpoint
        let options = DiscoveryOptions::new().name(&*request.service).max_services(1);
        client.services_info(options, move |app: &mut App, client, found| {
            let Some(found) = replies(app, client, found) else { return };
            match request.subject_of(&found) {
                Ok(subject) => request.send(client, &subject),
                Err(failure) => app.fail(client, failure),
            }
        });
        Ok(())
    })
}

impl Request {
    fn subject_of(&self, found: &[ServiceInfo]) -> Result<String, Failure> {
        let info = found.first().ok_or_else(|| not_found(&self.service, None))?;
        let endpoint = info.endpoints.iter().find(|endpoint| endpoint.name == self.endpoint);
        let endpoint = endpoint.ok_or_else(|| {
            let (service, endpoint) = (&*self.service, &*self.endpoint);
            let text = format!("service {service:?} has no endpoint {endpoint:?}");
            let failure = Failure::new("endpoint_not_found", text).with("service", service);
            failure.with("endpoint", endpoint)
        })?;
        Ok(self.subject.clone().unwrap_or_else(|| endpoint.subject.clone()))
    }

    fn send(self, client: &Client<App>, subject: &str) {
        let (sent, style) = (Instant::now(), self.style);
        let message = OutgoingMessage::new(subject, &*self.body);
        client.send_request(message, self.timeout, move |app: &mut App, client, reply| {
            let Some(reply) = app.check(client, reply) else { return };
            if let Some(reply) = app.check(client, check_reply(reply)) {
                app.output.reply(reply, sent.elapsed(), style);
                app.finish(client);
            }
        });
    }
}
