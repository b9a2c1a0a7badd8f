//! The ordered consumer: reads a stream in order and without gaps, over however many server-side
//! consumers that takes. A pure state machine: no socket, no clock.
//!
//! Each server-side consumer is one *incarnation*, with its own number, name and inbox. It
//! acknowledges nothing and keeps its state in memory, so it may vanish at any time; whenever a
//! delivery is missing, or nothing was heard for three heartbeats, or the connection was lost, the
//! reader leaves the incarnation and starts the next one behind the last message it delivered.
//!
//! The invariant: stream sequences given out by `Ordered::handle_message` strictly increase, and
//! between two of them no matching message is missing, apart from those removed from the stream.
//! What is heard of any incarnation but the current one changes nothing.
//!
//! [`Position`] holds the sequences and knows nothing of push or pull. The push side is
//! `Ordered::handle_status` and the configuration it asks for. The driver owns request timeouts
//! and subscriptions, and empties `Ordered::poll_action` after every input.

use super::delivery_numbers::{DeliveryNumbers, ShortWay};
use super::filters;
use super::position::{Position, Step};
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::creation::Creation;
use crate::jetstream::envelope::ResponseError;
use crate::jetstream::error::OrderedError;
use crate::jetstream::manage::{
    AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, ReplayPolicy,
};
use crate::jetstream::stall::Stall;
use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant, SystemTime};

/// After this many idle heartbeats without any sign of it, a consumer is given up.
const MISSED_HEARTBEATS: u32 = 3;
/// After this many losses of a consumer, or failed starts, without any progress, the user is told.
const TROUBLES: u32 = 2;
/// The wait after the first failed start; each further one doubles it …
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// … up to this.
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// Nothing is acknowledged, so the server must never think of delivering again.
const ACK_WAIT: Duration = Duration::from_secs(22 * 60 * 60);

/// What an ordered consumer reads, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderedConfig {
    /// The stream to read.
    pub(crate) stream: String,
    /// The start of the consumers' names, unique to this reader: they are called `<prefix>_1` and
    /// so on.
    pub(crate) name_prefix: String,
    /// The subjects to read, which must not overlap. Empty: all. More than one needs server 2.10.
    pub(crate) filter_subjects: Vec<String>,
    /// Where to start. Default: at the oldest message.
    pub(crate) deliver_policy: DeliverPolicy,
    /// Read headers only. Default: payloads too.
    pub(crate) headers_only: bool,
    /// Whether stored messages come at once (the default) or at the pace they were stored in.
    pub(crate) replay_policy: ReplayPolicy,
    /// How often the server reports while there are no messages. Default 5 s; after three missed
    /// reports the consumer is created again.
    pub(crate) idle_heartbeat: Duration,
    /// How long the server keeps a consumer that nobody listens to. Default 30 s: a push reader never
    /// comes back to a consumer that it has left, and the server's own 5 s would end it in every
    /// short loss of the connection between two servers.
    pub(crate) inactive_threshold: Duration,
}

impl Default for OrderedConfig {
    fn default() -> Self {
        Self {
            stream: String::new(),
            name_prefix: String::new(),
            filter_subjects: Vec::new(),
            deliver_policy: DeliverPolicy::default(),
            headers_only: false,
            replay_policy: ReplayPolicy::default(),
            idle_heartbeat: Duration::from_secs(5),
            inactive_threshold: Duration::from_secs(30),
        }
    }
}

/// How a create request can fail, seen from the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CreateError {
    /// The server refused.
    Api(ApiError),
    /// Nobody listens on the endpoint (status 503): JetStream is starting, or not enabled.
    NoResponders,
    /// The server does not permit the request.
    Denied,
    /// No reply in time, or the connection was lost: the consumer may exist.
    Unanswered,
    /// A reply that cannot be decoded.
    Malformed(String),
}

impl From<ResponseError> for CreateError {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Api(error) => Self::Api(error),
            ResponseError::Malformed(text) => Self::Malformed(text),
        }
    }
}

/// Something the driver has to do, or should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Subscribe to a fresh inbox for this incarnation, and drop the inbox of the one before.
    Subscribe { incarnation: u64 },
    /// Fill in `deliver_subject` with that inbox, request the consumer, and report the outcome to
    /// `Ordered::handle_created` exactly once.
    Create { incarnation: u64, config: Box<ConsumerConfig> },
    /// Not to be done, but to be known: the consumer exists.
    ///
    /// It has `initial` messages to deliver to be where the stream was when it was created;
    /// `received` of this incarnation's messages came before this.
    Created { incarnation: u64, initial: u64, received: u64 },
    /// Delete the consumer of this name. When that is done is the driver's to know.
    Delete { name: String },
    /// Publish an empty message to this subject.
    Reply { subject: Vec<u8> },
    /// Not to be done, but to be told: nothing comes at the moment, and this is why.
    Stalled(Stall),
    /// Not to be done, but to be told: what was reported with `Stalled` is over.
    Resumed,
    /// The end. Nothing follows but perhaps a `Delete`.
    Failed(OrderedError),
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one: hand it on.
    Deliver(DeliveryNumbers),
    /// Drop it: it was delivered before, belongs to an incarnation that was left, or is not from
    /// JetStream.
    Ignore,
    /// Drop it: others before it are missing. The next incarnation will bring it again.
    Gap,
}

/// A message without payload that the server puts into the inbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status<'a> {
    /// The number: 100, 409, 503, …
    pub(crate) code: u16,
    /// The description after it; may be empty.
    pub(crate) description: &'a str,
    /// The header `Nats-Last-Consumer` of a heartbeat.
    pub(crate) last_consumer_sequence: Option<u64>,
    /// The header `Nats-Consumer-Stalled` of a heartbeat: the server waits for a reply to it.
    pub(crate) stalled: Option<&'a [u8]>,
    /// The reply subject of a flow control request.
    pub(crate) reply: Option<&'a [u8]>,
}

/// One ordered reader over push consumers.
#[derive(Debug)]
pub(crate) struct Ordered {
    config: OrderedConfig,
    position: Position,
    short_way: ShortWay,
    /// The number of the current incarnation, from 1.
    incarnation: u64,
    phase: Phase,
    connected: bool,
    /// Of the stream that is being read.
    creation: Creation,
    /// Starts since the last sign of life from a consumer.
    attempts: u32,
    resets: u64,
    trouble: Trouble,
    /// Create requests handed out whose outcome is not known yet, of all incarnations.
    unanswered: usize,
    /// The next consumer is not to be made yet.
    held: bool,
    actions: VecDeque<Action>,
    random: fastrand::Rng,
}

/// What keeps the reader from being fed.
#[derive(Debug, Default)]
struct Trouble {
    /// Losses and failed starts since the last progress.
    count: u32,
    /// Losses for want of flow control since the last sign that it works. Each consumer delivers
    /// something before it stops, so that messages alone are no such sign.
    flow_losses: u32,
    /// The current consumer has said that it waits for an answer, and sent no message since.
    is_waiting: bool,
    /// What the user was told last, and has not been told the end of.
    told: Option<Stall>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The current incarnation's create request waits in `actions`.
    Starting,
    /// It was handed out. Messages may arrive already.
    Creating,
    /// The consumer exists.
    Running { heard: Instant },
    /// Between two incarnations: until this time, or until the connection is back.
    Waiting { until: Option<Instant> },
    /// Stopped by the driver, or failed.
    Ended,
}

impl Ordered {
    /// A reader whose first actions are already waiting. The seed spreads the back-off of many
    /// readers that lost the same server.
    pub(crate) fn new(config: OrderedConfig, seed: u64) -> Self {
        let mut ordered = Self {
            config,
            position: Position::default(),
            short_way: ShortWay::default(),
            incarnation: 0,
            phase: Phase::Starting,
            connected: true,
            creation: Creation::default(),
            attempts: 0,
            resets: 0,
            trouble: Trouble::default(),
            unanswered: 0,
            held: false,
            actions: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
        };
        ordered.start();
        ordered
    }

    /// The next thing to do. Ask until `None` after every input.
    ///
    /// While the connection is lost only what is left to do after the end is handed out; the rest waits.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if !self.connected && self.phase != Phase::Ended {
            return None;
        }
        let is_held = |action: &Action| self.held && matches!(action, Action::Create { .. });
        let next = self.actions.iter().position(|action| !is_held(action))?;
        let action = self.actions.remove(next);
        if let Some(Action::Create { .. }) = action {
            self.phase = Phase::Creating;
            self.unanswered += 1;
        }
        action
    }

    /// Whether the next consumer is not to be made yet: the one before may still exist. The request for
    /// it waits, and nothing else.
    pub(crate) fn hold_creation(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether the request for a consumer waits for [`hold_creation`](Self::hold_creation).
    pub(crate) fn is_held(&self) -> bool {
        self.held && self.connected && self.phase == Phase::Starting
    }

    /// Whether there is a consumer, as far as is known.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Takes the outcome of a create request.
    pub(crate) fn handle_created(
        &mut self,
        incarnation: u64,
        result: Result<&ConsumerInfo, CreateError>,
        now: Instant,
    ) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let exists = match &result {
            // it may be the reply that is denied
            Ok(_)
            | Err(CreateError::Unanswered | CreateError::Malformed(_) | CreateError::Denied) => {
                true
            }
            Err(CreateError::Api(_) | CreateError::NoResponders) => false,
        };
        if let Ok(info) = &result
            && incarnation == self.incarnation
        {
            // even if it has been left: it shows where the next one has to begin
            self.position.record_origin(info);
        }
        if incarnation != self.incarnation || self.phase != Phase::Creating {
            // it was left while the request was under way, and could not be deleted then
            if exists {
                self.delete(incarnation);
            }
            return;
        }
        match result {
            Ok(info) if filters::are_ignored(&self.config.filter_subjects, info) => {
                self.fail(OrderedError::FiltersUnsupported);
            }
            Ok(info) => {
                self.phase = Phase::Running { heard: now };
                self.actions.push_back(Action::Created {
                    incarnation,
                    initial: info.num_pending.saturating_add(info.delivered.consumer_sequence),
                    received: self.position.consumer_sequence,
                });
                return;
            }
            Err(CreateError::Unanswered) => self.fail_start(Stall::NoAnswer, now),
            Err(CreateError::NoResponders) => self.fail_start(Stall::NotAvailable, now),
            Err(CreateError::Denied) => self.fail_start(Stall::Denied, now),
            Err(CreateError::Api(error)) if error.is_temporary() => {
                self.fail_start(Stall::Refused(error), now);
            }
            Err(CreateError::Api(error)) if error.err_code() == ErrorCode::STREAM_NOT_FOUND => {
                self.fail(OrderedError::StreamNotFound(error));
            }
            Err(CreateError::Api(error)) => self.fail(OrderedError::Rejected(error)),
            Err(CreateError::Malformed(text)) => self.fail(OrderedError::Malformed(text)),
        }
        if exists {
            self.delete(incarnation);
        }
    }

    /// Judges a message of an incarnation's inbox by its reply subject.
    pub(crate) fn handle_message(
        &mut self,
        incarnation: u64,
        reply: &[u8],
        now: Instant,
    ) -> Verdict {
        if !self.is_current(incarnation) {
            return Verdict::Ignore;
        }
        let Some(delivery) = self.short_way.read(reply) else { return Verdict::Ignore };
        match self.position.advance(&delivery) {
            Step::Next => {
                self.record_sign_of_life(now);
                self.trouble.note_message();
                self.note_progress();
                Verdict::Deliver(delivery)
            }
            Step::Seen => {
                self.record_sign_of_life(now);
                Verdict::Ignore
            }
            Step::Repeated => Verdict::Ignore,
            Step::Gap => {
                self.reset(now, Leave::Delete, Stall::MessagesLost);
                Verdict::Gap
            }
            Step::Recreated => {
                self.fail(OrderedError::StreamRecreated);
                Verdict::Ignore
            }
        }
    }

    /// Takes a status of an incarnation's inbox. Unknown ones are ignored, and are no sign of life.
    pub(crate) fn handle_status(&mut self, incarnation: u64, status: &Status<'_>, now: Instant) {
        if !self.is_current(incarnation) {
            return;
        }
        match status.code {
            100 => {
                if status.last_consumer_sequence.is_some_and(|last| !self.position.is_at(last)) {
                    return self.reset(now, Leave::Delete, Stall::MessagesLost);
                }
                if status.stalled.is_some() {
                    // alone, it is no sign that anything will ever come
                    self.trouble.is_waiting = true;
                } else {
                    self.record_sign_of_life(now);
                    if status.reply.is_none() {
                        self.trouble.note_idle();
                        self.note_progress();
                    }
                }
                // everything before this status was handled before it, so the server may go on
                for subject in [status.reply, status.stalled].into_iter().flatten() {
                    self.actions.push_back(Action::Reply { subject: subject.to_vec() });
                }
            }
            409 if status.description.eq_ignore_ascii_case("consumer deleted") => {
                self.reset(now, Leave::Gone, Stall::ConsumerLost);
            }
            503 => self.reset(now, Leave::Delete, Stall::ConsumerLost),
            _ => {}
        }
    }

    /// The stream was created at this time. The machine is told before each consumer: sequences of
    /// another stream mean something else, and a start behind the last one of them is silence.
    pub(crate) fn handle_stream(&mut self, created: Option<SystemTime>) {
        if self.phase != Phase::Ended && self.creation.is_another(created) {
            self.fail(OrderedError::StreamRecreated);
        }
    }

    /// Leaves the consumer for another one.
    pub(crate) fn restart(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Running { .. }) {
            self.resets += 1;
            self.leave(Leave::Delete);
            self.start_again(now);
        }
    }

    /// Whether there is something for `Ordered::poll_action`.
    pub(crate) fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// The connection is lost, and whatever the consumer sends from now on with it.
    pub(crate) fn handle_disconnected(&mut self) {
        if !mem::replace(&mut self.connected, false) || self.phase == Phase::Ended {
            return;
        }
        self.leave(Leave::Delete);
        self.phase = Phase::Waiting { until: None };
    }

    /// The connection is back: the next incarnation starts at once.
    pub(crate) fn handle_reconnected(&mut self) {
        if mem::replace(&mut self.connected, true) || self.phase == Phase::Ended {
            return;
        }
        self.resets += 1;
        self.start();
    }

    /// The time is `now`. Too early a call does nothing.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Running { .. } if self.trouble.is_waiting => {
                self.trouble.flow_losses += 1;
                self.reset(now, Leave::Delete, Stall::FlowControl);
            }
            Phase::Running { .. } => self.reset(now, Leave::Delete, Stall::NoDeliveries),
            Phase::Waiting { .. } => self.start(),
            Phase::Starting | Phase::Creating | Phase::Ended => {}
        }
    }

    /// When to call `Ordered::handle_timeout`. Later after every message, so a driver may let its
    /// timer fire early and ask again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running { heard } => {
                heard.checked_add(self.config.idle_heartbeat.saturating_mul(MISSED_HEARTBEATS))
            }
            Phase::Waiting { until } => until,
            Phase::Starting | Phase::Creating | Phase::Ended => None,
        }
    }

    /// Ends the reader. What is still under way is ignored, apart from the outcome of a create
    /// request, which may bring a last `Delete`.
    pub(crate) fn stop(&mut self) {
        if self.phase != Phase::Ended {
            self.leave(Leave::Delete);
            self.end();
        }
    }

    /// Forgets everything but deletions.
    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.actions.retain(|action| matches!(action, Action::Delete { .. }));
    }

    /// Whether the reader ended and wants nothing more of the driver. It may be dropped before: the
    /// server removes a consumer left behind after `inactive_threshold`.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase == Phase::Ended && self.unanswered == 0 && self.actions.is_empty()
    }

    /// The name of the consumer that is being made, if its creation was requested.
    pub(crate) fn name_of_unanswered(&self) -> Option<String> {
        (self.phase == Phase::Creating).then(|| self.name(self.incarnation))
    }

    /// How often a consumer was lost and replaced. Failed attempts to create one do not count.
    pub(crate) fn resets(&self) -> u64 {
        self.resets
    }

    /// The stream sequence of the last message delivered; 0 before the first.
    #[cfg_attr(not(test), expect(dead_code, reason = "for public readers"))]
    pub(crate) fn last_stream_sequence(&self) -> u64 {
        self.position.stream_sequence
    }

    fn is_current(&self, incarnation: u64) -> bool {
        incarnation == self.incarnation
            && matches!(self.phase, Phase::Creating | Phase::Running { .. })
    }

    fn record_sign_of_life(&mut self, now: Instant) {
        self.attempts = 0;
        if let Phase::Running { heard } = &mut self.phase {
            *heard = now;
        }
    }

    /// There is progress. The user is told if it was known to be missing.
    fn note_progress(&mut self) {
        if self.trouble.flow_losses == 0 {
            self.trouble.count = 0;
            if self.trouble.told.take().is_some() {
                self.actions.push_back(Action::Resumed);
            }
        }
    }

    /// A consumer was lost, or could not be made.
    fn note_trouble(&mut self, stall: Stall) {
        self.trouble.count = self.trouble.count.saturating_add(1);
        let is_known = self.trouble.told.as_ref() == Some(&stall);
        if self.trouble.count.max(self.trouble.flow_losses) >= TROUBLES && !is_known {
            self.trouble.told = Some(stall.clone());
            self.actions.push_back(Action::Stalled(stall));
        }
    }

    fn fail_start(&mut self, stall: Stall, now: Instant) {
        self.note_trouble(stall);
        self.back_off(now);
    }

    /// Starts the next incarnation.
    fn start(&mut self) {
        self.incarnation += 1;
        self.position.restart();
        self.trouble.is_waiting = false;
        self.phase = Phase::Starting;
        let incarnation = self.incarnation;
        let config = Box::new(self.consumer_config());
        self.actions.push_back(Action::Subscribe { incarnation });
        self.actions.push_back(Action::Create { incarnation, config });
    }

    /// Leaves an incarnation that failed and starts the next one.
    fn reset(&mut self, now: Instant, leave: Leave, stall: Stall) {
        self.resets += 1;
        self.leave(leave);
        self.note_trouble(stall);
        self.start_again(now);
    }

    /// Starts the next incarnation: at once after one that worked, later after one that never did,
    /// lest a server that kills each consumer be flooded.
    fn start_again(&mut self, now: Instant) {
        if self.attempts == 0 {
            self.attempts = 1;
            self.start();
        } else {
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Instant) {
        let doublings = self.attempts.saturating_sub(1).min(8);
        let delay = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LAST_BACKOFF);
        // up to a fifth less, so that readers do not come back all at once
        let delay = delay.mul_f64(1.0 - 0.2 * self.random.f64());
        self.attempts = self.attempts.max(1).saturating_add(1);
        self.phase = Phase::Waiting { until: Some(now + delay) };
    }

    /// Forgets what is queued for the current incarnation, and deletes its consumer if it is known
    /// to exist. One that is still being created is deleted once the outcome is known.
    fn leave(&mut self, leave: Leave) {
        let outlives = |action: &Action| {
            matches!(action, Action::Delete { .. } | Action::Stalled(_) | Action::Resumed)
        };
        self.actions.retain(outlives);
        if matches!(self.phase, Phase::Running { .. }) && leave == Leave::Delete {
            self.delete(self.incarnation);
        }
    }

    fn fail(&mut self, error: OrderedError) {
        self.leave(Leave::Delete);
        self.end();
        self.actions.push_front(Action::Failed(error));
    }

    fn delete(&mut self, incarnation: u64) {
        self.actions.push_back(Action::Delete { name: self.name(incarnation) });
    }

    fn name(&self, incarnation: u64) -> String {
        format!("{}_{incarnation}", self.config.name_prefix)
    }

    fn consumer_config(&self) -> ConsumerConfig {
        let config = &self.config;
        let deliver_policy = self.position.deliver_policy(&config.deliver_policy);
        let (filter_subject, filter_subjects) =
            filters::configured(&config.filter_subjects, &deliver_policy);
        ConsumerConfig {
            name: Some(self.name(self.incarnation)),
            deliver_policy,
            filter_subject,
            filter_subjects,
            replay_policy: config.replay_policy.clone(),
            headers_only: config.headers_only,
            ack_policy: AckPolicy::None,
            ack_wait: Some(ACK_WAIT),
            max_deliver: Some(1),
            num_replicas: 1,
            mem_storage: true,
            inactive_threshold: Some(config.inactive_threshold),
            idle_heartbeat: Some(config.idle_heartbeat),
            flow_control: true,
            ..ConsumerConfig::default()
        }
    }
}

impl Trouble {
    fn note_message(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            // the answer has arrived
            self.flow_losses = 0;
        }
    }

    /// The consumer has nothing to deliver, and waits for nothing.
    fn note_idle(&mut self) {
        self.is_waiting = false;
        self.flow_losses = 0;
    }
}

/// How to part from an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// Its consumer may live on.
    Delete,
    /// Its consumer is gone already.
    Gone,
}

#[cfg(test)]
mod tests;
