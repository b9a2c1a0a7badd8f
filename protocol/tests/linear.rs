//! Decoding is linear in its input. No clock is read: if a byte were looked at again for every
//! byte that follows, these tests would take hours instead of a second.

use evnats_protocol::{Decoder, Limits, ServerOp};

const SIZE: usize = 4 << 20;

/// The operation that a stream is, when it comes one byte at a time.
fn decode_bytes(stream: &[u8]) -> ServerOp {
    let mut decoder = Decoder::new(Limits::new().max_line(2 * SIZE));
    let (last, most) = stream.split_last().unwrap();
    for byte in most {
        decoder.feed(&[*byte]);
        assert_eq!(decoder.next_op(), Ok(None));
    }
    decoder.feed(&[*last]);
    decoder.next_op().unwrap().unwrap()
}

#[test]
fn a_large_line_in_single_bytes() {
    let text = "x".repeat(SIZE);
    let ServerOp::Error(error) = decode_bytes(format!("-ERR '{text}'\r\n").as_bytes()) else {
        panic!()
    };
    assert_eq!(error.text().len(), SIZE);
}

#[test]
fn a_large_payload_in_single_bytes() {
    let stream = [format!("MSG a 1 {SIZE}\r\n").as_bytes(), &vec![b'\n'; SIZE], b"\r\n"].concat();
    let ServerOp::Message(message) = decode_bytes(&stream) else { panic!() };
    assert_eq!(message.payload().len(), SIZE);
}

#[test]
fn many_small_operations_that_came_at_once() {
    let mut decoder: Decoder = Decoder::default();
    let count = SIZE / 6;
    decoder.feed(&b"PING\r\n".repeat(count));
    for _ in 0..count {
        assert_eq!(decoder.next_op(), Ok(Some(ServerOp::Ping)));
    }
    assert_eq!(decoder.next_op(), Ok(None));
}
