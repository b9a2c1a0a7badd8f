//! What a server does not permit is told by an event, and harms nothing else.

use super::bench::{Bench, events};
use super::support::url_for;
use evnats::OutgoingMessage;
use evnats::service::{Discovered, DiscoveryOptions, Error, PingedService, ServiceConfig};
use evnats_harness::Server;
use std::cell::RefCell;
use std::rc::Rc;

fn server(permissions: &str) -> Server {
    let config = format!(
        "authorization {{ users: [{{user: u, password: p, permissions: {{ {permissions} }} }}] }}"
    );
    Server::builder().config(config).start().expect("a server")
}

#[test]
fn an_endpoint_that_is_not_permitted_is_an_event_and_the_others_serve() {
    let server = server(r#"subscribe: {deny: ["secret"]}"#);
    let bench = Bench::with(url_for(&server, "u"));
    let service = bench.start(ServiceConfig::new("s", "1.0.0"));
    let told = events(&service);
    for name in ["secret", "open"] {
        service.endpoint(name, |(), _, request| request.respond("ok")).expect("an endpoint");
    }
    bench.until("the event", || !told.borrow().is_empty());
    let expected = r#"the server does not permit endpoint "secret" to listen on "secret""#;
    assert_eq!(*told.borrow(), [expected]);
    assert_eq!(bench.request("open", "").expect("a reply").text(), "ok");
    assert!(bench.request("secret", "").expect_err("nobody").is_no_responders());
    assert_eq!(bench.wait(|done| service.stop(done)), Ok(()), "what is not there is drained");
}

#[test]
fn a_subject_of_discovery_that_is_not_permitted_is_an_event() {
    let server = server(r#"subscribe: {deny: ["$SRV.PING", "$SRV.STATS.>"]}"#);
    let bench = Bench::with(url_for(&server, "u"));
    let service = bench.start(ServiceConfig::new("s", "1.0.0"));
    let told = events(&service);
    service.endpoint("open", |(), _, request| request.respond("ok")).expect("an endpoint");
    bench.until("the events", || told.borrow().len() == 3);
    let expected =
        ["$SRV.PING", "$SRV.STATS.s", &format!("$SRV.STATS.s.{}", service.id())].map(|subject| {
            format!("the server does not permit the service to be found on {subject:?}")
        });
    assert_eq!(*told.borrow(), expected);
    assert_eq!(bench.request("open", "").expect("a reply").text(), "ok");
    assert!(bench.request("$SRV.PING.s", "").is_ok());
    assert!(bench.request("$SRV.PING", "").expect_err("nobody").is_no_responders());
}

#[test]
fn a_question_that_is_not_permitted_is_an_error() {
    let server = server(r#"publish: {deny: ["$SRV.>"]}"#);
    let bench = Bench::with(url_for(&server, "u"));
    let found: Result<Discovered<PingedService>, Error> =
        bench.wait(|done| bench.nats.ping_services(DiscoveryOptions::new(), done));
    assert!(found.expect_err("denied").is_denied());
}

#[test]
fn an_answer_that_is_not_permitted_is_an_error_of_the_client() {
    let server = server(r#"publish: {deny: ["answers"]}"#);
    let bench = Bench::with(url_for(&server, "u"));
    let told = Rc::new(RefCell::new(Vec::new()));
    let telling = told.clone();
    bench.nats.on_error(move |(), _, error| telling.borrow_mut().push(error.to_string()));
    let service = bench.start(ServiceConfig::new("s", "1.0.0"));
    service.endpoint("open", |(), _, request| request.respond("ok")).expect("an endpoint");
    bench.nats.send(OutgoingMessage::new("open", "").reply("answers")).expect("published");
    bench.until("the error", || !told.borrow().is_empty());
    assert!(told.borrow()[0].contains("\"answers\""), "{told:?}");
    assert_eq!(bench.request("open", "").expect("a reply").text(), "ok");
}
