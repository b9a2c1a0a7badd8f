//! Handlers that fail, and answers that cannot be sent: the caller is told, and the service lives on.

use super::bench::{Bench, events};
use super::support::{turn_until, unique};
use evnats::service::{
    EndpointConfig, ErrorReply, Service, ServiceConfig, ServiceEvent, check_reply,
};
use evnats::{Error, EventLoop, HeaderMap, OutgoingMessage};
use std::cell::Cell;
use std::rc::Rc;

/// A service with an endpoint that does what the request says.
fn start(bench: &Bench) -> (Service, String) {
    let subject = unique("e");
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let config = EndpointConfig::new("e").subject(&*subject);
    let endpoint = service.endpoint(config, |(), _, request| match &*request.text() {
        "error" => request.error(404, "no such\r\nthing", "what there is"),
        "fail" => Err(Error::other("out of\npaper")),
        "answer and fail" => {
            request.respond("an answer")?;
            Err(Error::other("out of ink"))
        }
        "panic" => panic!("a bug: {}", 7),
        "panic with a number" => std::panic::panic_any(7),
        "answer and panic" => {
            request.respond("an answer")?;
            panic!("another bug")
        }
        "header" => request.respond_with_headers(&HeaderMap::new().with("a:b", ""), ""),
        "too large" => request.respond(vec![0_u8; 1 << 21]),
        text => request.respond(text),
    });
    endpoint.expect("an endpoint");
    (service, subject)
}

fn error_of(reply: &evnats::Message) -> (String, String) {
    let ErrorReply { code, description, .. } = check_reply(reply).expect_err("an error");
    (code, description)
}

fn pair(code: &str, description: &str) -> (String, String) {
    (code.to_owned(), description.to_owned())
}

#[test]
fn an_error_is_answered_with_its_code_and_counted() {
    let bench = Bench::new();
    let (service, subject) = start(&bench);
    let reply = bench.request(&subject, "error").expect("a reply");
    assert_eq!(error_of(&reply), pair("404", "no such  thing"));
    assert_eq!(reply.text(), "what there is");
    let error = check_reply(&reply).expect_err("an error");
    assert_eq!(error.number(), Some(404));
    let error = Error::from(error);
    assert!(error.is_not_found() && error.downcast_ref::<ErrorReply>().is_some());
    let stats = &service.stats().endpoints[0];
    assert_eq!((stats.requests, stats.errors), (1, 1));
    assert_eq!(stats.last_error, "404:no such\r\nthing");
}

#[test]
fn a_handler_that_fails_or_panics_is_answered_for_and_the_service_lives_on() {
    let bench = Bench::new();
    let (service, subject) = start(&bench);
    let told = events(&service);
    let panicked = pair("500", "the handler of the request panicked");
    for (request, answer) in [
        ("fail", pair("500", "out of paper")),
        ("panic", panicked.clone()),
        ("panic with a number", panicked),
    ] {
        let reply = bench.request(&subject, request).expect("a reply");
        assert_eq!(error_of(&reply), answer, "{request}");
    }
    for request in ["answer and fail", "answer and panic"] {
        let reply = bench.request(&subject, request).expect("a reply");
        assert_eq!(check_reply(&reply).expect("no error").text(), "an answer", "{request}");
    }
    let reply = bench.request(&subject, "header").expect("a reply");
    assert_eq!(error_of(&reply).0, "500");
    assert_eq!(bench.request(&subject, "hello").expect("a reply").text(), "hello");
    bench.until("the events", || told.borrow().len() == 6);
    let handler = "the handler of endpoint \"e\"";
    let expected = [
        format!("{handler} failed: out of\npaper"),
        format!("{handler} panicked: a bug: 7"),
        format!("{handler} panicked: "),
        format!("{handler} failed: out of ink"),
        format!("{handler} panicked: another bug"),
    ];
    assert_eq!(told.borrow()[..5], expected);
    let stats = &service.stats().endpoints[0];
    assert_eq!((stats.requests, stats.errors), (7, 6));
    assert_eq!(service.open_requests(), 0);
}

#[test]
fn who_has_an_answer_is_not_told_that_the_handler_failed_after_it() {
    let bench = Bench::new();
    let (service, subject) = start(&bench);
    let answers = Rc::new(Cell::new(0));
    let counting = answers.clone();
    let inbox = bench.nats.new_inbox();
    let count = move |(): &mut (), _: &_, _: &_| counting.set(counting.get() + 1);
    bench.nats.subscribe(&inbox, count).expect("a subscription");
    for request in ["answer and fail", "answer and panic", "fail"] {
        let message = OutgoingMessage::new(&subject, request).reply(&inbox);
        bench.nats.send(message).expect("published");
    }
    // to the service, and back
    bench.flush();
    bench.flush();
    assert_eq!((answers.get(), service.stats().endpoints[0].errors), (3, 3));
}

#[test]
fn an_answer_that_is_too_large_is_an_error_for_the_caller() {
    let bench = Bench::new();
    let (service, subject) = start(&bench);
    let told = events(&service);
    let reply = bench.request(&subject, "too large").expect("a reply");
    let (code, description) = error_of(&reply);
    assert!(code == "500" && description.contains("max_payload"), "{code} {description}");
    bench.until("the event", || told.borrow().len() == 1);
    let event = told.borrow()[0].clone();
    assert!(event.contains(&subject) && event.contains("max_payload"), "{event}");
    let stats = &service.stats().endpoints[0];
    assert_eq!((stats.requests, stats.errors), (1, 1));
    assert_eq!(bench.nats.answers_failed(), 0, "those are the client's own");
}

#[test]
fn an_answer_after_the_clients_end_is_an_event_and_no_error() {
    let bench = Bench::new();
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let told = events(&service);
    let kept = Rc::new(Cell::new(None));
    let keeping = kept.clone();
    let config = EndpointConfig::new("e").subject(unique("e"));
    let endpoint = service.endpoint(config, move |(), _, request| keeping.set(Some(request)));
    let subject = endpoint.expect("an endpoint").info().subject.clone();
    bench.nats.send(OutgoingMessage::new(&subject, "").reply("r")).expect("published");
    bench.flush();
    bench.nats.close();
    bench.until("the end", || bench.event_loop.is_empty());
    let request = kept.take().expect("a request");
    request.respond("late").expect("no error of the program's");
    request.error(500, "late", "").expect("no error of the program's");
    bench.until("the events", || told.borrow().len() == 2);
    assert!(told.borrow().iter().all(|event| event.contains("closed")), "{told:?}");
}

#[test]
fn a_hook_that_fails_costs_nobody_an_event() {
    #[derive(Default)]
    struct App {
        told: u32,
    }
    let event_loop = EventLoop::<App>::new().expect("a loop");
    let nats = event_loop.connect(super::support::server().url().as_str()).expect("a client");
    let name = unique("s");
    let service = nats.service(ServiceConfig::new(&name, "1.0.0")).expect("a service");
    let failing = service.endpoint(&*name, |_, _, _| Err(Error::other("no")));
    failing.expect("an endpoint");
    service.on_event(|app: &mut App, _, event| {
        assert!(matches!(event, ServiceEvent::HandlerFailed { .. }));
        app.told += 1;
        Err(Error::other("nor this"))
    });
    for _ in 0..10 {
        nats.publish(&name, "").expect("published");
    }
    let (mut app, mut failed) = (App::default(), 0);
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while app.told < 10 {
        let turned = event_loop.dispatch(&mut app, Some(std::time::Duration::from_millis(50)));
        failed += u32::from(turned.is_err());
        assert!(std::time::Instant::now() < limit, "{} of 10", app.told);
    }
    assert_eq!(failed, 10);
    nats.close();
    turn_until(&event_loop, &mut app, "the end", |_| event_loop.is_empty());
}
