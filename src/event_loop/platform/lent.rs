//! The platform on a lent selector: a host waits for events, and hands over those of the loop.

use super::system::{System, Waiting};
use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::Readiness;
use mio::{Registry, Token};
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

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

impl Waiting for Lent {
    fn system(&self) -> &System {
        &self.system
    }

    fn first_token(&self) -> usize {
        self.tokens.start
    }

    fn tokens(&self) -> usize {
        self.tokens.len()
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
}
