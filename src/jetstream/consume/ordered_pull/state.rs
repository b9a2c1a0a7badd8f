//! What an ordered consumer has reached, and what of it outlives a read.

use super::options::OrderedOptions;
use crate::jetstream::consume::position::Position;
use crate::jetstream::consume::pull::Backoff;
use crate::jetstream::creation::Creation;
use crate::jetstream::manage::ConsumerConfig;
use std::cell::RefCell;
use std::rc::Rc;

/// What an ordered consumer has reached.
#[derive(Debug, Clone)]
pub(crate) struct OrderedState {
    pub(super) options: Rc<OrderedOptions>,
    prefix: Rc<str>,
    pub(super) position: Position,
    /// Of the stream that is being read.
    pub(super) creation: Creation,
    /// The number of the server-side consumer, from 1. 0: there was none yet.
    pub(super) serial: u64,
    /// The name of that consumer.
    pub(super) name: String,
    /// Its configuration, if it exists as far as is known.
    pub(super) consumer: Option<Rc<ConsumerConfig>>,
    /// How many resets in a row brought nothing.
    pub(super) resets: u32,
    pub(super) backoff: Backoff,
}

impl OrderedState {
    /// Nothing is reached yet. The prefix is for consumers whose options have none; the seed spreads
    /// the pauses of many clients.
    pub(crate) fn new(options: OrderedOptions, prefix: &str, seed: u64) -> Self {
        let prefix = options.name_prefix.as_deref().unwrap_or(prefix).into();
        Self {
            backoff: Backoff::between(options.min_backoff, options.max_backoff, seed),
            options: Rc::new(options),
            prefix,
            position: Position::default(),
            creation: Creation::default(),
            serial: 0,
            name: String::new(),
            consumer: None,
            resets: 0,
        }
    }

    /// The name of the consumer that is there for the next read.
    pub(crate) fn kept_consumer(&self) -> Option<&str> {
        self.consumer.as_ref().map(|_| self.name.as_str())
    }

    /// The name of the last consumer, or what it will begin with.
    pub(crate) fn name_to_read(&self) -> &str {
        if self.serial == 0 { &self.prefix } else { &self.name }
    }

    /// The next server-side consumer is to be made.
    pub(super) fn next_consumer(&mut self) {
        self.serial += 1;
        self.name = format!("{}_{}", self.prefix, self.serial);
        self.consumer = None;
        self.position.restart();
    }

    /// What the next server-side consumer is to be like.
    pub(super) fn config(&self) -> ConsumerConfig {
        let policy = self.position.deliver_policy(&self.options.deliver_policy);
        self.options.config(&self.name, policy)
    }

    /// There is progress.
    pub(super) fn note_progress(&mut self) {
        if self.resets > 0 {
            self.resets = 0;
            self.backoff.reset();
        }
    }
}

/// Where the state is between two reads. While one is under way, it is empty.
#[derive(Debug, Clone)]
pub(crate) struct OrderedHome(Rc<RefCell<Option<OrderedState>>>);

impl OrderedHome {
    pub(crate) fn new(state: OrderedState) -> Self {
        Self(Rc::new(RefCell::new(Some(state))))
    }

    /// Takes the state for a read. `None`: there is one already.
    pub(crate) fn take(&self) -> Option<OrderedState> {
        self.0.borrow_mut().take()
    }

    pub(super) fn put(&self, state: OrderedState) {
        *self.0.borrow_mut() = Some(state);
    }
}
