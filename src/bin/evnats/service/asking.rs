//! `service ls`, `info`, `stats`, `ping`: a question to services, and the list of their replies.

use super::not_found;
use crate::failure::Failure;
use crate::session::{App, Session};
use clap::Args;
use evnats::Client;
use evnats::service::{Discovered, DiscoveryOptions, Error};

/// All services, or some of them.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// Name of the services; if absent, all.
    name: Option<String>,
}

/// The instances of a service, or one.
#[derive(Debug, Args)]
pub(crate) struct Instances {
    /// Name of the service.
    name: String,
    /// Id of an instance; if absent, all.
    id: Option<String>,
}

impl Services {
    fn options(self) -> DiscoveryOptions {
        self.name.into_iter().fold(DiscoveryOptions::new(), DiscoveryOptions::name)
    }
}

impl Instances {
    fn options(&self) -> DiscoveryOptions {
        let options = DiscoveryOptions::new().name(&*self.name);
        self.id.iter().fold(options, |options, id| options.id(id))
    }
}

pub(crate) fn list(arguments: Services, session: Session) -> Result<(), Failure> {
    session.run(|_, client| {
        client.services_info(arguments.options(), |app: &mut App, client, found| {
            if let Some(found) = replies(app, client, found) {
                app.output.services(&found);
                app.finish(client);
            }
        });
        Ok(())
    })
}

pub(crate) fn ping(arguments: Services, session: Session) -> Result<(), Failure> {
    session.run(|app, _| {
        // sent when the connection stands, so that the time shown is that of the question
        app.once_connected(|_, client| {
            client.ping_services(arguments.options(), |app: &mut App, client, found| {
                if let Some(found) = replies(app, client, found) {
                    app.output.pinged_services(&found);
                    app.finish(client);
                }
            });
        });
        Ok(())
    })
}

pub(crate) fn info(arguments: Instances, session: Session) -> Result<(), Failure> {
    session.run(|_, client| {
        client.services_info(arguments.options(), move |app: &mut App, client, found| {
            if let Some(found) = some_replies(app, client, found, &arguments) {
                found.iter().for_each(|info| app.output.service(info));
                app.finish(client);
            }
        });
        Ok(())
    })
}

pub(crate) fn stats(arguments: Instances, session: Session) -> Result<(), Failure> {
    session.run(|_, client| {
        client.services_stats(arguments.options(), move |app: &mut App, client, found| {
            if let Some(found) = some_replies(app, client, found, &arguments) {
                found.iter().for_each(|stats| app.output.service_stats(stats));
                app.finish(client);
            }
        });
        Ok(())
    })
}

/// The replies. What is none is noted, for whoever wonders.
pub(super) fn replies<T>(
    app: &mut App,
    client: &Client<App>,
    found: Result<Discovered<T>, Error>,
) -> Option<Vec<T>> {
    let found = app.check(client, found)?;
    for reply in &found.unreadable {
        app.output.note(&format!("a reply that is none of a service: {}", reply.reason));
    }
    Some(found.services)
}

/// The replies, of which there has to be one.
fn some_replies<T>(
    app: &mut App,
    client: &Client<App>,
    found: Result<Discovered<T>, Error>,
    asked: &Instances,
) -> Option<Vec<T>> {
    let found = replies(app, client, found)?;
    if found.is_empty() {
        app.fail(client, not_found(&asked.name, asked.id.as_deref()));
        return None;
    }
    Some(found)
}
