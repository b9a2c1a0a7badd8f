//! Waiting for what is to happen.

use std::time::{Duration, Instant};

/// How long a test waits for an event before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Polls for an event.
#[track_caller]
pub(crate) fn wait_for(event: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {event}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
