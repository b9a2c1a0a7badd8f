//! For how long a listing waits without hearing anything: for the time of a request, however long it
//! takes as a whole.

use crate::callback::{Ran, State};
use crate::event_loop::TimerId;
use crate::jetstream::api::Api;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Servers take none that is shorter.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);
const MAX_HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) struct Patience {
    api: Api,
    /// When something was last heard, to tell what is long from what is stuck.
    heard: Cell<Instant>,
    timer: Cell<Option<TimerId>>,
}

impl Patience {
    pub(crate) fn new(api: &Api) -> Rc<Self> {
        let heard = Cell::new(api.port().now());
        Rc::new(Self { api: api.clone(), heard, timer: Cell::new(None) })
    }

    /// How often an idle consumer has to be heard of: well before the listing counts as stuck.
    pub(crate) fn heartbeat(&self) -> Duration {
        heartbeat_within(self.api.timeout())
    }

    pub(crate) fn note_progress(&self) {
        self.heard.set(self.api.port().turn_time());
    }

    /// Runs the callback when nothing has been heard for the time of a request, unless
    /// it is [over](Self::end) before.
    pub(crate) fn begin(self: &Rc<Self>, on_timeout: impl FnOnce(&mut State) -> Ran + 'static) {
        self.wait(self.api.timeout(), on_timeout);
    }

    fn wait(
        self: &Rc<Self>,
        delay: Duration,
        on_timeout: impl FnOnce(&mut State) -> Ran + 'static,
    ) {
        let patience = self.clone();
        let on_time = move |state: &mut State| {
            let port = patience.api.port();
            let end = patience.heard.get() + patience.api.timeout();
            let left = end.saturating_duration_since(port.turn_time());
            if left > Duration::ZERO {
                patience.wait(left, on_timeout);
                return Ok(());
            }
            on_timeout(state)
        };
        self.timer.set(Some(self.api.port().set_deadline(delay, Box::new(on_time))));
    }

    pub(crate) fn end(&self) {
        if let Some(timer) = self.timer.take() {
            self.api.port().cancel_timer(timer);
        }
    }
}

/// How often an idle consumer has to be heard of, by whoever waits for so long.
pub(crate) fn heartbeat_within(timeout: Duration) -> Duration {
    (timeout / 4).clamp(MIN_HEARTBEAT, MAX_HEARTBEAT)
}
