//! What is needed for services, and to find them.

use super::support::asking::{Asking, Told};
use super::support::url_for;
use super::{user, user_with};
use evnats::service::{DiscoveryOptions, Error, ServiceConfig};
use evnats::{Client, RequestError};
use evnats_harness::Server;
use std::cell::RefCell;
use std::rc::Rc;

/// What a service listens on, with its endpoint.
const LISTENS: [&str; 10] = [
    "work",
    "$SRV.PING",
    "$SRV.PING.S",
    "$SRV.PING.S.*",
    "$SRV.INFO",
    "$SRV.INFO.S",
    "$SRV.INFO.S.*",
    "$SRV.STATS",
    "$SRV.STATS.S",
    "$SRV.STATS.S.*",
];

/// Starts a service on a client, and returns what it is told.
fn start(asking: &Asking) -> Rc<RefCell<Vec<String>>> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let (telling, reporting) = (told.clone(), told.clone());
    asking.nats.on_error(move |(), _, error| reporting.borrow_mut().push(error.to_string()));
    let service = asking.nats.service(ServiceConfig::new("S", "1.0.0")).expect("a service");
    service.on_event(move |(), _, event| telling.borrow_mut().push(event.to_string()));
    service.endpoint("work", |(), _, request| request.respond("done")).expect("an endpoint");
    super::support::flush(&asking.event_loop, &mut (), &asking.nats);
    told
}

#[test]
fn a_service_needs_the_rights_that_its_table_says_and_no_others() {
    let mut users = vec!["{ user: admin, password: p }".to_owned()];
    users.push(user_with("exact", &["_INBOX.>"], &LISTENS));
    users.push(format!(
        "{{ user: answers, password: p, permissions: {{ publish: {{ deny: \">\" }}, \
         subscribe: {{ allow: {LISTENS:?} }}, allow_responses: true }} }}"
    ));
    for without in 0..LISTENS.len() {
        let mut rest = LISTENS.to_vec();
        rest.remove(without);
        users.push(user_with(&format!("less{without}"), &["_INBOX.>"], &rest));
    }
    let config = format!("authorization {{ users: [ {} ] }}", users.join(",\n"));
    let server = Server::builder().config(config).start().expect("a server");
    for user in ["exact", "answers"] {
        let serving = Asking::with(url_for(&server, user));
        let told = start(&serving);
        let caller = Asking::with(url_for(&server, "admin"));
        let replies = Rc::new(RefCell::new(Vec::new()));
        for subject in ["work", "$SRV.PING", "$SRV.INFO.S"] {
            let replies = replies.clone();
            caller.nats.request(subject, "", move |(), _, reply| {
                replies.borrow_mut().push(reply.map(drop));
            });
        }
        caller.until("the replies", || {
            super::support::flush(&serving.event_loop, &mut (), &serving.nats);
            replies.borrow().len() == 3
        });
        let expected: [Result<(), RequestError>; 3] = [Ok(()), Ok(()), Ok(())];
        assert_eq!(*replies.borrow(), expected, "{user}");
        assert!(told.borrow().is_empty(), "{user}: {told:?}");
    }
    for (without, right) in LISTENS.iter().enumerate() {
        let serving = Asking::with(url_for(&server, &format!("less{without}")));
        let told = start(&serving);
        let subject = right.trim_end_matches('*');
        serving.until("an event and an error", || told.borrow().len() >= 2);
        assert_eq!(told.borrow().len(), 2, "without {right}: {told:?}");
        let event = told
            .borrow()
            .iter()
            .any(|told| told.starts_with("the server does not permit") && told.contains(subject));
        assert!(event, "without {right}: {told:?}");
    }
}

/// What hears whether a question was permitted.
type Permitted = Told<Client<()>, Result<(), Error>>;

/// A question to services, and what it needs to publish to.
struct Question {
    needs: &'static str,
    ask: fn(&Client<()>, DiscoveryOptions, Permitted),
    options: fn() -> DiscoveryOptions,
}

fn ping(nats: &Client<()>, options: DiscoveryOptions, done: Permitted) {
    nats.ping_services(options, |(), nats, found| done(&mut (), nats, found.map(drop)));
}

fn info(nats: &Client<()>, options: DiscoveryOptions, done: Permitted) {
    nats.services_info(options, |(), nats, found| done(&mut (), nats, found.map(drop)));
}

fn stats(nats: &Client<()>, options: DiscoveryOptions, done: Permitted) {
    nats.services_stats(options, |(), nats, found| done(&mut (), nats, found.map(drop)));
}

fn all() -> DiscoveryOptions {
    DiscoveryOptions::new()
}

fn named() -> DiscoveryOptions {
    all().name("S")
}

fn one() -> DiscoveryOptions {
    named().id("N")
}

const QUESTIONS: [Question; 5] = [
    Question { needs: "$SRV.PING", ask: ping, options: all },
    Question { needs: "$SRV.PING.S", ask: ping, options: named },
    Question { needs: "$SRV.PING.S.*", ask: ping, options: one },
    Question { needs: "$SRV.INFO.S", ask: info, options: named },
    Question { needs: "$SRV.STATS.S.*", ask: stats, options: one },
];

#[test]
fn questions_to_services_need_the_rights_that_their_table_says_and_no_others() {
    let users = QUESTIONS.iter().enumerate().map(|(place, question)| {
        [user(&format!("exact{place}"), &[question.needs]), user(&format!("less{place}"), &[])]
    });
    let users: Vec<_> = users.flatten().collect();
    let config = format!("authorization {{ users: [ {} ] }}", users.join(",\n"));
    let server = Server::builder().config(config).start().expect("a server");
    for (place, question) in QUESTIONS.iter().enumerate() {
        let outcome = |user: &str| {
            let asking = Asking::with(url_for(&server, &format!("{user}{place}")));
            asking.ask(|done| (question.ask)(&asking.nats, (question.options)(), done))
        };
        assert_eq!(outcome("exact"), Ok(()), "{}", question.needs);
        let error = outcome("less").expect_err(question.needs);
        assert!(error.is_denied(), "without {}: {error}", question.needs);
    }
}
