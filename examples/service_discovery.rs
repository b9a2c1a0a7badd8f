//! What runs here? Finds services that it knows nothing of, learns what they answer to, calls the one that
//! has the least to do, and watches how they do.
//!
//! `cargo run --example service_discovery` starts a server of its own, and services on it; with `NATS_URL` it
//! uses that one.

use evnats::service::{Discovered, DiscoveryOptions, Service, ServiceConfig, ServiceStats};
use evnats::{Client, EventLoop, Result};
use std::time::Duration;

/// Instances of the service, each in another zone.
const ZONES: [&str; 3] = ["north", "south", "west"];

#[derive(Default)]
struct App {
    services: Vec<Service<App>>,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let nats = event_loop.connect(url)?;
    let mut app = App::default();
    for (zone, jobs) in ZONES.into_iter().zip([7, 2, 5]) {
        app.services.push(start(&nats, zone, jobs)?);
    }
    // nobody knows how many there are: whoever has not replied in a second after the others is not waited for
    let options = DiscoveryOptions::new().name("example_printer").stall(Duration::from_secs(1));
    nats.services_info(options.clone(), move |_, nats, found| {
        let found = found?;
        println!("{} printers", found.services.len());
        for printer in &found.services {
            for endpoint in &printer.endpoints {
                println!("{} listens on {}", printer.identity.metadata["zone"], endpoint.name);
            }
        }
        nats.services_stats(options, choose);
        Ok(())
    });
    event_loop.run(&mut app)?;
    Ok(())
}

/// Starts a printer, which tells in its statistics how many jobs wait for it. Each has an address of its
/// own, so that it can be chosen.
fn start(nats: &Client<App>, zone: &'static str, jobs: u64) -> Result<Service<App>> {
    let config = ServiceConfig::new("example_printer", "2.1.0").metadata("zone", zone);
    let service = nats.service(config)?;
    service.group(&format!("example.{zone}")).endpoint("print", move |_, _, request| {
        request.respond(format!("{} is printed in the {zone}", request.text()))
    })?;
    service.on_stats(move |_, _| Some(jobs.into()));
    Ok(service)
}

/// How many jobs wait for a printer, if it says so.
fn jobs(printer: &ServiceStats) -> Option<u64> {
    printer.endpoints.first()?.data.as_ref()?.as_u64()
}

fn choose(
    _: &mut App,
    nats: &Client<App>,
    found: Result<Discovered<ServiceStats>, evnats::service::Error>,
) -> Result {
    let printers = found?.services;
    let idlest = printers
        .iter()
        .filter_map(|printer| Some((jobs(printer)?, printer)))
        .min_by_key(|(jobs, _)| *jobs);
    let Some((jobs, printer)) = idlest else {
        println!("no printer");
        nats.drain();
        return Ok(());
    };
    println!("the {} has the least to do: {jobs} jobs", printer.identity.metadata["zone"]);
    let one = DiscoveryOptions::new().name("example_printer").id(&*printer.identity.id);
    nats.request(&printer.endpoints[0].subject, "a poster", move |_, nats, reply| {
        println!("{}", reply?.text());
        nats.services_stats(one, |app: &mut App, nats, found| {
            for printer in found?.services {
                println!("it has answered {} request", printer.endpoints[0].requests);
            }
            stop_all(app, nats);
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

/// Stops the printers, and looks again.
fn stop_all(app: &mut App, nats: &Client<App>) {
    for service in app.services.drain(..) {
        service.stop(|_, _, stopped| Ok(stopped?));
    }
    nats.flush(|_, nats, flushed| {
        flushed?;
        nats.ping_services(DiscoveryOptions::new().name("example_printer"), |_, nats, found| {
            println!("{} printers", found?.services.len());
            nats.drain();
            Ok(())
        });
        Ok(())
    });
}
