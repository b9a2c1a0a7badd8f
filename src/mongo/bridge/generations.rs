//! The generation that new jobs go to, and those before it that still have something to do.

use super::generation::{Generation, Job};
use super::outbox::Outbox;
use crate::mongo::error::Error;
use crate::mongo::options::Options;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Generations {
    current: Option<Generation>,
    retired: Vec<Generation>,
    next_number: u64,
}

impl Generations {
    /// Starts one, which the jobs go to from now on. The one before ends with the last of its calls.
    pub(super) fn renew(&mut self, options: &Options, outbox: &Arc<Outbox>) -> Result<(), Error> {
        let generation = Generation::start(self.next_number, options, outbox)?;
        self.next_number += 1;
        if let Some(mut old) = self.current.replace(generation) {
            if old.under_way == 0 {
                old.end();
            }
            self.retired.push(old);
        }
        Ok(())
    }

    /// The number of the current one, which has one more under way.
    pub(super) fn begin(&mut self) -> Option<u64> {
        let current = self.current.as_mut()?;
        current.under_way += 1;
        Some(current.number)
    }

    /// Hands a job to the current one.
    pub(super) fn run(&self, job: Job) {
        if let Some(current) = &self.current {
            current.run(job);
        }
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.current.as_ref().is_some_and(|current| current.number == number)
    }

    /// Something of a generation has an outcome. A retired one ends with its last.
    pub(super) fn finish(&mut self, number: u64) {
        let is_current = self.is_current(number);
        let mut all = self.current.iter_mut().chain(&mut self.retired);
        let Some(generation) = all.find(|own| own.number == number) else { return };
        generation.under_way = generation.under_way.saturating_sub(1);
        if generation.under_way == 0 && !is_current {
            generation.end();
        }
    }

    /// Takes out the one whose thread has ended. It is the current one only if its thread has died.
    pub(super) fn take_gone(&mut self, number: u64) -> Option<Generation> {
        if self.is_current(number) {
            return self.current.take();
        }
        let index = self.retired.iter().position(|own| own.number == number)?;
        Some(self.retired.swap_remove(index))
    }

    /// Has all of them end.
    pub(super) fn end(&mut self) {
        self.retired.extend(self.current.take());
        self.retired.iter_mut().for_each(Generation::end);
    }

    /// Leaves threads that do not end to themselves.
    pub(super) fn detach(self) {
        self.current.into_iter().chain(self.retired).for_each(Generation::detach);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.retired.is_empty()
    }
}
