//! What is encoded decodes to itself, in both directions: operations that were decoded from the
//! input, and operations that were built from it.

use super::reader::Reader;
use evnats_protocol::{
    ClientOp, ConnectInfo, Decoder, Message, Operation, ServerError, ServerInfo, ServerOp,
};
use std::fmt::Debug;

pub fn run(data: &[u8]) {
    let from_server: Vec<ServerOp> = decoded(data);
    assert_identity(&from_server, ServerOp::encode);
    let from_client: Vec<ClientOp> = decoded(data);
    assert_identity(&from_client, ClientOp::encode);

    let mut input = Reader::new(data);
    let (mut from_server, mut from_client) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        from_server.push(server_op(&mut input));
        from_client.push(client_op(&mut input));
    }
    assert_identity(&from_server, ServerOp::encode);
    assert_identity(&from_client, ClientOp::encode);
}

/// The operations before the first error.
fn decoded<Op: Operation>(data: &[u8]) -> Vec<Op> {
    let mut decoder = Decoder::default();
    decoder.feed(data);
    std::iter::from_fn(|| decoder.next_op().ok().flatten()).collect()
}

fn assert_identity<Op: Operation + PartialEq + Debug>(
    ops: &[Op],
    encode: impl Fn(&Op, &mut Vec<u8>),
) {
    let mut wire = Vec::new();
    ops.iter().for_each(|op| encode(op, &mut wire));
    let mut decoder = Decoder::default();
    decoder.feed(&wire);
    for op in ops {
        let again = decoder.next_op().expect("what was encoded can be decoded");
        assert_eq!(again.as_ref(), Some(op));
    }
    assert_eq!(decoder.pending(), 0);
}

fn server_op(input: &mut Reader<'_>) -> ServerOp {
    match input.below(6) {
        0 => ServerOp::Ping,
        1 => ServerOp::Pong,
        2 => ServerOp::Ok,
        3 => {
            let mut text = input.text(40);
            text.retain(|c| c != '\n');
            ServerOp::Error(ServerError::new(text))
        }
        4 => ServerOp::Info(Box::new(server_info(input))),
        _ => {
            let sid = input.number();
            ServerOp::Message(message(input, sid))
        }
    }
}

fn client_op(input: &mut Reader<'_>) -> ClientOp {
    match input.below(6) {
        0 => ClientOp::Ping,
        1 => ClientOp::Pong,
        2 => ClientOp::Subscribe {
            subject: input.argument(20).into(),
            queue: input.flag().then(|| input.argument(10).into()),
            sid: input.number(),
        },
        3 => {
            ClientOp::Unsubscribe { sid: input.number(), max: input.flag().then(|| input.number()) }
        }
        4 => ClientOp::Connect(Box::new(connect_info(input))),
        _ => ClientOp::Publish(message(input, 0)),
    }
}

fn message(input: &mut Reader<'_>, sid: u64) -> Message {
    let subject = input.argument(20);
    let reply = input.flag().then(|| input.argument(20));
    let headers = input.flag().then(|| input.bytes(40));
    Message::new(&subject, sid, reply.as_deref(), headers, input.bytes(60))
}

fn server_info(input: &mut Reader<'_>) -> ServerInfo {
    let mut info = ServerInfo::default();
    info.server_name = input.text(20);
    info.max_payload = input.number() as i64;
    info.port = input.number() as u16;
    info.headers = input.flag();
    info.nonce = input.flag().then(|| input.text(20));
    info.client_id = input.flag().then(|| input.number());
    info.connect_urls = (0..input.below(3)).map(|_| input.text(10)).collect();
    info.ldm = input.flag();
    info
}

fn connect_info(input: &mut Reader<'_>) -> ConnectInfo {
    let mut info = ConnectInfo::new();
    info.name = input.text(20);
    info.verbose = input.flag();
    info.echo = input.flag();
    info.lang = input.text(10);
    info.headers = input.flag();
    info
}
