//! The connector: which server a client tries next, and when.
//!
//! Invariant: callbacks of the user's are called by the core, where no borrow is alive; what is
//! here only keeps them. The way itself is the link's.

use super::candidates::Candidates;
use super::credentials::{Credentials, CredentialsError};
use super::options::{ChoiceCallback, CredentialsCallback, DelayCallback, Options};
use super::proxy_key::ProxyKey;
use crate::error::Result;
use crate::event_loop::Shared;
use evnats_protocol::{
    Authentication, DisconnectReason, PoolServer, ServerInfo, ServerPool, ServerUrl, UserInfo,
};
use std::io;
use std::time::{Duration, Instant};

pub(super) struct Connector {
    pub(super) pool: ServerPool,
    /// When the next attempt is to be made, while none is under way.
    pub(super) due: Option<Instant>,
    /// The addresses of the current server that are to be tried in the next attempt; `None` if they
    /// are to be asked for.
    rest: Option<Candidates>,
    timeout: Duration,
    randomize: bool,
    reconnect: bool,
    retry_first_connect: bool,
    move_on_lame_duck: bool,
    delay: Option<DelayCallback>,
    choice: Option<ChoiceCallback>,
}

/// What is to come after a connection or an attempt has ended.
pub(super) enum Next {
    /// Another attempt, perhaps.
    Retry,
    /// The end.
    GiveUp,
}

impl Connector {
    pub(super) fn new(options: &Options, event_loop: &Shared) -> Result<Self> {
        let (servers, seed) = (options.parse_servers()?, event_loop.random());
        let mut pool = ServerPool::new(servers, options.pool.clone(), seed);
        let due = pool.advance().map(|delay| event_loop.now() + delay);
        Ok(Self {
            pool,
            due,
            rest: None,
            timeout: options.session.connect_timeout,
            randomize: options.pool.randomize,
            reconnect: options.reconnect,
            retry_first_connect: options.retry_first_connect,
            move_on_lame_duck: options.move_on_lame_duck,
            delay: options.delay.clone(),
            choice: options.choice.clone(),
        })
    }

    /// Names other servers. An attempt that is being waited for is made at one of them.
    pub(super) fn replace_servers(&mut self, servers: Vec<ServerUrl>, now: Instant) {
        self.pool.replace(servers);
        if self.due.is_some() {
            self.rest = None;
            self.due = self.pool.advance().and_then(|delay| now.checked_add(delay));
        }
    }

    /// The addresses that an attempt at the current server, which begins now, has to choose from.
    pub(super) fn begin(&mut self, now: Instant) -> Candidates {
        self.rest.take().unwrap_or_else(|| self.candidates(now))
    }

    /// Those of an attempt that does not know them yet.
    pub(super) fn candidates(&self, now: Instant) -> Candidates {
        Candidates::new(self.timeout, self.randomize, now)
    }

    /// Goes on with the current server's other addresses, at once.
    pub(super) fn retry(&mut self, candidates: Candidates, now: Instant) {
        (self.rest, self.due) = (Some(candidates), Some(now));
    }

    /// The server's name for logs and errors.
    pub(super) fn server(&self) -> String {
        self.pool.current().map_or_else(|| "no server".into(), |server| server.url.to_string())
    }

    /// The attempt to connect to the current server has failed.
    pub(super) fn handle_failure(&mut self, reason: &DisconnectReason, is_first: bool) -> Next {
        let retries = self.pool.handle_failure(reason);
        let is_allowed = if is_first {
            // without retries, every server has one attempt
            self.retry_first_connect || self.pool.servers().any(|server| server.failures == 0)
        } else {
            self.reconnect
        };
        if retries && is_allowed { Next::Retry } else { Next::GiveUp }
    }

    /// The connection to the current server was lost.
    pub(super) fn handle_disconnected(&mut self, reason: &DisconnectReason, now: Instant) -> Next {
        let retries = self.pool.handle_disconnected(reason, now);
        if retries && self.reconnect { Next::Retry } else { Next::GiveUp }
    }

    /// What the user chooses from, and how, if he does.
    pub(super) fn choice(&self) -> Option<(ChoiceCallback, Vec<PoolServer>)> {
        let choice = self.choice.clone()?;
        Some((choice, self.pool.servers().cloned().collect()))
    }

    /// Makes the next server the current one. Returns the pause before it is tried, `None` if no
    /// server is left.
    pub(super) fn advance(&mut self, choice: Option<usize>) -> Option<Duration> {
        match choice {
            Some(place) => self.pool.advance_to(place),
            None => self.pool.advance(),
        }
    }

    /// The user's delay callback and its argument, if the next attempt is delayed at all.
    pub(super) fn delay(&self, delay: Duration) -> Option<(DelayCallback, u32)> {
        let callback = self.delay.clone().filter(|_| delay > Duration::ZERO)?;
        Some((callback, self.pool.passes()))
    }

    /// The server to move to when the current one shuts down, if that is wanted and there is one.
    pub(super) fn next_server_for_move(&mut self) -> Option<PoolServer> {
        let moves = self.move_on_lame_duck && self.reconnect;
        moves.then(|| self.pool.alternative()).flatten()
    }
}

/// Where it says who the client is: the URL before the options.
pub(super) struct Identity {
    user_info: Option<UserInfo>,
    callback: Option<CredentialsCallback>,
    proxy: Option<ProxyKey>,
}

impl Identity {
    pub(super) fn new(
        server: Option<&PoolServer>,
        callback: Option<&CredentialsCallback>,
        proxy: Option<&ProxyKey>,
    ) -> Self {
        let user_info = server.and_then(|server| server.url.user_info().cloned());
        Self { user_info, callback: callback.cloned(), proxy: proxy.cloned() }
    }

    /// Runs user code.
    pub(super) fn answer(self, info: &ServerInfo) -> Result<Authentication, DisconnectReason> {
        let nonce = info.nonce.as_deref();
        let refused = |error: CredentialsError| DisconnectReason::Credentials(error.to_string());
        let credentials = match (self.user_info, self.callback) {
            (Some(UserInfo::Token(token)), _) => Credentials::token(token),
            (Some(UserInfo::User { user, password }), _) => {
                Credentials::user_password(user, password)
            }
            (None, Some(callback)) => {
                callback(info).map_err(|error| DisconnectReason::Credentials(error.to_string()))?
            }
            (None, None) => Credentials::none(),
        };
        let mut answer = credentials.answer(nonce).map_err(refused)?;
        if let Some(proxy) = self.proxy {
            proxy.sign(nonce, &mut answer).map_err(refused)?;
        }
        Ok(answer)
    }
}

/// What an error of the transport means.
pub(super) fn reason(error: &io::Error, doing: &str) -> DisconnectReason {
    #[cfg(feature = "tls")]
    if let Some((kind, message)) = super::tls::classify(error) {
        return DisconnectReason::Tls { kind, message };
    }
    DisconnectReason::Transport { kind: error.kind(), message: format!("{doing}: {error}") }
}
