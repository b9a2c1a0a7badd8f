//! Takes lines out of a stream of NATS protocol, for [`Fault::DropLine`].
//!
//! It knows as much of the framing as it takes not to look for lines within payloads, and passes
//! everything on as soon as it is sure of it: it never waits for the end of a line that it lets
//! through. It checks nothing; what is not NATS protocol is passed on as lines.

use crate::fault::{Direction, Fault};

/// Lines that a payload follows. Verbs are taken in any case, as servers do.
const PAYLOAD_VERBS: [&[u8]; 4] = [b"MSG", b"HMSG", b"PUB", b"HPUB"];

/// By this many bytes of a line it is clear whether a payload follows: the longest verb and a
/// blank.
const VERB_LENGTH: usize = 5;

/// How much of a line with a payload is kept to find the payload's length. No peer takes a longer
/// line.
const LINE_LIMIT: usize = 1 << 16;

/// One direction's filter.
#[derive(Debug)]
pub(crate) struct LineFilter {
    rules: Vec<Rule>,
    state: State,
}

#[derive(Debug)]
struct Rule {
    prefix: Vec<u8>,
    remaining: usize,
}

#[derive(Debug)]
enum State {
    /// So far, nobody knows what becomes of the line. Nothing of it has been passed on.
    Undecided(Vec<u8>),
    /// The line passes and has no payload.
    Passing,
    /// The line is taken out.
    Dropping,
    /// The line passes; its text is kept for the payload's length at its end.
    BeforePayload(Vec<u8>),
    /// This many bytes of payload and line end are to come.
    Payload(u64),
}

impl LineFilter {
    pub(crate) fn new(faults: &[Fault], wanted: Direction) -> LineFilter {
        let rules = faults.iter().filter_map(|fault| match fault {
            Fault::DropLine { direction, prefix, count } if *direction == wanted => {
                Some(Rule { prefix: prefix.clone(), remaining: *count })
            }
            _ => None,
        });
        LineFilter { rules: rules.collect(), state: State::Undecided(Vec::new()) }
    }

    /// Appends to `passed` what may be passed on now that `bytes` have come.
    pub(crate) fn filter(&mut self, mut bytes: &[u8], passed: &mut Vec<u8>) {
        if self.rules.is_empty() {
            passed.extend_from_slice(bytes);
            return;
        }
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Payload(remaining) => {
                    let taken = bytes.len().min((*remaining).try_into().unwrap_or(usize::MAX));
                    passed.extend_from_slice(&bytes[..taken]);
                    *remaining -= taken as u64;
                    if *remaining == 0 {
                        self.state = State::Undecided(Vec::new());
                    }
                    taken
                }
                State::Undecided(line) => {
                    line.push(bytes[0]);
                    self.decide(passed);
                    1
                }
                _ => self.rest_of_line(bytes, passed),
            };
            bytes = &bytes[taken..];
        }
    }

    /// Appends to `passed` what was held back, when no more will come.
    pub(crate) fn finish(&mut self, passed: &mut Vec<u8>) {
        if let State::Undecided(line) = &mut self.state {
            passed.append(line);
        }
    }

    /// Looks at the beginning of a line, to which a byte has been added.
    fn decide(&mut self, passed: &mut Vec<u8>) {
        let State::Undecided(line) = &mut self.state else { return };
        let ended = line.last() == Some(&b'\n');
        let open = self.rules.iter_mut().filter(|rule| rule.remaining > 0);
        let mut candidates = open.filter(|rule| {
            line.starts_with(&rule.prefix) || !ended && rule.prefix.starts_with(line)
        });
        let Some(rule) = candidates.next() else {
            passed.extend_from_slice(line);
            self.pass_line();
            return;
        };
        // another rule may match sooner than the first one, but none can be told before the line is
        // known to have no payload.
        let matched = line.starts_with(&rule.prefix);
        if has_payload(line) {
            passed.extend_from_slice(line);
            self.pass_line();
        } else if matched && (ended || line.len() >= VERB_LENGTH) {
            rule.remaining -= 1;
            self.state = if ended { State::Undecided(Vec::new()) } else { State::Dropping };
        }
    }

    /// The line at hand passes; its beginning has done so.
    fn pass_line(&mut self) {
        let State::Undecided(line) = &mut self.state else { return };
        let line = std::mem::take(line);
        let ended = line.last() == Some(&b'\n');
        // a line too short to tell its verb may still turn out to have a payload
        self.state = if ended { after_line(&line) } else { State::BeforePayload(line) };
    }

    /// Takes the bytes up to the line end or as many as there are; returns their number.
    fn rest_of_line(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let rest = &bytes[..taken];
        if !matches!(self.state, State::Dropping) {
            passed.extend_from_slice(rest);
        }
        if let State::BeforePayload(line) = &mut self.state {
            line.extend_from_slice(rest);
            if end.is_some() {
                self.state = after_line(line);
            } else if line.len() >= VERB_LENGTH && !has_payload(line) || line.len() > LINE_LIMIT {
                self.state = State::Passing;
            }
        } else if end.is_some() {
            self.state = State::Undecided(Vec::new());
        }
        taken
    }
}

/// What follows a whole line that has passed.
fn after_line(line: &[u8]) -> State {
    let length = has_payload(line).then(|| {
        let mut fields = line.split(|byte| byte.is_ascii_whitespace());
        let last = fields.rfind(|field| !field.is_empty())?;
        std::str::from_utf8(last).ok()?.parse::<u64>().ok()?.checked_add(2)
    });
    length.flatten().map_or_else(|| State::Undecided(Vec::new()), State::Payload)
}

fn has_payload(line: &[u8]) -> bool {
    PAYLOAD_VERBS.iter().any(|verb| {
        line.get(..verb.len()).is_some_and(|start| start.eq_ignore_ascii_case(verb))
            && matches!(line.get(verb.len()), Some(b' ' | b'\t'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTION: Direction = Direction::ToClient;

    fn drop_line(prefix: &str, count: usize) -> Fault {
        Fault::DropLine { direction: DIRECTION, prefix: prefix.into(), count }
    }

    /// What is left of a text that comes in pieces of this size.
    fn filtered(faults: &[Fault], text: &str, piece: usize) -> String {
        let mut filter = LineFilter::new(faults, DIRECTION);
        let mut passed = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            filter.filter(piece, &mut passed);
        }
        filter.finish(&mut passed);
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn lines_are_taken_out_however_they_are_cut() {
        let table: [(&[Fault], &str, &str); 13] = [
            (&[], "PONG\r\n", "PONG\r\n"),
            (&[drop_line("PONG", 1)], "PONG\r\nPONG\r\n", "PONG\r\n"),
            (&[drop_line("PONG", 9)], "PING\r\nPONG\r\n+OK\r\nPONG\r\nPO", "PING\r\n+OK\r\nPO"),
            (&[drop_line("PONG", 0)], "PONG\r\n", "PONG\r\n"),
            (&[drop_line("PING", 1), drop_line("PONG", 1)], "PONG\r\nPING\r\nPONG\r\n", "PONG\r\n"),
            (
                &[drop_line("-ERR 'Perm", 1)],
                "-ERR 'Perhaps'\r\n-ERR 'Permissions'\r\n",
                "-ERR 'Perhaps'\r\n",
            ),
            (&[drop_line("", 2)], "INFO {}\r\n\r\nPING\r\n", "PING\r\n"),
            (&[drop_line("+OK", 1)], "+OK\n+OK\n", "+OK\n"),
            // a line that is shorter than the prefix
            (&[drop_line("PONG and more", 1)], "PONG\r\nPONG and more\r\n", "PONG\r\n"),
            // what looks like a line within a payload
            (
                &[drop_line("PONG", 1)],
                "MSG a 1 8\r\n\r\nPONG\r\n\r\nPONG\r\n+OK\r\n",
                "MSG a 1 8\r\n\r\nPONG\r\n\r\n+OK\r\n",
            ),
            (
                &[drop_line("PONG", 1)],
                "hmsg a 1 r 12 18\r\nNATS/1.0\r\n\r\nPONG\r\n\r\nPONG\r\n",
                "hmsg a 1 r 12 18\r\nNATS/1.0\r\n\r\nPONG\r\n\r\n",
            ),
            // never with a payload, also if the prefix asks for it
            (
                &[drop_line("MSG", 1)],
                "MSG a 1 0\r\n\r\nMSGS\r\n+OK\r\n",
                "MSG a 1 0\r\n\r\n+OK\r\n",
            ),
            (
                &[drop_line("P", 3)],
                "PUB a 6\r\nPING\r\n\r\nPING\r\nPUB\t6\t3\r\nPIN\r\nPONG\r\n",
                "PUB a 6\r\nPING\r\n\r\nPUB\t6\t3\r\nPIN\r\n",
            ),
        ];
        for (faults, text, expected) in table {
            for piece in 1..=text.len() {
                assert_eq!(
                    filtered(faults, text, piece),
                    expected,
                    "{faults:?} {text:?} by {piece}"
                );
            }
        }
    }

    #[test]
    fn what_passes_is_not_held_back() {
        let mut filter = LineFilter::new(&[drop_line("PONG", 1)], DIRECTION);
        let mut passed = Vec::new();
        filter.filter(b"PI", &mut passed);
        assert_eq!(passed, b"PI");
        filter.filter(b"NG\r\nMSG a 1 5\r\nPO", &mut passed);
        assert!(passed.ends_with(b"\r\nPO"));
        filter.filter(b"NGs\r\nPO", &mut passed);
        assert!(passed.ends_with(b"PONGs\r\n"), "the last bytes may become a line to be taken out");
    }
}
