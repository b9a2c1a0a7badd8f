//! Finding services: all, by name, by id; and what else may reply.

use super::bench::Bench;
use super::support::unique;
use evnats::service::{
    Discovered, DiscoveryOptions, Error, PingedService, ServiceConfig, ServiceInfo, ServiceStats,
};
use evnats::{Options, RepliesEnd, RequestError};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

type Found<T> = Result<Discovered<T>, Error>;

/// Options for so many replies, which waits for them and for no longer.
fn named(name: &str, replies: u64) -> DiscoveryOptions {
    let options = DiscoveryOptions::new().name(name).timeout(LONG).stall(LONG);
    options.max_services(replies)
}

#[test]
fn services_are_found_by_name_and_by_id_and_among_all() {
    let (one, other, caller) = (Bench::new(), Bench::new(), Bench::new());
    let name = unique("s");
    let config = ServiceConfig::new(&name, "1.0.0").description("does it").metadata("zone", "a");
    let services = [one.start(config.clone()), other.start(config)];
    services[0].endpoint(&*name, |(), _, request| request.respond("ok")).expect("an endpoint");
    [&one, &other].into_iter().for_each(Bench::flush);
    let ask = |options: DiscoveryOptions| {
        let asked = std::rc::Rc::new(std::cell::Cell::new(None));
        let answer = asked.clone();
        caller.nats.ping_services(options, move |(), _, found| answer.set(Some(found)));
        loop {
            // the question is on its way to them, and their answers back
            [&caller, &one, &other].into_iter().for_each(Bench::flush);
            let found: Option<Found<PingedService>> = asked.take();
            if let Some(found) = found {
                break found.expect("replies");
            }
        }
    };
    let found = ask(named(&name, 2));
    let mut ids: Vec<_> = found.services.iter().map(|found| &*found.identity.id).collect();
    ids.sort_unstable();
    let mut expected = services.each_ref().map(|service| service.id());
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!((found.end, found.unreadable.len()), (Some(RepliesEnd::MaxMessages), 0));
    assert!(found.services.iter().all(|found| found.round_trip > Duration::ZERO));
    assert_eq!(found.services[0].identity.metadata["zone"], "a");

    let found = ask(named(&name, 9).id(services[1].id()));
    assert_eq!(found.services.len(), 1, "the only one that can be");
    assert_eq!(found.services[0].identity.id, services[1].id());

    // whoever else there is on the server
    let all = ask(DiscoveryOptions::new().timeout(LONG).stall(Duration::from_secs(2)));
    let ours = all.services.iter().filter(|found| found.identity.name == name);
    assert_eq!((ours.count(), all.end), (2, Some(RepliesEnd::Stall)));
}

#[test]
fn what_a_service_is_and_has_done_is_what_it_says_itself() {
    let bench = Bench::new();
    let name = unique("s");
    let service = bench.start(ServiceConfig::new(&name, "1.0.0").description("does it"));
    service.on_stats(|(), _| Some(serde_json::json!(7)));
    service.endpoint(&*name, |(), _, request| request.error(400, "no", "")).expect("an endpoint");
    bench.request(&name, "").expect("a reply");
    let info: Found<ServiceInfo> =
        bench.wait(|done| bench.nats.services_info(named(&name, 1), done));
    assert_eq!(info.expect("a reply").services, [service.info()]);
    let stats: Found<ServiceStats> =
        bench.wait(|done| bench.nats.services_stats(named(&name, 1), done));
    let mut stats = stats.expect("a reply").services;
    assert_eq!(stats[0].endpoints[0].data.take(), Some(serde_json::json!(7)));
    let mut own = service.stats();
    // a time is told in microseconds
    let (told, started) = (stats[0].started.take(), own.started.take());
    let difference = started.expect("a time").duration_since(told.expect("a time"));
    assert!(difference.expect("no later") < Duration::from_micros(1));
    assert_eq!(stats, [own]);
}

#[test]
fn that_there_is_no_such_service_is_an_empty_list() {
    let bench = Bench::new();
    for options in [named("nobody", 9), named("nobody", 9).id("none")] {
        let found: Found<PingedService> =
            bench.wait(|done| bench.nats.ping_services(options, done));
        let found = found.expect("no error");
        assert_eq!((found.services.len(), found.end), (0, None));
    }
    // somebody listens there, and does not reply
    let _silent = bench.nats.subscribe("$SRV.PING.silent", |(), _, _| {}).expect("a subscription");
    let options = named("silent", 9).timeout(Duration::from_millis(50));
    let found: Found<PingedService> = bench.wait(|done| bench.nats.ping_services(options, done));
    let found = found.expect("no error");
    assert_eq!((found.services.len(), found.end), (0, Some(RepliesEnd::Timeout)));
}

#[test]
fn what_is_no_reply_is_told_apart() {
    let bench = Bench::new();
    let name = unique("s");
    let service = bench.start(ServiceConfig::new(&name, "1.0.0"));
    let junk = bench.nats.subscribe(&format!("$SRV.INFO.{name}"), |(), junk, message| {
        for text in ["", "hello", "{}", r#"{"type":"io.nats.micro.v1.ping_response"}"#] {
            junk.client().respond(message, text)?;
        }
        Ok(())
    });
    junk.expect("a subscription");
    let found: Found<ServiceInfo> =
        bench.wait(|done| bench.nats.services_info(named(&name, 5), done));
    let found = found.expect("no error");
    assert_eq!(found.services, [service.info()]);
    assert_eq!(found.unreadable.len(), 4);
    assert_eq!(found.unreadable[1].message.text(), "hello");
    assert!(found.unreadable.iter().all(|reply| !reply.reason.is_empty()));
}

#[test]
fn a_question_that_cannot_be_asked_is_an_error_in_the_next_turn() {
    let bench = Bench::new();
    let ask = |options: DiscoveryOptions| -> Found<PingedService> {
        bench.wait(|done| bench.nats.ping_services(options, done))
    };
    assert_eq!(ask(DiscoveryOptions::new().id("a")), Err(Error::IdWithoutName));
    let invalid = ask(DiscoveryOptions::new().name("a.*"));
    assert_eq!(invalid, Err(Error::InvalidName { name: "a.*".into() }));
    let prefix = ask(DiscoveryOptions::new().prefix("a b"));
    assert!(matches!(prefix, Err(Error::Request(RequestError::Command(_)))), "{prefix:?}");
    // nobody has mapped services to there
    let other = ask(DiscoveryOptions::new().prefix(unique("other")));
    assert_eq!(other.expect("no error").end, None);
    bench.nats.close();
    let closed = ask(DiscoveryOptions::new()).expect_err("closed");
    assert!(closed.is_closed(), "{closed}");
}

#[test]
fn a_question_that_was_never_sent_is_an_error() {
    // a port where nobody listens
    let options = Options::new("nats://127.0.0.1:1").retry_first_connect(true);
    let bench = Bench::with(options);
    let options = DiscoveryOptions::new().timeout(Duration::from_millis(50));
    let found: Found<PingedService> = bench.wait(|done| bench.nats.ping_services(options, done));
    assert_eq!(found, Err(Error::Request(RequestError::NeverSent)));
}
