//! The platform: the one place from which the loop has its clock, its randomness, its events, its
//! connections and the addresses of names.
//!
//! There are three: the system's, by way of mio; the same with a selector that a host lends and
//! waits on; and a simulated one, in which time passes only by waiting. Nothing above asks the
//! system for any of these.

mod lent;
mod mio;
mod random;
mod resolver;
mod simulated;
mod system;

pub(super) use self::lent::Lent;
pub(super) use self::mio::Mio;
pub(super) use self::simulated::Simulated;

use super::alarm::Wake;
use super::readiness::{Readiness, SetReadiness};
use crate::client::Transport;
use ::mio::{Registry, Token};
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

pub(crate) trait Platform {
    fn now(&self) -> Instant;

    /// Fills a buffer from a source that nobody can guess, unless it is simulated.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Waits for events, for at most `timeout`, and reports each by the index of its token. Returns
    /// whether there may be more of them now. An interrupted wait is one without events.
    fn wait(
        &self,
        timeout: Option<Duration>,
        report: &mut dyn FnMut(Token, Readiness),
    ) -> io::Result<bool>;

    /// Whether [`wait`](Self::wait) waits, and not the host.
    fn can_wait(&self) -> bool {
        true
    }

    /// What ends a wait from another thread. Taken once, when the loop is made.
    fn waker(&self) -> Wake;

    fn registry(&self) -> Option<&Registry>;

    /// Tokens are this one and those after it.
    fn first_token(&self) -> usize {
        0
    }

    /// How many tokens there are.
    fn tokens(&self) -> usize {
        usize::MAX
    }

    /// Takes an event of a selector that was lent. Returns whether it is the loop's.
    fn handle_event(&self, _event: &::mio::event::Event) -> bool {
        false
    }

    /// Whether the process is not the one that made the loop.
    fn is_forked(&self) -> bool {
        false
    }

    /// Looks a host name up without blocking, and reports through `done` when there is an answer.
    fn look_up(&self, host: &str, port: u16, done: SetReadiness) -> io::Result<Box<dyn LookUp>>;

    /// Begins to connect.
    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>>;

    /// Begins to connect to a Unix socket.
    fn connect_unix(&self, path: &str) -> io::Result<Box<dyn Transport>>;

    /// The descriptor that is readable when there are events.
    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// A name that is being looked up. Dropping it gives the answer up.
pub(crate) trait LookUp {
    /// The answer, once there is one.
    fn poll(&mut self) -> Option<io::Result<Vec<SocketAddr>>>;
}

impl dyn Platform {
    pub(crate) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_ne_bytes(bytes)
    }
}
