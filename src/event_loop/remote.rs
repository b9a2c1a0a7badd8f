//! The way in from other threads: closures posted to the loop, which runs them in its next turn.

use super::{Handle, Shared};
use crate::callback::{State, Task, lend};
use crate::error::Result;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use crate::callback::Outcome;

type Posted = Box<dyn FnOnce(&mut State, &Rc<Shared>) -> Result<()> + Send>;

/// A handle to an [`EventLoop`](crate::EventLoop) for other threads.
///
/// It does not keep the loop running: what is posted to a loop that has ended is dropped.
pub struct Remote<S: 'static = ()> {
    sender: Sender<Posted>,
    waker: Arc<Waker>,
    state: PhantomData<fn(&mut S)>,
}

/// Wakes the loop from another thread, and tells it that something was posted.
#[derive(Debug)]
pub(crate) struct Waker {
    waker: mio::Waker,
    posted: AtomicUsize,
}

impl<S: 'static> Remote<S> {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Self { sender: inbox.sender.clone(), waker: inbox.waker.clone(), state: PhantomData }
    }

    /// Has the loop's thread run a closure in its next turn.
    ///
    /// # Errors
    /// The loop is gone, and the closure dropped, or it could not be woken.
    pub fn post(&self, closure: impl Task<S, Handle<S>> + Send) -> io::Result<()> {
        self.waker.posted.fetch_add(1, Ordering::Release);
        let posted: Posted = Box::new(move |state, shared| {
            closure(lend(state), &Handle::new(shared.clone())).into_result()
        });
        if self.sender.send(posted).is_err() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the event loop is gone"));
        }
        self.waker.wake()
    }
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }
}

impl<S> Clone for Remote<S> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waker: self.waker.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for Remote<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

/// The loop's end of its remotes.
pub(super) struct Inbox {
    /// Taken when the loop ends, so that remotes learn of it.
    receiver: RefCell<Option<Receiver<Posted>>>,
    sender: Sender<Posted>,
    waker: Arc<Waker>,
}

impl Inbox {
    pub(super) fn new(waker: mio::Waker) -> Self {
        let (sender, receiver) = channel();
        let waker = Arc::new(Waker { waker, posted: AtomicUsize::new(0) });
        Self { receiver: RefCell::new(Some(receiver)), sender, waker }
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waker.posted.load(Ordering::Acquire) == 0
    }

    /// Runs what had been posted when the call came; what is posted meanwhile has the next turn.
    pub(super) fn run(&self, state: &mut State, shared: &Rc<Shared>) -> Result<()> {
        for _ in 0..self.waker.posted.load(Ordering::Acquire) {
            let posted = self.receiver.borrow().as_ref().and_then(|inbox| inbox.try_recv().ok());
            let Some(closure) = posted else { return Ok(()) };
            self.waker.posted.fetch_sub(1, Ordering::AcqRel);
            closure(state, shared)?;
        }
        Ok(())
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.receiver.borrow().is_none()
    }

    pub(super) fn abandon(&self) {
        let receiver = self.receiver.borrow_mut().take();
        drop(receiver);
    }
}
