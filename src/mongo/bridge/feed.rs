//! The end of a stream that is in the driver's thread.

use super::id::Id;
use super::line::Line;
use super::outbox::{Left, Outbox};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// Where a stream's items go.
pub(in crate::mongo) struct Feed<T> {
    pub(super) id: Id,
    pub(super) outbox: Arc<Outbox>,
    pub(super) line: Arc<Line>,
    pub(super) item: PhantomData<fn(T)>,
}

/// The consumer wants no more.
#[derive(Debug)]
pub(in crate::mongo) struct Stopped;

impl<T: Send + 'static> Feed<T> {
    /// Sends an item of so many bytes, when there is room for it.
    pub(in crate::mongo) async fn send(&self, item: T, bytes: usize) -> Result<(), Stopped> {
        if !self.line.take_credit(bytes).await {
            return Err(Stopped);
        }
        self.outbox.leave(Left::Item { id: self.id, item: Box::new(item), bytes });
        Ok(())
    }

    pub(in crate::mongo) fn is_stopped(&self) -> bool {
        self.line.is_stopped()
    }

    /// Waits for an answer of the server, whose silence is noticed meanwhile.
    pub(in crate::mongo) async fn hear<R>(&self, answer: impl Future<Output = R>) -> R {
        self.line.set_waiting(Some(Instant::now()));
        let answer = answer.await;
        self.line.set_waiting(None);
        answer
    }
}
