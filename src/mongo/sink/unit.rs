//! What is stored at once, and what is known of that.

use super::draft::Draft;

/// What is stored at once: a message, or several as an atomic batch.
pub(super) struct Unit {
    pub(super) drafts: Vec<Draft>,
    pub(super) is_batch: bool,
    /// Where its last message is expected to be stored.
    pub(super) ends_at: u64,
    pub(super) is_stored: bool,
    /// Whether it was sent, and is not known not to be stored.
    pub(super) is_out: bool,
    /// Where the stream says that it has been before.
    pub(super) known_at: Option<u64>,
}

impl Unit {
    pub(super) fn one(draft: Draft) -> Self {
        Self::new(vec![draft], false)
    }

    pub(super) fn batch(drafts: Vec<Draft>) -> Self {
        Self::new(drafts, true)
    }

    pub(super) fn new(drafts: Vec<Draft>, is_batch: bool) -> Self {
        Self { drafts, is_batch, ends_at: 0, is_stored: false, is_out: false, known_at: None }
    }

    pub(super) fn count(&self) -> u64 {
        self.drafts.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.drafts.iter().map(Draft::len).sum()
    }

    /// Its messages stay counted.
    pub(super) fn settle(&mut self) {
        self.is_stored = true;
        self.drafts.iter_mut().for_each(Draft::settle);
    }
}
