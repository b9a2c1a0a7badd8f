//! The session's commands: what a driver asks for on behalf of its user, and the checks before the
//! first byte of it is written.
//!
//! Invariant: a command that is refused has written nothing, and gives back what it was given.

use super::command_error::CommandError;
use super::event::{EndReason, Event, FlushError, RequestError};
use super::handoff::DelayedDrain;
use super::life::{DrainStage, Life};
use super::outgoing_message::{OutgoingMessage, SubjectRule};
use super::state::Session;
use crate::disconnect::DisconnectReason;
use crate::tables::fences::Purpose;
use crate::tables::known_route::KnownRoute;
use crate::tables::requests::fingerprint;
use crate::tables::subscriptions::SubscriptionId;
use crate::tables::token::Token;
use crate::wire::encode;
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::subject;
use std::time::{Duration, Instant};

/// Verb, blanks and two sizes take at most so many bytes.
const LINE_WITHOUT_SUBJECTS: usize = 40;

impl<S, R, F> Session<S, R, F> {
    /// Sends a message. Before the handshake it waits in the buffer.
    ///
    /// # Errors
    /// A message that cannot be sent, a session that is closed or in the last stage of its drain,
    /// and [`CommandError::BufferFull`] or [`CommandError::NotConnected`], which give the payload
    /// back.
    #[inline]
    pub fn publish(&mut self, message: OutgoingMessage<'_>) -> Result<(), CommandError> {
        if let Some((reply, _)) = message.reply.filter(|_| !message.is_reply_known) {
            subject::check_literal(reply).map_err(CommandError::ReplySubject)?;
        }
        let reply = message.reply.map(|(start, end)| (start.as_bytes(), end));
        self.check_message(&message, reply.map_or(0, |(start, end)| start.len() + end.len()))?;
        if self.is_full(message.payload.len()) {
            return Err(self.refusal(message.payload.given_back()));
        }
        if message.is_plain() && message.reply.is_none() {
            self.outgoing.keep_message(message.subject, fingerprint(message.subject.as_bytes()));
        }
        let headers = message.headers.unwrap_or(encode::NO_HEADERS);
        let size = self.outgoing.publish(message.subject, reply, headers, message.payload);
        self.count_sent(size);
        Ok(())
    }

    /// As [`publish`](Self::publish), but only for the usual case, which costs a fraction: a message
    /// on the subject of the last one, on an open connection with room for it. Returns whether that
    /// was the case; if not, nothing has happened.
    #[inline(always)]
    pub fn publish_again(&mut self, subject: &str, payload: &[u8]) -> bool {
        let is_usual =
            self.outgoing.is_another(subject, payload.len()) && self.has_usual_size(payload.len());
        if is_usual {
            self.outgoing.publish_again(payload);
            self.count_sent(payload.len());
        }
        is_usual
    }

    /// As [`publish`](Self::publish), but only for the usual case: a message whose subjects are known, with
    /// the end of its reply subject, on an open connection with room for it. The payload is given in parts.
    /// Returns whether that was the case; if not, nothing has happened.
    ///
    /// The end is left unchecked, as by [`OutgoingMessage::with_known_reply`].
    #[inline(always)]
    pub fn publish_on<const N: usize, const PARTS: usize>(
        &mut self,
        route: &mut KnownRoute<N>,
        reply_end: &[u8; N],
        payload: [&[u8]; PARTS],
    ) -> bool {
        let size = payload.iter().map(|part| part.len()).sum();
        let is_usual = self.has_usual_size(size) && self.fits_line(route.subjects_len());
        if is_usual {
            self.outgoing.publish_parts(route.line(reply_end, size), &payload);
            self.count_sent(size);
        }
        is_usual
    }

    /// As [`publish`](Self::publish), but only for the usual case: an answer to the reply subject of a
    /// message, as it came, on an open connection with room for it. Returns whether that was the case;
    /// if not, nothing has happened.
    #[inline(always)]
    pub fn answer(&mut self, message: &Message, payload: &[u8]) -> bool {
        let Some(reply) = message.reply_bytes() else { return false };
        let is_usual = self.has_usual_size(payload.len())
            && self.fits_line(reply.len())
            // what was an argument of a line can be one again
            && (message.is_lent() || subject::is_plain_text(reply));
        if is_usual {
            self.outgoing.answer(reply, payload);
            self.count_sent(payload.len());
        }
        is_usual
    }

    /// Returns whether there is room for a message of this size. If there is none, it counts as a
    /// refusal: [`Event::Writable`] will tell when there is room again. A session that takes nothing
    /// any more never will, so what is given to it is refused for its own reason.
    #[inline(always)]
    pub fn has_room(&mut self, payload_len: usize) -> bool {
        self.has_much_room(payload_len) || !self.is_full(payload_len) || self.life.check().is_err()
    }

    /// The usual case, which every publish passes.
    #[inline(always)]
    fn has_much_room(&self, len: usize) -> bool {
        self.is_open() && self.outgoing.len() + len <= self.config.max_buffered
    }

    /// Sends a message, and waits for an answer to its inbox. The outcome is an [`Event::Reply`],
    /// also if the message cannot be sent. The timeout starts with the next
    /// [`handle_turn`](Self::handle_turn).
    pub fn request(&mut self, message: OutgoingMessage<'_>, timeout: Duration, context: R) {
        let is_usual = self.has_usual_size(message.payload.len());
        let may_be_last = is_usual && message.is_plain();
        let last_asked = if may_be_last { self.outgoing.last_asked(message.subject) } else { None };
        let is_known = is_usual
            && message.is_known_and_plain()
            && self.fits_line(message.subject.len() + self.requests.reply_len());
        if last_asked.is_none() && !is_known {
            if let Err(error) = self.check_message(&message, self.requests.reply_len()) {
                return self.fail_request(context, error.into());
            }
            if self.is_full(message.payload.len()) {
                let error = self.refusal(message.payload.given_back());
                return self.fail_request(context, error.into());
            }
        }
        if self.requests.needs_inbox() {
            self.subscribe_inbox();
        }
        let position = self.outgoing.position();
        let subject = last_asked.unwrap_or_else(|| fingerprint(message.subject.as_bytes()));
        match self.requests.insert(context, timeout, position, subject, &mut self.random) {
            Ok(token) => {
                let size = match last_asked {
                    Some(_) => self.outgoing.request_again(&token, message.payload),
                    None => self.write_request(message, &token, subject),
                };
                self.count_sent(size);
            }
            Err(context) => self.fail_request(context, CommandError::TooMany.into()),
        }
    }

    fn write_request(
        &mut self,
        message: OutgoingMessage<'_>,
        token: &Token,
        subject: u64,
    ) -> usize {
        let inbox = self.requests.inbox();
        let reply = (inbox.as_bytes(), token.as_slice());
        if message.is_plain() {
            self.outgoing.keep_request(message.subject, reply, subject);
        }
        match message.headers {
            None => self.outgoing.request(message.subject, (inbox, token), message.payload),
            Some(headers) => {
                self.outgoing.publish(message.subject, Some(reply), headers, message.payload)
            }
        }
    }

    /// Subscribes to a pattern, alone or as a member of a queue group.
    ///
    /// # Errors
    /// An invalid pattern or group, a session that is draining or closed, a full buffer on an open
    /// connection. The context comes back.
    pub fn subscribe(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        context: S,
    ) -> Result<SubscriptionId, (CommandError, S)> {
        if let Err(error) = self.check_subscribe(subject, queue) {
            return Err((error, context));
        }
        // one that finds no room while there is no connection is restored on the next one
        let has_room = self.is_open() || !self.has_no_room(subject.len());
        let position = has_room.then(|| self.outgoing.position());
        let inserted = self.subscriptions.insert(subject, queue, position, context);
        let id = inserted.map_err(|context| (CommandError::TooMany, context))?;
        if has_room {
            let queue = queue.map(str::as_bytes);
            encode::subscribe(self.outgoing.buffer(), subject.as_bytes(), queue, id.sid());
            if let Some(out) = self.handoff.as_deref_mut().and_then(|next| next.joined_mut()) {
                encode::subscribe(out, subject.as_bytes(), queue, id.sid());
                self.subscriptions.mark_joined(id);
            }
        }
        Ok(id)
    }

    /// Ends a subscription at once, and returns its context. What the server has sent for it
    /// already is not delivered.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`] if it has ended.
    pub fn unsubscribe(&mut self, id: SubscriptionId) -> Result<S, CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        let position = entry.position;
        if self.is_open() {
            self.write_unsubscribe(id, position, None);
        } else if position.is_some() {
            // its SUB waits, and is removed before it is written
            self.outgoing.record_abandoned();
        }
        self.subscriptions.remove(id).ok_or(CommandError::UnknownSubscription)
    }

    /// Ends a subscription with its `max`th message, counted from the beginning: after two
    /// messages, a `max` of 3 lets one more pass, and one of 2 ends it at once.
    ///
    /// # Errors
    /// [`CommandError::UnknownSubscription`] if it has ended.
    pub fn unsubscribe_after(&mut self, id: SubscriptionId, max: u64) -> Result<(), CommandError> {
        let entry = self.subscriptions.get_mut(id).ok_or(CommandError::UnknownSubscription)?;
        // one that only waits to be resumed has been ended at the server
        let max = if entry.has_all() { entry.max.unwrap_or(max).min(max) } else { max };
        entry.max = Some(max);
        let position = entry.position;
        let is_open = self.current.is_open();
        if !is_open && position.is_some() {
            // its SUB waits; before it is written, the maximum is put behind it
            self.outgoing.record_abandoned();
        }
        if entry.received >= max {
            let waits = entry.keep_held(max);
            if is_open {
                self.write_unsubscribe(id, position, None);
            } else {
                entry.position = None;
            }
            if !waits {
                self.end_subscription(id, EndReason::MaxReached);
            }
        } else if is_open {
            let maximums = entry.server_max().zip(entry.next_server_max());
            self.write_unsubscribe(id, position, maximums);
        }
        Ok(())
    }

    /// Ends a subscription after everything that the server has sent for it. The fence's event
    /// comes after the last message and [`Event::SubscriptionEnded`]. The timeout starts with the
    /// next [`handle_turn`](Self::handle_turn).
    ///
    /// Without a connection, or for the second time, it needs room in the buffer, as a flush does.
    /// If there is none, the fence fails with [`CommandError::BufferFull`] or
    /// [`CommandError::NotConnected`], and the subscription stays as it was.
    pub fn drain_subscription(&mut self, id: SubscriptionId, timeout: Duration, context: F) {
        if let Some(handoff) = self.handoff.as_deref_mut().filter(|next| next.has_joined()) {
            return handoff.delayed_drains.push(DelayedDrain { id, timeout, context });
        }
        if let Err(error) = self.check_drain(id) {
            return self.refuse_fence(context, error);
        }
        if let Some(entry) = self.subscriptions.get_mut(id)
            && !std::mem::replace(&mut entry.draining, true)
        {
            let position = entry.position;
            self.write_unsubscribe(id, position, None);
            // cannot fail: the id was just looked up
            let _ = self.resume(id);
        }
        self.push_fence(Purpose::Drain { subscription: id, context, timeout });
    }

    /// Sets a fence (a `PING`): its event comes when the server has read everything that was sent
    /// before, and everything that it had sent before has been reported. It does not mean that a
    /// stream has stored anything. The timeout starts with the next
    /// [`handle_turn`](Self::handle_turn).
    ///
    /// On a connection, a full buffer takes it nevertheless, so that whoever publishes until the
    /// buffer is full can wait for the end of it.
    pub fn flush(&mut self, timeout: Duration, context: F) {
        if let Err(error) = self.life.check().and_then(|()| self.check_room_for_fence()) {
            return self.refuse_fence(context, error);
        }
        self.push_fence(Purpose::Flush { context, timeout });
    }

    /// Ends the session without losing anything: subscriptions are drained, requests and fences
    /// completed, and then the connection is closed, at the latest after
    /// [`drain_timeout`](super::config::SessionConfig::drain_timeout). While requests are being
    /// completed, publishing is still allowed.
    pub fn drain(&mut self, now: Instant) {
        if !matches!(self.life, Life::Running) {
            return;
        }
        let deadline = now.checked_add(self.config.drain_timeout);
        self.life = Life::Draining { stage: DrainStage::Requested, deadline };
        if self.is_open() && !self.has_joined() {
            self.begin_drain();
        }
    }

    /// Ends the session now. What was not written may be lost; what is pending fails.
    pub fn close(&mut self) {
        self.finish(DisconnectReason::Requested);
    }

    // ---- checks -------------------------------------------------------------------------------

    /// Whether a payload of this size can be sent at once, without a look at anything else.
    #[inline(always)]
    fn has_usual_size(&self, len: usize) -> bool {
        self.has_much_room(len) && self.life.is_running() && len <= self.current.max_payload()
    }

    /// Whether a control line may have subjects of this length.
    #[inline(always)]
    fn fits_line(&self, subjects_len: usize) -> bool {
        subjects_len + LINE_WITHOUT_SUBJECTS <= self.config.max_control_line
    }

    #[inline(always)]
    fn check_message(
        &mut self,
        message: &OutgoingMessage<'_>,
        reply_len: usize,
    ) -> Result<(), CommandError> {
        if !self.life.is_running() {
            self.life.check()?;
        }
        match message.subject_rule {
            SubjectRule::Literal => subject::check_literal(message.subject)?,
            SubjectRule::Pattern => subject::check_pattern(message.subject)?,
            SubjectRule::Known => {}
        }
        let mut header_len = 0;
        if let Some(headers) = message.headers {
            headers.check()?;
            header_len = headers.encoded_len();
        }
        if header_len > 0 && self.current.refuses_headers() {
            return Err(CommandError::HeadersUnsupported);
        }
        let (size, limit) = (header_len + message.payload.len(), self.current.max_payload());
        if size > limit {
            return Err(CommandError::PayloadTooLarge { size, limit });
        }
        let subjects_len = message.subject.len() + reply_len;
        if !self.fits_line(subjects_len) {
            let size = subjects_len + LINE_WITHOUT_SUBJECTS;
            let limit = self.config.max_control_line;
            return Err(CommandError::ControlLineTooLong { size, limit });
        }
        if !self.is_open() {
            self.outgoing.record_unchecked(size, header_len > 0);
        }
        Ok(())
    }

    /// Checks that there is room for a command without a payload.
    fn check_room(&mut self) -> Result<(), CommandError> {
        match self.is_full(0) {
            true => Err(self.refusal(Payload::default())),
            false => Ok(()),
        }
    }

    /// As [`check_room`](Self::check_room), but on a connection a fence may go beyond the limit,
    /// which not even thousands of them exceed by much.
    fn check_room_for_fence(&mut self) -> Result<(), CommandError> {
        const BEYOND: usize = 64 * 1024;
        let limit = self.config.max_buffered.saturating_add(BEYOND);
        if self.is_open() && self.outgoing.len() < limit { Ok(()) } else { self.check_room() }
    }

    fn check_drain(&mut self, id: SubscriptionId) -> Result<(), CommandError> {
        let entry = self.subscriptions.get(id).ok_or(CommandError::UnknownSubscription)?;
        match self.current.is_open() && !entry.draining {
            // as an unsubscribe does, it always finds room: once for each subscription
            true => Ok(()),
            false => self.check_room(),
        }
    }

    fn check_subscribe(&mut self, subject: &str, queue: Option<&str>) -> Result<(), CommandError> {
        self.life.check()?;
        if self.life.is_draining() {
            return Err(CommandError::Draining);
        }
        subject::check_pattern(subject)?;
        if let Some(queue) = queue {
            subject::check_queue_group(queue).map_err(CommandError::QueueGroup)?;
        }
        let limit = self.config.max_control_line;
        match subject.len() + queue.map_or(0, str::len) + LINE_WITHOUT_SUBJECTS {
            size if size > limit => Err(CommandError::ControlLineTooLong { size, limit }),
            _ if self.is_open() => self.check_room(),
            _ => Ok(()),
        }
    }

    /// Whether a command of this size would exceed the limit.
    #[inline]
    fn is_full(&mut self, len: usize) -> bool {
        if self.has_much_room(len) {
            return false;
        }
        let is_full = self.has_no_room(len);
        if is_full {
            self.outgoing.record_refusal();
        }
        is_full
    }

    /// Whether there is no room, also after what nobody waits for has been removed.
    fn has_no_room(&mut self, len: usize) -> bool {
        if !self.exceeds_limit(len) {
            return false;
        }
        let is_swept = !self.is_open() && self.outgoing.needs_sweep();
        if is_swept {
            self.sweep_outgoing();
        }
        !is_swept || self.exceeds_limit(len)
    }

    /// On a connection, an empty buffer takes a command of any size: there would be nothing to wait
    /// for.
    #[inline(never)]
    fn exceeds_limit(&self, len: usize) -> bool {
        let waiting = self.outgoing.len();
        match self.is_open() {
            true => waiting + len > self.config.max_buffered && waiting > 0,
            false => waiting + len >= self.max_unconnected(),
        }
    }

    fn max_unconnected(&self) -> usize {
        self.config.max_unconnected.min(self.config.max_buffered)
    }

    #[cold]
    fn refusal(&self, payload: Payload<'static>) -> CommandError {
        let limit = match self.is_open() {
            true => self.config.max_buffered,
            false => self.max_unconnected(),
        };
        match limit {
            0 if !self.is_open() => CommandError::NotConnected { payload },
            _ => CommandError::BufferFull { payload, limit },
        }
    }

    // ---- writing ------------------------------------------------------------------------------

    /// Counts a message as sent. Until it is written, or if it never will be, it is taken off again.
    #[inline(always)]
    fn count_sent(&mut self, size: usize) {
        self.statistics.messages_out += 1;
        self.statistics.bytes_out += size as u64;
    }

    #[cold]
    fn subscribe_inbox(&mut self) {
        self.requests.subscribe_inbox(self.outgoing.buffer());
        if let Some(out) = self.handoff.as_deref_mut().and_then(|next| next.joined_mut()) {
            self.requests.join_inbox(out);
        }
    }

    /// Ends a subscription at its servers, or limits it to a maximum: the first of the two is as
    /// the current server counts, the second as the next one does.
    ///
    /// Without a connection, a subscription that is to be restored needs no `UNSUB`: what is
    /// restored is what there is then.
    pub(super) fn write_unsubscribe(
        &mut self,
        id: SubscriptionId,
        position: Option<u64>,
        maximums: Option<(u64, u64)>,
    ) {
        if self.is_open() || position.is_some() {
            let max = maximums.map(|(max, _)| max);
            encode::unsubscribe(self.outgoing.buffer(), id.sid(), max);
        }
        if let Some(out) = self.handoff.as_deref_mut().and_then(|next| next.joined_mut()) {
            encode::unsubscribe(out, id.sid(), maximums.map(|(_, max)| max));
        }
    }

    pub(super) fn push_fence(&mut self, purpose: Purpose<F>) {
        self.outgoing.buffer().extend_from_slice(encode::PING);
        self.fences.push(purpose, self.outgoing.position());
    }

    // ---- outcomes -----------------------------------------------------------------------------

    pub(super) fn fail_request(&mut self, context: R, error: RequestError) {
        self.events.push_back(Event::Reply { context, outcome: Err(error) });
    }

    fn refuse_fence(&mut self, context: F, error: CommandError) {
        let outcome = Err(FlushError::Command(error));
        self.events.push_back(Event::Fence { context, outcome });
    }

    pub(super) fn fail_fence(&mut self, purpose: Purpose<F>, error: FlushError) {
        if let Purpose::Flush { context, .. } | Purpose::Drain { context, .. } = purpose {
            self.events.push_back(Event::Fence { context, outcome: Err(error) });
        }
    }
}
