//! The same bytes, cut anywhere: the same operations and the same error.

use evnats_protocol::{ClientOp, Decoder, Limits, Operation, ProtocolError, ServerOp};
use std::fmt::Debug;

pub fn run(data: &[u8]) {
    let tight = Limits::new().max_line(24).max_message(8).max_headers(6);
    for limits in [Limits::default(), tight] {
        every_cut::<ServerOp>(data, limits);
        every_cut::<ClientOp>(data, limits);
    }
}

type Outcome<Op> = (Vec<Op>, Option<ProtocolError>);

fn every_cut<Op: Operation + PartialEq + Debug>(data: &[u8], limits: Limits) {
    let whole = decode::<Op>([data], limits, Decoder::feed);
    for size in [1, 3, 64] {
        assert_eq!(decode(data.chunks(size), limits, Decoder::feed), whole, "pieces of {size}");
    }
    assert_eq!(decode(data.chunks(5), limits, read_into_room), whole, "read into the room");
    // every cut of a short input, and some of a long one: a decoder's buffer is what costs
    let step = (data.len() / 16).max(1);
    for at in (0..data.len()).step_by(step) {
        let (first, second) = data.split_at(at);
        assert_eq!(decode([first, second], limits, Decoder::feed), whole, "cut at {at}");
    }
}

fn decode<'a, Op: Operation>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: Limits,
    feed: impl Fn(&mut Decoder<Op>, &[u8]),
) -> Outcome<Op> {
    let mut decoder = Decoder::new(limits);
    let mut ops = Vec::new();
    for piece in pieces {
        feed(&mut decoder, piece);
        loop {
            match decoder.next_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Some(error)),
            }
        }
    }
    (ops, None)
}

fn read_into_room<Op>(decoder: &mut Decoder<Op>, bytes: &[u8]) {
    decoder.room()[..bytes.len()].copy_from_slice(bytes);
    decoder.filled(bytes.len());
}
