//! The driver of a client: the turn that moves bytes and runs callbacks.
//!
//! Invariant: the connection is never borrowed while user code runs, and user code includes the drop
//! of a callback. So events are taken out of the session one at a time, and a callback is taken out
//! of its slot while it runs.

use super::connection::{Connection, Found};
use super::connector::{Connector, Identity, Next};
use super::error::ConnectionError;
use super::hooks::{ClientEvent, ClientSession, Delivery, OnEnd, OnObserved};
use super::options::{CredentialsCallback, Options, TurnLimits};
use super::port::{ObserverId, Port};
use super::protection::Protection;
use super::proxy_key::ProxyKey;
use super::route::{Budget, Route};
use crate::callback::{CallbackSlot, Ran, State};
use crate::error::{Error, Result};
use crate::event_loop::{Progress, Readiness, Shared, Slot, Source, Transport};
use evnats_protocol::{
    CommandError, DisconnectReason, Event, KnownRoute, Message, Phase, ServerInfo, ServerUrl,
    Session, SubscriptionId, Which, subject,
};
use mio::Token;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

pub(crate) struct Driver {
    slot: Slot,
    pub(super) request_timeout: Duration,
    turn: TurnLimits,
    pub(super) credentials: Option<CredentialsCallback>,
    proxy: Option<ProxyKey>,
    pub(super) connection: RefCell<Connection>,
}

/// Shortest pause that a user's callback can ask for: with none, a server that is down would keep
/// the loop busy.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// The loop has to be there, and what goes into every request's subject has to be one.
fn check(event_loop: &Shared, options: &Options) -> Result<()> {
    if event_loop.has_ended() {
        return Err(Error::LoopEnded);
    }
    let checked = subject::check_literal(&options.session.inbox_prefix);
    checked.map_err(|error| CommandError::ReplySubject(error).into())
}

impl Driver {
    /// A client on its way to the servers that its options name.
    pub(super) fn connect(event_loop: &Rc<Shared>, options: Options) -> Result<Rc<Self>> {
        check(event_loop, &options)?;
        let connector = Connector::new(&options, event_loop)?;
        Ok(Self::start(event_loop, options, Some(connector)))
    }

    /// A client on a transport that is open.
    pub(super) fn connect_over(
        event_loop: &Rc<Shared>,
        transport: Box<dyn Transport>,
        options: Options,
    ) -> Result<Rc<Self>> {
        check(event_loop, &options)?;
        let server = options.parse_server_at_the_other_end()?;
        let driver = Self::start(event_loop, options, None);
        driver.connection.borrow_mut().open(transport, server, &driver.slot, event_loop.now());
        Ok(driver)
    }

    fn start(event_loop: &Rc<Shared>, options: Options, connector: Option<Connector>) -> Rc<Self> {
        let protection = Protection::new(&options);
        let mut config = options.session;
        let echo = config.connect.echo;
        let shared = event_loop.clone();
        let random = move || shared.random();
        config.resume = true;
        config.ask_authentication = true;
        let connection = Connection::new(Session::new(config, random), connector, protection, echo);
        let driver = Rc::new_cyclic(|driver: &Weak<Self>| Driver {
            slot: Slot::new(event_loop, driver.clone()),
            request_timeout: options.request_timeout,
            turn: options.turn,
            credentials: options.credentials,
            proxy: options.proxy,
            connection: RefCell::new(connection),
        });
        driver.slot.wake();
        driver
    }

    pub(super) fn event_loop(&self) -> &Rc<Shared> {
        self.slot.event_loop()
    }

    /// The driver's place in the loop.
    pub(super) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Gives a command to the session. If much is waiting then, it is written at once, so that a
    /// loop of many commands streams out.
    #[inline]
    pub(super) fn command<T>(self: &Rc<Self>, command: impl FnOnce(&mut ClientSession) -> T) -> T {
        let mut connection = self.connection.borrow_mut();
        let result = command(&mut connection.session);
        connection.write_if_much();
        drop(connection);
        self.slot.wake();
        result
    }

    /// Publishes, if it is to the subject of the last message and nothing speaks against it: as a
    /// command, but at a fraction of the cost. Returns whether it was.
    #[inline(never)]
    pub(super) fn publish_again(&self, subject: &str, payload: &[u8]) -> bool {
        self.try_command(|session| session.publish_again(subject, payload))
    }

    /// Publishes a message whose subjects are known, if nothing speaks against it. Returns whether it did.
    #[inline]
    pub(super) fn publish_on<const N: usize, const PARTS: usize>(
        &self,
        route: &mut KnownRoute<N>,
        reply_end: &[u8; N],
        payload: [&[u8]; PARTS],
    ) -> bool {
        self.try_command(|session| session.publish_on(route, reply_end, payload))
    }

    /// Answers to the reply subject of a message, if nothing speaks against it. Returns whether it did.
    #[inline(never)]
    pub(super) fn answer(&self, message: &Message, payload: &[u8]) -> bool {
        self.try_command(|session| session.answer(message, payload))
    }

    /// As [`command`](Self::command), for one that may do nothing. Returns whether it did something.
    #[inline(always)]
    fn try_command(&self, command: impl FnOnce(&mut ClientSession) -> bool) -> bool {
        let mut connection = self.connection.borrow_mut();
        let is_done = command(&mut connection.session);
        if is_done {
            connection.write_if_much();
            drop(connection);
            self.slot.wake();
        }
        is_done
    }

    /// Writes what the stream takes, now.
    pub(super) fn write_now(&self) {
        self.connection.borrow_mut().write_commands();
    }

    /// Ends a subscription at once.
    pub(super) fn unsubscribe(self: &Rc<Self>, id: SubscriptionId) -> Result<(), CommandError> {
        let ended = self.command(|session| session.unsubscribe(id))?;
        let on_end = self.connection.borrow_mut().on_end.remove(&id);
        // user code, which may use the client: what the callbacks have captured is dropped
        drop((ended.take(), ended, on_end));
        Ok(())
    }

    /// Has a callback run when a subscription ends otherwise than by an unsubscribe.
    pub(super) fn set_on_end(&self, id: SubscriptionId, callback: OnEnd) {
        let mut connection = self.connection.borrow_mut();
        let replaced = match connection.session.subscription_mut(id).is_some() {
            true => connection.on_end.insert(id, callback),
            false => Some(callback),
        };
        drop(connection);
        drop(replaced);
        self.drop_if_ended();
    }

    pub(super) fn observe(&self, callback: OnObserved) -> ObserverId {
        let id = self.connection.borrow_mut().observers.insert(CallbackSlot::new(callback));
        self.drop_if_ended();
        ObserverId(id)
    }

    /// After the loop's end nothing runs any more, so nothing is kept for it.
    pub(super) fn drop_if_ended(&self) {
        if self.event_loop().has_ended() {
            self.abandon();
        }
    }

    pub(super) fn stop_observing(&self, observer: ObserverId) {
        let observer = self.connection.borrow_mut().observers.try_remove(observer.0);
        // also if a notice is waiting for it
        let observer = observer.and_then(|slot| slot.take());
        drop(observer);
    }

    /// Reports something that no call returns, in the next turn.
    pub(super) fn report_later(self: &Rc<Self>, error: ConnectionError) {
        self.connection.borrow_mut().reports.push_back(error);
        self.slot.wake();
    }

    /// An answer could not be sent, which is not the caller's fault.
    #[cold]
    pub(super) fn fail_answer(self: &Rc<Self>, subject: String, error: CommandError) {
        self.connection.borrow_mut().answers_failed += 1;
        self.report_later(ConnectionError::AnswerFailed { subject, error });
    }

    /// Has as many tokens as the subject of a reply, so that one permission fits both.
    pub(super) fn new_inbox(&self) -> String {
        format!("{}.{:08x}", self.new_inbox_for_many(), self.event_loop().random() >> 32)
    }

    pub(super) fn new_inbox_for_many(&self) -> String {
        let prefix = self.connection.borrow().session.inbox_prefix().to_owned();
        let random = || self.event_loop().random();
        format!("{prefix}.{:016x}{:06x}", random(), random() >> 40)
    }

    pub(super) fn server_info(&self) -> Option<ServerInfo> {
        self.connection.borrow().session.server_info().cloned()
    }

    /// Runs the callbacks of what has happened, as long as the budget lasts.
    fn run_events(
        &self,
        state: &mut State,
        port: &Port,
        now: Instant,
        budget: &mut Budget,
        place: &mut Message,
    ) -> Ran {
        let mut next = None;
        loop {
            if next.is_none() {
                if !self.run_replies(state, port, budget, place)? {
                    return Ok(());
                }
                next = self.next_event(budget, place);
            }
            match next.take() {
                None => return Ok(()),
                Some(Event::Message { subscription }) => {
                    next = self.deliver(state, subscription, budget, place)?;
                }
                Some(Event::Reply { context, outcome }) => {
                    context.hear(state, port, outcome.map(|()| &*place))?;
                }
                Some(event) => self.run_event(state, port, event, now)?,
            }
        }
    }

    /// Whether there may be an event to take out of the session.
    #[inline]
    fn may_have_events(&self) -> bool {
        self.connection.borrow().session.may_have_events()
    }

    /// Runs the callbacks of the requests whose replies come next, which often come in long runs.
    /// Returns whether there may be other events.
    #[inline]
    fn run_replies(
        &self,
        state: &mut State,
        port: &Port,
        budget: &mut Budget,
        place: &mut Message,
    ) -> Result<bool, Box<Error>> {
        let mut is_first = true;
        while budget.events > 0 {
            let reply = self.connection.borrow_mut().session.poll_reply(place);
            let Some(awaiting) = reply else { break };
            budget.events -= 1;
            awaiting.hear(state, port, Ok(place))?;
            // it often comes alone, and to look for another one costs as much as this
            if std::mem::take(&mut is_first) && !self.may_have_events() {
                return Ok(false);
            }
        }
        Ok(self.may_have_events())
    }

    /// Runs a subscription's callback for the message in its place and for those that follow it
    /// directly, because they often come in long runs. Returns the event after them.
    #[inline(never)]
    fn deliver(
        &self,
        state: &mut State,
        subscription: SubscriptionId,
        budget: &mut Budget,
        place: &mut Message,
    ) -> Result<Option<ClientEvent>, Box<Error>> {
        let mut connection = self.connection.borrow_mut();
        let subscriber = connection.session.subscription_mut(subscription).map(|s| s.share());
        drop(connection);
        let mut next = None;
        subscriber.unwrap_or_default().run(|callback| {
            loop {
                callback(state, Delivery::Message(place))?;
                if self.is_another(subscription, budget, place) {
                    continue;
                }
                let event = self.next_event(budget, place);
                if !matches!(event, Some(Event::Message { subscription: s }) if s == subscription) {
                    next = event;
                    return Ok(());
                }
                // there is nothing in it to drop, and to find that out costs much for each message
                std::mem::forget(event);
            }
        })?;
        Ok(next)
    }

    /// Takes another message for a subscription out of the session, if it comes next and the budget
    /// allows one more.
    #[inline(always)]
    fn is_another(
        &self,
        subscription: SubscriptionId,
        budget: &mut Budget,
        place: &mut Message,
    ) -> bool {
        let may_come = budget.events > 0;
        let comes =
            may_come && self.connection.borrow_mut().session.poll_another(subscription, place);
        budget.events -= usize::from(comes);
        comes
    }

    /// Takes the next event out of the session, if the budget allows one more.
    #[inline(always)]
    fn next_event(&self, budget: &mut Budget, place: &mut Message) -> Option<ClientEvent> {
        budget.events = budget.events.checked_sub(1)?;
        self.connection.borrow_mut().session.poll_event(place)
    }

    /// Looks for more work: the handshake, reads, the second server.
    #[inline]
    fn look_for_more(
        &self,
        state: &mut State,
        port: &Port,
        now: Instant,
        budget: &mut Budget,
    ) -> Result<Found, Box<Error>> {
        let found = self.connection.borrow_mut().read_if_all(now, budget);
        found.map_or_else(|| self.look_everywhere(state, port, now, budget), Ok)
    }

    /// Looks for more work in the order in which it has to be done.
    #[inline(never)]
    fn look_everywhere(
        &self,
        state: &mut State,
        port: &Port,
        now: Instant,
        budget: &mut Budget,
    ) -> Result<Found, Box<Error>> {
        self.leave_server_if_asked();
        let mut read = |which| {
            self.continue_handshake(which) || self.connection.borrow_mut().read(which, now, budget)
        };
        let found = read(Which::Current)
            || self.connection.borrow().route(Which::Next).is_some() && read(Which::Next);
        if self.connection.borrow().has_reports() {
            self.run_frames(state, port, budget)?;
            self.run_reports(state, port, budget)?;
        }
        Ok(if found { Found::Something } else { Found::Nothing })
    }

    /// Performs the handshake step that a leg of the session is blocked on. Returns whether it made
    /// progress.
    fn continue_handshake(&self, which: Which) -> bool {
        let mut connection = self.connection.borrow_mut();
        match connection.session.leg(which).phase() {
            Phase::AwaitingTls if connection.route(which).is_some_and(Route::is_open) => {
                connection.begin_tls(which, &self.slot);
            }
            Phase::AwaitingAuthentication => {
                let info = connection.session.leg(which).server_info().cloned().unwrap_or_default();
                let server = connection.route(which).and_then(Route::server);
                let (credentials, proxy) = (self.credentials.as_ref(), self.proxy.as_ref());
                let identity = Identity::new(server, credentials, proxy);
                drop(connection);
                // user code
                let answer = identity.answer(&info);
                let mut connection = self.connection.borrow_mut();
                let mut leg = connection.session.leg(which);
                match answer {
                    Ok(answer) => leg.authenticate(answer),
                    Err(reason) => leg.handle_disconnected(reason),
                }
            }
            _ => return false,
        }
        true
    }

    /// An attempt has failed: goes on with the next address of the server, if there is one, or as
    /// [`plan_next`](Self::plan_next). Returns whether the server has another chance.
    pub(super) fn plan_after_failure(&self, reason: &DisconnectReason, now: Instant) -> bool {
        let mut connection = self.connection.borrow_mut();
        let goes_on =
            connection.session.phase() != Phase::Closed && connection.retry_elsewhere(now);
        if goes_on {
            connection.close_routes();
            return true;
        }
        drop(connection);
        self.plan_next(reason, false, now);
        false
    }

    /// A connection, or an attempt to make one, has ended: sets the time for the next attempt, or
    /// gives up.
    pub(super) fn plan_next(&self, reason: &DisconnectReason, was_connected: bool, now: Instant) {
        let mut connection = self.connection.borrow_mut();
        connection.close_routes();
        if connection.session.phase() == Phase::Closed {
            return;
        }
        let is_first = !connection.session.was_connected();
        let next = match &mut connection.connector {
            None => Next::GiveUp,
            Some(connector) if was_connected => connector.handle_disconnected(reason, now),
            Some(connector) => connector.handle_failure(reason, is_first),
        };
        let choice = connection.connector.as_mut().and_then(|connector| {
            // the user's callbacks may panic, and then the same server is tried again
            connector.due = now.checked_add(MIN_DELAY);
            connector.choice()
        });
        drop(connection);
        let delay = match next {
            Next::GiveUp => return self.connection.borrow_mut().give_up(reason.clone()),
            Next::Retry => {
                let choice = choice.and_then(|(choose, servers)| choose(&servers));
                let mut connection = self.connection.borrow_mut();
                connection.connector.as_mut().and_then(|connector| connector.advance(choice))
            }
        };
        let Some(delay) = delay else {
            return self.connection.borrow_mut().give_up(DisconnectReason::NoServers);
        };
        let callback = self.connection.borrow().connector.as_ref().and_then(|c| c.delay(delay));
        let delay = callback.map_or(delay, |(delay, passes)| delay(passes).max(MIN_DELAY));
        let mut connection = self.connection.borrow_mut();
        if let Some(connector) = &mut connection.connector {
            log::debug!("next attempt: {} in {delay:?}", connector.server());
            connector.due = now.checked_add(delay);
        }
    }

    /// Leaves the server for another one, or goes on at once if there is none at the moment.
    pub(super) fn reconnect(self: &Rc<Self>) {
        self.connection.borrow_mut().wants_reconnect = true;
        self.slot.wake();
    }

    /// Leaves the server if a reconnect was requested and nothing of what was read is left.
    fn leave_server_if_asked(&self) {
        let mut connection = self.connection.borrow_mut();
        if !std::mem::take(&mut connection.wants_reconnect) {
            return;
        }
        connection.write_commands();
        let Connection { session, connector: Some(connector), .. } = &mut *connection else {
            return;
        };
        match session.phase() {
            Phase::Ready | Phase::Draining => {
                connector.pool.hurry();
                session.leg(Which::Current).handle_disconnected(DisconnectReason::Reconnect);
            }
            Phase::Connecting if connector.due.is_some() => {
                connector.due = Some(self.event_loop().now())
            }
            _ => {}
        }
    }

    /// Names other servers.
    pub(super) fn set_servers(self: &Rc<Self>, servers: Vec<ServerUrl>) {
        if let Some(connector) = &mut self.connection.borrow_mut().connector {
            connector.replace_servers(servers, self.event_loop().now());
        }
        self.slot.wake();
    }
}

impl Source for Driver {
    fn handle_ready(&self, id: Token, readiness: Readiness) {
        self.connection.borrow_mut().handle_ready(id, readiness);
    }

    fn turn(self: Rc<Self>, state: &mut State, now: Instant) -> Ran {
        let port = Port::new(self);
        let driver = &*port.driver;
        let mut budget = Budget { events: driver.turn.events, bytes: driver.turn.bytes };
        driver.connection.borrow_mut().begin_turn(&driver.slot, now);
        let mut place = Message::default();
        let mut run = || {
            driver.run_notices(state, &port)?;
            // most turns begin with a read, and end with what came of it
            let mut found = match driver.may_have_events() {
                true => Found::Something,
                false => driver.look_for_more(state, &port, now, &mut budget)?,
            };
            while found != Found::Nothing {
                driver.run_events(state, &port, now, &mut budget, &mut place)?;
                if budget.events == 0 || found == Found::All {
                    return Ok(());
                }
                // what is read next may need the memory that the last message is in
                place.clear();
                found = driver.look_for_more(state, &port, now, &mut budget)?;
            }
            Ok(())
        };
        run().map_err(|error| driver.or_its_cause(error))
    }

    fn settle(&self, now: Instant) -> Progress {
        self.connection.borrow_mut().settle(now)
    }

    fn abandon(&self) {
        let mut connection = self.connection.borrow_mut();
        connection.session.close();
        let hooks = std::mem::take(&mut connection.hooks);
        let observers = std::mem::take(&mut connection.observers);
        let on_end = std::mem::take(&mut connection.on_end);
        let notices = std::mem::take(&mut connection.notices);
        let layers = std::mem::take(&mut connection.layers);
        let mut events = Vec::new();
        while let Some(event) = connection.session.poll_event(&mut Message::default()) {
            events.push(event);
        }
        connection.close_routes();
        drop(connection);
        drop((hooks, observers, on_end, notices, layers, events));
    }
}
