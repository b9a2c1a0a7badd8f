//! WebSocket's frames (RFC 6455, section 5), as a client reads and writes them. No I/O.
//!
//! Payload is passed on as it comes, whatever it is in and wherever it is cut: NATS is a stream of
//! bytes, so messages need not be put together, and nothing is held but what control frames say.

use thiserror::Error;

/// What a step of the decoder has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet: all of the input is used up.
    Nothing,
    /// Payload: the last so many bytes of what was used.
    Payload(usize),
    /// A data frame, or the rest of one, without payload.
    Empty,
    Ping(Vec<u8>),
    Pong,
    /// The status code and the reason, if they are given.
    Close(Option<(u16, String)>),
}

/// What the server may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Violation {
    #[error("a frame with a reserved bit, for an extension that was not agreed upon")]
    ReservedBit,
    #[error("a frame with a mask, which only clients have")]
    Masked,
    #[error("a frame of the unknown type {0}")]
    UnknownType(u8),
    #[error("a control frame that is too long or in fragments")]
    ControlFrame,
    #[error("a fragment that does not fit to what came before")]
    Fragment,
    #[error("a frame longer than there can be")]
    TooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Type {
    fn of(code: u8) -> Result<Self, Violation> {
        let all =
            [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        all.into_iter().find(|kind| *kind as u8 == code).ok_or(Violation::UnknownType(code))
    }

    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The longest payload of a control frame.
const MAX_CONTROL: usize = 125;
/// The longest head of a frame of the server's, which has no mask.
const MAX_HEAD: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    head: [u8; MAX_HEAD],
    head_len: usize,
    frame: Option<Frame>,
    /// A message has begun and has not ended.
    is_in_message: bool,
}

/// A frame whose head is known.
#[derive(Debug)]
struct Frame {
    kind: Type,
    /// How much of the payload has not come.
    left: u64,
    /// What has come, of a control frame.
    control: Vec<u8>,
}

impl Decoder {
    /// Takes something from the front of the input, and at most `room` bytes of payload. Returns
    /// how many bytes it has used, and what they were.
    pub(super) fn next(&mut self, input: &[u8], room: usize) -> Result<(usize, Found), Violation> {
        let mut used = 0;
        let mut frame = match self.frame.take() {
            Some(frame) => frame,
            None => {
                let Some(frame) = self.read_head(input, &mut used)? else {
                    return Ok((used, Found::Nothing));
                };
                frame
            }
        };
        if frame.kind.is_control() {
            let count = self.available(&frame, &input[used..]);
            frame.control.extend_from_slice(&input[used..used + count]);
            frame.left -= count as u64;
            used += count;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok((used, Found::Nothing));
            }
            return Ok((used, control(frame)));
        }
        let count = self.available(&frame, &input[used..]).min(room);
        let was_empty = frame.left == 0;
        frame.left -= count as u64;
        if frame.left > 0 {
            self.frame = Some(frame);
        }
        match count {
            0 if was_empty => Ok((used, Found::Empty)),
            0 => Ok((used, Found::Nothing)),
            count => Ok((used + count, Found::Payload(count))),
        }
    }

    fn available(&self, frame: &Frame, input: &[u8]) -> usize {
        usize::try_from(frame.left).map_or(input.len(), |left| left.min(input.len()))
    }

    /// Goes on with a head, and returns the frame when it is complete.
    fn read_head(&mut self, input: &[u8], used: &mut usize) -> Result<Option<Frame>, Violation> {
        while let Some(byte) = input.get(*used) {
            self.head[self.head_len] = *byte;
            self.head_len += 1;
            *used += 1;
            if self.head_len >= 2 && self.head_len == self.full_head_len()? {
                self.head_len = 0;
                return self.check_head().map(Some);
            }
        }
        Ok(None)
    }

    fn full_head_len(&self) -> Result<usize, Violation> {
        if self.head[1] & 0x80 != 0 {
            return Err(Violation::Masked);
        }
        Ok(match self.head[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        })
    }

    fn check_head(&mut self) -> Result<Frame, Violation> {
        let [first, short, rest @ ..] = self.head;
        let left = match short {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => u64::from_be_bytes(rest),
            short => u64::from(short),
        };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        if left > u64::MAX >> 1 {
            return Err(Violation::TooLong);
        }
        let (kind, is_last) = (Type::of(first & 0x0f)?, first & 0x80 != 0);
        if kind.is_control() {
            if !is_last || left > MAX_CONTROL as u64 {
                return Err(Violation::ControlFrame);
            }
        } else {
            if self.is_in_message != (kind == Type::Continuation) {
                return Err(Violation::Fragment);
            }
            self.is_in_message = !is_last;
        }
        Ok(Frame { kind, left, control: Vec::new() })
    }
}

fn control(frame: Frame) -> Found {
    match frame.kind {
        Type::Ping => Found::Ping(frame.control),
        Type::Pong => Found::Pong,
        _ => Found::Close(frame.control.split_first_chunk().map(|(code, reason)| {
            (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned())
        })),
    }
}

/// Appends a frame with a mask to a buffer; `write` appends its payload, of the length given.
pub(super) fn encode(
    out: &mut Vec<u8>,
    kind: Type,
    len: usize,
    mask: [u8; 4],
    write: impl FnOnce(&mut Vec<u8>),
) {
    const MASKED: u8 = 0x80;
    out.push(0x80 | kind as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if usize::from(short) <= MAX_CONTROL => out.push(MASKED | short),
        (_, Ok(len)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let begin = out.len();
    write(out);
    apply(mask, &mut out[begin..]);
}

/// Masks, or unmasks.
fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in chunks.by_ref() {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as a server sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ ..126 => bytes.push(len as u8),
            len @ ..65536 => {
                bytes.push(126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                bytes.push(127);
                bytes.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    /// What a stream means, when it comes in these pieces: the payload in one, and everything else.
    fn decode(
        stream: &[u8],
        cuts: &[usize],
        room: usize,
    ) -> Result<(Vec<u8>, Vec<Found>), Violation> {
        let mut decoder = Decoder::default();
        let (mut payload, mut others) = (Vec::new(), Vec::new());
        let mut rest = stream;
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let piece = (*cuts.next().unwrap()).clamp(1, rest.len());
            let (mut input, after) = rest.split_at(piece);
            rest = after;
            while !input.is_empty() {
                let (used, found) = decoder.next(input, room)?;
                match found {
                    Found::Payload(count) => payload.extend_from_slice(&input[used - count..used]),
                    Found::Nothing => assert_eq!(used, input.len(), "there is more"),
                    other => others.push(other),
                }
                input = &input[used..];
            }
        }
        Ok((payload, others))
    }

    fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        prop_oneof![
            4 => (Just(2), bytes(300)),
            1 => (Just(1), bytes(200)),
            1 => (Just(2), bytes(70_000)),
            2 => (Just(9), bytes(126)),
            1 => (Just(10), bytes(126)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_of_the_stream_means_the_same(
            frames in proptest::collection::vec((any_frame(), any::<bool>()), 1..12),
            cuts in proptest::collection::vec(1..5000_usize, 1..20),
            room in 1..9000_usize,
        ) {
            let (mut stream, mut payload, mut others) = (Vec::new(), Vec::new(), Vec::new());
            let mut is_in_message = false;
            for ((kind, bytes), is_last) in frames {
                let is_control = kind >= 8;
                let kind = if is_in_message && !is_control { 0 } else { kind };
                let last = if is_last || is_control { 0x80 } else { 0 };
                stream.extend(frame(kind | last, &bytes));
                match kind {
                    9 => others.push(Found::Ping(bytes)),
                    10 => others.push(Found::Pong),
                    _ => {
                        is_in_message = !is_last;
                        if bytes.is_empty() {
                            others.push(Found::Empty);
                        }
                        payload.extend(bytes);
                    }
                }
            }
            for cuts in [&cuts[..], &[1], &[usize::MAX]] {
                prop_assert_eq!(decode(&stream, cuts, room), Ok((payload.clone(), others.clone())));
            }
        }

        #[test]
        fn garbage_is_a_violation_or_nothing_and_never_a_panic(
            stream in proptest::collection::vec(any::<u8>(), 0..300),
            cuts in proptest::collection::vec(1..9_usize, 1..5),
        ) {
            prop_assert_eq!(decode(&stream, &cuts, 64), decode(&stream, &[1], 64));
        }

        #[test]
        fn what_is_masked_is_what_the_server_unmasks(
            payload in proptest::collection::vec(any::<u8>(), 0..70_000),
            mask in any::<[u8; 4]>(),
        ) {
            let mut out = b"before".to_vec();
            encode(&mut out, Type::Binary, payload.len(), mask, |out| out.extend(&payload));
            let expected = frame(0x82, &payload);
            let head = expected.len() - payload.len();
            let (own, sent) = out["before".len()..].split_at(head + 4);
            prop_assert_eq!(own[0], expected[0]);
            prop_assert_eq!(own[1], expected[1] | 0x80);
            prop_assert_eq!(&own[2..head], &expected[2..head]);
            let unmasked: Vec<_> = sent.iter().zip(own[head..].iter().cycle()).map(|(b, m)| b ^ m).collect();
            prop_assert_eq!(unmasked, payload);
        }
    }

    #[test]
    fn what_a_server_may_not_send() {
        use Violation::*;
        for (stream, expected) in [
            (frame(0xc2, b"x"), ReservedBit),
            (frame(0xa2, b"x"), ReservedBit),
            (vec![0x82, 0x81, 1, 2, 3, 4, b'x'], Masked),
            (frame(0x83, b"x"), UnknownType(3)),
            (frame(0x8b, b"x"), UnknownType(11)),
            (frame(0x09, b"x"), ControlFrame),
            (frame(0x89, &[0; 126]), ControlFrame),
            (frame(0x80, b"x"), Fragment),
            ([frame(0x02, b"x"), frame(0x82, b"y")].concat(), Fragment),
            ([frame(0x02, b"x"), frame(0x80, b"y"), frame(0x80, b"z")].concat(), Fragment),
            (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], TooLong),
        ] {
            assert_eq!(decode(&stream, &[1], 100), Err(expected), "{stream:?}");
        }
    }

    #[test]
    fn a_close_has_a_code_and_a_reason_or_none() {
        let found = |payload: &[u8]| decode(&frame(0x88, payload), &[1], 100).unwrap().1;
        let reason = "Authentication Failure".to_owned();
        let with_reason = [&1008_u16.to_be_bytes()[..], reason.as_bytes()].concat();
        assert_eq!(found(&with_reason), [Found::Close(Some((1008, reason)))]);
        assert_eq!(found(&1000_u16.to_be_bytes()), [Found::Close(Some((1000, String::new())))]);
        assert_eq!(found(b""), [Found::Close(None)]);
        assert_eq!(found(b"x"), [Found::Close(None)]);
    }
}
