//! What idle clients cost: bytes for each, and time for each turn of the loop they are on.
//!
//! `cargo run --release --example idle_cost -- CLIENTS TURNS` makes clients on transports in memory,
//! lets them connect, and turns the loop with one timer due in each turn. To count instructions
//! instead:
//!
//! ```text
//! cargo build --release --example idle_cost
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     --toggle-collect='*turn_all*' target/release/examples/idle_cost 1000 10000
//! ```

use evnats::{EventLoop, Handle, Options, Registration, Transport};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// A server that introduces itself, answers the first ping, and says no more.
struct Silent(VecDeque<u8>);

impl Read for Silent {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.read(room)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => {
                self.0.shrink_to_fit();
                Ok(count)
            }
        }
    }
}

impl Write for Silent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Silent {
    fn register(&mut self, _: &Registration) -> io::Result<()> {
        Ok(())
    }
}

fn again(turns: &mut u64, handle: &Handle<u64>) {
    *turns += 1;
    handle.set_timer(Duration::ZERO, again);
}

fn main() -> evnats::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (clients, wanted): (u64, u64) = (number(1000), number(10_000));
    let event_loop = EventLoop::<u64>::new()?;
    let before = resident();
    let hello = b"INFO {\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\nPONG\r\n";
    let all: Vec<_> = (0..clients)
        .map(|_| {
            let server = Silent(hello.iter().copied().collect());
            event_loop.connect_over(server, Options::new("memory"))
        })
        .collect::<Result<_, _>>()?;
    let mut turns = 0;
    while event_loop.dispatch(&mut turns, Some(Duration::ZERO))? {}
    let bytes = resident().saturating_sub(before) / clients.max(1);
    event_loop.handle().set_timer(Duration::ZERO, again);
    let start = Instant::now();
    turn_all(&event_loop, &mut turns, wanted)?;
    let each = start.elapsed() / u32::try_from(wanted).unwrap_or(u32::MAX);
    println!("{clients} clients, {bytes} bytes for each, {each:?} for each of {turns} turns");
    drop(all);
    Ok(())
}

#[inline(never)]
fn turn_all(event_loop: &EventLoop<u64>, turns: &mut u64, wanted: u64) -> evnats::Result<()> {
    while *turns < wanted {
        event_loop.dispatch(turns, None)?;
    }
    Ok(())
}

/// Bytes of memory that the process has, where the system says so.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}
