//! Changes that are given out one after the other, and the one that is saved. Pure.

use crate::mongo::changes::event::ChangeEvent;
use crate::mongo::changes::point::ResumePoint;
use bson::Timestamp;
use std::collections::VecDeque;
use std::rc::Rc;

/// A change that waits for its turn, and its size.
pub(super) type Waiting = (Rc<ChangeEvent>, usize);

#[derive(Default)]
pub(super) struct Sequence {
    waiting: VecDeque<Waiting>,
    /// The point that the store has.
    saved: Option<ResumePoint>,
    /// Whether the saved change is to come again, and has not been done yet.
    is_repeating: bool,
}

impl Sequence {
    /// Takes in what the store has. Returns the time at which the stream has to begin for the saved change
    /// to come again; `None`: it does not, and the stream goes on behind the point.
    pub(super) fn resume(&mut self, saved: Option<ResumePoint>) -> Option<Timestamp> {
        self.saved = saved;
        let saved = self.saved.as_ref().filter(|saved| !saved.is_invalidate());
        let time = saved.and_then(|saved| saved.timestamp);
        self.is_repeating = time.is_some();
        time
    }

    /// Takes in what the store has, for a stream that begins elsewhere.
    pub(super) fn note_saved(&mut self, saved: Option<ResumePoint>) {
        self.saved = saved;
    }

    /// Whether the stream begins at the saved change, as far as is known.
    pub(super) fn is_repeating(&self) -> bool {
        self.is_repeating
    }

    /// The saved change is done: the stream goes on behind it.
    pub(super) fn end_repeating(&mut self) {
        self.is_repeating = false;
    }

    /// Whether a change was before the saved one, at the same time. The texts of tokens are in the order of
    /// the stream.
    pub(super) fn is_before_saved(&self, event: &ChangeEvent) -> bool {
        let Some(saved) = self.saved.as_ref().filter(|_| self.is_repeating) else { return false };
        event.cluster_time() == saved.timestamp && event.token().data() < saved.token.data()
    }

    /// Whether this change is the saved one.
    pub(super) fn is_saved(&self, event: &ChangeEvent) -> bool {
        self.saved.as_ref().is_some_and(|saved| saved.token == *event.token())
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Forgets what waits: it comes again.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn event(data: &str, increment: u32) -> ChangeEvent {
        ChangeEvent::new(rawdoc! {
            "_id": { "_data": data },
            "operationType": "insert",
            "clusterTime": Timestamp { time: 7, increment },
        })
        .expect("an event")
    }

    #[test]
    fn what_was_before_the_saved_change_at_its_time_is_told() {
        let mut sequence = Sequence::default();
        let saved = event("82B0", 1).resume_point();
        assert_eq!(sequence.resume(Some(saved)), Some(Timestamp { time: 7, increment: 1 }));
        assert!(sequence.is_before_saved(&event("82A0", 1)));
        assert!(!sequence.is_before_saved(&event("82B0", 1)));
        assert!(sequence.is_saved(&event("82B0", 1)));
        assert!(!sequence.is_before_saved(&event("82C0", 1)));
        assert!(!sequence.is_before_saved(&event("82A0", 2)), "of another time");
        sequence.end_repeating();
        assert!(!sequence.is_before_saved(&event("82A0", 1)));
    }

    #[test]
    fn what_has_no_change_to_come_again_is_gone_on_behind() {
        let mut sequence = Sequence::default();
        let mut saved = event("82B0", 1).resume_point();
        saved.operation_type = Some("invalidate".to_owned());
        assert_eq!(sequence.resume(Some(saved.clone())), None);
        saved.operation_type = None;
        saved.timestamp = None;
        assert_eq!(sequence.resume(Some(saved)), None, "a point without a change");
        assert_eq!(sequence.resume(None), None);
    }
}
