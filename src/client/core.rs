//! The core of a client: the session, its link, and the turn that moves bytes and runs callbacks.
//!
//! Invariant: `inner` is never borrowed while user code runs, and user code includes the drop of
//! a callback. So events are taken out of the session one at a time, and a callback is taken out
//! of its place while it runs.

use super::Client;
use super::callbacks::{Delivery, Hook, Hooks, OnFence, OnReply, Subscriber};
use super::link::Link;
use super::options::{Address, Options};
use super::transport::{ReadOutcome, Stream, Transport};
use crate::error::{ConnectionError, Result};
use crate::event_loop::{Handle, Progress, Source};
use evnats_protocol::{CommandError, DisconnectReason, Event, Phase, Session, subject};
use mio::{Registry, Token};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) type ClientSession<S> = Session<Subscriber<S>, OnReply<S>, OnFence<S>>;

pub(crate) struct Core<S: 'static> {
    handle: Handle<S>,
    /// The core's place in the loop; another one if it comes back after its end.
    token: Cell<Token>,
    queued: Cell<bool>,
    /// The loop has let go of the core, because nothing was left to do.
    over: Cell<bool>,
    pub(super) request_timeout: Duration,
    pub(super) inner: RefCell<Inner<S>>,
}

pub(super) struct Inner<S: 'static> {
    pub(super) session: ClientSession<S>,
    pub(super) hooks: Hooks<S>,
    link: Link,
    /// For messages to people.
    address: String,
    /// A write has failed. What the server sent before, perhaps the reason, is read first.
    write_error: Option<io::Error>,
    /// A write is tried when this many bytes are waiting, and not before the end of the turn.
    write_mark: usize,
}

/// Bytes at which a write is worth its system call within a turn.
const WRITE_MARK: usize = 64 * 1024;
/// Most bytes read in a turn.
const TURN_BYTES: usize = 256 * 1024;
/// Most events reported in a turn.
const TURN_EVENTS: usize = 4096;

/// What goes into every request's subject has to be one.
fn check_options(options: &Options) -> Result<()> {
    let checked = subject::check_literal(&options.session.inbox_prefix);
    checked.map_err(|error| CommandError::ReplySubject(error).into())
}

impl<S: 'static> Core<S> {
    /// A client on its way to the server that its options name.
    pub(super) fn connect(handle: &Handle<S>, options: Options) -> Result<Rc<Self>> {
        let address = Address::parse(&options.server)?;
        check_options(&options)?;
        let shared = handle.shared();
        Ok(Self::start(handle, options, address.to_string(), |token| {
            Link::begin(&address, shared.waker(), &shared.registry, token)
        }))
    }

    /// A client on a transport that is open.
    pub(super) fn connect_over(
        handle: &Handle<S>,
        transport: Box<dyn Transport>,
        options: Options,
    ) -> Result<Rc<Self>> {
        check_options(&options)?;
        let registry = &handle.shared().registry;
        Ok(Self::start(handle, options, "transport".into(), |token| {
            Link::open(transport, registry, token)
        }))
    }

    fn start(
        handle: &Handle<S>,
        options: Options,
        address: String,
        begin: impl FnOnce(Token) -> io::Result<Link>,
    ) -> Rc<Self> {
        let mut session = Session::new(options.session, fastrand::u128(..));
        session.handle_connecting(Instant::now());
        let (hooks, link) = (Hooks::default(), Link::Closed);
        let inner =
            Inner { session, hooks, link, address, write_mark: WRITE_MARK, write_error: None };
        let core = Rc::new(Core {
            handle: handle.clone(),
            token: Cell::new(Token(0)),
            queued: Cell::new(false),
            over: Cell::new(false),
            request_timeout: options.request_timeout,
            inner: RefCell::new(inner),
        });
        handle.shared().adopt(core.clone());
        let mut inner = core.inner.borrow_mut();
        match begin(core.token.get()) {
            Ok(link) => inner.link = link,
            Err(error) => inner.fail(&error),
        }
        drop(inner);
        core
    }

    pub(super) fn handle(&self) -> &Handle<S> {
        &self.handle
    }

    /// Gives a command to the session. If much is waiting then, it is written at once, so that a
    /// loop of many commands streams out.
    #[inline]
    pub(super) fn command<T>(
        self: &Rc<Self>,
        command: impl FnOnce(&mut ClientSession<S>) -> T,
    ) -> T {
        let mut inner = self.inner.borrow_mut();
        let result = command(&mut inner.session);
        if inner.session.writable_len() >= inner.write_mark {
            inner.write();
        }
        drop(inner);
        if !self.queued.get() {
            self.enqueue();
        }
        result
    }

    /// Writes what the stream takes, now.
    pub(super) fn write_now(&self) {
        self.inner.borrow_mut().write();
    }

    /// Asks the loop for a turn. A core that the loop has let go of comes back to it, because
    /// a command on a closed client has a callback too.
    fn enqueue(self: &Rc<Self>) {
        let shared = self.handle.shared();
        if self.over.replace(false) {
            shared.adopt(self.clone());
        } else {
            shared.enqueue(self.token.get().0, &**self);
        }
    }

    /// Runs the callback of one event, or reads more bytes if there is none. Says whether there
    /// may be more to do.
    #[inline]
    fn step(&self, state: &mut S, client: &Client<S>, now: Instant, budget: &mut Budget) -> bool {
        let mut inner = self.inner.borrow_mut();
        // looked at where it is: a message is large, and every one passes here
        let event = inner.session.poll_event();
        match &event {
            Some(Event::Message { subscription, message }) => {
                let subscriber = inner.session.subscription_mut(*subscription).map(|s| s.share());
                drop(inner);
                if let Some(subscriber) = subscriber {
                    subscriber.run(|callback| callback(state, client, Delivery::Message(message)));
                }
            }
            None => return inner.read(now, budget),
            Some(_) => {
                drop(inner);
                event.into_iter().for_each(|event| self.run_event(state, client, event));
            }
        }
        budget.events -= 1;
        budget.events > 0
    }

    /// Runs the callback that an event belongs to.
    fn run_event(&self, state: &mut S, client: &Client<S>, event: ClientEvent<S>) {
        match event {
            Event::Reply { context, outcome } => context(state, client, outcome),
            Event::Fence { context, outcome } => context(state, client, outcome),
            Event::SubscriptionEnded { context, .. } => {
                context.run(|callback| callback(state, client, Delivery::Ended));
            }
            Event::Connected => {
                let info = self.inner.borrow().session.server_info().cloned().unwrap_or_default();
                log::info!("connected to {} ({})", info.server_name, self.inner.borrow().address);
                self.run_hook(state, client, |hooks| &hooks.connect, &info);
            }
            Event::Disconnected(reason) => {
                self.inner.borrow_mut().link.close(&self.handle.shared().registry);
                self.log_disconnect(&reason);
                self.run_hook(state, client, |hooks| &hooks.disconnect, &reason);
            }
            Event::ServerError(error) => {
                self.report(state, client, ConnectionError::Server(error));
            }
            Event::PublishFailed { subject, error } => {
                self.report(state, client, ConnectionError::PublishFailed { subject, error });
            }
            Event::LameDuck => {
                log::warn!("the server at {} is shutting down", self.inner.borrow().address);
                self.run_hook(state, client, |hooks| &hooks.lame_duck, &());
            }
            Event::Writable => self.run_hook(state, client, |hooks| &hooks.writable, &()),
            Event::Closed => self.run_hook(state, client, |hooks| &hooks.close, &()),
            _ => {}
        }
    }

    fn report(&self, state: &mut S, client: &Client<S>, error: ConnectionError) {
        log::warn!("{}: {error}", self.inner.borrow().address);
        self.run_hook(state, client, |hooks| &hooks.error, &error);
    }

    fn log_disconnect(&self, reason: &DisconnectReason) {
        let address = &self.inner.borrow().address;
        match reason {
            DisconnectReason::Requested | DisconnectReason::Drained => {
                log::info!("disconnected from {address}: {reason}");
            }
            _ => log::error!("disconnected from {address}: {reason}"),
        }
    }

    fn run_hook<T>(
        &self,
        state: &mut S,
        client: &Client<S>,
        pick: impl FnOnce(&Hooks<S>) -> &Hook<S, T>,
        argument: &T,
    ) {
        let hook = pick(&self.inner.borrow().hooks).share();
        hook.run(|hook| hook(state, client, argument));
    }
}

type ClientEvent<S> = Event<Subscriber<S>, OnReply<S>, OnFence<S>>;

/// What a turn may still do.
struct Budget {
    events: usize,
    bytes: usize,
}

impl<S: 'static> Source<S> for Core<S> {
    fn handle_ready(&self, event: &mio::event::Event) {
        if let Some(stream) = self.inner.borrow_mut().link.stream() {
            stream.handle_ready(event);
        }
    }

    fn turn(self: Rc<Self>, state: &mut S, now: Instant) -> Progress {
        let client = Client::new(self.clone());
        let mut budget = Budget { events: TURN_EVENTS, bytes: TURN_BYTES };
        let registry = &self.handle.shared().registry;
        self.inner.borrow_mut().begin_turn(registry, self.token.get(), now);
        while self.step(state, &client, now, &mut budget) {}
        // callbacks may have taken long: clocks of what they asked for start after them
        self.settle(Instant::now());
        let mut inner = self.inner.borrow_mut();
        if inner.has_work() {
            Progress::More
        } else if inner.session.phase() == Phase::Closed {
            self.over.set(true);
            Progress::Over
        } else {
            Progress::Idle
        }
    }

    fn settle(&self, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        inner.session.handle_turn(now);
        if inner.session.writable_len() > 0 {
            inner.write();
        }
    }

    fn has_work(&self) -> bool {
        self.inner.borrow_mut().has_work()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.borrow_mut().session.next_deadline()
    }

    fn set_queued(&self, queued: bool) -> bool {
        self.queued.replace(queued)
    }

    fn set_token(&self, token: Token) {
        self.token.set(token);
    }

    fn abandon(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.session.close();
        let hooks = std::mem::take(&mut inner.hooks);
        let mut events = Vec::new();
        while let Some(event) = inner.session.poll_event() {
            events.push(event);
        }
        inner.link.close(&self.handle.shared().registry);
        drop(inner);
        drop((hooks, events));
    }
}

impl<S: 'static> Inner<S> {
    fn begin_turn(&mut self, registry: &Registry, token: Token, now: Instant) {
        if self.session.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.session.handle_timeout(now);
        }
        if self.session.phase() == Phase::Connecting {
            match self.link.advance(registry, token) {
                Ok(true) => self.session.handle_connected(),
                Ok(false) => {}
                Err(error) => self.fail(&error),
            }
        }
    }

    fn open_stream(&mut self) -> Option<&mut Stream> {
        match &mut self.link {
            Link::Open(stream) => Some(stream),
            _ => None,
        }
    }

    /// Reads once, if the stream and the budget allow it. Says whether there is something new.
    fn read(&mut self, now: Instant, budget: &mut Budget) -> bool {
        let Link::Open(stream) = &mut self.link else { return false };
        if budget.bytes == 0 || !stream.is_readable() || self.session.phase() == Phase::Closed {
            return false;
        }
        match stream.read(self.session.read_room()) {
            Ok(ReadOutcome::Read(count)) => {
                budget.bytes = budget.bytes.saturating_sub(count);
                self.session.handle_read(count, now);
            }
            outcome => match (outcome, self.write_error.take()) {
                (_, Some(error)) | (Err(error), None) => self.fail(&error),
                (Ok(ReadOutcome::WouldBlock), None) => return false,
                (Ok(_), None) => self.session.handle_disconnected(DisconnectReason::ServerClosed),
            },
        }
        true
    }

    /// Writes as much as the stream takes.
    fn write(&mut self) {
        let Link::Open(stream) = &mut self.link else { return };
        while self.session.writable_len() > 0 && self.write_error.is_none() {
            match stream.write(self.session.chunks()) {
                Ok(0) => break,
                Ok(count) => self.session.handle_written(count),
                Err(error) => {
                    self.write_error = Some(error);
                    stream.set_readable();
                }
            }
        }
        self.write_mark = self.session.writable_len() + WRITE_MARK;
    }

    /// Whether another turn would find something to do without waiting.
    fn has_work(&mut self) -> bool {
        self.session.needs_turn() || self.open_stream().is_some_and(|stream| stream.is_readable())
    }

    fn fail(&mut self, error: &io::Error) {
        let message = match self.session.phase() {
            Phase::Connecting => format!("cannot connect to {}: {error}", self.address),
            _ => format!("connection to {}: {error}", self.address),
        };
        let kind = error.kind();
        self.session.handle_disconnected(DisconnectReason::Transport { kind, message });
    }
}
