//! A message as a consumer has delivered it: the message, what JetStream says of it, and the right to
//! answer it.
//!
//! The right belongs to the delivery, and is used once. It can be taken out of it as an [`Acker`], by
//! whoever goes on with the work after the callback; then the delivery has it no longer. Whoever runs
//! the callback sees by that what is left for an automatic answer.

use super::ack::{self, Ack};
use super::delivery_info::DeliveryInfo;
use super::settling::{Settled, Tracker};
use crate::callback::{Callback, Outcome, State, lend};
use crate::client::{Client, Port, Reply};
use crate::jetstream::error::Error;
use evnats_protocol::Message;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The server is not told more often that a message is being worked on.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// A delivery, with the state's type erased.
pub(crate) struct Delivered<'a> {
    message: &'a Message,
    port: &'a Port,
    /// How often the server is told that the message is being worked on, when the callback is over.
    in_progress_every: &'a Option<Duration>,
    /// Who wants to know what becomes of it.
    tracker: Option<&'a Tracker>,
    standing: Cell<Standing>,
}

/// What has become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has answered it, nor taken the right to.
    Open,
    /// Somebody has taken the right to answer it.
    Taken,
    Settled(Settled),
}

impl<'a> Delivered<'a> {
    #[inline]
    pub(super) fn new(
        message: &'a Message,
        port: &'a Port,
        in_progress_every: &'a Option<Duration>,
        tracker: Option<&'a Tracker>,
    ) -> Self {
        Self { message, port, in_progress_every, tracker, standing: Cell::new(Standing::Open) }
    }

    pub(crate) fn message(&self) -> &'a Message {
        self.message
    }

    /// Who wants to know what becomes of it.
    pub(super) fn tracker(&self) -> Option<&'a Tracker> {
        self.tracker
    }

    #[inline]
    pub(super) fn standing(&self) -> Standing {
        self.standing.get()
    }

    /// Whether nobody has answered it, nor taken the right to.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.standing(), Standing::Open)
    }

    #[inline]
    pub(super) fn answer(&self, ack: Ack<'_>) -> Result<(), Error> {
        if ack == Ack::Done && self.is_open() && ack::acknowledge(self.port, self.message) {
            self.standing.set(Standing::Settled(Settled::Done));
            return Ok(());
        }
        self.answer_slowly(ack)
    }

    #[inline(never)]
    fn answer_slowly(&self, ack: Ack<'_>) -> Result<(), Error> {
        ack::send(self.port, self.subject()?, ack)?;
        if let Some(settled) = Settled::by(ack) {
            self.standing.set(Standing::Settled(settled));
        }
        Ok(())
    }

    /// Where the answer goes, if there may be one.
    #[inline]
    fn subject(&self) -> Result<&'a str, Error> {
        let subject = ack::subject(self.message).ok_or(Error::NotAckable)?;
        if self.is_open() { Ok(subject) } else { Err(Error::AlreadyAnswered) }
    }
}

/// A message as a consumer has delivered it. It is the message ([`Message`]), and knows its
/// [`info`](Self::info); with its methods it is answered, once.
///
/// What a callback lets go unanswered, the server delivers again when the consumer's `ack_wait` is
/// over, unless the consumer wants no answers.
///
/// An answer is sent with whatever else the turn sends. That it was written does not tell that the
/// server has it: [`Acker::ack_confirmed`] does.
pub struct Delivery<'a, S: 'static = ()> {
    delivered: &'a Delivered<'a>,
    _state: PhantomData<fn(&mut S)>,
}

impl<'a, S: 'static> Delivery<'a, S> {
    pub(crate) fn new(delivered: &'a Delivered<'a>) -> Self {
        Self { delivered, _state: PhantomData }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &'a Message {
        self.delivered.message
    }

    /// What JetStream says of the delivery: where the message is stored, how often it was delivered,
    /// what is pending.
    ///
    /// # Errors
    /// [`Error::Malformed`]: the reply subject is of no known form.
    #[doc(alias = "Metadata")]
    pub fn info(&self) -> Result<DeliveryInfo<'a>, Error> {
        let reply = self.delivered.message.reply_bytes().unwrap_or_default();
        DeliveryInfo::parse(reply)
            .ok_or_else(|| Error::Malformed(String::from_utf8_lossy(reply).into_owned()))
    }

    #[inline]
    fn answer(&self, ack: Ack<'_>) -> Result<(), Error> {
        self.delivered.answer(ack)
    }

    /// Takes the right to answer, for somebody who acknowledges it at once.
    pub(super) fn take_subject(&self) -> Result<Box<str>, Error> {
        let subject = self.delivered.subject()?.into();
        self.delivered.standing.set(Standing::Settled(Settled::Done));
        Ok(subject)
    }

    /// Takes the right to answer out of it, for work that goes on after the callback.
    ///
    /// # Errors
    /// [`Error::AlreadyAnswered`], [`Error::NotAckable`].
    pub fn to_acker(&self) -> Result<Acker<S>, Error> {
        let delivered = self.delivered;
        let subject = delivered.subject()?.into();
        delivered.standing.set(Standing::Taken);
        let client = Client::new(delivered.port.clone());
        let tracker = delivered.tracker.cloned();
        let acker = Acker(Rc::new(Owned { subject, client, tracker, is_open: Cell::new(true) }));
        if let Some(period) = *delivered.in_progress_every {
            acker.in_progress_every(period);
        }
        Ok(acker)
    }
}

impl<S> Deref for Delivery<'_, S> {
    type Target = Message;

    fn deref(&self) -> &Message {
        self.delivered.message
    }
}

impl<S> fmt::Debug for Delivery<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", self.delivered.message)
            .field("is_answered", &!self.delivered.is_open())
            .finish()
    }
}

/// The right to answer a delivery, apart from its message. Clones are the same right.
pub struct Acker<S: 'static = ()>(Rc<Owned<S>>);

struct Owned<S: 'static> {
    subject: Box<str>,
    client: Client<S>,
    /// Who wants to know what becomes of the delivery.
    tracker: Option<Tracker>,
    is_open: Cell<bool>,
}

impl<S: 'static> Acker<S> {
    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client<S> {
        &self.0.client
    }

    /// Whether the delivery was answered with it.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !self.0.is_open.get()
    }

    /// Acknowledges the message, and calls back when the server has confirmed that it knows, or with
    /// the reason why that is unknown; then it can be answered again. The timeout is that of the
    /// connection's requests.
    ///
    /// # Errors
    /// The callback is given [`Error::AlreadyAnswered`], [`Error::Request`].
    #[doc(alias = "DoubleAck")]
    #[doc(alias = "AckSync")]
    pub fn ack_confirmed(&self, callback: impl Callback<S, Acker<S>, Result<(), Error>>) {
        let (acker, port) = (self.clone(), self.0.client.port());
        if !self.0.is_open.replace(false) {
            return port.defer(move |state| {
                callback(lend(state), &acker, Err(Error::AlreadyAnswered)).into_ran()
            });
        }
        let on_reply = move |state: &mut State, _: &Port, reply: Reply<'_>| {
            let confirmed = reply.map(drop).map_err(Error::Request);
            match &confirmed {
                Ok(()) => acker.0.tell(Settled::Done),
                Err(_) => acker.0.is_open.set(true),
            }
            callback(lend(state), &acker, confirmed).into_ran()
        };
        ack::request(port, &self.0.subject, on_reply);
    }

    /// Tells the server again and again that the message is being worked on, until it is answered or
    /// nobody is left who could: for work that may take longer than the consumer gives for it
    /// (`ack_wait`), of which half is a good period.
    pub fn in_progress_every(&self, period: Duration) {
        Owned::stay_in_progress(Rc::downgrade(&self.0), self.0.client.port(), period);
    }

    /// Takes the right to answer, for somebody who acknowledges it at once.
    pub(super) fn take_subject(&self) -> Result<Box<str>, Error> {
        if !self.0.is_open.replace(false) {
            return Err(Error::AlreadyAnswered);
        }
        self.0.tell(Settled::Done);
        Ok(self.0.subject.clone())
    }

    fn answer(&self, ack: Ack<'_>) -> Result<(), Error> {
        if self.is_answered() {
            return Err(Error::AlreadyAnswered);
        }
        ack::send(self.0.client.port(), &self.0.subject, ack)?;
        if let Some(settled) = Settled::by(ack) {
            self.0.is_open.set(false);
            self.0.tell(settled);
        }
        Ok(())
    }
}

impl<S: 'static> Owned<S> {
    fn tell(&self, settled: Settled) {
        if let Some(tracker) = &self.tracker {
            tracker.settle(settled);
        }
    }

    fn stay_in_progress(owned: Weak<Self>, port: &Port, period: Duration) {
        let tell = move |_: &mut State| {
            if let Some(acker) = owned.upgrade().map(Acker).filter(|acker| !acker.is_answered()) {
                // if there is no room for it, there will be for the next one
                let _ = acker.in_progress();
                Self::stay_in_progress(owned, acker.0.client.port(), period);
            }
            Ok(())
        };
        port.set_timer(period.max(SHORTEST_PERIOD), Box::new(tell));
    }
}

impl<S: 'static> Drop for Owned<S> {
    fn drop(&mut self) {
        if self.is_open.get() {
            self.tell(Settled::Unanswered);
        }
    }
}

impl<S> Clone for Acker<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Acker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acker")
            .field("subject", &self.0.subject)
            .field("is_answered", &self.is_answered())
            .finish_non_exhaustive()
    }
}

/// What both can be answered with, by their `answer`.
macro_rules! answers {
    ($($type:ty),+) => {
        $(impl<S: 'static> $type {
            /// Acknowledges the message: it is done. Where the consumer acknowledges all, so are those
            /// that were delivered before it.
            ///
            /// # Errors
            /// [`Error::AlreadyAnswered`]; [`Error::NotAckable`] if no consumer that wants answers has
            /// delivered it; [`Error::Request`] if it could not be written, after which it can be
            /// answered again.
            #[inline]
            pub fn ack(&self) -> Result<(), Error> {
                self.answer(Ack::Done)
            }

            /// Has the message delivered again, as soon as can be.
            ///
            /// # Errors
            /// As of [`ack`](Self::ack).
            pub fn nak(&self) -> Result<(), Error> {
                self.answer(Ack::Again(None))
            }

            /// Has the message delivered again after a while, and not before.
            ///
            /// # Errors
            /// As of [`ack`](Self::ack).
            #[doc(alias = "NakWithDelay")]
            pub fn nak_after(&self, delay: Duration) -> Result<(), Error> {
                self.answer(Ack::Again(Some(delay)))
            }

            /// Tells that the message is being worked on: the time that the consumer gives for the answer
            /// (`ack_wait`) begins anew. It can be told again, and the message is still to be answered.
            ///
            /// # Errors
            /// As of [`ack`](Self::ack).
            #[doc(alias = "InProgress")]
            pub fn in_progress(&self) -> Result<(), Error> {
                self.answer(Ack::InProgress)
            }

            /// Has the message never delivered again.
            ///
            /// # Errors
            /// As of [`ack`](Self::ack).
            #[doc(alias = "Term")]
            pub fn terminate(&self) -> Result<(), Error> {
                self.answer(Ack::Terminate(None))
            }

            /// Has the message never delivered again, for a reason that the server names in an advisory
            /// (2.10.4; to an older server the reason is not sent).
            ///
            /// # Errors
            /// As of [`ack`](Self::ack).
            #[doc(alias = "TermWithReason")]
            pub fn terminate_with(&self, reason: &str) -> Result<(), Error> {
                self.answer(Ack::Terminate(Some(reason)))
            }
        })+
    };
}

answers!(Delivery<'_, S>, Acker<S>);
