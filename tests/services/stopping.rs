//! How services end: by a stop that loses nothing, with their client, and not with their connection.

use super::bench::Bench;
use super::support::{fail, turn_until, unique};
use evnats::service::{
    DiscoveryOptions, EndpointConfig, Error, Service, ServiceConfig, ServiceState,
};
use evnats::{EventLoop, Options, OutgoingMessage, Replied, RequestManyOptions};
use evnats_harness::Server;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Ends that were told, in order.
type Ends = Rc<RefCell<Vec<(&'static str, Result<(), Error>)>>>;

fn stop(service: &Service, ends: &Ends, name: &'static str) {
    let ends = ends.clone();
    service.stop(move |(), service, end| {
        assert_eq!(service.state(), ServiceState::Ended);
        ends.borrow_mut().push((name, end));
    });
}

fn note_end(service: &Service, ends: &Ends) {
    let ends = ends.clone();
    service.on_end(move |(), _, end| ends.borrow_mut().push(("on_end", end)));
}

#[test]
fn a_stop_answers_what_is_on_its_way_and_calls_back_once() {
    let (bench, caller) = (Bench::new(), Bench::new());
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let ends = Ends::default();
    note_end(&service, &ends);
    let (subject, stopping) = (unique("e"), ends.clone());
    let config = EndpointConfig::new("e").subject(&*subject);
    service
        .endpoint(config, move |(), endpoint, request| {
            // with the first request, when the others have been sent
            if endpoint.service().state() == ServiceState::Running {
                stop(&endpoint.service(), &stopping, "first");
            }
            request.respond(request.payload())
        })
        .expect("an endpoint");
    bench.flush();
    let answered = Rc::new(Cell::new(0));
    for count in 0..100 {
        let answered = answered.clone();
        caller.nats.request(&subject, count.to_string(), move |(), _, reply| {
            assert_eq!(reply.expect("an answer").text(), count.to_string());
            answered.set(answered.get() + 1);
        });
    }
    caller.flush();
    bench.until("the end", || ends.borrow().len() == 2);
    assert_eq!(*ends.borrow(), [("first", Ok(())), ("on_end", Ok(()))]);
    bench.flush();
    caller.until("the answers", || answered.get() == 100);
    assert!(caller.request(&subject, "").expect_err("nobody").is_no_responders());
    let subject = format!("$SRV.PING.{}", service.name());
    assert!(caller.request(&subject, "").expect_err("nobody").is_no_responders());
    assert_eq!(bench.nats.subscription_count(), 0);
    // again, and too late
    stop(&service, &ends, "again");
    note_end(&service, &ends);
    assert_eq!(ends.borrow().len(), 2, "nothing within the call");
    bench.until("the end", || ends.borrow().len() == 3);
    bench.flush();
    assert_eq!(ends.borrow()[2..], [("again", Ok(()))]);
    let refused = service.endpoint("late", |(), _, _| {}).expect_err("refused");
    assert_eq!(refused.downcast_ref::<Error>(), Some(&Error::Stopped));
}

/// A service with a request that was kept.
fn with_kept_request(bench: &Bench, config: ServiceConfig) -> (Service, impl FnOnce()) {
    let service = bench.start(config);
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keeping = kept.clone();
    let config = EndpointConfig::new("e").subject(unique("e"));
    let endpoint = service
        .endpoint(config, move |(), _, request| keeping.borrow_mut().push(request))
        .expect("an endpoint");
    bench.nats.publish(&endpoint.info().subject, "").expect("published");
    bench.flush();
    assert_eq!(service.open_requests(), 1);
    (service, move || kept.borrow_mut().clear())
}

#[test]
fn a_stop_waits_for_requests_that_are_kept() {
    let bench = Bench::new();
    let config = ServiceConfig::new(unique("s"), "1.0.0").stop_timeout(Duration::from_secs(600));
    let (service, answer) = with_kept_request(&bench, config);
    let ends = Ends::default();
    stop(&service, &ends, "one");
    stop(&service, &ends, "two");
    assert_eq!(service.state(), ServiceState::Stopping);
    // the subscriptions have been drained by then
    bench.flush();
    bench.flush();
    assert_eq!((service.state(), ends.borrow().len()), (ServiceState::Stopping, 0));
    answer();
    bench.until("the end", || ends.borrow().len() == 2);
    assert_eq!(*ends.borrow(), [("one", Ok(())), ("two", Ok(()))]);
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let bench = Bench::new();
    let config = ServiceConfig::new(unique("s"), "1.0.0").stop_timeout(Duration::from_millis(20));
    let (service, _answer) = with_kept_request(&bench, config);
    let end = bench.wait(|done| service.stop(done));
    assert_eq!(end, Err(Error::Unanswered { requests: 1 }));
}

#[test]
fn a_client_that_ends_ends_its_services() {
    for drain in [false, true] {
        for stop_before in [false, true] {
            let bench = Bench::new();
            let config = ServiceConfig::new(unique("s"), "1.0.0");
            let (service, _answer) = with_kept_request(&bench, config);
            let ends = Ends::default();
            note_end(&service, &ends);
            if stop_before {
                stop(&service, &ends, "stop");
            }
            match drain {
                true => bench.nats.drain(),
                false => bench.nats.close(),
            }
            let expected = if stop_before { 2 } else { 1 };
            bench.until("the end", || ends.borrow().len() == expected);
            bench.until("the loop's end", || bench.event_loop.is_empty());
            let ended = Err(Error::ClientEnded);
            assert!(ends.borrow().iter().all(|(_, end)| *end == ended), "{ends:?}");
            assert_eq!((service.state(), ends.borrow().len()), (ServiceState::Ended, expected));
            assert_eq!(bench.wait(|done| service.stop(done)), ended);
        }
    }
}

#[test]
fn a_service_outlives_the_loss_of_its_server() {
    let mut server = Server::start();
    let (bench, caller) = (Bench::with(server.url()), Bench::with(server.url()));
    let name = unique("s");
    let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
    service.on_event(|(), _, event| fail(format!("{event}")));
    service.endpoint(&*name, |(), _, request| request.respond("ok")).expect("an endpoint");
    assert_eq!(bench.request(&name, "").expect("a reply").text(), "ok");
    caller.flush();
    let reconnected = |bench: &Bench| {
        let reconnected = Rc::new(Cell::new(false));
        let noting = reconnected.clone();
        bench.nats.on_reconnect(move |(), _, _| noting.set(true));
        reconnected
    };
    let (one, other) = (reconnected(&bench), reconnected(&caller));
    server.restart();
    bench.until("another connection", || one.get());
    bench.flush();
    caller.until("another connection", || other.get());
    let asked = Rc::new(Cell::new(None));
    let answer = asked.clone();
    let options = DiscoveryOptions::new().name(&*name).id(service.id());
    caller.nats.services_stats(options, move |(), _, found| answer.set(Some(found)));
    let found = loop {
        bench.flush();
        caller.flush();
        if let Some(found) = asked.take() {
            break found.expect("an answer").services;
        }
    };
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].identity.id, service.id());
    assert_eq!(found[0].endpoints[0].requests, 1, "it counts on");
}

#[test]
fn a_stop_without_a_connection_comes_to_its_end() {
    let mut server = Server::start();
    let options = Options::new(server.url()).request_timeout(Duration::from_millis(100));
    let bench = Bench::with(options);
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    service.endpoint("e", |(), _, _| {}).expect("an endpoint");
    bench.flush();
    let lost = Rc::new(Cell::new(false));
    let losing = lost.clone();
    bench.nats.on_disconnect(move |(), _, _| losing.set(true));
    server.kill9();
    bench.until("the loss", || lost.get());
    assert_eq!(bench.wait(|done| service.stop(done)), Ok(()));
    bench.nats.close();
}

#[test]
fn a_loop_that_is_dropped_drops_the_handlers_and_runs_none() {
    let held = Rc::new(());
    let event_loop = EventLoop::<()>::new().expect("a loop");
    let nats = event_loop.connect(super::support::server().url().as_str()).expect("a client");
    let service = nats.service(ServiceConfig::new(unique("s"), "1.0.0")).expect("a service");
    let (in_handler, in_hook, in_end) = (held.clone(), held.clone(), held.clone());
    let other = service.clone();
    let endpoint = service.endpoint("e", move |(), _, _| {
        let _held = &in_handler;
        fail(format!("{other:?}"))
    });
    drop(endpoint.expect("an endpoint"));
    service.on_event(move |(), _, _| fail(format!("{in_hook:?}")));
    service.on_end(move |(), _, _| fail(format!("{in_end:?}")));
    let kept = Rc::new(RefCell::new(Vec::new()));
    let (keeping, name) = (kept.clone(), unique("e"));
    let keeper = service.endpoint(&*name, move |(), _, request| keeping.borrow_mut().push(request));
    drop(keeper.expect("an endpoint"));
    nats.send(OutgoingMessage::new(&name, "").reply("r")).expect("published");
    turn_until(&event_loop, &mut (), "a request", |()| !kept.borrow().is_empty());
    drop((nats, event_loop));
    kept.borrow()[0].respond("too late").expect("no error of the program's");
    drop(service);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn what_is_asked_while_a_service_stops_has_an_answer_or_none_at_once() {
    let bench = Bench::new();
    let name = unique("s");
    let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
    bench.flush();
    service.stop(|(), _, end| end.expect("stopped"));
    let end = Rc::new(Cell::new(None));
    let ending = end.clone();
    let subject = format!("$SRV.PING.{name}");
    bench.nats.request_many(&subject, "", RequestManyOptions::new(), move |(), _, replied| {
        match replied {
            Replied::Message(message) => panic!("{message:?}"),
            Replied::Ended(ended) => ending.set(Some(ended)),
            other => panic!("{other:?}"),
        }
    });
    let mut ended = None;
    bench.until("the end", || {
        ended = ended.take().or_else(|| end.take());
        ended.is_some()
    });
    // the server has read the end of the subscription before the question
    assert!(ended.expect("an end").expect_err("nobody").is_no_responders());
}
