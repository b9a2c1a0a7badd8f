//! What a listing reports.

use crate::object_store::error::Error;
use crate::object_store::info::ObjectInfo;
use crate::object_store::watching::unreadable::Unreadable;

/// A report of a listing of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListedObject {
    /// An object. None comes twice.
    Object(ObjectInfo),
    /// What is stored of an object cannot be read. The listing goes on.
    Unreadable(Unreadable),
    /// The end, or why there is no more: the last report. Not sent after
    /// [`ObjectListing::stop`](crate::object_store::ObjectListing::stop).
    Ended(Result<(), Error>),
}
