//! The platform of mio: a selector of the loop's own.

use super::contract::{LookUp, Platform};
use super::system::System;
use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::{Readiness, SetReadiness};
use crate::event_loop::selector::Selector;
use crate::event_loop::transport::Transport;
use mio::{Events, Poll, Registry, Token, Waker};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(in crate::event_loop) struct Mio {
    system: System,
    selector: RefCell<(Poll, Events)>,
    waker: Arc<Waker>,
}

/// Events that are taken from the selector at once.
const EVENTS: usize = 256;
const WAKE: Token = Token(usize::MAX);

impl Mio {
    /// # Errors
    /// The system's selector could not be made.
    pub(in crate::event_loop) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let system = System::new(poll.registry().try_clone()?)?;
        let selector = RefCell::new((poll, Events::with_capacity(EVENTS)));
        Ok(Self { system, selector, waker })
    }
}

impl Selector for Mio {
    fn registry(&self) -> Option<&Registry> {
        Some(&self.system.registry)
    }

    /// The last token is the waker's.
    fn tokens(&self) -> usize {
        usize::MAX
    }

    fn is_forked(&self) -> bool {
        self.system.is_forked()
    }
}

impl Platform for Mio {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u64 {
        self.system.random()
    }

    fn wait(
        &self,
        timeout: Option<Duration>,
        report: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool> {
        let (poll, events) = &mut *self.selector.borrow_mut();
        if let Err(error) = poll.poll(events, timeout) {
            events.clear();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
        }
        let mut count = 0;
        for event in events.iter() {
            count += 1;
            if event.token() != WAKE {
                report(event.token(), Readiness::from(event));
            }
        }
        Ok(count == EVENTS)
    }

    fn waker(&self) -> Wake {
        let waker = self.waker.clone();
        Box::new(move || {
            if let Err(error) = waker.wake() {
                log::error!("cannot wake the event loop: {error}");
            }
        })
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
