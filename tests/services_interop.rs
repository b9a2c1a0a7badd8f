//! Services of other clients: they find and call ours, and we theirs. nats-py runs in a process of its own,
//! as `.ci/interop` installs it.

#[path = "interop/peer.rs"]
mod peer;
mod support;

use evnats::service::{
    Discovered, DiscoveryOptions, EndpointConfig, Error, PingedService, ServiceConfig, ServiceInfo,
    ServiceStats, check_reply,
};
use evnats::{Message, OutgoingMessage};
use evnats_harness::skip;
use peer::{Library, Peer};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use support::asking::Asking;
use support::{server, unique};

const LONG: Duration = Duration::from_secs(60);

/// Leaves the test where nats-py is missing.
macro_rules! start_peer {
    () => {{
        if let Some(missing) = Library::NatsPy.missing() {
            skip!(missing);
        }
        Peer::start(Library::NatsPy, &server().url())
    }};
}

#[track_caller]
fn request(asking: &Asking, subject: &str, payload: &str) -> Message {
    let kept = Rc::new(RefCell::new(None));
    let keeping = kept.clone();
    let message = OutgoingMessage::new(subject, payload);
    asking.nats.send_request(message, LONG, move |(), _, reply| {
        keeping.replace(Some(reply.cloned()));
    });
    asking.until("a reply", || kept.borrow().is_some());
    kept.take().expect("a reply").expect("no error")
}

#[test]
fn services_of_nats_py_are_found_and_answer() {
    let mut peer = start_peer!();
    let (asking, name, group) = (Asking::new(), unique("theirs"), unique("g"));
    let id = peer.run("serve", json!({ "name": name, "group": group }));
    let id = id.as_str().expect("an id");
    let options = || DiscoveryOptions::new().name(&*name).id(id).timeout(LONG).stall(LONG);

    let found: Result<Discovered<PingedService>, Error> =
        asking.ask(|done| asking.nats.ping_services(options(), done));
    let identity = found.expect("replies").services.remove(0).identity;
    assert_eq!((&*identity.name, &*identity.id, &*identity.version), (&*name, id, "1.2.3"));
    assert_eq!(identity.metadata["by"], "nats.py");

    let found: Result<Discovered<ServiceInfo>, Error> =
        asking.ask(|done| asking.nats.services_info(options(), done));
    let info = found.expect("replies").services.remove(0);
    assert_eq!((&info.identity, &*info.description), (&identity, "echoes"));
    let endpoints: Vec<_> = info.endpoints.iter().map(|endpoint| &*endpoint.subject).collect();
    assert_eq!(endpoints, ["echo", "refuse", "fail"].map(|name| format!("{group}.{name}")));
    assert_eq!(info.endpoints[0].queue_group, "workers");

    let reply = request(&asking, &format!("{group}.echo"), "hello");
    let reply = check_reply(&reply).expect("no error");
    assert_eq!((&*reply.text(), reply.headers().get("Heard").as_deref()), ("hello", Some("yes")));
    let refused = request(&asking, &format!("{group}.refuse"), "");
    let error = check_reply(&refused).expect_err("an error");
    assert_eq!((error.number(), &*error.description), (Some(404), "no such thing"));
    let failed = request(&asking, &format!("{group}.fail"), "");
    let error = check_reply(&failed).expect_err("an error");
    assert_eq!((&*error.code, &*error.description), ("500", "ValueError('a bug')"));

    let found: Result<Discovered<ServiceStats>, Error> =
        asking.ask(|done| asking.nats.services_stats(options(), done));
    let stats = found.expect("replies").services.remove(0);
    assert!(stats.started.is_some());
    let counts: Vec<_> = stats.endpoints.iter().map(|one| (one.requests, one.errors)).collect();
    assert_eq!(counts, [(1, 0), (1, 1), (1, 1)]);
    assert!(stats.endpoints[0].processing_time > Duration::ZERO);

    peer.run("stop_service", json!({}));
    let found: Result<Discovered<PingedService>, Error> =
        asking.ask(|done| asking.nats.ping_services(options(), done));
    assert!(found.expect("no error").services.is_empty());
}

#[test]
fn nats_py_finds_our_services_and_calls_them() {
    let mut peer = start_peer!();
    let name: &'static str = unique("ours").leak();
    let asking = Asking::new();
    let config = ServiceConfig::new(name, "1.0.0").description("echoes").metadata("by", "evnats");
    let service = asking.nats.service(config).expect("a service");
    let config = EndpointConfig::new("echo").metadata("unit", "words");
    let echoes = service.group(name).endpoint(config, |(), _, request| match &*request.text() {
        "refuse" => request.error(404, "no such thing", "what there is"),
        "fail" => Err(evnats::Error::other("a bug")),
        text => request.respond(text),
    });
    // nats.py reads no statistics without data, which ADR-32 permits
    service.on_stats(|(), _| Some(json!({"words": 3})));
    let subject = echoes.expect("an endpoint").info().subject.clone();
    support::flush(&asking.event_loop, &mut (), &asking.nats);
    let id = service.id().to_owned();

    // the peer is asked in a thread of its own, while the loop serves it
    let asker = std::thread::spawn(move || {
        let texts = ["hello", "refuse", "fail"]
            .map(|text| peer.run("request", json!({ "subject": subject, "text": text })));
        let records = ["PING", "INFO", "STATS"]
            .map(|verb| peer.run("ask_service", json!({ "verb": verb, "name": name, "id": id })));
        [texts, records].concat()
    });
    asking.until("the answers", || asker.is_finished());
    let heard: Vec<Value> = asker.join().expect("a peer that is content");
    let [hello, refused, failed, ping, info, stats] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((&hello["text"], &hello["headers"]), (&json!("hello"), &json!({})));
    assert_eq!(refused["text"], "what there is");
    assert_eq!(refused["headers"]["Nats-Service-Error"], "no such thing");
    assert_eq!(refused["headers"]["Nats-Service-Error-Code"], "404");
    assert_eq!(failed["headers"]["Nats-Service-Error"], "a bug");
    assert_eq!(failed["headers"]["Nats-Service-Error-Code"], "500");
    assert_eq!((&ping["id"], &ping["metadata"]), (&json!(service.id()), &json!({"by": "evnats"})));
    assert_eq!(info["endpoints"][0]["metadata"], json!({"unit": "words"}));
    assert_eq!(info["endpoints"][0]["queue_group"], "q");
    let echoes = &stats["endpoints"][0];
    assert_eq!((&echoes["num_requests"], &echoes["num_errors"]), (&json!(3), &json!(2)));
    assert_eq!(
        (&echoes["last_error"], &echoes["data"]),
        (&json!("500:a bug"), &json!({"words": 3}))
    );
}
