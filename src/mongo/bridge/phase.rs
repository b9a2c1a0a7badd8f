//! How far the bridge's end has come.

use crate::callback::Answer;
use crate::event_loop::TimerId;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Closing {
    /// Who is told when it is over.
    pub(super) answers: VecDeque<Answer<()>>,
    pub(super) phase: Phase,
    /// When the phase is cut short.
    pub(super) timer: Option<TimerId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// What is under way may come to an outcome.
    #[default]
    Draining,
    /// The threads end.
    Ending,
    Over,
}

impl Closing {
    /// That of a bridge whose loop has ended.
    pub(super) fn over() -> Self {
        Self { phase: Phase::Over, ..Self::default() }
    }
}
