//! What a write may ask for besides: a time to live, and the revision that is purged.

use crate::jetstream::Ttl;
use crate::jetstream::wire::setters;

/// How a value is written: `WriteOptions::new().ttl(Duration::from_secs(60))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// How long the value lives. Default: as long as the bucket's own
    /// [`ttl`](crate::kv::Config::ttl) lets it.
    ///
    /// It needs server 2.11 and a bucket that takes it: one with
    /// [`per_key_ttl`](crate::kv::Config::per_key_ttl), or with
    /// [`limit_marker_ttl`](crate::kv::Config::limit_marker_ttl). With the second, a marker is left where the
    /// value was, which watches show as [`Operation::Expire`](crate::kv::Operation::Expire); without, it
    /// vanishes without a word.
    ///
    /// Servers count in whole seconds: a fraction is rounded up, and less than one second is
    /// refused. A bucket with `limit_marker_ttl` and a history of more than one value raises what is
    /// shorter than its markers live to that (ADR-43).
    pub ttl: Option<Ttl>,
}

impl WriteOptions {
    /// A value that lives as long as the bucket lets it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ttl`](Self#structfield.ttl).
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }
}

/// How a key is purged: `PurgeOptions::new().at_revision(7).ttl(Duration::from_secs(3600))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeOptions {
    /// Purges only if this is the key's last revision. Default: whatever it is.
    pub at_revision: Option<u64>,
    /// How long the tombstone stays. Nothing is left of the key after it. Default: as long as the
    /// bucket's own [`ttl`](crate::kv::Config::ttl) lets it. What it needs and how it is rounded, see
    /// [`WriteOptions::ttl`].
    pub ttl: Option<Ttl>,
}

impl PurgeOptions {
    /// A purge of whatever there is, whose tombstone stays.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ttl`](Self#structfield.ttl).
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.ttl = Some(ttl.into());
        self
    }
}

setters!(PurgeOptions {
    some at_revision: u64,
});
