//! Publish and subscribe: orders go out once, and reach a wildcard subscriber, one worker of a
//! queue group, and a preview that wants the first two only.
//!
//! `cargo run --example pubsub` starts a server of its own; with `NATS_URL` it uses that one.

use evnats::{EventLoop, Message, Subscription};

#[derive(Default)]
struct App {
    audited: usize,
    packed: [usize; 2],
    previewed: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::new()?;
    let nats = event_loop.connect(url)?;

    // `*` stands for one token, `>` for all that follow
    nats.subscribe("shop.orders.>", audit)?;
    nats.subscribe("shop.orders.*.express", |_, _, order| println!("hurry: {}", order.text()))?;

    // of a queue group, one member gets each message
    for worker in 0..2 {
        nats.queue_subscribe("shop.orders.>", "packers", move |app: &mut App, _, _| {
            app.packed[worker] += 1;
        })?;
    }

    // the server ends this one by itself
    let preview = nats.subscribe("shop.orders.>", |app: &mut App, _, order| {
        app.previewed += 1;
        println!("preview: {}", order.text());
    })?;
    preview.unsubscribe_after(2)?;

    for (subject, order) in [
        ("shop.orders.de", "a lamp"),
        ("shop.orders.fr.express", "a chair"),
        ("shop.orders.de.express", "a table"),
        ("shop.orders.pl", "a shelf"),
    ] {
        nats.publish(subject, order)?;
    }
    // nothing is lost: what was published is delivered first, and then the loop ends
    nats.drain();

    let mut app = App::default();
    event_loop.run(&mut app)?;
    println!("audited {}, previewed {}", app.audited, app.previewed);
    println!("packed {}, whoever did it", app.packed.iter().sum::<usize>());
    Ok(())
}

fn audit(app: &mut App, _: &Subscription<App>, order: &Message) {
    app.audited += 1;
    println!("audit: {} on {}", order.text(), order.subject());
}
