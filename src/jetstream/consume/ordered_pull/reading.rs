//! What an ordered consumer needs of the machines that read its server-side consumers, one after the
//! other, and what it makes of their ends.

use super::cause::ResetCause;
use crate::event_loop::after;
use crate::jetstream::api_error::ErrorCode;
use crate::jetstream::consume::consumer_error::ConsumerError;
use crate::jetstream::consume::machine::Machine;
use crate::jetstream::consume::outcome::ConsumeEnd;
use crate::jetstream::consume::pull::{
    ConsumeOptions, Fetch, FetchEnd, FetchError, FetchOptions, GRACE, PATIENCE, Pull, PullStart,
};
use crate::jetstream::consume::status::Amount;
use crate::jetstream::error::{Error, OrderedError};
use crate::jetstream::manage::ConsumerConfig;
use std::time::Instant;

/// A way to read one server-side consumer.
pub(crate) trait Reading: Machine + Sized {
    /// What the program wants of all of them together.
    type Wanted;

    /// Whether the consumer is left for the next read when this one ends.
    const KEEPS_CONSUMER: bool;

    /// Reads a consumer, or is at its end, because nothing is wanted any more.
    fn begin(wanted: &Self::Wanted, start: Start<'_>) -> Result<Self, Self::End>;

    /// A message has come, of so many bytes, that the program has had already.
    fn spend(&mut self, bytes: u64, now: Instant);

    /// When the read is over, whether there is a consumer or not.
    fn deadline(wanted: &Self::Wanted) -> Option<Instant>;

    /// What follows from the end of reading one consumer.
    fn judge(wanted: &Self::Wanted, end: Self::End, came: Came) -> Judgment<Self::End>;

    /// How it ends when there was no consumer until the deadline.
    fn late(is_connected: bool) -> Self::End;

    /// How it ends when it is stopped.
    fn stopped() -> Self::End;

    /// How it ends when it is drained and nothing was asked for, if it can be drained.
    fn drained() -> Option<Self::End>;

    /// How it ends when it has failed.
    fn failed(error: Error) -> Self::End;
}

/// What reading a consumer begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// What has come from all consumers before.
    pub(super) received: Amount,
    /// What of it the program has not taken yet.
    pub(super) untaken: Amount,
    pub(super) paused: bool,
    pub(super) config: Option<&'a ConsumerConfig>,
    pub(super) seed: u64,
    pub(super) now: Instant,
}

/// What has come when reading a consumer has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// For the program, from all consumers.
    pub(super) received: Amount,
    /// The last consumer has brought what the program had had.
    pub(super) has_spent: bool,
}

/// What follows from the end of reading one consumer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgment<E> {
    /// The end of all.
    End(E),
    /// There is more to ask the same consumer for.
    Again,
    /// The consumer is to be left.
    Leave(ResetCause),
    /// The consumer is gone.
    Gone(ResetCause),
}

impl Reading for Pull {
    type Wanted = ConsumeOptions;

    /// What was asked for may still be on its way.
    const KEEPS_CONSUMER: bool = false;

    fn begin(wanted: &ConsumeOptions, start: Start<'_>) -> Result<Self, ConsumeEnd> {
        let Start { received, untaken, paused, config, seed, now } = start;
        let left = wanted.stop_after.map(|count| count.saturating_sub(received.messages));
        if left == Some(0) {
            return Err(ConsumeEnd::Complete);
        }
        let options = wanted.clone().stop_after(left);
        Ok(Self::starting(options, PullStart { untaken, paused, config }, seed, now))
    }

    fn spend(&mut self, bytes: u64, now: Instant) {
        self.spend(bytes, now);
    }

    fn deadline(_: &ConsumeOptions) -> Option<Instant> {
        None
    }

    fn judge(_: &ConsumeOptions, end: ConsumeEnd, _: Came) -> Judgment<ConsumeEnd> {
        match end {
            ConsumeEnd::Failed(error) => judge_error(error, ConsumeEnd::Failed),
            end => Judgment::End(end),
        }
    }

    fn late(_: bool) -> ConsumeEnd {
        ConsumeEnd::Failed(FetchError::Unanswered.into())
    }

    fn stopped() -> ConsumeEnd {
        ConsumeEnd::Stopped
    }

    fn drained() -> Option<ConsumeEnd> {
        Some(ConsumeEnd::Drained)
    }

    fn failed(error: Error) -> ConsumeEnd {
        ConsumeEnd::Failed(error)
    }
}

/// What a fetch is to bring.
#[derive(Debug, Clone)]
pub(crate) struct FetchWanted {
    options: FetchOptions,
    begun: Instant,
}

impl FetchWanted {
    pub(crate) fn new(options: FetchOptions, now: Instant) -> Self {
        Self { options, begun: now }
    }
}

impl Reading for Fetch {
    type Wanted = FetchWanted;

    const KEEPS_CONSUMER: bool = true;

    fn begin(wanted: &FetchWanted, start: Start<'_>) -> Result<Self, Self::End> {
        let elapsed = start.now.saturating_duration_since(wanted.begun);
        match wanted.options.rest(start.received, elapsed) {
            Some(options) => Ok(Self::new(options, None, start.now)),
            None => Err(Ok(FetchEnd::Expired)),
        }
    }

    /// It was one of those that were asked for.
    fn spend(&mut self, bytes: u64, now: Instant) {
        self.handle_message(bytes, now);
    }

    fn deadline(wanted: &FetchWanted) -> Option<Instant> {
        let wait = wanted.options.wait().map_or(PATIENCE, |wait| wait.saturating_add(GRACE));
        Some(after(wanted.begun, wait))
    }

    fn judge(wanted: &FetchWanted, end: Self::End, came: Came) -> Judgment<Self::End> {
        use FetchError::{LeaderLost, MessageTooLarge, MissedHeartbeats, NoResponders};
        let Came { received, has_spent } = came;
        let is_full = |limit: Option<u64>, count| limit.is_some_and(|limit| count >= limit);
        let is_complete = is_full(wanted.options.message_limit(), received.messages)
            || is_full(wanted.options.max_bytes, received.bytes);
        match end {
            Ok(FetchEnd::Complete) if has_spent && !is_complete => Judgment::Again,
            Ok(FetchEnd::Expired) if wanted.options.no_wait && received.messages > 0 => {
                Judgment::End(Ok(FetchEnd::NoMoreMessages))
            }
            Err(Error::Fetch(MessageTooLarge)) if received.messages > 0 => {
                Judgment::End(Ok(FetchEnd::Complete))
            }
            Err(Error::Fetch(MissedHeartbeats)) => Judgment::Leave(ResetCause::MissedHeartbeats),
            Err(Error::Fetch(NoResponders)) => Judgment::Leave(ResetCause::NoResponders),
            Err(Error::Fetch(LeaderLost)) => Judgment::Leave(ResetCause::LeaderLost),
            Err(error) => judge_error(error, Err),
            end => Judgment::End(end),
        }
    }

    fn late(is_connected: bool) -> Self::End {
        Err(if is_connected { FetchError::Unanswered } else { FetchError::Disconnected }.into())
    }

    fn stopped() -> Self::End {
        Err(Error::Closed)
    }

    fn drained() -> Option<Self::End> {
        None
    }

    fn failed(error: Error) -> Self::End {
        Err(error)
    }
}

/// A consumer that is gone is replaced, as long as its stream is there.
fn judge_error<E>(error: Error, failed: impl FnOnce(Error) -> E) -> Judgment<E> {
    match error {
        Error::Consumer(ConsumerError::NotFound(api))
            if api.err_code() == ErrorCode::STREAM_NOT_FOUND =>
        {
            Judgment::End(failed(OrderedError::StreamNotFound(api).into()))
        }
        Error::Consumer(ConsumerError::ConsumerDeleted | ConsumerError::NotFound(_)) => {
            Judgment::Gone(ResetCause::ConsumerDeleted)
        }
        error => Judgment::End(failed(error)),
    }
}
