//! A candidature, with the type of the user's state erased.

use crate::callback::Answer;
use crate::kv;

type OnResigned = Answer<Result<(), kv::Error>>;

pub(super) struct Lease {
    /// Whether this instance leads, by its own clock.
    pub(super) is_leading: Box<dyn Fn() -> bool>,
    /// Gives the lead back.
    pub(super) resign: Box<dyn Fn(OnResigned)>,
}
