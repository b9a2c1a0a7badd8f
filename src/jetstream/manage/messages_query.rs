//! Which of a stream's messages are read at once, and how far that has come: pages are asked for one
//! after the other, each behind the last message of the one before. Nothing is sent from here.
//!
//! Invariant: sequences only grow, and a page that is not the last one has a message. So it ends,
//! whatever a server sends.

use super::direct_read::{header_number, read_headers, refusal_of_many};
use super::stored_message::StoredMessage;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::error::Error;
use crate::jetstream::level::Requirement;
use crate::jetstream::time::rfc3339;
use crate::jetstream::wire::setters;
use evnats_protocol::Message;
use serde::Serialize;
use std::time::SystemTime;

/// What the server has to have.
pub(super) const NEEDS: Requirement = Requirement::new(1, "stored_messages");

/// Which messages of a stream are read: `MessagesQuery::subject("orders.>").limit(100)`, or
/// `MessagesQuery::last_of(["orders.*"])`.
///
/// ```no_run
/// # let event_loop = evnats::EventLoop::<()>::new()?;
/// # let orders = event_loop.connect("nats://127.0.0.1:4222")?.jetstream().stream("ORDERS");
/// use evnats::jetstream::{Listed, MessagesQuery};
/// // the newest of each kind, no older than what was stored as 42
/// orders.stored_messages(&MessagesQuery::last_of(["orders.*"]), |_, _, listed| match listed {
///     Listed::Item(message) => println!("{}: {:?}", message.subject(), message.payload()),
///     Listed::Ended(Ok(end)) if end.up_to_sequence >= Some(42) => println!("fresh"),
///     Listed::Ended(ended) => println!("{ended:?}"),
/// });
/// # Ok::<(), evnats::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagesQuery {
    which: Which,
    /// Only those with this sequence or a later one.
    pub from_sequence: Option<u64>,
    /// Only those not older than this time. Not with `last_of`, nor with `from_sequence`.
    pub from_time: Option<SystemTime>,
    /// The stream as it was when it had this last sequence, as far as it is still there. Only with
    /// `last_of`.
    pub up_to_sequence: Option<u64>,
    /// The stream as it was at this time, as far as it is still there. Only with `last_of`, and not
    /// with `up_to_sequence`.
    pub up_to_time: Option<SystemTime>,
    /// The most messages in all. `None`: no limit.
    pub limit: Option<u64>,
    /// The most messages that are asked for at a time. Default: 1024.
    pub page: u32,
    /// The most bytes that are asked for at a time, but for a single message that is larger. Default:
    /// 4 MiB. The server sends them as fast as it can.
    pub page_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    All(String),
    LastOf(Vec<String>),
}

impl MessagesQuery {
    /// The messages on a subject, which may have wildcards, in the order of the stream.
    #[must_use]
    pub fn subject(subject: impl Into<String>) -> Self {
        Self::new(Which::All(subject.into()))
    }

    /// The last message of each subject that matches one of these, which may have wildcards, in the
    /// order of the stream. At most 1024 subjects may match: more are refused (413).
    #[must_use]
    pub fn last_of<T: Into<String>>(subjects: impl IntoIterator<Item = T>) -> Self {
        Self::new(Which::LastOf(subjects.into_iter().map(Into::into).collect()))
    }

    fn new(which: Which) -> Self {
        Self {
            which,
            from_sequence: None,
            from_time: None,
            up_to_sequence: None,
            up_to_time: None,
            limit: None,
            page: 1024,
            page_bytes: 4 << 20,
        }
    }

    /// Servers pass over what does not go together.
    fn check(&self) -> Result<(), Error> {
        let is_possible = match self.which {
            Which::All(_) => self.up_to_sequence.is_none() && self.up_to_time.is_none(),
            Which::LastOf(_) => self.from_time.is_none(),
        };
        match is_possible {
            true => Ok(()),
            false => Err(Error::Unencodable(
                "up_to_… is for the last messages of subjects, and from_time is not".into(),
            )),
        }
    }
}

setters!(MessagesQuery {
    some from_sequence: u64,
    some from_time: SystemTime,
    some up_to_sequence: u64,
    some up_to_time: SystemTime,
    some limit: u64,
    value page: u32,
    value page_bytes: u64,
});

/// How the reading of messages ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagesEnd {
    /// The sequence of the last message that came. `None`: there was none.
    pub last_sequence: Option<u64>,
    /// Up to which sequence of the stream these are the last messages of their subjects, if that was
    /// asked for and there was one. Without [`up_to_sequence`](MessagesQuery::up_to_sequence) and
    /// [`up_to_time`](MessagesQuery::up_to_time), it is the last sequence that the server had which
    /// answered: what comes before a greater one that the reader knows of may be missing.
    pub up_to_sequence: Option<u64>,
    /// How many more match, beyond the [`limit`](MessagesQuery::limit).
    pub pending: u64,
}

/// The body of the request for a page.
#[derive(Serialize)]
struct PageRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_last: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    start_time: Option<SystemTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    up_to_time: Option<SystemTime>,
    batch: u64,
    max_bytes: u64,
}

/// How far the reading has come.
pub(super) struct Pages {
    query: MessagesQuery,
    end: MessagesEnd,
    /// How many messages may still come, if there is a limit.
    left: Option<u64>,
    /// The page that was asked for has had a message.
    has_progress: bool,
}

/// What a reply means.
#[derive(Debug)]
pub(super) enum Step {
    Message(StoredMessage),
    NextPage,
    Ended(Result<MessagesEnd, Error>),
}

impl Pages {
    pub(super) fn new(query: MessagesQuery) -> Result<Self, Error> {
        query.check()?;
        let left = query.limit;
        Ok(Self { query, end: MessagesEnd::default(), left, has_progress: false })
    }

    /// Whether no more messages are wanted.
    pub(super) fn is_over(&self) -> bool {
        self.left == Some(0)
    }

    /// Returns the body of the request for what comes next.
    pub(super) fn request(&mut self) -> Result<Vec<u8>, Error> {
        self.has_progress = false;
        let query = &self.query;
        let next = self.end.last_sequence.map(|last| last.saturating_add(1));
        let (next_by_subj, multi_last) = match &query.which {
            Which::All(subject) => (Some(&**subject), None),
            Which::LastOf(subjects) => (None, Some(&**subjects)),
        };
        // the first page tells up to where the others go
        let up_to_seq = self.end.up_to_sequence.or(query.up_to_sequence);
        let page = u64::from(query.page.max(1));
        let request = PageRequest {
            next_by_subj,
            multi_last,
            seq: next.or(query.from_sequence),
            start_time: query.from_time.filter(|_| next.is_none()),
            up_to_seq,
            up_to_time: query.up_to_time.filter(|_| up_to_seq.is_none()),
            batch: self.left.map_or(page, |left| page.min(left)),
            max_bytes: query.page_bytes.max(1),
        };
        serde_json::to_vec(&request).map_err(Error::unencodable)
    }

    pub(super) fn handle_reply(&mut self, reply: &Message) -> Step {
        let (mut pending, mut up_to) = (None, None);
        let parts = read_headers(reply, |name, value| match name {
            b"Nats-Num-Pending" => pending = header_number(value),
            b"Nats-UpTo-Sequence" => up_to = header_number(value),
            _ => {}
        });
        match parts {
            // a server before 2.11 sends one message, and is silent then
            Ok(_) if pending.is_none() => Step::Ended(Err(NEEDS.unmet())),
            Ok(parts) if self.end.last_sequence.is_some_and(|last| parts.sequence <= last) => {
                Step::Ended(Err(Error::Malformed("a message of a batch that comes again".into())))
            }
            Ok(parts) => {
                self.has_progress = true;
                self.end.last_sequence = Some(parts.sequence);
                self.left = self.left.map(|left| left.saturating_sub(1));
                Step::Message(StoredMessage::copy_of(parts))
            }
            Err(Error::Api(error)) if error.code() == 204 => {
                self.end.pending = pending.unwrap_or_default();
                self.end.up_to_sequence = up_to.or(self.end.up_to_sequence);
                self.handle_end_of_page()
            }
            Err(Error::Api(error)) if error.err_code() == ErrorCode::NO_MESSAGE_FOUND => {
                self.end.pending = 0;
                Step::Ended(Ok(self.end.clone()))
            }
            Err(error) => Step::Ended(Err(refusal_of_many(error, NEEDS))),
        }
    }

    fn handle_end_of_page(&self) -> Step {
        match self.end.pending == 0 || self.is_over() {
            true => Step::Ended(Ok(self.end.clone())),
            false if self.has_progress => Step::NextPage,
            false => Step::Ended(Err(Error::Malformed("a batch that does not get on".into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn message(sequence: u64, pending: Option<u64>) -> Message {
        let pending = pending.map_or(String::new(), |n| format!("Nats-Num-Pending: {n}\r\n"));
        let block = format!(
            "NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: s.a\r\nNats-Sequence: {sequence}\r\n\
             Nats-Time-Stamp: 2024-02-29T12:34:56Z\r\n{pending}\r\n"
        );
        Message::new("_INBOX.1", 1, None, Some(block.as_bytes()), b"x")
    }

    fn status(text: &str) -> Message {
        let block = format!("NATS/1.0 {text}\r\n\r\n");
        Message::new("_INBOX.1", 1, None, Some(block.as_bytes()), b"")
    }

    fn request(pages: &mut Pages) -> Value {
        serde_json::from_slice(&pages.request().expect("a request")).expect("JSON")
    }

    fn end(step: Step) -> Result<MessagesEnd, Error> {
        let Step::Ended(end) = step else { panic!("{step:?}") };
        end
    }

    #[test]
    fn pages_follow_each_other_until_nothing_is_pending() {
        let query = MessagesQuery::subject("s.>").from_sequence(5).page(2).page_bytes(100);
        let mut pages = Pages::new(query).expect("a query");
        let first = json!({"next_by_subj": "s.>", "seq": 5, "batch": 2, "max_bytes": 100});
        assert_eq!(request(&mut pages), first);
        assert!(matches!(pages.handle_reply(&message(5, Some(2))), Step::Message(_)));
        assert!(matches!(pages.handle_reply(&message(7, Some(1))), Step::Message(_)));
        let eob = status("204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 7");
        assert!(matches!(pages.handle_reply(&eob), Step::NextPage));
        assert_eq!(request(&mut pages)["seq"], 8);
        assert!(matches!(pages.handle_reply(&message(9, Some(0))), Step::Message(_)));
        let ended = end(pages.handle_reply(&status("204 EOB\r\nNats-Num-Pending: 0")));
        let expected = MessagesEnd { last_sequence: Some(9), ..MessagesEnd::default() };
        assert_eq!(ended, Ok(expected));
    }

    #[test]
    fn all_pages_go_up_to_where_the_first_one_went() {
        let mut pages = Pages::new(MessagesQuery::last_of(["a", "b"])).expect("a query");
        assert_eq!(request(&mut pages)["multi_last"], json!(["a", "b"]));
        pages.handle_reply(&message(3, Some(1)));
        let eob = status("204 EOB\r\nNats-Num-Pending: 1\r\nNats-UpTo-Sequence: 12");
        assert!(matches!(pages.handle_reply(&eob), Step::NextPage));
        let next = request(&mut pages);
        assert_eq!((&next["seq"], &next["up_to_seq"]), (&json!(4), &json!(12)));
        // what came up to then has been deleted meanwhile
        let ended = end(pages.handle_reply(&status("404 No Results"))).expect("an end");
        assert_eq!((ended.up_to_sequence, ended.pending), (Some(12), 0));
    }

    #[test]
    fn a_limit_is_for_all_pages() {
        let mut pages = Pages::new(MessagesQuery::subject(">").limit(3).page(2)).expect("a query");
        assert_eq!(request(&mut pages)["batch"], 2);
        pages.handle_reply(&message(1, Some(9)));
        pages.handle_reply(&message(2, Some(8)));
        let eob = status("204 EOB\r\nNats-Num-Pending: 8");
        assert!(matches!(pages.handle_reply(&eob), Step::NextPage));
        assert_eq!(request(&mut pages)["batch"], 1);
        pages.handle_reply(&message(3, Some(7)));
        let eob = status("204 EOB\r\nNats-Num-Pending: 7");
        assert_eq!(end(pages.handle_reply(&eob)).expect("an end").pending, 7);
    }

    #[test]
    fn an_old_server_is_recognised_by_its_first_message() {
        let mut pages = Pages::new(MessagesQuery::subject(">")).expect("a query");
        let error = end(pages.handle_reply(&message(1, None))).expect_err("one message");
        assert!(matches!(error, Error::Unsupported { needs: 1, has: 0, .. }), "{error}");
        let mut pages = Pages::new(MessagesQuery::last_of([">"])).expect("a query");
        let error = end(pages.handle_reply(&status("408 Empty Request"))).expect_err("refused");
        assert!(matches!(error, Error::Unsupported { needs: 1, has: 0, .. }), "{error}");
    }

    #[test]
    fn what_does_not_get_on_is_an_error_and_no_circle() {
        let mut pages = Pages::new(MessagesQuery::subject(">")).expect("a query");
        request(&mut pages);
        let eob = status("204 EOB\r\nNats-Num-Pending: 5");
        assert!(matches!(end(pages.handle_reply(&eob)), Err(Error::Malformed(_))));
        pages.handle_reply(&message(4, Some(5)));
        let again = end(pages.handle_reply(&message(4, Some(5))));
        assert!(matches!(again, Err(Error::Malformed(_))), "{again:?}");
    }

    fn any_reply() -> impl Strategy<Value = Message> {
        let numbers = || prop_oneof![0..20_u64, Just(u64::MAX)];
        prop_oneof![
            4 => (numbers(), prop::option::of(numbers())).prop_map(|(sequence, pending)| message(sequence, pending)),
            2 => (numbers(), numbers()).prop_map(|(pending, up_to)| status(&format!(
                "204 EOB\r\nNats-Num-Pending: {pending}\r\nNats-UpTo-Sequence: {up_to}"
            ))),
            1 => "[ -~]{0,30}".prop_map(|text| status(&text)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_sequences_grow_and_pages_are_no_more_than_messages(
            replies in prop::collection::vec(any_reply(), 0..60),
            limit in prop::option::of(1..9_u64),
        ) {
            let mut query = MessagesQuery::subject(">");
            query.limit = limit;
            let mut pages = Pages::new(query).expect("a query");
            let (mut last, mut messages, mut next_pages) = (None, 0, 0);
            for reply in replies {
                match pages.handle_reply(&reply) {
                    Step::Message(message) => {
                        prop_assert!(last < Some(message.sequence()));
                        last = Some(message.sequence());
                        messages += 1;
                    }
                    Step::NextPage => {
                        next_pages += 1;
                        pages.request().expect("a request");
                    }
                    Step::Ended(_) => break,
                }
                prop_assert!(next_pages <= messages);
            }
        }
    }

    #[test]
    fn refusals_keep_their_status() {
        let mut pages = Pages::new(MessagesQuery::last_of([">"])).expect("a query");
        let error = end(pages.handle_reply(&status("413 Too Many Results"))).expect_err("refused");
        assert_eq!(error.api().map(|api| api.code()), Some(413));
        let nothing = end(pages.handle_reply(&status("404 No Results")));
        assert_eq!(nothing, Ok(MessagesEnd::default()));
    }

    #[test]
    fn what_servers_would_pass_over_is_refused() {
        assert!(Pages::new(MessagesQuery::subject("a").up_to_sequence(1)).is_err());
        assert!(Pages::new(MessagesQuery::last_of(["a"]).from_time(SystemTime::now())).is_err());
    }
}
