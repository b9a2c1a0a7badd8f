//! One behavior a test, in virtual time: nothing sleeps. How they combine is left to `simulation`.

mod ends;
mod fetches;
mod simulation;
mod starts;
mod trouble;

use super::*;
use crate::jetstream::api_error::{ApiError, ErrorCode};
use crate::jetstream::consume::ordered_pull::options::OrderedOptions;
use crate::jetstream::consume::ordered_pull::reading::FetchWanted;
use crate::jetstream::consume::outcome::ConsumeEnd;
use crate::jetstream::consume::pull::{ConsumeOptions, Fetch, FetchEnd, FetchOptions, Pull};
use crate::jetstream::manage::{
    ConsumerConfig, ConsumerInfo, DeliverPolicy, SequenceInfo, StreamInfo,
};
use evnats_protocol::RequestError;
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const NO_ANSWER: Error = Error::Request(RequestError::Timeout);

/// An ordered consumer, and what its driver has been told to do.
struct Bench<M: Reading + 'static> {
    ordered: OrderedPull<M>,
    home: OrderedHome,
    now: Instant,
    pulls: Vec<(u64, PullRequest)>,
    created: Vec<(u64, ConsumerConfig)>,
    deleted: Vec<u64>,
    asked: usize,
    told: Vec<ConsumeEvent>,
    ends: Vec<M::End>,
}

fn consuming() -> ConsumeOptions {
    ConsumeOptions::new().max_messages(10)
}

fn state(options: OrderedOptions) -> OrderedState {
    assert_eq!(options.check(), Ok(()));
    OrderedState::new(options, "p", 7)
}

fn api(code: u16, err_code: ErrorCode) -> ApiError {
    ApiError::new(code, err_code, "text")
}

fn info(stream_sequence: u64) -> ConsumerInfo {
    let delivered = SequenceInfo { consumer_sequence: 0, stream_sequence, last_active: None };
    let config = ConsumerConfig::default().inactive_threshold(300 * SECOND);
    ConsumerInfo { delivered, config: Some(config), ..ConsumerInfo::default() }
}

fn stream_created_at(seconds: u64) -> StreamInfo {
    let created = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    StreamInfo { created, ..StreamInfo::default() }
}

/// As a consumer delivers it; the message was stored in the second of its sequence.
fn message(consumer: &str, stream_sequence: u64, consumer_sequence: u64) -> Message {
    message_at(consumer, stream_sequence, consumer_sequence, stream_sequence)
}

fn message_at(consumer: &str, stream: u64, sequence: u64, nanos: u64) -> Message {
    let reply = format!("$JS.ACK.S.{consumer}.1.{stream}.{sequence}.{nanos}.0");
    Message::new("a", 1, Some(&reply), None, b"0123456789")
}

fn status(text: &str) -> Message {
    Message::new("inbox.1", 1, None, Some(format!("NATS/1.0 {text}\r\n\r\n").as_bytes()), b"")
}

fn heartbeat(last: u64) -> Message {
    status(&format!("100 Idle Heartbeat\r\nNats-Last-Consumer: {last}"))
}

fn reset(cause: ResetCause) -> ConsumeEvent {
    ConsumeEvent::Reset { cause }
}

impl Bench<Pull> {
    fn new(options: OrderedOptions) -> Self {
        Self::reading(state(options), consuming())
    }

    /// One whose first consumer is there, and was asked for messages.
    fn running(options: OrderedOptions) -> Self {
        let mut bench = Self::new(options);
        bench.make(0);
        bench.pulls.clear();
        bench
    }
}

impl<M: Reading + 'static> Bench<M>
where
    M::End: std::fmt::Debug,
{
    fn reading(state: OrderedState, wanted: M::Wanted) -> Self {
        Self::reading_at(state, wanted, Instant::now())
    }

    fn reading_at(state: OrderedState, wanted: M::Wanted, now: Instant) -> Self {
        let home = OrderedHome::new(state);
        let state = home.take().expect("a state");
        let ordered = OrderedPull::new(state, home.clone(), wanted, 7, now);
        let mut bench = Self {
            ordered,
            home,
            now,
            pulls: vec![],
            created: vec![],
            deleted: vec![],
            asked: 0,
            told: vec![],
            ends: vec![],
        };
        bench.obey();
        bench
    }

    fn obey(&mut self) {
        while let Some(action) = self.ordered.poll_action() {
            match action {
                Action::Delete { incarnation, name } => {
                    assert_eq!(name, format!("p_{incarnation}"));
                    self.deleted.push(incarnation);
                }
                action if !self.ends.is_empty() => panic!("{action:?} after the end"),
                Action::Pull { number, request } => self.pulls.push((number, request)),
                Action::AskStream => self.asked += 1,
                Action::Create { incarnation, config } => self.created.push((incarnation, *config)),
                Action::Tell(event) => self.told.push(event),
                Action::End(end) => self.ends.push(end),
                action => panic!("nobody asks for {action:?}"),
            }
        }
    }

    fn tell(&mut self, told: Told<'_>) {
        self.ordered.handle_told(told, self.now);
        self.obey();
    }

    /// The question about the stream is answered.
    fn answer_stream(&mut self) {
        assert!(self.asked > 0, "nobody has asked");
        self.asked -= 1;
        self.tell(Told::Stream(Ok(&stream_created_at(1))));
    }

    /// The consumer that was asked for is there, and starts after this sequence.
    fn made(&mut self, after: u64) -> ConsumerConfig {
        let (incarnation, config) = self.created.pop().expect("a creation");
        assert!(self.created.is_empty());
        self.tell(Told::Created { incarnation, made: Ok(&info(after)) });
        config
    }

    fn not_made(&mut self, error: &Error) {
        let (incarnation, _) = self.created.pop().expect("a creation");
        self.tell(Told::Created { incarnation, made: Err(error) });
    }

    /// Everything is done that it takes for a consumer.
    fn make(&mut self, after: u64) -> ConsumerConfig {
        self.answer_stream();
        self.made(after)
    }

    fn deleted(&mut self, deleted: Result<(), &Error>) {
        let incarnation = self.deleted.pop().expect("a deletion");
        self.tell(Told::Deleted { incarnation, deleted });
    }

    /// As [`make`](Self::make), after the deletion of the one before.
    fn make_again(&mut self) -> ConsumerConfig {
        self.deleted(Ok(()));
        self.make(0)
    }

    fn take_told(&mut self) -> Vec<ConsumeEvent> {
        std::mem::take(&mut self.told)
    }

    /// A message comes, and is for the program, or is not.
    fn come(&mut self, incarnation: u64, stream: u64, consumer: u64) -> bool {
        let message = message(&format!("p_{incarnation}"), stream, consumer);
        let verdict = self.ordered.handle_message(&message, self.now);
        self.obey();
        assert_ne!(verdict, Verdict::HandBack, "nothing is acknowledged");
        verdict == Verdict::Deliver
    }

    /// The program takes a message.
    fn release(&mut self) {
        self.ordered.release(counted(&message("p_1", 1, 1)), self.now);
        self.obey();
    }

    /// A message comes, and the program takes it.
    fn deliver(&mut self, incarnation: u64, stream: u64, consumer: u64) {
        assert!(self.come(incarnation, stream, consumer), "{stream} of {incarnation}");
        self.release();
    }

    /// A status comes, about the last request.
    fn status(&mut self, message: &Message) {
        self.status_about(self.ordered.last_number, message);
    }

    fn status_about(&mut self, number: u64, message: &Message) {
        self.ordered.handle_status(number, message, self.now);
        self.obey();
    }

    /// Time passes, and the timer fires whenever it is to.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.ordered.next_deadline().filter(|deadline| *deadline <= end)
        {
            self.now = self.now.max(deadline);
            self.ordered.handle_timeout(self.now);
            self.obey();
            let next = self.ordered.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a busy loop");
        }
        self.now = end;
    }

    fn reconnect(&mut self) {
        self.ordered.handle_disconnected(self.now);
        self.obey();
        self.ordered.handle_reconnected(self.now);
        self.obey();
    }

    fn stop(&mut self) {
        self.ordered.stop(self.now);
        self.obey();
    }
}

/// Where a consumer starts.
fn start_at(config: &ConsumerConfig) -> Option<u64> {
    match config.deliver_policy {
        DeliverPolicy::ByStartSequence(sequence) => Some(sequence),
        _ => None,
    }
}
