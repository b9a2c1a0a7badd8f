//! The way that chunks go: by fast ingest, or in a window. A lane that fails is left, and another one
//! taken.

use crate::jetstream::{ApiError, Error, ErrorCode, Ingest, Window};
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

/// Whether what has ended a lane may not end the next one: that messages were lost, that a server which was
/// started again does not know of an ingest, or that the inbox of one is not permitted. A stream that is not found is one that nobody leads: the bucket was
/// there when the put began, and servers that have just started may not know of it yet.
pub(super) fn may_pass_with_another(error: &Error) -> bool {
    let code = error.api().map(ApiError::err_code);
    let is_of_the_lane = matches!(
        error,
        Error::NoStream { .. } | Error::InboxDenied | Error::IngestEnded { cause: None, .. }
    );
    is_of_the_lane || code == Some(ErrorCode::BATCH_PUBLISH_UNKNOWN_BATCH_ID)
}

/// What has ended an ingest, if it is known.
pub(super) fn cause_of(error: Error) -> Error {
    match error {
        Error::IngestEnded { cause: Some(cause), .. } => *cause,
        error => error,
    }
}
