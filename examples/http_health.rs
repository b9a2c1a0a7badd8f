//! A health endpoint over HTTP beside a NATS client, on one loop and one thread.
//!
//! `cargo run --example http_health` starts a server of its own, asks its own endpoint twice, before
//! and after the server was stopped, and ends. With `NATS_URL` it serves that client's health on
//! 127.0.0.1:8080 until it is stopped.

use evnats::{Client, ConnectionState, EventLoop, ForeignSource};
use evnats_harness::{Release, Server};
use mio::Interest;
use mio::net::TcpListener;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

struct App {
    nats: Client<App>,
    server: Option<Server>,
    asked: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, server, port) = match url_of_the_user() {
        Some(url) => (url, None, 8080),
        None => {
            let server = Server::builder().release(Release::Main).start()?;
            (server.url(), Some(server), 0)
        }
    };
    let event_loop = EventLoop::<App>::new()?;
    let nats = event_loop.connect(url)?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let address = listener.local_addr()?;
    println!("http://{address}/health");
    event_loop.add_source(listener, Interest::READABLE, accept)?;
    if server.is_some() {
        nats.on_connect(move |_, _, _| ask(address));
        nats.on_disconnect(move |_, _, _| ask(address));
    }
    event_loop.run(&mut App { nats, server, asked: 0 })?;
    Ok(())
}

fn url_of_the_user() -> Option<String> {
    std::env::var("NATS_URL").ok().filter(|url| !url.is_empty())
}

/// Somebody asks. The answer is short, and no request of such a caller is longer than a packet.
fn accept(app: &mut App, listener: &ForeignSource<TcpListener, App>, _: evnats::Readiness) {
    match listener.with(|listener| listener.accept()) {
        Some(Ok((caller, _))) => {
            if let Err(error) = answer(app, caller) {
                eprintln!("a caller is gone: {error}");
            }
        }
        Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => eprintln!("{error}"),
        _ => return,
    }
    app.asked += 1;
    match app.asked {
        // the server goes, and the next answer says so
        1 => drop(app.server.take()),
        2 if app.server.is_none() && url_of_the_user().is_none() => {
            listener.remove();
            app.nats.close();
        }
        _ => {}
    }
}

fn answer(app: &App, mut caller: mio::net::TcpStream) -> io::Result<()> {
    let state = app.nats.state();
    let status = match state {
        ConnectionState::Connected => "200 OK",
        _ => "503 Service Unavailable",
    };
    let body = format!("{state:?}\n");
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    caller.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
}

/// What a monitor does, on a thread of its own.
fn ask(address: SocketAddr) {
    thread::spawn(move || -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")?;
        let mut text = String::new();
        // a server that does not read the request may reset the connection after its answer
        let _ = stream.read_to_string(&mut text);
        println!("{}", text.lines().next().unwrap_or("no answer"));
        Ok(())
    });
}
