//! MongoDB's messages (OP_MSG) as bytes: one document with its header, to and fro.
//!
//! Written are messages with that document alone. Read is what drivers send, too: sequences of documents
//! beside the command, which become arrays of it. No compression and no checksum.

use bson::{Bson, Document, doc, raw::RawDocumentBuf};
use std::io::{self, Read, Write};

/// The operation code of all messages.
const OP_MSG: i32 = 2013;

/// The flag of a message with a checksum at its end.
const CHECKSUM: u32 = 1;

/// The flag of a message that wants no reply.
const MORE_TO_COME: u32 = 2;

/// Length, id, the id that is answered, operation code.
const HEADER: usize = 16;

/// What servers accept at most.
const MAX_LENGTH: usize = 48_000_000;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) id: i32,
    /// The id of the message that this one answers; 0 in a request.
    pub(super) answers: i32,
    /// Whether a reply is waited for.
    pub(super) wants_reply: bool,
    pub(super) body: Document,
}

impl Message {
    /// Reads one message. `None` at an orderly end of the stream, between two messages.
    pub(super) fn read(stream: &mut impl Read) -> io::Result<Option<Message>> {
        let mut header = [0; HEADER];
        let first = loop {
            match stream.read(&mut header) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut header[first..])?;
        let number = |index: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&header[index * 4..][..4]);
            i32::from_le_bytes(bytes)
        };
        let length = usize::try_from(number(0)).unwrap_or(0);
        if !(HEADER..=MAX_LENGTH).contains(&length) || number(3) != OP_MSG {
            return Err(invalid(format!("no message: length {length}, code {}", number(3))));
        }
        let mut rest = vec![0; length - HEADER];
        stream.read_exact(&mut rest)?;
        let (body, flags) = parse(&rest)?;
        let wants_reply = flags & MORE_TO_COME == 0;
        Ok(Some(Message { id: number(1), answers: number(2), wants_reply, body }))
    }

    /// Writes the message.
    pub(super) fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let body = RawDocumentBuf::try_from(&self.body).map_err(invalid)?;
        write_raw(stream, self.id, self.answers, body.as_bytes())
    }
}

/// Writes a message around the bytes of a document, which are not looked at.
pub(super) fn write_raw(
    stream: &mut impl Write,
    id: i32,
    answers: i32,
    body: &[u8],
) -> io::Result<()> {
    let length = i32::try_from(HEADER + 5 + body.len()).map_err(invalid)?;
    let mut bytes = Vec::with_capacity(HEADER + 5 + body.len());
    for number in [length, id, answers, OP_MSG, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(0); // The kind of the section that is one document.
    bytes.extend(body);
    stream.write_all(&bytes)
}

/// Reads what follows the header: flags and sections.
fn parse(bytes: &[u8]) -> io::Result<(Document, u32)> {
    let (flags, mut rest) = split_number(bytes)?;
    if flags & CHECKSUM != 0 {
        rest = &rest[..rest.len().saturating_sub(4)];
    }
    let mut body = None;
    let mut sequences = doc! {};
    while let Some((kind, section)) = rest.split_first() {
        let (length, _) = split_number(section)?;
        let Some((section, after)) = section.split_at_checked(length as usize) else {
            return Err(invalid("a section that is cut off"));
        };
        match kind {
            0 => body = Some(Document::from_reader(section).map_err(invalid)?),
            1 => {
                let (_, section) = split_number(section)?;
                let (name, documents) = sequence(section)?;
                sequences.insert(name, documents);
            }
            kind => return Err(invalid(format!("a section of the kind {kind}"))),
        }
        rest = after;
    }
    let mut body = body.ok_or_else(|| invalid("a message without a document"))?;
    body.extend(sequences);
    Ok((body, flags))
}

/// Reads a sequence of documents, with the name of the field that it is for.
fn sequence(bytes: &[u8]) -> io::Result<(String, Bson)> {
    let end = bytes.iter().position(|byte| *byte == 0);
    let end = end.ok_or_else(|| invalid("a sequence without a name"))?;
    let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut rest = &bytes[end + 1..];
    let mut documents = Vec::new();
    while !rest.is_empty() {
        documents.push(Bson::Document(Document::from_reader(&mut rest).map_err(invalid)?));
    }
    Ok((name, Bson::Array(documents)))
}

fn split_number(bytes: &[u8]) -> io::Result<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk().ok_or_else(|| invalid("an end too early"))?;
    Ok((u32::from_le_bytes(*number), rest))
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let body = doc! { "ping": 1, "$db": "admin" };
        Message { id: 7, answers: 3, wants_reply: true, body }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        message().write(&mut bytes).unwrap();
        message().write(&mut bytes).unwrap();
        let mut stream = bytes.as_slice();
        for _ in 0..2 {
            assert_eq!(Message::read(&mut stream).unwrap(), Some(message()));
        }
        assert_eq!(Message::read(&mut stream).unwrap(), None);
        let cut = Message::read(&mut &bytes[..20]).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn sequences_become_arrays_of_the_command() {
        let command = doc! { "insert": "c" }.to_vec().unwrap();
        let row = doc! { "_id": 1 }.to_vec().unwrap();
        let mut sequence = b"documents\0".to_vec();
        sequence.extend([row.as_slice(), &row].concat());
        let mut bytes = MORE_TO_COME.to_le_bytes().to_vec();
        bytes.push(1);
        bytes.extend((sequence.len() as u32 + 4).to_le_bytes());
        bytes.extend(sequence);
        bytes.push(0);
        bytes.extend(command);
        let (body, flags) = parse(&bytes).unwrap();
        assert_eq!(body, doc! { "insert": "c", "documents": [{ "_id": 1 }, { "_id": 1 }] });
        assert_eq!(flags, MORE_TO_COME);
    }

    #[test]
    fn garbage_is_an_error() {
        for garbage in [&[0; 16][..], &[255; 16], b"GET / HTTP/1.1\r\n\r\n"] {
            assert!(Message::read(&mut &garbage[..]).is_err(), "{garbage:?}");
        }
        for garbage in [&[0; 3][..], &[0; 4], &[0, 0, 0, 0, 9, 4, 0, 0, 0], &[0; 9]] {
            assert!(parse(garbage).is_err(), "{garbage:?}");
        }
        let section_too_long = [0, 0, 0, 0, 1, 255, 0, 0, 0, b'a', 0];
        assert!(parse(&section_too_long).is_err());
        let section_too_short = [0, 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(parse(&section_too_short).is_err());
    }
}
