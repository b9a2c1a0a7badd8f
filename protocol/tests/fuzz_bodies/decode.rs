//! Whatever comes in: operations that can be looked at from all sides, or an error that lasts.

use evnats_protocol::{ClientOp, Decoder, Limits, Message, Operation, ProtocolError, ServerOp};

pub fn run(data: &[u8]) {
    for limits in [Limits::default(), Limits::new().max_line(40).max_message(16).max_headers(12)] {
        exhaust::<ServerOp>(data, limits, |op| match op {
            ServerOp::Message(message) => look_at(message),
            ServerOp::Error(error) => {
                let _ = (error.to_string(), error.kind(), error.subject());
            }
            _ => {}
        });
        exhaust::<ClientOp>(data, limits, |op| {
            if let ClientOp::Publish(message) = op {
                look_at(message);
            }
        });
    }
}

fn exhaust<Op: Operation + std::fmt::Debug>(data: &[u8], limits: Limits, look_at: impl Fn(&Op)) {
    let mut decoder = Decoder::<Op>::new(limits);
    decoder.feed(data);
    let mut pending = decoder.pending();
    assert_eq!(pending, data.len());
    loop {
        match decoder.next_op() {
            Ok(Some(op)) => {
                assert!(decoder.pending() < pending, "every operation has bytes");
                pending = decoder.pending();
                look_at(&op);
                let _ = format!("{op:?}");
            }
            Ok(None) => {
                assert_eq!(decoder.next_op().ok().flatten().map(drop), None, "nothing has come");
                return;
            }
            Err(error) => return assert_lasts(&mut decoder, &error),
        }
    }
}

/// No later byte of a broken stream is decoded, however good it looks.
fn assert_lasts<Op: Operation + std::fmt::Debug>(decoder: &mut Decoder<Op>, error: &ProtocolError) {
    assert!(!error.to_string().is_empty());
    for more in ["", "PING\r\n", "\n", "\r\nPI", "NG\r\n"] {
        decoder.feed(more.as_bytes());
        assert_eq!(decoder.next_op().expect_err("broken"), *error, "after {more:?}");
    }
}

fn look_at(message: &Message) {
    let headers = message.headers();
    assert_eq!(headers.as_bytes().len() + message.payload().len(), message.len());
    assert_eq!(message.payload_to_bytes(), message.payload());
    assert_eq!(message.is_empty(), headers.is_empty() && message.payload().is_empty());
    assert_eq!(message.clone(), *message);
    assert_eq!(message.subject_bytes().is_empty(), message.subject().is_empty());
    assert!(message.control_status().is_none_or(|_| message.payload().is_empty()));
    let _ = (message.reply(), message.text(), headers.status());
    for (name, _) in headers.iter() {
        let _ = headers.last_number(&name);
    }
}
