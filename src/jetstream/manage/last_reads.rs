//! Reads of the last messages on a few subjects that tell how fresh they are: the answer says up to
//! which sequence the replica has read that has given it (`multi_last`, server 2.11).
//!
//! An answer is several messages, the last of which has the sequence in it. So these reads share a
//! subscription of their own, `<inbox>.*`, and the last token says which read a message is for: its
//! place, and a number, so that a message that comes late finds nothing. Nothing is sent again
//! here: whoever reads has a deadline and decides.

use super::last_answer::{AwaitingLast, Unasked};
use super::last_messages::{Head, NEEDS, Piece};
use crate::callback::{Ran, State};
use crate::client::{Inbox, Observed, Port};
use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use evnats_protocol::{CommandError, KnownRoute, Message, OutgoingMessage, RequestError, letters};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// What a body begins with. What all subjects begin with needs no escapes in JSON.
const QUERY: &str = "{\"multi_last\":[\"";

/// How many looks at all reads there may be within the time that one waits.
const LOOKS: u32 = 64;

/// Reads of the last messages on subjects of one stream, with a common start.
pub(crate) struct LastReads(Rc<Table>);

struct Table {
    api: Api,
    /// Where the reads go.
    subject: String,
    /// `<inbox>.`
    inbox_subject: String,
    /// Both of them, unless the first one is not valid.
    route: Option<RefCell<KnownRoute<TOKEN>>>,
    /// The body, up to where the subjects that are asked for are no longer the same.
    query_start: String,
    head: Head,
    inbox: Inbox,
    is_listening: Cell<bool>,
    /// The connection on which the server is known to have what it takes.
    checked_on: Cell<Option<u64>>,
    reads: RefCell<Slab<Read>>,
    /// How many reads there have been.
    turns: Cell<u32>,
    /// The timer is set that looks for reads whose time is up.
    is_armed: Cell<bool>,
}

struct Read {
    turn: Turn,
    made_at: Instant,
    awaiting: Box<dyn AwaitingLast>,
}

/// Held by what the reads are heard with. When that is dropped because the loop has ended, nothing is kept
/// for the reads either: they may hold whoever holds their table.
struct Listener(Weak<Table>);

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(table) = self.0.upgrade()
            && table.port().event_loop().has_ended()
        {
            drop(table.reads.take());
        }
    }
}

/// Letters of a number.
const NUMBER: usize = 8;
/// Letters of a token.
const TOKEN: usize = 2 * NUMBER;

/// Which read a message is for: its place, and which one at that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    place: u32,
    turn: Turn,
}

/// The letters of the number of a read, from 0 on again after the most there is.
type Turn = [u8; NUMBER];

impl Token {
    /// The letters of both.
    #[inline(always)]
    fn letters(self) -> [u8; TOKEN] {
        let mut letters = [0; TOKEN];
        let (place, turn) = letters.split_at_mut(NUMBER);
        place.copy_from_slice(&letters::encode(self.place));
        turn.copy_from_slice(&self.turn);
        letters
    }

    #[inline(always)]
    fn parse(token: &[u8]) -> Option<Self> {
        let (place, turn) = token.split_first_chunk()?;
        Some(Self { place: letters::decode(*place)?, turn: turn.try_into().ok()? })
    }
}

impl LastReads {
    /// The stream's name has been checked, and `subjects` needs no escapes in JSON.
    pub(crate) fn new(api: &Api, stream: &str, subjects: &str) -> Self {
        let subject = format!("{}.DIRECT.GET.{stream}", api.prefix());
        let inbox_subject = format!("{}.", api.port().new_inbox_for_many());
        Self(Rc::new(Table {
            api: api.clone(),
            route: KnownRoute::new(&subject, &inbox_subject).ok().map(RefCell::new),
            subject,
            inbox_subject,
            query_start: format!("{QUERY}{subjects}"),
            head: Head::new(stream, subjects),
            inbox: Inbox::new(api.port()),
            is_listening: Cell::new(false),
            checked_on: Cell::new(None),
            reads: RefCell::default(),
            turns: Cell::new(0),
            is_armed: Cell::new(false),
        }))
    }

    /// Reads the last message on the subject that ends so, and on the one beside it, once; the ends need no
    /// escapes in JSON. The answer comes within the patience that a read has for one attempt.
    #[inline]
    pub(crate) fn read(&self, end: &str, beside: Option<&str>, awaiting: Box<dyn AwaitingLast>) {
        let table = &self.0;
        if table.checked_on.get() == Some(table.port().reconnects()) {
            return table.send(end, beside, awaiting);
        }
        let (table, end, beside) = (table.clone(), end.to_owned(), beside.map(str::to_owned));
        self.0.api.with_level(move |told| match NEEDS.check_told(told) {
            Ok(()) => {
                table.checked_on.set(Some(table.port().reconnects()));
                table.send(&end, beside.as_deref(), awaiting);
            }
            Err(error) => table.refuse(error, awaiting),
        });
    }
}

impl Table {
    fn port(&self) -> &Port {
        self.api.port()
    }

    #[inline]
    fn send(self: &Rc<Self>, end: &str, beside: Option<&str>, awaiting: Box<dyn AwaitingLast>) {
        if let Err(error) = self.listen() {
            return self.refuse(error, awaiting);
        }
        let (number, made_at) = (self.turns.get(), self.port().turn_time());
        let turn = letters::encode(number);
        self.turns.set(number.wrapping_add(1));
        let place = self.reads.borrow_mut().insert(Read { turn, made_at, awaiting });
        if let Err(error) = self.publish(end, beside, Token { place: place as u32, turn }) {
            let unsent = self.reads.borrow_mut().try_remove(place);
            return unsent.map_or((), |read| self.refuse(error.into(), read.awaiting));
        }
        if !self.is_armed.get() {
            self.arm(self.api.first_patience());
        }
    }

    /// Answers in the next turn.
    fn refuse(&self, error: Error, awaiting: Box<dyn AwaitingLast>) {
        self.port().defer(move |state| awaiting.fail(state, error));
    }

    #[inline]
    fn publish(&self, end: &str, beside: Option<&str>, token: Token) -> Result<(), CommandError> {
        let (start, token) = (&*self.query_start, token.letters());
        match beside {
            None => self.publish_parts([start, end, "\"]}"], &token),
            Some(beside) => {
                let subjects = &start[QUERY.len()..];
                self.publish_parts([start, end, "\",\"", subjects, beside, "\"]}"], &token)
            }
        }
    }

    #[inline(always)]
    fn publish_parts<const N: usize>(
        &self,
        payload: [&str; N],
        token: &[u8; TOKEN],
    ) -> Result<(), CommandError> {
        let is_published = self.route.as_ref().is_some_and(|route| {
            self.port().publish_on(&mut route.borrow_mut(), token, payload.map(str::as_bytes))
        });
        if is_published {
            return Ok(());
        }
        let message = OutgoingMessage::new(&self.subject, payload.concat().into_bytes());
        self.port().publish(message.with_known_reply(&self.inbox_subject, token))
    }

    /// Listens from the first read on. The table is not held by what it listens with.
    #[inline]
    fn listen(self: &Rc<Self>) -> Result<(), Error> {
        if self.is_listening.get() { Ok(()) } else { self.begin_to_listen() }
    }

    #[inline(never)]
    fn begin_to_listen(self: &Rc<Self>) -> Result<(), Error> {
        let pattern = format!("{}*", self.inbox_subject);
        let listener = Listener(Rc::downgrade(self));
        self.inbox.listen(&pattern, move |state, heard| {
            let Some(table) = listener.0.upgrade() else { return Ok(()) };
            match heard {
                Ok(message) => table.receive(state, message),
                Err(reason) => {
                    table.is_listening.set(false);
                    table.fail_all(&Error::from_inbox_end(reason));
                    Ok(())
                }
            }
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
        match Piece::scan(message, &self.head, read.awaiting.only_end()) {
            Some(Piece::Message(parts)) if read.awaiting.keep(parts).is_ok() => Ok(()),
            Some(Piece::End(up_to)) => {
                let awaiting = reads.remove(place).awaiting;
                drop(reads);
                awaiting.hear(state, up_to)
            }
            _ => {
                drop(reads);
                self.receive_unusual(state, place, message)
            }
        }
    }

    /// Takes a message for the read at this place that does not have the usual shape, or was not asked for.
    #[inline(never)]
    fn receive_unusual(&self, state: &mut State, place: usize, message: &Message) -> Ran {
        let mut reads = self.reads.borrow_mut();
        let Some(read) = reads.get_mut(place) else { return Ok(()) };
        let end = match Piece::read(message, &self.head) {
            Ok(Piece::Message(parts)) => match read.awaiting.keep(parts) {
                Ok(()) => return Ok(()),
                Err(Unasked) => Err(Unasked.error()),
            },
            Ok(Piece::End(up_to)) => Ok(up_to),
            Err(error) => Err(error),
        };
        let awaiting = reads.remove(place).awaiting;
        drop(reads);
        match end {
            Ok(up_to) => awaiting.hear(state, up_to),
            Err(error) => awaiting.fail(state, error),
        }
    }

    /// Ends every read, each in a turn of its own: a callback may panic, and the next one is to run.
    fn fail_all(&self, error: &Error) {
        for (_, read) in self.reads.take() {
            self.refuse(error.clone(), read.awaiting);
        }
    }

    /// Has the timer look for reads whose time is up.
    #[inline(never)]
    fn arm(self: &Rc<Self>, delay: Duration) {
        self.is_armed.set(true);
        let table: Weak<Self> = Rc::downgrade(self);
        self.inbox.look_after(delay, move |_| {
            if let Some(table) = table.upgrade() {
                table.look_for_timeouts();
            }
            Ok(())
        });
    }

    /// Ends the reads whose time is up, and has the timer fire when that of the next one is. Most have been
    /// answered by then, so that they are only looked at when a timer has fired.
    fn look_for_timeouts(self: &Rc<Self>) {
        self.is_armed.set(false);
        let (now, patience) = (self.port().turn_time(), self.api.first_patience());
        let is_due = |read: &Read| now.saturating_duration_since(read.made_at) >= patience;
        let mut reads = self.reads.borrow_mut();
        let due = reads.iter().filter(|(_, read)| is_due(read)).map(|(place, _)| place);
        let due: Vec<_> = due.collect();
        let mut due: Vec<_> = due.into_iter().map(|place| reads.remove(place)).collect();
        let oldest = reads.iter().map(|(_, read)| read.made_at).min();
        drop(reads);
        // in the order of their making
        due.sort_by_key(|read| (read.made_at, read.turn));
        for read in due {
            self.refuse(Error::Request(RequestError::Timeout), read.awaiting);
        }
        if let Some(oldest) = oldest {
            let left = patience.saturating_sub(now.saturating_duration_since(oldest));
            self.arm(left.max(patience / LOOKS));
        }
    }
}
