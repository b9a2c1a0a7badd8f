//! The platform on a lent selector: a host waits for events, and hands over those of the loop.

use super::contract::{LookUp, Platform};
use super::system::System;
use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::{Readiness, SetReadiness};
use crate::event_loop::selector::Selector;
use crate::event_loop::transport::Transport;
use mio::{Registry, Token};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(in crate::event_loop) struct Lent {
    system: System,
    tokens: Range<usize>,
    /// Events that were handed over since the last turn.
    events: RefCell<Vec<(Token, Readiness)>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Lent {
    /// # Errors
    /// The registry could not be cloned.
    pub(in crate::event_loop) fn new(
        registry: &Registry,
        tokens: Range<usize>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let system = System::new(registry.try_clone()?)?;
        Ok(Self { system, tokens, events: RefCell::default(), wake: Arc::new(wake) })
    }
}

impl Selector for Lent {
    fn registry(&self) -> Option<&Registry> {
        Some(&self.system.registry)
    }

    fn first_token(&self) -> usize {
        self.tokens.start
    }

    fn tokens(&self) -> usize {
        self.tokens.len()
    }

    fn is_forked(&self) -> bool {
        self.system.is_forked()
    }
}

impl Platform for Lent {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u64 {
        self.system.random()
    }

    fn wait(
        &self,
        _: Option<Duration>,
        report: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool> {
        for (token, readiness) in self.events.borrow_mut().drain(..) {
            report(token, readiness);
        }
        Ok(false)
    }

    fn can_wait(&self) -> bool {
        false
    }

    fn waker(&self) -> Wake {
        let wake = self.wake.clone();
        Box::new(move || wake())
    }

    fn handle_event(&self, event: &mio::event::Event) -> bool {
        let Token(token) = event.token();
        let is_own = self.tokens.contains(&token);
        if is_own {
            let index = Token(token - self.tokens.start);
            self.events.borrow_mut().push((index, Readiness::from(event)));
        }
        is_own
    }

    fn look_up(&self, host: &str, port: u16, done: SetReadiness) -> io::Result<Box<dyn LookUp>> {
        self.system.look_up(host, port, done)
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>> {
        self.system.connect(address)
    }

    fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Transport>> {
        self.system.connect_unix(path)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.system.registry.as_fd()
    }
}
