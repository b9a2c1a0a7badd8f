//! What happened: from an event of the session to the callback that it belongs to.
//!
//! Everything that has to be done about an event is done before user code runs, because user code
//! may panic or return an error, and then nothing but the event at hand is lost.

use super::connection::Connection;
use super::driver::Driver;
use super::error::ConnectionError;
use super::hooks::{
    ClientEvent, Delivery, Hook, Hooks, Notice, Observed, SlowConsumer, Subscriber,
};
use super::port::Port;
use super::route::Budget;
use crate::callback::{Ran, State};
use evnats_protocol::{
    DisconnectReason, EndReason, Event, ServerErrorKind, ServerInfo, SubscriptionId, printable,
};
use std::rc::Rc;
use std::time::Instant;

impl Driver {
    /// Runs the callback that an event belongs to.
    #[inline(never)]
    pub(super) fn run_event(
        &self,
        state: &mut State,
        port: &Port,
        event: ClientEvent,
        now: Instant,
    ) -> Ran {
        match event {
            Event::Fence { context, outcome } => context(state, port, outcome),
            Event::SubscriptionEnded { subscription, context, reason } => {
                self.end_subscription(state, subscription, &context, reason)
            }
            Event::ServerError(error) if error.kind() == ServerErrorKind::PermissionsViolation => {
                let error = Rc::new(error);
                self.notify(state, port, Observed::Denied(error.clone()), Notice::Denied(error))
            }
            Event::ServerError(error) => self.report(state, port, ConnectionError::Server(error)),
            Event::SubscriptionDenied { subscription, error } => {
                let error = ConnectionError::SubscriptionDenied { subscription, error };
                self.report(state, port, error)
            }
            Event::PublishFailed { subject, error } => {
                self.report(state, port, ConnectionError::PublishFailed { subject, error })
            }
            Event::Unsent { messages } => {
                self.report(state, port, ConnectionError::Unsent { messages })
            }
            Event::SlowConsumer { subscription, dropped } => {
                let server = self.connection.borrow().server();
                log::warn!("{server}: slow consumer {}: {dropped} dropped", subscription.sid());
                let slow = SlowConsumer { subscription, dropped };
                self.run_hook(state, port, |hooks| &hooks.slow_consumer, &slow)
            }
            Event::Writable => self.notify(state, port, Observed::Writable, Notice::Writable),
            event => self.run_connection_event(state, port, event, now),
        }
    }

    /// Deals with what happened to the connection as a whole.
    fn run_connection_event(
        &self,
        state: &mut State,
        port: &Port,
        event: ClientEvent,
        now: Instant,
    ) -> Ran {
        match event {
            Event::Connected => {
                let info = self.record_connected(now);
                let last = Notice::Connected(Box::new(info));
                self.notify(state, port, Observed::Connected, last)
            }
            Event::Reconnected => {
                let info = self.record_connected(now);
                let last = Notice::Reconnected(Box::new(info));
                self.notify(state, port, Observed::Reconnected, last)
            }
            Event::InfoChanged => {
                self.record_info();
                Ok(())
            }
            Event::ConnectFailed(reason) => {
                let server = self.connection.borrow().server();
                let goes_on = self.plan_after_failure(&reason, now);
                if goes_on && matches!(reason, DisconnectReason::Transport { .. }) {
                    // a name may well have addresses that lead nowhere, such as those of IPv6
                    log::info!("{reason}, trying the next address");
                    return Ok(());
                }
                self.report(state, port, ConnectionError::ConnectFailed { server, reason })
            }
            Event::Disconnected(reason) => {
                self.log_disconnect(&reason);
                self.plan_next(&reason, true, now);
                let last = Notice::Disconnected(reason);
                self.notify(state, port, Observed::Disconnected, last)
            }
            Event::LameDuck => {
                log::warn!("the server at {} is shutting down", self.connection.borrow().server());
                self.connection.borrow_mut().failed_moves = 0;
                self.begin_move(now);
                self.run_hook(state, port, |hooks| &hooks.lame_duck, &())
            }
            Event::Moved => {
                self.connection.borrow_mut().finish_move(now);
                let info = self.record_connected(now);
                self.run_hook(state, port, |hooks| &hooks.reconnect, &info)
            }
            Event::MoveFailed(reason) => {
                self.try_another_move(&reason, now);
                Ok(())
            }
            Event::Closed(reason) => {
                self.connection.borrow_mut().close_routes();
                self.notify(state, port, Observed::Ended, Notice::Closed(reason))
            }
            _ => {
                debug_assert!(false, "an event of the session is not handled");
                log::error!("an event of the session is not handled");
                Ok(())
            }
        }
    }

    fn end_subscription(
        &self,
        state: &mut State,
        id: SubscriptionId,
        subscriber: &Subscriber,
        reason: EndReason,
    ) -> Ran {
        let on_end = self.connection.borrow_mut().on_end.remove(&id);
        let delivered = subscriber.run(|callback| callback(state, Delivery::Ended(&reason)));
        delivered.and(on_end.map_or(Ok(()), |on_end| on_end(state, reason)))
    }

    fn try_another_move(&self, reason: &DisconnectReason, now: Instant) {
        let mut connection = self.connection.borrow_mut();
        log::warn!("{}: could not move: {reason}", connection.server());
        if connection.move_elsewhere(self.slot(), now) {
            return;
        }
        connection.failed_moves += 1;
        let may_move = connection.may_move_elsewhere();
        drop(connection);
        if may_move {
            self.begin_move(now);
        }
    }

    fn begin_move(&self, now: Instant) {
        self.connection.borrow_mut().begin_move(self.slot(), now);
    }

    fn record_connected(&self, now: Instant) -> ServerInfo {
        let mut connection = self.connection.borrow_mut();
        let info = connection.session.server_info().cloned().unwrap_or_default();
        log::info!("connected to {} ({})", printable(&info.server_name), connection.server());
        if let Some(connector) = &mut connection.connector {
            connector.pool.handle_connected(now);
        }
        drop(connection);
        self.record_info();
        info
    }

    /// The server has described itself, and perhaps its cluster.
    fn record_info(&self) {
        let mut connection = self.connection.borrow_mut();
        let Connection { session, connector, discovered, .. } = &mut *connection;
        if let (Some(info), Some(connector)) = (session.server_info(), connector) {
            discovered.append(&mut connector.pool.handle_info(info));
        }
    }

    /// Runs the hook of the frames that were captured.
    pub(super) fn run_frames(&self, state: &mut State, port: &Port, budget: &mut Budget) -> Ran {
        while budget.events > 0 {
            let frame = self.connection.borrow_mut().next_frame();
            let Some(frame) = frame else { return Ok(()) };
            budget.events -= 1;
            self.run_hook(state, port, |hooks| &hooks.frame, &frame)?;
        }
        Ok(())
    }

    /// Reports servers that were announced, and what no call returned.
    pub(super) fn run_reports(&self, state: &mut State, port: &Port, budget: &mut Budget) -> Ran {
        let discovered = std::mem::take(&mut self.connection.borrow_mut().discovered);
        if !discovered.is_empty() {
            log::debug!("discovered servers: {}", discovered.join(", "));
            self.run_hook(state, port, |hooks| &hooks.discover, &discovered)?;
        }
        while budget.events > 0 {
            let report = self.connection.borrow_mut().reports.pop_front();
            let Some(report) = report else { return Ok(()) };
            budget.events -= 1;
            self.report(state, port, report)?;
        }
        Ok(())
    }

    pub(super) fn report(&self, state: &mut State, port: &Port, error: ConnectionError) -> Ran {
        log::warn!("{}: {error}", self.connection.borrow().server());
        self.run_hook(state, port, |hooks| &hooks.error, &error)
    }

    fn log_disconnect(&self, reason: &DisconnectReason) {
        let server = self.connection.borrow().server();
        match reason {
            DisconnectReason::Requested
            | DisconnectReason::Drained
            | DisconnectReason::Reconnect => log::info!("disconnected from {server}: {reason}"),
            _ => log::warn!("disconnected from {server}: {reason}"),
        }
    }

    pub(super) fn run_hook<T>(
        &self,
        state: &mut State,
        port: &Port,
        pick: impl FnOnce(&Hooks) -> &Hook<T>,
        argument: &T,
    ) -> Ran {
        let hook = pick(&self.connection.borrow().hooks).share();
        hook.run(|hook| hook(state, port, argument))
    }
}
