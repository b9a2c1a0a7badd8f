//! How a watcher is doing, and why it has stopped.

use crate::error::Error as AnyError;
use crate::mongo::changes::point::ResumePoint;
use crate::mongo::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// What a watcher does, told whenever it changes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WatchState {
    /// Another instance leads, or nobody does yet: nothing is watched until this one does. See
    /// [`WatchBuilder::lease`](super::WatchBuilder::lease).
    Standby,
    /// The stream is being opened, behind this point; `None`: with what happens from now on.
    Opening(Option<ResumePoint>),
    /// The stream is open, and changes come as they happen.
    Live,
    /// What was watched was dropped or renamed. Its last change is an `invalidate`, and the stream goes on
    /// behind that, should it be created again.
    Invalidated,
    /// The stream has failed, and is opened again after a pause.
    Waiting {
        /// What has failed.
        cause: Rc<AnyError>,
        /// How often in a row, without a change between the failures.
        failures: u32,
        /// The pause.
        pause: Duration,
    },
    /// The server does not know the position any more: everything between it and now is lost to the
    /// watcher, which goes on with what happens from now on.
    Reset {
        /// The position. `None`: there was none.
        from: Option<ResumePoint>,
        /// What the server has said.
        cause: Rc<AnyError>,
    },
    /// The server does not know the position any more, and the program is asked to read its data anew. See
    /// [`WatchBuilder::on_history_lost`](super::WatchBuilder::on_history_lost).
    Resnapshot {
        /// The position. `None`: there was none, or it could not be read.
        from: Option<ResumePoint>,
        /// What the server has said.
        cause: Rc<AnyError>,
    },
    /// The position could not be saved. It is tried again; changes come meanwhile, but in
    /// [`SeedOrder`](super::CommitMode::SeedOrder).
    SaveFailed(Rc<AnyError>),
    /// What was [published](super::WatchBuilder::publish_to) last is not acknowledged, and the stream cannot
    /// be asked what it has: there is no connection, no answer, or no leader. It is asked again and again,
    /// and changes wait meanwhile, as many as the [credit](super::ChangeStream::credit) allows. Where there
    /// is nothing to publish, nobody notices; and at the start, it is a [`Waiting`](Self::Waiting).
    SinkAway(Rc<AnyError>),
    /// The stream has told what it has, and changes are published again.
    SinkBack,
    /// Over.
    Stopped(StopReason),
}

/// Why a watcher has stopped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to.
    Stopped,
    /// A dispatch function has failed. The position is before the change.
    Dispatch(Rc<AnyError>),
    /// The server does not know the position any more, or nobody can read what is stored. It is kept as it
    /// is.
    HistoryLost(Error),
    /// The program has failed to read its data anew. The stored position is kept as it is.
    Resnapshot(Rc<AnyError>),
    /// What was watched was dropped or renamed, and the watcher was
    /// [to stop](super::ChangeStream::stop_at_invalidate) then. Its position is behind the invalidate: another watcher goes on from there.
    Invalidated,
    /// The stream has failed, and trying again would not help, or was tried as often as it should be.
    Failed(Error),
    /// Another one has saved a position for the same watcher, or publishes to the same stream. Nothing was
    /// saved over it, and nothing is published behind it.
    Fenced,
    /// The position can be neither read nor saved.
    Store(Error),
    /// It can neither lead nor wait for that any more: the bucket of the lease is gone, or what is needed is
    /// not permitted.
    Lease(Error),
    /// The stream that changes are published to cannot take them. The position is before the first one that
    /// it does not have.
    Sink(Error),
}

impl StopReason {
    /// The error that it is, unless it was asked for.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match self {
            Self::Stopped => None,
            Self::Dispatch(error) | Self::Resnapshot(error) => Some(error.to_string()),
            Self::HistoryLost(error)
            | Self::Failed(error)
            | Self::Store(error)
            | Self::Lease(error)
            | Self::Sink(error) => Some(error.to_string()),
            Self::Invalidated => Some("what was watched was dropped or renamed".to_owned()),
            Self::Fenced => Some(
                "another one has saved a position for this watcher, or publishes to its stream"
                    .to_owned(),
            ),
        }
    }
}
