//! When a trace is complete: when every server has told what it did.
//!
//! The one that the message was published to says to how many others it has passed it on, and each of
//! them does, too. Their events come in any order, so an event counts when the one before it on the way
//! has come as well.

use super::event::TraceEvent;
use std::collections::HashSet;

/// What has come of a trace.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The ways to the servers that have told, of which the first one's is empty.
    seen: HashSet<String>,
    passed_on: u64,
}

impl Progress {
    pub(super) fn note(&mut self, event: &TraceEvent) {
        if self.seen.insert(event.hop().unwrap_or_default().to_owned()) {
            self.passed_on = self.passed_on.saturating_add(event.hops);
        }
    }

    /// Whether every server that has got the message has sent its event.
    pub(super) fn is_complete(&self) -> bool {
        let is_reached = |hop: &String| {
            let before = hop.rsplit_once('.').map_or("", |(before, _)| before);
            self.seen.contains(before)
        };
        self.seen.len() as u64 > self.passed_on && self.seen.iter().all(is_reached)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::HOP;
    use super::*;

    fn event(hop: Option<&str>, hops: u64) -> TraceEvent {
        let mut event = TraceEvent { hops, ..TraceEvent::default() };
        let header = hop.map(|hop| (HOP.to_owned(), vec![hop.to_owned()]));
        event.request.headers.extend(header);
        event
    }

    #[test]
    fn a_trace_is_complete_when_every_hop_has_come_in_whichever_order() {
        let all = [(None, 2), (Some("1"), 1), (Some("2"), 0), (Some("1.1"), 0)];
        for first in 0..all.len() {
            let mut progress = Progress::default();
            for count in 0..all.len() {
                assert!(!progress.is_complete(), "{count} from {first}");
                let (hop, hops) = all[(first + count) % all.len()];
                progress.note(&event(hop, hops));
            }
            assert!(progress.is_complete(), "from {first}");
        }
        let mut alone = Progress::default();
        assert!(!alone.is_complete());
        alone.note(&event(None, 0));
        assert!(alone.is_complete());
        let mut twice = Progress::default();
        for _ in 0..2 {
            twice.note(&event(None, 1));
            assert!(!twice.is_complete());
        }
    }
}
