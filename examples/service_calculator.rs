//! A calculator as a service: two instances share the work, callers tell results from errors, and an
//! instance that is replaced stops without losing a request.
//!
//! One endpoint takes its time and answers later, from a timer; one has a bug, which costs nobody but its
//! caller. `cargo run --example service_calculator` starts a server of its own; with `NATS_URL` it uses that
//! one.

use evnats::service::{
    Endpoint, EndpointConfig, Service, ServiceConfig, ServiceEvent, ServiceRequest, check_reply,
};
use evnats::{Client, EventLoop, Message, RequestError, Result};
use std::time::Duration;

const SUMS: u64 = 20;

#[derive(Default)]
struct App {
    /// The instances that run.
    services: Vec<Service<App>>,
    answered: u64,
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let mut app = App::default();
    // instances are mostly programs of their own
    for _ in 0..2 {
        let nats = event_loop.connect(&*url)?;
        app.services.push(serve(&nats)?);
    }
    let caller = event_loop.connect(url)?;
    // the instances are there when their flushes have been answered
    let other = caller.clone();
    app.services[1].client().flush(move |_, _, flushed| {
        flushed?;
        other.request("example.numbers.divide", "84 2", divided);
        Ok(())
    });
    app.services[0].client().flush(|_, _, flushed| Ok(flushed?));
    event_loop.run(&mut app)?;
    Ok(())
}

fn serve(nats: &Client<App>) -> Result<Service<App>> {
    let config = ServiceConfig::new("example_calculator", "1.0.0").description("adds and divides");
    let service = nats.service(config)?;
    let numbers = service.group("example.numbers");
    numbers.endpoint("add", add)?;
    numbers.endpoint("divide", divide)?;
    numbers.endpoint(EndpointConfig::new("power").metadata("state", "in development"), power)?;
    service.on_event(|_, _, event| {
        if let ServiceEvent::HandlerPanicked { endpoint, message } = event {
            println!("a bug in {endpoint}: {message}");
        }
    });
    Ok(service)
}

/// The two numbers that are asked about.
fn pair(request: &ServiceRequest) -> Option<(i64, i64)> {
    let text = request.text();
    let (one, other) = text.split_once(' ')?;
    Some((one.parse().ok()?, other.parse().ok()?))
}

/// Thinks for a while, and answers then. Other requests do not wait for that.
fn add(_: &mut App, endpoint: &Endpoint<App>, request: ServiceRequest) -> Result {
    let sum = pair(&request).and_then(|(one, other)| one.checked_add(other));
    endpoint.set_timer(Duration::from_millis(20), move |_, _| match sum {
        Some(sum) => request.respond(sum.to_string()),
        None => request.error(400, "not two numbers that can be added", ""),
    });
    Ok(())
}

fn divide(_: &mut App, _: &Endpoint<App>, request: ServiceRequest) -> Result {
    match pair(&request) {
        Some((_, 0)) => request.error(422, "nothing can be divided by zero", ""),
        Some((one, other)) => request.respond(one.wrapping_div(other).to_string()),
        None => request.error(400, "not two numbers", ""),
    }
}

/// Has a bug: it takes for granted what callers may get wrong.
fn power(_: &mut App, _: &Endpoint<App>, request: ServiceRequest) -> Result {
    let (base, exponent) = pair(&request).expect("two numbers");
    let power = u32::try_from(exponent).ok().and_then(|exponent| base.checked_pow(exponent));
    request.respond(power.map_or("too large".into(), |power| power.to_string()))
}

/// What a caller is told: a result, an error of the service, or that nobody has answered.
fn told(reply: Result<&Message, RequestError>) -> Result<String> {
    Ok(match check_reply(reply?) {
        Ok(result) => result.text().into_owned(),
        Err(error) => format!("error {}: {}", error.code, error.description),
    })
}

fn divided(_: &mut App, nats: &Client<App>, reply: Result<&Message, RequestError>) -> Result {
    println!("84 / 2 = {}", told(reply)?);
    nats.request("example.numbers.divide", "1 0", |_, nats, reply| {
        println!("1 / 0: {}", told(reply)?);
        nats.request("example.numbers.power", "two, ten times", |app, nats, reply| {
            println!("two, ten times: {}", told(reply)?);
            replace_an_instance(app, nats);
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

/// Asks for many sums, and stops one of the instances meanwhile.
fn replace_an_instance(app: &mut App, nats: &Client<App>) {
    for number in 0..SUMS {
        nats.request("example.numbers.add", format!("{number} 1"), move |app, nats, reply| {
            assert_eq!(told(reply)?, (number + 1).to_string());
            app.answered += 1;
            if app.answered == SUMS {
                println!("{SUMS} sums, each of them answered");
                finish(app, nats);
            }
            Ok(())
        });
    }
    let first = app.services.remove(0);
    // by then the requests have been handed to the instances
    nats.flush(move |_, _, flushed| {
        flushed?;
        first.stop(|_, first, stopped| {
            stopped?;
            println!("an instance has stopped, with nothing left to answer");
            first.client().drain();
            Ok(())
        });
        Ok(())
    });
}

fn finish(app: &mut App, nats: &Client<App>) {
    nats.drain();
    for service in app.services.drain(..) {
        service.stop(|_, service, stopped| {
            stopped?;
            service.client().drain();
            Ok(())
        });
    }
}
