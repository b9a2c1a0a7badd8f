//! When the position behind a change is saved.

/// When the position of a change is saved, and so what comes again after a crash.
///
/// | | [`AfterAck`](Self::AfterAck) | [`SeedOrder`](Self::SeedOrder) |
/// |---|---|---|
/// | saved | behind what is done in a row | each change's own point, before it is given out |
/// | given out at once | as many as the [credit](super::ChangeStream::credit) allows | one |
/// | comes again after a stop | nothing | the last change |
/// | comes again after a crash | what was not done, and what was done since the last save | the last change |
/// | a dispatch function fails | the position is before the change | the position is the change's own |
/// | nothing happens | the server's position is saved | nothing is saved, which may be lost in time |
///
/// Both give out every change at least once. A position that one mode has saved means something else to the
/// other one: `AfterAck` goes on behind it, so that a change whose dispatch has failed under `SeedOrder`
/// would be left out; `SeedOrder` has it come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CommitMode {
    /// The position behind a change counts when the change and all before it are done. It is saved as
    /// [`save_every`](super::ChangeStream::save_every) says.
    #[default]
    AfterAck,
    /// The order of the original: the change's point is saved in place of the one before, then the change is
    /// given out, and the next one waits until it is done. A watcher that starts has the saved change come
    /// again, by its time (`startAtOperationTime`), and does not save it again. An invalidate does not come
    /// again: the stream goes on behind it.
    SeedOrder,
}
