//! A chat: what you type goes to everybody on a subject, and what others type is shown.
//!
//! `cargo run --example chat -- NAME` starts a server of its own, so give `NATS_URL` to meet others.
//! Lines are read by a thread, because reading a terminal blocks on some systems; it posts each of them
//! to the loop. Ends with the input (Ctrl-D).

use evnats::{Client, EventLoop, Handle, Remote};
use std::io::stdin;
use std::thread;

struct Chat {
    name: String,
    nats: Client<Chat>,
    heard: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "somebody".into());
    // yours: let url = "nats://127.0.0.1:4222";
    let (url, _server) = evnats_harness::url_or_server()?;
    let event_loop = EventLoop::<Chat>::new()?;
    let nats = event_loop.connect(url)?;
    nats.subscribe("chat.*", |chat, _, line| {
        chat.heard += 1;
        println!("{}", line.text());
    })?;
    let remote = event_loop.remote();
    nats.on_connect(move |_, _, server| {
        println!("connected to {}", server.server_name);
        let remote = remote.clone();
        thread::spawn(move || read_lines(&remote));
    });
    let mut chat = Chat { name, nats, heard: 0 };
    event_loop.run(&mut chat)?;
    println!("{} lines heard", chat.heard);
    Ok(())
}

fn read_lines(remote: &Remote<Chat>) {
    for line in stdin().lines().map_while(Result::ok) {
        let said = move |chat: &mut Chat, _: &Handle<Chat>| {
            let line = format!("{}: {line}", chat.name);
            chat.nats.publish(&format!("chat.{}", chat.name), line)
        };
        if remote.post(said).is_err() {
            // the loop is gone, or so much waits that nobody can read it
            return;
        }
    }
    // what was said is still delivered, and then the loop ends
    let _ = remote.post(|chat: &mut Chat, _: &Handle<Chat>| chat.nats.drain());
}
