//! What a watcher counts that publishes its changes.

/// What has become of the messages that a watcher [publishes](super::WatchBuilder::publish_to), since it was
/// started. Nothing is lost as long as it runs; these tell what that has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SinkMetrics {
    /// Messages that the stream has acknowledged, each at the sequence that it was meant for.
    pub stored: u64,
    /// Those among them that went by fast ingest.
    pub ingested: u64,
    /// Messages that the stream turned out to have, though no acknowledgement had told so: its last message
    /// did, or its memory of ids. They were not stored again.
    pub deduplicated: u64,
    /// Changes that another instance had stored meanwhile. They were left out.
    pub left_out: u64,
    /// Messages that were sent again, because the stream turned out not to have them.
    pub resent: u64,
    /// How often the stream was asked what it has, because an acknowledgement was missing or a message was
    /// refused.
    pub recoveries: u64,
    /// Batches that the stream did not take, and that went out as ordinary messages.
    pub unbatched: u64,
}
