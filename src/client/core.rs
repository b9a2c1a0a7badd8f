//! The core of a client: the session, its link, and the turn that moves bytes and runs callbacks.
//!
//! Invariant: `inner` is never borrowed while user code runs, and user code includes the drop of
//! a callback. So events are taken out of the session one at a time, and a callback is taken out
//! of its place while it runs.

use super::Client;
use super::callbacks::{Delivery, Hook, Hooks, OnFence, OnReply, Subscriber};
use super::capture::Capture;
use super::connector::{Connector, Identity, Next};
use super::inner::{Budget, ClientSession, Inner, WRITE_MARK};
use super::link::Link;
use super::options::{CredentialsCallback, Options, TurnLimits};
use super::transport::Transport;
use crate::error::{ConnectionError, Result};
use crate::event_loop::{Handle, Progress, Source};
use evnats_protocol::{
    CommandError, DisconnectReason, Event, Phase, Security, ServerInfo, ServerUrl, Session, Which,
    subject,
};
use mio::Token;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) struct Core<S: 'static> {
    handle: Handle<S>,
    /// The core's place in the loop; another one if it comes back after its end.
    token: Cell<Token>,
    queued: Cell<bool>,
    /// The loop has let go of the core, because nothing was left to do.
    over: Cell<bool>,
    pub(super) request_timeout: Duration,
    turn: TurnLimits,
    pub(super) credentials: Option<CredentialsCallback>,
    pub(super) inner: RefCell<Inner<S>>,
}

/// Shortest pause that a user's callback can ask for: with none, a server that is down would keep
/// the loop busy.
const LEAST_DELAY: Duration = Duration::from_millis(1);

/// What goes into every request's subject has to be one.
fn check_options(options: &Options) -> Result<()> {
    let checked = subject::check_literal(&options.session.inbox_prefix);
    checked.map_err(|error| CommandError::ReplySubject(error).into())
}

impl<S: 'static> Core<S> {
    /// A client on its way to the servers that its options name.
    pub(super) fn connect(handle: &Handle<S>, options: Options) -> Result<Rc<Self>> {
        check_options(&options)?;
        let connector = Connector::new(&options, Instant::now())?;
        Ok(Self::start(handle, options, Some(connector)))
    }

    /// A client on a transport that is open.
    pub(super) fn connect_over(
        handle: &Handle<S>,
        transport: Box<dyn Transport>,
        options: Options,
    ) -> Result<Rc<Self>> {
        check_options(&options)?;
        let core = Self::start(handle, options, None);
        let mut inner = core.inner.borrow_mut();
        inner.session.handle_connecting(Instant::now());
        match Link::open(transport, &handle.shared().registry, core.token.get()) {
            Ok(link) => {
                inner.link = link;
                inner.session.leg(Which::Current).handle_connected(Security::Plain);
            }
            Err(error) => inner.fail(&error),
        }
        drop(inner);
        Ok(core)
    }

    fn start(handle: &Handle<S>, options: Options, connector: Option<Connector>) -> Rc<Self> {
        let mut config = options.session;
        let echo = config.connect.echo;
        config.resume = true;
        config.ask_authentication = true;
        let inner = Inner {
            session: Session::new(config, fastrand::u128(..)),
            hooks: Hooks::default(),
            connector,
            link: Link::Closed,
            next: None,
            failed_moves: 0,
            wants_reconnect: false,
            echo,
            discovered: Vec::new(),
            capture: None,
            write_mark: WRITE_MARK,
            write_error: None,
        };
        let core = Rc::new(Core {
            handle: handle.clone(),
            token: Cell::new(Token(0)),
            queued: Cell::new(false),
            over: Cell::new(false),
            request_timeout: options.request_timeout,
            turn: options.turn,
            credentials: options.credentials,
            inner: RefCell::new(inner),
        });
        handle.shared().adopt(core.clone());
        core
    }

    pub(super) fn handle(&self) -> &Handle<S> {
        &self.handle
    }

    pub(super) fn token(&self) -> Token {
        self.token.get()
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
        if inner.session.buffered_len() >= inner.write_mark {
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
    #[inline(always)]
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
            None => {
                drop(inner);
                return self.look_for_more(state, client, now, budget);
            }
            Some(_) => {
                drop(inner);
                event.into_iter().for_each(|event| self.run_event(state, client, event, now));
            }
        }
        budget.events -= 1;
        budget.events > 0
    }

    /// Goes on with whatever brings events. Says whether there may be some.
    #[inline(never)]
    fn look_for_more(
        &self,
        state: &mut S,
        client: &Client<S>,
        now: Instant,
        budget: &mut Budget,
    ) -> bool {
        self.leave_server_if_asked();
        let found = self.go_on_with_handshake()
            || self.inner.borrow_mut().read(now, budget)
            || self.serve_next(now);
        self.run_frames(state, client);
        self.report_discovered(state, client);
        found
    }

    /// Does what the session waits for. Says whether it did something.
    fn go_on_with_handshake(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        match inner.session.phase() {
            Phase::AwaitingTls if matches!(inner.link, Link::Open(_)) => {
                inner.begin_tls();
                inner.advance_link(&self.handle.shared().registry, self.token.get());
            }
            Phase::AwaitingAuthentication => {
                let info = inner.session.server_info().cloned().unwrap_or_default();
                let server = inner.connector.as_ref().and_then(|own| own.pool.current());
                let identity = Identity::new(server, self.credentials.as_ref());
                drop(inner);
                let answer = identity.answer(&info);
                let mut inner = self.inner.borrow_mut();
                match answer {
                    Ok(answer) => inner.session.leg(Which::Current).authenticate(answer),
                    Err(reason) => inner.session.leg(Which::Current).handle_disconnected(reason),
                }
            }
            _ => return false,
        }
        true
    }

    fn run_frames(&self, state: &mut S, client: &Client<S>) {
        loop {
            let frame = self.inner.borrow_mut().capture.as_mut().and_then(Capture::next_frame);
            let Some(frame) = frame else { return };
            self.run_hook(state, client, |hooks| &hooks.frame, &frame);
        }
    }

    /// Runs the callback that an event belongs to.
    #[inline(never)]
    fn run_event(&self, state: &mut S, client: &Client<S>, event: ClientEvent<S>, now: Instant) {
        match event {
            Event::Reply { context, outcome } => context(state, client, outcome),
            Event::Fence { context, outcome } => context(state, client, outcome),
            Event::SubscriptionEnded { context, .. } => {
                context.run(|callback| callback(state, client, Delivery::Ended));
            }
            // hooks come last, because they may panic
            Event::Connected => {
                let info = self.note_connected(now);
                self.run_hook(state, client, |hooks| &hooks.connect, &info);
            }
            Event::Reconnected => {
                let info = self.note_connected(now);
                self.deliver_to_all(state, client, || Delivery::Reconnected);
                self.run_hook(state, client, |hooks| &hooks.reconnect, &info);
            }
            Event::InfoChanged => self.note_info(),
            Event::ConnectFailed(reason) => {
                let server = self.inner.borrow().server();
                self.plan_next(&reason, false, now);
                self.report(state, client, ConnectionError::ConnectFailed { server, reason });
            }
            Event::Disconnected(reason) => {
                self.log_disconnect(&reason);
                self.plan_next(&reason, true, now);
                self.deliver_to_all(state, client, || Delivery::Disconnected);
                self.run_hook(state, client, |hooks| &hooks.disconnect, &reason);
            }
            Event::ServerError(error) => {
                self.report(state, client, ConnectionError::Server(error));
            }
            Event::SubscriptionDenied { subscription, error } => {
                let error = ConnectionError::SubscriptionDenied { subscription, error };
                self.report(state, client, error);
            }
            Event::PublishFailed { subject, error } => {
                self.report(state, client, ConnectionError::PublishFailed { subject, error });
            }
            Event::Unsent { messages } => {
                self.report(state, client, ConnectionError::Unsent { messages });
            }
            Event::LameDuck => {
                log::warn!("the server at {} is shutting down", self.inner.borrow().server());
                self.inner.borrow_mut().failed_moves = 0;
                self.begin_move(now);
                self.run_hook(state, client, |hooks| &hooks.lame_duck, &());
            }
            Event::Moved => {
                self.inner.borrow_mut().finish_move(&self.handle.shared().registry, now);
                let info = self.note_connected(now);
                self.run_hook(state, client, |hooks| &hooks.reconnect, &info);
            }
            Event::MoveFailed(reason) => {
                let mut inner = self.inner.borrow_mut();
                inner.close_next(&self.handle.shared().registry);
                log::warn!("{}: could not move: {reason}", inner.server());
                inner.failed_moves += 1;
                let may_move = inner.may_move_elsewhere(inner.failed_moves);
                drop(inner);
                if may_move {
                    self.begin_move(now);
                }
            }
            Event::SlowConsumer { subscription, dropped } => {
                let server = self.inner.borrow().server();
                log::warn!("{server}: slow consumer {}: {dropped} dropped", subscription.sid());
                self.run_hook(
                    state,
                    client,
                    |hooks| &hooks.slow_consumer,
                    &(subscription, dropped),
                );
            }
            Event::Writable => self.run_hook(state, client, |hooks| &hooks.writable, &()),
            Event::Closed(reason) => {
                let mut inner = self.inner.borrow_mut();
                inner.close_link(&self.handle.shared().registry);
                inner.close_next(&self.handle.shared().registry);
                drop(inner);
                self.run_hook(state, client, |hooks| &hooks.close, &reason);
            }
            _ => {}
        }
    }

    fn begin_move(&self, now: Instant) {
        self.inner.borrow_mut().begin_move(&self.handle, self.token.get(), now);
    }

    /// The connection stands.
    fn note_connected(&self, now: Instant) -> ServerInfo {
        let mut inner = self.inner.borrow_mut();
        let info = inner.session.server_info().cloned().unwrap_or_default();
        log::info!("connected to {} ({})", info.server_name, inner.server());
        if let Some(connector) = &mut inner.connector {
            connector.pool.handle_connected(now);
        }
        drop(inner);
        self.note_info();
        info
    }

    /// The server has described itself, and perhaps its cluster.
    fn note_info(&self) {
        let mut inner = self.inner.borrow_mut();
        let Inner { session, connector, discovered, .. } = &mut *inner;
        if let (Some(info), Some(connector)) = (session.server_info(), connector) {
            discovered.append(&mut connector.pool.handle_info(info));
        }
    }

    fn report_discovered(&self, state: &mut S, client: &Client<S>) {
        let discovered = std::mem::take(&mut self.inner.borrow_mut().discovered);
        if !discovered.is_empty() {
            log::debug!("discovered servers: {}", discovered.join(", "));
            self.run_hook(state, client, |hooks| &hooks.discover, &discovered);
        }
    }

    /// Tells every subscription, for the layers above.
    fn deliver_to_all<'d>(
        &self,
        state: &mut S,
        client: &Client<S>,
        delivery: impl Fn() -> Delivery<'d>,
    ) {
        let all: Vec<_> = self.inner.borrow().session.subscriptions().map(|s| s.share()).collect();
        for subscriber in all {
            subscriber.run(|callback| callback(state, client, delivery()));
        }
    }

    /// A connection, or an attempt to make one, has ended: sets the time for the next attempt, or
    /// gives up.
    fn plan_next(&self, reason: &DisconnectReason, stood: bool, now: Instant) {
        let mut inner = self.inner.borrow_mut();
        inner.close_link(&self.handle.shared().registry);
        inner.close_next(&self.handle.shared().registry);
        if inner.session.phase() == Phase::Closed {
            return;
        }
        let is_first = !inner.session.was_connected();
        let next = match &mut inner.connector {
            None => Next::GiveUp,
            Some(connector) if stood => connector.handle_disconnected(reason, now),
            Some(connector) => connector.handle_failure(reason, is_first),
        };
        let choice = inner.connector.as_mut().and_then(|connector| {
            // the user's callbacks may panic, and then the same server is tried again
            connector.due = now.checked_add(LEAST_DELAY);
            connector.choice()
        });
        drop(inner);
        let delay = match next {
            Next::GiveUp => return self.inner.borrow_mut().give_up(reason.clone()),
            Next::TryOn => {
                let choice = choice.and_then(|(choose, servers)| choose(&servers));
                let mut inner = self.inner.borrow_mut();
                inner.connector.as_mut().and_then(|connector| connector.advance(choice))
            }
        };
        let Some(delay) = delay else {
            return self.inner.borrow_mut().give_up(DisconnectReason::NoServers);
        };
        let callback = self.inner.borrow().connector.as_ref().and_then(|c| c.delay(delay));
        let delay = callback.map_or(delay, |(delay, passes)| delay(passes).max(LEAST_DELAY));
        let mut inner = self.inner.borrow_mut();
        log::debug!("next attempt: {} in {delay:?}", inner.server());
        if let Some(connector) = &mut inner.connector {
            connector.due = now.checked_add(delay);
        }
    }

    /// Leaves the server for another one, or goes on at once if there is none at the moment.
    pub(super) fn reconnect(self: &Rc<Self>) {
        self.inner.borrow_mut().wants_reconnect = true;
        self.enqueue();
    }

    /// Leaves the server, if somebody wants that and nothing of what was read is left.
    fn leave_server_if_asked(&self) {
        let mut inner = self.inner.borrow_mut();
        if !std::mem::take(&mut inner.wants_reconnect) {
            return;
        }
        inner.write();
        let Inner { session, connector: Some(connector), .. } = &mut *inner else { return };
        match session.phase() {
            Phase::Ready | Phase::Draining => {
                connector.pool.hurry();
                session.leg(Which::Current).handle_disconnected(DisconnectReason::Reconnect);
            }
            Phase::Connecting if connector.due.is_some() => connector.due = Some(Instant::now()),
            _ => {}
        }
    }

    /// Names other servers.
    pub(super) fn set_servers(self: &Rc<Self>, servers: Vec<ServerUrl>) {
        if let Some(connector) = &mut self.inner.borrow_mut().connector {
            connector.replace_servers(servers, Instant::now());
        }
        self.enqueue();
    }

    fn report(&self, state: &mut S, client: &Client<S>, error: ConnectionError) {
        log::warn!("{}: {error}", self.inner.borrow().server());
        self.run_hook(state, client, |hooks| &hooks.error, &error);
    }

    fn log_disconnect(&self, reason: &DisconnectReason) {
        let server = self.inner.borrow().server();
        match reason {
            DisconnectReason::Requested
            | DisconnectReason::Drained
            | DisconnectReason::Reconnect => log::info!("disconnected from {server}: {reason}"),
            _ => log::warn!("disconnected from {server}: {reason}"),
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

impl<S: 'static> Source<S> for Core<S> {
    fn handle_ready(&self, event: &mio::event::Event) {
        let mut inner = self.inner.borrow_mut();
        if let Some(stream) = inner.link.stream() {
            stream.handle_ready(event);
        }
        // which of the two it is for is not said
        if let Some(stream) = inner.next_stream() {
            stream.handle_ready(event);
        }
    }

    fn turn(self: Rc<Self>, state: &mut S, now: Instant) -> Progress {
        let client = Client::new(self.clone());
        let mut budget = Budget { events: self.turn.events, bytes: self.turn.bytes };
        self.inner.borrow_mut().begin_turn(&self.handle, self.token.get(), now);
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
        if inner.session.leg(Which::Current).writable_len() > 0 {
            inner.write();
        }
        inner.flush();
        inner.write_next();
    }

    fn has_work(&self) -> bool {
        self.inner.borrow_mut().has_work()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let mut inner = self.inner.borrow_mut();
        let due = inner.connector.as_ref().and_then(|connector| connector.due);
        inner.session.next_deadline().into_iter().chain(due).min()
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
        inner.close_next(&self.handle.shared().registry);
        drop(inner);
        drop((hooks, events));
    }
}
