//! A watcher that stands for an election.

use crate::callback::{State, handed};
use crate::kv::{ElectionOptions, KeyValue};
use crate::mongo::changes::lease::Lease;
use crate::mongo::changes::watch::{Phase, Watch};
use std::rc::Rc;

/// What a watcher stands for an election with.
pub(super) struct Candidature<S: 'static> {
    pub(super) bucket: KeyValue<S>,
    pub(super) key: String,
    pub(super) options: ElectionOptions,
}

impl<S: 'static> Candidature<S> {
    /// Has the watcher load its position when it leads.
    pub(super) fn begin(self, watch: &Rc<Watch>) {
        watch.enter(Phase::Standby);
        let told = watch.clone();
        let stand_by = move |state: &mut State, ()| told.tell_standby(state);
        watch.bridge.defer(Box::new(stand_by), ());
        let told = watch.clone();
        let election =
            self.bucket.election(&self.key, self.options, move |state: &mut S, _, event| {
                told.handle_election(state, event).map_err(|error| *error)
            });
        let (leading, resigning) = (election.clone(), election);
        watch.lease.replace(Some(Lease {
            is_leading: Box::new(move || leading.is_leading()),
            resign: Box::new(move |answer| resigning.stop(handed(answer))),
        }));
    }
}
