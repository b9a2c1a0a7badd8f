//! What the tests of the client share: one server for a test binary, and a loop with a time limit.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod memory;

use evnats::{Client, EventLoop, Options};
use evnats_harness::Server;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The binary's server. It ends with the process.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// What a test saw, in order.
pub type Log = Vec<String>;

/// Runs a client of the binary's server until nothing is left to do.
pub fn run<S: Default + 'static>(setup: impl FnOnce(&Client<S>)) -> S {
    run_with(server().url().as_str(), setup)
}

/// Runs a client with options of its own.
pub fn run_with<S: Default + 'static>(
    options: impl Into<Options>,
    setup: impl FnOnce(&Client<S>),
) -> S {
    let event_loop = EventLoop::new().expect("an event loop");
    let client = event_loop.connect(options).expect("a client");
    setup(&client);
    finish(&event_loop)
}

/// Runs a loop to its end, and fails if there is none.
pub fn finish<S: Default + 'static>(event_loop: &EventLoop<S>) -> S {
    let mut state = S::default();
    finish_with(event_loop, &mut state);
    state
}

/// As [`finish`], with a state that is there already.
pub fn finish_with<S: 'static>(event_loop: &EventLoop<S>, state: &mut S) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !event_loop.is_empty() {
        event_loop.dispatch(state, Some(Duration::from_secs(1))).expect("a turn");
        assert!(Instant::now() < limit, "the loop has not come to an end");
    }
}

/// A name that no other test uses.
pub fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
