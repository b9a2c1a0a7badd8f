//! The options of a loop: how much may be posted to it, and which platform it runs on.

use super::platform::{Lent, Mio, Platform};
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

/// Which platform the loop runs on.
pub(super) enum Choice {
    Mio,
    Given(io::Result<Rc<dyn Platform>>),
}

impl LoopOptions {
    /// A loop with a selector of its own.
    #[must_use]
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
        self,
        registry: &Registry,
        tokens: Range<usize>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        self.on_platform(Lent::new(registry, tokens, wake))
    }

    pub(crate) fn on_platform(mut self, platform: io::Result<impl Platform + 'static>) -> Self {
        self.platform =
            Choice::Given(platform.map(|platform| -> Rc<dyn Platform> { Rc::new(platform) }));
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
        match self {
            Self::Mio => Ok(Rc::new(Mio::new()?)),
            Self::Given(platform) => platform,
        }
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mio => "Mio",
            Self::Given(_) => "Given",
        })
    }
}
