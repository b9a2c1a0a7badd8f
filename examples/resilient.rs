//! A publisher and a subscriber that outlive a restart of their server: what each of them
//! learns, what waits meanwhile, and what is restored.
//!
//! `cargo run --example resilient` always starts a server of its own, because it stops it.

use evnats::{Client, ConnectionState, EventLoop, Options, RequestError};
use evnats_harness::{Release, Server};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Readings that each subscription is to get before the restart, and after it.
const ENOUGH: u64 = 5;

struct App {
    sensor: Client<App>,
    archive: Client<App>,
    /// What each subscription of the archive has got on this connection.
    received: [u64; 3],
    archived: u64,
    sent: u64,
    /// Readings that were published while there was no connection.
    waited: u64,
    /// Until it is stopped.
    server: Option<Server>,
    /// Somebody else restarts it.
    restarting: Option<JoinHandle<Server>>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // stands for a server that is restarted by somebody else
    let server = Server::builder().release(Release::Main).start()?;
    let event_loop = EventLoop::new()?;
    let sensor = event_loop.connect(Options::new(server.url()).name("sensor"))?;
    let archive = event_loop.connect(Options::new(server.url()).name("archive"))?;

    sensor.on_disconnect(|_, _, reason| println!("sensor: disconnected: {reason}"));
    sensor.on_reconnect(|app: &mut App, _, _| {
        println!("sensor: reconnected, readings have waited: {}", app.waited > 0);
    });
    archive.on_disconnect(|_, _, reason| println!("archive: disconnected: {reason}"));
    archive.on_reconnect(|app, _, _| {
        println!("archive: reconnected");
        app.received = [0; 3];
    });

    archive.subscribe("reading.room1", |app, _, _| app.note(0))?;
    archive.queue_subscribe("reading.>", "stores", |app, _, _| app.note(1))?;
    archive.subscribe("reading.*", |app, _, _| app.note(2))?;
    // nobody answers these in time
    archive.subscribe("report", |_, _, _| {})?;
    // the sensor begins when the server knows of the subscriptions
    archive.flush(|app, _, _| app.measure());

    let mut app = App {
        sensor,
        archive,
        received: [0; 3],
        archived: 0,
        sent: 0,
        waited: 0,
        server: Some(server),
        restarting: None,
    };
    event_loop.run(&mut app)?;
    let _server = app.restarting.map(JoinHandle::join);
    // gone is what was on its way, and what the sensor sent while the archive was not back yet:
    // where none may be lost, there is JetStream
    println!("{} readings sent, {} archived", app.sent, app.archived);
    Ok(())
}

impl App {
    /// Publishes a reading, and again after a while.
    fn measure(&mut self) {
        match self.sensor.state() {
            ConnectionState::Draining | ConnectionState::Closed => return,
            ConnectionState::Reconnecting => self.waited += 1,
            _ => {}
        }
        // without a connection it waits, up to `Options::reconnect_buffer`
        if let Err(error) = self.sensor.publish("reading.room1", "20 degrees") {
            eprintln!("not published: {error}");
        }
        self.sent += 1;
        self.sensor.handle().set_timer(Duration::from_millis(10), |app, _| app.measure());
    }

    /// A subscription has got a reading.
    fn note(&mut self, subscription: usize) {
        self.received[subscription] += 1;
        self.archived += u64::from(subscription == 0);
        if self.received.iter().any(|count| *count < ENOUGH) {
            return;
        }
        let is_back = |client: &Client<App>| {
            client.state() == ConnectionState::Connected && client.statistics().reconnects > 0
        };
        if let Some(mut server) = self.server.take() {
            println!("all 3 subscriptions get readings");
            self.ask_for_report();
            self.restarting = Some(thread::spawn(move || {
                server.restart();
                server
            }));
        } else if is_back(&self.archive) && is_back(&self.sensor) {
            println!("all 3 subscriptions get readings again: none was lost");
            self.sensor.drain();
            self.archive.drain();
        }
    }

    /// A request that is on its way when the server stops.
    fn ask_for_report(&self) {
        self.sensor.request("report", "", |_, _, reply| match reply {
            Ok(_) => println!("report: it is here"),
            // nobody has seen it: it can be sent again in any case
            Err(RequestError::NeverSent) => println!("report: never sent"),
            // somebody may be writing it
            Err(error) => println!("report: {error}"),
        });
    }
}
