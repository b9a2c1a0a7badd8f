//! The request table: one wildcard inbox for all requests, the slot in the last token.
//!
//! `_INBOX.<id>.<token>`: the token is the slot, so that a request is found by index, without a hash
//! and without a string key, and 64 random bits. Only the reply that has them finds its request:
//! whoever has seen one token cannot answer in the place of others, and a reply that arrives after
//! its request has ended finds nothing. Every request has a deadline. The table knows whether the
//! server has been told of the inbox; it does not write requests.

use super::slots::{Key, Slots};
use super::timeouts::Timeouts;
use super::token::{self, Proof, TOKEN, Token};
use crate::random::Random;
use crate::wire::encode;
use crate::wire::message::Message;
use rustc_hash::FxHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::time::{Duration, Instant};

/// The sid of the inbox for all requests, which is no subscription of the user's.
pub(crate) const INBOX_SID: u64 = 1;

const VERB: &str = "MSG ";

/// So many requests that have ended are kept in an index at least.
const INDEX_SLACK: usize = 1024;

#[derive(Debug)]
pub(crate) struct Request<T> {
    pub(crate) context: T,
    /// Where its frame begins in the outgoing stream; `None` if it went out on a connection that
    /// was lost since.
    pub(crate) position: Option<u64>,
    /// The fingerprint of its subject, to find it when the server denies it.
    pub(crate) subject: u64,
    proof: Proof,
}

impl<T> Request<T> {
    /// Whether some of it has been written, given that the stream up to `sent` has.
    pub(crate) fn was_sent(&self, sent: u64) -> bool {
        self.position.is_none_or(|position| position < sent)
    }
}

/// A number for a subject. Equal subjects have equal numbers, different ones almost never do.
#[inline]
pub(crate) fn fingerprint(subject: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(subject);
    hasher.finish()
}

#[derive(Debug)]
pub(crate) struct Requests<T> {
    slots: Slots<Request<T>>,
    timeouts: Timeouts<Key>,
    /// How many requests there have been: no two proofs are the same, whatever is random.
    count: u64,
    /// `MSG <prefix>.<id>.`: how the line of a reply begins. What follows the verb is the inbox.
    line_start: String,
    inbox_state: InboxState,
    /// The reply to a request that has ended may come on this connection.
    owes_reply: bool,
    /// For denials, which name a subject and may come by the thousand; there while they come.
    by_subject: Option<BySubject>,
}

/// Requests by the fingerprints of their subjects, in the order in which they were written. Those
/// that have ended since are among them.
#[derive(Debug, Default)]
struct BySubject {
    queues: HashMap<u64, VecDeque<(u64, Key)>>,
    len: usize,
}

impl BySubject {
    fn push(&mut self, subject: u64, position: u64, key: Key) {
        self.queues.entry(subject).or_default().push_back((position, key));
        self.len += 1;
    }
}

/// Whether the server knows of the one subscription for all replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InboxState {
    /// No request has been made, or the server has denied the inbox.
    Unused,
    /// Its `SUB` is in the outgoing stream.
    Subscribed,
    /// The connection that its `SUB` was for is lost.
    ToRestore,
}

impl<T> Requests<T> {
    /// An empty table. The inbox is unique, and nobody can guess it.
    pub(crate) fn new(prefix: &str, random: &mut Random) -> Self {
        Self {
            slots: Slots::default(),
            timeouts: Timeouts::default(),
            count: 0,
            line_start: format!("{VERB}{prefix}.{}.", base62(random.u128())),
            inbox_state: InboxState::Unused,
            owes_reply: false,
            by_subject: None,
        }
    }

    // ---- the inbox ----------------------------------------------------------------------------

    /// The beginning of every reply's subject; a token follows.
    #[inline]
    pub(crate) fn inbox(&self) -> &str {
        &self.line_start[VERB.len()..]
    }

    /// How the line of a reply begins, if there is one to come.
    #[inline(always)]
    pub(crate) fn expected_start(&self) -> Option<&[u8]> {
        if self.slots.is_empty() { None } else { Some(self.line_start.as_bytes()) }
    }

    /// The length of a reply's subject in bytes.
    #[inline]
    pub(crate) fn reply_len(&self) -> usize {
        self.inbox().len() + TOKEN
    }

    /// Whether a request has to be preceded by the inbox's `SUB`.
    #[inline]
    pub(crate) fn needs_inbox(&self) -> bool {
        self.inbox_state == InboxState::Unused
    }

    /// Subscribes to the inbox at the server that `out` is for.
    pub(crate) fn subscribe_inbox(&mut self, out: &mut Vec<u8>) {
        self.inbox_state = InboxState::Subscribed;
        self.encode_inbox(out);
    }

    /// Writes the inbox's `SUB` for another server, if the current one knows of it.
    pub(crate) fn join_inbox(&self, out: &mut Vec<u8>) {
        if self.inbox_state == InboxState::Subscribed {
            self.encode_inbox(out);
        }
    }

    /// Writes the inbox's `SUB` for a new server, if the one before it knew of it.
    pub(crate) fn restore_inbox(&mut self, out: &mut Vec<u8>) {
        if self.inbox_state == InboxState::ToRestore {
            self.subscribe_inbox(out);
        }
    }

    /// The server that knew of the inbox is gone.
    pub(crate) fn handle_disconnected(&mut self) {
        self.owes_reply = false;
        if self.inbox_state == InboxState::Subscribed {
            self.inbox_state = InboxState::ToRestore;
        }
    }

    /// Ends the requests whose replies cannot arrive because the server has denied the inbox. The
    /// next request subscribes to it again.
    pub(crate) fn deny_inbox(&mut self, sent: u64) -> Vec<Request<T>> {
        self.inbox_state = InboxState::Unused;
        self.take_if(|request| request.was_sent(sent))
    }

    /// Whether a pattern is the inbox's: `_INBOX.<id>.*`.
    pub(crate) fn is_inbox(&self, pattern: &str) -> bool {
        pattern.strip_suffix('*') == Some(self.inbox())
    }

    fn encode_inbox(&self, out: &mut Vec<u8>) {
        let pattern = format!("{}*", self.inbox());
        encode::subscribe(out, pattern.as_bytes(), None, INBOX_SID);
    }

    // ---- requests -----------------------------------------------------------------------------

    /// Registers a request on the subject with this [`fingerprint`]; its clock starts with the next
    /// [`arm`](Self::arm). Gives the context back if there are too many.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        context: T,
        timeout: Duration,
        position: u64,
        subject: u64,
        random: &mut Random,
    ) -> Result<Token, T> {
        self.count = self.count.wrapping_add(1);
        let proof = token::proof(random.u64().wrapping_add(self.count));
        let request = Request { context, position: Some(position), subject, proof };
        let key = self.slots.insert(request).map_err(|request| request.context)?;
        self.timeouts.add(key, timeout);
        if self.by_subject.is_some() {
            self.note_subject(subject, position, key);
        }
        Ok(token::encode(key.index, &proof))
    }

    /// Starts the clocks of the requests made since the last call.
    #[inline]
    pub(crate) fn arm(&mut self, now: Instant) {
        let Self { timeouts, slots, .. } = self;
        timeouts.start(now, slots.len(), |key| slots.contains(key));
    }

    /// Ends the request that a reply is for.
    #[inline]
    pub(crate) fn take_answered(&mut self, subject: &[u8]) -> Option<Request<T>> {
        match subject.strip_prefix(self.inbox().as_bytes()) {
            Some(token) => self.take(token),
            None => self.take_rewritten(subject),
        }
    }

    /// An account's subject mapping can rewrite inboxes. If it leaves the token, that tells which
    /// request is meant; if not, it is the only one that a reply can be for.
    #[cold]
    fn take_rewritten(&mut self, subject: &[u8]) -> Option<Request<T>> {
        let token = subject.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        match token::decode(token) {
            Some(_) => self.take(token),
            None if self.owes_reply => None,
            None => self.take_only(),
        }
    }

    /// A request that was sent has ended without a reply, which may still come.
    pub(crate) fn record_unanswered(&mut self) {
        self.owes_reply = true;
    }

    /// Ends the request whose replies have this subject.
    pub(crate) fn take_by_reply(&mut self, reply: &str) -> Option<Request<T>> {
        self.take(reply.as_bytes().strip_prefix(self.inbox().as_bytes())?)
    }

    /// Ends the request that a token names.
    #[inline(always)]
    pub(crate) fn take(&mut self, token: &[u8]) -> Option<Request<T>> {
        let key = self.find(token)?;
        self.remove(key)
    }

    /// Every request ends by way of this, or of [`take_due`](Self::take_due).
    #[inline]
    fn remove(&mut self, key: Key) -> Option<Request<T>> {
        self.timeouts.handle_done();
        self.slots.remove(key)
    }

    /// The request that a token names, if it is alive.
    #[inline]
    fn find(&self, token: &[u8]) -> Option<Key> {
        let (slot, proof) = token::decode(token)?;
        let (key, request) = self.slots.at(slot)?;
        (request.proof == *proof).then_some(key)
    }

    /// The token of a message that is a request, alive or ended.
    pub(crate) fn token<'m>(&self, message: &'m Message) -> Option<&'m [u8]> {
        message.reply_bytes()?.strip_prefix(self.inbox().as_bytes())
    }

    /// Whether a message is a request that has its outcome already.
    pub(crate) fn is_abandoned(&self, message: &Message) -> bool {
        self.token(message).is_some_and(|token| self.find(token).is_none())
    }

    /// The frame of a message begins at another position of the outgoing stream.
    pub(crate) fn set_position(&mut self, message: &Message, position: u64) {
        self.by_subject = None;
        let key = self.token(message).and_then(|token| self.find(token));
        if let Some(request) = key.and_then(|key| self.slots.get_mut(key)) {
            request.position = Some(position);
        }
    }

    /// Forgets the positions of requests that went out on a connection that is lost.
    pub(crate) fn keep_sent(&mut self, sent: u64) {
        self.by_subject = None;
        let requests = self.slots.iter_mut().map(|(_, request)| request);
        requests.filter(|request| request.was_sent(sent)).for_each(|r| r.position = None);
    }

    /// Ends the request on a subject that was written first on this connection, of those that begin
    /// before `sent`.
    pub(crate) fn take_first_on(&mut self, subject: &[u8], sent: u64) -> Option<Request<T>> {
        let Self { slots, by_subject, .. } = self;
        let index = by_subject.get_or_insert_with(|| Self::index(slots));
        let queue = index.queues.get_mut(&fingerprint(subject))?;
        while let Some((position, key)) = queue.front().copied().filter(|(at, _)| *at < sent) {
            queue.pop_front();
            index.len -= 1;
            let is_it = |request: &Request<T>| request.position == Some(position);
            if slots.get(key).is_some_and(is_it) {
                return self.remove(key);
            }
        }
        None
    }

    fn index(slots: &Slots<Request<T>>) -> BySubject {
        let written = slots.iter().filter_map(|(key, request)| {
            request.position.map(|position| (position, request.subject, key))
        });
        let mut written: Vec<_> = written.collect();
        written.sort_unstable_by_key(|(position, ..)| *position);
        let mut index = BySubject::default();
        written.into_iter().for_each(|(position, subject, key)| index.push(subject, position, key));
        index
    }

    /// A request is written while denials come. Once most of the index has ended, it goes.
    #[cold]
    fn note_subject(&mut self, subject: u64, position: u64, key: Key) {
        let most = 2 * self.slots.len() + INDEX_SLACK;
        match &mut self.by_subject {
            Some(index) if index.len < most => index.push(subject, position, key),
            index => *index = None,
        }
    }

    /// Ends the requests for which `ends` returns true.
    pub(crate) fn take_if(&mut self, ends: impl Fn(&Request<T>) -> bool) -> Vec<Request<T>> {
        let keys: Vec<Key> =
            self.slots.iter().filter(|(_, request)| ends(request)).map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Ends the only request there is, if there is just one.
    fn take_only(&mut self) -> Option<Request<T>> {
        if self.slots.len() != 1 {
            return None;
        }
        let key = self.slots.keys().next()?;
        self.remove(key)
    }

    /// Ends one request whose time is up.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Request<T>> {
        loop {
            let key = self.timeouts.pop_due(now)?;
            if let Some(request) = self.slots.remove(key) {
                return Some(request);
            }
        }
    }

    /// Ends every request.
    pub(crate) fn take_all(&mut self) -> Vec<Request<T>> {
        self.timeouts.clear();
        self.by_subject = None;
        self.take_if(|_| true)
    }

    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        let Self { timeouts, slots, .. } = self;
        timeouts.next(slots.len(), |key| slots.contains(key))
    }

    /// Whether some clocks have not been started.
    pub(crate) fn has_unarmed(&self) -> bool {
        self.timeouts.has_unstarted()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

/// An id of 22 characters, in the form that other clients' ids have.
fn base62(mut id: u128) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let next = |_| {
        let digit = DIGITS[(id % 62) as usize];
        id /= 62;
        char::from(digit)
    };
    (0..22).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::token::SLOT;

    /// Numbers that differ, and are the same in every test.
    fn random() -> Random {
        let mut state = 7_u64;
        Random::new(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.rotate_left(32)
        })
    }

    #[test]
    fn who_has_seen_one_token_cannot_make_the_next_one() {
        let mut random = random();
        let mut requests = Requests::new("_INBOX", &mut random);
        let mut ask = |requests: &mut Requests<u32>, number| {
            requests.insert(number, Duration::from_secs(1), 0, 7, &mut random).unwrap()
        };
        let first = ask(&mut requests, 1);
        let second = ask(&mut requests, 2);
        assert_ne!(first[SLOT..], second[SLOT..]);
        // the place of the second one is easily guessed, and its proof is not
        let forged = [&second[..SLOT], &first[SLOT..]].concat();
        assert!(requests.take(&forged).is_none());
        for letter in SLOT..TOKEN {
            let mut forged = second;
            forged[letter] ^= 1;
            assert!(requests.take(&forged).is_none());
        }
        assert_eq!(requests.take(&second).unwrap().context, 2);
        assert_eq!(requests.take(&first).unwrap().context, 1);
    }

    #[test]
    fn a_reply_that_comes_late_or_twice_finds_nothing() {
        let mut requests = Requests::new("_INBOX", &mut random());
        let first = requests.insert("a", Duration::from_secs(1), 0, 7, &mut random()).unwrap();
        assert_eq!(requests.take(&first).unwrap().context, "a");
        let second = requests.insert("b", Duration::from_secs(1), 0, 7, &mut random()).unwrap();
        assert!(requests.take(&first).is_none());
        assert_eq!(requests.take(&second).unwrap().context, "b");
    }

    #[test]
    fn the_next_deadline_is_that_of_a_request_that_has_not_ended() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let subjects = [fingerprint(b"a"), fingerprint(b"b")];
        type End = fn(&mut Requests<u32>, &Token) -> Option<Request<u32>>;
        let ends: [End; 5] = [
            |requests, token| requests.take(token),
            |requests, _| requests.take_first_on(b"a", 1),
            |requests, _| requests.take_if(|request| request.context == 0).pop(),
            |requests, token| {
                let reply = format!("{}{}", requests.inbox(), String::from_utf8_lossy(token));
                requests.take_answered(reply.as_bytes())
            },
            |requests, _| requests.take_due(Instant::now() + 90 * Duration::from_secs(1)),
        ];
        for end in ends {
            let mut requests = Requests::new("_INBOX", &mut random());
            let tokens = [0_u32, 1].map(|context| {
                let subject = subjects[context as usize];
                let position = u64::from(context);
                let inserted =
                    requests.insert(context, second, position, subject, &mut random()).unwrap();
                requests.arm(start + context * second);
                inserted
            });
            assert_eq!(requests.next_deadline(), Some(start + second));
            assert_eq!(end(&mut requests, &tokens[0]).unwrap().context, 0);
            assert_eq!(requests.next_deadline(), Some(start + 2 * second));
            assert_eq!(requests.take(&tokens[1]).unwrap().context, 1);
            assert_eq!(requests.next_deadline(), None);
        }
    }

    #[test]
    fn clocks_start_when_armed() {
        let mut requests = Requests::new("_INBOX", &mut random());
        let start = Instant::now();
        requests.insert("a", Duration::from_secs(1), 0, 7, &mut random()).unwrap();
        assert_eq!(requests.next_deadline(), None);
        requests.arm(start);
        assert_eq!(requests.next_deadline(), Some(start + Duration::from_secs(1)));
        assert!(requests.take_due(start + Duration::from_millis(999)).is_none());
        assert!(requests.take_due(start + Duration::from_secs(1)).is_some());
        requests.insert("for ever", Duration::MAX, 0, 7, &mut random()).unwrap();
        requests.arm(start);
        assert!(requests.next_deadline().is_some());
    }
}
