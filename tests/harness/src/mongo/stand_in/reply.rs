//! What a stand-in answers, and how that goes over the wire.

use super::Request;
use crate::mongo::message::{Message, write_raw};
use bson::{Bson, Document, doc};
use std::io::{self, Write};

/// What a stand-in does with a command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// Answers as a primary without data would.
    Usual,
    /// Answers with this document, to which `ok: 1` is added unless it has an `ok`.
    Document(Document),
    /// Answers with these bytes in place of a document, whatever they are.
    Raw(Vec<u8>),
    /// Answers with the first batch of a cursor.
    FirstBatch(CursorBatch),
    /// Answers with a further batch of a cursor.
    NextBatch(CursorBatch),
    /// Does not answer. The connection stays open, and later commands on it are read.
    Silence,
    /// Closes the connection in place of an answer.
    Close,
}

/// Some documents of a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorBatch {
    cursor: i64,
    documents: Vec<Document>,
    resume_token: Option<Document>,
}

impl Reply {
    /// An error of the server.
    #[must_use]
    pub fn error(code: i32, name: &str) -> Reply {
        Self::error_with_labels(code, name, &[])
    }

    /// An error of the server with labels, such as `ResumableChangeStreamError`.
    #[must_use]
    pub fn error_with_labels(code: i32, name: &str, labels: &[&str]) -> Reply {
        let labels: Vec<_> = labels.iter().map(|label| Bson::from(*label)).collect();
        Reply::Document(doc! {
            "ok": 0,
            "code": code,
            "codeName": name,
            "errmsg": format!("the stand-in's {name}"),
            "errorLabels": labels,
        })
    }

    /// The first batch of a cursor, which is the answer to `aggregate` and `find`. There is no more if
    /// the cursor's number is 0.
    #[must_use]
    pub fn first_batch(cursor: i64, documents: Vec<Document>) -> Reply {
        Reply::FirstBatch(CursorBatch { cursor, documents, resume_token: None })
    }

    /// A further batch of a cursor, which is the answer to `getMore`. It is the last one if the cursor's
    /// number is 0.
    #[must_use]
    pub fn next_batch(cursor: i64, documents: Vec<Document>) -> Reply {
        Reply::NextBatch(CursorBatch { cursor, documents, resume_token: None })
    }

    /// Gives a batch of a change stream the token of its end, `{_data: TOKEN}`. Other replies stay as
    /// they are.
    #[must_use]
    pub fn resume_token(mut self, token: &str) -> Reply {
        if let Reply::FirstBatch(batch) | Reply::NextBatch(batch) = &mut self {
            batch.resume_token = Some(doc! { "_data": token });
        }
        self
    }

    /// Sends the reply. Returns whether the connection stays open.
    pub(super) fn send(self, request: &Request, stream: &mut impl Write) -> io::Result<bool> {
        let body = match self {
            Reply::Silence => return Ok(true),
            Reply::Close => return Ok(false),
            _ if !request.message.wants_reply => return Ok(true),
            Reply::Raw(bytes) => {
                write_raw(stream, 0, request.message.id, &bytes)?;
                return Ok(true);
            }
            Reply::Usual => doc! {},
            Reply::Document(document) => document,
            Reply::FirstBatch(batch) => batch.into_reply("firstBatch", request),
            Reply::NextBatch(batch) => batch.into_reply("nextBatch", request),
        };
        let reply =
            Message { id: 0, answers: request.message.id, wants_reply: false, body: with_ok(body) };
        reply.write(stream)?;
        Ok(true)
    }
}

impl CursorBatch {
    fn into_reply(self, field: &str, request: &Request) -> Document {
        let documents: Vec<_> = self.documents.into_iter().map(Bson::from).collect();
        let mut cursor = doc! { "id": self.cursor, "ns": request.namespace(), field: documents };
        if let Some(token) = self.resume_token {
            cursor.insert("postBatchResumeToken", token);
        }
        doc! { "cursor": cursor }
    }
}

fn with_ok(mut body: Document) -> Document {
    if !body.contains_key("ok") {
        body.insert("ok", 1);
    }
    body
}
