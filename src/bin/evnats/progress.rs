//! A bar that shows how far long work has come: on a terminal, and nowhere else.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar, or none.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of bytes. It hides itself if the standard error is no terminal.
    pub(crate) fn bytes(is_shown: bool) -> Self {
        Self::new(is_shown, "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
    }

    /// A bar of messages.
    pub(crate) fn messages(is_shown: bool) -> Self {
        Self::new(is_shown, "{wide_bar} {pos}/{len} {per_sec}")
    }

    fn new(is_shown: bool, template: &str) -> Self {
        let target = match is_shown {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows how much is done, of how much if that is known.
    pub(crate) fn set(&self, done: u64, all: Option<u64>) {
        if let Some(all) = all {
            // what was estimated may be less than what comes
            self.0.set_length(all.max(done));
        }
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
