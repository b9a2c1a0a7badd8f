//! An ingest that stalls is ended: the stream acknowledges so many messages at once and not fewer, and what is
//! to be read next may have to wait until some are.

use super::running::Sink;
use crate::callback::State;
use std::rc::Rc;
use std::time::Duration;

/// When nothing was added to an ingest for so long, it is ended.
const STALLED_AFTER: Duration = Duration::from_millis(50);

impl Sink {
    /// Ends the ingest if nothing is added for a while.
    pub(super) fn look_after_ingest(self: &Rc<Self>) {
        let mut work = self.work.borrow_mut();
        let Some(ingesting) = &mut work.ingesting else { return };
        if ingesting.is_finishing || std::mem::replace(&mut ingesting.is_looked_after, true) {
            return;
        }
        let (sink, place, added) = (Rc::downgrade(self), ingesting.place, ingesting.added);
        let look = move |_: &mut State| {
            if let Some(sink) = sink.upgrade().filter(|sink| sink.is_at(place)) {
                sink.look_at_ingest(added);
            }
            Ok(())
        };
        self.api.port().set_timer(STALLED_AFTER, Box::new(look));
    }

    /// `added`: how many messages the ingest had a while ago.
    fn look_at_ingest(self: &Rc<Self>, added: u64) {
        let mut work = self.work.borrow_mut();
        let is_out = work.row.number().is_none();
        let Some(ingesting) = &mut work.ingesting else { return };
        ingesting.is_looked_after = false;
        let is_stalled = is_out && ingesting.added == added;
        drop(work);
        match is_stalled {
            true => self.finish_ingest(),
            false if is_out => self.look_after_ingest(),
            // when more is added
            false => {}
        }
    }
}
