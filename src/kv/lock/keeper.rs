//! Carries out what a claim to a lock needs: reads, writes, a watch while another one holds it, and a
//! timer. It decides nothing.
//!
//! The invariant: whatever an event asks for has been done before the event is reported, and events are
//! reported one after the other, those behind one whose callback has failed in the next turn.

use super::machine::{Command, Event, Machine, Terms, Written};
use super::record::{Found, Record};
use crate::callback::{CallbackSlot, Ran, State};
use crate::client::{Observed, ObserverId};
use crate::event_loop::TimerId;
use crate::jetstream::{StreamConfig, Ttl};
use crate::kv::bucket::Bucket;
use crate::kv::error::Error;
use crate::kv::reading::get::Found as FoundEntry;
use crate::kv::reading::reads::Reads;
use crate::kv::settings::OnConfig;
use crate::kv::watching::options::WatchOptions;
use crate::kv::watching::update::{Update, Watching};
use crate::kv::writing::storing::{delete_headers, expecting};
use crate::kv::writing::ttl;
use evnats_protocol::{HeaderMap, Payload};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Who claims a lock, and how.
#[derive(Debug, Clone)]
pub(crate) struct Claimant {
    pub(crate) owner: String,
    pub(crate) ttl: Duration,
    pub(crate) is_at_once: bool,
    pub(crate) wait: Option<Duration>,
    /// For so long, a free lock is left to others.
    pub(crate) stands_back: Option<Duration>,
    /// Watches the key all the time, and not only while another one holds it.
    pub(crate) always_watches: bool,
}

type OnEvent = Box<dyn FnMut(&mut State, Event) -> Ran>;

pub(crate) struct Keeper {
    bucket: Rc<Bucket>,
    key: String,
    value: Vec<u8>,
    ttl: Duration,
    always_watches: bool,
    machine: RefCell<Machine>,
    /// What the value is written with, as soon as it is known what the bucket takes.
    headers: RefCell<Option<HeaderMap>>,
    timer: Cell<Option<TimerId>>,
    observer: Cell<Option<ObserverId>>,
    /// Held by its reader for as long as it is fed, and holds this.
    watching: RefCell<Option<Weak<Watching>>>,
    on_event: CallbackSlot<OnEvent>,
}

impl Keeper {
    /// Begins a claim. Nothing is reported within the call.
    pub(crate) fn begin(
        bucket: &Rc<Bucket>,
        key: &str,
        claimant: Claimant,
        on_event: impl FnMut(&mut State, Event) -> Ran + 'static,
    ) -> Rc<Self> {
        let port = bucket.api.port();
        let now = port.now();
        let record = Record::new(&claimant.owner, port.random(), claimant.ttl);
        let after = |delay: Option<Duration>| delay.and_then(|delay| now.checked_add(delay));
        let terms = Terms {
            key: key.into(),
            record: record.clone(),
            is_at_once: claimant.is_at_once,
            give_up: after(claimant.wait),
            stands_back: after(claimant.stands_back),
        };
        let keeper = Rc::new(Self {
            bucket: bucket.clone(),
            key: key.into(),
            value: record.to_json(),
            ttl: record.ttl(),
            always_watches: claimant.always_watches,
            machine: RefCell::new(Machine::new(terms)),
            headers: RefCell::default(),
            timer: Cell::new(None),
            observer: Cell::new(None),
            watching: RefCell::default(),
            on_event: CallbackSlot::new(Box::new(on_event)),
        });
        let begun = keeper.clone();
        port.defer(move |state| begun.start(state, claimant.ttl));
        keeper
    }

    /// Whether the lock is held, as far as this claim may believe it now.
    pub(crate) fn is_held(&self) -> bool {
        self.machine.borrow().is_held(self.bucket.api.port().now())
    }

    /// Whether nothing is reported any more.
    pub(crate) fn is_over(&self) -> bool {
        self.machine.borrow().is_over()
    }

    /// Gives the lock back, or up.
    pub(crate) fn release(self: &Rc<Self>) {
        let port = self.bucket.api.port();
        self.machine.borrow_mut().release(port.now());
        let keeper = self.clone();
        port.defer(move |state| keeper.drive(state));
    }

    fn start(self: &Rc<Self>, state: &mut State, ttl: Duration) -> Ran {
        let checked = self.bucket.check_key_to_write(&self.key);
        if let Err(error) = checked.and_then(|()| ttl::headers(Ttl::For(ttl)).map(drop)) {
            self.machine.borrow_mut().handle_end(error);
            return self.drive(state);
        }
        let keeper = self.clone();
        let observer = self.bucket.api.port().observe(Box::new(move |state, observed| {
            match observed {
                Observed::Connected | Observed::Reconnected => {
                    keeper.machine.borrow_mut().handle_connected();
                }
                Observed::Ended => {
                    let error = Error::closed();
                    keeper.machine.borrow_mut().handle_end(error);
                }
                Observed::Disconnected | Observed::Writable | Observed::Denied(_) => return Ok(()),
            }
            keeper.drive(state)
        }));
        self.observer.set(Some(observer));
        self.drive(state)
    }

    /// Does what is to be done now, and reports what has come of it.
    fn drive(self: &Rc<Self>, state: &mut State) -> Ran {
        let now = self.bucket.api.port().now();
        loop {
            let command = self.machine.borrow_mut().poll_command(now);
            let Some(command) = command else { break };
            self.carry_out(command);
        }
        self.keep_watch();
        self.arm_timer(now);
        self.report(state)
    }

    fn report(self: &Rc<Self>, state: &mut State) -> Ran {
        let event = self.machine.borrow_mut().poll_event();
        let Some(event) = event else {
            if self.is_over() {
                drop(self.on_event.take());
            }
            return Ok(());
        };
        let rest = self.clone();
        self.bucket.api.port().defer(move |state| rest.report(state));
        self.on_event.run(|on_event| on_event(state, event))
    }

    fn arm_timer(self: &Rc<Self>, now: Instant) {
        let port = self.bucket.api.port();
        if let Some(timer) = self.timer.take() {
            port.cancel_timer(timer);
        }
        let Some(next) = self.machine.borrow().next_time(now) else {
            self.observer.take().into_iter().for_each(|observer| port.stop_observing(observer));
            return;
        };
        let keeper = self.clone();
        let on_time = move |state: &mut State| {
            keeper.timer.take();
            keeper.drive(state)
        };
        let delay = next.saturating_duration_since(now);
        self.timer.set(Some(port.set_timer(delay, Box::new(on_time))));
    }

    /// Watches the key while that is of use.
    fn keep_watch(self: &Rc<Self>) {
        let machine = self.machine.borrow();
        let is_watching = self.watching.borrow().is_some();
        let is_wanted = match self.always_watches {
            true => !machine.is_over(),
            false => machine.is_waiting() || (is_watching && machine.is_contending()),
        };
        drop(machine);
        if is_wanted == is_watching {
            return;
        }
        if !is_wanted {
            let watching = self.watching.take();
            let watching = watching.and_then(|watching| watching.upgrade());
            watching.into_iter().for_each(|watching| watching.stop());
            return;
        }
        let keeper = self.clone();
        let on_update = move |state: &mut State, _: &Rc<Watching>, update| {
            match update {
                Update::Ended(error) if error.is_temporary() => keeper.watch_again(),
                update => keeper.handle_update(update),
            }
            keeper.drive(state)
        };
        let heartbeat = (self.ttl / 3).clamp(MIN_HEARTBEAT, MAX_HEARTBEAT);
        let options = WatchOptions::new().heartbeat(heartbeat);
        let watching = self.bucket.watch(&[&self.key], Reads::Leader, options, Box::new(on_update));
        *self.watching.borrow_mut() = Some(Rc::downgrade(&watching));
    }

    /// A watch could not begin while nobody leads the stream: the next one may.
    fn watch_again(self: &Rc<Self>) {
        let keeper = self.clone();
        let again = move |state: &mut State| {
            keeper.watching.take();
            keeper.drive(state)
        };
        self.bucket.api.port().set_timer(PAUSE, Box::new(again));
    }

    fn handle_update(&self, update: Update) {
        let now = self.bucket.api.port().now();
        let mut machine = self.machine.borrow_mut();
        match update {
            Update::Entry(entry) => machine.handle_seen(now, Found::read(&entry)),
            Update::Cleared => machine.handle_doubt(),
            // whoever holds it does not depend on the watch
            Update::Ended(error) if !machine.is_held(now) => machine.handle_end(error),
            _ => {}
        }
    }

    fn carry_out(self: &Rc<Self>, command: Command) {
        let keeper = self.clone();
        let is_connecting = self.bucket.api.port().is_connecting();
        match command {
            // what is sent while there is no connection would be sent much later
            _ if is_connecting => {
                let not_sent = move |state: &mut State| {
                    keeper.handle_outcome(command, Err(Error::timeout()));
                    keeper.drive(state)
                };
                self.bucket.api.port().defer(not_sent);
            }
            Command::Read { number } => {
                let on_found = move |state: &mut State, found: FoundEntry| {
                    let found = found.map(|entry| entry.as_ref().map(Found::read));
                    let found = found.map(|found| found.unwrap_or_else(Found::nothing));
                    let now = keeper.bucket.api.port().now();
                    keeper.machine.borrow_mut().handle_read(now, number, found);
                    keeper.drive(state)
                };
                self.bucket.get_as_permitted(&self.key, Box::new(on_found));
            }
            Command::Write { expected, .. } => {
                let headers = self.headers.borrow().clone();
                match headers {
                    Some(headers) => self.write(command, expected, headers),
                    None => self.learn_headers(command, expected),
                }
            }
            Command::Remove { expected, .. } => {
                let on_removed = move |state: &mut State, removed: Result<u64, Error>| {
                    keeper.handle_outcome(command, removed);
                    keeper.drive(state)
                };
                let headers = expecting(delete_headers(), expected);
                let (key, value) = (&self.key, Payload::default());
                self.bucket.write(key, value, &headers, Box::new(on_removed));
            }
        }
    }

    fn write(self: &Rc<Self>, command: Command, expected: u64, headers: HeaderMap) {
        let keeper = self.clone();
        let on_written = move |state: &mut State, written: Result<u64, Error>| {
            keeper.handle_outcome(command, written);
            keeper.drive(state)
        };
        let headers = expecting(headers, expected);
        let value = Payload::from(self.value.as_slice());
        self.bucket.write(&self.key, value, &headers, Box::new(on_written));
    }

    /// Finds out whether the bucket lets the value expire by itself. If not, or if that may not be
    /// asked, other claims find out that it is not renewed.
    fn learn_headers(self: &Rc<Self>, command: Command, expected: u64) {
        let keeper = self.clone();
        let on_config: OnConfig = Box::new(move |state, config| {
            let headers = match config {
                Ok(config) if expires_values(&config) => ttl::headers(Ttl::For(keeper.ttl)),
                Ok(_) => Ok(HeaderMap::new()),
                Err(error) if error.is_denied() => Ok(HeaderMap::new()),
                Err(error) => Err(error),
            };
            match headers {
                Ok(headers) => {
                    keeper.headers.replace(Some(headers.clone()));
                    keeper.write(command, expected, headers);
                    Ok(())
                }
                Err(error) => {
                    keeper.handle_outcome(command, Err(error));
                    keeper.drive(state)
                }
            }
        });
        self.bucket.with_config(on_config);
    }

    fn handle_outcome(&self, command: Command, outcome: Result<u64, Error>) {
        let now = self.bucket.api.port().now();
        let written = match outcome {
            Ok(revision) => Written::Stored(revision),
            Err(error) if error.is_conflict() => Written::Refused,
            Err(error) if error.is_closed() => Written::Failed(error),
            Err(error) if error.is_outcome_unknown() || error.is_temporary() => {
                Written::Unknown(error)
            }
            Err(error) => Written::Failed(error),
        };
        let mut machine = self.machine.borrow_mut();
        match command {
            Command::Read { number } => {
                let error = Err(Error::timeout());
                machine.handle_read(now, number, error);
            }
            Command::Write { number, .. } => machine.handle_written(now, number, written),
            Command::Remove { number, .. } => machine.handle_removed(now, number, written),
        }
    }
}

/// What servers accept, and what is soon enough.
const MIN_HEARTBEAT: Duration = Duration::from_millis(200);
const MAX_HEARTBEAT: Duration = Duration::from_secs(5);
/// The pause before a watch that could not begin is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a value's time to live is the key's: nothing else is behind it.
fn expires_values(config: &StreamConfig) -> bool {
    config.allow_msg_ttl && config.max_msgs_per_subject == Some(1)
}
