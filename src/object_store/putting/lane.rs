//! The way that chunks go: by fast ingest, or in a window. A lane that fails is left, and another one
//! taken.

use crate::jetstream::{Error, Ingest, Window};
use std::rc::Rc;

/// So many bytes are on their way at once.
const BYTES_UNDER_WAY: usize = 4 << 20;

/// So many chunks are on their way at once, however small they are.
const CHUNKS_UNDER_WAY: usize = 1_000;

pub(super) enum Lane {
    Window(Rc<Window>),
    Ingest(Rc<Ingest>),
}

/// How many chunks of a size may be without an acknowledgement.
pub(super) fn chunks_under_way(chunk_size: usize) -> usize {
    (BYTES_UNDER_WAY / chunk_size.max(1)).clamp(2, CHUNKS_UNDER_WAY)
}

impl Lane {
    /// Lets go of the hooks, which hold who has set them.
    pub(super) fn leave(&self) {
        match self {
            Self::Window(window) => drop(window.hooks.ready.take()),
            Self::Ingest(ingest) => {
                drop((ingest.hooks.ready.take(), ingest.hooks.ended.take()));
            }
        }
    }
}

/// What has ended an ingest, if it is known.
pub(super) fn cause_of(error: Error) -> Error {
    match error {
        Error::IngestEnded { cause: Some(cause), .. } => *cause,
        error => error,
    }
}
