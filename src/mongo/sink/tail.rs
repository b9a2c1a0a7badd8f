//! The tail of the stream, as its leader has it: the last sequence, and what the last message says.

use super::headers;
use super::message::{parse_time, parse_token};
use crate::callback::{Answer, State};
use crate::jetstream::{self, Api, MessageQuery, ReadFrom, StoredMessage, StreamInfo};
use crate::mongo::changes::ResumePoint;

/// How far the stream is.
#[derive(Debug)]
pub(super) struct Tail {
    /// The highest sequence that the stream has given out, also if that message is gone.
    pub(super) sequence: u64,
    /// Whether the stream takes atomic batches.
    pub(super) takes_batches: bool,
    /// Whether the stream takes messages by fast ingest, and nothing is missing behind the last one: it
    /// might know the ids of what is missing, and an ingest is not told of what is left out for that.
    pub(super) takes_ingests: bool,
    /// The last message that is there.
    pub(super) last: Option<Last>,
}

/// What the last message says.
#[derive(Debug, PartialEq)]
pub(super) enum Last {
    /// It is a sink's.
    Own(Mark),
    /// It is none that a sink has published.
    Foreign { sequence: u64 },
}

/// A message of a sink.
#[derive(Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) id: String,
    pub(super) writer: String,
    pub(super) point: ResumePoint,
    /// The transaction that the change was part of, and which part it was.
    pub(super) part: Option<(String, u64)>,
}

/// Every subject of two tokens and more. To `>`, servers answer with the last sequence or not at all.
const EVERY_SUBJECT: &str = "*.>";

type OnTail = Answer<Result<Tail, jetstream::Error>>;

/// Reads the tail from the leader.
pub(super) fn read(api: &Api, stream: &str, answer: OnTail) {
    let (again, name) = (api.clone(), stream.to_owned());
    let on_info = move |state: &mut State, info: Result<StreamInfo, jetstream::Error>| match info {
        Ok(info) if info.state.messages == 0 => answer(state, Ok(tail(&info, None))),
        Ok(info) => {
            read_last(&again, &name, info, answer);
            Ok(())
        }
        Err(error) => answer(state, Err(error)),
    };
    api.stream_info(stream, Box::new(on_info));
}

fn read_last(api: &Api, stream: &str, info: StreamInfo, answer: OnTail) {
    let query = MessageQuery::Sequence(info.state.last_sequence);
    let (again, name) = (api.clone(), stream.to_owned());
    let on_last = move |state: &mut State, read: Result<StoredMessage, jetstream::Error>| {
        match read {
            Ok(message) => answer(state, Ok(tail(&info, Some(&message)))),
            // it was deleted; what is before it still says where to go on
            Err(error) if error.is_no_message() => {
                read_last_left(&again, &name, info, answer);
                Ok(())
            }
            Err(error) => answer(state, Err(error)),
        }
    };
    api.stored_message(stream, query, ReadFrom::Leader, Box::new(on_last));
}

fn read_last_left(api: &Api, stream: &str, info: StreamInfo, answer: OnTail) {
    let (again, name) = (api.clone(), stream.to_owned());
    let on_last = move |state: &mut State, read: Result<StoredMessage, jetstream::Error>| {
        match read {
            // the stream has gone on meanwhile
            Ok(message) if message.sequence() > info.state.last_sequence => {
                self::read(&again, &name, answer);
                Ok(())
            }
            Ok(message) => answer(state, Ok(tail(&info, Some(&message)))),
            Err(error) if error.is_no_message() => answer(state, Ok(tail(&info, None))),
            Err(error) => answer(state, Err(error)),
        }
    };
    let query = MessageQuery::LastBySubject(EVERY_SUBJECT);
    api.stored_message(stream, query, ReadFrom::Leader, Box::new(on_last));
}

fn tail(info: &StreamInfo, message: Option<&StoredMessage>) -> Tail {
    Tail {
        sequence: info.state.last_sequence,
        takes_batches: info.config.allow_atomic,
        takes_ingests: info.config.allow_batched
            && message.map_or(0, StoredMessage::sequence) >= info.state.last_sequence,
        last: message.map(|message| {
            let foreign = Last::Foreign { sequence: message.sequence() };
            mark(message).map_or(foreign, Last::Own)
        }),
    }
}

/// What a message says, if a sink has published it.
fn mark(message: &StoredMessage) -> Option<Mark> {
    let headers = message.headers();
    let text = |name: &str| headers.last(name).map(|value| value.into_owned());
    let point = ResumePoint {
        token: parse_token(&text(headers::TOKEN)?)?,
        timestamp: text(headers::TIME).as_deref().and_then(parse_time),
        operation_type: text(headers::OPERATION),
    };
    let part = text(headers::PART).and_then(|part| part.split(' ').next()?.parse().ok());
    Some(Mark {
        id: text(headers::MESSAGE_ID)?,
        writer: text(headers::WRITER)?,
        point,
        part: text(headers::TRANSACTION).zip(part),
    })
}
