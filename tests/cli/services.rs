//! `service`: services that a program runs are found, shown, and called.

use super::{Tool, objects};
use evnats::service::{EndpointConfig, ServiceConfig};
use evnats::{EventLoop, Handle, Remote};
use evnats_harness::Server;
use serde_json::json;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// A service that runs in a thread of its own, until it is dropped.
struct Serving {
    remote: Remote<()>,
    thread: Option<JoinHandle<()>>,
    id: String,
}

impl Serving {
    fn start(server: &Server) -> Self {
        let url = server.url();
        let (told, hear) = channel();
        let thread = std::thread::spawn(move || {
            let event_loop = EventLoop::<()>::new().expect("a loop");
            let nats = event_loop.connect(url).expect("a client");
            let config = ServiceConfig::new("calculator", "1.2.3").description("adds numbers");
            let service = nats.service(config.metadata("zone", "a")).expect("a service");
            let numbers = service.group("numbers");
            let add = EndpointConfig::new("add").metadata("unit", "eggs");
            let add = numbers.endpoint(add, |(), _, request| {
                let numbers = request.text();
                let numbers = numbers.split_whitespace().map(str::parse::<u32>);
                match numbers.sum::<Result<u32, _>>() {
                    Ok(sum) => request.respond(sum.to_string()),
                    Err(error) => request.error(400, &error.to_string(), ""),
                }
            });
            add.expect("an endpoint");
            let any = EndpointConfig::new("any").subject("any.*");
            let any = numbers.endpoint(any, |(), _, request| request.respond(&*request.subject()));
            any.expect("an endpoint");
            nats.flush(move |(), nats, flushed| {
                flushed.expect("an answer");
                told.send((nats.handle().remote(), service.id().to_owned())).expect("a listener");
            });
            event_loop.run(&mut ()).expect("the loop");
        });
        let (remote, id) = hear.recv().expect("a service");
        Self { remote, thread: Some(thread), id }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.remote.post(|(), event_loop: &Handle<()>| event_loop.stop());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn services_are_listed_shown_and_pinged() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let nobody = tool.run(&["service", "ls"]);
    assert_eq!((nobody.code, nobody.text()), (Some(0), ""));
    assert!(nobody.stderr.contains("No services found"), "{nobody:?}");
    let serving = Serving::start(&server);
    let id = &*serving.id;
    let list = tool.text(&["service", "ls"]);
    let line = list.lines().nth(1).expect("a line");
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["calculator", "1.2.3", id, "adds", "numbers"]);
    let info = tool.json(&["service", "ls", "calculator"]);
    assert_eq!((&info["name"], &info["id"]), (&json!("calculator"), &json!(id)));
    assert_eq!(tool.json(&["service", "info", "calculator", id]), info);
    assert_eq!(info["endpoints"][0]["subject"], "numbers.add");
    let shown = tool.text(&["service", "info", "calculator"]);
    for text in [id, "1.2.3", "zone: a", "numbers.any.*", "unit: eggs"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let ping = tool.json(&["service", "ping"]);
    assert_eq!((&ping["id"], &ping["metadata"]), (&json!(id), &json!({"zone": "a"})));
    assert!(ping["rtt_ns"].as_u64().is_some_and(|time| time > 0), "{ping}");
    assert!(tool.text(&["service", "ping", "calculator"]).contains(id));
}

/// A request to an endpoint of the service.
fn call<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["service", "req", "calculator"], arguments].concat()
}

#[test]
fn endpoints_are_called_and_counted() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let serving = Serving::start(&server);
    assert_eq!(tool.text(&call(&["add", "1 2 39", "--raw"])), "42");
    assert!(tool.text(&call(&["add", "1 2"])).starts_with("3\n"));
    let subject = ["any", "", "--subject", "numbers.any.thing", "--raw"];
    assert_eq!(tool.text(&call(&subject)), "numbers.any.thing");
    let error = tool.error(&call(&["add", "one"]));
    assert_eq!((&error["kind"], &error["code"]), (&json!("service_error"), &json!("400")));
    assert_eq!(error["description"], "invalid digit found in string");
    assert_eq!(tool.error_kind(&call(&["any", ""])), "invalid_subject");
    assert_eq!(tool.error_kind(&call(&["none", ""])), "endpoint_not_found");
    let stats = tool.json(&["service", "stats", "calculator", &serving.id]);
    let add = &stats["endpoints"][0];
    // each error was asked for twice, for people and for programs
    assert_eq!((&add["num_requests"], &add["num_errors"]), (&json!(4), &json!(2)));
    let shown = tool.text(&["service", "stats", "calculator"]);
    assert!(shown.contains("400:invalid digit found in string"), "{shown}");
}

#[test]
fn a_service_that_is_not_there_is_an_error_of_whoever_names_it() {
    let server = Server::start();
    let tool = Tool::at(&server);
    let error = tool.error(&["service", "info", "nobody"]);
    assert_eq!(
        (&error["kind"], &error["service"]),
        (&json!("service_not_found"), &json!("nobody"))
    );
    let error = tool.error(&["service", "stats", "nobody", "N1"]);
    assert_eq!((&error["kind"], &error["id"]), (&json!("service_not_found"), &json!("N1")));
    assert_eq!(tool.error_kind(&["service", "req", "nobody", "add", ""]), "service_not_found");
    assert_eq!(tool.error_kind(&["service", "info", "no.body"]), "invalid_name");
    let nobody = tool.run(&["service", "ping", "--json"]);
    assert_eq!(objects(&nobody, 0), Vec::<serde_json::Value>::new());
}
