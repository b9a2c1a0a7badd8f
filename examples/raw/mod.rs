//! The measure for workloads: bare loops over a blocking socket, whose frames are put together
//! beforehand as far as that is possible. `peerbench raw:NAME` runs one, with NAME `jsfast`, `jsatomic`,
//! `fetch`, `kvwatch`, `kvkeys` or `objput`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// How many acknowledgements of an ingest are outstanding, and after how many messages it asks for one.
const WINDOWS: u64 = 2;
const FLOW: u64 = 1000;
/// The messages of an atomic batch.
pub(crate) const BATCH: u64 = 100;

pub(crate) struct Raw {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    payload: Vec<u8>,
    /// What a message of an ingest begins with, up to its number, and what follows on its operation.
    ingest_head: String,
    ingest_tail: String,
    frames: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(url: &str, payload: &[u8]) -> io::Result<Self> {
        let address = url.strip_prefix("nats://").unwrap_or(url);
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        let reader = BufReader::with_capacity(64 << 10, writer.try_clone()?);
        let ingest_head = format!("PUB bfast.data _INBOX.raw.b.{FLOW}.fail.");
        let ingest_tail = format!(".$FI {}\r\n", payload.len());
        let payload = [payload, b"\r\n"].concat();
        let frames = Vec::new();
        let mut raw = Self { reader, writer, payload, ingest_head, ingest_tail, frames };
        raw.line()?;
        raw.frames.extend_from_slice(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n");
        raw.frames.extend_from_slice(b"SUB _INBOX.raw.> 1\r\n");
        raw.flush()?;
        Ok(raw)
    }

    /// Creates a stream in memory, with one more setting.
    pub(crate) fn create_stream(
        &mut self,
        name: &str,
        subjects: &str,
        setting: &str,
    ) -> io::Result<()> {
        let body = format!(
            "{{\"name\":\"{name}\",\"subjects\":[\"{subjects}\"],\"storage\":\"memory\",{setting}}}"
        );
        let len = body.len();
        write!(
            self.frames,
            "PUB $JS.API.STREAM.CREATE.{name} _INBOX.raw.create {len}\r\n{body}\r\n"
        )?;
        self.flush()?;
        let reply = self.message()?;
        match find(&reply, b"\"error\"") {
            Some(_) => Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned())),
            None => Ok(()),
        }
    }

    /// Publishes by fast ingest.
    pub(crate) fn ingest(&mut self, count: u64) -> io::Result<()> {
        let (mut sent, mut limit) = (0, 1);
        while sent < count {
            while sent < count.min(limit) {
                sent += 1;
                self.append(sent, if sent == 1 { 0 } else { 1 });
                if self.frames.len() > 32 << 10 {
                    self.flush()?;
                }
            }
            self.flush()?;
            if sent < count {
                let ack = self.message()?;
                limit = number(&ack, b"\"seq\":") + number(&ack, b"\"msgs\":") * WINDOWS;
            }
        }
        self.end(count + 1)?;
        while find(&self.message()?, b"\"batch\":").is_none() {}
        Ok(())
    }

    /// Publishes with an acknowledgement of each message, so many of them outstanding.
    pub(crate) fn publish(&mut self, count: u64) -> io::Result<()> {
        const WINDOW: u64 = 32;
        let head = format!("PUB bobj.data _INBOX.raw.p {}\r\n", self.payload.len() - 2);
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < count {
            while sent < count.min(acknowledged + WINDOW) {
                sent += 1;
                self.frames.extend_from_slice(head.as_bytes());
                self.frames.extend_from_slice(&self.payload);
                self.flush()?;
            }
            let ack = self.message()?;
            match find(&ack, b"\"error\"") {
                Some(_) => {
                    return Err(io::Error::other(String::from_utf8_lossy(&ack).into_owned()));
                }
                None => acknowledged += 1,
            }
        }
        Ok(())
    }

    fn append(&mut self, sequence: u64, operation: u8) {
        self.frames.extend_from_slice(self.ingest_head.as_bytes());
        self.frames.extend_from_slice(itoa::Buffer::new().format(sequence).as_bytes());
        self.frames.extend_from_slice(if operation == 0 { b".0" } else { b".1" });
        self.frames.extend_from_slice(self.ingest_tail.as_bytes());
        self.frames.extend_from_slice(&self.payload);
    }

    fn end(&mut self, sequence: u64) -> io::Result<()> {
        write!(self.frames, "PUB bfast.data _INBOX.raw.b.{FLOW}.fail.{sequence}.3.$FI 0\r\n\r\n")?;
        self.flush()
    }

    /// Publishes in atomic batches. The first message of each and the last one are acknowledged.
    pub(crate) fn batches(&mut self, count: u64) -> io::Result<()> {
        let mut sent = 0;
        for batch in 1.. {
            for sequence in 1..=BATCH.min(count - sent) {
                sent += 1;
                let is_last = sequence == BATCH || sent == count;
                self.batched(batch, sequence, is_last);
                if sequence == 1 || is_last {
                    self.flush()?;
                    self.message()?;
                }
            }
            if sent == count {
                break;
            }
        }
        Ok(())
    }

    fn batched(&mut self, batch: u64, sequence: u64, is_last: bool) {
        let (batch, sequence_text) = (batch.to_string(), sequence.to_string());
        let commit: &[u8] = if is_last { b"Nats-Batch-Commit: 1\r\n" } else { b"" };
        let reply: &[u8] = if sequence == 1 || is_last { b" _INBOX.raw.batch " } else { b" " };
        const LEN: usize = "NATS/1.0\r\nNats-Batch-Id: \r\nNats-Batch-Sequence: \r\n\r\n".len();
        let headers_len = LEN + batch.len() + sequence_text.len() + commit.len();
        let (mut one, mut other) = (itoa::Buffer::new(), itoa::Buffer::new());
        for part in [
            b"HPUB batomic.data",
            reply,
            one.format(headers_len).as_bytes(),
            b" ",
            other.format(headers_len + self.payload.len() - 2).as_bytes(),
            b"\r\nNATS/1.0\r\nNats-Batch-Id: ",
            batch.as_bytes(),
            b"\r\nNats-Batch-Sequence: ",
            sequence_text.as_bytes(),
            b"\r\n",
            commit,
            b"\r\n",
            &self.payload,
        ] {
            self.frames.extend_from_slice(part);
        }
    }

    /// Creates a consumer of the stream `BCON`, and fetches messages from it, so many at once, each of
    /// which it acknowledges.
    pub(crate) fn fetch(&mut self, count: u64, batch: u64) -> io::Result<()> {
        let body = "{\"stream_name\":\"BCON\",\"config\":{\"name\":\"raw\",\
            \"ack_policy\":\"explicit\",\"max_ack_pending\":-1}}";
        let subject = "$JS.API.CONSUMER.CREATE.BCON.raw";
        write!(self.frames, "PUB {subject} _INBOX.raw.create {}\r\n{body}\r\n", body.len())?;
        self.flush()?;
        self.message()?;
        let mut left = count;
        while left > 0 {
            let asked = batch.min(left);
            let body = format!("{{\"batch\":{asked},\"expires\":30000000000}}");
            let subject = "$JS.API.CONSUMER.MSG.NEXT.BCON.raw";
            write!(self.frames, "PUB {subject} _INBOX.raw.next {}\r\n{body}\r\n", body.len())?;
            self.flush()?;
            for _ in 0..asked {
                self.acknowledge_next()?;
            }
            left -= asked;
        }
        self.frames.extend_from_slice(b"PING\r\n");
        self.flush()?;
        while !self.line()?.starts_with(b"PONG") {}
        Ok(())
    }

    /// Creates a consumer that pushes the last values of the bucket `BENCH`, or no more of them than their
    /// headers, and reads so many.
    pub(crate) fn read_bucket(&mut self, count: u64, headers_only: bool) -> io::Result<()> {
        // the consumer of a run before may not be gone
        let name = format!("raw{}", std::process::id());
        let body = format!(
            "{{\"stream_name\":\"KV_BENCH\",\"config\":{{\"name\":\"{name}\",\
             \"deliver_subject\":\"_INBOX.raw_push\",\"deliver_policy\":\"last_per_subject\",\
             \"filter_subject\":\"$KV.BENCH.>\",\"ack_policy\":\"none\",\"flow_control\":true,\
             \"idle_heartbeat\":5000000000,\"headers_only\":{headers_only}}}}}"
        );
        let subject = format!("$JS.API.CONSUMER.CREATE.KV_BENCH.{name}.$KV.BENCH.>");
        // a server pushes only to those who subscribe to the very subject (seen on 2.15)
        self.frames.extend_from_slice(b"SUB _INBOX.raw_push 2\r\n");
        write!(self.frames, "PUB {subject} _INBOX.raw.create {}\r\n{body}\r\n", body.len())?;
        self.flush()?;
        let mut left = count;
        while left > 0 {
            let line = self.line()?;
            if line.starts_with(b"PING") {
                self.writer.write_all(b"PONG\r\n")?;
                continue;
            }
            let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
            let size = words.last().map_or(0, |digits| number(digits, b""));
            let mut body = vec![0; size as usize + 2];
            self.reader.read_exact(&mut body)?;
            let is_pushed = words.get(1).is_some_and(|subject| subject.starts_with(b"$KV."));
            left -= u64::from(is_pushed);
            // a message without a payload and with a reply subject is flow control
            if let (false, [b"HMSG", b"_INBOX.raw_push", _, reply, ..]) = (is_pushed, &words[..])
                && words.len() == 6
            {
                self.frames.extend_from_slice(&[b"PUB ", *reply, b" 0\r\n\r\n"].concat());
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Reads the next message, and appends its acknowledgement.
    fn acknowledge_next(&mut self) -> io::Result<()> {
        let line = loop {
            match self.line()? {
                line if line.starts_with(b"MSG") => break line,
                line if line.starts_with(b"PING") => self.writer.write_all(b"PONG\r\n")?,
                line => return Err(io::Error::other(String::from_utf8_lossy(&line).into_owned())),
            }
        };
        let mut arguments = line.trim_ascii_end().rsplit(|byte| *byte == b' ');
        let size = arguments.next().map_or(0, |digits| number(digits, b""));
        let reply = arguments.next().unwrap_or_default();
        for part in [&b"PUB "[..], reply, b" 0\r\n\r\n"] {
            self.frames.extend_from_slice(part);
        }
        io::copy(&mut (&mut self.reader).take(size + 2), &mut io::sink())?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.frames)?;
        self.frames.clear();
        Ok(())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::with_capacity(128);
        self.reader.read_until(b'\n', &mut line)?;
        match line.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(line),
        }
    }

    /// The payload of the next message.
    fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let line = self.line()?;
            if line.starts_with(b"PING") {
                self.writer.write_all(b"PONG\r\n")?;
                continue;
            }
            let size = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
            let size = size.map_or(0, |digits| number(digits, b""));
            let mut payload = vec![0; size as usize + 2];
            self.reader.read_exact(&mut payload)?;
            return Ok(payload);
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// The number behind a name; 0 if there is none.
fn number(text: &[u8], name: &[u8]) -> u64 {
    let start = match name {
        [] => 0,
        name => find(text, name).map_or(text.len(), |at| at + name.len()),
    };
    let digits = text[start..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}
