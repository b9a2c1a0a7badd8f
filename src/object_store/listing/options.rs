//! What of a bucket is listed.

/// Which objects are listed: `ListOptions::new().include_deleted()`. Default: those that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    pub(super) include_deleted: bool,
}

impl ListOptions {
    /// Those that are there.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists objects that were [deleted](crate::object_store::ObjectInfo::deleted), too.
    #[must_use]
    pub fn include_deleted(mut self) -> Self {
        self.include_deleted = true;
        self
    }
}
