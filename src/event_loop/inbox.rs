//! The inbox: what other threads have posted to the loop, in order and bounded.

use super::alarm::Alarm;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a closure could not be posted, and the closure.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostError<F> {
    /// As many closures as the loop takes are waiting. The loop may be busy or stuck; post again
    /// later.
    Full(F),
    /// The loop is gone.
    Ended(F),
}

impl<F> PostError<F> {
    /// The closure.
    pub fn into_inner(self) -> F {
        match self {
            Self::Full(closure) | Self::Ended(closure) => closure,
        }
    }
}

impl<F> fmt::Debug for PostError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Ended(_) => "Ended(..)",
        })
    }
}

impl<F> fmt::Display for PostError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many closures are waiting for the event loop",
            Self::Ended(_) => "the event loop is gone",
        })
    }
}

impl<F> std::error::Error for PostError<F> {}

pub(super) struct Inbox<P> {
    queue: Mutex<Queue<P>>,
    /// How many closures are in the queue: set with the queue locked, and read in every turn without.
    len: AtomicUsize,
    limit: usize,
    alarm: Arc<Alarm>,
}

struct Queue<P> {
    posted: VecDeque<P>,
    is_closed: bool,
}

impl<P> Inbox<P> {
    pub(super) fn new(limit: usize, alarm: Arc<Alarm>) -> Self {
        let queue = Queue { posted: VecDeque::new(), is_closed: false };
        Self { queue: Mutex::new(queue), len: AtomicUsize::new(0), limit, alarm }
    }

    pub(super) fn alarm(&self) -> &Arc<Alarm> {
        &self.alarm
    }

    /// Posts a closure. `boxed` makes it fit once it is clear that there is room.
    pub(super) fn post<F>(
        &self,
        closure: F,
        boxed: impl FnOnce(F) -> P,
    ) -> Result<(), PostError<F>> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(PostError::Ended(closure));
        }
        if queue.posted.len() >= self.limit {
            return Err(PostError::Full(closure));
        }
        queue.posted.push_back(boxed(closure));
        self.note_len(&queue);
        drop(queue);
        self.alarm.ring();
        Ok(())
    }

    /// Whether nothing was posted. A post that rang the [alarm](Alarm) is seen.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> Option<P> {
        let mut queue = self.queue();
        let posted = queue.posted.pop_front();
        self.note_len(&queue);
        posted
    }

    /// Refuses what is posted from now on, and drops what waits.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.is_closed = true;
        let posted = std::mem::take(&mut queue.posted);
        self.note_len(&queue);
        drop(queue);
        drop(posted);
    }

    fn note_len(&self, queue: &Queue<P>) {
        self.len.store(queue.posted.len(), Ordering::SeqCst);
    }

    /// No code that can panic runs while the queue is locked, except for the allocator.
    fn queue(&self) -> MutexGuard<'_, Queue<P>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
