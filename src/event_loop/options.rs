//! The options of a loop: how much may be posted to it, and on what it stands.

use super::platform::{Lent, Mio, Platform, Simulated};
use crate::simulation::Simulation;
use mio::Registry;
use std::fmt;
use std::io;
use std::ops::Range;
use std::rc::Rc;

/// Options of an [`EventLoop`](crate::EventLoop):
/// `EventLoop::with_options(LoopOptions::new().max_posted(100))`.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoopOptions {
    pub(super) max_posted: usize,
    pub(super) platform: Choice,
}

/// Which platform the loop stands on.
pub(super) enum Choice {
    Mio,
    Lent(io::Result<Rc<Lent>>),
    Simulated(Simulation),
}

impl LoopOptions {
    /// A loop with a selector of its own.
    pub fn new() -> Self {
        Self { max_posted: 65_536, platform: Choice::Mio }
    }

    /// Most closures that wait because they were posted by [`Remote::post`](crate::Remote::post);
    /// more are given back. Default: 65,536.
    #[must_use]
    pub fn max_posted(mut self, max: usize) -> Self {
        self.max_posted = max;
        self
    }

    /// A loop on a selector of the host's; see [`EventLoop::on_registry`](crate::EventLoop::on_registry).
    #[must_use]
    pub fn on_registry(
        mut self,
        registry: &Registry,
        tokens: Range<usize>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        self.platform = Choice::Lent(Lent::new(registry, tokens, wake).map(Rc::new));
        self
    }

    /// A loop in a simulation, where time passes only by waiting.
    #[must_use]
    pub fn simulated(mut self, simulation: &Simulation) -> Self {
        self.platform = Choice::Simulated(simulation.clone());
        self
    }
}

impl Default for LoopOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Choice {
    pub(super) fn make(self) -> io::Result<Rc<dyn Platform>> {
        Ok(match self {
            Self::Mio => Rc::new(Mio::new()?),
            Self::Lent(lent) => lent?,
            Self::Simulated(simulation) => Rc::new(Simulated::new(simulation)?),
        })
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mio => "Mio",
            Self::Lent(_) => "Lent",
            Self::Simulated(_) => "Simulated",
        })
    }
}
