//! What decoding costs, for an instruction counter: one input, cut in one way, decoded once.
//!
//! It times nothing itself. To compare cuts, count the instructions of `decode_all` alone:
//!
//! ```text
//! cargo build --release -p evnats-protocol --example decode_cost
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     --toggle-collect='*decode_all*' target/release/examples/decode_cost mix bytes
//! ```
//!
//! Inputs of 64 KiB: `mix` (small messages, some with headers, PING, INFO), `line` (one INFO),
//! `payload` (one message), `pings`. Cuts: `whole`, `bytes`, or a number of bytes.

use evnats_protocol::{Decoder, Limits, ServerOp};
use std::env;
use std::process::ExitCode;
use std::slice;

const SIZE: usize = 64 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, cut] = &arguments[..] else {
        eprintln!("usage: decode_cost mix|line|payload|pings whole|bytes|<number>");
        return ExitCode::FAILURE;
    };
    let stream = match input.as_str() {
        "mix" => mix(),
        "line" => format!("INFO {{\"server_name\":\"{}\"}}\r\n", "x".repeat(SIZE - 26)).into(),
        "payload" => format!("MSG a 1 {0}\r\n{1:0$}\r\n", SIZE - 17, "").into(),
        "pings" => b"PING\r\n".repeat(SIZE / 6),
        _ => return ExitCode::FAILURE,
    };
    let mut decoder = Decoder::new(Limits::default());
    // the buffer is taken before the count begins: it is taken once for a connection
    decoder.room();
    let operations = match (cut.as_str(), cut.parse()) {
        ("whole", _) => decode_all(&mut decoder, [&stream[..]]),
        ("bytes", _) => decode_all(&mut decoder, stream.iter().map(slice::from_ref)),
        (_, Ok(size @ 1..)) => decode_all(&mut decoder, stream.chunks(size)),
        _ => return ExitCode::FAILURE,
    };
    println!("{input}, {cut}: {} bytes, {operations} operations", stream.len());
    ExitCode::SUCCESS
}

/// A function of its own, so that a profiler can count it alone.
#[inline(never)]
fn decode_all<'a>(
    decoder: &mut Decoder<ServerOp>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> usize {
    let mut operations = 0;
    for piece in pieces {
        decoder.feed(piece);
        while let Some(op) = decoder.next_op().expect("the stream is valid") {
            std::hint::black_box(&op);
            operations += 1;
        }
    }
    operations
}

/// What a busy connection with small messages receives: in sixteen operations thirteen plain
/// messages of 16 bytes, two with headers and a PING; and one INFO in all.
fn mix() -> Vec<u8> {
    let info = "INFO {\"server_id\":\"NDV\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\
                \"max_payload\":1048576,\"connect_urls\":[\"10.0.0.1:4222\"]} \r\n";
    let mut stream = info.as_bytes().to_vec();
    for n in 0.. {
        let operation = match n % 16 {
            3 | 11 => {
                "HMSG orders.eu.7 3 _INBOX.h2k1.42 28 44\r\nNATS/1.0\r\nTrace-Id: 1234\r\n\r\n\
                 0123456789abcdef\r\n"
            }
            15 => "PING\r\n",
            _ => "MSG orders.eu.7 2 16\r\n0123456789abcdef\r\n",
        };
        if stream.len() + operation.len() > SIZE {
            break;
        }
        stream.extend_from_slice(operation.as_bytes());
    }
    stream
}
