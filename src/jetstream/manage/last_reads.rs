//! Reads of the last messages on a few subjects that tell how fresh they are: the answer says up to
//! which sequence the replica has read that has given it (`multi_last`, server 2.11).
//!
//! An answer is several messages, the last of which has the sequence in it. So these reads share a
//! subscription of their own, `<inbox>.*`, and the last token says which read a message is for: its
//! place, and a number, so that a message that comes late finds nothing. Nothing is sent again
//! here: whoever reads has a deadline and decides.

use super::last_messages::{Head, LastMessages, MAX_MESSAGES, NEEDS};
use crate::callback::{Answer, Ran, State};
use crate::client::{Inbox, Observed, Port};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::scan::Scan;
use evnats_protocol::{CommandError, Message, OutgoingMessage, RequestError, subject};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Instant;

pub(crate) type OnLastMessages = Answer<Result<LastMessages, Error>>;

/// Reads of the last messages on subjects of one stream, with a common start.
pub(crate) struct LastReads(Rc<Table>);

struct Table {
    api: Api,
    /// Where the reads go.
    subject: String,
    is_subject_valid: bool,
    /// What all subjects begin with, which needs no escapes in JSON.
    subjects: String,
    head: Head,
    /// `<inbox>.`
    inbox_subject: String,
    inbox: Inbox,
    is_listening: Cell<bool>,
    /// The connection on which the server is known to have what it takes.
    checked_on: Cell<Option<u64>>,
    reads: RefCell<Slab<Read>>,
    /// How many reads there have been.
    turns: Cell<u64>,
    /// The reads in the order in which their time is up, which is that of their making.
    deadlines: RefCell<VecDeque<(Instant, Token)>>,
    is_armed: Cell<bool>,
    /// Reply subject and body of a request; only borrowed while one is sent.
    scratch: RefCell<(String, String)>,
}

struct Read {
    turn: u64,
    found: LastMessages,
    answer: OnLastMessages,
}

/// Which read a message is for: its place, and which one at that place. In a subject, `<place>_<turn>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    place: u64,
    /// The number of the read, without its higher digits: none of the last ten million has the same.
    turn: u64,
}

/// Numbers of so many digits are written and read at once.
const TURNS: u64 = 10_000_000;

impl Token {
    fn parse(token: &[u8]) -> Option<Self> {
        let mut scan = Scan::new(token);
        let place = scan.number()?;
        scan.literal(b"_")?;
        let turn = scan.number()?;
        scan.is_at_end().then_some(Self { place, turn })
    }
}

impl LastReads {
    /// The stream's name has been checked, and `subjects` needs no escapes in JSON.
    pub(crate) fn new(api: &Api, stream: &str, subjects: &str) -> Self {
        let subject = format!("{}.DIRECT.GET.{stream}", api.prefix());
        Self(Rc::new(Table {
            api: api.clone(),
            is_subject_valid: subject::check_literal(&subject).is_ok(),
            subject,
            subjects: subjects.to_owned(),
            head: Head::new(stream, subjects),
            inbox_subject: format!("{}.", api.port().new_inbox_for_many()),
            inbox: Inbox::new(api.port()),
            is_listening: Cell::new(false),
            checked_on: Cell::new(None),
            reads: RefCell::default(),
            turns: Cell::new(0),
            deadlines: RefCell::default(),
            is_armed: Cell::new(false),
            scratch: RefCell::default(),
        }))
    }

    /// Reads the last messages on the subjects that end so, at most two, once; the ends need no escapes
    /// in JSON. The answer comes within the patience that a read has for one attempt.
    pub(crate) fn read(&self, ends: &[&str], answer: OnLastMessages) {
        debug_assert!(ends.len() <= MAX_MESSAGES);
        let table = &self.0;
        let connection = table.port().reconnects();
        if table.checked_on.get() == Some(connection) {
            return table.send(ends, answer);
        }
        let (table, ends) = (table.clone(), ends.join(" "));
        self.0.api.with_level(move |told| match NEEDS.check_told(told) {
            Ok(()) => {
                table.checked_on.set(Some(table.port().reconnects()));
                table.send(&ends.split(' ').collect::<Vec<_>>(), answer);
            }
            Err(error) => table.api.refuse(error, answer),
        });
    }
}

impl Table {
    fn port(&self) -> &Port {
        self.api.port()
    }

    fn send(self: &Rc<Self>, ends: &[&str], answer: OnLastMessages) {
        if let Err(error) = self.listen() {
            return self.api.refuse(error, answer);
        }
        let mut reads = self.reads.borrow_mut();
        let place = reads.vacant_key();
        let token = Token { place: place as u64, turn: self.turns.get() % TURNS };
        self.turns.set(token.turn + 1);
        reads.insert(Read { turn: token.turn, found: LastMessages::default(), answer });
        drop(reads);
        let published = self.publish(ends, token);
        if let Err(error) = published {
            let read = self.reads.borrow_mut().remove(place);
            return self.api.refuse(error.into(), read.answer);
        }
        let deadline = self.port().turn_time() + self.api.first_patience();
        self.deadlines.borrow_mut().push_back((deadline, token));
        self.arm();
    }

    fn publish(&self, ends: &[&str], token: Token) -> Result<(), CommandError> {
        let mut scratch = self.scratch.borrow_mut();
        let (reply, body) = &mut *scratch;
        reply.clear();
        body.clear();
        reply.push_str(&self.inbox_subject);
        let mut digits = itoa::Buffer::new();
        reply.push_str(digits.format(token.place));
        reply.push('_');
        reply.push_str(digits.format(token.turn));
        body.push_str("{\"multi_last\":[\"");
        for (at, end) in ends.iter().enumerate() {
            if at > 0 {
                body.push_str("\",\"");
            }
            body.push_str(&self.subjects);
            body.push_str(end);
        }
        body.push_str("\"]}");
        let message = OutgoingMessage::new(&self.subject, body.as_bytes()).with_known_reply(reply);
        self.port().publish(match self.is_subject_valid {
            true => message.with_known_subject(),
            false => message,
        })
    }

    /// Listens from the first read on. The table is not held by what it listens with.
    fn listen(self: &Rc<Self>) -> Result<(), Error> {
        if self.is_listening.get() {
            return Ok(());
        }
        let pattern = format!("{}*", self.inbox_subject);
        let table = Rc::downgrade(self);
        self.inbox.listen(&pattern, move |state, heard| match (table.upgrade(), heard) {
            (Some(table), Ok(message)) => table.receive(state, message),
            (Some(table), Err(reason)) => {
                table.is_listening.set(false);
                table.fail_all(&Error::from_inbox_end(reason));
                Ok(())
            }
            (None, _) => Ok(()),
        })?;
        self.is_listening.set(true);
        let table = Rc::downgrade(self);
        self.inbox.observe(move |_, observed| {
            if let Some(table) = table.upgrade() {
                table.note(observed);
            }
            Ok(())
        });
        Ok(())
    }

    fn note(&self, observed: Observed) {
        match observed {
            Observed::Disconnected => self.fail_all(&RequestError::OutcomeUnknown.into()),
            Observed::Denied(error) if error.subject() == Some(&*self.subject) => {
                self.fail_all(&RequestError::Denied((*error).clone()).into());
            }
            Observed::Ended => self.fail_all(&Error::Closed),
            _ => {}
        }
    }

    fn receive(&self, state: &mut State, message: &Message) -> Ran {
        let token = message.subject_bytes().get(self.inbox_subject.len()..).and_then(Token::parse);
        let Some(token) = token else { return Ok(()) };
        let mut reads = self.reads.borrow_mut();
        let place = token.place as usize;
        let Some(read) = reads.get_mut(place).filter(|read| read.turn == token.turn) else {
            return Ok(());
        };
        let Some(end) = read.found.add(message, &self.head) else { return Ok(()) };
        let read = reads.remove(place);
        drop(reads);
        (read.answer)(state, end.map(|()| read.found))
    }

    /// Ends every read, each in a turn of its own: a callback may panic, and the next one is to run.
    fn fail_all(&self, error: &Error) {
        self.deadlines.take();
        for read in self.reads.take().into_iter().map(|(_, read)| read) {
            self.api.refuse(error.clone(), read.answer);
        }
    }

    fn is_open(&self, token: Token) -> bool {
        let reads = self.reads.borrow();
        reads.get(token.place as usize).is_some_and(|read| read.turn == token.turn)
    }

    /// Has the timer fire when the time of the oldest read is up. Most have been answered by then.
    fn arm(self: &Rc<Self>) {
        let Some((deadline, _)) = self.deadlines.borrow().front().copied() else { return };
        if self.is_armed.replace(true) {
            return;
        }
        let table: Weak<Self> = Rc::downgrade(self);
        let delay = deadline.saturating_duration_since(self.port().turn_time());
        self.inbox.look_after(delay, move |_| {
            if let Some(table) = table.upgrade() {
                table.handle_timeout();
            }
            Ok(())
        });
    }

    fn handle_timeout(self: &Rc<Self>) {
        self.is_armed.set(false);
        let now = self.port().turn_time();
        loop {
            let oldest = self.deadlines.borrow().front().copied();
            let Some((deadline, token)) = oldest else { break };
            let is_open = self.is_open(token);
            if deadline > now && is_open {
                break;
            }
            self.deadlines.borrow_mut().pop_front();
            if is_open {
                let read = self.reads.borrow_mut().remove(token.place as usize);
                self.api.refuse(Error::Request(RequestError::Timeout), read.answer);
            }
        }
        self.arm();
    }
}
