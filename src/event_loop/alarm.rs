//! The alarm: wakes the loop from wherever something was left for it, once for however many
//! reasons.
//!
//! Invariant: a thread that leaves something for the loop first and rings afterward is heard. The loop
//! is asleep from the moment before it looks for work and then waits, also while a host does the
//! waiting; only the first ring in that time costs a system call. The alarm does not say what was
//! left: the loop looks everywhere.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Wakes the thread that waits for the loop's events.
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Alarm {
    state: AtomicU8,
    wake: Wake,
    /// How many guards keep `run` going.
    guards: AtomicUsize,
}

const ASLEEP: u8 = 0;
const AWAKE: u8 = 1;
const RUNG: u8 = 2;

impl Alarm {
    /// The alarm of a loop that is not in a turn.
    pub(crate) fn new(wake: Wake) -> Self {
        Self { state: AtomicU8::new(ASLEEP), wake, guards: AtomicUsize::new(0) }
    }

    pub(crate) fn ring(&self) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            (self.wake)();
        }
    }

    /// The loop runs: it looks for work by itself before it waits.
    pub(super) fn set_awake(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    /// The loop, or its host, is about to wait. What was left before is seen by looking now.
    pub(super) fn set_asleep(&self) {
        self.state.store(ASLEEP, Ordering::SeqCst);
    }

    pub(super) fn add_guard(&self) {
        self.guards.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn remove_guard(&self) {
        if self.guards.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.ring();
        }
    }

    pub(super) fn has_guards(&self) -> bool {
        self.guards.load(Ordering::SeqCst) > 0
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn counting() -> (Alarm, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let wake = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        (Alarm::new(Box::new(wake)), count)
    }

    #[test]
    fn a_sleeping_loop_is_woken_once_for_many_rings() {
        let (alarm, count) = counting();
        (0..1000).for_each(|_| alarm.ring());
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_loop_that_runs_is_not_woken() {
        let (alarm, count) = counting();
        alarm.set_awake();
        (0..1000).for_each(|_| alarm.ring());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        alarm.set_asleep();
        alarm.ring();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_last_guard_wakes_the_loop() {
        let (alarm, count) = counting();
        alarm.add_guard();
        alarm.add_guard();
        alarm.remove_guard();
        assert!(alarm.has_guards());
        assert_eq!(count.load(Ordering::SeqCst), 0);
        alarm.remove_guard();
        assert!(!alarm.has_guards());
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
