//! The platform of mio: a selector of the loop's own.

use super::system::{System, Waiting};
use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::Readiness;
use mio::{Events, Poll, Token, Waker};
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

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

impl Waiting for Mio {
    fn system(&self) -> &System {
        &self.system
    }

    /// The last token is the waker's.
    fn tokens(&self) -> usize {
        usize::MAX
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
}
