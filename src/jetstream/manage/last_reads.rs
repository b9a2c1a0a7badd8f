//! Reads of the last messages on a few subjects that tell how fresh they are: the answer says up to
//! which sequence the replica has read that has given it (`multi_last`, server 2.11).
//!
//! An answer is several messages, the last of which has the sequence in it. So these reads share a
//! subscription of their own, `<inbox>.*`, and the last token says which read a message is for: its
//! place, and a number, so that a message that comes late finds nothing. Nothing is sent again
//! here: whoever reads has a deadline and decides.

use super::last_messages::{Head, LastMessages, NEEDS};
use crate::callback::{Answer, Ran, State};
use crate::client::{Inbox, Observed, Port};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::joined::JoinedText;
use evnats_protocol::{CommandError, Message, OutgoingMessage, RequestError, letters, subject};
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
    /// The body, whose end is the rest of the subjects that are asked for.
    query: JoinedText,
    head: Head,
    /// `<inbox>.`
    inbox_subject: String,
    inbox: Inbox,
    is_listening: Cell<bool>,
    /// The connection on which the server is known to have what it takes.
    checked_on: Cell<Option<u64>>,
    reads: RefCell<Slab<Read>>,
    /// How many reads there have been.
    turns: Cell<u32>,
    /// The reads in the order in which their time is up, which is that of their making.
    deadlines: RefCell<VecDeque<(Instant, Token)>>,
    is_armed: Cell<bool>,
}

struct Read {
    turn: u32,
    found: LastMessages,
    answer: OnLastMessages,
}

/// Which read a message is for: its place, and which one at that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    place: u32,
    /// The number of the read, from 0 on again after the most there is.
    turn: u32,
}

impl Token {
    /// The letters of both.
    #[inline]
    fn letters(self) -> [u8; 16] {
        let mut letters = [0; 16];
        let (place, turn) = letters.split_at_mut(8);
        place.copy_from_slice(&letters::encode(self.place));
        turn.copy_from_slice(&letters::encode(self.turn));
        letters
    }

    #[inline]
    fn parse(token: &[u8]) -> Option<Self> {
        let (place, turn) = token.split_first_chunk()?;
        let (place, turn) = (letters::decode(*place)?, letters::decode(turn.try_into().ok()?)?);
        Some(Self { place, turn })
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
            query: JoinedText::new(format!("{{\"multi_last\":[\"{subjects}")),
            head: Head::new(stream, subjects),
            inbox_subject: format!("{}.", api.port().new_inbox_for_many()),
            inbox: Inbox::new(api.port()),
            is_listening: Cell::new(false),
            checked_on: Cell::new(None),
            reads: RefCell::default(),
            turns: Cell::new(0),
            deadlines: RefCell::default(),
            is_armed: Cell::new(false),
        }))
    }

    /// Reads the last message on the subject that ends so, and on the one beside it, once; the ends need no
    /// escapes in JSON. The answer comes within the patience that a read has for one attempt.
    #[inline]
    pub(crate) fn read(&self, end: &str, beside: Option<&str>, answer: OnLastMessages) {
        let table = &self.0;
        if table.checked_on.get() == Some(table.port().reconnects()) {
            return table.send(end, beside, answer);
        }
        let (table, end, beside) = (table.clone(), end.to_owned(), beside.map(str::to_owned));
        self.0.api.with_level(move |told| match NEEDS.check_told(told) {
            Ok(()) => {
                table.checked_on.set(Some(table.port().reconnects()));
                table.send(&end, beside.as_deref(), answer);
            }
            Err(error) => table.api.refuse(error, answer),
        });
    }
}

impl Table {
    fn port(&self) -> &Port {
        self.api.port()
    }

    fn send(self: &Rc<Self>, end: &str, beside: Option<&str>, answer: OnLastMessages) {
        if let Err(error) = self.listen() {
            return self.api.refuse(error, answer);
        }
        let mut reads = self.reads.borrow_mut();
        let place = reads.vacant_key();
        let token = Token { place: place as u32, turn: self.turns.get() };
        self.turns.set(token.turn.wrapping_add(1));
        reads.insert(Read { turn: token.turn, found: LastMessages::default(), answer });
        drop(reads);
        let published = self.publish(end, beside, token);
        if let Err(error) = published {
            let read = self.reads.borrow_mut().remove(place);
            return self.api.refuse(error.into(), read.answer);
        }
        let deadline = self.port().turn_time() + self.api.first_patience();
        self.deadlines.borrow_mut().push_back((deadline, token));
        self.arm();
    }

    fn publish(&self, end: &str, beside: Option<&str>, token: Token) -> Result<(), CommandError> {
        let rest: &[&str] = match beside {
            None => &[end, "\"]}"],
            Some(beside) => &[end, "\",\"", &self.subjects, beside, "\"]}"],
        };
        self.query.with(rest, |query| {
            let token = token.letters();
            let message = OutgoingMessage::new(&self.subject, query.as_bytes());
            let message = message.with_known_reply(&self.inbox_subject, &token);
            self.port().publish(match self.is_subject_valid {
                true => message.with_known_subject(),
                false => message,
            })
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
