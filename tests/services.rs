//! Services (ADR-32): requests, errors, counts, queue groups, and how they end.

#[path = "services/bench.rs"]
mod bench;
#[path = "services/denied.rs"]
mod denied;
#[path = "services/discovery.rs"]
mod discovery;
#[path = "services/failing.rs"]
mod failing;
#[path = "services/questions.rs"]
mod questions;
#[path = "services/stopping.rs"]
mod stopping;
mod support;

use bench::Bench;
use evnats::service::{
    EndpointConfig, Error, QueueGroup, ServiceConfig, ServiceRequest, check_reply,
};
use evnats::{CommandError, HeaderMap, OutgoingMessage, Replied, RequestManyOptions};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use support::{fail, unique};

#[test]
fn a_handler_gets_the_state_the_endpoint_and_the_request() {
    let name = unique("calc");
    let handled: u32 = support::run(|nats| {
        let service = nats.service(ServiceConfig::new(&name, "1.0.0")).expect("a service");
        let config = EndpointConfig::new("add").subject(format!("{name}.add.*"));
        let add = service.endpoint(config, |handled: &mut u32, endpoint, request| {
            *handled += 1;
            assert_eq!(endpoint.info().name, "add");
            assert_eq!(endpoint.service().state(), evnats::service::ServiceState::Running);
            let unit = request.subject().rsplit('.').next().unwrap_or_default().to_owned();
            let kind = request.headers().get("Kind").unwrap_or_default().into_owned();
            assert!(request.reply().is_some());
            let headers = HeaderMap::new().with("Unit", unit);
            request.respond_with_headers(&headers, format!("{kind} {}", request.text()))
        });
        add.expect("an endpoint");
        let subject = format!("{name}.add.eggs");
        let headers = HeaderMap::new().with("Kind", "fresh");
        let message = OutgoingMessage::new(&subject, "7").headers(&headers);
        nats.send_request(message, Duration::from_secs(60), |_, nats, reply| {
            let reply = check_reply(reply.expect("a reply")).expect("no error");
            assert_eq!(reply.text(), "fresh 7");
            assert_eq!(reply.headers().get("Unit").as_deref(), Some("eggs"));
            nats.close();
        });
    });
    assert_eq!(handled, 1);
}

#[test]
fn names_versions_and_subjects_that_cannot_be_are_refused() {
    let bench = Bench::new();
    let refused = |name: &str, version: &str| {
        let refused = bench.nats.service(ServiceConfig::new(name, version));
        refused.expect_err("refused").downcast_ref::<Error>().expect("an error of services").clone()
    };
    assert_eq!(refused("a.b", "1.0.0"), Error::InvalidName { name: "a.b".into() });
    assert_eq!(refused("a", "1.0"), Error::InvalidVersion { version: "1.0".into() });
    assert_eq!(bench.nats.subscription_count(), 0, "nothing is left of them");

    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let refused = |config: EndpointConfig| {
        let refused = service.endpoint(config, |(), _, _| {}).expect_err("refused");
        refused.downcast_ref::<Error>().expect("an error of services").clone()
    };
    assert!(matches!(refused("a b".into()), Error::InvalidName { .. }));
    let subject = EndpointConfig::new("a").subject("a b");
    assert!(matches!(refused(subject), Error::Command(CommandError::Subject(_))));
    let queue_group = EndpointConfig::new("a").queue_group("a b");
    assert!(matches!(refused(queue_group), Error::Command(CommandError::QueueGroup(_))));
    for prefix in ["a.>", "a..b", " "] {
        let refused = service.group(prefix).endpoint("b", |(), _, _| {}).expect_err("refused");
        let error = refused.downcast_ref::<Error>().expect("an error of services");
        assert!(matches!(error, Error::Command(CommandError::Subject(_))), "{prefix}: {error}");
    }
    assert!(service.info().endpoints.is_empty(), "nothing is left of them");
    bench.nats.close();
    bench.until("the end", || bench.event_loop.is_empty());
    let closed = bench.nats.service(ServiceConfig::new("a", "1.0.0")).expect_err("closed");
    let closed = closed.downcast_ref::<Error>().expect("an error of services");
    assert!(closed.is_closed());
}

#[test]
fn groups_join_their_prefixes_and_the_innermost_queue_group_counts() {
    let bench = Bench::new();
    let config = ServiceConfig::new(unique("s"), "1.0.0").queue_group("service");
    let service = bench.start(config);
    let add = |group: &evnats::service::ServiceGroup, config: EndpointConfig| {
        let endpoint = group.endpoint(config, |(), _, request| request.respond("ok"));
        let info = endpoint.expect("an endpoint").info().clone();
        (info.subject, info.queue_group)
    };
    let pair = |subject: &str, queue_group: &str| (subject.to_owned(), queue_group.to_owned());
    let numbers = service.group("numbers");
    assert_eq!(add(&numbers, "add".into()), pair("numbers.add", "service"));
    let v1 = numbers.group("").group("v1").queue_group("workers");
    assert_eq!(v1.prefix(), "numbers.v1");
    assert_eq!(add(&v1, "add".into()), pair("numbers.v1.add", "workers"));
    let config = EndpointConfig::new("add").subject("plus").queue_group("few");
    assert_eq!(add(&v1, config), pair("numbers.v1.plus", "few"));
    let all = v1.group("all").queue_group(QueueGroup::Disabled);
    assert_eq!(add(&all, "add".into()), pair("numbers.v1.all.add", ""));
    assert_eq!(add(&service.group(""), "plain".into()), pair("plain", "service"));
    let default = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    assert_eq!(add(&default.group(""), "plain".into()), pair("plain", "q"));
}

/// Starts two instances of a service on clients of their own, with endpoints whose requests are counted,
/// and sends each endpoint as many requests. Returns what the instances have counted.
fn handled_by_two(queue_group: impl Into<QueueGroup>, requests: u64) -> [u64; 2] {
    let (one, other, caller) = (Bench::new(), Bench::new(), Bench::new());
    let (name, queue_group) = (unique("s"), queue_group.into());
    let start = |bench: &Bench| {
        let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
        let config = EndpointConfig::new("e").subject(format!("{name}.e"));
        let config = config.queue_group(queue_group.clone());
        let endpoint = service.endpoint(config, |(), _, request| request.respond("ok"));
        bench.flush();
        endpoint.expect("an endpoint")
    };
    let endpoints = [start(&one), start(&other)];
    for _ in 0..requests {
        caller.nats.publish(&format!("{name}.e"), "").expect("published");
    }
    caller.flush();
    // what the server has routed is ahead of the answer to this
    one.flush();
    other.flush();
    endpoints.map(|endpoint| endpoint.stats().requests)
}

#[test]
fn instances_share_their_requests_unless_that_is_disabled() {
    let [one, other] = handled_by_two(QueueGroup::Inherited, 200);
    assert_eq!(one + other, 200);
    assert!(one > 0 && other > 0, "{one} and {other}");
    let [one, other] = handled_by_two("workers", 200);
    assert_eq!(one + other, 200);
    assert_eq!(handled_by_two(QueueGroup::Disabled, 20), [20, 20]);
}

#[test]
fn a_request_may_be_kept_and_answered_later_more_than_once() {
    let bench = Bench::new();
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let kept = Rc::new(RefCell::new(Vec::<ServiceRequest>::new()));
    let keeping = kept.clone();
    let config = EndpointConfig::new("slow").subject(unique("slow"));
    let endpoint = service
        .endpoint(config, move |(), _, request| keeping.borrow_mut().push(request))
        .expect("an endpoint");
    let (told, end) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(None)));
    let (telling, ending) = (told.clone(), end.clone());
    let options = RequestManyOptions::new().until_empty().timeout(Duration::from_secs(60));
    bench.nats.request_many(&endpoint.info().subject, "?", options, move |(), _, replied| {
        match replied {
            Replied::Message(message) => telling.borrow_mut().push(message.text().into_owned()),
            Replied::Ended(ended) => ending.set(Some(ended)),
            other => panic!("{other:?}"),
        }
    });
    bench.until("a request", || kept.borrow().len() == 1);
    assert_eq!(service.open_requests(), 1);
    let request = kept.borrow_mut().pop().expect("a request");
    let also = request.clone();
    drop(request);
    for text in ["one", "two", ""] {
        also.respond(text).expect("an answer");
    }
    bench.until("the end", || end.take().is_some());
    assert_eq!(*told.borrow(), ["one", "two"]);
    drop(also);
    assert_eq!(service.open_requests(), 0);
    let stats = endpoint.stats();
    assert_eq!((stats.requests, stats.errors), (1, 0));
}

#[test]
fn a_request_without_a_reply_subject_is_handled_and_counted() {
    let bench = Bench::new();
    let service = bench.start(ServiceConfig::new(unique("s"), "1.0.0"));
    let config = EndpointConfig::new("e").subject(unique("e"));
    let endpoint = service
        .endpoint(config, |(), _, request| {
            assert_eq!(request.reply(), None);
            request.respond("nobody hears it")?;
            request.error(404, "nor this", "")?;
            Err(evnats::Error::other("nor that"))
        })
        .expect("an endpoint");
    bench.nats.publish(&endpoint.info().subject, "").expect("published");
    bench.flush();
    let stats = endpoint.stats();
    assert_eq!((stats.requests, stats.errors), (1, 2));
    assert_eq!(stats.last_error, "500:nor that");
    assert_eq!(bench.nats.answers_failed(), 0);
}

#[test]
fn services_of_a_client_do_not_touch_each_other_nor_its_hooks() {
    let bench = Bench::new();
    let errors = Rc::new(Cell::new(0));
    let counting = errors.clone();
    bench.nats.on_error(move |(), _, _| counting.set(counting.get() + 1));
    let closed = Rc::new(Cell::new(0));
    let closing = closed.clone();
    bench.nats.on_close(move |(), _, _| closing.set(closing.get() + 1));
    let names = [unique("one"), unique("other")];
    let services = names.clone().map(|name| {
        let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
        service.on_event(|(), _, event| fail(format!("{event}")));
        let answer = name.clone();
        let endpoint = service.endpoint(&*name, move |(), _, request| request.respond(&*answer));
        endpoint.expect("an endpoint");
        service
    });
    assert_ne!(services[0].id(), services[1].id());
    assert_eq!(services[0].id().len(), 22);
    for name in &names {
        assert_eq!(bench.request(name, "").expect("a reply").text(), *name);
    }
    bench.wait(|done| services[0].stop(done)).expect("stopped");
    assert!(bench.request(&names[0], "").expect_err("nobody").is_no_responders());
    assert_eq!(bench.request(&names[1], "").expect("a reply").text(), names[1]);
    // the client's hook is there still
    let inbox = bench.nats.new_inbox();
    bench
        .nats
        .subscribe(&inbox, |(), heard, message| {
            heard.client().respond(message, vec![0_u8; 1 << 21])
        })
        .expect("a subscription");
    bench.nats.send(OutgoingMessage::new(&inbox, "").reply("r")).expect("published");
    bench.until("an error of the client's", || errors.get() == 1);
    bench.nats.close();
    bench.until("the end", || closed.get() == 1);
}

#[test]
fn a_service_may_be_started_before_there_is_a_connection() {
    let bench = Bench::new();
    assert_eq!(bench.nats.state(), evnats::ConnectionState::Connecting);
    let name = unique("early");
    let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
    service.endpoint(&*name, |(), _, request| request.respond("ok")).expect("an endpoint");
    assert_eq!(bench.request(&name, "").expect("a reply").text(), "ok");
}
