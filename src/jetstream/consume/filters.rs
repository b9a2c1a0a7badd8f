//! The filters of an ordered consumer, as servers want them.

use crate::jetstream::manage::{ConsumerConfig, ConsumerInfo, DeliverPolicy};

/// Returns the members `filter_subject` and `filter_subjects` of a consumer of these subjects. None:
/// all of them.
pub(super) fn configured(
    subjects: &[String],
    deliver_policy: &DeliverPolicy,
) -> (Option<String>, Vec<String>) {
    match subjects {
        // the server refuses this policy without a filter (10094)
        [] if *deliver_policy == DeliverPolicy::LastPerSubject => (Some(">".into()), vec![]),
        [] => (None, vec![]),
        [subject] => (Some(subject.clone()), vec![]),
        subjects => (None, subjects.to_vec()),
    }
}

/// Whether the server has dropped several filters without a word, as 2.9 does.
pub(super) fn are_ignored(subjects: &[String], info: &ConsumerInfo) -> bool {
    let has_none = |config: &ConsumerConfig| config.filter_subjects.is_empty();
    subjects.len() > 1 && info.config.as_ref().is_some_and(has_none)
}
