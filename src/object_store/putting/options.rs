//! What a put may ask for.

/// On what an object is put: `PutOptions::new().expect_revision(7)`. Default: on whatever is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    pub(super) expected: Option<u64>,
}

impl PutOptions {
    /// No conditions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the object only if what is there is at this revision
    /// ([`ObjectInfo::revision`](crate::object_store::ObjectInfo::revision)), that of a deleted object
    /// included: compare and set. 0: only if there was never an object of that name. It is looked at
    /// before the first chunk is sent, and again when the object is stored.
    #[must_use]
    pub fn expect_revision(mut self, revision: u64) -> Self {
        self.expected = Some(revision);
        self
    }
}
