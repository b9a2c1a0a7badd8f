//! What services say of themselves when they are asked: `PING`, `INFO` and `STATS`.

use super::bench::{Bench, events};
use super::support::unique;
use evnats::OutgoingMessage;
use evnats::service::{EndpointConfig, QueueGroup, Service, ServiceConfig};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

fn start(bench: &Bench) -> Service {
    let name = unique("calc");
    let config = ServiceConfig::new(&name, "1.2.3-rc.1").description("adds").metadata("zone", "a");
    let service = bench.start(config);
    let group = service.group(&name);
    let add = EndpointConfig::new("add").metadata("unit", "eggs");
    group.endpoint(add, |(), _, request| request.respond("ok")).expect("an endpoint");
    let all = EndpointConfig::new("all").subject("every.*").queue_group(QueueGroup::Disabled);
    group.endpoint(all, |(), _, request| request.error(400, "no", "")).expect("an endpoint");
    service
}

/// Asks on the subjects of the service's name and of its id, with whatever payload, and compares.
#[track_caller]
fn ask(bench: &Bench, service: &Service, verb: &str) -> Value {
    let by_name = format!("$SRV.{verb}.{}", service.name());
    let by_id = format!("{by_name}.{}", service.id());
    let answers = [(&by_name, ""), (&by_id, "{}"), (&by_id, "\0junk")].map(|(subject, payload)| {
        let reply = bench.request(subject, payload).expect("a reply");
        serde_json::from_slice::<Value>(reply.payload()).expect("a document")
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    answers[0].clone()
}

#[test]
fn a_service_is_described_in_the_words_of_adr_32() {
    let bench = Bench::new();
    let service = start(&bench);
    let (name, id) = (service.name(), service.id());
    let expected = json!({
        "type": "io.nats.micro.v1.ping_response",
        "name": name, "id": id, "version": "1.2.3-rc.1", "metadata": {"zone": "a"},
    });
    assert_eq!(ask(&bench, &service, "PING"), expected);
    let expected = json!({
        "type": "io.nats.micro.v1.info_response",
        "name": name, "id": id, "version": "1.2.3-rc.1", "metadata": {"zone": "a"},
        "description": "adds",
        "endpoints": [
            {"name": "add", "subject": format!("{name}.add"), "queue_group": "q",
                "metadata": {"unit": "eggs"}},
            {"name": "all", "subject": format!("{name}.every.*"), "queue_group": "",
                "metadata": {}},
        ],
    });
    assert_eq!(ask(&bench, &service, "INFO"), expected);
    // also what was added later
    service.endpoint(&*unique("late"), |(), _, _| {}).expect("an endpoint");
    let info = ask(&bench, &service, "INFO");
    assert_eq!(info["endpoints"].as_array().map(Vec::len), Some(3));
}

#[test]
fn statistics_count_from_the_start_or_from_the_reset() {
    let bench = Bench::new();
    let before = SystemTime::now();
    let service = start(&bench);
    let name = service.name().to_owned();
    for _ in 0..3 {
        bench.request(&format!("{name}.add"), "").expect("a reply");
    }
    bench.request(&format!("{name}.every.one"), "").expect("a reply");
    let stats = ask(&bench, &service, "STATS");
    assert_eq!(stats["type"], "io.nats.micro.v1.stats_response");
    let [add, all] = &stats["endpoints"].as_array().expect("a list")[..] else {
        panic!("{stats}");
    };
    let mut keys: Vec<_> = add.as_object().expect("a map").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "average_processing_time",
        "last_error",
        "name",
        "num_errors",
        "num_requests",
        "processing_time",
        "queue_group",
        "subject",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&add["num_requests"], &add["num_errors"]), (&json!(3), &json!(0)));
    assert_eq!(add["last_error"], "");
    let time = add["processing_time"].as_u64().expect("nanoseconds");
    assert!(time > 0);
    assert_eq!(add["average_processing_time"], time / 3);
    assert_eq!((&all["num_requests"], &all["num_errors"]), (&json!(1), &json!(1)));
    assert_eq!(all["last_error"], "400:no");
    let own = service.stats();
    assert_eq!(own.endpoints[0].processing_time, Duration::from_nanos(time));
    let started = own.started.expect("a time");
    assert!(started >= before && started <= SystemTime::now());
    let written = stats["started"].as_str().expect("a time");
    assert!(written.ends_with('Z'), "{written}");

    service.reset();
    let stats = ask(&bench, &service, "STATS");
    for endpoint in stats["endpoints"].as_array().expect("a list") {
        for count in ["num_requests", "num_errors", "processing_time", "average_processing_time"] {
            assert_eq!(endpoint[count], 0, "{count}");
        }
        assert_eq!(endpoint["last_error"], "");
    }
    assert!(service.stats().started.expect("a time") >= started);
}

#[test]
fn a_stats_handler_adds_data_and_its_panic_is_an_event() {
    let bench = Bench::new();
    let service = start(&bench);
    let told = events(&service);
    service.on_stats(|(), endpoint| match &*endpoint.info().name {
        "add" => Some(json!({"eggs": endpoint.stats().requests})),
        _ => None,
    });
    bench.request(&format!("{}.add", service.name()), "").expect("a reply");
    let stats = ask(&bench, &service, "STATS");
    assert_eq!(stats["endpoints"][0]["data"], json!({"eggs": 1}));
    assert_eq!(stats["endpoints"][1].get("data"), None);
    service.on_stats(|(), endpoint| match &*endpoint.info().name {
        "add" => panic!("a bug"),
        _ => Some(json!(7)),
    });
    let subject = format!("$SRV.STATS.{}", service.name());
    let reply = bench.request(&subject, "").expect("a reply");
    let stats: Value = serde_json::from_slice(reply.payload()).expect("a document");
    assert_eq!(stats["endpoints"][0].get("data"), None);
    assert_eq!(stats["endpoints"][1]["data"], 7);
    bench.until("the event", || !told.borrow().is_empty());
    assert_eq!(*told.borrow(), ["the handler of endpoint \"add\" panicked: a bug"]);
}

#[test]
fn questions_that_want_no_answer_or_cannot_have_one_harm_nobody() {
    let bench = Bench::new();
    let service = start(&bench);
    let told = events(&service);
    let subject = format!("$SRV.INFO.{}", service.name());
    bench.nats.publish(&subject, "no answer, please").expect("published");
    bench.nats.send(OutgoingMessage::new(&subject, "").reply(&subject)).expect("published");
    bench.nats.send(OutgoingMessage::new(&subject, vec![b'x'; 1 << 20])).expect("published");
    bench.flush();
    ask(&bench, &service, "INFO");
    assert!(told.borrow().is_empty(), "{told:?}");
    // a description that does not fit
    let config = ServiceConfig::new(unique("s"), "1.0.0").description("x".repeat(1 << 21));
    let large = bench.start(config);
    let told = events(&large);
    let subject = format!("$SRV.INFO.{}", large.name());
    bench.nats.send(OutgoingMessage::new(&subject, "").reply("r")).expect("published");
    bench.until("the event", || !told.borrow().is_empty());
    assert!(told.borrow()[0].contains("max_payload"), "{told:?}");
}
