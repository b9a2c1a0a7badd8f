//! What is watched, as the layer above knows it: a bucket.

use crate::jetstream::api::Api;
use crate::jetstream::error::Error;
use crate::jetstream::manage::StreamInfo;
use crate::jetstream::stall::Stall;
use std::time::Instant;

/// A bucket: its stream, and what is told of a watch in its terms.
pub(crate) trait Watched: 'static {
    type Error: 'static;
    /// What a watch reports: what the messages show, and what is told beside that.
    type Update: From<Told<Self::Error>> + 'static;

    fn api(&self) -> &Api;

    /// The stream's name.
    fn stream(&self) -> &str;

    /// What an error of JetStream means here.
    fn error(&self, error: Error) -> Self::Error;

    /// Whether the same question may have an answer later, or nobody is left to ask it.
    fn is_unanswered(error: &Self::Error) -> bool;

    /// Takes what is known of the stream, unless it is none that can be watched.
    fn note_stream(&self, info: &StreamInfo) -> Result<(), Self::Error>;
}

/// What a watch tells beside what it shows.
#[derive(Debug)]
pub(crate) enum Told<E> {
    /// Everything that there was has been shown. Comes once.
    Initialized,
    /// There is no consumer, since then, and another one is made.
    Recreating { since: Instant },
    /// There is a consumer again.
    Live,
    /// Nothing comes at the moment, for this reason.
    Stalled(Stall),
    /// What was told with `Stalled` is over.
    Resumed,
    /// The watch is over, and this is why. The last report.
    Ended(E),
}
