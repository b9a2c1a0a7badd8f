//! What was lost, for a program that is to read its data anew.

use crate::error::Error as AnyError;
use crate::mongo::changes::point::ResumePoint;
use bson::Timestamp;
use std::rc::Rc;

#[derive(Debug, Clone)]
pub(super) struct Lost {
    /// The opening of the stream that was lost.
    pub(super) opening: u64,
    /// When it was noted, by the cluster's clock.
    pub(super) time: Timestamp,
    /// The position.
    pub(super) from: Option<ResumePoint>,
    pub(super) cause: Rc<AnyError>,
}
