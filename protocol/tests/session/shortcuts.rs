//! The shortcuts for messages on the subject of the last one: nobody can tell that they were taken.

use crate::support::{Driver, INFO, SECOND, config};
use evnats_protocol::{
    CommandError, HeaderMap, KnownRoute, Message, OutgoingMessage, Payload, Security, Which,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Publish {
        subject: &'static str,
        size: usize,
        is_owned: bool,
        has_headers: bool,
    },
    Request {
        subject: &'static str,
        size: usize,
        /// Nobody checks the subject, which is a literal one then.
        is_known: bool,
    },
    /// Replies come to so many of the requests that were written, with nothing else than headers or not.
    Replies {
        count: usize,
        status: Option<&'static str>,
    },
    Answer {
        reply: &'static str,
        size: usize,
    },
    /// A message whose subjects are known, but the end of the reply's, with a payload in two parts.
    Ask {
        reply_end: [u8; 3],
        sizes: (usize, usize),
    },
    /// So many bytes are written.
    Write(usize),
    Reconnect,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let subject = prop::sample::select(vec!["a", "a", "a", "a.b", "b", "a b", "*", ""]);
    let reply = prop::sample::select(vec![
        "$JS.ACK.a.1.2",
        "a",
        "a b",
        "a.b.c.d.*",
        "a..b.c.d.e",
        "a.b.c.ü",
    ]);
    let size = prop_oneof![0..20_usize, 90..130_usize, Just(70_000)];
    prop_oneof![
        6 => (subject.clone(), size.clone(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(subject, size, is_owned, has_headers)| {
                Step::Publish { subject, size, is_owned, has_headers }
            }
        ),
        4 => (subject, size.clone(), any::<bool>()).prop_map(|(subject, size, is_known)| {
            Step::Request { subject, size, is_known }
        }),
        3 => (0..5_usize, prop::sample::select(vec![None, None, Some("503"), Some("100")]))
            .prop_map(|(count, status)| Step::Replies { count, status }),
        4 => (reply, size.clone()).prop_map(|(reply, size)| Step::Answer { reply, size }),
        4 => (prop::array::uniform3(b'a'..=b'z'), (0..20_usize, size))
            .prop_map(|(reply_end, sizes)| Step::Ask { reply_end, sizes }),
        2 => (0..400_usize).prop_map(Step::Write),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Drain),
    ]
}

/// Whether the grammar allows to publish to it.
fn is_literal(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains([' ', '*'])
}

/// A reply to the request that begins here, of which only the beginning may have been written.
fn reply(written: &str, status: Option<&str>) -> Option<String> {
    let (inbox, _) = written.split_once(' ')?;
    let number = written.len();
    Some(match status {
        _ if inbox.ends_with('*') => "PING\r\n".to_owned(),
        None => format!("MSG {inbox} 1 {}\r\n{number}\r\n", number.to_string().len()),
        Some(code) => format!("HMSG {inbox} 1 16 16\r\nNATS/1.0 {code}\r\n\r\n\r\n"),
    })
}

/// Performs a step, and returns what can be seen of it. `written` has what was written on this
/// connection and not been replied to.
fn perform(
    driver: &mut Driver,
    route: &mut KnownRoute<3>,
    step: &Step,
    written: &mut String,
) -> String {
    let takes_shortcuts = driver.takes_shortcuts;
    let mut outcome = String::new();
    match *step {
        Step::Publish { subject, size, is_owned, has_headers } => {
            let bytes = vec![b'x'; size];
            let payload: Payload<'_> =
                if is_owned { bytes.clone().into() } else { (&bytes).into() };
            let headers = HeaderMap::new().with("A", "1");
            let message = OutgoingMessage::new(subject, payload);
            let published = if has_headers {
                driver.session.publish(message.headers(&headers))
            } else if takes_shortcuts && driver.session.publish_again(subject, &bytes) {
                Ok(())
            } else {
                driver.session.publish(message)
            };
            if let Err(CommandError::BufferFull { payload, .. }) = &published {
                assert_eq!(payload.len(), if is_owned { size } else { 0 });
            }
            outcome = format!("{published:?}");
        }
        Step::Request { subject, size, is_known } => {
            let mut message = OutgoingMessage::new(subject, vec![b'y'; size]);
            if takes_shortcuts && is_known && is_literal(subject) {
                message = message.with_known_subject();
            } else if !takes_shortcuts && !subject.contains('*') {
                // the long way: this is the same for a literal subject
                message = message.allow_wildcards();
            }
            driver.session.request(message, SECOND, "request");
        }
        Step::Answer { reply, size } => {
            let (bytes, message) = (vec![b'z'; size], Message::new("s", 1, Some(reply), None, b""));
            let answered = match takes_shortcuts && driver.session.answer(&message, &bytes) {
                true => Ok(()),
                false => driver.session.publish(OutgoingMessage::new(reply, &bytes)),
            };
            outcome = format!("{answered:?}");
        }
        Step::Ask { reply_end, sizes } => {
            let (one, other) = (vec![b'v'; sizes.0], vec![b'w'; sizes.1]);
            let published = match takes_shortcuts
                && driver.session.publish_on(route, &reply_end, [&one[..], &other])
            {
                true => Ok(()),
                false => {
                    let payload = [one, other].concat();
                    let message = OutgoingMessage::new("some.subject", &payload);
                    driver.session.publish(message.with_known_reply("answers.", &reply_end))
                }
            };
            outcome = format!("{published:?}");
        }
        Step::Write(count) => {
            let mut leg = driver.session.leg(Which::Current);
            let bytes: Vec<u8> = leg.chunks().flatten().copied().collect();
            let count = count.min(bytes.len());
            leg.handle_written(count);
            outcome = String::from_utf8_lossy(&bytes[..count]).into_owned();
            written.push_str(&outcome);
        }
        Step::Replies { count, status } => {
            let mut frames = String::new();
            for _ in 0..count {
                let Some(at) = written.find("_INBOX.") else { break };
                let Some(frame) = reply(&written[at..], status) else { break };
                written.drain(..at + 1);
                frames.push_str(&frame);
            }
            driver.receive(frames);
        }
        Step::Reconnect => {
            let now = driver.now;
            let mut leg = driver.session.leg(Which::Current);
            leg.handle_disconnected(evnats_protocol::DisconnectReason::ServerClosed);
            outcome = driver.events().join("; ");
            written.clear();
            driver.session.handle_connecting(now);
            let mut leg = driver.session.leg(Which::Current);
            leg.handle_connected(Security::Plain);
            leg.handle_bytes(format!("{INFO}PONG\r\n").as_bytes(), now);
        }
        Step::Drain => driver.session.drain(driver.now),
    }
    let statistics = driver.session.statistics();
    let buffered = driver.session.buffered_len();
    format!("{outcome} {:?} {buffered} {statistics:?}", driver.events())
}

proptest! {
    #[test]
    fn nobody_can_tell_that_a_shortcut_was_taken(
        steps in prop::collection::vec(step(), 1..40),
        max_buffered in prop::sample::select(vec![1 << 20, 300, 0]),
        max_payload in prop::sample::select(vec![1 << 20, 100]),
    ) {
        let drivers = [true, false].map(|takes_shortcuts| {
            let mut driver = Driver::new(config(|config| {
                config.resume = true;
                config.max_buffered = max_buffered;
                config.low_water = max_buffered / 4;
            }));
            driver.session.leg(Which::Current).handle_connected(Security::Plain);
            let info = format!("INFO {{\"max_payload\":{max_payload},\"headers\":true}}\r\nPONG\r\n");
            driver.receive(info);
            driver.takes_shortcuts = takes_shortcuts;
            let mut written = String::new();
            let mut route = KnownRoute::new("some.subject", "answers.").expect("literal ones");
            let steps = steps.iter().chain(&[Step::Write(usize::MAX)]);
            let seen = steps.map(|step| perform(&mut driver, &mut route, step, &mut written));
            seen.collect::<Vec<_>>()
        });
        let [short, long] = drivers;
        prop_assert_eq!(short, long);
    }
}

#[test]
fn the_third_message_on_a_subject_takes_the_shortcut() {
    let mut driver = Driver::ready();
    for payload in ["1", "2"] {
        assert!(!driver.session.publish_again("a", payload.as_bytes()));
        driver.publish("a", payload);
    }
    assert!(driver.session.publish_again("a", b"33"));
    assert!(!driver.session.publish_again("b", b"4"));
    driver.publish("b", "4");
    assert!(driver.session.publish_again("a", b"5"), "one in between changes nothing");
    assert_eq!(driver.written(), ["PUB a 1", "PUB a 2", "PUB a 33", "PUB b 4", "PUB a 5"]);
}

/// What was an argument of the server's line can be one of ours.
#[test]
fn a_message_in_the_read_buffer_is_answered_as_it_came() {
    let mut driver = Driver::ready();
    let mut place = Message::default();
    let id = driver.session.subscribe("a", None, "sub").expect("a subscription");
    let now = driver.now;
    let frame = format!("MSG a {} $JS.ACK.a.b.c 1\r\nx\r\n", id.sid());
    driver.session.leg(Which::Current).handle_bytes(frame.as_bytes(), now);
    assert!(driver.session.poll_event(&mut place).is_some());
    assert!(driver.session.answer(&place, b"-NAK"));
    assert!(!driver.session.answer(&Message::new("a", 1, None, None, b""), b""), "to nobody");
    assert_eq!(driver.written().last().map(String::as_str), Some("PUB $JS.ACK.a.b.c -NAK"));
}

#[test]
fn a_message_on_a_known_route_takes_the_shortcut_on_a_connection() {
    let mut driver = Driver::ready();
    let mut route = KnownRoute::new("a", "r.").expect("literal ones");
    assert!(driver.session.publish_on(&mut route, b"xx", [b"1", b"", b"2"]));
    assert!(driver.session.publish_on(&mut route, b"yy", [&[b'3'; 10]]));
    assert_eq!(driver.written(), ["PUB a 12", "PUB a 3333333333"]);
    let now = driver.now;
    let mut leg = driver.session.leg(Which::Current);
    leg.handle_disconnected(evnats_protocol::DisconnectReason::ServerClosed);
    driver.session.handle_connecting(now);
    assert!(!driver.session.publish_on(&mut route, b"zz", [b"4"]));
    assert_eq!(driver.session.buffered_len(), 0, "nothing has happened");
}
