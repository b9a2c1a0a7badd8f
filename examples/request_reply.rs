//! Request and reply: one request that is answered, one that nobody answers in time, and one that
//! nobody listens to, which is an error of its own and known at once.
//!
//! `cargo run --example request_reply` starts a server of its own; with `NATS_URL` it uses that
//! one.

use evnats::{Client, EventLoop, Message, OutgoingMessage, RequestError, Subscription};
use std::time::Duration;

#[derive(Default)]
struct App {
    served: usize,
    ignored: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let nats = event_loop.connect(url)?;

    nats.subscribe("math.square", square)?;
    nats.subscribe("math.prove.goldbach", |app: &mut App, _, _| app.ignored += 1)?;
    nats.request("math.square", "12", answered);

    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("served {}, ignored {}", app.served, app.ignored);
    Ok(())
}

fn square(app: &mut App, squares: &Subscription<App>, request: &Message) -> evnats::Result {
    app.served += 1;
    let answer = match request.text().parse::<i64>() {
        Ok(number) => (number * number).to_string(),
        Err(error) => error.to_string(),
    };
    squares.client().respond(request, answer)
}

fn answered(_: &mut App, nats: &Client<App>, reply: Result<&Message, RequestError>) {
    match reply {
        Ok(reply) => println!("12 squared is {}", reply.text()),
        Err(error) => println!("12 squared: {error}"),
    }
    // a request with a timeout of its own; with headers, it would be `.headers(&headers)`
    let proof = OutgoingMessage::new("math.prove.goldbach", "please");
    nats.send_request(proof, Duration::from_millis(200), timed_out);
}

fn timed_out(_: &mut App, nats: &Client<App>, reply: Result<&Message, RequestError>) {
    match reply {
        Err(RequestError::Timeout) => println!("no proof in 200 ms: {}", RequestError::Timeout),
        other => println!("a proof? {other:?}"),
    }
    nats.request("math.integrate", "x", nobody_listens);
}

fn nobody_listens(_: &mut App, nats: &Client<App>, reply: Result<&Message, RequestError>) {
    match reply {
        Err(RequestError::NoResponders { .. }) => println!("no responders: nobody integrates here"),
        other => println!("an integral? {other:?}"),
    }
    nats.drain();
}
