//! What a loop needs of its platform.

use crate::event_loop::alarm::Wake;
use crate::event_loop::readiness::{Readiness, SetReadiness};
use crate::event_loop::selector::Selector;
use crate::event_loop::transport::Transport;
use mio::Token;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

pub(crate) trait Platform: Selector {
    fn now(&self) -> Instant;

    /// The time of day, for others to read.
    fn system_time(&self) -> SystemTime;

    /// A number that nobody can guess, unless it is simulated.
    fn random(&self) -> u64;

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

    /// Takes an event of a selector that was lent. Returns whether it is the loop's.
    fn handle_event(&self, _event: &mio::event::Event) -> bool {
        false
    }

    /// Looks a host name up without blocking, and reports through `done` when there is an answer.
    fn look_up(&self, host: &str, port: u16, done: SetReadiness) -> io::Result<Box<dyn LookUp>>;

    /// Begins to connect.
    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Transport>>;

    /// Begins to connect to a Unix socket.
    fn connect_unix(&self, path: &Path) -> io::Result<Box<dyn Transport>>;

    /// The descriptor that is readable when there are events.
    #[cfg(unix)]
    fn descriptor(&self) -> BorrowedFd<'_>;
}

/// A name that is being looked up. Dropping it gives the answer up.
pub(crate) trait LookUp {
    /// The answer, once there is one.
    fn poll(&mut self) -> Option<io::Result<Vec<SocketAddr>>>;
}
