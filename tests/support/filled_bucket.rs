//! A bucket with very many keys, for what is measured with one.

use evnats::EventLoop;
use evnats::jetstream::{PublishWindow, WindowOptions};
use std::time::Duration;

/// The key of a number: 16 bytes.
pub fn key(number: usize) -> String {
    format!("key.{number:012}")
}

/// How far the filling is.
struct Filling {
    subjects: String,
    next: usize,
    count: usize,
}

/// Fills a bucket with so many keys, each with its number as its value. Returns when they are stored.
pub fn fill(url: &str, bucket: &str, count: usize) {
    let event_loop = EventLoop::new().expect("an event loop");
    let nats = event_loop.connect(url).expect("a client");
    let options = WindowOptions::new().retry_for(Duration::from_secs(10));
    let window = nats.jetstream().publish_window(options);
    window.on_ready(publish_more);
    let mut filling = Filling { subjects: format!("$KV.{bucket}."), next: 0, count };
    publish_more(&mut filling, &window);
    event_loop.run(&mut filling).expect("it is filled");
}

fn publish_more(filling: &mut Filling, window: &PublishWindow<Filling>) {
    while filling.next < filling.count {
        let subject = format!("{}{}", filling.subjects, key(filling.next));
        if window.enqueue(&subject, filling.next.to_string()).is_err() {
            return;
        }
        filling.next += 1;
    }
    window.finish(|filling, window, report| {
        assert_eq!(report.stored, filling.count as u64, "{report:?}");
        window.client().drain();
    });
}

/// The memory that this process has, in bytes.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).expect("a second number");
    pages.parse::<usize>().expect("a number") * 4096
}

/// Runs a test of this program in a process of its own, told so by a variable, and returns the number
/// that it prints behind the variable's name. What was filled or measured before does not count there.
pub fn in_own_process(test: &str, variable: &str, value: &str) -> usize {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program)
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(variable, value)
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let number = printed.lines().find_map(|line| line.split_once(variable)?.1.trim().parse().ok());
    number.unwrap_or_else(|| panic!("no number in {printed:?}"))
}
