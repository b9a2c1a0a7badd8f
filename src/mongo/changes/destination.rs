//! What a watcher and the place that its changes go to tell each other, where that place has a position of
//! its own.

use crate::mongo::changes::point::ResumePoint;
use bson::Timestamp;

/// Where a watcher begins, as the place says that its changes go to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::mongo) enum Beginning {
    /// The place has no position.
    Unknown,
    /// Behind what the place has.
    After(ResumePoint),
    /// At a time, inclusive.
    At(Timestamp),
}

/// What a watcher tells beside its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mongo) enum News {
    /// The server has nothing more at the moment.
    Idle,
    /// Nothing more comes of this stream. What is not on its way yet is to be
    /// [withdrawn](super::Ack::withdraw).
    Over,
    /// The watcher has ended, or does not lead any more. In that case it asks again where to begin.
    Stopped,
}
