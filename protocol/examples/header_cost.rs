//! What reading headers costs, for an instruction counter: a block of eight, read again and again.
//!
//! It times nothing itself. The cost of one reading is the difference between two counts:
//!
//! ```text
//! cargo build --release -p evnats-protocol --example header_cost
//! for count in 10000 40000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         target/release/examples/header_cost get $count
//! done
//! ```
//!
//! `get` looks up the last of the eight, `all` goes through them as text.

use evnats_protocol::{HeaderMap, Headers};
use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, count] = &arguments[..] else {
        eprintln!("usage: header_cost get|all COUNT");
        return ExitCode::FAILURE;
    };
    let Ok(count) = count.parse::<u64>() else { return ExitCode::FAILURE };
    let map = (0..8).fold(HeaderMap::new(), |map, n| {
        map.with(&format!("X-Header-{n}"), format!("the value {n:04}"))
    });
    let block = [map.as_headers().as_bytes(), b"\r\n"].concat();
    let read = |headers: Headers<'_>| match what.as_str() {
        "get" => headers.get(black_box("X-Header-7")).map_or(0, |value| value.len()),
        _ => headers.iter().map(|(name, value)| name.len() + value.len()).sum(),
    };
    let bytes: usize = (0..count).map(|_| read(Headers::new(black_box(&block)))).sum();
    println!("{what}: {} bytes in a block, {bytes} read", block.len());
    ExitCode::SUCCESS
}
