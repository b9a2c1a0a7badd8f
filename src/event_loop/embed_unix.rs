//! Embedding on Unix: the loop as a descriptor, and descriptors as sources of the loop.

use super::run::EventLoop;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, event};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The loop's own descriptor, the same for as long as the loop lives: add it to a poll set of your
/// own. It becomes readable when [`dispatch`](EventLoop::dispatch) has something to do, also
/// because of a command, a timer or a post from outside a turn. Deadlines do not make it readable:
/// wait no longer than until [`next_deadline`](EventLoop::next_deadline).
///
/// A level-triggered host dispatches when it is readable. An edge-triggered one has to go on for as
/// long as `dispatch` returns `true`: what was left then makes no new edge.
///
/// A loop on a lent registry has the host's own descriptor, and one in a simulation has one that is
/// never readable.
impl<S> AsFd for EventLoop<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared().platform().descriptor()
    }
}

/// A descriptor as a source for [`Handle::add_source`](crate::Handle::add_source): standard input,
/// a pipe that signals are written to, a socket of another library.
///
/// What it wraps stays the owner of the descriptor. Regular files are no sources: the system
/// refuses them, because they are always ready.
#[derive(Debug)]
pub struct Descriptor<T>(T);

impl<T: AsFd> Descriptor<T> {
    /// Wraps the owner of a descriptor.
    pub fn new(owner: T) -> Self {
        Self(owner)
    }

    /// The owner.
    pub fn get_ref(&self) -> &T {
        &self.0
    }

    /// The owner, to read from it or to write to it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Gives the owner back.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsFd> event::Source for Descriptor<T> {
    fn register(&mut self, registry: &Registry, token: Token, of: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_fd().as_raw_fd()).register(registry, token, of)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, of: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_fd().as_raw_fd()).reregister(registry, token, of)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.0.as_fd().as_raw_fd()).deregister(registry)
    }
}
