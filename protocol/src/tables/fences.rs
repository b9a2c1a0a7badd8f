//! The fence queue: one entry for every `PING` on the wire, matched to `PONG`s in order.
//!
//! Every `PING` has an entry, the keep-alive's too, or a flush would complete on another one's
//! `PONG`. A fence that timed out keeps its position, for the `PONG` that may still arrive. It
//! writes nothing and reads no clock.

use super::deadlines::Deadlines;
use super::subscriptions::SubscriptionId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Room for so many fences is not worth freeing.
const KEPT: usize = 1024;

#[derive(Debug)]
pub(crate) struct Fence<F> {
    pub(crate) purpose: Purpose<F>,
    /// When the `PING` was handed to the transport.
    pub(crate) sent: Option<Instant>,
    /// Where its `PING` ends in the outgoing stream.
    position: u64,
}

#[derive(Debug)]
pub(crate) enum Purpose<F> {
    KeepAlive,
    /// The user is waiting for it.
    Flush {
        context: F,
        timeout: Duration,
    },
    /// It has timed out. A drained subscription still ends with it.
    TimedOut {
        drained: Option<SubscriptionId>,
    },
    /// After it, a subscription gets no more messages.
    Drain {
        subscription: SubscriptionId,
        context: F,
        timeout: Duration,
    },
    /// After it, no subscription gets messages.
    DrainAll,
    /// After it, the server has delivered all that it had, and another one takes its place.
    Leave,
    /// After it, the connection is drained.
    Final,
}

#[derive(Debug)]
pub(crate) struct Fences<F> {
    queue: VecDeque<Fence<F>>,
    /// The number of the first fence in the queue.
    first: u64,
    /// Number of fences that the user is waiting for.
    waiting: usize,
    deadlines: Deadlines<u64>,
}

impl<F> Default for Fences<F> {
    fn default() -> Self {
        let deadlines = Deadlines::default();
        Self { queue: VecDeque::new(), first: 0, waiting: 0, deadlines }
    }
}

impl<F> Fences<F> {
    /// A fence whose `PING` ends at this position of the outgoing stream.
    pub(crate) fn push(&mut self, purpose: Purpose<F>, position: u64) {
        self.waiting += usize::from(purpose.timeout().is_some());
        self.queue.push_back(Fence { purpose, sent: None, position });
    }

    /// The `PING` of the fence with this place in the queue ends elsewhere from now on.
    pub(crate) fn set_position(&mut self, place: usize, position: u64) {
        if let Some(fence) = self.queue.get_mut(place) {
            fence.position = position;
        }
    }

    /// The fence that a `PONG` answers, given that the stream up to `sent` has been written. A `PONG`
    /// that nobody has asked for answers none.
    pub(crate) fn pop_answered(&mut self, sent: u64) -> Option<Fence<F>> {
        self.queue.front().filter(|fence| fence.position <= sent)?;
        self.pop()
    }

    /// The first fence.
    pub(crate) fn pop(&mut self) -> Option<Fence<F>> {
        let fence = self.queue.pop_front()?;
        // the memory of a peak
        if self.queue.capacity() > KEPT && self.queue.len() < self.queue.capacity() / 4 {
            self.queue.shrink_to(2 * self.queue.len());
        }
        self.first += 1;
        self.waiting -= usize::from(fence.purpose.timeout().is_some());
        Some(fence)
    }

    /// Starts the clocks of the fences set since the last call.
    #[inline]
    pub(crate) fn arm(&mut self, now: Instant) {
        if self.has_unarmed() {
            self.arm_last(now);
        }
    }

    fn arm_last(&mut self, now: Instant) {
        let unarmed = self.queue.iter().rev().take_while(|fence| fence.sent.is_none()).count();
        for offset in self.queue.len() - unarmed..self.queue.len() {
            let fence = &mut self.queue[offset];
            fence.sent = Some(now);
            let Some(timeout) = fence.purpose.timeout() else { continue };
            let Some(deadline) = now.checked_add(timeout) else { continue };
            let (queue, first) = (&self.queue, self.first);
            let is_live = |number| is_waiting(queue, first, number);
            self.deadlines.push(deadline, first + offset as u64, self.waiting, is_live);
        }
    }

    /// Times a fence out but keeps its position, so later `PONG`s still match.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Purpose<F>> {
        loop {
            let number = self.deadlines.pop_due(now)?;
            if is_waiting(&self.queue, self.first, number) {
                self.waiting -= 1;
                let fence = &mut self.queue[(number - self.first) as usize];
                let drained = match &fence.purpose {
                    Purpose::Drain { subscription, .. } => Some(*subscription),
                    _ => None,
                };
                return Some(std::mem::replace(&mut fence.purpose, Purpose::TimedOut { drained }));
            }
        }
    }

    /// Forgets the fences that have timed out, while none of them has been sent. Returns for each
    /// fence whether it is left.
    pub(crate) fn sweep(&mut self) -> Vec<bool> {
        let is_left =
            |fence: &Fence<F>| !matches!(fence.purpose, Purpose::TimedOut { drained: None });
        let left: Vec<bool> = self.queue.iter().map(is_left).collect();
        if left.contains(&false) {
            self.queue.retain(is_left);
            // they have other numbers now
            self.deadlines.clear();
            for (offset, fence) in self.queue.iter().enumerate() {
                let times = fence.sent.zip(fence.purpose.timeout());
                if let Some(deadline) = times.and_then(|(sent, timeout)| sent.checked_add(timeout))
                {
                    self.deadlines
                        .push(deadline, self.first + offset as u64, self.waiting, |_| true);
                }
            }
        }
        left
    }

    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        let (queue, first) = (&self.queue, self.first);
        self.deadlines.next(self.waiting, |number| is_waiting(queue, first, number))
    }

    pub(crate) fn has_unarmed(&self) -> bool {
        self.queue.back().is_some_and(|fence| fence.sent.is_none())
    }

    /// Whether the user is waiting for fences.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting > 0
    }
}

impl<F> Purpose<F> {
    fn timeout(&self) -> Option<Duration> {
        match self {
            Purpose::Flush { timeout, .. } | Purpose::Drain { timeout, .. } => Some(*timeout),
            _ => None,
        }
    }
}

fn is_waiting<F>(queue: &VecDeque<Fence<F>>, first: u64, number: u64) -> bool {
    let offset = number.checked_sub(first).and_then(|offset| usize::try_from(offset).ok());
    offset.and_then(|offset| queue.get(offset)).is_some_and(|f| f.purpose.timeout().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn context(purpose: Purpose<u32>) -> Option<u32> {
        match purpose {
            Purpose::Flush { context, .. } => Some(context),
            _ => None,
        }
    }

    #[test]
    fn a_fence_that_timed_out_keeps_its_place() {
        let mut fences = Fences::default();
        let now = Instant::now();
        fences.push(Purpose::Flush { context: 1, timeout: SECOND }, 0);
        fences.push(Purpose::KeepAlive, 0);
        fences.push(Purpose::Flush { context: 2, timeout: 2 * SECOND }, 0);
        assert!(fences.has_unarmed());
        fences.arm(now);
        assert_eq!(fences.next_deadline(), Some(now + SECOND));
        assert_eq!(fences.take_due(now + SECOND).and_then(context), Some(1));
        assert!(matches!(fences.pop().unwrap().purpose, Purpose::TimedOut { .. }));
        assert!(matches!(fences.pop().unwrap().purpose, Purpose::KeepAlive));
        assert!(fences.is_waited_for());
        assert_eq!(context(fences.pop().unwrap().purpose), Some(2));
        assert!(!fences.is_waited_for());
        assert!(fences.take_due(now + 9 * SECOND).is_none());
        assert!(fences.pop().is_none());
    }
}
